"""What changed, to every open page: one thread listens on Postgres and hands each change to the subscriptions of
those who may see it. Pages read their rows again; a change carries ids only.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from core import log
from core.authority import Action, may
from core.db import Connection
from core.db.listening import Stop, notifications
from core.errors import StudioError
from core.values import JobId, Person

CHANNEL = "studio_events"
CALLBACKS = "callbacks"
_QUEUE = 500  # changes one slow page may be behind before it is told to read everything again

_log = log.get(__name__)


@dataclass(frozen=True, kw_only=True)
class Change:
    """One row changed; `table` is `resync` where changes may have been missed."""

    table: str
    op: str = ""
    id: str = ""
    character_id: str | None = None
    job_id: str | None = None
    owner: str | None = None
    status: str | None = None
    stage: str | None = None
    page: str | None = None  # of presence: which open page, whose, and their name
    who: str | None = None
    name: str | None = None
    others: Sequence[str] | None = None  # ids of everybody else who may see the row


RESYNC = Change(table="resync")


class Subscription:
    """The changes one page may see, in the event loop that made it."""

    def __init__(self, person: Person, *, shares: bool) -> None:
        self._person = person
        self._sees_all = may(person, Action.see_everybodys) or (shares and may(person, Action.use_studio))
        self._loop = asyncio.get_running_loop()
        self._changes: asyncio.Queue[Change] = asyncio.Queue(_QUEUE)

    def may_see(self, change: Change) -> bool:
        """True where the row is this person's or shared with them, or this person sees everybody's."""
        return self._sees_all or change is RESYNC or self._is_among(change)

    def _is_among(self, change: Change) -> bool:
        me = str(self._person.id)
        return change.owner == me or (may(self._person, Action.use_studio) and me in (change.others or ()))

    def offer(self, change: Change) -> None:
        """Hand over a change from any thread."""
        if self.may_see(change):
            with contextlib.suppress(RuntimeError):  # the loop is closing: the page is gone anyway
                self._loop.call_soon_threadsafe(self._put, change)

    async def next(self, timeout: float) -> Change | None:  # noqa: ASYNC109 — a page pings in between
        """The next change, None after `timeout` seconds without one."""
        try:
            return await asyncio.wait_for(self._changes.get(), timeout)
        except TimeoutError:
            return None

    def _put(self, change: Change) -> None:
        if self._changes.full():
            while not self._changes.empty():
                self._changes.get_nowait()
            change = RESYNC
        self._changes.put_nowait(change)


class Events:
    """The listener and its subscriptions. `connect` gives a connection of its own (core.db.Database.connect)."""

    def __init__(self, connect: Callable[[], Connection], *, shares: bool) -> None:
        self._connect = connect
        self._shares = shares
        self._subscriptions: set[Subscription] = set()
        self._runs: set[tuple[str, threading.Event]] = set()
        self._guard = threading.Lock()
        self._stop = Stop()
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def close(self) -> None:
        """Stop listening; waits at most two seconds."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(2)
        if not self._thread.is_alive():
            self._stop.close()

    @contextlib.contextmanager
    def subscribe(self, person: Person) -> Generator[Subscription]:
        """The changes `person` may see, from now on; to be used inside an event loop."""
        subscription = Subscription(person, shares=self._shares)
        with self._guard:
            self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            with self._guard:
                self._subscriptions.discard(subscription)

    @property
    def subscribers(self) -> int:
        """Open pages and waiting calls of this process."""
        with self._guard:
            return len(self._subscriptions)

    @contextlib.contextmanager
    def called_back(self, job_id: JobId) -> Generator[threading.Event]:
        """An event that is set whenever a webhook of this job was taken in, by whatever process; cleared by the caller.

        Also set where one may have been missed: whoever waits asks the provider anyway.
        """
        run = (str(job_id), threading.Event())
        with self._guard:
            self._runs.add(run)
        try:
            yield run[1]
        finally:
            with self._guard:
                self._runs.discard(run)

    def _run(self) -> None:
        missed = False
        while not self._stop.is_set():
            try:
                for payload in notifications(self._connect, CHANNEL, self._stop):
                    if missed:
                        self._tell(RESYNC)
                        missed = False
                    if payload is not None:
                        self._tell(_change(payload))
            except StudioError as error:
                _log.warning("listening_lost", code=error.reason)
            missed = True
            self._stop.wait(0.5)

    def _tell(self, change: Change) -> None:
        with self._guard:
            subscriptions = tuple(self._subscriptions)
            runs = tuple(self._runs)
        for job_id, called in runs:
            if change is RESYNC or (change.table == CALLBACKS and change.job_id == job_id):
                called.set()
        if change.table == CALLBACKS:
            return  # pages hear of what it leads to
        for subscription in subscriptions:
            subscription.offer(change)


def _change(payload: str) -> Change:
    said = json.loads(payload)
    return Change(**{name: said.get(name) for name in Change.__dataclass_fields__})
