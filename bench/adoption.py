"""Adoption of a platform's database of years, while the platform goes on writing: time, locks, waits, memory.

The product's own command in a process of its own, by a login that owns the tables and is no superuser. 200,000
characters with 400,000 portraits and about 1,000,000 jobs, or fewer: `python -m bench adoption=10000`.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from bench.figures import Figure
from bench.world import ROOT, environment, home
from core.db.embedded import EmbeddedPostgres
from tests.database.test_old_writes import WRITES
from tests.platform import rows
from tests.platform.flows import Platform, Report

CHARACTERS = 200_000
JOBS_EACH = 5.5  # a tenth of them goes with the platform's own clean-up
THREADS = 3
PAUSE = 0.1  # seconds at most between two flows of a thread
BASELINE = 20.0  # seconds the platform writes alone, to know its own slowest statement
EVERY = 0.02  # seconds between two looks at the locks
SLOWLY = 0.5  # seconds between two looks at memory and deadlocks
MEGABYTE = 1_000_000
LOGIN = "owner_of_the_platform"
LONGEST_WAIT = 2.0  # seconds: the bound


def measure(characters: int = CHARACTERS) -> list[Figure]:
    """What an adoption takes and what it costs those who write meanwhile."""
    with home() as folder, _server(folder) as server:
        _make_login(server)
        empty = _adopt(_new_database(server, "empty"), folder)
        dsn = _new_database(server, "messy")
        planted = _fill(dsn, characters)
        messy, alone, beside, locks = _adopt_beside_the_platform(server, dsn, folder)
    _tell(messy, locks)
    return _figures(planted, empty, messy, alone, beside, locks)


# ---- the world


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[str]:
    server = EmbeddedPostgres.start(folder / "server")
    try:
        yield server.dsn
    finally:
        server.stop()


def _make_login(server: str) -> None:
    """Roles as a Supabase project has them, and a login that is no superuser."""
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute(rows.STAND_INS.read_text())
        conn.execute("ALTER ROLE service_role BYPASSRLS")
        conn.execute(f"CREATE ROLE {LOGIN} LOGIN IN ROLE anon, authenticated, service_role")


def _new_database(server: str, name: str) -> str:
    """The platform's tables, empty; the address of their owner."""
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} OWNER {LOGIN}")
    split = urlsplit(server)
    owner = split._replace(netloc=f"{LOGIN}@{split.netloc.rpartition('@')[2]}", path=f"/{name}").geturl()
    rows.build(owner)
    return owner


def _fill(dsn: str, characters: int) -> rows.Planted:
    planted = rows.fill(
        dsn, characters=characters, portraits=2 * characters, jobs=round(JOBS_EACH * characters)
    )
    with psycopg.connect(dsn, autocommit=True) as conn:
        for statement in WRITES:
            if (
                statement.title == "clean-up by hand"
            ):  # of all these years at once; later it finds a day's worth
                conn.execute(statement.sql)
        conn.execute("VACUUM ANALYZE")
    return planted


