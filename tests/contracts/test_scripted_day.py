"""One day of mixed jobs through the product's own use cases and worker code, and at its end our ledger beside what
the emulator says it charged: equal to the micro-dollar where the provider tells, unknown exactly where it does not.

Each request carries a word of its own, by which the bill's lines are found again without asking our database.
Time passes by moving every timestamp back, not by sleeping.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest

from core import billing, generation, recovery, running
from core.db import costs
from core.providers.novita import Novita
from core.providers.replicate import Replicate
from core.providers.runpod import RunPod
from core.values import JobStage, JobStatus, PriceUnit, Role
from tests import builders
from tests.emulator import KEY
from tests.emulator.replicate import VERSION

FLUX = ("fal", "fal-ai/flux/dev")
KONTEXT = ("fal", "fal-ai/flux-pro/kontext")
SEEDREAM = ("fal", "fal-ai/bytedance/seedream/v4/text-to-image")
SCHNELL = ("replicate", "black-forest-labs/flux-schnell")
BY_TIME = ("replicate", "stability-ai/sdxl")
RUN_OUT = ("replicate", "bytedance/seedream-4")
NOVITA_NOW = ("novita", "seedream-4.0")
NOVITA_TASK = ("novita", "txt2img/sd_xl_base_1.0.safetensors")
OWN_GPU = ("runpod", "worker-sdxl")
PUBLIC = ("runpod", "seedream-v4-t2i")
SKETCH = ("sketch", "sketch/placeholder")

TARIFFS = {
    "fal-ai/flux/dev": ("megapixel", "0.025"),
    "fal-ai/flux-pro/kontext": ("image", "0.04"),
    "fal-ai/bytedance/seedream/v4/text-to-image": ("image", "0.03"),
    "black-forest-labs/flux-schnell": ("image", "0.003"),
    VERSION: ("second", "0.000725"),
    "bytedance/seedream-4": ("image", "0.03"),
    "seedream-4.0": ("image", "0.031"),
    "async/txt2img": ("image", "0.0019"),
    "own": ("second", "0.00031"),
    "seedream-v4-t2i": ("image", "0.0271"),
}
MOMENTS = (
    "UPDATE studio.cost_entries SET at = at - %(by)s",
    """
    UPDATE studio.submissions SET submitted_at = submitted_at - %(by)s, received_at = received_at - %(by)s,
        settled_at = settled_at - %(by)s, result_expires_at = result_expires_at - %(by)s
    """,
    "UPDATE studio.model_prices SET valid_from = valid_from - %(by)s, valid_until = valid_until - %(by)s",
    """
    UPDATE public.jobs SET created_at = created_at - %(by)s, started_at = started_at - %(by)s,
        completed_at = completed_at - %(by)s, heartbeat_at = heartbeat_at - %(by)s
    """,
)


@dataclass
class Day:
    """The people and services of the day, and what was asked: by word, what happened and whether it is told."""

    services: object
    ana: object
    quinn: object
    ada: object
    fal: object
    dsn: str
    character: object
    models: dict
    asked: dict = field(default_factory=dict)
    what: dict = field(default_factory=dict)

    def ask(self, word, model, what, *, told=True, **values):
        request = builders.a_request(
            self.character,
            own_words=f"beside a sign that says {word}",
            model_id=self.models[model].id,
            **values,
        )
        job_id = generation.request(request, self.ana, self.services).job_id
        self.asked[word] = [job_id]
        self.what[word] = (model, what, told)
        return job_id

    def make(self, word, model, what, *, told=True, fault=None, **values):
        """One request from click to end, with a fault of that provider."""
        if fault is not None:
            at, kind, more = fault
            self.fal.fault(at, kind, **more)
        job_id = self.ask(word, model, what, told=told, **values)
        builders.work(self.services)
        self.fal.calm()
        return job_id

    def send(self, job_id):
        """The worker sends it and leaves before it is finished."""
        self.services.stopping.set()
        with contextlib.suppress(running.AskAgain):
            running.run(job_id, self.services)
        self.services.stopping.clear()

    def pass_time(self, hours):
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            conn.execute("SET session_replication_role = replica")  # the ledger is append-only otherwise
            for statement in MOMENTS:
                conn.execute(statement, {"by": timedelta(hours=hours)})

    def status(self, word):
        return generation.outcome(self.asked[word][-1], self.ana, self.services).job.status


@pytest.fixture
def day(services, dsn, fal, ana):
    """Everybody at work, every provider configured, the providers' tariffs and the prices we know of them."""
    with (
        contextlib.closing(Replicate(KEY, base_url=f"{fal.url}/replicate")) as replicate,
        contextlib.closing(Novita(KEY, base_url=f"{fal.url}/novita")) as novita,
        contextlib.closing(RunPod(KEY, endpoint_id="own", base_url=f"{fal.url}/runpod/v2")) as runpod,
    ):
        others = {"replicate": replicate, "novita": novita, "runpod": runpod}
        everyone = replace(services, providers={**services.providers, **others})
        found = {
            (one.model.provider, one.model.model_key): one.model
            for one in generation.models_for(ana, everyone)
        }
        made = Day(
            services=everyone,
            ana=ana,
            quinn=builders.a_person(services.db, "quinn", Role.qa),
            ada=builders.a_person(services.db, "ada", Role.admin),
            fal=fal,
            dsn=dsn,
            character=builders.a_character(ana, everyone),
            models=found,
        )
        for model, (unit, usd) in TARIFFS.items():
            fal.price(model, unit, usd)
        _know(made, BY_TIME, PriceUnit.second, "0.000725")
        _know(made, OWN_GPU, PriceUnit.second, "0.00031")
        _know(made, NOVITA_TASK, PriceUnit.image, "0.0019")
        yield made


