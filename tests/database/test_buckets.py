"""What the migration of the buckets makes where Supabase Storage stands, on a database with the storage's tables as the
real server makes them (reference/supabase.md §3), and that it does nothing anywhere else.
"""

from __future__ import annotations

import json
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest

from core import images
from core.db import migrate
from core.storage import BUCKETS, PUBLIC_ASSETS
from core.storage.supabase import MEDIA_TYPES
from tests.supabase.storage_schema import SCHEMA

FILE = (migrate.FOLDER / "20261122095000_buckets.sql").read_text()
ANA, BEN = "0f6c0000-0000-4000-8000-00000000000a", "0f6c0000-0000-4000-8000-00000000000b"
THEIRS = """
    CREATE POLICY studio_of_the_platform ON storage.objects FOR SELECT TO authenticated USING (bucket_id = 'theirs');
"""
OURS = {
    "studio_owner_reads_own_folder",
    "studio_team_reads_pictures",
    "studio_team_reads_attribute_images",
}


@pytest.fixture
def owner(dsn):
    """A connection as the owner of the storage's tables."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(SCHEMA + THEIRS)
        yield conn


def buckets(conn):
    rows = conn.execute("SELECT id, public, file_size_limit, allowed_mime_types FROM storage.buckets")
    return {name: tuple(rest) for name, *rest in rows}


def policies(conn):
    rows = conn.execute(
        "SELECT policyname, cmd, roles::text[] FROM pg_policies WHERE schemaname = 'storage' ORDER BY 1"
    )
    return {name: (cmd, roles) for name, cmd, roles in rows}


def seen(conn, person, *roles):
    """Which objects somebody sees with their own token, as the storage asks."""
    claims = {"sub": person, "role": "authenticated", "app_metadata": {"roles": list(roles)}}
    with conn.transaction():
        conn.execute("SET LOCAL ROLE authenticated")
        conn.execute("SELECT set_config('request.jwt.claims', %s, true)", [json.dumps(claims)])
        return {
            f"{bucket}/{name}" for bucket, name in conn.execute("SELECT bucket_id, name FROM storage.objects")
        }


def test_without_the_storages_tables_nothing_is_made(dsn):
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(FILE)

        assert conn.execute("SELECT to_regnamespace('storage')").fetchone() == (None,)


def test_the_buckets_are_those_that_are_made_over_http_with_the_same_limits(owner):
    owner.execute(FILE)

    assert buckets(owner) == {
        name: (name == PUBLIC_ASSETS, images.MAX_BYTES, [*MEDIA_TYPES]) for name in BUCKETS
    }


def test_a_second_time_and_beside_the_platforms_own_nothing_of_theirs_changes(owner):
    owner.execute(
        "INSERT INTO storage.buckets (id, name, public) VALUES ('user-library', 'user-library', true)"
    )
    owner.execute(FILE)
    owner.execute(FILE)

    assert buckets(owner)["user-library"] == (True, None, None)
    assert set(policies(owner)) == {"studio_of_the_platform", *OURS}
    assert all(policies(owner)[name] == ("SELECT", ["authenticated"]) for name in OURS)


def test_who_sees_which_objects_with_a_token_of_their_own(owner):
    owner.execute(FILE)
    objects = [
        f"user-library/{ANA}/portraits/one.png",
        f"workspace-temp/{ANA}/two.png",
        f"reference_images/{BEN}/three.png",
        "attribute-originals/age/30s.png",
        "assets/style-images/anime.jpg",
    ]
    for one in objects:
        bucket, _, name = one.partition("/")
        owner.execute("INSERT INTO storage.objects (bucket_id, name) VALUES (%s, %s)", [bucket, name])

    assert seen(owner, ANA) == set()  # a customer of the platform
    assert seen(owner, ANA, "editor") == {*objects[:2], *objects[3:]}
    assert seen(owner, BEN, "editor") == set(objects[2:])
    for role in ("qa", "product", "admin"):
        assert seen(owner, str(uuid4()), role) == set(objects)


@pytest.mark.parametrize(
    "write",
    [
        f"INSERT INTO storage.objects (bucket_id, name) VALUES ('user-library', '{ANA}/x.png')",
        "UPDATE storage.objects SET name = 'y' RETURNING 1",
        "DELETE FROM storage.objects RETURNING 1",
    ],
)
def test_nobody_writes_objects_with_a_token_of_their_own(owner, write):
    owner.execute(FILE)
    owner.execute(f"INSERT INTO storage.objects (bucket_id, name) VALUES ('user-library', '{ANA}/one.png')")
    claims = {"sub": ANA, "role": "authenticated", "app_metadata": {"roles": ["editor", "admin"]}}

    with owner.transaction():
        owner.execute("SET LOCAL ROLE authenticated")
        owner.execute("SELECT set_config('request.jwt.claims', %s, true)", [json.dumps(claims)])
        if write.startswith("INSERT"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), owner.transaction():
                owner.execute(write)
        else:
            assert owner.execute(write).fetchall() == []


@pytest.mark.parametrize("owns", [True, False])
def test_a_login_that_is_no_superuser_makes_what_it_may_and_fails_at_nothing(server, dsn, owner, owns):
    login = f"plain_{uuid4().hex[:8]}"
    server.run(f"CREATE ROLE {login} LOGIN NOSUPERUSER")
    try:
        owner.execute(f"GRANT USAGE, CREATE ON SCHEMA storage TO {login}")
        owner.execute(f"GRANT USAGE ON SCHEMA studio, auth TO {login}")
        if owns:
            owner.execute(f"ALTER TABLE storage.buckets OWNER TO {login}")
            owner.execute(f"ALTER TABLE storage.objects OWNER TO {login}")
        said = []
        with psycopg.connect(_as(dsn, login), autocommit=True) as conn:
            conn.add_notice_handler(lambda notice: said.append(notice.message_primary))
            conn.execute(FILE)

        assert set(buckets(owner)) == (set(BUCKETS) if owns else set())
        assert set(policies(owner)) >= OURS if owns else OURS.isdisjoint(policies(owner))
        assert len(said) == (0 if owns else 1 + len(OURS))
    finally:
        owner.execute(f"DROP OWNED BY {login} CASCADE")
        server.run(f"DROP ROLE {login}")


def _as(dsn, role):
    parts = urlsplit(dsn)
    return urlunsplit(parts._replace(netloc=f"{role}@{parts.netloc.rpartition('@')[2]}"))
