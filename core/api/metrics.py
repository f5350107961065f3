"""GET /metrics, for Prometheus: how the studio stands, in numbers. No person, name or prompt is a label.

Totals come from the database and are the same in every studio process: take `max`, not `sum`, over processes. The
numbers of requests are this process's own (docs/decisions/0016).
"""

from __future__ import annotations

import asyncio
import hmac
import platform
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from ipaddress import ip_address
from typing import Any, TypeVar, cast

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, Counter, Histogram, exposition
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.openmetrics import exposition as openmetrics

from core import log, recovery
from core.api.answers import refusals
from core.api.arrivals import Served
from core.audit import metrics as questions
from core.audit.metrics import Backlog, QueueStand
from core.db import Connection, counters, recoveries
from core.db.counters import DURATIONS, Totals
from core.db.recoveries import Kind
from core.errors import DatabaseUnavailable, NotAllowed, NotSignedIn, StudioError
from core.services import Services

_WAIT = 1.0  # seconds a scrape waits for a look; without one it says that the database is away
_MOST_STUCK = 1000
_LATENCIES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)

_OPENMETRICS = "application/openmetrics-text"
_KINDS = ("text/plain", _OPENMETRICS)

T = TypeVar("T")
_log = log.get(__name__)


@dataclass(frozen=True, kw_only=True)
class Look:
    """One look at the database. What is None or empty could not be asked in time; `unanswered` names it."""

    totals: Totals = field(default_factory=dict[tuple[str, tuple[str, ...]], Decimal])
    unfinished: Mapping[str, int] | None = None
    stuck: int | None = None
    queues: Sequence[QueueStand] | None = None
    unsaved: Backlog | None = None
    at_risk: Backlog | None = None
    workers: int | None = None
    paused: frozenset[str] | None = None
    schema: str = ""
    unanswered: tuple[str, ...] = ()
    seconds: float = 0.0


class Meter:
    """The numbers of one application: counted here, and looked up in the database at most every five seconds."""

    fresh = 5.0  # seconds that one look at the database serves

    def __init__(self, services: Services, *, version: str) -> None:
        self._services = services
        self._version = version
        self._guard = threading.Lock()
        self._looking: Future[Look] | None = None
        self._looked_at = 0.0
        own = CollectorRegistry()
        self._requests = Counter(
            "studio_http_requests", "Requests answered by this process.", ["method", "route", "status"],
            registry=own,
        )  # fmt: skip
        self._latency = Histogram(
            "studio_http_request_seconds", "Until the answer was sent whole; a portrait is waited for.",
            ["method", "route"], buckets=_LATENCIES, registry=own,
        )  # fmt: skip
        self._own = own

    def note(self, served: Served) -> None:
        """Count a request that was answered."""
        self._requests.labels(served.method, served.route, str(served.status)).inc()
        self._latency.labels(served.method, served.route).observe(served.seconds)

    def render(self, *, as_openmetrics: bool) -> bytes:
        """Every number as text. Waits at most a second for the database; other threads share one look."""
        look = self._look()
        here = (*_of_process(self._services, self._version), *_of_database(look, self._services))
        page = CollectorRegistry()
        page.register(cast("Any", _Families((*here, *self._own.collect()))))
        if as_openmetrics:
            return cast("bytes", openmetrics.generate_latest(page))  # pyright: ignore[reportUnknownMemberType]
        return exposition.generate_latest(page)

    def _look(self) -> Look | None:
        """The newest look, None where the database does not answer in time."""
        try:
            return self._newest().result(_WAIT)
        except (StudioError, TimeoutError):
            return None

    def _newest(self) -> Future[Look]:
        with self._guard:
            now = time.monotonic()
            standing = self._looking
            if standing is not None and (not standing.done() or now - self._looked_at < self.fresh):
                return standing
            self._looking, self._looked_at = Future(), now
            threading.Thread(target=self._answer, args=(self._looking,), name="metrics", daemon=True).start()
            return self._looking

    def _answer(self, waiting: Future[Look]) -> None:
        try:
            waiting.set_result(look(self._services))
        except StudioError as error:
            waiting.set_exception(error)
        finally:
            if (
                not waiting.done()
            ):  # a mistake of ours goes on to the log, and no scrape waits for it for ever
                waiting.set_exception(DatabaseUnavailable("The numbers could not be read; the log says why."))


