"""Costs: what was spent, on what, for what it is worth; the three amounts; budgets and how they will end; models side
by side. What is not known is counted by itself and is in no sum.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import plotly.graph_objects as go
import streamlit as st

from audit import cards, colleagues, filters, look, tables, words
from audit.asking import asked, told
from audit.cards import Card
from audit.filters import SPANS
from audit.look import say
from audit.services import person, read, services
from audit.tables import Sheet
from core import budgets
from core.audit import costs
from core.audit.costs import Compared, CostFilter, Costs, Day, Line, Part
from core.audit.troubles import NOT_ITS_FAULT
from core.db import Connection
from core.db.budgets import Standing
from core.errors import QueryTimedOut, StudioError
from core.forecast import BASIS_DAYS, Forecast, forecast

ACCEPTED = "An accepted portrait was not deleted, and it is primary, somebody's favourite, or rated four or five stars."
_TINY = Decimal("0.1")
_FEW = 20  # jobs below which a comparison says that they are few
_BY: Mapping[str, Part] = {
    "Provider": Part.provider,
    "Model": Part.model,
    "Type": Part.kind,
    "Person": Part.person,
    "Character": Part.character,
    "Day": Part.day,
}
_SPANS = tuple(sorted(SPANS, key=lambda name: SPANS[name] or timedelta.max))
_NARROWED = ("30 days", "7 days", "24 hours")  # what is tried where a longer span takes too long
_MODES: Mapping[str, str] = {"txt2img": "from words", "i2i": "from a reference"}
_DAY_MS = 86_400_000  # a day, as the charts count
_MOST_ENTRIES = 200_000  # of the ledger, for a budget's days
_LINES = 200  # of a table on the page; the file has up to a thousand


def draw() -> None:
    """The whole page; sums are made when a filter changes, not by a clock."""
    look.head("Costs")
    chosen = filters.shared()
    if (found := _summed(chosen.span)) is None:
        return
    span, wanted, sums, at = found
    if span != chosen.span:
        st.info(
            f"**{chosen.span} took too long to sum up**, so these are the last {span}. Choose one provider or one "
            "person to look further back.",
            icon=":material/hourglass_bottom:",
        )
    if not sums.total.attempts:
        _nothing(span, narrows=chosen.narrows)
    else:
        _cards(sums)
        _by_day(sums)
        _divided(sums)
        look.as_of(at, f"{_span_words(span)}; days are UTC's. {ACCEPTED}")
        _three_amounts(sums)
        _models_compared(wanted)
    _budgets()


def _summed(span: str) -> tuple[str, CostFilter, Costs, datetime] | None:
    """The sums of `span`, else of the longest shorter one that is summed within the time there is; with its filter and
    its moment. None where they could not be had, which has been said then.
    """
    chosen = filters.shared()
    base = CostFilter(
        provider=chosen.provider,
        model_id=chosen.model_id,
        person_id=chosen.person_id,
        kind=chosen.kind,
    )
    shorter = [name for name in _NARROWED if _SPANS.index(name) < _SPANS.index(span)]
    for name in (span, *shorter):
        now = datetime.now(UTC)
        length = SPANS[name]
        wanted = replace(base, since=now - length if length else None)
        try:
            return name, wanted, read(lambda conn, w=wanted: costs.summed(conn, w)), now
        except QueryTimedOut as error:
            late = error
        except StudioError as error:
            told(error)
            return None
    told(late)
    return None


def _span_words(span: str) -> str:
    return span if span == filters.ALWAYS else f"The last {span}"


def _nothing(span: str, *, narrows: bool) -> None:
    if narrows:
        look.nothing(
            "Nothing fits these filters", "No paid or free request of that kind was made in this time."
        )
    else:
        when = "" if span == filters.ALWAYS else f" in the last {span}"
        look.nothing("Nothing was asked for", f"No picture was asked for{when}, so nothing was spent.")


# -- the sums ---------------------------------------------------------------------------------------------------------


def _cards(sums: Costs) -> None:
    paid = _paid(sums)
    total = sums.total
    days = [float(one.spent_usd) for one in reversed(sums.lines[Part.day])]
    variance = total.variance_usd
    cards.draw(
        [
            Card(
                label="Spent",
                value=_dollars(total.spent_usd) if total.known else "not known",
                note=_known_words(total),
                tone="warn" if total.unknown else "calm",
                spark=days,
            ),
            Card(
                label="Held",
                value=_dollars(total.held_usd),
                note=f"estimates of {total.held:,} under way" if total.held else "nothing is under way",
            ),
            Card(
                label="Spent on failures",
                value=_dollars(total.failed_usd),
                note=f"{total.failed:,} failed or cancelled ones were paid"
                + (f", {total.failed_usd / total.spent_usd:.1%} of all" if total.spent_usd else ""),
                tone="warn" if total.failed_usd else "calm",
            ),
            _each_card("A picture", paid.per_image_usd, _of(paid.priced_images, "picture"), paid),
            _each_card(
                "An accepted portrait", paid.per_accepted_usd, f"{paid.priced_accepted:,} accepted", paid
            ),
            Card(
                label="Against the estimates",
                value="not known" if variance is None else _signed(variance),
                note=f"{total.compared:,} have both amounts" if total.compared else "none has both amounts",
            ),
        ],
        key="co_cards",
    )


def _paid(sums: Costs) -> Line:
    """The total without what Sketch drew: free drawings would make each picture look cheaper than it was."""
    free = next((one for one in sums.lines[Part.provider] if one.provider == "sketch"), None)
    if free is None:
        return sums.total
    return replace(
        sums.total,
        attempts=sums.total.attempts - free.attempts,
        images=sums.total.images - free.images,
        accepted=sums.total.accepted - free.accepted,
        priced_images=sums.total.priced_images - free.priced_images,
        priced_accepted=sums.total.priced_accepted - free.priced_accepted,
        held=sums.total.held - free.held,
        unknown=sums.total.unknown - free.unknown,
    )


def _each_card(label: str, amount: Decimal | None, of: str, line: Line) -> Card:
    left_out = f"; {line.unknown:,} of unknown cost left out" if line.unknown else ""
    return Card(
        label=label,
        value="not known" if amount is None else _dollars(amount, fine=True),
        note=f"{of}, failures included{left_out}" if amount is not None else f"{of} at a known cost",
    )


def _known_words(line: Line) -> str:
    unknown = f"{line.unknown:,} of unknown cost not in it" if line.unknown else ""
    refunds = f"{_dollars(line.refunded_usd)} came back" if line.refunded_usd else ""
    return ", ".join(filter(None, (_of(line.known, "request"), refunds, unknown)))


def _by_day(sums: Costs) -> None:
    days = list(reversed(sums.lines[Part.day]))
    if len(days) < 2:  # noqa: PLR2004 - one day is no course
        return
    x = [one.day for one in days]
    accent, soft, warn = _colour("accent"), _colour("line-strong"), _colour("warn")
    bars = go.Figure()
    bars.add_bar(
        x=x, y=[float(one.spent_usd) for one in days], name="Spent", marker_color=accent,
        hovertemplate="$%{y:,.2f}<extra>Spent</extra>",
    )  # fmt: skip
    if any(one.held_usd for one in days):
        bars.add_bar(
            x=x, y=[float(one.held_usd) for one in days], name="Held (estimated)", marker_color=soft,
            hovertemplate="$%{y:,.2f}<extra>Held</extra>",
        )  # fmt: skip
    if any(one.unknown for one in days):
        known = [one for one in days if one.unknown]
        bars.add_scatter(
            x=[one.day for one in known], y=[float(one.spent_usd + one.held_usd) for one in known],
            mode="markers", marker={"symbol": "diamond-open", "size": 8, "color": warn, "line": {"width": 2}},
            name="Some unknown", customdata=[one.unknown for one in known],
            hovertemplate="%{customdata} of unknown cost<extra></extra>",
        )  # fmt: skip
    _chart(bars, "co_days", barmode="stack")


def _divided(sums: Costs) -> None:
    with st.container(
        horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", key="co_by"
    ):
        by = st.segmented_control(
            "Divided by",
            list(_BY),
            default="Provider",
            key="by",
            bind="query-params",
            label_visibility="collapsed",
        )
        part = _BY.get(str(by), Part.provider)
        with st.container(horizontal=True, width="content"):
            tables.files(_sheet(part, sums.lines[part]))
    lines = sums.lines[part][:_LINES]
    named = _names(part, lines)
    st.dataframe(
        [_row(part, one, named) for one in lines],
        key=f"costs_{part}",
        hide_index=True,
        placeholder="–",
        column_config=_COLUMNS,
        height="content" if len(lines) <= 12 else 460,  # noqa: PLR2004 - rows that fit a screen
    )
    if part in sums.cut or len(sums.lines[part]) > len(lines):
        more = (
            f"the first {len(sums.lines[part]):,} are in the file"
            if part in sums.cut
            else "all are in the file"
        )
        st.caption(f"The {len(lines)} dearest are shown; {more}.")


_MONEY = st.column_config.NumberColumn(
    format="dollar", help="Known amounts only; what is unknown is counted beside."
)
_COLUMNS = {
    "Spent": _MONEY,
    "Failed spend": _MONEY,
    "A picture": st.column_config.NumberColumn(
        format="$%.4f", help="What was spent, by the pictures it brought."
    ),
    "An accepted": st.column_config.NumberColumn("An accepted portrait", format="$%.4f", help=ACCEPTED),
    "Unknown": st.column_config.NumberColumn(
        help="Requests whose cost nobody knows: in no sum of this line."
    ),
    "Held": st.column_config.NumberColumn(format="dollar", help="Estimates of what is under way."),
    "Against estimate": st.column_config.NumberColumn(
        format="dollar", help="Cost less estimate, where both are known."
    ),
}


def _row(part: Part, one: Line, named: Mapping[UUID, str]) -> dict[str, object]:
    return {
        **_what(part, one, named),
        "Requests": one.attempts,
        "Pictures": one.images,
        "Spent": float(one.spent_usd) if one.known else None,
        "Unknown": one.unknown,
        "Held": float(one.held_usd),
        "A picture": _number(one.per_image_usd),
        "An accepted": _number(one.per_accepted_usd),
        "Failed spend": float(one.failed_usd) if one.known else None,
        "Against estimate": _number(one.variance_usd),
    }


def _what(part: Part, one: Line, named: Mapping[UUID, str]) -> dict[str, object]:
    match part:
        case Part.day:
            return {"Day": one.day}
        case Part.provider:
            return {"Provider": words.provider(one.provider or "")}
        case Part.model:
            return {"Provider": words.provider(one.provider or ""), "Model": one.model_key}
        case Part.kind:
            return {"Type": words.PURPOSES.get(one.kind or "", "Other")}
        case Part.person:
            return {"Person": _person(one.user_id, named)}
        case _:
            return {"Character": _character(one.character_id, named)}


def _names(part: Part, lines: Sequence[Line]) -> Mapping[UUID, str]:
    if part is Part.person:
        return colleagues.names()
    if part is not Part.character:
        return {}
    ids = [one.character_id for one in lines if one.character_id]
    return asked(lambda conn: costs.names(conn, ids)) or {}


def _character(character_id: UUID | None, named: Mapping[UUID, str]) -> str:
    if character_id is None:
        return "Without a character"
    return named.get(character_id, f"Erased ({words.short(character_id)})") or "Untitled"


def _person(user_id: UUID | None, named: Mapping[UUID, str]) -> str:
    return words.sentence(colleagues.called(user_id, named, nobody="erased"))


def _sheet(part: Part, lines: Sequence[Line]) -> Sheet:
    """Every figure of a part, exact; an amount that rests on nothing known is empty."""
    columns = (
        "day", "provider", "model", "type", "person", "character", "requests", "pictures", "accepted", "spent_usd",
        "unknown", "held_usd", "held", "failed_usd", "estimated_usd", "computed_usd", "billed_usd", "refunded_usd",
        "per_picture_usd", "per_accepted_usd", "against_estimate_usd",
    )  # fmt: skip

    def rows() -> Iterator[Sequence[object]]:
        for one in lines:
            yield (
                one.day.isoformat() if one.day else None, one.provider, one.model_key, one.kind, one.user_id,
                one.character_id, one.attempts, one.images, one.accepted, one.spent_usd if one.known else None,
                one.unknown, one.held_usd, one.held, one.failed_usd if one.known else None, one.estimated_usd,
                one.computed_usd if one.computed else None, one.billed_usd if one.billed else None, one.refunded_usd,
                one.per_image_usd, one.per_accepted_usd, one.variance_usd,
            )  # fmt: skip

    return Sheet(name=f"costs-by-{part}", columns=columns, rows=rows)


def _three_amounts(sums: Costs) -> None:
    total = sums.total
    st.subheader("Estimated, computed, billed")
    estimated = total.attempts - total.unestimated
    rows = (
        ("Estimated", _dollars(total.estimated_usd) if estimated else "unknown", f"{estimated:,}",
         f"at the click; {total.unestimated:,} without a price" if total.unestimated else "at the click"),
        ("Computed", _dollars(total.computed_usd) if total.computed else "none", f"{total.computed:,}",
         "at the end, from what the provider counted and the price of that moment"),
        ("Billed", _dollars(total.billed_usd) if total.billed else "none", f"{total.billed:,}",
         "named in dollars by the provider"),
        ("Came back", _dollars(total.refunded_usd) if total.refunded_usd else "none", "", "refunds"),
        ("Spent", _dollars(total.spent_usd) if total.known else "unknown", f"{total.known:,}",
         "billed, else computed, less refunds"),
        ("Unknown", "unknown", f"{total.unknown:,}", "ended, and nobody knows its amount: in no sum"),
    )  # fmt: skip
    lines = "".join(
        f'<tr><th scope="row">{say(name)}</th><td>{say(amount)}</td><td>{say(number)}</td><td>{say(means)}</td></tr>'
        for name, amount, number, means in rows
    )
    st.html(
        '<table class="co-amounts"><thead><tr><th scope="col"></th><th scope="col">Amount</th>'
        f'<th scope="col">Requests</th><th scope="col">What it is</th></tr></thead><tbody>{lines}</tbody></table>'
    )


# -- models side by side ----------------------------------------------------------------------------------------------


def _models_compared(wanted: CostFilter) -> None:
    st.subheader("Models side by side")
    found = asked(lambda conn: costs.compared(conn, wanted, not_its_fault=NOT_ITS_FAULT))
    if found is None:
        return
    if not found:
        st.caption("No job ended in this time.")
        return
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(
            "At the same type of prompt. What a person's words or hand caused is not counted as failed; an average "
            "of fewer than 20 jobs says little."
        )
        with st.container(horizontal=True, width="content"):
            tables.files(_compared_sheet(found))
    st.dataframe(
        [_compared_row(one) for one in found],
        key="costs_compared",
        hide_index=True,
        placeholder="–",
        column_config={
            "A picture": st.column_config.NumberColumn(format="$%.4f", help="Mean of the known costs."),
            "Usual time": st.column_config.NumberColumn(
                format="%.1f s", help="Half of the pictures were quicker."
            ),
            "Slow time": st.column_config.NumberColumn(format="%.1f s", help="One of twenty took longer."),
            "Failed": st.column_config.NumberColumn(format="percent"),
            "Stars": st.column_config.NumberColumn(format="%.1f", help="Mean of the portraits people rated."),
        },
    )


def _compared_row(one: Compared) -> dict[str, object]:
    return {
        "Prompt": _prompt_type(one),
        "Provider": words.provider(one.provider),
        "Model": one.model,
        "Jobs": one.jobs,
        "Basis": "too few" if one.jobs < _FEW else "enough",
        "A picture": _number(one.mean_usd),
        "Unknown cost": one.unknown,
        "Usual time": one.median_seconds,
        "Slow time": one.p95_seconds,
        "Failed": one.failed / one.jobs,
        "Stars": one.stars,
        "Rated": one.rated,
    }


def _prompt_type(one: Compared) -> str:
    return f"{words.PURPOSES.get(one.kind, 'Other')}, {_MODES.get(one.mode, one.mode)}"


def _compared_sheet(found: Sequence[Compared]) -> Sheet:
    columns = (
        "type", "mode", "provider", "model", "jobs", "completed", "failed", "mean_usd", "known_costs", "unknown_costs",
        "median_seconds", "p95_seconds", "mean_stars", "rated",
    )  # fmt: skip
    return Sheet(
        name="models-compared",
        columns=columns,
        rows=lambda: (
            (
                one.kind, one.mode, one.provider, one.model_key, one.jobs, one.completed, one.failed, one.mean_usd,
                one.priced, one.unknown, one.median_seconds, one.p95_seconds, one.stars, one.rated,
            )
            for one in found
        ),
    )  # fmt: skip


# -- budgets ----------------------------------------------------------------------------------------------------------


def _budgets() -> None:
    st.subheader("Budgets")
    try:
        found = budgets.listing(person(), services())
    except StudioError as error:
        told(error)
        return
    if not found:
        st.caption(
            "No budget is set, so nothing limits spending. An admin sets one: `python -m core budgets set`."
        )
        return
    named = colleagues.names() if any(one.user_id for one in found) else {}
    for one in found:
        _budget(one, named)
    look.as_of(datetime.now(UTC))


def _budget(one: Standing, named: Mapping[UUID, str]) -> None:
    now = datetime.now(UTC)
    found = asked(lambda conn: _daily(conn, one, now))
    if found is None:
        return
    since, days = found
    spent = {day.day: day.spent_usd for day in days}
    used = one.spent + one.held
    seen = forecast(spent, used, one.limit_usd, ends=one.resets_at, now=now)
    whose = "Everybody" if one.user_id is None else _person(one.user_id, named)
    with st.container(border=True, key=f"budget_{one.id}"):
        st.html(_budget_words(one, whose, used, seen))
        if one.period == "month" and since <= _month(now):
            _burn_down(one, spent, seen, now)


def _daily(conn: Connection, one: Standing, now: datetime) -> tuple[datetime, Sequence[Day]]:
    """What each day cost, and from when on: far enough back for the forecast and for the whole month, unless that are
    more entries than are read at once.
    """
    wanted = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=max(BASIS_DAYS, 31))
    since = costs.full_days(conn, wanted, most=_MOST_ENTRIES)
    return since, costs.days(conn, since, person_id=one.user_id)


def _month(now: datetime) -> datetime:
    return now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _budget_words(one: Standing, whose: str, used: Decimal, seen: Forecast | str) -> str:
    share = float(used / one.limit_usd) if one.limit_usd else 1.0
    tone = "bad" if share >= 1 else "warn" if share >= 0.8 else "good"  # noqa: PLR2004 - nearly
    unknown = f", {one.unknown:,} of unknown cost not in it" if one.unknown else ""
    kind = "refuses what goes beyond" if one.hard else "warns only"
    if isinstance(seen, str):
        future, basis = seen, ""
    else:
        future = (
            f"By then likely {_dollars(seen.likely)} (between {_dollars(seen.low)} and {_dollars(seen.high)})"
            + (f"; at this pace it is used up on {seen.spent_on:%-d %B}." if seen.spent_on else ".")
        )
        basis = seen.basis
    return (
        f'<div class="co-budget" data-tone="{tone}"><p><b>{say(whose)}, a {say(one.period)}</b>'
        f"<span>{say(kind)}; begins again {one.resets_at:%-d %B}, 00:00 UTC</span></p>"
        f'<p class="co-used"><b>{say(_dollars(used))}</b> of {say(_dollars(one.limit_usd))} ({share:.0%}): '
        f"{say(_dollars(one.spent))} spent, {say(_dollars(one.held))} held{say(unknown)}</p>"
        f'<div class="co-bar"><i style="width: {min(share, 1):.1%}"></i></div>'
        f"<p>{say(future)}</p><small>{say(basis)}</small></div>"
    )


def _burn_down(one: Standing, spent: Mapping[object, Decimal], seen: Forecast | str, now: datetime) -> None:
    """What is left of the month's limit, day by day, and where it goes at this pace."""
    first = _month(now).date()
    days = [first + timedelta(days=step) for step in range((now.date() - first).days + 1)]
    left, lefts = one.limit_usd, []
    for day in days:
        left -= spent.get(day, Decimal(0))
        lefts.append(float(left))
    accent, faint, warn = _colour("accent"), _colour("line-strong"), _colour("warn")
    lines = go.Figure()
    if isinstance(seen, Forecast):
        ends = (one.resets_at - timedelta(days=1)).date()
        low, likely, high = (float(one.limit_usd - amount) for amount in (seen.high, seen.likely, seen.low))
        lines.add_scatter(
            x=[days[-1], ends, ends, days[-1]], y=[lefts[-1], high, low, lefts[-1]], fill="toself",
            mode="lines", fillcolor=_colour("tint"), line={"width": 0}, name="Eight of ten", hoverinfo="skip",
        )  # fmt: skip
        lines.add_scatter(
            x=[days[-1], ends], y=[lefts[-1], likely], mode="lines", line={"dash": "dot", "color": accent},
            name="At this pace", hovertemplate="$%{y:,.2f}<extra>Likely left</extra>",
        )  # fmt: skip
    lines.add_scatter(
        x=days, y=lefts, mode="lines+markers", line={"color": accent, "width": 2.5}, marker={"size": 4},
        name="Left", hovertemplate="$%{y:,.2f}<extra>Left</extra>",
    )  # fmt: skip
    lines.add_hline(y=0, line_color=warn if lefts[-1] <= 0 else faint, line_width=1)
    _chart(lines, f"co_burn_{one.id}")


