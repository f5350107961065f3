"""What the emulator remembers: requests and their fates, settings, counts. Touched by one thread only."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import defaultdict, deque
from dataclasses import asdict, dataclass, field, fields
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

from tests.emulator.faults import Fault, FaultQueue, Kind, Place
from tests.emulator.webhooks import Caller

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
    webhook_pause: float = 1.0  # seconds until a webhook that was not taken is sent again, the first time
    key_generation: int = 1  # another number: the providers sign with new keys

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
    """One accepted request: `body` as it came, `words` the model's input inside it."""

    id: str
    provider: str
    model: str
    body: dict[str, object]
    words: dict[str, object]
    width: int
    height: int
    format: str
    seed: int
    fate: Fault | None
    bills_failures: bool  # whether the time of a failed one is charged
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
    webhook: str = ""  # where its end is to be told
    origin: str = ""  # as its caller spelled the emulator, for addresses in the webhook
    tariff: Tariff | None = None  # as it stood when the request was accepted
    usd: Decimal = Decimal(0)  # what the account was charged

    @property
    def seconds(self) -> Decimal:
        """The worked time as the provider tells it: Replicate to the microsecond, others to the millisecond."""
        ended = self.finished_at or self.cancelled_at
        if self.started_at is None or ended is None:
            return Decimal(0)
        digits = 6 if self.provider == "replicate" else 3
        return max(Decimal(str(round(ended - self.started_at, digits))), Decimal("0.001"))

    @property
    def prompt(self) -> str:
        return str(self.words.get("prompt") or "")

    @property
    def kind(self) -> Kind | None:
        """The kind of its fate, None for a good one."""
        return self.fate.kind if self.fate else None

    @property
    def is_over(self) -> bool:
        return self.stand in {Stand.finished, Stand.cancelled}

    def line(self) -> dict[str, object]:
        """For the list in the counts: times as Unix seconds, no words of the prompt."""
        told = (
            "id",
            "provider",
            "model",
            "stand",
            "accepted_at",
            "started_at",
            "finished_at",
            "cancelled_at",
        )
        calls = ("status_calls", "result_calls", "downloads")
        return {name: getattr(self, name) for name in (*told, *calls)} | {
            "units": str(self.units),
            "kind": self.kind,
        }


@dataclass(kw_only=True)
class Tariff:
    """What a model costs: US dollars for one `unit` (image, megapixel, second), from now on."""

    unit: str
    usd: Decimal


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
    key_calls: int = 0  # questions for what webhooks are signed with


