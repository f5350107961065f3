"""What can be done with many findings of the library at once: repair, put in the bin, leave as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from core import restock
from core.audit import library
from core.audit.library import Find
from core.authority import Action
from core.db import stock
from core.deeds import Deed, Options, Outcome, Tried, done
from core.restock import finding_of
from core.services import Services
from core.stock import Kind
from core.values import Person

_KEEPERS = (Action.repair_library,)
_GONE = "It was mended meanwhile."


def _check(ids: Sequence[str]) -> None:
    for one in ids:
        finding_of(one)


def _mend(one: str, person: Person, services: Services, options: Options) -> Outcome:
    return done(restock.mend(finding_of(one), person, services, why=options["why"]))


def _bin(one: str, person: Person, services: Services, options: Options) -> Outcome:
    return done(restock.put_in_bin(finding_of(one), person, services, why=options["why"]))


def _accept(one: str, person: Person, services: Services, options: Options) -> Outcome:
    return done(restock.accept(finding_of(one), person, services, why=options["why"]))


def _found_done(one: str, services: Services, tried: Tried) -> Outcome | None:
    with services.db.as_service() as conn:
        ended = stock.mended_by(conn, finding_of(one))
    if ended is not None and ended[0] in tried.who and ended[1] >= tried.since:
        return done("It was done before the dashboard ended.")
    return None


def _refusals(
    why_not: Callable[[Find], str],
) -> Callable[[Sequence[str], Person, Services, Options], Mapping[str, str]]:
    def preview(
        ids: Sequence[str], person: Person, services: Services, _options: Options
    ) -> Mapping[str, str]:
        with services.db.as_reader(person) as conn:
            there = {str(one.id): one for one in library.finds(conn, [finding_of(one) for one in ids])}
        said = {one: why_not(there[one]) if one in there else _GONE for one in ids}
        return {one: why for one, why in said.items() if why}

    return preview


def _why_not_binned(find: Find) -> str:
    return "" if restock.can_be_binned(Kind(find.kind)) else "There is nothing here that could go to the bin."


REPAIR = Deed(
    kind="repair_library",
    title="Repair",
    allowed=_KEEPERS,
    check=_check,
    act=_mend,
    found_done=_found_done,
    preview=_refusals(restock.why_not_mended),
    noun="finding",
)
BIN = Deed(
    kind="bin_library",
    title="Put in the bin",
    allowed=_KEEPERS,
    check=_check,
    act=_bin,
    found_done=_found_done,
    preview=_refusals(_why_not_binned),
    noun="picture",
)
ACCEPT = Deed(
    kind="accept_library",
    title="Leave as it is",
    allowed=_KEEPERS,
    check=_check,
    act=_accept,
    found_done=_found_done,
    noun="finding",
)
