"""Two workers, two hundred pictures, one worker killed in the middle."""

import signal

import psycopg
import pytest

from tests.chaos.plant import open_plant, wait_until

JOBS = 200
LIMIT = 6


@pytest.mark.timeout(300)
def test_every_picture_the_provider_finished_is_saved_exactly_once(dsn, tmp_path):
    with open_plant(tmp_path, dsn, FAL_LIMIT=str(LIMIT)) as plant:
        plant.emulator.set(latency=0.15, format="jpeg", width=512, height=768)
        jobs = plant.ask(plant.make_character(), count=JOBS)
        victim, _other = plant.start_worker(), plant.start_worker()
        assert wait_until(lambda: plant.emulator.counts()["finished"] > JOBS // 4, seconds=90)

        victim.send_signal(signal.SIGKILL)
        plant.wait_until_settled(jobs, seconds=150)

        counts = plant.emulator.counts(requests=False)
        saved, unknown = totals(dsn)
        assert saved + unknown == JOBS, plant.log_text()[-4000:]
        assert unknown <= LIMIT  # only what was between sending and its receipt at that moment
        assert counts["submits"] <= JOBS
        assert saved + unknown >= counts["finished"] >= saved
        assert counts["max_unfinished"] <= LIMIT
        assert doubled(dsn) == 0


def totals(dsn: str) -> tuple[int, int]:
    with psycopg.connect(dsn) as conn:
        saved = conn.execute(
            """
            SELECT count(*) FROM jobs j JOIN workspace_assets a ON a.job_id = j.id
            JOIN user_library l ON l.job_id = j.id JOIN character_portraits p ON p.job_id = j.id
            WHERE j.status = 'completed' AND j.stage = 'saved' AND a.sha256 = l.sha256 AND l.sha256 = p.sha256
            """
        ).fetchone()
        unknown = conn.execute("SELECT count(*) FROM jobs WHERE stage = 'outcome_unknown'").fetchone()
    return saved[0], unknown[0]


def doubled(dsn: str) -> int:
    """Jobs with two of anything, and characters with other than one primary."""
    with psycopg.connect(dsn) as conn:
        row = conn.execute(
            """
            SELECT (SELECT count(*) FROM (SELECT job_id FROM workspace_assets GROUP BY 1 HAVING count(*) > 1) a)
                 + (SELECT count(*) FROM (SELECT split_part(storage_path, '/', 4) FROM user_library GROUP BY 1 HAVING count(*) > 1) l)
                 + (SELECT count(*) FROM (SELECT image_url FROM character_portraits GROUP BY 1 HAVING count(*) > 1) p)
                 + (SELECT count(*) FROM (SELECT request_id FROM studio.submissions GROUP BY 1 HAVING count(*) > 1 AND request_id IS NOT NULL) s)
                 + (SELECT count(*) FROM (SELECT character_id FROM character_portraits GROUP BY 1
                                          HAVING count(*) FILTER (WHERE is_primary) <> 1) c)
            """
        ).fetchone()
    return row[0]
