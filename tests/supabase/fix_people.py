"""One database a module for tests that only need auth.users: a clone for each would cost more than the tests."""

import os
from collections.abc import Iterator

import pytest

from core.db import Database
from tests.fix_database import Server, Servers

# What Supabase's own table has beyond our stand-in, which was never made there.
_MORE = """
    ALTER TABLE auth.users ADD raw_user_meta_data jsonb, ADD updated_at timestamptz, ADD email_confirmed_at timestamptz,
      ADD last_sign_in_at timestamptz, ADD invited_at timestamptz, ADD banned_until timestamptz, ADD role text, ADD aud text;
    DELETE FROM studio.schema_migrations WHERE version = '20261120090000'
"""


@pytest.fixture(scope="module")
def people_server(servers: Servers) -> Server:
    return servers.get("given" if os.environ.get("TEST_DATABASE_URL") else "embedded")


@pytest.fixture(scope="module")
def own_database(servers: Servers, people_server: Server) -> Iterator[Database]:
    with people_server.database(servers.template(people_server)) as dsn:
        opened = Database.open(dsn, max_size=2, share_with_team=True, was_looked_at=True)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def project_database(servers: Servers, people_server: Server) -> Iterator[Database]:
    """As Supabase has it."""
    with people_server.database(servers.template(people_server)) as dsn:
        opened = Database.open(dsn, max_size=2, share_with_team=True, was_looked_at=True)
        with opened.as_service() as conn:
            conn.execute(_MORE)
        yield opened
        opened.close()


@pytest.fixture
def nobody_here(own_database: Database) -> Database:
    """Our stand-in for auth.users, with nobody in it."""
    return _emptied(own_database)


@pytest.fixture
def nobody_there(project_database: Database) -> Database:
    """auth.users as Supabase has it, with nobody in it."""
    return _emptied(project_database)


def _emptied(database: Database) -> Database:
    with database.as_service() as conn:
        conn.execute("DELETE FROM auth.users")
    return database
