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
from typing import TypeAlias
from urllib.parse import urlsplit

import psycopg
from psycopg import errors as pg

from core.db import (
    Connection,
    adoption,
    as_ours,
    checks,
    connect,
    indexes,
    login_rights,
    migration_text,
    refuse_unfit,
    session_settings,
    table_locks,
)
from core.db.migration_text import Index
from core.errors import Conflict, SetupFailed

FOLDER = Path(__file__).parents[2] / "supabase" / "migrations"
ONLY_WITHOUT_SUPABASE = "-- only without supabase"

_NAME = re.compile(r"(?P<version>\d{14})_(?P<name>[a-z0-9_]+)\.sql")
_LOCK = 0x53_54_55_44_49_4F  # "STUDIO": one migrator at a time in this database
_LOCK_WAIT = 600  # seconds for its turn
_LOCK_TURN = 0.2  # seconds between two looks whether it has come
_ATTEMPTS = 8
APART_BYTES = 1_000_000  # of a table: below, an index is built in the file, in some thousandths of a second
# One transaction: the first one's rule of one primary refuses what the last one's triggers settle, and no statement of
# the platform may come in between (decision 0030).
_TOGETHER = frozenset({"20261120090200", "20261120090300", "20261120090400"})

# Roles belong to the cluster, so another database's migrator may be making the same ones; that passes.
_PASSING: tuple[type[psycopg.Error], ...] = (
    pg.UniqueViolation,
    pg.DuplicateObject,
    pg.InternalError_,  # XX000 "tuple concurrently updated"
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


Sweep: TypeAlias = Callable[[Connection, Callable[[str], None]], Mapping[str, int]]


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
    def text(self) -> str:
        """Its statements."""
        return self.sql.decode()

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
    sweep: Sweep | None = None,
    by_person: bool = False,
    allow_blocking: bool = False,
) -> list[str]:
    """Apply what is missing from `folder`, oldest first; the names of the files applied now.

    Safe twice, after a kill at any moment, and from several processes at once: the others wait (up to 10 minutes).
    Every file is its own transaction, but for the three that adopt the platform's tables together; indexes on tables
    with rows are built apart, after the files, checks are held against such rows apart, and nothing holds such a table
    for long (decisions 0030, 0049) unless `allow_blocking`. `say` hears one sentence per step. `supabase_url` makes the project's host one of our own
    (studio.settings `own_hosts`). `after` runs every time, in a transaction of its own under the same lock: for rows
    that a catalogue adds where they are missing. `sweep` comes last, where files were applied now, where a person
    asked (`by_person`) or an adoption is not ended: it answers rule → open findings. Raises SetupFailed (a file
    changed after it was applied, a file that fails, a missing right, by name, a table that others never let go),
    DatabaseUnavailable.
    """
    found = read_folder(folder)
    refuse_unfit(dsn)
    with as_ours(), connect(dsn, _session()) as conn:
        _take_turn(conn, say)
        _say_unknown(conn, found, say)
        missing = missing_files(conn, found)
        if missing:
            login_rights.refuse_missing(conn, makes_roles=any(one.is_stand_in for one in missing))
            _make_record(conn)
            adoption.begin(conn)
        _bring_up(conn, found, missing, say, allow_blocking=allow_blocking)
        _reset_session(conn)
        if missing:
            _close_to_people(conn)
        _note_own_host(conn, supabase_url)
        if after is not None:
            with conn.transaction():
                after(conn)
        if missing or adoption.is_unfinished(conn):
            adoption.tell_planner(conn)
        if missing or by_person or adoption.is_unfinished(conn):
            _sweep_and_end(conn, sweep, say)
    say(f"{len(missing)} migrations applied." if missing else "The database is up to date.")
    return [one.file for one in missing]


def _sweep_and_end(conn: Connection, sweep: Sweep | None, say: Callable[[str], None]) -> None:
    """Check every row, and write down what an adoption found; it stays unended where somebody else checks just now."""
    try:
        open_findings: Mapping[str, int] = sweep(conn, say) if sweep is not None else {}
    except Conflict:
        say("Another process is checking the rows; the next `python -m core migrate` counts what was found.")
        return
    if adoption.is_unfinished(conn):
        adoption.end(conn, open_findings)


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
    """Hold the lock of this database for as long as `conn` lives.

    Asked for again and again, never waited for: who waits within a statement keeps a snapshot, for which the other one's
    indexes wait in their turn.
    """
    until = time.monotonic() + _LOCK_WAIT
    is_said = False
    while conn.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK]).fetchone() != (True,):
        if time.monotonic() >= until:
            raise SetupFailed(
                f"Another process has been migrating this database for {_LOCK_WAIT // 60} minutes. "
                "See what it does, then try again."
            )
        if not is_said:
            say("Another process is migrating this database; waiting for it.")
            is_said = True
        time.sleep(_LOCK_TURN)


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


