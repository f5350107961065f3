"""The pool, who speaks through it, and the one seam where the database's errors become ours.

Functions of the modules beside this one take a connection first and never commit: a transaction is one
`with db.as_…()` block. No psycopg exception leaves such a block.
"""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections.abc import Callable, Generator, Mapping
from contextvars import ContextVar
from typing import Any, TypeAlias, TypeVar, cast

import psycopg
import structlog
from psycopg import errors as pg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from core.errors import (
    BadRequest,
    BudgetSpent,
    Conflict,
    DatabaseUnavailable,
    NoModel,
    NotAllowed,
    NotFound,
    NotSignedIn,
    PolicyRefused,
    QueryTimedOut,
    SetupFailed,
    StudioError,
    TooMany,
)
from core.values import Person

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

T = TypeVar("T")

OLDEST_POSTGRES = 15
READER_SECONDS = 5  # how long one question of the dashboard may take (DESIGN "Database access")

_WAIT = 10.0  # seconds for a free connection, or for the server to come back
_FROZEN = "60s"  # a process that was stopped inside a transaction keeps its rows from others for that long
_LOCK_WAIT = (
    "250ms"  # for one row, where a transaction that takes several is repeated; a quarter of deadlock_timeout
)
_PATIENCE = 10.0  # seconds until such a transaction is given up
_TURNS = (0.0, 0.01, 0.05)  # seconds a pooler is given to take a session back, look by look
_LINK: Mapping[str, int] = {  # what an address does not say itself
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # milliseconds
}

_lets_go: ContextVar[bool] = ContextVar("lets_go", default=False)  # inside `repeat_on_deadlock`
_log = structlog.stdlib.get_logger(__name__)


class Database:
    """Postgres as the use cases see it. Every method may be called from any thread."""

    def __init__(self, dsn: str, settings: Mapping[str, str], pool: ConnectionPool[Connection]) -> None:
        self._dsn = dsn
        self._settings = settings
        self._pool = pool

    def __repr__(self) -> str:
        return "Database()"  # the address may hold a password

    @classmethod
    def open(
        cls, dsn: str, *, max_size: int = 16, share_with_team: bool, was_looked_at: bool = False
    ) -> Database:
        """Reach the server at `dsn`, look whether it will do, and open a pool of at most `max_size`.

        `share_with_team` is TEAM_SHARING (SPEC "Data"). `was_looked_at`: `migrate` has just looked whether the server
        will do, and it is not looked at twice. Raises DatabaseUnavailable where nothing answers;
        SetupFailed where the address is wrong, the sign-in is refused, the server is older than Postgres 15,
        or a transaction-mode pooler stands in between.
        """
        settings = session_settings(share_with_team=share_with_team)
        if not was_looked_at:
            refuse_unfit(dsn)
        pool = ConnectionPool(
            _address(dsn),
            connection_class=psycopg.Connection[tuple[Any, ...]],
            kwargs={"autocommit": True},
            configure=lambda conn: _settle(conn, settings),
            check=ConnectionPool.check_connection,  # a restarted server costs nobody an error
            min_size=1,
            max_size=max_size,
            timeout=_WAIT,
            reconnect_timeout=_WAIT,  # keeps the pauses between two attempts below four seconds
            name="studio",
            open=True,
        )
        return cls(dsn, settings, pool)

    @property
    def dsn(self) -> str:
        """The address it was opened with; may hold a password."""
        return self._dsn

    @contextlib.contextmanager
    def as_service(self) -> Generator[Connection]:
        """One transaction with the studio's own rights: workers, and the audit's repairs."""
        with self._transaction() as conn:
            yield conn

    @contextlib.contextmanager
    def as_user(self, person: Person) -> Generator[Connection]:
        """One transaction with the rights of `person`: role `authenticated` and their claims, so that the
        row-level policies decide. Both end with the transaction.
        """
        with self._transaction() as conn:
            conn.execute(
                """
                SELECT set_config('role', 'authenticated', true),
                       set_config('request.jwt.claims', %s, true)
                """,
                [_claims(person)],
            )
            yield conn

    @contextlib.contextmanager
    def as_reader(self, person: Person) -> Generator[Connection]:
        """As `as_user`, but nothing can be written, and a question is stopped after 5 s (QueryTimedOut)."""
        with self.as_user(person) as conn:
            conn.execute(
                """
                SELECT set_config('transaction_read_only', 'on', true),
                       set_config('statement_timeout', %s, true)
                """,
                [f"{READER_SECONDS}s"],
            )
            yield conn

    def connect(self) -> Connection:
        """A connection of its own, outside the pool, in autocommit: for LISTEN. The caller closes it.

        Raises DatabaseUnavailable.
        """
        return connect(self._dsn, self._settings)

    def close(self) -> None:
        """Close the pool; those still inside a transaction finish it."""
        self._pool.close()

    @contextlib.contextmanager
    def _transaction(self) -> Generator[Connection]:
        # `transaction()` also forbids commit() inside: it would end the person's role half-way.
        with as_ours(), self._pool.connection() as conn, conn.transaction():
            if _lets_go.get():
                conn.execute("SELECT set_config('lock_timeout', %s, true)", [_LOCK_WAIT])
            yield conn


