"""Everything at once, at random, for CHAOS_SECONDS: dying and frozen workers, a dying database, moody providers,
webhooks that come twice or late or forged or never, a storage that goes away, people who cancel. Afterwards every picture that a provider finished is saved once, or says
why not, and what the providers charged for stands in our ledger.
"""

import os
import random
import signal
import time
from pathlib import Path

import psycopg
import pytest
from starlette.requests import HTTPConnection

from core import api, generation
from core.errors import StudioError
from core.values import JobId, PortraitRequest
from tests.chaos.plant import Plant, open_plant
from tests.chaos.stores import Store, open_store
from tests.fix_services import serving
from tests.ports import free_port

SECONDS = float(os.environ.get("CHAOS_SECONDS", "120"))
SEED = int(os.environ.get("CHAOS_SEED", str(random.SystemRandom().randrange(10**6))))
# What each provider is asked for; together they see every way an answer comes.
MODELS = (
    "fal-ai/flux/dev",
    "black-forest-labs/flux-schnell",
    "txt2img/sd_xl_base_1.0.safetensors",
    "worker-sdxl",
)
LIMITS = {"FAL_LIMIT": "6", "REPLICATE_LIMIT": "4", "NOVITA_LIMIT": "4", "RUNPOD_LIMIT": "4"}
# Each of these leaves a finished picture that must be saved, or an end that says why there is none.
FAULTS = (
    {"at": "submit", "kind": "rate_limited", "retry_after": "1"},
    {"at": "submit", "kind": "server_error", "status": 503, "request_id": False, "accepted": False},
    {"at": "submit", "kind": "server_error", "status": 500, "accepted": True},
    {"at": "submit", "kind": "reset_before"},
    {"at": "submit", "kind": "reset_after"},
    {"at": "status", "kind": "server_error", "status": 502},
    {"at": "status", "kind": "reset_after"},
    {"at": "result", "kind": "server_error", "status": 500},
    {"at": "media", "kind": "truncated"},
    {"at": "media", "kind": "html"},
    {"at": "media", "kind": "cut"},
    {"at": "outcome", "kind": "content_policy"},
    {"at": "outcome", "kind": "blank"},
    {"at": "outcome", "kind": "media_expired"},
    {"at": "outcome", "kind": "regress"},
    {"at": "outcome", "kind": "late_result"},
    {"at": "webhook", "kind": "doubled"},
    {"at": "webhook", "kind": "doubled"},
    {"at": "webhook", "kind": "out_of_order"},
    {"at": "webhook", "kind": "forged"},
    {"at": "webhook", "kind": "stale", "seconds": 4000},
    {"at": "webhook", "kind": "slow", "seconds": 3},
    {"at": "webhook", "kind": "lost"},
)


@pytest.mark.chaos
@pytest.mark.timeout(SECONDS + 240)
@pytest.mark.parametrize("kind", ["folder", "supabase"])
def test_nothing_paid_is_lost_and_nothing_is_paid_twice(tmp_path_factory, kind):
    print(f"CHAOS_SEED={SEED}, {SECONDS / 2:.0f} s on {kind} storage")
    chance = random.Random(SEED)
    port = free_port()
    settings = {"GIVE_UP_AFTER": "20", "PUBLIC_URL": f"http://127.0.0.1:{port}", **LIMITS}
    with (
        open_store(kind) as store,
        open_plant(tmp_path_factory.mktemp("chaos"), None, **settings, **store.settings()) as plant,
        serving(api.build(plant.services, Nobody()), port=port),
    ):
        plant.emulator.set(latency=0.4, format="jpeg", width=512, height=768)
        storm = Storm(plant, store, chance)
        storm.rage(SECONDS / 2)
        storm.calm_down()

        told = storm.tally()
        print(told)
        assert told["unfinished"] == 0, plant.log_text()[-6000:]
        assert told["sent_twice"] == 0
        assert told["lost"] == [], plant.log_text()[-6000:]
        assert told["doubled"] == 0
        assert told["charged and shown as free"] == []
        assert told["leaked_keys"] == 0
        assert told["saved"] > 0


class Nobody:
    """A gate that knows no person: webhooks need none."""

    def person(self, _conn: HTTPConnection) -> None:
        return None


