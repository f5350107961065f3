"""What product says of attribute and style images, and the approved ones as the create page offers them
(SPEC "Attribute images": "The create page uses the approved ones").
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from core import attributes, options, publishing
from core.catalog import Catalog
from core.db import attributes as rows
from core.errors import BadRequest, NotAllowed
from core.services import Services
from core.storage import ATTRIBUTE_ORIGINALS, PUBLIC_ASSETS, External
from core.storage.links import parse_address
from core.values import STYLE_IMAGE, AttributePicture, Cell, Person, ReviewStatus, Role

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
    if not person.holds(Role.product, Role.admin):
        raise NotAllowed("Attribute images are judged by product and admin. Ask an admin for the role.")
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


def link(picture: AttributePicture, services: Services) -> str:
    """A link to a published picture, empty where its row names no object of ours.

    The two attribute buckets are readable by rule (SPEC "Files"); anything else in such a row is not believed.
    """
    try:
        address = parse_address(picture.image_url, default_bucket=PUBLIC_ASSETS)
    except (BadRequest, NotAllowed):
        return ""
    if isinstance(address, External) or address[0] not in (PUBLIC_ASSETS, ATTRIBUTE_ORIGINALS):
        return ""
    return services.links.sign(address, datetime.now(UTC))


def looks(person: Person, services: Services) -> tuple[LookGroup, ...]:
    """What the create page offers. Raises NotAllowed (needs a role in the studio)."""
    if not person.roles:
        raise NotAllowed("The studio needs a role. Ask an admin for one.")
    with services.db.as_user(person) as conn:
        approved = [one for one in rows.pictures(conn) if one.review_status is ReviewStatus.approved]
        current = options.catalog_on(conn, services.catalog)
    shown = {
        _key(one.cell): link(one, services) for one in reversed(approved)
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
