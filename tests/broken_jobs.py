"""A database of jobs broken in every way there is, the same from the same seed: what recovery has to explain, heal or
leave to a person. Written as rows with the triggers off, because the product itself cannot be brought to most of them.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from core.recovery import Action
from core.services import Services
from core.values import ImageModel, JobId, Order, Person, Size
from tests.emulator import Emulator
from tests.emulator.pictures import portrait


class Breakage(StrEnum):
    """How a job is broken; the word in its character's or metadata's name, so that a row tells what it is."""

    asset = "asset"  # processing, and its result is there
    platform_asset = "platform_asset"
    receipt_done = "receipt_done"  # nobody waits, and the provider has finished
    receipt_running = "receipt_running"
    receipt_lost = "receipt_lost"  # the provider deleted it
    receipt_refused = "receipt_refused"
    never_sent = "never_sent"
    no_entry = "no_entry"  # queued, and the queue does not know it
    held_entry = "held_entry"  # its entry ended in an error
    begun_thrice = "begun_thrice"
    no_receipt = "no_receipt"  # sent, and no receipt came
    platform_bare = "platform_bare"  # neither result nor receipt
    platform_request = "platform_request"  # the platform noted fal's request id
    unsaved = "unsaved"  # completed, not in the library
    foreign_path = "foreign_path"  # the same, and its result lies in somebody else's folder
    failed_open = "failed_open"  # failed, and its receipt was never asked about again
    failed_asset = "failed_asset"  # failed by a clean-up although its result is there
    cancelled_asset = "cancelled_asset"
    one_of_the_name = "one_of_the_name"  # completed without a character, and one appeared later
    two_of_the_name = "two_of_the_name"
    nobody_of_the_name = "nobody_of_the_name"
    healthy = "healthy"  # nothing is wrong with it


# What the first look does with each; None: it is not even looked at.
FIRST: Mapping[Breakage, Action | None] = {
    Breakage.asset: Action.complete,
    Breakage.platform_asset: Action.complete,
    Breakage.receipt_done: Action.ask,
    Breakage.receipt_running: Action.ask,
    Breakage.receipt_lost: Action.ask,
    Breakage.receipt_refused: Action.ask,
    Breakage.never_sent: Action.requeue,
    Breakage.no_entry: Action.requeue,
    Breakage.held_entry: Action.requeue,
    Breakage.begun_thrice: Action.give_up,
    Breakage.no_receipt: Action.unknown,
    Breakage.platform_bare: Action.person,
    Breakage.platform_request: Action.adopt,
    Breakage.unsaved: Action.save,
    Breakage.foreign_path: Action.save,
    Breakage.failed_open: Action.rescue,
    Breakage.failed_asset: Action.complete,
    Breakage.cancelled_asset: Action.complete,
    Breakage.one_of_the_name: Action.match,
    Breakage.two_of_the_name: Action.match,
    Breakage.nobody_of_the_name: None,
    Breakage.healthy: None,
}

_STATUS = {
    Breakage.no_entry: "queued",
    Breakage.healthy: "processing",
    Breakage.failed_open: "failed",
    Breakage.failed_asset: "failed",
    Breakage.cancelled_asset: "cancelled",
    **dict.fromkeys(
        (
            Breakage.unsaved,
            Breakage.foreign_path,
            Breakage.one_of_the_name,
            Breakage.two_of_the_name,
            Breakage.nobody_of_the_name,
        ),
        "completed",
    ),
}
_PLATFORM = {
    Breakage.platform_asset,
    Breakage.platform_bare,
    Breakage.platform_request,
    Breakage.one_of_the_name,
    Breakage.two_of_the_name,
    Breakage.nobody_of_the_name,
}
_NAMELESS = {Breakage.one_of_the_name, Breakage.two_of_the_name, Breakage.nobody_of_the_name}
_WITH_ASSET = {
    Breakage.asset,
    Breakage.platform_asset,
    Breakage.unsaved,
    Breakage.foreign_path,
    Breakage.failed_asset,
    Breakage.cancelled_asset,
    *_NAMELESS,
}
_WITH_RECEIPT = {
    Breakage.receipt_done,
    Breakage.receipt_running,
    Breakage.receipt_lost,
    Breakage.receipt_refused,
    Breakage.failed_open,
}
_FATES = {Breakage.receipt_running: "never", Breakage.receipt_refused: "content_policy"}
_TRIGGERS_OFF = "SET LOCAL session_replication_role = replica"


@dataclass(frozen=True, kw_only=True)
class World:
    """Which job is broken how."""

    jobs: Mapping[JobId, Breakage]

    def of(self, *kinds: Breakage) -> list[JobId]:
        """The jobs broken in one of these ways."""
        return [job_id for job_id, kind in self.jobs.items() if kind in kinds]

    @property
    def counts(self) -> Counter[Breakage]:
        """How many of each."""
        return Counter(self.jobs.values())


@dataclass
class _Rows:
    """What is inserted, by statement."""

    by_statement: dict[str, list[tuple[object, ...]]] = field(default_factory=dict)

    def add(self, statement: str, *values: object) -> None:
        self.by_statement.setdefault(statement, []).append(values)


_JOB = """
    INSERT INTO jobs (id, user_id, job_type, status, original_prompt, api_model_id, metadata, runner, character_id,
        attempts, stage, created_at, started_at, completed_at, heartbeat_at, error_code)
    VALUES (%s, %s, 'character_portrait', %s, 'a lighthouse keeper', %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_ESTIMATE = """
    INSERT INTO studio.cost_entries (job_id, attempt, user_id, provider, model_key, kind, amount_usd)
    VALUES (%s, 1, %s, 'fal', %s, 'estimated', 0.025)
"""
_ASSET = """
    INSERT INTO workspace_assets (user_id, job_id, asset_type, temp_storage_path, mime_type, file_size_bytes, sha256,
        generation_settings)
    VALUES (%s, %s, 'image', %s, 'image/png', %s, %s, '{"width": 64, "height": 64}')
"""
_SUBMISSION = """
    INSERT INTO studio.submissions (job_id, attempt, lease, provider, model_id, model_key, submitted_at, received_at,
        request_id, receipt)
    VALUES (%s, 1, 1, 'fal', %s, %s, %s, %s, %s, %s)
"""
_ENTRY = """
    INSERT INTO studio_queue.pgqueuer (entrypoint, payload, priority, status, dedupe_key)
    VALUES ('portrait_fal', %s, 0, %s, %s)
"""
_CHARACTER = """
    INSERT INTO characters (user_id, name, description, created_at) VALUES (%s, %s, %s, now() - interval '30 minutes')
"""


def break_jobs(
    services: Services, person: Person, fal: Emulator, *, count: int, seed: int = 7, objects: bool = True
) -> World:
    """`count` jobs of `person`, each broken in one of the ways, all of them about equally often; requests with a receipt
    stand in the emulator. `objects` False: results have rows and no files.
    """
    random_ = random.Random(seed)
    kinds = [list(Breakage)[place % len(Breakage)] for place in range(count)]
    random_.shuffle(kinds)
    model = _flux(services)
    writer = _Writer(services, person, fal, model, random_, objects=objects)
    jobs = {writer.add(kind, place): kind for place, kind in enumerate(kinds)}
    writer.write()
    return World(jobs=jobs)


def _flux(services: Services) -> ImageModel:
    from core.db import models

    with services.db.as_service() as conn:
        [[model_id]] = conn.execute(
            "SELECT id FROM api_models WHERE model_key = 'fal-ai/flux/dev'"
        ).fetchall()
        return models.get(conn, model_id)


@dataclass
class _Writer:
    """Collects the rows of many jobs and writes them at once."""

    services: Services
    person: Person
    fal: Emulator
    model: ImageModel
    random: random.Random
    objects: bool
    rows: _Rows = field(default_factory=_Rows)
    character: UUID | None = None

    def __init__(self, services, person, fal, model, random_, *, objects):
        self.services, self.person, self.fal, self.model = services, person, fal, model
        self.random, self.objects, self.rows = random_, objects, _Rows()
        with services.db.as_service() as conn:
            [self.character] = conn.execute(
                "INSERT INTO characters (user_id, name, description) VALUES (%s, 'Juniper Vale', 'x') RETURNING id",
                [person.id],
            ).fetchone()

    def add(self, kind: Breakage, place: int) -> JobId:
        job_id = JobId(UUID(int=self.random.getrandbits(128), version=4))
        asked = datetime.now(UTC) - timedelta(hours=2, seconds=place)
        self._job(kind, job_id, place, asked)
        if kind not in _PLATFORM:
            self.rows.add(_ESTIMATE, job_id, self.person.id, self.model.model_key)
        if kind in _WITH_ASSET:
            self._asset(kind, job_id)
        if kind in _WITH_RECEIPT or kind is Breakage.no_receipt:
            self._submission(kind, job_id, asked)
        if kind in {Breakage.held_entry, Breakage.healthy}:
            status = "failed" if kind is Breakage.held_entry else "picked"
            self.rows.add(_ENTRY, str(job_id).encode(), status, f"job:{job_id}")
        names = {Breakage.one_of_the_name: 1, Breakage.two_of_the_name: 2}.get(kind, 0)
        for _ in range(names):
            self.rows.add(_CHARACTER, self.person.id, f"Mandy {place}", "x")
        return job_id

    def _job(self, kind: Breakage, job_id: JobId, place: int, asked: datetime) -> None:
        status = _STATUS.get(kind, "processing")
        about: dict[str, object] = {"destination": "character_portrait", "broken": kind}
        if kind in _NAMELESS:
            about["character_name"] = f"mandy {place}"
        if kind is Breakage.platform_request:
            about["fal_request_id"] = self._request(kind)["request_id"]
        if kind not in _PLATFORM:
            about |= {
                "provider": "fal",
                "owner": str(self.person.id),
                "model_key": self.model.model_key,
                "width": 64,
                "height": 64,
            }
        ended = asked + timedelta(minutes=1) if status in {"completed", "failed", "cancelled"} else None
        now = datetime.now(UTC)
        beat = now + timedelta(hours=1) if kind is Breakage.healthy else asked + timedelta(seconds=20)
        self.rows.add(
            _JOB,
            job_id,
            self.person.id,
            status,
            self.model.id,
            json.dumps(about),
            "platform" if kind in _PLATFORM else "studio",
            None if kind in _NAMELESS else self.character,
            {Breakage.begun_thrice: 3, Breakage.no_entry: 0}.get(kind, 1),
            "drawing" if status == "processing" else None,
            asked,
            None if status == "queued" else asked,
            ended,
            None if kind in _PLATFORM or status == "queued" else beat,
            "TIMED_OUT" if status == "failed" else None,
        )

    def _asset(self, kind: Breakage, job_id: JobId) -> None:
        folder = UUID(int=1) if kind is Breakage.foreign_path else self.person.id
        path = f"{folder}/{job_id}_1760000000000.png"
        picture = portrait(str(job_id), 64, 64, "png") if self.objects else b""
        if self.objects:
            self.services.storage.put("workspace-temp", path, picture, "image/png")
        digest = hashlib.sha256(picture).hexdigest()
        self.rows.add(_ASSET, self.person.id, job_id, f"workspace-temp/{path}", len(picture), digest)

    def _submission(self, kind: Breakage, job_id: JobId, asked: datetime) -> None:
        receipt = None if kind is Breakage.no_receipt else self._request(kind)
        self.rows.add(
            _SUBMISSION,
            job_id,
            self.model.id,
            self.model.model_key,
            asked,
            asked if receipt else None,
            receipt["request_id"] if receipt else None,
            json.dumps(receipt) if receipt else None,
        )

    def _request(self, kind: Breakage) -> dict[str, object]:
        """A receipt: of a real request at the emulator, but for one that the provider has deleted."""
        if kind is Breakage.receipt_lost:
            request_id = str(UUID(int=self.random.getrandbits(128), version=4))
            return {"provider": "fal", "request_id": request_id, "model_key": self.model.model_key}
        if fate := _FATES.get(kind):
            self.fal.fault("outcome", fate)
        order = Order(prompt="a lighthouse keeper", size=Size(width=64, height=64))
        ticket = self.services.providers["fal"].submit(order, self.model)
        return {"provider": "fal", "request_id": ticket.request_id, "model_key": ticket.model_key}

    def write(self) -> None:
        with self.services.db.as_service() as conn, conn.cursor() as cursor:
            conn.execute(_TRIGGERS_OFF)
            for statement, values in self.rows.by_statement.items():
                cursor.executemany(statement, values)
        with self.services.db.as_service() as conn:
            conn.execute("ANALYZE")


def digests(services: Services) -> dict[str, str]:
    """What every table holds, as one hash each: equal before and after means that nothing changed."""
    with services.db.as_service() as conn:
        tables = conn.execute(
            """
            SELECT schemaname || '.' || tablename FROM pg_tables
            WHERE schemaname IN ('public', 'studio', 'studio_queue') ORDER BY 1
            """
        ).fetchall()
        return {
            name: conn.execute(
                f"SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {name} t".encode()
            ).fetchone()[0]
            for (name,) in tables
        }


def table(title: str, rows: Mapping[str, Mapping[str, int]], say: Callable[[str], None] = print) -> None:
    """Print figures by kind."""
    say(f"\n{title}")
    for name, counted in rows.items():
        figures = ", ".join(f"{number} {word}" for word, number in sorted(counted.items()))
        say(f"  {name:<20} {figures}")
