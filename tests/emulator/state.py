"""What the emulator remembers: requests and their fates, settings, counts. Touched by one thread only."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from dataclasses import asdict, dataclass, field, fields
from decimal import Decimal
from enum import StrEnum

from tests.emulator.faults import Fault, FaultQueue, Kind, Place

UNBILLED = {Kind.content_policy, Kind.invalid_input, Kind.model_error}


_TEXTS = {"key", "format", "unit"}
_OPTIONAL = {"concurrency", "width", "height", "format", "result_lifetime"}


class Stand(StrEnum):
    queued = "queued"
    running = "running"
    finished = "finished"
    cancelled = "cancelled"


@dataclass(kw_only=True)
class Settings:
    key: str = "emulator"  # the only key that is let in
    latency: float = 0.0  # seconds of drawing
    concurrency: int | None = None  # pictures drawn at once, null: all of them
    width: int | None = None  # instead of what the request asks for
    height: int | None = None
    format: str | None = None  # jpeg or png, instead of what the request asks for
    queue_positions: int = 0  # status answers that say IN_QUEUE first, counting down
    progress_polls: int = 0  # status answers that say IN_PROGRESS before the true one
    result_lifetime: float | None = None  # seconds after which a result is gone
    unit: str = "image"
    unit_price: float = 0.025

    def change(self, given: dict[str, object]) -> None:
        """Takes over what was given; raises ValueError for a name that is none."""
        unknown = set(given) - {one.name for one in fields(self)}
        if unknown:
            raise ValueError(f"There is no setting {', '.join(sorted(unknown))}.")
        for name, value in given.items():
            fits = isinstance(value, str) if name in _TEXTS else isinstance(value, int | float)
            if not fits and not (value is None and name in _OPTIONAL):
                raise ValueError(f"{name} cannot be {value!r}.")
        for name, value in given.items():
            setattr(self, name, value)


@dataclass(kw_only=True)
class Job:
    """One accepted request."""

    id: str
    model: str
    body: dict[str, object]
    width: int
    height: int
    format: str
    seed: int
    fate: Fault | None
    script: deque[tuple[str, int]]  # status answers to give before the true one: word, position
    stand: Stand = Stand.queued
    accepted_at: float = field(default_factory=time.time)
    started_at: float | None = None
    finished_at: float | None = None
    cancelled_at: float | None = None
    status_calls: int = 0
    result_calls: int = 0
    downloads: int = 0
    units: Decimal = Decimal(0)

    @property
    def prompt(self) -> str:
        return str(self.body.get("prompt", ""))

    @property
    def kind(self) -> Kind | None:
        """The kind of its fate, None for a good one."""
        return self.fate.kind if self.fate else None

    @property
    def is_over(self) -> bool:
        return self.stand in {Stand.finished, Stand.cancelled}

    def line(self) -> dict[str, object]:
        """For the list in the counts: times as Unix seconds, no words of the prompt."""
        told = ("id", "model", "stand", "accepted_at", "started_at", "finished_at", "cancelled_at")
        calls = ("status_calls", "result_calls", "downloads")
        return {name: getattr(self, name) for name in (*told, *calls)} | {
            "units": str(self.units),
            "kind": self.kind,
        }


@dataclass(kw_only=True)
class Counts:
    submits: int = 0  # POSTs whose head arrived, whatever became of them
    accepted: int = 0
    finished: int = 0
    charged: int = 0
    cancelled: int = 0
    downloads: int = 0
    status_calls: int = 0
    result_calls: int = 0
    cancel_calls: int = 0
    max_unfinished: int = 0
    leaked_keys: int = 0


class State:
    """Accepts requests, lets them run as the settings say, and counts."""

    def __init__(self) -> None:
        self.settings = Settings()
        self.reset()

    def reset(self) -> None:
        """Forgets everything but the key."""
        self.settings = Settings(key=self.settings.key)
        self.faults = FaultQueue()
        self.counts = Counts()
        self.jobs: dict[str, Job] = {}
        self._waiting: deque[Job] = deque()
        self._running: set[str] = set()

    def accept(self, model: str, body: dict[str, object], *, width: int, height: int, fmt: str) -> Job:
        """A new request, queued and, where there is room, started at once."""
        settings, fate = self.settings, self.faults.take(Place.outcome, prompt=str(body.get("prompt", "")))
        asked = body.get("seed")
        name = str(uuid.uuid4())
        job = Job(
            id=name,
            model=model,
            body=body,
            width=settings.width or width,
            height=settings.height or height,
            format=settings.format or fmt,
            seed=asked if isinstance(asked, int) else uuid.UUID(name).int % 2**53,
            fate=fate,
            script=_script(settings, fate),
        )
        self.jobs[name] = job
        self._waiting.append(job)
        self.counts.accepted += 1
        self.counts.max_unfinished = max(self.counts.max_unfinished, self.unfinished)
        self._advance()
        return job

    @property
    def unfinished(self) -> int:
        """Accepted and neither finished nor cancelled."""
        return len(self._waiting) + len(self._running)

    def position(self, job: Job) -> int:
        """How many wait before this one."""
        return self._waiting.index(job) if job in self._waiting else 0

    def cancel(self, job: Job) -> bool:
        """Stops a request; False where it had ended already."""
        if job.is_over:
            return False
        if job.kind is Kind.late_result:
            return True
        if job.stand is Stand.queued:
            self._waiting.remove(job)
        self._running.discard(job.id)
        job.stand, job.cancelled_at = Stand.cancelled, time.time()
        job.script.clear()
        self.counts.cancelled += 1
        self._advance()
        return True

    def told(self, *, requests: bool) -> dict[str, object]:
        """The counts, the processor seconds of this process, and the requests where asked for."""
        lines = {"requests": [job.line() for job in self.jobs.values()]} if requests else {}
        units = sum((job.units for job in self.jobs.values()), Decimal(0))
        more = {"unfinished": self.unfinished, "units": str(units), "cpu_seconds": time.process_time()}
        return asdict(self.counts) | more | lines

    def _advance(self) -> None:
        room = self.settings.concurrency
        while self._waiting and (room is None or len(self._running) < room):
            self._start(self._waiting.popleft())

    def _start(self, job: Job) -> None:
        job.stand, job.started_at = Stand.running, time.time()
        self._running.add(job.id)
        if job.kind is Kind.never:
            return
        if self.settings.latency > 0:
            asyncio.get_running_loop().call_later(self.settings.latency, self._finish, job)
        else:
            self._settle(job)

    def _finish(self, job: Job) -> None:
        if job.id in self._running:  # not cancelled, and no reset since
            self._settle(job)
            self._advance()

    def _settle(self, job: Job) -> None:
        self._running.discard(job.id)
        job.stand, job.finished_at = Stand.finished, time.time()
        self.counts.finished += 1
        if job.kind not in UNBILLED and job.prompt:
            job.units = _units(job, self.settings.unit)
            self.counts.charged += 1


def _script(settings: Settings, fate: Fault | None) -> deque[tuple[str, int]]:
    script = [("IN_QUEUE", place) for place in reversed(range(settings.queue_positions))]
    if fate is not None and fate.kind is Kind.regress:
        script += [("IN_PROGRESS", 0), ("IN_QUEUE", 3), ("IN_PROGRESS", 0)]
    return deque(script + [("IN_PROGRESS", 0)] * settings.progress_polls)


def _units(job: Job, unit: str) -> Decimal:
    if unit == "megapixel":
        return max(Decimal(job.width * job.height) / 1_000_000, Decimal(1)).quantize(Decimal("0.0001"))
    if unit == "second" and job.started_at is not None and job.finished_at is not None:
        return Decimal(str(round(job.finished_at - job.started_at, 3)))
    return Decimal(1)
