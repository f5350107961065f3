"""Bring a database to the schema this version needs: files of SQL, each once, each whole or not at all.

The record is ours (`studio.schema_migrations`): the platform keeps its own history of its own migrations,
which is not touched (SPEC "Data").
"""

from __future__ import annotations

import hashlib
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import errors as pg

from core.db import Connection, as_ours, connect, refuse_unfit, session_settings
from core.errors import SetupFailed

FOLDER = Path(__file__).parents[2] / "supabase" / "migrations"
ONLY_WITHOUT_SUPABASE = "-- only without supabase"

_NAME = re.compile(r"(?P<version>\d{14})_(?P<name>[a-z0-9_]+)\.sql")
_LOCK = 0x53_54_55_44_49_4F  # "STUDIO": one migrator at a time in this database
_LOCK_WAIT = "10min"
_GIVE_WAY_AFTER = "5s"
_ATTEMPTS = 8

# Roles belong to the cluster, so another database's migrator may be making the same ones; the platform's
# traffic may hold the tables; both pass.
_PASSING: tuple[type[psycopg.Error], ...] = (
    pg.UniqueViolation,
    pg.DuplicateObject,
    pg.InternalError_,  # XX000 "tuple concurrently updated"
    pg.DeadlockDetected,
    pg.SerializationFailure,
    pg.LockNotAvailable,
)

_RIGHTS: Sequence[tuple[str, str]] = (
    (r"create role", "CREATEROLE (an administrator runs: ALTER ROLE {role} CREATEROLE)"),
    (
        r"grant role|admin option|admin privilege",
        "ADMIN OPTION on the roles anon, authenticated, service_role",
    ),
    (r"for database", "CREATE on the database (an administrator runs: GRANT CREATE ON DATABASE … TO {role})"),
    (r"for schema (?P<what>\S+)", "USAGE and CREATE on schema {what}"),
    (r"owner of (?P<what>.+)", "ownership of {what}"),
    (r"extension", "the right to create extensions"),
)


@dataclass(frozen=True, kw_only=True)
class Migration:
    """One file; `sha256` is of its text with Unix line ends, so that a checkout on Windows is no change."""

    version: str
    name: str
    sql: bytes
    sha256: str

    @property
    def file(self) -> str:
        """Its file name."""
        return f"{self.version}_{self.name}.sql"

    @property
    def is_stand_in(self) -> bool:
        """True where it makes what a Supabase project brings by itself."""
        return self.sql.split(b"\n", 1)[0].strip().decode(errors="replace") == ONLY_WITHOUT_SUPABASE


def migrate(
    dsn: str,
    *,
    folder: Path = FOLDER,
    supabase_url: str | None = None,
    say: Callable[[str], None],
    after: Callable[[Connection], None] | None = None,
) -> list[str]:
    """Apply what is missing from `folder`, oldest first; the names of the files applied now.

    Safe twice, and from several processes at once: the others wait (up to 10 minutes). Every file is its own
    transaction. `say` hears one sentence per step. `supabase_url` makes the project's host one of our own
    (studio.settings `own_hosts`). `after` runs last, every time, in a transaction of its own under the same
    lock: for rows that a catalogue adds where they are missing. Raises SetupFailed (a file changed after it
    was applied, a file that fails, a missing right, by name), DatabaseUnavailable.
    """
    found = read_folder(folder)
    refuse_unfit(dsn)
    with as_ours(), connect(dsn, session_settings(share_with_team=False)) as conn:
        _take_turn(conn, say)
        _make_record(conn)
        applied = _missing(conn, found, say)
        for one in applied:
            _apply(conn, one, say)
        _reset_session(conn)
        _note_own_host(conn, supabase_url)
        if after is not None:
            with conn.transaction():
                after(conn)
    say(f"{len(applied)} migrations applied." if applied else "The database is up to date.")
    return [one.file for one in applied]


def refuse_unadopted(dsn: str) -> None:
    """Raise SetupFailed where the platform's tables stand and were never adopted: starting a program is not the
    moment to change somebody's database; `python -m core migrate` is.
    """
    with as_ours(), connect(dsn, session_settings(share_with_team=False)) as conn:
        if _there_is(conn, "public.characters") and not _there_is(conn, "studio.schema_migrations"):
            raise SetupFailed(
                "DATABASE_URL leads to a database of the platform that the studio has not adopted yet. "
                "Run `python -m core migrate` there first."
            )