class State:
    """Accepts requests, lets them run as the settings say, and counts."""

    def __init__(self) -> None:
        self.settings = Settings()
        self.caller = Caller(lambda: self.faults, lambda: self.settings)
        self.reset()

    def reset(self) -> None:
        """Forgets everything but the key."""
        self.caller.forget()
        self.settings = Settings(key=self.settings.key)
        self.faults = FaultQueue()
        self.counts: defaultdict[str, Counts] = defaultdict(Counts)  # by provider
        self.jobs: dict[str, Job] = {}
        self.files: dict[str, bytes] = {}  # what was uploaded, by its number
        self.tariffs: dict[str, Tariff] = {}  # by model
        self._waiting: defaultdict[str, deque[Job]] = defaultdict(deque)
        self._running: defaultdict[str, set[str]] = defaultdict(set)

    def accept(
        self,
        provider: str,
        model: str,
        body: dict[str, object],
        *,
        words: dict[str, object],
        width: int,
        height: int,
        fmt: str,
        name: str = "",
        bills_failures: bool = False,
        webhook: object = "",
        origin: str = "",
    ) -> Job:
        """A new request, queued and, where there is room, started at once; `name` is its number if not ours, `webhook`
        where its end is to be told.
        """
        settings, fate = self.settings, self.faults.take(Place.outcome, prompt=str(words.get("prompt") or ""))
        asked = words.get("seed")
        number = uuid.uuid4()
        job = Job(
            id=name or str(number),
            provider=provider,
            model=model,
            body=body,
            words=words,
            bills_failures=bills_failures,
            width=settings.width or width,
            height=settings.height or height,
            format=settings.format or fmt,
            seed=asked if isinstance(asked, int) and asked >= 0 else number.int % 2**53,
            fate=fate,
            script=_script(settings, fate),
            webhook=webhook if isinstance(webhook, str) else "",
            origin=origin,
            tariff=self.tariffs.get(model),
        )
        self.jobs[job.id] = job
        self._waiting[provider].append(job)
        counts = self.counts[provider]
        counts.accepted += 1
        counts.max_unfinished = max(counts.max_unfinished, self._unfinished_at(provider))
        self._advance(provider)
        return job

    @property
    def unfinished(self) -> int:
        """Accepted and neither finished nor cancelled, at all providers."""
        return sum(self._unfinished_at(provider) for provider in tuple(self._waiting))

    def position(self, job: Job) -> int:
        """How many wait before this one at its provider."""
        line = self._waiting[job.provider]
        return line.index(job) if job in line else 0

    def _unfinished_at(self, provider: str) -> int:
        return len(self._waiting[provider]) + len(self._running[provider])

    def cancel(self, job: Job) -> bool:
        """Stops a request; False where it had ended already."""
        if job.is_over:
            return False
        if job.kind is Kind.late_result:
            return True
        if job.stand is Stand.queued:
            self._waiting[job.provider].remove(job)
        self._running[job.provider].discard(job.id)
        job.stand, job.cancelled_at = Stand.cancelled, time.time()
        job.script.clear()
        if job.started_at is not None and job.bills_failures and job.tariff and job.tariff.unit == "second":
            self._charge(job)
        self.counts[job.provider].cancelled += 1
        self.caller.announce(job, "completed")
        self._advance(job.provider)
        return True

    def told(self, *, requests: bool) -> dict[str, object]:
        """The counts of all providers together and of each, the processor seconds of this process, and the
        requests where asked for.
        """
        lines = {"requests": [job.line() for job in self.jobs.values()]} if requests else {}
        units = sum((job.units for job in self.jobs.values()), Decimal(0))
        more = {"unfinished": self.unfinished, "units": str(units), "cpu_seconds": time.process_time()}
        each = {provider: asdict(counts) for provider, counts in self.counts.items()}
        together = {one.name: sum(row[one.name] for row in each.values()) for one in fields(Counts)}
        return together | {"providers": each} | more | lines

    def _advance(self, provider: str) -> None:
        room, line = self.settings.concurrency, self._waiting[provider]
        while line and (room is None or len(self._running[provider]) < room):
            self._start(line.popleft())

    def _start(self, job: Job) -> None:
        job.stand, job.started_at = Stand.running, time.time()
        self._running[job.provider].add(job.id)
        self.caller.announce(job, "start")
        if job.kind is Kind.never:
            return
        if self.settings.latency > 0:
            asyncio.get_running_loop().call_later(self.settings.latency, self._finish, job)
        else:
            self._settle(job)

    def _finish(self, job: Job) -> None:
        if job.id in self._running[job.provider]:  # not cancelled, and no reset since
            self._settle(job)
            self._advance(job.provider)

    def _settle(self, job: Job) -> None:
        self._running[job.provider].discard(job.id)
        job.stand, job.finished_at = Stand.finished, time.time()
        self.counts[job.provider].finished += 1
        if job.prompt and (job.bills_failures or job.kind not in UNBILLED) and job.kind is not Kind.aborted:
            self._charge(job)
        self.caller.announce(job, "completed")

    def _charge(self, job: Job) -> None:
        job.units = _units(job, job.tariff.unit if job.tariff else self.settings.unit)
        if job.tariff is not None:
            job.usd = (job.units * job.tariff.usd).quantize(Decimal("0.000001"), ROUND_HALF_UP)
        self.counts[job.provider].charged += 1

    def bill(self) -> list[dict[str, object]]:
        """What the account was charged, a line a request that cost something."""
        return [
            {"id": job.id, "provider": job.provider, "model": job.model, "usd": str(job.usd)}
            for job in self.jobs.values()
            if job.usd
        ]


def _script(settings: Settings, fate: Fault | None) -> deque[tuple[str, int]]:
    script = [("IN_QUEUE", place) for place in reversed(range(settings.queue_positions))]
    if fate is not None and fate.kind is Kind.regress:
        script += [("IN_PROGRESS", 0), ("IN_QUEUE", 3), ("IN_PROGRESS", 0)]
    return deque(script + [("IN_PROGRESS", 0)] * settings.progress_polls)


def _units(job: Job, unit: str) -> Decimal:
    if unit == "megapixel":
        return max(Decimal(job.width * job.height) / 1_000_000, Decimal(1)).quantize(Decimal("0.0001"))
    if unit == "second":
        return job.seconds
    return Decimal(1)
