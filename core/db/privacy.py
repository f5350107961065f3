"""studio.erasures, and every row that belongs to one person or names them (SPEC "Data"). Which rows those are is said once,
in the database: `studio.rows_of_person()`.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString, cast
from uuid import UUID

from psycopg import sql
from psycopg.rows import class_row

from core.db import Connection
from core.values import JobId, PersonId

_LOT = 200  # rows fetched at once
_ADDRESS = r"(?<![[:alnum:]._%%+-]){}(?![[:alnum:]-]|[.][[:alnum:]])"
_OURS = ("studio", "studio_queue")
_ADOPTED = (
    "characters", "character_portraits", "character_scenes", "jobs", "workspace_assets", "user_library",
    "attribute_images", "style_images", "api_models", "api_providers",
)  # fmt: skip
# What a copy for the person leaves out: secrets, addresses that open something, and what was said about other rows.
_LEFT_OUT: Mapping[str, tuple[str, ...]] = {
    "studio.sessions": ("token_hash", "sealed", "lease"),
    "studio.submissions": ("receipt",),
    "studio.audit_events": ("before", "after"),
}


@dataclass(frozen=True, kw_only=True)
class Account:
    """A row of auth.users; `is_ours` where the table is our own stand-in, not Supabase's."""

    id: PersonId
    email: str
    is_ours: bool


@dataclass(frozen=True, kw_only=True)
class ErasureRow:
    """A row of studio.erasures. `person` and `email` are None once it is finished."""

    id: UUID
    person: PersonId | None
    email: str | None
    asked_by: PersonId
    asked_at: datetime
    rows_gone_at: datetime | None
    finished_at: datetime | None
    rows_gone: Mapping[str, int]
    objects_gone: int
    trouble: str | None


@dataclass(frozen=True, kw_only=True)
class Part:
    """One table of which rows are a person's. `fate`: goes, follows (with another row), stays (without the person)."""

    table: str
    rule: str
    fate: str


@dataclass(frozen=True, kw_only=True)
class Busy:
    """A job that may still bring a picture."""

    job_id: JobId
    status: str
    stage: str | None
    runner: str


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Rows of one column that name a person. `is_ours`: the studio writes that table, and erasing reaches it."""

    table: str
    column: str
    rows: int
    is_ours: bool


@dataclass(frozen=True, kw_only=True)
class Hold:
    """A table of somebody else that refers to rows which would go; `blocks` where it forbids that they go."""

    table: str
    refers_to: str
    rows: int
    blocks: bool


_ERASURE = (
    "id, person, email, asked_by, asked_at, rows_gone_at, finished_at, rows_gone, objects_gone, trouble"
)


def account(conn: Connection, said: str) -> Account | None:
    """The account of an id or an e-mail address, None where there is none."""
    with conn.cursor(row_factory=class_row(Account)) as cursor:
        return cursor.execute(
            """
            SELECT u.id, coalesce(u.email, '') AS email, studio.keeps_accounts() AS is_ours FROM auth.users u
            WHERE u.id = studio.as_uuid(%(said)s) OR lower(u.email) = lower(btrim(%(said)s))
            ORDER BY u.id LIMIT 1
            """,
            {"said": said},
        ).fetchone()


# -- erasures --------------------------------------------------------------------------------------------------------


def begin(conn: Connection, person: PersonId, email: str) -> UUID:
    """An erasure in the name of this connection's person. Raises NotAllowed, NotFound, BadRequest, Conflict."""
    row = conn.execute("SELECT studio.begin_erasure(%s, %s)", (person, email)).fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    return row[0]


def get(conn: Connection, erasure: UUID) -> ErasureRow | None:
    """One erasure."""
    with conn.cursor(row_factory=class_row(ErasureRow)) as cursor:
        return cursor.execute(f"SELECT {_ERASURE} FROM studio.erasures WHERE id = %s", (erasure,)).fetchone()


def unfinished(conn: Connection) -> list[ErasureRow]:
    """What is still to be carried out, the oldest first."""
    with conn.cursor(row_factory=class_row(ErasureRow)) as cursor:
        return cursor.execute(
            f"SELECT {_ERASURE} FROM studio.erasures WHERE person IS NOT NULL ORDER BY asked_at"
        ).fetchall()


def recent(conn: Connection, *, limit: int) -> list[ErasureRow]:
    """The last erasures, the newest first."""
    with conn.cursor(row_factory=class_row(ErasureRow)) as cursor:
        return cursor.execute(
            f"SELECT {_ERASURE} FROM studio.erasures ORDER BY asked_at DESC, id DESC LIMIT %s", (limit,)
        ).fetchall()


def under_way(conn: Connection, person: PersonId) -> list[Busy]:
    """Jobs that have not ended, of the person and of their characters."""
    with conn.cursor(row_factory=class_row(Busy)) as cursor:
        return cursor.execute(
            "SELECT job_id, status, stage, runner FROM studio.jobs_under_way_of(%s)", (person,)
        ).fetchall()


