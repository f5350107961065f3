"""auth.users: Supabase's own table, or our stand-in for it, which lacks most of its columns.

Only our stand-in is written to. There, what Supabase has columns for stands in raw_app_meta_data: `banned`,
`last_sign_in_at`, `invited`. Beside a project whose database is another one, it holds those of the project who came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from core.db import Connection
from core.values import PersonId


@dataclass(frozen=True, kw_only=True)
class Row:
    """Somebody with an account; `app_metadata` is JSON as it was found."""

    id: PersonId
    email: str | None
    app_metadata: object
    created_at: datetime
    last_sign_in_at: datetime | None
    is_banned: bool


# to_jsonb(u): a column that the stand-in lacks reads as null there.
_COLUMNS = """
    u.id, u.email::text AS email, to_jsonb(u) -> 'raw_app_meta_data' AS app_metadata,
    coalesce(u.created_at, 'epoch') AS created_at,
    coalesce(
      to_jsonb(u) ->> 'last_sign_in_at',
      CASE WHEN to_jsonb(u) -> 'raw_app_meta_data' ->> 'provider' IN ('oidc', 'project')
        THEN to_jsonb(u) -> 'raw_app_meta_data' ->> 'last_sign_in_at' END
    )::timestamptz AS last_sign_in_at,
    coalesce((to_jsonb(u) ->> 'banned_until')::timestamptz > now(), false)
      OR coalesce(to_jsonb(u) -> 'raw_app_meta_data' -> 'banned' = 'true', false) AS is_banned
"""


def insert_missing(conn: Connection, person: PersonId, email: str) -> None:
    """A row for a person who signs in by being on this machine; nothing where it stands."""
    conn.execute("INSERT INTO auth.users (id, email) VALUES (%s, %s) ON CONFLICT DO NOTHING", (person, email))


def page(conn: Connection, number: int, *, size: int) -> list[Row]:
    """Page 1, 2, … of everybody, the newest first."""
    with conn.cursor(row_factory=class_row(Row)) as cursor:
        return cursor.execute(
            f"SELECT {_COLUMNS} FROM auth.users u ORDER BY u.created_at DESC NULLS LAST, u.id LIMIT %s OFFSET %s",
            (size, (max(1, number) - 1) * size),
        ).fetchall()


def with_roles(conn: Connection) -> list[Row]:
    """Whoever has a list of roles with something in it, by e-mail."""
    with conn.cursor(row_factory=class_row(Row)) as cursor:
        return cursor.execute(
            f"""
            SELECT {_COLUMNS} FROM auth.users u
            WHERE jsonb_typeof(u.raw_app_meta_data -> 'roles') = 'array' AND u.raw_app_meta_data -> 'roles' <> '[]'
            ORDER BY lower(u.email), u.id
            """
        ).fetchall()


def by_id(conn: Connection, person: PersonId) -> Row | None:
    """One person, None where there is none of that id."""
    with conn.cursor(row_factory=class_row(Row)) as cursor:
        return cursor.execute(f"SELECT {_COLUMNS} FROM auth.users u WHERE u.id = %s", [person]).fetchone()


def by_email(conn: Connection, email: str) -> Row | None:
    """Whoever has this address; capitals do not matter."""
    with conn.cursor(row_factory=class_row(Row)) as cursor:
        return cursor.execute(
            f"SELECT {_COLUMNS} FROM auth.users u WHERE lower(u.email) = lower(%s) ORDER BY u.created_at LIMIT 1",
            [email],
        ).fetchone()


def note(conn: Connection, person: PersonId, changes: Mapping[str, object]) -> bool:
    """Change keys of somebody's raw_app_meta_data, the others stand; False where there is nobody of that id."""
    cursor = conn.execute(
        "UPDATE auth.users SET raw_app_meta_data = raw_app_meta_data || %s WHERE id = %s",
        (Jsonb(changes), person),
    )
    return cursor.rowcount == 1


def insert_invited(conn: Connection, email: str, roles: Sequence[str]) -> Row | None:
    """A row that whoever signs in with this address takes over; None where the address has one."""
    if by_email(conn, email) is not None:
        return None
    row = conn.execute(
        """
        INSERT INTO auth.users (email, raw_app_meta_data) VALUES (%s, %s) ON CONFLICT DO NOTHING RETURNING id
        """,
        (email, Jsonb({"roles": list(roles), "invited": True})),
    ).fetchone()
    return by_id(conn, row[0]) if row is not None else None


def take_invitation(conn: Connection, person: PersonId, email: str) -> None:
    """Give the row that was made for an invited address to whoever came with it; nothing where there is none."""
    conn.execute(
        """
        UPDATE auth.users SET id = %(id)s, raw_app_meta_data = raw_app_meta_data - 'invited'
        WHERE lower(email) = lower(%(email)s) AND raw_app_meta_data -> 'invited' = 'true'
          AND NOT EXISTS (SELECT FROM auth.users other WHERE other.id = %(id)s)
        """,
        {"id": person, "email": email},
    )


def came_in(conn: Connection, person: PersonId, email: str, roles: Sequence[str] | None) -> bool:
    """Somebody signed in: their row, made where it is missing, with their address and, where named, their roles.

    False where the address belongs to somebody else; nothing is changed then.
    """
    said: dict[str, object] = {"provider": "oidc"}
    if roles is not None:
        said["roles"] = list(roles)
    cursor = conn.execute(
        """
        INSERT INTO auth.users AS u (id, email, raw_app_meta_data)
        SELECT %(id)s, %(email)s, %(said)s::jsonb || jsonb_build_object('last_sign_in_at', now())
        WHERE NOT EXISTS (SELECT FROM auth.users o WHERE lower(o.email) = lower(%(email)s) AND o.id <> %(id)s)
        ON CONFLICT (id) DO UPDATE
        SET email = excluded.email, raw_app_meta_data = u.raw_app_meta_data || excluded.raw_app_meta_data
        """,
        {"id": person, "email": email, "said": Jsonb(said)},
    )
    return cursor.rowcount == 1


def is_our_own(conn: Connection) -> bool:
    """True where auth.users is our stand-in."""
    return conn.execute("SELECT studio.keeps_accounts()").fetchone() == (True,)


def mirror(
    conn: Connection, person: PersonId, email: str, roles: Sequence[str], *, is_banned: bool, is_here: bool
) -> None:
    """Keep somebody of a project in our stand-in; nothing where auth.users is the project's own.

    `is_here`: they sign in at this moment. A row of another id with their address gives the address up.
    """
    if not is_our_own(conn):
        return
    given = {
        "id": person,
        "email": email,
        "said": Jsonb({"provider": "project", "roles": list(roles), "banned": is_banned}),
        "here": is_here,
    }
    conn.execute(
        "UPDATE auth.users SET email = NULL WHERE lower(email) = lower(%(email)s) AND id <> %(id)s", given
    )
    conn.execute(
        """
        INSERT INTO auth.users AS u (id, email, raw_app_meta_data)
        VALUES (
          %(id)s, nullif(%(email)s, ''),
          %(said)s::jsonb || CASE WHEN %(here)s THEN jsonb_build_object('last_sign_in_at', now()) ELSE '{}' END
        )
        ON CONFLICT (id) DO UPDATE
        SET email = excluded.email, raw_app_meta_data = u.raw_app_meta_data || excluded.raw_app_meta_data
        """,
        given,
    )