def session_settings(*, share_with_team: bool) -> dict[str, str]:
    """What every connection of ours carries: our triggers and policies read the two `studio.…` settings.

    For drivers other than psycopg too (the worker's asyncpg pool). They are set after connecting, not in
    the start-up packet, which session-mode poolers refuse or drop.
    """
    return {
        "studio.writer": "studio",
        "studio.team_sharing": "on" if share_with_team else "off",
        "TimeZone": "UTC",
        "idle_in_transaction_session_timeout": _FROZEN,
        "application_name": "portrait-studio",
    }


def connect(dsn: str, settings: Mapping[str, str]) -> Connection:
    """One connection in autocommit with `settings`. Raises DatabaseUnavailable; SetupFailed (see `open`)."""
    try:
        conn = psycopg.Connection.connect(_address(dsn), autocommit=True)
    except psycopg.ProgrammingError as exc:
        raise SetupFailed(
            "DATABASE_URL is not a Postgres address. It looks like postgresql://user@host/name."
        ) from (_hushed(exc))
    except psycopg.OperationalError as exc:
        raise _unreachable(exc) from exc
    try:
        with as_ours():
            _settle(conn, settings)
    except BaseException:
        conn.close()
        raise
    return conn


def _address(dsn: str) -> str:
    return make_conninfo("", **{**_LINK, **conninfo_to_dict(dsn)})


def refuse_unfit(dsn: str) -> None:
    """Raise SetupFailed where the server is too old or reached through a transaction-mode pooler."""
    with as_ours(), connect(dsn, {}) as first, connect(dsn, {}) as second:
        refuse_old(first.info.server_version)
        if _takes_turns(first, second):
            raise SetupFailed(
                "DATABASE_URL leads to a transaction-mode pooler, which loses notifications and settings. "
                "Use the direct address or the session-mode one (Supabase: port 5432, not 6543)."
            )


def refuse_old(server_version: int) -> None:
    """Raise SetupFailed for a `server_version` (as libpq counts: 140011) below Postgres 15."""
    if server_version < OLDEST_POSTGRES * 10_000:
        raise SetupFailed(
            f"The database is Postgres {server_version // 10_000}, and the studio needs {OLDEST_POSTGRES} or "
            "newer. Upgrade the server, or leave DATABASE_URL empty for the embedded one."
        )


def _takes_turns(first: Connection, second: Connection) -> bool:
    """True where a pooler hands the same server session to several clients.

    While `second` holds a transaction, a pooler either gave it the session that `first` just used, or must
    give `first` another one now; a direct connection keeps its own. A pooler may take a session back a
    moment after its client has the answer, and both sides then seem to keep theirs: looked at three times.
    """
    for pause in _TURNS:
        own = _session_of(first)
        time.sleep(pause)
        with second.transaction():
            if _session_of(second) == own or _session_of(first) != own:
                return True
    return False


def _session_of(conn: Connection) -> int:
    row = conn.execute("SELECT pg_backend_pid()").fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    return int(row[0])


def _settle(conn: Connection, settings: Mapping[str, str]) -> None:
    for name, value in settings.items():
        conn.execute("SELECT set_config(%s, %s, false)", [name, value])


def _claims(person: Person) -> str:
    """The part of a Supabase token that policies read."""
    roles = sorted(person.roles)
    return json.dumps({"sub": str(person.id), "role": "authenticated", "app_metadata": {"roles": roles}})


def repeat_on_deadlock(work: Callable[[], T], *, attempts: int = 5) -> T:
    """Run `work`, a whole transaction, again where it lost against another one (40P01, 40001), or where a row was
    another's for a quarter of a second (55P03).

    What is run here locks several rows, some of which the platform locks too, in its own order. So it never waits as
    long as Postgres takes to look for a deadlock (a second): it lets go of everything and comes again, and no statement
    of the platform is ever the one that is ended. Raises Conflict when the last attempt lost too, or a row was
    another's for 10 s; every other error at once.
    """
    asked_at = time.monotonic()
    losses = 0
    token = _lets_go.set(True)
    try:
        while True:
            try:
                with as_ours():
                    return work()
            except Conflict as error:
                cause = error.__cause__
                if isinstance(cause, (pg.DeadlockDetected, pg.SerializationFailure)):
                    losses += 1
                elif not isinstance(cause, pg.LockNotAvailable):
                    raise
                if losses >= attempts or time.monotonic() - asked_at > _PATIENCE:
                    raise
                _log.info("transaction_repeated", sqlstate=cause.sqlstate, losses=losses)
            time.sleep(random.uniform(0.5, 1.5) * 0.02 * 2 ** min(losses, 4))  # noqa: S311 - keeps two losers apart
    finally:
        _lets_go.reset(token)


