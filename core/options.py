"""The options of the character-creation form: those that ship, and those a team added or switched off without code
(SPEC "Attribute images").

`catalog` is what every use of the options reads, at the moment it is used: no restart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from core import policy
from core.authority import Action, permit
from core.catalog import AttributeCategory, AttributeValue, Catalog, ImageStyle
from core.db import Connection, admin, options
from core.db.options import OptionRow
from core.errors import BadRequest, Conflict, PolicyRefused
from core.services import Services
from core.values import STYLE_IMAGE, Person

T = TypeVar("T", AttributeValue, ImageStyle)

FIRST_AGE = 20  # adults only: the youngest option is the twenties
AGE = "age"
LONGEST_WHY = 500
_LONGEST = {"value": 40, "label": 60, "words": 200}
_MOST_ALIASES, _MOST_TAGS, _LONGEST_NAME = 10, 8, 60
_KEY = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_UNCLOTHED = re.compile(
    r"\b(nud(e|es|ity)|naked|topless|bottomless|undressed|unclothed|underwear|lingerie|bikinis?|swimwear|swimsuits?"
    r"|bare[ -]?(chest|breast)\w*|nsfw)\b",
    re.IGNORECASE,
)
_YOUNG_AGES = re.compile(
    r"\b(ten|eleven|twelve|(thir|four|fif|six|seven|eigh|nine)teen)(th|s)?\b", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option as product sees it. `changed_by` and `changed_at` are None for one that stands as it shipped."""

    category: str
    category_label: str
    value: str
    label: str
    words: str
    aliases: tuple[str, ...]
    active: bool
    is_shipped: bool
    tags: tuple[str, ...] = ()  # of a team's own
    place: int = 0  # among the team's own, lowest first
    changed_by: UUID | None = None
    changed_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class NewOption:
    """What a person typed for a new option. `tags` go into a character that chooses it; none: its label does."""

    category: str
    value: str
    label: str
    words: str
    aliases: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


# -- reading --------------------------------------------------------------------------------------------------------


def catalog(services: Services) -> Catalog:
    """The catalogue as it counts now: what ships and what the team added, without what is switched off."""
    with services.db.as_service() as conn:
        return catalog_on(conn, services.catalog)


def catalog_on(conn: Connection, shipped: Catalog, *, whole: bool = False) -> Catalog:
    """As `catalog`, on a connection that may read the options; `whole` keeps what is switched off."""
    return merged(shipped, options.all_rows(conn), whole=whole)


def merged(shipped: Catalog, rows: Sequence[OptionRow], *, whole: bool = False) -> Catalog:
    """The shipped catalogue with the team's rows; pure. A row that does not describe a clothed adult is left out,
    whoever wrote it.
    """
    own = [row for row in rows if row.prompt_words and _is_fit(row)]
    off = {(row.category, row.value.casefold()) for row in rows if not (row.active or whole)}
    if not own and not off:
        return shipped
    return replace(
        shipped,
        styles=tuple(_on(STYLE_IMAGE, (*shipped.styles, *_styles(own, shipped)), off)),
        categories=tuple(_category(one, own, off) for one in shipped.categories),
    )


def listing(conn: Connection, shipped: Catalog) -> tuple[Option, ...]:
    """Every option of every category, then the styles, switched off or not; on a person's connection."""
    rows = options.all_rows(conn)
    whole = merged(shipped, rows, whole=True)
    by_name = {(row.category, row.value.casefold()): row for row in rows}
    found = [
        _option(by_name, category.key, category.label, one.value, one.label, one.words, one.aliases)
        for category in whole.categories
        for one in category.values
    ]
    return (
        *found,
        *(_option(by_name, STYLE_IMAGE, "Style", one.key, one.label, one.words, ()) for one in whole.styles),
    )


def _option(
    by_name: dict[tuple[str, str], OptionRow],
    category: str,
    category_label: str,
    value: str,
    label: str,
    words: str,
    aliases: tuple[str, ...],
) -> Option:
    row = by_name.get((category, value.casefold()))
    return Option(
        category=category,
        category_label=category_label,
        value=value,
        label=label,
        words=words,
        aliases=aliases,
        active=row is None or row.active,
        is_shipped=row is None or row.prompt_words is None,
        tags=tuple(row.tags) if row else (),
        place=row.place if row else 0,
        changed_by=row.changed_by if row else None,
        changed_at=row.changed_at if row else None,
    )