# ---- the run


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of the command: seconds in all, its sentences with their moments and seconds, and its largest memory."""

    seconds: float
    steps: list[tuple[float, float, str]]
    memory: float

    @property
    def checking(self) -> float:
        """Seconds of the check of every row."""
        said = [step for _, _, step in self.steps]
        first = next(place for place, step in enumerate(said) if step.startswith("Checking every row"))
        last = next(place for place, step in enumerate(said) if step.endswith("migrations applied."))
        return sum(seconds for _, seconds, _ in self.steps[first:last])

    def at(self, moment: float) -> str:
        """What it was doing then."""
        return next((step for began, _, step in reversed(self.steps) if began <= moment), "")


def _adopt(dsn: str, folder: Path) -> Run:
    """`python -m core migrate`. Raises RuntimeError where it fails."""
    began = time.monotonic()
    steps: list[tuple[float, float, str]] = []
    told = (began, "starting")
    running = subprocess.Popen(
        [sys.executable, "-u", "-m", "core", "migrate"],
        cwd=ROOT,
        env=environment(folder / "home", database_url=dsn, columns=400),
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in running.stdout:
        now = time.monotonic()
        steps.append((told[0], now - told[0], told[1]))
        told = (now, line.strip())
    _, status, used = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(status)
    steps.append((told[0], time.monotonic() - told[0], told[1]))
    if running.returncode:
        raise RuntimeError(f"The migration failed after: {told[1]}")
    return Run(seconds=time.monotonic() - began, steps=steps, memory=used.ru_maxrss * 1024 / MEGABYTE)


def _adopt_beside_the_platform(server: str, dsn: str, folder: Path) -> tuple[Run, Report, Report, Locks]:
    """The platform alone for a while, then beside the adoption."""
    superuser = urlsplit(server)._replace(path=urlsplit(dsn).path).geturl()
    platform = Platform(superuser, pause=PAUSE)
    with _writing(platform) as alone:
        time.sleep(BASELINE)
    locks = Locks()
    with _watching(superuser, locks), _writing(platform) as beside:
        run = _adopt(dsn, folder)
    return run, alone, beside, locks


@contextlib.contextmanager
def _writing(platform: Platform) -> Iterator[Report]:
    """The platform writes while the block runs; its report is whole afterwards."""
    report, over = Report(), threading.Event()
    thread = threading.Thread(target=lambda: report.add(platform.run(over, threads=THREADS)))
    thread.start()
    try:
        yield report
    finally:
        over.set()
        thread.join()


# ---- what is watched

_LOCKS = """
    SELECT c.relname, l.mode, l.granted, a.application_name = 'portrait-studio' AS ours,
           coalesce(extract(epoch FROM clock_timestamp() - l.waitstart), 0)::float8 AS waited
    FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'relation' AND c.relname = ANY (%s)
      AND (NOT l.granted OR l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'))
"""


@dataclass
class Locks:
    """Seconds for each table: how long one of our locks that others' statements wait for was held at a stretch, and how
    long somebody of the platform waited for a table. `longest` is when the longest of the first kind ended, `gap` the longest
    time between two looks, `memory` the server's largest, in megabytes, `deadlocks` when the server ended one.
    """

    held: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    waited: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    longest: float = 0.0
    gap: float = 0.0
    memory: float = 0.0
    deadlocks: list[float] = field(default_factory=list)
    since: dict[tuple[str, str], float] = field(default_factory=dict)

    def note(self, now: float, seen: list[tuple[str, str, bool, bool, float]]) -> None:
        held = {(table, mode) for table, mode, granted, ours, _ in seen if granted and ours}
        self.since = {key: self.since.get(key, now) for key in held}
        for (table, _), began in self.since.items():
            if now - began >= max(self.held.values(), default=0.0):
                self.longest = now
            self.held[table] = max(self.held[table], now - began)
        for table, _, granted, ours, waited in seen:
            if not granted and not ours:
                self.waited[table] = max(self.waited[table], waited)


@contextlib.contextmanager
def _watching(dsn: str, locks: Locks) -> Iterator[None]:
    over = threading.Event()
    threads = [
        threading.Thread(target=watch, args=(dsn, locks, over))
        for watch in (_watch_locks, _watch_memory, _watch_deadlocks)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _watch_locks(dsn: str, locks: Locks, over: threading.Event) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        before = time.monotonic()
        while not over.wait(EVERY):
            seen = conn.execute(_LOCKS, [list(rows.COLUMNS)]).fetchall()
            now = time.monotonic()
            locks.gap = max(locks.gap, now - before)
            locks.note(now, seen)
            before = now


def _watch_memory(dsn: str, locks: Locks, over: threading.Event) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        postmaster = _parent(conn.info.backend_pid)
        while not over.wait(SLOWLY):
            pids = [process.name for process in Path("/proc").iterdir() if process.name.isdigit()]
            locks.memory = max(
                locks.memory, sum(_memory(pid) for pid in pids if _parent(pid) == postmaster) / MEGABYTE
            )


def _watch_deadlocks(dsn: str, locks: Locks, over: threading.Event) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        before = _deadlocks(conn)
        while not over.wait(SLOWLY):
            now = _deadlocks(conn)
            locks.deadlocks += [time.monotonic()] * (now - before)
            before = now


def _deadlocks(conn: psycopg.Connection) -> int:
    return conn.execute(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    ).fetchone()[0]


def _parent(pid: int | str) -> int | None:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return None


def _memory(pid: str) -> int:
    """Bytes, what processes share counted once in all."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


# ---- what is told


def _tell(run: Run, locks: Locks) -> None:
    """The longest steps, every table and every deadlock, for whoever looks closer."""
    for _, seconds, step in sorted(run.steps, key=lambda step: -step[1])[:25]:
        print(f"{seconds:8.2f} s  {step}", file=sys.stderr)
    for table in rows.COLUMNS:
        held, waited = locks.held[table], locks.waited[table]
        print(f"{table:20} held {held:6.2f} s, waited for {waited:6.2f} s", file=sys.stderr)
    print(f"the longest was held by: {run.at(locks.longest)}", file=sys.stderr)
    for moment in locks.deadlocks:
        print(f"a deadlock at about: {run.at(moment)}", file=sys.stderr)


def _figures(
    planted: rows.Planted, empty: Run, messy: Run, alone: Report, beside: Report, locks: Locks
) -> list[Figure]:
    size = ", ".join(
        f"{planted.tables[table]:,} {table}" for table in ("characters", "character_portraits", "jobs")
    )
    table, held = max(locks.held.items(), key=lambda item: item[1], default=("none", 0.0))
    return [
        Figure(
            what="adoption",
            measured=messy.seconds,
            unit="s",
            floor=empty.seconds,
            note=f"{size}; floor: the same on empty tables",
        ),
        Figure(
            what="of it, checking every row",
            measured=messy.checking,
            unit="s",
            note=f"{sum(planted.tables.values()):,} rows; nobody waits for it",
        ),
        Figure(
            what="lock held longest",
            measured=held,
            unit="s",
            budget=LONGEST_WAIT,
            note=f"{table}; looked at every {EVERY * 1000:.0f} ms, {locks.gap * 1000:.0f} ms at most in between",
        ),
        Figure(
            what="longest wait for a table",
            measured=max(locks.waited.values(), default=0.0),
            unit="s",
            budget=LONGEST_WAIT,
            note="of a statement of the platform, by pg_locks",
        ),
        Figure(
            what="the platform's slowest statement",
            measured=beside.slowest_seconds,
            unit="s",
            floor=alone.slowest_seconds,
            note=f"{beside.statements:,} statements; floor: without us; {beside.slowest_statement[:60]}",
        ),
        Figure(
            what="statements of the platform refused",
            measured=len(beside.failures),
            unit="",
            budget=len(alone.failures),
            note=str(sorted({(f.flow, f.sqlstate) for f in beside.failures}))[:100],
        ),
        Figure(what="our process's memory", measured=messy.memory, unit="MB", floor=empty.memory),
        Figure(what="the server's memory", measured=locks.memory, unit="MB", note="all its processes"),
    ]