def said_in(stored: object) -> dict[str, Any]:
    """A row's JSON where it is an object, else one that says nothing: other writers store lists, texts and null."""
    return cast("dict[str, Any]", stored) if isinstance(stored, dict) else {}


@contextlib.contextmanager
def as_ours() -> Generator[None]:
    """Turn psycopg's errors into ours. Their text may hold what people wrote and becomes no sentence.

    Our own functions raise `PS…` states: the message is the sentence, DETAIL the code, HINT the field.
    """
    try:
        yield
    except (PoolTimeout, PoolClosed) as exc:
        raise DatabaseUnavailable(
            "The database does not answer, or too many wait for it. Nothing was changed; try again soon."
        ) from exc
    except psycopg.Error as exc:
        raise translated(exc) from _hushed(exc)


def translated(exc: psycopg.Error) -> StudioError:
    """The error of ours that `exc` stands for; to be raised `from exc`."""
    state = exc.sqlstate or ""
    if state.startswith("PS"):
        return _spoken(exc, state)
    for kinds, build in _MEANINGS:
        if isinstance(exc, kinds):
            return build()
    return StudioError(
        f"The database refused a statement of the studio ({state or 'no state'}). Nothing was changed. "
        "This is a fault of the studio: tell an admin."
    )


def _spoken(exc: psycopg.Error, state: str) -> StudioError:
    """An error that one of our own functions raised, in its own words."""
    sentence = exc.diag.message_primary or "The database refused this."
    code, field = exc.diag.message_detail, exc.diag.message_hint
    if state == "PS400":
        return BadRequest(sentence, field=field, code=code)
    if state == "PS422":
        return PolicyRefused(sentence, field=field or "", code=code)
    return _SPOKEN.get(state, StudioError)(sentence, code=code)


_SPOKEN: Mapping[str, type[StudioError]] = {
    "PS401": NotSignedIn,
    "PS402": BudgetSpent,
    "PS403": NotAllowed,
    "PS404": NotFound,
    "PS409": Conflict,
    "PS429": TooMany,
    "PS503": NoModel,
}

# The first that fits counts: psycopg files cancelled and deadlocked queries under OperationalError too.
_MEANINGS: tuple[tuple[tuple[type[psycopg.Error], ...], Callable[[], StudioError]], ...] = (
    (
        (pg.QueryCanceled,),
        lambda: QueryTimedOut(
            "This question took the database too long and was stopped. Ask for less of it."
        ),
    ),
    (
        (pg.DeadlockDetected, pg.SerializationFailure, pg.LockNotAvailable),
        lambda: Conflict(
            "Somebody else is changing the same rows. Nothing was changed; try again.", code="COLLISION"
        ),
    ),
    (
        (pg.InsufficientPrivilege,),
        lambda: NotAllowed("You may not do this, or not with this row. Ask an admin for the right."),
    ),
    (
        (pg.UniqueViolation, pg.ExclusionViolation),
        lambda: Conflict("This is there already: somebody else was faster. Reload and look."),
    ),
    (
        (pg.IntegrityError, pg.DataError),
        lambda: BadRequest(
            "The database takes no such value. Nothing was changed; correct it and try again."
        ),
    ),
    (
        (pg.ReadOnlySqlTransaction,),
        lambda: NotAllowed("The dashboard only reads here; nothing was changed."),
    ),
    (
        (pg.UndefinedTable, pg.UndefinedColumn, pg.UndefinedFunction, pg.InvalidSchemaName),
        lambda: SetupFailed(
            "The database lacks a part that this version needs. Run `python -m core migrate`.", code="SCHEMA"
        ),
    ),
    (
        (pg.DiskFull,),
        lambda: DatabaseUnavailable(
            "The database's disk is full. Nothing was changed; an admin must free space."
        ),
    ),
    (
        (psycopg.OperationalError, psycopg.InterfaceError),
        lambda: DatabaseUnavailable(
            "The database does not answer. Nothing was changed; try again in a moment."
        ),
    ),
)


def _hushed(exc: psycopg.Error) -> psycopg.Error:
    """`exc` without its text: tracebacks are logged, and that text holds values of rows."""
    constraint = f", {exc.diag.constraint_name}" if exc.diag.constraint_name else ""
    exc.args = (f"[{exc.sqlstate or 'no state'}{constraint}]",)
    return exc


def _unreachable(exc: psycopg.OperationalError) -> StudioError:
    said = str(exc)
    exc.args = ("[while connecting]",)  # names the host, and on some errors the address with its password
    if any(words in said for words in ("starting up", "shutting down", "recovery mode", "too many")):
        return DatabaseUnavailable("The database is just starting, stopping or full. Try again in a moment.")
    if "FATAL" in said:
        return SetupFailed(
            "The database answers, and refuses the sign-in. Check user, password and name in DATABASE_URL."
        )
    return DatabaseUnavailable(
        "The database does not answer. Check that it runs and that DATABASE_URL names its host and port."
    )
