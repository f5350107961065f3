"""Several processes that start at the same moment bring the database up to date once (docs/upgrading.md)."""

import os
import shutil
import subprocess
import sys

import psycopg
import pytest

from core.db.migrate import FOLDER, migrate
from tests.deployment.compose import ROOT

LAST_VERSION = "20261122"  # what came before part 6
START = """
from core.services import open_services
from core.settings import Settings
with open_services(Settings(_env_file=None)) as services, services.db.as_service() as conn:
    conn.execute("SELECT 1")
"""


@pytest.mark.parametrize("applied", ["nothing", "the last version"])
def test_processes_that_start_at_once_apply_each_file_once(applied, empty_dsn, tmp_path):
    files = sorted(path.name for path in FOLDER.glob("*.sql"))
    if applied == "the last version":
        older = tmp_path / "older"
        older.mkdir()
        for name in files:
            if name < LAST_VERSION:
                shutil.copy(FOLDER / name, older)
        migrate(empty_dsn, folder=older, say=lambda _: None)
    environment = os.environ | {"DATABASE_URL": empty_dsn, "STUDIO_HOME": str(tmp_path / "home")}

    processes = [
        subprocess.Popen(
            [sys.executable, "-c", START], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    said = [process.communicate(timeout=120)[1] for process in processes]

    assert [process.returncode for process in processes] == [0, 0, 0], said
    with psycopg.connect(empty_dsn) as conn:
        recorded = conn.execute("SELECT version FROM studio.schema_migrations ORDER BY version").fetchall()
    assert [version for (version,) in recorded] == [name[:14] for name in files]
