"""auth.users, on a database of our own: characters hang on their owner's row."""

from __future__ import annotations

from core.db import Connection
from core.values import PersonId


def insert_missing(conn: Connection, person: PersonId, email: str) -> None:
    """A row for a person who signs in by being on this machine; nothing where it stands."""
    conn.execute("INSERT INTO auth.users (id, email) VALUES (%s, %s) ON CONFLICT DO NOTHING", (person, email))