def _know(day, model, unit, usd):
    billing.set_price(
        day.models[model].id,
        unit,
        Decimal(usd) if usd else None,
        day.ada,
        day.services,
        source="the day's tariff",
    )


def _morning(day):
    day.make("alpha", FLUX, "made")
    saved = generation.outcome(day.asked["alpha"][0], day.ana, day.services).storage_path
    day.make("bravo", KONTEXT, "made from a reference", reference=f"user-library/{saved}")
    day.make("charlie", FLUX, "refused by the safety check", fault=("outcome", "content_policy", {}))
    day.make("delta", FLUX, "blacked out, charged", fault=("outcome", "black", {}))
    day.make("echo", FLUX, "blank, charged, money back", fault=("outcome", "blank", {}))
    day.make(
        "foxtrot",
        FLUX,
        "busy twice, then made",
        fault=("submit", "rate_limited", {"retry_after": "0", "count": 2}),
    )
    day.make("golf", FLUX, "its file was gone, charged", fault=("outcome", "media_expired", {}))
    day.make("hotel", FLUX, "its result was gone", told=False, fault=("outcome", "expired", {}))
    day.make("india", SEEDREAM, "made at a price nobody established", told=False)
    day.make(
        "juliett", FLUX, "answer lost, QA could not find out", told=False, fault=("submit", "reset_after", {})
    )
    day.make(
        "kilo", FLUX, "answer lost, QA found nothing charged",
        fault=("submit", "server_error", {"accepted": False}),
    )  # fmt: skip
    recovery.settle_unknown(
        day.asked["juliett"][0], day.quinn, day.services, billed=None, why="no such page there"
    )
    recovery.settle_unknown(
        day.asked["kilo"][0], day.quinn, day.services, billed=False, why="not in their list"
    )
    failed = day.make(
        "retry", FLUX, "failed free of charge, then made again", fault=("outcome", "model_error", {})
    )
    day.asked["retry"].append(generation.retry(failed, day.ana, day.services).job_id)
    builders.work(day.services)


def _cancelled(day):
    waiting = day.ask("lima", FLUX, "cancelled before it was sent")
    generation.cancel(waiting, day.ana, day.services)
    day.fal.set(latency=20)
    _cancel_when_sent(day, "mike", FLUX, "cancelled while it waited there")
    day.fal.set(latency=0.4)
    day.fal.fault("outcome", "late_result")
    _cancel_when_sent(day, "november", FLUX, "cancelled, came all the same")
    day.fal.set(latency=20)
    _cancel_when_sent(day, "sierra", BY_TIME, "cancelled half-way, its time charged")
    day.fal.set(latency=0)


def _cancel_when_sent(day, word, model, what):
    job_id = day.ask(word, model, what)
    day.send(job_id)
    generation.cancel(job_id, day.ana, day.services)
    builders.work(day.services)


def _noon(day):
    """A request sent at the old price comes back after the price has changed; another is given up before it comes."""
    day.fal.set(latency=0.4)
    day.fal.fault("outcome", "late_result")
    day.send(day.ask("tardy", FLUX, "given up after an hour, came later"))
    day.pass_time(1)
    builders.work(day.services)
    assert day.status("tardy") is JobStatus.failed
    _rescued(day)
    before = day.ask("early", FLUX, "sent before noon, back after the price changed")
    day.send(before)
    day.pass_time(0.1)
    day.fal.price("fal-ai/flux/dev", "megapixel", "0.031")
    _know(day, FLUX, PriceUnit.megapixel, "0.031")
    builders.work(day.services)
    day.fal.set(latency=0)
    day.make("late", FLUX, "made at the new price")


def _rescued(day):
    ends = time.monotonic() + 10
    while day.status("tardy") is not JobStatus.completed:
        assert time.monotonic() < ends, "it was not rescued"
        recovery.recover(day.services)
        builders.work(day.services)


