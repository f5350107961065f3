"""studio.sessions: who is signed in. Times are the database's, so that every machine counts alike."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, LiteralString
from uuid import UUID

from psycopg.rows import class_row

from core.db import Connection
from core.values import PersonId

Way = Literal["password", "oidc"]
Why = Literal["signed_out", "signed_out_everywhere", "replaced", "refused", "auth_away"]

_OPEN: LiteralString = "ended_at IS NULL AND ends_at > now() AND last_seen_at > now() - %(idle)s"


@dataclass(frozen=True, kw_only=True)
class NewSession:
    """A session to be. `sealed` is bound to `id`; `refresh_at` None: nothing to refresh the tokens by."""

    id: UUID
    token_hash: bytes
    person: PersonId
    email: str
    name: str
    roles: tuple[str, ...]
    way: Way
    sealed: bytes
    access_ends_at: datetime
    refresh_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class OpenSession:
    """A session that stands. `refreshes`: its tokens can be refreshed; `is_over`: its access has ended, for `over_for`;
    `is_seen_due`: nobody noted for a minute that its person is here; `is_leased`: somebody is refreshing its tokens.
    """

    id: UUID
    person: PersonId
    email: str
    name: str
    roles: tuple[str, ...]
    way: Way
    refreshes: bool
    is_due: bool
    is_over: bool
    over_for: timedelta
    is_seen_due: bool
    is_leased: bool


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to refresh one session's tokens, until `LEASE` is over."""

    id: UUID
    sealed: bytes | None
    taken_at: datetime


def now(conn: Connection) -> datetime:
    """The database's moment."""
    row = conn.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    return row[0]


def insert(
    conn: Connection, new: NewSession, *, lasts: timedelta, asked_at: datetime | None = None
) -> datetime | None:
    """Write a session that ends `lasts` from now at the latest; when that is.

    None where everything of its person was ended, or their roles were changed, since `asked_at`: what Auth said then
    may not hold any more. `asked_at` None: nothing is compared.
    """
    _one_after_the_other(conn, new.person)
    if asked_at is not None and _was_cut_off(conn, new.person, asked_at):
        return None
    row = conn.execute(
        """
        INSERT INTO studio.sessions
            (id, token_hash, person, email, name, roles, way, sealed, access_ends_at, refresh_at, ends_at)
        VALUES (%(id)s, %(token_hash)s, %(person)s, %(email)s, %(name)s, %(roles)s::text[], %(way)s, %(sealed)s,
            %(access_ends_at)s, %(refresh_at)s, now() + %(lasts)s)
        RETURNING ends_at
        """,
        {
            "id": new.id,
            "token_hash": new.token_hash,
            "person": new.person,
            "email": new.email,
            "name": new.name,
            "roles": list(new.roles),
            "way": new.way,
            "sealed": new.sealed,
            "access_ends_at": new.access_ends_at,
            "refresh_at": new.refresh_at,
            "lasts": lasts,
        },
    ).fetchone()
    assert row is not None  # noqa: S101 - an INSERT that raised nothing returns its row
    return row[0]


def _one_after_the_other(conn: Connection, person: PersonId) -> None:
    """Beginning a person's session and ending all of them see each other, whichever comes first."""
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('sessions:' || %s::text, 0))", (person,))


def _cut_off(conn: Connection, person: PersonId) -> None:
    """Keep this moment: a session that has ended before it began, and that no cookie opens. Who has no session open may
    just be signing in.
    """
    conn.execute(
        """
        INSERT INTO studio.sessions (token_hash, person, way, access_ends_at, ends_at, ended_at, ended_why)
        SELECT %s, %s, 'password', moment, moment, moment, 'signed_out_everywhere' FROM clock_timestamp() moment
        """,
        (secrets.token_bytes(32), person),
    )


def _was_cut_off(conn: Connection, person: PersonId, since: datetime) -> bool:
    return conn.execute(
        """
        SELECT EXISTS (SELECT FROM studio.sessions
            WHERE person = %s AND ended_at >= %s AND ended_why = 'signed_out_everywhere')
        """,
        (person, since),
    ).fetchone() == (True,)


def find(conn: Connection, token_hash: bytes, *, idle: timedelta) -> OpenSession | None:
    """The session of that cookie, None where it has ended, was idle for `idle`, or never was."""
    with conn.cursor(row_factory=class_row(OpenSession)) as cursor:
        return cursor.execute(
            f"""
            SELECT id, person, email, name, roles, way,
                refresh_at IS NOT NULL AS refreshes, coalesce(refresh_at <= now(), false) AS is_due,
                access_ends_at <= now() AS is_over,
                greatest(now() - access_ends_at, interval '0') AS over_for,
                last_seen_at <= now() - interval '1 minute' AS is_seen_due,
                coalesce(lease_ends_at > now(), false) AS is_leased
            FROM studio.sessions WHERE token_hash = %(token_hash)s AND {_OPEN}
            """,
            {"token_hash": token_hash, "idle": idle},
        ).fetchone()


def note_seen(conn: Connection, session: UUID) -> None:
    """Its person is here. Of many at once only the first writes."""
    conn.execute(
        """
        UPDATE studio.sessions SET last_seen_at = now()
        WHERE id = (
            SELECT id FROM studio.sessions WHERE id = %s AND last_seen_at <= now() - interval '1 minute'
            FOR NO KEY UPDATE SKIP LOCKED)
        """,
        (session,),
    )


