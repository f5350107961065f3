"""compose's commands start as Docker would start them, and their health checks see whether they work.

The whole of it, with a fresh environment and an account without rights: python -m tests.deployment.rehearse.
"""

import subprocess
import sys
from pathlib import Path

from tests.deployment.compose import ROOT
from tests.deployment.rehearse import Stage, contents, lay_out, play


def test_the_dashboard_and_a_worker_start_from_a_folder_they_do_not_write_to(dsn, tmp_path):
    stage = Stage(tmp_path, Path(sys.executable), None)
    before = lay_out(stage.app)

    trials = {one.service: one for one in play(stage, ("audit", "worker"), dsn)}

    assert {name: one.status for name, one in trials.items()} == {"audit": 143, "worker": 0}
    assert contents(stage.app) == before
    assert not {"tests", "docs", ".env", "deploy"} & {path.split("/")[0] for path in before}


def test_a_health_check_says_who_does_not_work(dsn, tmp_path):
    for what, words in {
        "studio": "The studio does not answer on port 1.",
        "worker": "No worker of this machine was heard of lately.",
    }.items():
        environment = {"DATABASE_URL": dsn, "STUDIO_PORT": "1", "STUDIO_HOME": str(tmp_path)}
        asked = subprocess.run(
            [sys.executable, "-m", "core.alive", what],
            cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

        assert (asked.returncode, asked.stdout.strip()) == (1, words), asked.stderr