def read_folder(folder: Path) -> list[Migration]:
    """The migrations of `folder`, oldest first. Raises SetupFailed: a wrong name, a version held twice."""
    try:
        files = sorted(folder.glob("*.sql"))
        found = [_read(path) for path in files]
    except OSError as exc:
        raise SetupFailed(f"The migrations in {folder} cannot be read. Install the studio anew.") from exc
    if not found:
        raise SetupFailed(f"There are no migrations in {folder}. Install the studio anew.")
    for older, newer in pairwise(found):
        if older.version == newer.version:
            raise SetupFailed(f"{older.file} and {newer.file} have the same version. Rename one of them.")
    return found


def _read(path: Path) -> Migration:
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise SetupFailed(f"{path.name} is no migration's name: 14 digits, _, and a-z, 0-9, _. Rename it.")
    sql = path.read_bytes().replace(b"\r\n", b"\n")
    return Migration(
        version=match["version"], name=match["name"], sql=sql, sha256=hashlib.sha256(sql).hexdigest()
    )


def _take_turn(conn: Connection, say: Callable[[str], None]) -> None:
    """Hold the lock of this database for as long as `conn` lives."""
    if conn.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK]).fetchone() == (True,):
        return
    say("Another process is migrating this database; waiting for it.")
    conn.execute("SELECT set_config('lock_timeout', %s, false)", [_LOCK_WAIT])
    try:
        conn.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
    except pg.LockNotAvailable as exc:
        raise SetupFailed(
            f"Another process has been migrating this database for {_LOCK_WAIT}. "
            "See what it does, then try again."
        ) from exc


def _make_record(conn: Connection) -> None:
    if _there_is(conn, "studio.schema_migrations"):
        return
    try:
        with conn.transaction():
            if conn.execute("SELECT to_regnamespace('studio')").fetchone() == (None,):
                conn.execute("CREATE SCHEMA studio")
            conn.execute(
                """
                CREATE TABLE studio.schema_migrations (
                    version text PRIMARY KEY,
                    name text NOT NULL,
                    sha256 text NOT NULL,
                    applied_at timestamptz NOT NULL DEFAULT now()
                )
                """
            )
            conn.execute("ALTER TABLE studio.schema_migrations ENABLE ROW LEVEL SECURITY")
    except pg.InsufficientPrivilege as exc:
        raise _lacking(exc, "The record of migrations", conn) from exc


def _missing(conn: Connection, found: Sequence[Migration], say: Callable[[str], None]) -> list[Migration]:
    """What is not applied yet and belongs here. Raises SetupFailed for a file that changed since."""
    rows = conn.execute(
        "SELECT version, sha256, name FROM studio.schema_migrations ORDER BY version"
    ).fetchall()
    applied: dict[str, str] = {version: sha256 for version, sha256, _ in rows}
    _refuse_changed(found, applied)
    known = {one.version for one in found}
    for version, _, name in rows:
        if version not in known:
            say(
                f"The database also has {version}_{name}.sql, which this version of the studio does not know."
            )
    missing = [one for one in found if one.version not in applied]
    if not any(one.is_stand_in for one in missing) or not _is_supabase(conn, found, applied):
        return missing
    return [one for one in missing if not one.is_stand_in]


def _refuse_changed(found: Sequence[Migration], applied: Mapping[str, str]) -> None:
    for one in found:
        if applied.get(one.version, one.sha256) != one.sha256:
            raise SetupFailed(
                f"{one.file} was changed after it had been applied to this database. Put the file back as it "
                "was, and write the change as a new migration."
            )


def _is_supabase(conn: Connection, found: Sequence[Migration], applied: Mapping[str, str]) -> bool:
    """True where a Supabase project stands: auth.users that is not our stand-in, and one of its roles.

    The table alone could be ours; the roles alone belong to the cluster and could be another database's.
    """
    if any(one.is_stand_in and one.version in applied for one in found):
        return False
    roles = conn.execute("SELECT 1 FROM pg_roles WHERE rolname IN ('supabase_auth_admin', 'authenticator')")
    return _there_is(conn, "auth.users") and roles.fetchone() is not None


