"""What product says of attribute and style images, and the approved ones as the create page offers them
(SPEC "Attribute images": "The create page uses the approved ones").
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from core import attributes, foreign_paths, options, publishing
from core.authority import Action, permit
from core.catalog import Catalog
from core.db import attributes as rows
from core.errors import BadRequest, NotAllowed
from core.services import Services
from core.storage import ATTRIBUTE_ORIGINALS, PUBLIC_ASSETS, Address, External
from core.storage.links import parse_address
from core.values import STYLE_IMAGE, AttributePicture, Cell, Person, ReviewStatus

LONGEST_NOTE = 500


@dataclass(frozen=True, kw_only=True)
class Look:
    """One option of the create page: choosing it puts `tags` into a character's appearance tags.

    `pictures` maps a style's key to a link that ends within a day; a style without an approved picture is missing.
    """

    value: str
    label: str
    tags: tuple[str, ...]
    pictures: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class LookGroup:
    """The options of one category, in the catalogue's order; `style` comes first, then age, body and ethnicity."""

    key: str
    label: str
    looks: tuple[Look, ...]


def review(
    cell: Cell, verdict: ReviewStatus, person: Person, services: Services, *, image_url: str, note: str = ""
) -> int:
    """Approve or reject the picture at `image_url` (`bucket/path`), or take the verdict back with `pending`.

    Returns how many rows were judged: the aliases that show the same picture go with it. A rejection needs a note,
    so that the next picture can be better. Raises NotAllowed (needs product or admin), BadRequest, NotFound,
    Conflict (`NEWER_PICTURE`: another picture stands there by now).
    """
    permit(person, Action.judge_attribute_images)
    current = options.catalog(services)
    known = attributes.find_cell(current, cell.category, cell.value, cell.style)
    said = " ".join(note.replace("\x00", "").split())
    if len(said) > LONGEST_NOTE:
        raise BadRequest(
            f"A note takes at most {LONGEST_NOTE} characters; this has {len(said)}.", field="note"
        )
    if verdict is ReviewStatus.rejected and not said:
        raise BadRequest("Say in a few words what is wrong, so that the next one is better.", field="note")
    names = publishing.names_of(known, current)
    with services.db.as_user(person) as conn:
        return rows.review(conn, known, names, image_url=image_url, verdict=verdict, note=said)


def address_of(image_url: str, person: Person, services: Services) -> Address:
    """Where a published picture or its original lies, as a row names it.

    The two attribute buckets are readable by rule (SPEC "Files"); anything else in such a row is not believed, and a
    file of somebody else is recorded. Raises NotAllowed.
    """
    permit(person, Action.use_studio)
    try:
        address = parse_address(image_url, default_bucket=PUBLIC_ASSETS)
    except BadRequest as exc:
        raise NotAllowed("The row names no file of ours.", code="BAD_PATH") from exc
    sentence = "The row names a file that is not ours, so it is not shown."
    if isinstance(address, External):
        raise NotAllowed(sentence, code="BAD_PATH")
    if address.bucket not in (PUBLIC_ASSETS, ATTRIBUTE_ORIGINALS):
        foreign_paths.refuse(address, person, services, sentence=sentence)
    return address


def link(picture: AttributePicture, person: Person, services: Services) -> str:
    """A link to a published picture, empty where its row names no object of ours."""
    try:
        return services.links.sign(address_of(picture.image_url, person, services), datetime.now(UTC))
    except NotAllowed:
        return ""


def looks(person: Person, services: Services) -> tuple[LookGroup, ...]:
    """What the create page offers. Raises NotAllowed (needs a role in the studio)."""
    permit(person, Action.use_studio)
    with services.db.as_user(person) as conn:
        approved = [one for one in rows.pictures(conn) if one.review_status is ReviewStatus.approved]
        current = options.catalog_on(conn, services.catalog)
    shown = {
        _key(one.cell): link(one, person, services) for one in reversed(approved)
    }  # the newest of a cell comes last
    return (_styles(shown, current), *_groups(shown, current))


def _styles(shown: dict[tuple[str, str, str], str], catalog: Catalog) -> LookGroup:
    options = [
        Look(
            value=one.key,
            label=one.label,
            tags=one.tags,
            pictures=_pictures([one.key], STYLE_IMAGE, [one.key], shown),
        )
        for one in catalog.styles
    ]
    return LookGroup(key=STYLE_IMAGE, label="Style", looks=tuple(options))


def _groups(shown: dict[tuple[str, str, str], str], catalog: Catalog) -> Iterable[LookGroup]:
    styles = [one.key for one in catalog.styles]
    for category in catalog.categories:
        options = [
            Look(
                value=one.value,
                label=one.label,
                tags=one.tags,
                pictures=_pictures(styles, category.key, [one.value, *one.aliases], shown),
            )
            for one in category.values
        ]
        yield LookGroup(key=category.key, label=category.label, looks=tuple(options))


def _pictures(
    styles: Iterable[str], category: str, names: list[str], shown: dict[tuple[str, str, str], str]
) -> dict[str, str]:
    found: dict[str, str] = {}
    for style in styles:
        links = (shown.get(_key(Cell(category=category, value=name, style=style)), "") for name in names)
        if first := next((one for one in links if one), ""):
            found[style] = first
    return found


def _key(cell: Cell) -> tuple[str, str, str]:
    return cell.category.strip().casefold(), cell.value.strip().casefold(), cell.style.strip().casefold()