def erase_rows(conn: Connection, erasure: UUID) -> None:
    """Every row of the person goes, every other row forgets them. Raises Conflict STILL_UNDER_WAY."""
    conn.execute("SELECT studio.erase_user(%s)", (erasure,))


def note_objects(conn: Connection, erasure: UUID, number: int) -> None:
    """So many more objects are gone."""
    conn.execute(
        "UPDATE studio.erasures SET objects_gone = objects_gone + %s WHERE id = %s", (number, erasure)
    )


def note_trouble(conn: Connection, erasure: UUID, sentence: str | None) -> None:
    """Why an erasure does not go on now."""
    conn.execute(
        "UPDATE studio.erasures SET trouble = %s WHERE id = %s AND person IS NOT NULL", (sentence, erasure)
    )


def finish(conn: Connection, erasure: UUID) -> None:
    """The record forgets whom it was about; an event says that it was done, and not to whom."""
    conn.execute(
        """
        WITH done AS (
            UPDATE studio.erasures SET person = NULL, email = NULL, trouble = NULL, finished_at = clock_timestamp()
            WHERE id = %s AND person IS NOT NULL RETURNING id, asked_by)
        INSERT INTO studio.audit_events (who, action, table_name, row_id)
        SELECT asked_by, 'person_erased', 'erasures', id::text FROM done
        """,
        (erasure,),
    )


def take(conn: Connection, erasure: UUID) -> bool:
    """Hold the right to carry out this erasure for as long as `conn` lives; False where another process has it."""
    row = conn.execute(
        "SELECT pg_try_advisory_lock(hashtextextended('erasing:' || %s::text, 0))", (erasure,)
    ).fetchone()
    return bool(row and row[0])


# -- what is a person's ----------------------------------------------------------------------------------------------


def parts(conn: Connection) -> list[Part]:
    """Every table with rows of a person that stands in this database, in the order in which they go."""
    with conn.cursor(row_factory=class_row(Part)) as cursor:
        return cursor.execute(
            """
            SELECT r.named AS "table", r.rule, r.fate FROM studio.rows_of_person() r
            WHERE to_regclass(r.named) IS NOT NULL ORDER BY r.place
            """
        ).fetchall()


def count(conn: Connection, part: Part, person: PersonId) -> int:
    """How many rows of one table are the person's."""
    row = conn.execute(_of(part, "SELECT count(*)"), _ids(conn, person)).fetchone()
    return int(row[0]) if row else 0


def public_characters(conn: Connection, person: PersonId) -> int:
    """How many characters of the person everybody sees on the platform."""
    row = conn.execute(
        "SELECT count(*) FROM public.characters WHERE user_id = %s AND is_public AND deleted_at IS NULL",
        (person,),
    ).fetchone()
    return int(row[0]) if row else 0


def rows_as_json(conn: Connection, part: Part, person: PersonId) -> Generator[list[str]]:
    """The person's rows of one table as JSON texts, a lot at a time, with nobody else's id or address in them."""
    left_out = list(_LEFT_OUT.get(part.table, ()))
    values = {**_ids(conn, person), "left_out": left_out}
    with conn.cursor(f"rows_of_{part.table.replace('.', '_')}") as cursor:
        cursor.execute(_of(part, "SELECT (to_jsonb(t) - %(left_out)s::text[])::text"), values)
        while lot := cursor.fetchmany(_LOT):
            yield _without_others(conn, [row[0] for row in lot], person)


def _of(part: Part, select: str) -> sql.SQL:
    rule = part.rule
    for number, name in enumerate(("person", "mine", "asked", "gone"), start=1):
        rule = rule.replace(f"${number}", f"%({name})s")
    for name, kind in (("mine", "uuid[]"), ("asked", "uuid[]"), ("gone", "text[]"), ("person", "uuid")):
        rule = rule.replace(f"%({name})s", f"%({name})s::{kind}")
    return sql.SQL(cast("LiteralString", f"{select} FROM {part.table} t WHERE {rule}"))


def _ids(conn: Connection, person: PersonId) -> dict[str, Any]:
    row = conn.execute("SELECT mine, asked, gone FROM studio.ids_of_person(%s)", (person,)).fetchone()
    assert row is not None  # noqa: S101 - the function returns one row
    return {"person": person, "mine": row[0], "asked": row[1], "gone": row[2]}


_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")


def _without_others(conn: Connection, lines: Sequence[str], person: PersonId) -> list[str]:
    """The lines with `somebody-else` where another account's id or address stood."""
    text = "\n".join(lines)
    found = conn.execute(
        """
        SELECT u.id::text, lower(u.email) FROM auth.users u
        WHERE u.id <> %(person)s AND (u.id = ANY(%(ids)s::uuid[]) OR lower(u.email) = ANY(%(emails)s))
        """,
        {
            "person": person,
            "ids": list({one.lower() for one in _UUID.findall(text)}),
            "emails": list({one.lower() for one in _EMAIL.findall(text)}),
        },
    ).fetchall()
    others = {said for row in found for said in row if said}
    if not others:
        return list(lines)
    return [_masked(_masked(line, _UUID, others), _EMAIL, others) for line in lines]