# -- small things -----------------------------------------------------------------------------------------------------


def _chart(figure: go.Figure, key: str, **layout: object) -> None:
    figure.update_layout(
        height=230,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        legend={"orientation": "h", "y": 1.14, "x": 0, "title": None},
        hovermode="x unified",
        bargap=0.25,
        **layout,
    )
    figure.update_yaxes(tickprefix="$", rangemode="tozero" if "barmode" in layout else "normal", title=None)
    figure.update_xaxes(title=None, tickformat="%-d %b", dtick=_DAY_MS if _is_short(figure) else None)
    st.plotly_chart(figure, key=key, config={"displayModeBar": False})


def _is_short(figure: go.Figure) -> bool:
    """True where each day can have its own tick."""
    return max((len(trace.x) for trace in figure.data), default=0) <= 14  # noqa: PLR2004 - days


def _colour(name: str) -> str:
    """A token's colour in the theme the person looks at."""
    light, dark = look.tokens()[f"--ps-{name}"]
    return dark if st.context.theme.type == "dark" else light


def _of(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _dollars(amount: Decimal, *, fine: bool = False) -> str:
    """Cents for sums; four digits for the cost of one and for what cents would call nothing."""
    small = fine and amount < 1
    return f"${amount:,.4f}" if small or 0 < abs(amount) < _TINY else f"${amount:,.2f}"


def _signed(amount: Decimal) -> str:
    sign = "+" if amount > 0 else "−" if amount < 0 else "±"
    return f"{sign}{_dollars(abs(amount))}"


def _number(amount: Decimal | None) -> float | None:
    return None if amount is None else float(amount)
