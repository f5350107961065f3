"""The bench on which the demo world is made: requests through the use cases, carried at once instead of by a worker, and
dated back afterwards.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

from core import autosave, generation, publishing, running
from core.audit.autosave import SENTENCES, Reason
from core.db import Connection, demo, jobs, portraits, submissions
from core.demo.cast import CAST, Part
from core.demo.manifest import Innocent, Page, Planted, Repair
from core.demo.stand_ins import NAMES, StandIn
from core.errors import StudioError
from core.providers.sketch import Sketch
from core.services import Services
from core.values import (
    CharacterId,
    ImageModel,
    Job,
    JobId,
    JobStage,
    ModelId,
    Order,
    Person,
    PortraitId,
    PortraitRequest,
    Presets,
    Size,
    Ticket,
)

SIZE = Size(width=384, height=480)
MODELS: Mapping[str, tuple[str, str]] = {
    "flux": ("fal", "fal-ai/flux/dev"),
    "seedream": ("fal", "fal-ai/bytedance/seedream/v4/text-to-image"),  # nobody knows its price
    "schnell": ("replicate", "black-forest-labs/flux-schnell"),
    "novita": ("novita", "txt2img/sd_xl_base_1.0.safetensors"),
    "runpod": ("runpod", "worker-sdxl"),
    "sketch": ("sketch", "sketch/placeholder"),
}
_POSES = ("standing", "sitting", "profile", "close-up", "lying", "back")
_PARTS: Mapping[str, Part] = {one.key: one for one in CAST}


@dataclass(kw_only=True)
class Workshop:
    """`services` are the deployment's own, `played` the same with stand-ins for the providers. `now` is the moment the
    world is made for; every other moment is told from it.
    """

    services: Services
    played: Services
    stand_ins: Mapping[str, StandIn]
    models: Mapping[str, ModelId]
    now: datetime
    characters: dict[str, CharacterId] = field(default_factory=dict[str, CharacterId])
    planted: list[Planted] = field(default_factory=list[Planted])
    innocent: list[Innocent] = field(default_factory=list[Innocent])
    seeds: count[int] = field(default_factory=lambda: count(1001))

    # -- what is noted -------------------------------------------------------------------------------------------

    def plant(
        self,
        code: str,
        page: Page,
        where: tuple[str, object],
        says: str,
        repair: Repair,
        *,
        job: JobId | None = None,
    ) -> None:
        """Note a defect; `where` is table and row."""
        self.planted.append(
            Planted(
                code=code,
                page=page,
                table=where[0],
                row=str(where[1]),
                says=says,
                repair=repair,
                job=str(job or ""),
            )
        )

    def plant_reason(self, reason: Reason, job: JobId, repair: Repair) -> None:
        """Note a failure of the seven checks."""
        says = SENTENCES[reason]
        self.plant(f"autosave.{reason}", Page.autosave, ("jobs", job), says, repair, job=job)

    def clear(self, code: str, where: tuple[str, object], why: str, *, job: JobId | None = None) -> None:
        """Note an innocent."""
        self.innocent.append(
            Innocent(code=code, table=where[0], row=str(where[1]), why=why, job=str(job or ""))
        )

    # -- what is made --------------------------------------------------------------------------------------------

    def ask(
        self,
        key: str,
        words: str = "",
        *,
        model: str = "flux",
        seed: int | None = None,
        by: Person | None = None,
    ) -> JobId:
        """Ask for a portrait of a character, as its owner or as `by`."""
        number = next(self.seeds)
        wanted = PortraitRequest(
            character_id=self.characters[key],
            presets=Presets(pose=_POSES[number % len(_POSES)] if seed is None else None),
            own_words=words,
            model_id=self.models[model],
            size=SIZE,
            seed=number if seed is None else seed,
        )
        return generation.request(wanted, by or _PARTS[key].owner, self.played).job_id

    def carry(self, job_id: JobId) -> None:
        """What a worker does with a job, up to its result or its failure."""
        running.run(job_id, self.played)

    def make(
        self,
        key: str,
        words: str = "",
        *,
        model: str = "flux",
        seed: int | None = None,
        by: Person | None = None,
    ) -> JobId:
        """A portrait that was asked for, made and saved."""
        job_id = self.ask(key, words, model=model, seed=seed, by=by)
        self.carry(job_id)
        autosave.save(job_id, self.played)
        self.take_entries(job_id)
        return job_id

    def publish(self, job_id: JobId) -> None:
        """An attribute image that was asked for, made and published."""
        self.carry(job_id)
        publishing.publish(job_id, self.played)
        self.take_entries(job_id)

    def claim(self, job_id: JobId) -> Job:
        """A run has begun with this job; nothing is sent yet."""
        with self.services.db.as_service() as conn:
            job = jobs.claim(conn, job_id)
        if job is None:
            raise StudioError("The demo world lost one of its own jobs. This is a fault of the studio.")
        return job

    def send(self, job: Job, *, receipt: bool) -> None:
        """Its paid request left; with or without a receipt that came back."""
        with self.services.db.as_service() as conn:
            jobs.beat(conn, job, stage=JobStage.sending)
            sent = submissions.begin(
                conn, job, provider=job.provider, model_key=str(job.metadata["model_key"])
            )
            if sent is not None and receipt:
                submissions.keep_receipt(conn, sent.id, self.ticket(job))
            jobs.beat(conn, job, stage=JobStage.drawing if receipt else JobStage.sending)

    def ticket(self, job: Job) -> Ticket:
        """A receipt of its provider for what the job asks."""
        size = Size(width=int(str(job.metadata["width"])), height=int(str(job.metadata["height"])))
        order = Order(prompt=job.prompt, size=size, seed=int(str(job.metadata["seed"])))
        model = ImageModel(
            id=ModelId(job.model_id or UUID(int=0)),
            provider=job.provider,
            model_key=str(job.metadata["model_key"]),
            display_name="",
        )
        return self.played.providers[job.provider].submit(order, model)

    def take_entries(self, job_id: JobId) -> None:
        """The queue knows nothing of a job any more."""
        with self.services.db.as_service() as conn:
            demo.take_entries(conn, job_id)

    @contextmanager
    def before_the_studio(self) -> Generator[Connection]:
        """Changes that none of our triggers sees (core/db/demo.py)."""
        with self.services.db.as_service() as conn, demo.before_the_studio(conn):
            yield conn

    @contextmanager
    def on_the_platform(self) -> Generator[Connection]:
        """What the platform's edge functions write."""
        with self.services.db.as_service() as conn:
            demo.become_the_platform(conn)
            yield conn

    @contextmanager
    def refusing(self, provider: str, error: StudioError, *, late: bool = False) -> Generator[None]:
        """Requests of a provider end like this meanwhile."""
        stand_in = self.stand_ins[provider]
        stand_in.refusal, stand_in.refuses_late = error, late
        yield
        stand_in.refusal = None

    # -- what is known -------------------------------------------------------------------------------------------

    def ago(self, *, days: float = 0, hours: float = 0, minutes: float = 0) -> datetime:
        """So long before the moment the world is made for."""
        return self.now - timedelta(days=days, hours=hours, minutes=minutes)

    def portrait_of(self, job_id: JobId) -> PortraitId:
        """The portrait row of a saved job."""
        with self.services.db.as_service() as conn:
            found = portraits.of_job(conn, job_id)
        if found is None:
            raise StudioError("The demo world lost one of its own portraits. This is a fault of the studio.")
        return found.id


def open_workshop(services: Services, someone: Person) -> Workshop:
    """A workshop over `services`; `someone` is an editor."""
    sketch = Sketch(0)
    stand_ins = {name: StandIn(name=name, sketch=sketch) for name in NAMES}
    played = replace(services, providers={**stand_ins, "sketch": sketch})
    known = {
        (one.model.provider, one.model.model_key): one.model.id
        for one in generation.models_for(someone, played)
    }
    return Workshop(
        services=services,
        played=played,
        stand_ins=stand_ins,
        models={short: known[name] for short, name in MODELS.items()},
        now=datetime.now(UTC),
    )