def take_lease(conn: Connection, session: UUID, lease: UUID, *, lasts: timedelta) -> Lease | None:
    """The right to refresh this session's tokens; None where they are not due, or somebody is at it."""
    with conn.cursor(row_factory=class_row(Lease)) as cursor:
        return cursor.execute(
            """
            UPDATE studio.sessions SET lease = %(lease)s, lease_ends_at = clock_timestamp() + %(lasts)s
            WHERE id = %(session)s AND ended_at IS NULL AND refresh_at <= now()
                AND (lease_ends_at IS NULL OR lease_ends_at <= clock_timestamp())
            RETURNING lease AS id, sealed, clock_timestamp() AS taken_at
            """,
            {"session": session, "lease": lease, "lasts": lasts},
        ).fetchone()


def renew(
    conn: Connection,
    session: UUID,
    lease: Lease,
    *,
    sealed: bytes,
    name: str,
    email: str,
    roles: Iterable[str],
    access_ends_at: datetime,
    refresh_at: datetime | None,
) -> bool:
    """Keep the tokens and roles that Auth answered with; False where another run took the lease over meanwhile.

    Roles that an admin changed after the lease was taken stay.
    """
    done = conn.execute(
        """
        UPDATE studio.sessions SET sealed = %(sealed)s, name = %(name)s, email = %(email)s,
            roles = CASE WHEN roles_set_at > %(taken_at)s THEN roles ELSE %(roles)s::text[] END,
            access_ends_at = %(access_ends_at)s, refresh_at = %(refresh_at)s, lease = NULL, lease_ends_at = NULL
        WHERE id = %(session)s AND lease = %(lease)s AND ended_at IS NULL
        """,
        {
            "session": session,
            "lease": lease.id,
            "taken_at": lease.taken_at,
            "sealed": sealed,
            "name": name,
            "email": email,
            "roles": list(roles),
            "access_ends_at": access_ends_at,
            "refresh_at": refresh_at,
        },
    )
    return done.rowcount == 1


def put_off(conn: Connection, session: UUID, lease: UUID, *, wait: timedelta) -> None:
    """Give the lease back: Auth was away, and is asked again after `wait`."""
    conn.execute(
        """
        UPDATE studio.sessions SET lease = NULL, lease_ends_at = NULL, refresh_at = now() + %s
        WHERE id = %s AND lease = %s
        """,
        (wait, session, lease),
    )


def end(conn: Connection, session: UUID, why: Why) -> None:
    """End a session and forget its tokens; nothing where it has ended."""
    conn.execute(
        """
        UPDATE studio.sessions SET ended_at = now(), ended_why = %s, sealed = NULL, lease = NULL, lease_ends_at = NULL
        WHERE id = %s AND ended_at IS NULL
        """,
        (why, session),
    )


def end_by_cookie(
    conn: Connection, token_hash: bytes, why: Why
) -> tuple[UUID, PersonId, bytes | None] | None:
    """End the session of that cookie; its id, its person and what its tokens were. None where none stood."""
    return conn.execute(
        """
        WITH before AS (
            SELECT id, person, sealed FROM studio.sessions
            WHERE token_hash = %s AND ended_at IS NULL FOR UPDATE
        )
        UPDATE studio.sessions s
        SET ended_at = now(), ended_why = %s, sealed = NULL, lease = NULL, lease_ends_at = NULL
        FROM before WHERE s.id = before.id
        RETURNING before.id, before.person, before.sealed
        """,
        (token_hash, why),
    ).fetchone()


def end_of_person(conn: Connection, person: PersonId, why: Why) -> list[tuple[UUID, bytes | None]]:
    """End every session of a person, also one whose sign-in is under way; ids, and what their tokens were, the freshest
    access first.
    """
    _one_after_the_other(conn, person)
    _cut_off(conn, person)
    return conn.execute(
        """
        WITH before AS (
            SELECT id, sealed, access_ends_at FROM studio.sessions
            WHERE person = %s AND ended_at IS NULL FOR UPDATE
        ), ended AS (
            UPDATE studio.sessions s
            SET ended_at = now(), ended_why = %s, sealed = NULL, lease = NULL, lease_ends_at = NULL
            FROM before WHERE s.id = before.id
        )
        SELECT id, sealed FROM before ORDER BY access_ends_at DESC
        """,
        (person, why),
    ).fetchall()


def set_roles(conn: Connection, person: PersonId, roles: Iterable[str]) -> int:
    """Give a person's open sessions these roles from now on; how many there were. A sign-in under way, which Auth may
    have answered with the roles of before, is to be made again.
    """
    _one_after_the_other(conn, person)
    _cut_off(conn, person)
    return conn.execute(
        """
        UPDATE studio.sessions SET roles = %s::text[], roles_set_at = clock_timestamp()
        WHERE person = %s AND ended_at IS NULL
        """,
        (list(roles), person),
    ).rowcount


def purge(conn: Connection, *, idle: timedelta, kept: timedelta) -> int:
    """Delete sessions that ended longer than `kept` ago, by whatever end; how many."""
    return conn.execute(
        """
        DELETE FROM studio.sessions
        WHERE ended_at < now() - %(kept)s OR ends_at < now() - %(kept)s OR last_seen_at < now() - %(idle)s - %(kept)s
        """,
        {"idle": idle, "kept": kept},
    ).rowcount
