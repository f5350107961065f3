"""The platform beside us for PLATFORM_SECONDS: its functions and pages write as ever, with their faults, while two workers,
people of the studio and all upkeep work on the same rows. No statement of the platform fails or waits for long, none of
ours is lost, and the rows are right at the end, by SQL that knows nothing of the product's own questions.

Five minutes carry an hour: 20,000 statements and more, as a platform makes that writes and reads six times a second.
"""

import json
import os
import random
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from core import proof, row_rules
from core.db import migrate
from core.storage.folder import FolderStorage
from tests.chaos import end_state
from tests.chaos.colleagues import Colleagues
from tests.chaos.plant import Plant, open_plant, wait_until
from tests.platform.flows import Platform, Report

SECONDS = float(os.environ.get("PLATFORM_SECONDS") or ("300" if os.environ.get("SOAK") else "60"))
SEED = int(os.environ.get("CHAOS_SEED", str(random.SystemRandom().randrange(10**6))))
ALONE = 10.0  # seconds the platform runs without us, on its old database
THREADS = 4
LONGEST = 2.0  # seconds any statement of the platform may take
SUPABASE = "https://project.supabase.co"
FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.mark.chaos
@pytest.mark.timeout(SECONDS + ALONE + 240)
def test_the_platform_writes_as_ever_beside_us_and_the_rows_are_right(
    server, tmp_path, record_property, monkeypatch
):
    print(f"CHAOS_SEED={SEED}, {SECONDS:.0f} s")
    with server.database("template0") as dsn:
        build_old(dsn)
        platform = Platform(dsn, seed=SEED, objects=FolderStorage(tmp_path / "studio" / "objects"))
        before = run_for(platform, ALONE)
        assert [one for one in before.failures if one.sqlstate != "40P01"] == []
        migrate.migrate(dsn, supabase_url=SUPABASE, say=lambda _: None)
        adopted_at = datetime.now(UTC)
        with open_plant(tmp_path, dsn, AUTOSAVE_DELAY="1", FAL_LIMIT="6") as plant:
            plant.emulator.set(latency=0.4, format="jpeg", width=256, height=384)
            people = Colleagues(plant, platform)
            during = side_by_side(plant, platform, people)
            known = end_state.Known(
                since=adopted_at,
                asked=people.asked,
                late=list(during.late_errors),
                deleted=list(during.deleted),
                hidden=list(people.hidden),
                quiet=[one.id for one in people.quiet],
            )
            end_state.hurry(dsn)
            settled = wait_until(lambda: not end_state.unsettled(dsn, known), seconds=90)
            left = {} if settled else end_state.unsettled(dsn, known)
            plant.end_workers()
            monkeypatch.setattr(proof, "_SETTLES", 0.0)  # nothing is on its way any more
            proof.run_proof(plant.services)
            row_rules.sweep(plant.services)

            repeats, collisions = told_by(plant)
            figures = end_state.counts(dsn)
            print(f"before: {words(before)}")
            print(f"beside: {words(during)}")
            print(f"flows: {dict(during.flows)}")
            print(f"ours: {len(people.asked)} asked, {dict(people.deeds)}, {dict(people.answers)}")
            print(f"repeated: {repeats}; {figures}")
            record_property(
                "figure",
                ["The platform beside us", f"{SECONDS:.0f} s, {words(during)}; repeats of ours {repeats}"],
            )
            problems = {
                "failures of the platform": [str(one) for one in during.failures],
                "what core refused": [one for one in people.answers if one != "usual"],
                "given up by our workers": collisions,
                "paid twice": plant.emulator.counts(requests=False)["charged"] - len(people.asked),
                "left to do": left,
                **end_state.wrong(dsn, known),
            }
            assert {name: found for name, found in problems.items() if found} == {}, plant.log_text()[-4000:]
            assert during.slowest_seconds < LONGEST, during.slowest_statement


def build_old(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute((migrate.FOLDER / "20261120090000_supabase_stand_ins.sql").read_text())
        conn.execute((FIXTURES / "old_schema.sql").read_text())


def run_for(platform: Platform, seconds: float) -> Report:
    until = threading.Event()
    ends = threading.Timer(seconds, until.set)
    ends.start()
    try:
        return platform.run(until, THREADS)
    finally:
        until.set()
        ends.cancel()


def side_by_side(plant: Plant, platform: Platform, people: Colleagues) -> Report:
    """Everybody at once; the platform ends first, then the people, then the upkeep."""
    people.begin()
    plant.start_worker()
    plant.start_worker()
    until = threading.Event()
    with ThreadPoolExecutor(3) as pool:
        others = [
            pool.submit(people.work, until, SEED),
            pool.submit(people.work, until, SEED + 1),
            pool.submit(people.keep_up, until),
        ]
        try:
            report = run_for(platform, SECONDS)
        finally:
            until.set()
        for other in others:
            other.result(timeout=120)
    return report


def told_by(plant: Plant) -> tuple[int, int]:
    """What the workers say in their logs: transactions that let go and came again, and those that gave up."""
    text = plant.log_text()
    return len(re.findall("transaction_repeated", text)), len(re.findall("COLLISION", text))


def words(report: Report) -> str:
    return json.dumps(
        {
            "statements": report.statements,
            "failures": len(report.failures) - report.deadlocks,
            "deadlocks": report.deadlocks,
            "longest wait (s)": round(report.slowest_seconds, 2),
            "in": report.slowest_statement[:90],
        }
    )