def look(services: Services) -> Look:
    """Ask the database everything once. A question that takes too long is left out and named.

    Raises DatabaseUnavailable.
    """
    begun = time.perf_counter()
    unanswered: list[str] = []
    settings = services.settings

    def ask(name: str, question: Callable[[Connection], T], *, writes: bool = False) -> T | None:
        try:
            with services.db.as_service() as conn:
                if not writes:
                    questions.bounded(conn)
                return question(conn)
        except DatabaseUnavailable:
            raise
        except StudioError as error:
            _log.warning("metrics_question_failed", question=name, code=error.reason)
            unanswered.append(name)
            return None

    ask("fold", counters.fold, writes=True)
    return Look(
        totals=ask("totals", counters.totals) or {},
        unfinished=ask("unfinished", questions.unfinished),
        stuck=ask(
            "stuck",
            lambda conn: recoveries.count(conn, Kind.stuck, recovery.look(services), most=_MOST_STUCK),
        ),
        queues=ask("queues", questions.queues),
        unsaved=ask("unsaved", partial(questions.unsaved, look=recovery.look(services))),
        at_risk=ask(
            "at_risk",
            partial(
                questions.at_risk,
                within=recovery.AT_RISK_WITHIN,
                result_seconds=services.catalog.result_seconds,
            ),
        ),
        workers=ask("workers", partial(questions.workers_alive, within=3 * settings.heartbeat_seconds)),
        paused=ask("paused", questions.paused),
        schema=ask("schema", questions.schema_version) or "",
        unanswered=tuple(unanswered),
        seconds=time.perf_counter() - begun,
    )