def _masked(line: str, form: re.Pattern[str], others: Iterable[str]) -> str:
    return form.sub(lambda hit: "somebody-else" if hit[0].lower() in others else hit[0], line)


# -- what names a person ---------------------------------------------------------------------------------------------


def tables(conn: Connection) -> list[str]:
    """Every table there is, ours and others', by its quoted name; the server's own are left out."""
    rows = conn.execute(
        """
        SELECT format('%I.%I', n.nspname, c.relname)
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
        ORDER BY 1
        """
    ).fetchall()
    return [row[0] for row in rows]


def traces(conn: Connection, table: str, person: PersonId, email: str) -> list[Trace]:
    """The columns of one table in which the person's id or e-mail address stands. Raises NotAllowed where it cannot be read."""
    columns = conn.execute(
        """
        SELECT a.attname, a.atttypid = 'bytea'::regtype FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
        """,
        (table,),
    ).fetchall()
    if not columns:
        return []
    counted = sql.SQL(", ").join(
        sql.SQL("count(*) FILTER (WHERE {})").format(_names(name, is_bytes=is_bytes))
        for name, is_bytes in columns
    )
    query = sql.SQL("SELECT {} FROM {} t").format(counted, sql.SQL(cast("LiteralString", table)))
    escaped = re.sub(r"([^A-Za-z0-9@])", r"\\\1", email)
    values = {"id": str(person), "email": _ADDRESS.replace("%%", "%").format(escaped) if email else None}
    row = conn.execute(query, values).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has one row
    return [
        Trace(table=table, column=name, rows=number, is_ours=_is_ours(conn, table))
        for (name, _), number in zip(columns, row, strict=True)
        if number
    ]


def _names(column: str, *, is_bytes: bool) -> sql.Composed:
    """Whether a column holds the person's id or address, as text whatever its type."""
    if is_bytes:
        return sql.SQL("position(convert_to(%(id)s, 'UTF8') IN t.{0}) > 0").format(sql.Identifier(column))
    return sql.SQL(
        "strpos(lower(t.{0}::text), %(id)s) > 0"
        " OR (%(email)s::text IS NOT NULL AND strpos(t.{0}::text, '@') > 0 AND t.{0}::text ~* %(email)s)"
    ).format(sql.Identifier(column))


def _is_ours(conn: Connection, table: str) -> bool:
    schema, _, name = table.partition(".")
    if schema in _OURS or (schema == "public" and name in _ADOPTED):
        return True
    row = conn.execute("SELECT studio.keeps_accounts()").fetchone()
    return table == "auth.users" and bool(row and row[0])


def holds(conn: Connection, person: PersonId) -> list[Hold]:
    """Tables that are not ours and refer by a foreign key of one column to rows that would go."""
    keys = conn.execute(
        """
        SELECT f.conrelid::regclass::text, f.confrelid::regclass::text, a.attname, b.attname, f.confdeltype::text
        FROM pg_catalog.pg_constraint f
        JOIN pg_catalog.pg_class c ON c.oid = f.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_catalog.pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = f.conkey[1]
        JOIN pg_catalog.pg_attribute b ON b.attrelid = f.confrelid AND b.attnum = f.confkey[1]
        WHERE f.contype = 'f' AND cardinality(f.conkey) = 1
          AND f.confrelid IN ('public.characters'::regclass, 'public.character_portraits'::regclass,
            'public.character_scenes'::regclass, 'public.jobs'::regclass, 'public.user_library'::regclass,
            'public.workspace_assets'::regclass)
          AND NOT (n.nspname = ANY(%s) OR (n.nspname = 'public' AND c.relname = ANY(%s)))
        ORDER BY 1, 2
        """,
        (list(_OURS), list(_ADOPTED)),
    ).fetchall()
    ids = _ids(conn, person)
    found: list[Hold] = []
    for table, target, column, key, action in keys:
        row = conn.execute(
            sql.SQL(
                "SELECT count(*) FROM {} r JOIN {} t ON t.{} = r.{} WHERE t.id::text = ANY(%(gone)s)"
            ).format(sql.SQL(table), sql.SQL(target), sql.Identifier(key), sql.Identifier(column)),
            {"gone": ids["gone"]},
        ).fetchone()
        if row and row[0]:
            found.append(Hold(table=table, refers_to=target, rows=row[0], blocks=action in {"a", "r"}))
    return found


def freeze(conn: Connection) -> None:
    """All further questions of this transaction see one moment, and change nothing; to be called before any other."""
    conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


def note_export(conn: Connection, by: PersonId) -> None:
    """That somebody took a copy of a person's data; the record does not say whose."""
    conn.execute(
        "INSERT INTO studio.audit_events (who, action, table_name) VALUES (%s, 'person_exported', 'users')",
        (by,),
    )
