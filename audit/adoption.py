"""What adoption found: what was taken over and corrected, and what became of each rule's findings, with who mends them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import streamlit as st

from audit import navigation, tables, words
from audit.asking import asked
from audit.look import say
from audit.tables import Sheet
from core.audit import adoptions
from core.audit.adoptions import Adoption, Became
from core.audit.jobs import Counted
from core.findings import Rule, rule_of

ORIGIN = "From adoption"  # in the address
_SHOWN = 8
_NEWS = timedelta(days=30)
_NONE = Counted(number=0)
_TABLES: Mapping[str, tuple[str, str]] = {
    "characters": ("character", "characters"),
    "character_portraits": ("portrait", "portraits"),
    "character_scenes": ("scene", "scenes"),
    "jobs": ("job", "jobs"),
    "workspace_assets": ("result", "results"),
    "user_library": ("library row", "library rows"),
    "attribute_images": ("attribute image", "attribute images"),
    "style_images": ("style image", "style images"),
    "api_models": ("model", "models"),
    "api_providers": ("provider", "providers"),
}
_CORRECTIONS: Mapping[str, tuple[str, str]] = {
    "second_primaries": (
        "second primary portrait gave up its star to the newest",
        "second primary portraits gave up their stars to the newest",
    ),
}
_COLUMNS = ("rule", "title", "who", "found", "mended", "set_aside", "still_open", "counted_to")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One rule: how many rows the adoption found by it, and what became of them. `found` None: the adoption goes on."""

    name: str
    rule: Rule
    found: int | None
    became: Became


def known() -> Adoption | None:
    """The adoption of this database, None where it was never the platform's alone, or cannot be read (which is said)."""
    return asked(adoptions.latest)


def draw(adoption: Adoption, *, is_narrowed: bool) -> None:
    """The section, folded away where filters ask for something, and once it is a month old."""
    is_news = datetime.now(UTC) - adoption.began_at < _NEWS
    with (
        st.expander(
            "What adoption found", expanded=is_news and not is_narrowed, icon=":material/move_to_inbox:"
        ),
        st.container(key="adoption", gap="small"),
    ):
        read = asked(lambda conn: adoptions.became(conn, adoption))
        if read is None:
            return
        lines = lines_of(adoption, read)
        st.html(_story(adoption, lines))
        if lines:
            _rules(lines)
            with st.container(horizontal=True, vertical_alignment="center", key="adoption_foot"):
                st.html(f'<p class="au-age">{say(_bound(lines))}</p>', width="stretch")
                tables.files(sheet(adoption, lines))


def lines_of(adoption: Adoption, read: Sequence[Became]) -> list[Line]:
    """Every rule the adoption found rows by, the most that are still open first."""
    by_rule = {one.rule: one for one in read}
    names = [*by_rule, *(name for name, number in adoption.found.items() if number and name not in by_rule)]
    return [
        Line(
            name=name,
            rule=rule_of(name),
            found=adoption.found.get(name, 0) if adoption.ended_at else None,
            became=by_rule.get(name, Became(rule=name, mended=_NONE, set_aside=_NONE, open=_NONE)),
        )
        for name in names
    ]


def _story(adoption: Adoption, lines: Sequence[Line]) -> str:
    taken = "".join(
        f"<span><b>{number:,}</b> {say(_called(_TABLES, table, number))}</span>"
        for table, number in _in_order(adoption.rows_before)
        if number
    )
    return (
        f'<div class="au-adopted"><p>{say(_when(adoption, lines))}</p>'
        f'<p class="au-taken">{taken}</p><p>{say(_corrected(adoption))}</p></div>'
    )


def _when(adoption: Adoption, lines: Sequence[Line]) -> str:
    began = f"The platform’s database was taken over on {words.moment(adoption.began_at)}"
    if adoption.ended_at is None:
        return (
            f"{began}, and that has not come to its end. `python -m core migrate` goes on where it stopped."
        )
    took = words.lasted((adoption.ended_at - adoption.began_at).total_seconds())
    number = sum(line.found or 0 for line in lines)
    found = "Every row fits our rules." if not number else f"{number:,} findings by {len(lines)} rules."
    return f"{began}, in {took}. {found}"


def _in_order(rows: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    yield from ((table, rows[table]) for table in _TABLES if table in rows)
    yield from ((table, number) for table, number in rows.items() if table not in _TABLES)


def _called(known_as: Mapping[str, tuple[str, str]], name: str, number: int) -> str:
    one, many = known_as.get(name, (name.replace("_", " "), name.replace("_", " ")))
    return one if number == 1 else many


def _corrected(adoption: Adoption) -> str:
    made = [
        f"{number:,} {_called(_CORRECTIONS, name, number)}"
        for name, number in adoption.corrections.items()
        if number
    ]
    return f"Corrected: {', '.join(made)}. Nothing else was changed." if made else "No row was changed."


def _rules(lines: Sequence[Line]) -> None:
    shown = lines if st.session_state.get("all_adopted") else lines[:_SHOWN]
    head = "".join(
        f'<span role="columnheader">{said}</span>'
        for said in (
            "Rule",
            "Rows found",
            "Mended",
            "Set aside",
            "Still open",
            "Who mends it",
            "Its findings",
        )
    )
    st.html(
        f'<div class="au-adoption" role="table" aria-label="What adoption found, by rule"><div class="au-adopthead" role="row">{head}</div>{"".join(map(_row, shown))}</div>'
    )
    if len(lines) > _SHOWN:
        st.toggle(f"All {len(lines)} rules of the adoption", key="all_adopted")


def _row(line: Line) -> str:
    one = line.became
    said = navigation.href("findings", rule=line.rule.title, origin=ORIGIN)
    numbers = "".join(
        f'<span class="au-num" role="cell" data-name="{name}"{" data-is=open" if name == "still open" and one.open.number else ""}>{say(number)}</span>'
        for name, number in (
            ("found", f"{line.found:,}" if line.found is not None else "–"),
            ("mended", words.count(one.mended)),
            ("set aside", words.count(one.set_aside)),
            ("still open", words.count(one.open)),
        )
    )
    return (
        f'<div class="au-adoptrow" role="row"><span class="au-adoptrule" role="cell"><b>{say(line.rule.title)}</b>'
        f"<small>{say(line.rule.todo)}</small></span>{numbers}"
        f'<span class="au-who" role="cell">{say(line.rule.who)}</span>'
        f'<span class="au-way" role="cell"><a href="{say(said)}" target="_self" aria-label="Show: {say(line.rule.title)}">Show</a></span></div>'
    )


def _bound(lines: Sequence[Line]) -> str:
    counted = [number for line in lines for number in (line.became.mended, line.became.open)]
    bound = f" Counted to {adoptions.MOST_COUNTED:,} each." if any(one.more for one in counted) else ""
    return f"What became of them is counted as it stands now.{bound}"


def sheet(adoption: Adoption, lines: Sequence[Line]) -> Sheet:
    """The section as a file; a number that is bounded says so in its last column."""
    return Sheet(
        name=f"adoption-{adoption.id}",
        columns=_COLUMNS,
        rows=lambda: [_record(line) for line in lines],
    )


def _record(line: Line) -> Sequence[object]:
    one = line.became
    more = any(number.more for number in (one.mended, one.set_aside, one.open))
    return (
        line.name, line.rule.title, line.rule.who, line.found, one.mended.number, one.set_aside.number, one.open.number,
        adoptions.MOST_COUNTED if more else None,
    )  # fmt: skip