def _afternoon(day):
    day.make("oscar", SCHNELL, "made at a list price")
    day.fal.set(latency=0.15)
    day.make("papa", BY_TIME, "made, by the second")
    day.make("quebec", BY_TIME, "failed, its time charged", fault=("outcome", "model_error", {}))
    day.make("xray", OWN_GPU, "made, by the worker's second")
    day.make("yankee", OWN_GPU, "stopped by its time limit, charged", fault=("outcome", "timed_out", {}))
    day.fal.set(latency=0)
    day.make("romeo", SCHNELL, "failed at a list price", told=False, fault=("outcome", "model_error", {}))
    day.make("tango", BY_TIME, "given up before it began", fault=("outcome", "aborted", {}))
    _know(day, RUN_OUT, PriceUnit.image, None)
    day.make("stale", RUN_OUT, "made after its price had ended", told=False)
    day.make("uniform", NOVITA_NOW, "made at a price nobody established", told=False)
    day.make("victor", NOVITA_TASK, "made at a list price")
    day.make(
        "whiskey",
        NOVITA_TASK,
        "failed, nobody says what it costs",
        told=False,
        fault=("outcome", "model_error", {}),
    )
    day.make("zulu", PUBLIC, "made, dollars in the answer")
    day.make(
        "amber", PUBLIC, "refused there, no dollars told", told=False, fault=("outcome", "content_policy", {})
    )
    day.make("pencil", SKETCH, "drawn here")


def _evening(day):
    """fal gives the money for the blank picture back."""
    [line] = [one for one in day.fal.bill() if _word_of(day, one) == "echo"]
    day.fal.credit(line["id"], line["usd"])
    billing.refund(
        day.asked["echo"][0], 1, Decimal(line["usd"]), day.ada, day.services, why="blank picture, ticket 7"
    )


def _word_of(day, line):
    body = str(day.fal.request(line["id"])["body"])
    return next(word for word in day.asked if f"says {word}" in body)


def _billed(day):
    """Dollars by word, as the providers charged them."""
    found = dict.fromkeys(day.asked, Decimal(0))
    for line in day.fal.bill():
        found[_word_of(day, line)] += Decimal(line["usd"])
    return found


def _ours(day):
    """Dollars by word, as our ledger holds them; None where any attempt is unknown."""
    found = {}
    for word, jobs in day.asked.items():
        amounts = builders.rows(
            day.services.db, "SELECT kind, amount_usd FROM studio.spend WHERE job_id = ANY(%s)", (jobs,)
        )
        assert {kind for kind, _ in amounts} <= {"computed", "billed"}, f"{word} is not settled"
        found[word] = None if any(one is None for _, one in amounts) else sum(one for _, one in amounts)
    return found


def _table(day, ours, billed):
    lines = [["provider", "model", "what happened", "our ledger", "their bill", ""]]
    for word, (model, what, _) in sorted(day.what.items(), key=lambda one: one[1][0]):
        mine = ours[word]
        shown = "unknown" if mine is None else f"{mine:.6f}"
        verdict = "not told" if mine is None else ("equal" if mine == billed[word] else "DIFFERS")
        lines.append([*model, what, shown, f"{billed[word]:.6f}", verdict])
    known = sum(amount for amount in ours.values() if amount is not None)
    untold = sum(billed[word] for word, amount in ours.items() if amount is None)
    lines.append(
        ["", "", "together", f"{known:.6f}", f"{sum(billed.values()):.6f}", f"{untold:.6f} of it not told"]
    )
    return lines


def test_at_the_end_of_a_mixed_day_the_ledger_equals_the_bill_where_the_provider_tells(day, record_property):
    _morning(day)
    _cancelled(day)
    day.pass_time(4)
    _noon(day)
    day.pass_time(5)
    _afternoon(day)
    _evening(day)

    ours, billed = _ours(day), _billed(day)

    record_property("day", _table(day, ours, billed))
    told = {word for word, (_, _, is_told) in day.what.items() if is_told}
    assert {word for word, amount in ours.items() if amount is None} == set(day.what) - told
    assert {word: ours[word] for word in told} == {word: billed[word] for word in told}
    assert day.status("november") is JobStatus.completed
    assert day.status("sierra") is JobStatus.cancelled
    assert billed["early"] < billed["late"]
    assert billed["hotel"] > 0  # what is not told was charged all the same
    now = datetime.now(UTC)
    with day.services.db.as_service() as conn:
        totals = costs.totals(conn, now - timedelta(days=1), now + timedelta(minutes=1))
    assert sum(one.known_usd for one in totals) == sum(
        amount for amount in ours.values() if amount is not None
    )
    assert sum(one.unknown for one in totals) == len(day.what) - len(told)
    assert JobStage.outcome_unknown not in {one.stage for one in _jobs(day)}


def _jobs(day):
    return [
        generation.outcome(job_id, day.ana, day.services).job
        for jobs in day.asked.values()
        for job_id in jobs
    ]
