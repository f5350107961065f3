"""What is removed by its age, once a day, by any worker (SPEC "Data", "Files"; decision 0043). Each kind is looked at again
before it goes, and each run is recorded.

| kind | what goes | after, where no admin set another number |
|---|---|---|
| bin | portraits and library items that a person removed, and their objects where no other row names them | 7 days (SPEC) |
| objects | objects whose last row went and that the store did not give up then | at once |
| history | results of older checks, older runs of this upkeep, workers that left | KEEP_HISTORY_DAYS |
| messages | messages about health | 90 days |
| queue_log | the queue's own log | 7 days |

The workspace is `core.cleaning`, which asks here for its days; sessions are `core.sessions`. The ledger and the record of
events never go. Days that an admin set (`core.admin.keeping`) are read by each run, so they count without a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from uuid import UUID

from core import log
from core.authority import Action, permit
from core.db import Connection, portraits, repeat_on_deadlock, retention, stock
from core.db.retention import RunRow, Tombstone
from core.errors import NotAllowed, StorageFailed, StudioError
from core.services import Services
from core.settings import Settings
from core.storage import LIBRARY, Address, checked
from core.stored_links import StoredLink, read
from core.values import Person

MOST = 5_000  # rows of one kind in one run; the next one goes on
_MOST_TROUBLE = 20  # objects that the store does not give up until it counts as down

_log = log.get(__name__)


class Kind(StrEnum):
    """What is kept for a time."""

    bin = "bin"
    workspace = "workspace"  # which `core.cleaning` keeps small
    objects = "objects"
    history = "history"
    messages = "messages"
    queue_log = "queue_log"


@dataclass(kw_only=True)
class Tally:
    """What a run did. `kept`: old enough, and needed by another row or held by the store."""

    looked_at: int = 0
    gone: int = 0
    kept: int = 0
    trouble: str | None = None


def keep(services: Services) -> Mapping[Kind, Tally]:
    """Remove what is past its time, kind by kind; one that fails stops no other. Safe to end anywhere and to run twice."""
    done: dict[Kind, Tally] = {}
    for kind, work in _KINDS.items():
        if services.stopping.is_set():
            break
        tally = done[kind] = Tally()
        with services.db.as_service() as conn:
            run = retention.begin(conn, kind)
        try:
            work(services, tally)
        except StudioError as error:
            tally.trouble = error.sentence
            _log.warning("retention_put_off", kind=kind, code=error.reason)
        with services.db.as_service() as conn:
            retention.end(
                conn, run, looked_at=tally.looked_at, gone=tally.gone, kept=tally.kept, trouble=tally.trouble
            )
    _log.info("retention_kept", **{kind: tally.gone for kind, tally in done.items()})
    return done


def own_days(kind: Kind, settings: Settings) -> int:
    """For how many days a kind is kept where no admin said otherwise: its setting, or the product's own number."""
    return settings.keep_history_days if kind is Kind.history else _OWN_DAYS[kind]


def kept_for(kind: Kind, services: Services) -> timedelta:
    """For how long a kind is kept now. Raises DatabaseUnavailable."""
    with services.db.as_service() as conn:
        stored = retention.stored_days(conn, kind)
    return timedelta(days=own_days(kind, services.settings) if stored is None else stored)


def last_runs(person: Person, services: Services) -> list[RunRow]:
    """The last run of each kind, for the admin page. Raises NotAllowed."""
    permit(person, Action.set_retention)
    with services.db.as_service() as conn:
        return retention.last_runs(conn)


# -- the bin -----------------------------------------------------------------------------------------------------------


def _bin(services: Services, tally: Tally) -> None:
    """Rows first, with a note of the objects that nobody names any more; the objects are the next kind's."""
    kept = kept_for(Kind.bin, services)
    for past, take in (
        (retention.portraits_past_bin, retention.take_portrait),
        (retention.items_past_bin, retention.take_item),
    ):
        with services.db.as_service() as conn:
            ids = past(conn, kept=kept, limit=MOST)
        for one in ids:
            if services.stopping.is_set():
                return
            tally.looked_at += 1
            if repeat_on_deadlock(lambda one=one, take=take: _erase(one, take, kept, services)):
                tally.gone += 1
            else:
                tally.kept += 1


def _erase(one: UUID, take: Callable[..., Tombstone | None], kept: timedelta, services: Services) -> bool:
    with services.db.as_service() as conn:
        gone = take(conn, one, kept=kept)
        if gone is None:
            return False
        hosts = stock.own_hosts(conn)
        named = [address for value in gone.names if (address := _own(value, hosts)) is not None]
        retention.let_go(conn, [address for address in named if _is_free(conn, address)])
        return True


def _own(value: str, hosts: tuple[str, ...]) -> Address | None:
    """The object of the library that a column names; None for what is not there, or not ours."""
    said = read(value, default_bucket=LIBRARY, own_hosts=hosts, made_at=datetime.now(UTC))
    address = said.address if isinstance(said, StoredLink) else said
    if address is None or address.bucket != LIBRARY:
        return None
    with suppress(NotAllowed):
        return checked(*address)
    return None


def _is_free(conn: Connection, address: Address) -> bool:
    """True where no row names an object, tombstones included; a thumbnail follows its picture."""
    if stock.is_named(conn, address):
        return False
    stem, _, ending = address.path.partition(".thumb.")
    return not ending or not any(
        stock.is_named(conn, Address(address.bucket, f"{stem}.{kind}"))
        for kind in ("png", "jpg", "jpeg", "webp", "avif")
    )


def _objects(services: Services, tally: Tally) -> None:
    """Objects whose last row went; one that a row names again stays."""
    with services.db.as_service() as conn:
        going = retention.going(conn, limit=2 * MOST)
    for one in going:
        if services.stopping.is_set():
            return
        tally.looked_at += 1
        with services.db.as_service() as conn:
            free = _is_free(conn, one)
        if free:
            try:
                services.storage.delete(*one)
            except StorageFailed:
                tally.kept += 1
                if tally.kept >= _MOST_TROUBLE:
                    raise
                continue
        tally.gone += free
        tally.kept += not free
        with services.db.as_service() as conn:
            retention.forget(conn, one)


# -- the rest ----------------------------------------------------------------------------------------------------------


def _forgotten(kind: Kind) -> Callable[[Services, Tally], None]:
    """Rows that nothing else hangs on go by their age alone."""

    def forget(services: Services, tally: Tally) -> None:
        kept = kept_for(kind, services)
        with services.db.as_service() as conn:
            tally.gone = retention.forget_past(conn, kind, kept=kept)
        tally.looked_at = tally.gone

    return forget


_OWN_DAYS: Mapping[Kind, int] = MappingProxyType(
    {Kind.bin: portraits.BIN_DAYS, Kind.workspace: 7, Kind.messages: 90, Kind.queue_log: 7}
)
_KINDS: Mapping[Kind, Callable[[Services, Tally], None]] = MappingProxyType(
    {
        Kind.bin: _bin,
        Kind.objects: _objects,
        **{kind: _forgotten(kind) for kind in (Kind.history, Kind.messages, Kind.queue_log)},
    }
)