def _category(
    shipped: AttributeCategory, own: Iterable[OptionRow], off: set[tuple[str, str]]
) -> AttributeCategory:
    taken = {name.casefold() for one in shipped.values for name in (one.value, *one.aliases)}
    added = [
        AttributeValue(
            value=row.value,
            label=row.label or row.value,
            words=row.prompt_words or "",
            tags=tuple(row.tags),
            aliases=tuple(name for name in row.aliases if name.casefold() not in taken),
        )
        for row in own
        if row.category == shipped.key and row.value.casefold() not in taken
    ]
    return replace(shipped, values=tuple(_on(shipped.key, (*shipped.values, *added), off)))


def _styles(own: Iterable[OptionRow], shipped: Catalog) -> list[ImageStyle]:
    taken = {one.key for one in shipped.styles}
    return [
        ImageStyle(
            key=row.value, label=row.label or row.value, words=row.prompt_words or "", tags=tuple(row.tags)
        )
        for row in own
        if row.category == STYLE_IMAGE and row.value not in taken and _KEY.fullmatch(row.value)
    ]


def _on(category: str, found: Iterable[T], off: set[tuple[str, str]]) -> list[T]:
    return [one for one in found if (category, _name(one).casefold()) not in off]


def _name(one: AttributeValue | ImageStyle) -> str:
    return one.value if isinstance(one, AttributeValue) else one.key


def _is_fit(row: OptionRow) -> bool:
    texts = {"value": row.value, "label": row.label or "", "words": row.prompt_words or ""}
    try:
        refuse_unfit(row.category, {**texts, "aliases": row.aliases, "tags": row.tags})
    except PolicyRefused:
        return False
    return True


# -- adding and switching -------------------------------------------------------------------------------------------


def add(wanted: NewOption, person: Person, services: Services) -> Option:
    """A new value of a category, or a new style: its pictures are missing from now on, wherever options are used.

    Raises NotAllowed (needs product or admin), BadRequest (field), PolicyRefused (`POLICY_MINOR`, `POLICY_CLOTHED`),
    Conflict (`OPTION_EXISTS`).
    """
    permit(person, Action.change_options)
    clean = _cleaned(wanted)
    _refuse_bad_form(clean, services.catalog)
    texts = {"value": clean.value, "label": clean.label, "words": clean.words}
    refuse_unfit(clean.category, {**texts, "aliases": clean.aliases, "tags": clean.tags})
    _refuse_taken(clean, services.catalog)
    with services.db.as_user(person) as conn:
        options.add(
            conn,
            clean.category,
            clean.value,
            label=clean.label,
            words=clean.words,
            aliases=clean.aliases,
            tags=clean.tags,
        )
        found = listing(conn, services.catalog)
    return next(one for one in found if (one.category, one.value) == (clean.category, clean.value))


def change(
    seen: Option, wanted: NewOption, person: Person, services: Services, *, place: int, why: str = ""
) -> bool:
    """Change what a team's own option says, and where it stands; recorded. Pictures made of it stay as they are, and its
    value too: they are named after it. `seen` is the option as the person looked at it. False where it stood so already.

    Raises NotAllowed (needs product or admin), NotFound (it ships), BadRequest (field), PolicyRefused, Conflict
    `CHANGED_MEANWHILE` or `OPTION_EXISTS`.
    """
    permit(person, Action.change_options)
    clean = _cleaned(replace(wanted, category=seen.category, value=seen.value))
    _refuse_bad_form(clean, services.catalog)
    texts = {"label": clean.label, "words": clean.words}
    refuse_unfit(clean.category, {**texts, "aliases": clean.aliases, "tags": clean.tags})
    _refuse_taken_names(clean, services.catalog)
    with services.db.as_user(person) as conn:
        return admin.change_option(
            conn,
            seen.category,
            seen.value,
            seen=as_row(seen),
            label=clean.label,
            words=clean.words,
            aliases=clean.aliases,
            tags=clean.tags,
            place=place,
            why=why,
        )


def as_row(seen: Option) -> dict[str, object]:
    """What a team's own option says, as the record keeps it."""
    return {
        "label": seen.label,
        "words": seen.words,
        "aliases": list(seen.aliases),
        "tags": list(seen.tags),
        "place": seen.place,
    }