class _Families:
    """Metric families that are there already, as a registry wants to be handed them."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = tuple(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def _gauge(name: str, words: str, value: float | None) -> list[Metric]:
    return [GaugeMetricFamily(name, words, value=value)] if value is not None else []


def _gauges(name: str, words: str, label: str, values: Mapping[str, float] | None) -> list[Metric]:
    family = GaugeMetricFamily(name, words, labels=[label])
    for key, value in sorted((values or {}).items()):
        family.add_metric([key], value)
    return [family] if values is not None else []


def _of_process(services: Services, version: str) -> list[Metric]:
    build = InfoMetricFamily("studio_build", "What runs here.")
    build.add_metric([], {"version": version, "python": platform.python_version()})
    subscribers = services.events.subscribers
    return [
        build,
        *_gauge("studio_events_subscribers", "Open pages and waiting calls of this process.", subscribers),
    ]


def _of_database(look: Look | None, services: Services) -> list[Metric]:
    up = _gauge("studio_database_up", "1 where the database answered in time.", float(look is not None))
    if look is None:
        return up
    failed = dict.fromkeys(look.unanswered, 1.0)
    return [
        *up,
        *_gauge("studio_database_look_seconds", "How long all questions took together.", look.seconds),
        *_gauges("studio_unanswered_questions", "Questions that took too long.", "question", failed),
        *_gauge(
            "studio_schema_version", "The newest migration.", float(look.schema) if look.schema else None
        ),
        *_standing(look, services),
        *_counted(look.totals),
    ]


def _standing(look: Look, services: Services) -> list[Metric]:
    resting = None if look.paused is None else {
        name: float(name in look.paused) for name in {*services.providers, *look.paused}
    }  # fmt: skip
    depths = None if look.queues is None else {one.entrypoint: float(one.depth) for one in look.queues}
    ages = None if look.queues is None else {one.entrypoint: one.oldest_seconds for one in look.queues}
    return [
        *_gauges("studio_jobs", "Unfinished jobs by state; 10,000 means at least that.", "state", look.unfinished),
        *_gauge("studio_jobs_stuck", "Unfinished jobs that nobody works on.", look.stuck),
        *_gauges("studio_queue_depth", "Entries that may run now.", "entrypoint", depths),
        *_gauges("studio_queue_oldest_seconds", "How long the oldest of them may.", "entrypoint", ages),
        *_gauge("studio_workers_alive", "Workers heard of in the last three heartbeats.", look.workers),
        *_gauges("studio_provider_paused", "1 while a provider rests for everybody.", "provider", resting),
        *_backlog(look.unsaved, "studio_autosave_waiting", "Finished portraits not in the library yet.",
                  "studio_autosave_lag_seconds", "Since the oldest of them was finished; 0 without any."),
        *_backlog(look.at_risk, "studio_results_at_risk", "Paid results that their provider may delete soon.",
                  "studio_results_nearest_deadline_seconds", "Until the first of them is deleted there."),
    ]  # fmt: skip


def _backlog(found: Backlog | None, number: str, number_words: str, age: str, age_words: str) -> list[Metric]:
    if found is None:
        return []
    # A deadline that nobody has is no number: an alert on "below 600" would ring for nothing.
    seconds = found.seconds if found.seconds is not None or age.endswith("deadline_seconds") else 0.0
    return [*_gauge(number, number_words, found.number), *_gauge(age, age_words, seconds)]


_COUNTERS = (
    ("jobs_ended", "studio_jobs_ended", "Jobs that ended.", ("provider", "model", "status")),
    ("job_errors", "studio_job_errors", "Jobs that failed, by error code.", ("provider", "code")),
    ("cost_usd", "studio_cost_usd", "Dollars in the ledger; each kind by itself.", ("provider", "kind")),
    ("cost_unknown", "studio_cost_unknown", "Ledger entries of unknown amount.", ("provider", "kind")),
)


def _counted(totals: Totals) -> list[Metric]:
    found: list[Metric] = []
    for source, name, words, labels in _COUNTERS:
        family = CounterMetricFamily(name, words, labels=labels)
        for (one, values), total in sorted(totals.items()):
            if one == source:
                family.add_metric(list(values), float(total))
        found.append(family)
    return [*found, _durations(totals)]


def _durations(totals: Totals) -> Metric:
    """The histogram out of its buckets, which are stored each by itself."""
    family = HistogramMetricFamily(
        "studio_job_seconds",
        "From a job's asking to its picture, of completed ones.",
        labels=["provider", "model"],
    )
    bounds = [*(str(float(bound)) for bound in DURATIONS), "+Inf"]
    for (name, labels), total in sorted(totals.items()):
        if name != "job_seconds_sum":
            continue
        parts = [
            totals.get(("job_seconds", (*labels, str(place))), Decimal()) for place in range(len(bounds))
        ]
        sums = [float(sum(parts[: place + 1])) for place in range(len(bounds))]
        family.add_metric(list(labels), list(zip(bounds, sums, strict=True)), float(total))
    return family


def router() -> APIRouter:
    """GET /metrics."""
    found = APIRouter(tags=["Health"])

    @found.get(
        "/metrics",
        summary="The studio in numbers, for Prometheus",
        response_class=Response,
        responses={
            200: {
                "description": "Prometheus's text form, or OpenMetrics where Accept names it.",
                "content": {kind: {"schema": {"type": "string"}} for kind in _KINDS},
            },
            **refusals(NotSignedIn, NotAllowed),
        },
    )  # fmt: skip
    async def metrics(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        """Read from this machine, or with METRICS_TOKEN as a bearer token. Numbers of the database are at most five
        seconds old; where it does not answer, `studio_database_up` is 0 and they are left out.
        """
        _refuse_strangers(request)
        open_metrics = _OPENMETRICS in request.headers.get("accept", "")
        meter: Meter = request.app.state.meter
        page = await asyncio.to_thread(meter.render, as_openmetrics=open_metrics)
        kind = openmetrics.CONTENT_TYPE_LATEST if open_metrics else exposition.CONTENT_TYPE_LATEST
        return Response(page, headers={"Content-Type": kind, "Cache-Control": "no-store"})

    return found


def _refuse_strangers(request: Request) -> None:
    """Raise NotSignedIn unless the caller knows METRICS_TOKEN, or NotAllowed without one from another machine."""
    token = request.app.state.services.settings.metrics_token
    if token is None:
        if _is_local(request):
            return
        raise NotAllowed(
            "The numbers are shown on this machine only. Set METRICS_TOKEN to read them from another."
        )
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    expected = token.get_secret_value()
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), expected.encode()):
        raise NotSignedIn("Send METRICS_TOKEN as a bearer token to read the numbers.")


def _is_local(request: Request) -> bool:
    """True for a caller on this machine; what a proxy here passes on comes from elsewhere."""
    if request.client is None or {"x-forwarded-for", "forwarded"} & set(request.headers):
        return False
    try:
        return ip_address(request.client.host).is_loopback
    except ValueError:
        return False