def _there_is(conn: Connection, table: str) -> bool:
    return conn.execute("SELECT to_regclass(%s) IS NOT NULL", [table]).fetchone() == (True,)


def _apply(conn: Connection, one: Migration, say: Callable[[str], None]) -> None:
    """Run one file and record it, in one transaction; repeated where what stopped it passes by itself."""
    say(f"Applying {one.file}.")
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _run(conn, one)
        except psycopg.Error as exc:
            if conn.closed:
                raise
            if attempt == _ATTEMPTS or not isinstance(exc, _PASSING):
                raise _failed(exc, one, conn) from exc
            say(f"{one.file} met somebody else at work ({exc.sqlstate}); trying again.")
            time.sleep(random.uniform(0.5, 1.5) * min(0.05 * 2**attempt, 2))  # noqa: S311 - keeps two apart
        else:
            return


def _run(conn: Connection, one: Migration) -> None:
    _reset_session(conn)
    with conn.transaction():
        # A file that waits for a table makes everybody behind it wait: give way after a while, come again.
        conn.execute("SELECT set_config('lock_timeout', %s, true)", [_GIVE_WAY_AFTER])
        before = _transaction_of(conn)
        conn.execute(one.sql, prepare=False)
        if (
            conn.info.transaction_status != psycopg.pq.TransactionStatus.INTRANS
            or _transaction_of(conn) != before
        ):
            raise SetupFailed(f"{one.file} ends its transaction by itself. Take its COMMIT or ROLLBACK out.")
        conn.execute("RESET ROLE")
        conn.execute(
            "INSERT INTO studio.schema_migrations (version, name, sha256) VALUES (%s, %s, %s)",
            [one.version, one.name, one.sha256],
        )


def _transaction_of(conn: Connection) -> object:
    row = conn.execute("SELECT pg_current_xact_id()::text").fetchone()
    return row[0] if row else None


def _reset_session(conn: Connection) -> None:
    """What one file set for the session (search_path, a role) is nothing to the next one."""
    conn.execute("RESET ROLE")
    conn.execute("RESET ALL")
    for name, value in session_settings(share_with_team=False).items():
        conn.execute("SELECT set_config(%s, %s, false)", [name, value])


def _note_own_host(conn: Connection, supabase_url: str | None) -> None:
    """Add the project's host to those whose signed links are ours (SPEC "Files")."""
    host = urlsplit(supabase_url).hostname if supabase_url else None
    if host is None or not _there_is(conn, "studio.settings"):
        return
    conn.execute(
        """
        INSERT INTO studio.settings AS s (key, value) VALUES ('own_hosts', %(host)s)
        ON CONFLICT (key) DO UPDATE SET value = concat_ws(',', nullif(s.value, ''), excluded.value)
        WHERE NOT %(host)s = ANY (string_to_array(s.value, ','))
        """,
        {"host": host},
    )


def _failed(exc: psycopg.Error, one: Migration, conn: Connection) -> SetupFailed:
    if isinstance(exc, pg.InsufficientPrivilege):
        return _lacking(exc, one.file, conn)
    if isinstance(exc, (pg.DataError, pg.IntegrityError)):  # their words quote rows
        where = ".".join(part for part in (exc.diag.table_name, exc.diag.constraint_name) if part)
        reason = f"rows that stand in the database do not fit{f' ({where})' if where else ''}"
    else:
        reason = exc.diag.message_primary or "the server did not say why"
    return SetupFailed(
        f"{one.file} could not be applied ({exc.sqlstate or 'no state'}): {reason}. Nothing of it was kept."
    )


def _lacking(exc: psycopg.Error, task: str, conn: Connection) -> SetupFailed:
    """A missing right, by its name and for whom."""
    role, said = conn.info.user, exc.diag.message_primary or ""
    right = next(
        (
            text.format(role=role, **found.groupdict())
            for words, text in _RIGHTS
            if (found := re.search(words, said))
        ),
        said,
    )
    return SetupFailed(
        f"{task} could not be applied: the login role {role} lacks a right, {right}. Nothing of it was kept; "
        "grant the right, or migrate once as a role that has it."
    )
