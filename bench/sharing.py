"""What sharing one character costs the lists of an editor: 200,000 characters, as many portraits and library rows, and
1,000,000 jobs of fifty people; twenty characters are shared with the one who asks. Beside each figure stands the same
question where the policies for members are taken away.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Callable, Generator
from uuid import UUID

import psycopg
from psycopg import sql

from bench.figures import Figure
from bench.world import home, settings
from core.db import Connection, characters, jobs, library, portraits
from core.db.library import LibraryQuery
from core.services import Services, open_services
from core.values import CharacterId, Person, PersonId, Role

CHARACTERS = int(os.environ.get("SHARING_CHARACTERS", "200000"))
JOBS_EACH = 5
PEOPLE = 50
SHARED = 20
TIMES = 15

_FILL = (
    """
    INSERT INTO auth.users (id, email)
    SELECT ('00000000-0000-4000-9000-' || lpad(n::text, 12, '0'))::uuid, 'person' || n || '@example.org'
    FROM generate_series(1, %(people)s) n
    """,
    """
    INSERT INTO public.characters (id, user_id, name, description, updated_at)
    SELECT ('00000000-0000-4000-a000-' || lpad(n::text, 12, '0'))::uuid,
        ('00000000-0000-4000-9000-' || lpad((1 + n %% %(people)s)::text, 12, '0'))::uuid, 'Person ' || n, 'x',
        now() - n * interval '1 minute'
    FROM generate_series(1, %(characters)s) n
    """,
    """
    INSERT INTO public.character_portraits (character_id, image_url, is_primary)
    SELECT c.id, 'user-library/' || c.user_id || '/portraits/' || c.id || '/x.png', true FROM public.characters c
    """,
    """
    INSERT INTO public.user_library (user_id, asset_type, storage_path, mime_type, roleplay_metadata, created_at)
    SELECT c.user_id, 'image', c.user_id || '/portraits/' || c.id || '/x.png', 'image/png',
        jsonb_build_object('character_id', c.id), c.updated_at FROM public.characters c
    """,
    """
    INSERT INTO public.jobs (user_id, character_id, job_type, status, runner, created_at)
    SELECT c.user_id, c.id, 'character_portrait', 'completed', 'studio', c.updated_at
    FROM public.characters c, generate_series(1, %(each)s)
    """,
    """
    INSERT INTO studio.character_members (character_id, user_id, can_edit)
    SELECT c.id, '00000000-0000-4000-9000-000000000001', true FROM public.characters c
    WHERE c.user_id <> '00000000-0000-4000-9000-000000000001' ORDER BY c.updated_at DESC LIMIT %(shared)s
    """,
)
ME = Person(
    id=PersonId(UUID("00000000-0000-4000-9000-000000000001")), roles=frozenset({Role.editor}), name="me"
)


def measure() -> list[Figure]:
    """Medians of an editor's questions, each beside the same one without the policies for members."""
    with home() as folder, open_services(settings(folder, team_sharing=False)) as services:
        _fill(services)
        shared = _one_shared(services)
        asked: dict[str, Callable[[Connection], object]] = {
            "the selector's first page": lambda conn: characters.list_recent(conn, ME.id),
            "a character that is shared, opened": lambda conn: characters.get(conn, shared),
            "its portraits": lambda conn: portraits.of_character(conn, shared),
            "its jobs": lambda conn: jobs.open_of_character(conn, shared),
            "the library's first page": lambda conn: library.search(
                conn, LibraryQuery(), after=None, limit=60
            ),
            "every job there is, counted": lambda conn: conn.execute(
                "SELECT count(*) FROM public.jobs"
            ).fetchone(),
        }
        return [_figure(what, question, services) for what, question in asked.items()]


def _fill(services: Services) -> None:
    values = {"people": PEOPLE, "characters": CHARACTERS, "each": JOBS_EACH, "shared": SHARED}
    with psycopg.connect(services.db.dsn) as conn:
        conn.execute("SET session_replication_role = replica")
        for statement in _FILL:
            conn.execute(statement, values)
    with psycopg.connect(services.db.dsn, autocommit=True) as conn:
        conn.execute("VACUUM (ANALYZE)")


def _one_shared(services: Services) -> CharacterId:
    with services.db.as_service() as conn:
        row = conn.execute("SELECT character_id FROM studio.character_members LIMIT 1").fetchone()
    assert row is not None
    return CharacterId(row[0])


def _figure(what: str, question: Callable[[Connection], object], services: Services) -> Figure:
    times = 3 if what.startswith("every") else TIMES
    now = statistics.median(_taken(question, services, is_before=False) for _ in range(times))
    before = statistics.median(_taken(question, services, is_before=True) for _ in range(times))
    note = f"{CHARACTERS:,} characters, {CHARACTERS * JOBS_EACH:,} jobs; floor: without the members' policies"
    return Figure(what=f"{what}, as a member", measured=now, unit="ms", floor=before, note=note)


def _taken(question: Callable[[Connection], object], services: Services, *, is_before: bool) -> float:
    """Milliseconds of one question in a transaction that is undone."""
    with _as_me(services, is_before=is_before) as conn:
        began = time.perf_counter()
        question(conn)
        return (time.perf_counter() - began) * 1000


@contextlib.contextmanager
def _as_me(services: Services, *, is_before: bool) -> Generator[Connection]:
    with psycopg.connect(services.db.dsn) as conn:
        if is_before:
            _without_members(conn)
        claims = f'{{"sub": "{ME.id}", "app_metadata": {{"roles": ["editor"]}}}}'
        conn.execute("SELECT set_config('studio.writer', 'studio', true)")
        conn.execute(
            "SELECT set_config('role', 'authenticated', true), set_config('request.jwt.claims', %s, true)",
            (claims,),
        )
        yield conn
        conn.rollback()


def _without_members(conn: Connection) -> None:
    found = conn.execute(
        "SELECT schemaname, tablename, policyname FROM pg_policies WHERE policyname LIKE 'studio_members_%'"
    ).fetchall()
    for schema, table, policy in found:
        conn.execute(
            sql.SQL("DROP POLICY {} ON {}").format(sql.Identifier(policy), sql.Identifier(schema, table))
        )