class Storm:
    """Two workers under fire."""

    def __init__(self, plant: Plant, store: Store, chance: random.Random) -> None:
        self.plant = plant
        self.store = store
        self.chance = chance
        self.character = plant.make_character()
        self.jobs: dict[JobId, str] = {}
        self.workers = [plant.start_worker(), plant.start_worker()]
        self.blows = 0

    def rage(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            strike = self.chance.choice(
                [self.ask] * 6
                + [self.spoil] * 3
                + [self.spoil_storage, self.cancel, self.kill, self.freeze, self.terminate]
            )
            strike()
            if self.chance.random() < 0.01:
                self.kill_postgres()
            time.sleep(self.chance.uniform(0.02, 0.5))

    def ask(self) -> None:
        word = f"number {len(self.jobs)} of the storm"
        key = self.chance.choice(MODELS)
        try:
            known = generation.models_for(self.plant.person, self.plant.services)
            model = next(one.model.id for one in known if one.model.model_key == key)
            wanted = PortraitRequest(character_id=self.character.id, own_words=word, model_id=model)
            asked = generation.request(wanted, self.plant.person, self.plant.services)
        except StudioError:
            return  # the database is away: the person sees it and asks again
        self.jobs[asked.job_id] = word

    def cancel(self) -> None:
        if self.jobs:
            try:
                job_id = self.chance.choice(list(self.jobs))
                generation.cancel(job_id, self.plant.person, self.plant.services)
            except StudioError:
                return

    def spoil(self) -> None:
        self.plant.emulator.fault(**self.chance.choice(FAULTS))

    def spoil_storage(self) -> None:
        self.blows += 1
        self.store.spoil(self.chance, Path(self.plant.environment["STUDIO_HOME"]))

    def kill(self) -> None:
        self.replace(signal.SIGKILL)

    def terminate(self) -> None:
        self.replace(signal.SIGTERM)

    def replace(self, number: signal.Signals) -> None:
        self.blows += 1
        place = self.chance.randrange(len(self.workers))
        self.workers[place].send_signal(number)
        self.workers[place] = self.plant.start_worker()
        time.sleep(1.0)

    def freeze(self) -> None:
        self.blows += 1
        victim = self.chance.choice(self.workers)
        victim.send_signal(signal.SIGSTOP)
        time.sleep(self.chance.uniform(0.5, 3.0))
        victim.send_signal(signal.SIGCONT)

    def kill_postgres(self) -> None:
        self.blows += 1
        for pid_file in Path(self.plant.environment["STUDIO_HOME"]).rglob("postmaster.pid"):
            os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)

    def calm_down(self) -> None:
        """No more faults; whoever is left finishes."""
        for kept in self.workers:
            kept.send_signal(signal.SIGCONT)
        self.plant.emulator.calm()
        ends = time.monotonic() + 120
        while time.monotonic() < ends and (self.unfinished() or self.open_receipts()):
            time.sleep(0.5)

    def unfinished(self) -> int:
        return self.count(
            "SELECT count(*) FROM jobs WHERE status IN ('queued', 'processing') AND stage IS DISTINCT FROM"
            " 'outcome_unknown' OR status = 'completed' AND stage IS DISTINCT FROM 'saved'"
        )

    def open_receipts(self) -> int:
        return self.count(
            "SELECT count(*) FROM studio.submissions s JOIN jobs j ON j.id = s.job_id WHERE s.outcome IS NULL AND"
            # a result that was not found is asked for until its deadline, which is an hour away
            " s.receipt IS NOT NULL AND j.error_code IS DISTINCT FROM 'RESULT_LOST'"
        )

    def count(self, statement: str) -> int:
        try:
            with psycopg.connect(self.plant.dsn) as conn:
                return conn.execute(statement).fetchone()[0]
        except psycopg.OperationalError:
            return 1

    def tally(self) -> dict[str, object]:
        accepted = self.accepted_words()
        saved, unknown = self.words_where("l.id IS NOT NULL"), self.words_where("j.stage = 'outcome_unknown'")
        explained = self.words_where("j.status IN ('failed', 'cancelled')")
        finished_well = [word for word, good, _ in accepted if good]
        charged = {word for word, _, charged in accepted if charged}
        return {
            "jobs": len(self.jobs),
            "blows": self.blows,
            "accepted": len(accepted),
            "saved": len(saved),
            "unknown": len(unknown),
            "failed or cancelled": len(explained),
            "webhooks": self.webhooks(),
            "unfinished": self.unfinished(),
            "sent_twice": len(accepted) - len({word for word, _, _ in accepted}),
            "lost": sorted(set(finished_well) - saved - unknown),
            "doubled": self.count(
                "SELECT count(*) FROM (SELECT 1 FROM user_library GROUP BY split_part(storage_path, '/', 4)"
                " HAVING count(*) > 1) d"
            ),
            "charged and shown as free": sorted(charged - self.words_with_spend()),
            "leaked_keys": self.plant.emulator.counts(requests=False)["leaked_keys"],
        }

    def webhooks(self) -> dict[str, int]:
        """What the webhooks that came did, by our own record."""
        with psycopg.connect(self.plant.dsn) as conn:
            return dict(
                conn.execute(
                    "SELECT deed, count(*) FROM studio.callbacks GROUP BY deed ORDER BY deed"
                ).fetchall()
            )

    def accepted_words(self) -> list[tuple[str, bool, bool]]:
        """For each request a provider took: which job's words it held, whether a good picture came of it, and
        whether it was charged.
        """
        found = []
        for line in self.plant.emulator.counts()["requests"]:
            whole = self.plant.emulator.request(line["id"])
            word = next(one for one in self.jobs.values() if f"{one}," in whole["prompt"])
            good = line["stand"] == "finished" and is_good(whole)
            found.append((word, good, float(line["units"]) > 0))
        return found

    def words_with_spend(self) -> set[str]:
        """The jobs our ledger shows an amount for, or an unknown one; the rest it shows as free."""
        return self._words("SELECT job_id FROM studio.spend WHERE is_unknown OR amount_usd > 0")

    def words_where(self, condition: str) -> set[str]:
        return self._words(
            f"SELECT j.id FROM jobs j LEFT JOIN user_library l ON l.job_id = j.id WHERE {condition}"
        )

    def _words(self, statement: str) -> set[str]:
        with psycopg.connect(self.plant.dsn) as conn:
            rows = conn.execute(statement).fetchall()
        return {self.jobs[JobId(row[0])] for row in rows if JobId(row[0]) in self.jobs}


def is_good(request: dict) -> bool:
    """Fates after which no picture is to be had, whatever we do."""
    return request.get("kind") not in {"content_policy", "blank", "media_expired"}
