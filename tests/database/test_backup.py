"""What a server of each version writes into a backup, its own programs bring back."""

from __future__ import annotations

import pytest

from core import backup
from core.db import dumps, parts
from core.errors import SetupFailed
from core.storage.folder import FolderStorage
from tests.database import rights_table


@pytest.fixture
def target(server):
    """An empty database of the same server."""
    with server.database("template0") as address:
        yield address


def test_a_row_of_every_table_comes_back_and_no_part_of_the_schema_is_missing(dsn, target, tmp_path):
    with dumps.opened(dsn) as conn:
        rights_table.plant(conn, rights_table.LINES)

    made = backup.backup(tmp_path / "backup", dsn, FolderStorage(tmp_path / "empty"))
    backup.restore(tmp_path / "backup", target, FolderStorage(tmp_path / "new"), go_on=True)

    assert all(one.rows for one in made.manifest.tables if not one.name.startswith("studio_queue."))
    with dumps.opened(target) as conn:
        assert {one: dumps.hash_of(conn, one.name) for one in made.manifest.tables} == {
            one: one for one in made.manifest.tables
        }
        assert parts.missing(conn) == ()


def test_a_backup_of_supabases_accounts_does_not_go_where_there_are_none(dsn, target, tmp_path):
    with dumps.opened(dsn) as conn:  # as it stands in a project: the accounts are not ours
        conn.execute("DELETE FROM studio.schema_migrations WHERE version = '20261120090000'")
    backup.backup(tmp_path / "backup", dsn, FolderStorage(tmp_path / "empty"))

    with pytest.raises(SetupFailed, match="accounts Supabase keeps"):
        backup.restore(tmp_path / "backup", target, FolderStorage(tmp_path / "new"))