def _refuse_taken_names(wanted: NewOption, shipped: Catalog) -> None:
    category = shipped.category(wanted.category)
    if category and any(category.find(name) for name in wanted.aliases):
        raise Conflict(
            "There is an option of that name already. Choose another older name.", code="OPTION_EXISTS"
        )


def switch(
    category: str, value: str, person: Person, services: Services, *, active: bool, why: str = ""
) -> bool:
    """Switch an option on, or off: then its pictures are not required and nobody is offered it. False where it stood
    so already. Nothing is deleted.

    Raises NotAllowed (needs product or admin), BadRequest (no such option; the last one of its category).
    """
    permit(person, Action.change_options)
    said = _plain(why)
    if len(said) > LONGEST_WHY:
        raise BadRequest(
            f"A reason takes at most {LONGEST_WHY} characters; this has {len(said)}.", field="why"
        )
    with services.db.as_user(person) as conn:
        known = [one for one in listing(conn, services.catalog) if one.category == category]
        option = next((one for one in known if one.value == value), None)
        if option is None:
            raise BadRequest("There is no such option. Reload the page.", field="value")
        if not active and [one for one in known if one.active] == [option]:
            raise BadRequest("This is the last one of its kind. Switch another one on first.", field="value")
        return options.switch(conn, category, value, active=active, why=said)


def refuse_unfit(category: str, texts: dict[str, str | Sequence[str]]) -> None:
    """Adults only, and fully clothed (SPEC "Attribute images"). Raises PolicyRefused, by field."""
    policy.check_texts(texts)
    for field, value in texts.items():
        for said in (value,) if isinstance(value, str) else value:
            if category == AGE and _is_young(said):
                raise PolicyRefused(
                    "Every option shows an adult: ages begin with the twenties. Change the words or numbers that say "
                    "otherwise.",
                    field=field,
                    code="POLICY_MINOR",
                )
            if _UNCLOTHED.search(said):
                raise PolicyRefused(
                    "Every option shows a fully clothed person. Leave out words that say otherwise.",
                    field=field,
                    code="POLICY_CLOTHED",
                )


def _is_young(said: str) -> bool:
    """True where an age below the twenties is named, in figures or in words."""
    return any(int(one) < FIRST_AGE for one in re.findall(r"\d+", said)) or bool(_YOUNG_AGES.search(said))


def _cleaned(wanted: NewOption) -> NewOption:
    label = _plain(wanted.label) or _plain(wanted.value)
    return NewOption(
        category=wanted.category.strip(),
        value=_plain(wanted.value),
        label=label,
        words=_plain(wanted.words),
        aliases=_distinct(wanted.aliases),
        tags=_distinct(wanted.tags) or (label.lower(),) if label else (),
    )


def _plain(text: str) -> str:
    return " ".join(_CONTROL.sub(" ", text).split())


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, map(_plain, texts))))


def _refuse_bad_form(wanted: NewOption, shipped: Catalog) -> None:
    if wanted.category not in {STYLE_IMAGE, *(one.key for one in shipped.categories)}:
        raise BadRequest("Choose what kind of option it is: a category, or a style.", field="category")
    for field, longest in _LONGEST.items():
        said = getattr(wanted, field)
        if not 1 <= len(said) <= longest:
            raise BadRequest(f"Fill in “{field}”, in at most {longest} characters.", field=field)
    if wanted.category == STYLE_IMAGE and not _KEY.fullmatch(wanted.value):
        raise BadRequest("A style's name is one word of small letters, digits and hyphens.", field="value")
    if "/" in wanted.value:
        raise BadRequest("A name holds no slash: it is a part of addresses.", field="value")
    for field, most, found in (("aliases", _MOST_ALIASES, wanted.aliases), ("tags", _MOST_TAGS, wanted.tags)):
        if len(found) > most or any(len(one) > _LONGEST_NAME for one in found):
            raise BadRequest(
                f"An option takes at most {most} {field}, each of at most {_LONGEST_NAME} characters.",
                field=field,
            )


def _refuse_taken(wanted: NewOption, shipped: Catalog) -> None:
    category = shipped.category(wanted.category)
    taken = {one.key for one in shipped.styles} if category is None else set[str]()
    known = [category.find(name) for name in (wanted.value, *wanted.aliases)] if category else []
    if wanted.value in taken or any(known):
        raise Conflict(
            "There is an option of that name already. Choose another name, or switch that one on.",
            code="OPTION_EXISTS",
        )