def missing_files(conn: Connection, found: Sequence[Migration]) -> list[Migration]:
    """Those of `found` that are not applied yet and belong here; reads only. Raises SetupFailed: a file changed since."""
    applied: dict[str, str] = {version: sha256 for version, sha256, _ in _recorded(conn)}
    _refuse_changed(found, applied)
    missing = [one for one in found if one.version not in applied]
    if not any(one.is_stand_in for one in missing) or not _is_supabase(conn, found, applied):
        return missing
    return [one for one in missing if not one.is_stand_in]


def _say_unknown(conn: Connection, found: Sequence[Migration], say: Callable[[str], None]) -> None:
    known = {one.version for one in found}
    for version, _, name in _recorded(conn):
        if version not in known:
            say(
                f"The database also has {version}_{name}.sql, which this version of the studio does not know."
            )


def _recorded(conn: Connection) -> list[tuple[str, str, str]]:
    """Version, hash and name of what was applied, oldest first; nothing where there is no record yet."""
    if not _there_is(conn, "studio.schema_migrations"):
        return []
    return conn.execute(
        "SELECT version, sha256, name FROM studio.schema_migrations ORDER BY version"
    ).fetchall()


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


def _bring_up(
    conn: Connection,
    found: Sequence[Migration],
    missing: Sequence[Migration],
    say: Callable[[str], None],
    *,
    allow_blocking: bool,
) -> None:
    """Apply `missing`, prove its checks and build the indexes that were left out of the files; those that a killed run
    left come first.

    Where the platform's tables are adopted, those indexes come at once that our triggers need at every row, then all
    the other files together, then the rest of the indexes: an older file's triggers, which a newer one mends, stand
    beside the platform for seconds and not for minutes (decision 0030).
    """
    large = _larger_than(conn, APART_BYTES)
    wanted = indexes.named(one.text for one in found)
    builder = indexes.Builder(
        conn, say, total=sum(one.table in large for one in indexes.missing(conn, wanted))
    )
    builder.build_missing(_of_applied(conn, found))
    for group in _groups(missing, adopts=bool(large)):
        for one in group:
            checks.refuse_misfits(conn, migration_text.proving_checks(one.text), one.file)
        widened = [column for one in group for column in migration_text.widened_columns(one.text)]
        if widened:
            adoption.prepare(conn, widened, say, allow_blocking=allow_blocking)
        _apply(conn, group, say)
        builder.build_missing([one for one in _of_applied(conn, found) if one.is_asked_by_triggers])
    checks.prove(conn, checks.named(one.text for one in found), say)
    builder.build_missing(wanted)


def _of_applied(conn: Connection, found: Sequence[Migration]) -> tuple[Index, ...]:
    """The indexes that the files applied until now name."""
    done = {version for version, _, _ in _recorded(conn)}
    return indexes.named(one.text for one in found if one.version in done)


def _groups(missing: Sequence[Migration], *, adopts: bool) -> list[tuple[Migration, ...]]:
    """What is applied in one transaction each: a file; those that belong together; and what follows them where they
    adopt tables with rows, so that the platform's traffic gives way once and not for every file.
    """
    together = [one for one in missing if one.version in _TOGETHER]
    if not together:
        return [(one,) for one in missing]
    before = [(one,) for one in missing if one.version < together[0].version]
    after = [one for one in missing if one.version > together[-1].version]
    return [*before, tuple(together), *([tuple(after)] if adopts and after else [(one,) for one in after])]


def _apply(conn: Connection, group: Sequence[Migration], say: Callable[[str], None]) -> None:
    """Run the files of `group` and record them, in one transaction; repeated where what stopped it passes by itself."""
    named = _named(group)
    say(f"Applying {named}.")
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _run_in_turn(conn, group, named, say)
        except psycopg.Error as exc:
            if conn.closed:
                raise
            if attempt == _ATTEMPTS or not isinstance(exc, _PASSING):
                raise _failed(exc, _file_of(exc) or named, conn) from exc
            say(f"{named} met somebody else at work ({exc.sqlstate}); trying again.")
            time.sleep(random.uniform(0.5, 1.5) * min(0.05 * 2**attempt, 2))  # noqa: S311 - keeps two apart
        else:
            return


def _named(group: Sequence[Migration]) -> str:
    files = [one.file for one in group]
    return files[0] if len(files) == 1 else f"{files[0]} to {files[-1]} ({len(files)} files)"


def _run_in_turn(
    conn: Connection, group: Sequence[Migration], named: str, say: Callable[[str], None]
) -> None:
    _reset_session(conn)
    large = _larger_than(conn, APART_BYTES)
    texts = [
        migration_text.without_proofs(migration_text.without_indexes(one.text, large), large) for one in group
    ]
    held = sorted(migration_text.names("\n".join(texts), _larger_than(conn, 0)))
    named_in_it = sorted(migration_text.names("\n".join(texts), _larger_than(conn, -1)))
    table_locks.with_turns(
        conn, lambda: _run(conn, group, texts, held), tables=named_in_it, task=f"Applying {named}", say=say
    )


def _run(conn: Connection, group: Sequence[Migration], texts: Sequence[str], held: Sequence[str]) -> None:
    """One transaction that holds the tables of `held` from its beginning to its end."""
    with conn.transaction():
        table_locks.take(conn, held)
        for one, text in zip(group, texts, strict=True):
            before = _transaction_of(conn)
            try:
                conn.execute(text.encode(), prepare=False)
            except psycopg.Error as exc:
                exc.add_note(one.file)
                raise
            if (
                conn.info.transaction_status != psycopg.pq.TransactionStatus.INTRANS
                or _transaction_of(conn) != before
            ):
                raise SetupFailed(
                    f"{one.file} ends its transaction by itself. Take its COMMIT or ROLLBACK out."
                )
            _reset_session(conn)
            conn.execute(
                "INSERT INTO studio.schema_migrations (version, name, sha256) VALUES (%s, %s, %s)",
                [one.version, one.name, one.sha256],
            )
            table_locks.wait_shortly(conn)
        if any(one.version in _TOGETHER for one in group):
            adoption.note_corrections(conn)


def _larger_than(conn: Connection, size: int) -> frozenset[str]:
    """The tables of schema public whose rows take more than `size` bytes."""
    return frozenset(
        name
        for (name,) in conn.execute(
            """
            SELECT relname FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND pg_relation_size(oid) > %s
            """,
            [size],
        )
    )


def _transaction_of(conn: Connection) -> object:
    row = conn.execute("SELECT pg_current_xact_id()::text").fetchone()
    return row[0] if row else None


def _reset_session(conn: Connection) -> None:
    """What one file set for the session (search_path, a role) is nothing to the next one."""
    conn.execute("RESET ROLE")
    conn.execute("RESET ALL")
    for name, value in _session().items():
        conn.execute("SELECT set_config(%s, %s, false)", [name, value])


def _session() -> dict[str, str]:
    """A build may take its time, whatever the login's usual limit is; and the server notices a migrator that was killed,
    so that the next one does not wait for it.
    """
    return {
        **session_settings(share_with_team=False),
        "statement_timeout": "0",
        "client_connection_check_interval": "1s",
    }


def _close_to_people(conn: Connection) -> None:
    """What a default grant opened, and what a later file made anew, is closed (decision 0031)."""
    if conn.execute("SELECT to_regprocedure('studio.close_to_people()') IS NOT NULL").fetchone() == (True,):
        conn.execute("SELECT studio.close_to_people()")


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


def _file_of(exc: psycopg.Error) -> str | None:
    """The file of a group whose statement failed."""
    notes: Sequence[str] = getattr(exc, "__notes__", ())
    return notes[0] if notes else None


def _failed(exc: psycopg.Error, named: str, conn: Connection) -> SetupFailed:
    if isinstance(exc, pg.InsufficientPrivilege):
        return _lacking(exc, named, conn)
    if isinstance(exc, (pg.DataError, pg.IntegrityError)):  # their words quote rows
        where = ".".join(part for part in (exc.diag.table_name, exc.diag.constraint_name) if part)
        reason = f"rows that stand in the database do not fit{f' ({where})' if where else ''}"
    else:
        reason = exc.diag.message_primary or "the server did not say why"
    return SetupFailed(
        f"{named} could not be applied ({exc.sqlstate or 'no state'}): {reason}. Nothing of it was kept."
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
