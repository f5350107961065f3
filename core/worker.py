"""What each queue entry does, the clock, and `python -m core.worker`.

PgQueuer runs the queue (DESIGN decision 3); this room hands each entry to a thread and tells the engine what came
of it. It delivers at least once; once comes from the lease in the job row.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from uuid import UUID, uuid4

import asyncpg
import pgqueuer
from pgqueuer import AsyncpgPoolDriver, PgQueuer, RetryRequested
from pgqueuer.adapters.persistence.qb import (
    QueryBuilderEnvironment,
    QueryQueueBuilder,
    QuerySchedulerBuilder,
)
from pgqueuer.domain.settings import DBSettings, Durability
from pgqueuer.models import Job as Entry
from pgqueuer.models import Schedule
from pgqueuer.queries import Queries
from pgqueuer.types import Channel

from core import (
    autosave,
    callbacks,
    cleaning,
    log,
    matching,
    notices,
    privacy,
    proof,
    publishing,
    queue,
    recovery,
    retention,
    row_rules,
    running,
    sessions,
    stock,
)
from core.db import models, workers
from core.errors import NotFound, StudioError
from core.services import CONFIRMS, RESCUES, Services
from core.values import JobId

# Every name is given: the engine otherwise reads bare environment names such as CHANNEL (reference/queue.md §1).
NAMES = DBSettings(
    prefix="",
    db_schema=queue.SCHEMA,
    channel=Channel(queue.SCHEMA),
    function="fn_pgqueuer_changed",
    trigger="tg_pgqueuer_changed",
    queue_table="pgqueuer",
    queue_table_log="pgqueuer_log",
    statistics_table="pgqueuer_statistics",
    schedules_table="pgqueuer_schedules",
    queue_status_type="pgqueuer_status",
    durability=Durability.durable,
    widen_id=True,
)
FILE_THREADS = 8
_PUBLISHERS = (
    2  # all processor work: more at once would hold up those who take results in and free a provider's place
)
_PROBE_AFTER = 2.0  # seconds
_HEARD_WITHIN = 0.2  # seconds until the worker hears that its process leaves
_ONCE_A_DAY = "23 4 * * *"  # UTC
_KEPT_AT = "53 4 * * *"  # UTC, after the cleaning
_PROOF_WAITS = 15.0  # seconds
_FASTEST_TICK = 1  # seconds; the engine's clock counts whole ones

_log = log.get(__name__)


@dataclass(frozen=True, kw_only=True)
class _Threads:
    """Two pools, so that auto-save never starves behind threads that wait for providers."""

    waiting: ThreadPoolExecutor
    files: ThreadPoolExecutor

    def close(self) -> None:
        self.waiting.shutdown(wait=True)
        self.files.shutdown(wait=True)


class _Manager(PgQueuer):
    """The engine without its statistics, which nobody reads and which double the log (reference/queue.md §5).

    Its first probe of its listener can leave before LISTEN stands, is never answered, and takes the worker down ten
    seconds later (seen in 3 of 4 starts under load, PgQueuer 1.6.0): here the probes begin a moment later.
    """

    async def run(self, *args: object, **kwargs: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        probe = self.qm._run_periodic_health_check  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]

        async def probe_later() -> None:
            await asyncio.sleep(_PROBE_AFTER)
            await probe()

        setattr(self.qm, "_run_periodic_health_check", probe_later)  # noqa: B010
        kwargs["log_aggregation_interval"] = timedelta(0)
        await super().run(*args, **kwargs)  # pyright: ignore[reportArgumentType]


async def serve(services: Services, shutdown: asyncio.Event) -> None:
    """Work until `shutdown` is set. Runs that wait for a provider then hand their job over by its receipt.

    A worker that starts lifts its providers' pauses: a key or a balance may have been mended, and a try that is
    refused again costs nothing and pauses anew.
    Lives in its own event loop, in this process or in a thread of another program.
    """
    with services.db.as_service() as conn:
        models.resume(conn, list(services.providers))
    threads = _Threads(
        waiting=ThreadPoolExecutor(services.waiting_threads, "waiting"),
        files=ThreadPoolExecutor(FILE_THREADS, "files"),
    )
    beating = asyncio.create_task(_beat(services, threads, uuid4()))
    leaving = asyncio.create_task(_pass_on(shutdown, services.stopping))
    try:
        await pgqueuer.run(
            lambda: _manager(services, threads),
            batch_size=1,
            max_concurrent_tasks=services.waiting_threads + FILE_THREADS,
            dequeue_timeout=timedelta(seconds=min(5.0, services.settings.heartbeat_seconds / 2)),
            heartbeat_timeout=timedelta(seconds=services.settings.heartbeat_seconds),
            shutdown_on_listener_failure=True,
            restart_on_failure=True,
            restart_delay=timedelta(seconds=min(1.0, services.settings.heartbeat_seconds / 2)),
            shutdown=shutdown,
        )
    finally:
        services.stopping.set()
        leaving.cancel()
        beating.cancel()
        await asyncio.wait({beating})
        threads.close()


@contextlib.contextmanager
def in_thread(services: Services) -> Generator[None]:
    """Work in a thread of this process for as long as the block lasts (the studio's embedded worker)."""
    loop = asyncio.new_event_loop()
    shutdown = asyncio.Event()

    async def until_this_process_leaves() -> None:
        hearing = asyncio.create_task(_hear(services.stopping, shutdown))
        try:
            await serve(services, shutdown)
        finally:
            hearing.cancel()

    def work() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(until_this_process_leaves())
        loop.close()

    thread = threading.Thread(target=work, name="worker")
    thread.start()
    try:
        yield
    finally:
        services.stopping.set()
        with contextlib.suppress(RuntimeError):  # the loop ended by itself
            loop.call_soon_threadsafe(shutdown.set)
        thread.join()


@contextlib.asynccontextmanager
async def _manager(services: Services, threads: _Threads) -> AsyncGenerator[PgQueuer]:
    async with asyncpg.create_pool(  # pyright: ignore[reportUnknownMemberType]
        services.db.dsn, min_size=2, max_size=4, command_timeout=30
    ) as pool:
        driver = AsyncpgPoolDriver(pool)
        queries = Queries(
            driver, QueryBuilderEnvironment(NAMES), QueryQueueBuilder(NAMES), QuerySchedulerBuilder(NAMES)
        )
        manager = _Manager(driver, Channel(NAMES.channel), queries=queries)
        _register(manager, services, threads)
        yield manager


def _register(manager: PgQueuer, services: Services, threads: _Threads) -> None:
    """One entry point a provider, one for auto-save, one for rescues, one tick for recovery, one a day for cleaning."""
    for provider, limit in services.limits.items():
        name = queue.portrait_entrypoint(provider)
        manager.entrypoint(name, concurrency_limit=limit, on_failure="hold")(
            _entry(running.run, services, threads.waiting)
        )
    manager.entrypoint(queue.AUTOSAVE, concurrency_limit=FILE_THREADS, on_failure="hold")(
        _entry(_save, services, threads.files)
    )
    manager.entrypoint(queue.MATCH, concurrency_limit=FILE_THREADS, on_failure="hold")(
        _entry(matching.match, services, threads.files)
    )
    manager.entrypoint(queue.PUBLISH, concurrency_limit=_PUBLISHERS, on_failure="hold")(
        _entry(publishing.publish_or_later, services, threads.files)
    )
    manager.entrypoint(queue.RESCUE, concurrency_limit=RESCUES, on_failure="hold")(
        _entry(recovery.rescue, services, threads.waiting)
    )
    manager.entrypoint(queue.CONFIRM, concurrency_limit=CONFIRMS, on_failure="hold")(
        _entry(callbacks.confirm, services, threads.waiting)
    )

    manager.entrypoint(queue.PROVE, concurrency_limit=1, on_failure="hold")(
        _entry(_check_now, services, threads.files)
    )

    async def recover(_schedule: Schedule) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(threads.files, _recover, services)

    manager.schedule("recover", _every(services.settings.recovery_every))(recover)

    async def clean(_schedule: Schedule) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(threads.files, _clean, services)

    manager.schedule("clean", _ONCE_A_DAY)(clean)

    async def prove(_schedule: Schedule) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(threads.files, _prove, services)

    manager.schedule("prove", f"17 {services.settings.proof_hour} * * *")(prove)

    async def watch(_schedule: Schedule) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(threads.files, _watch, services)

    manager.schedule("watch", _every(services.settings.health_every))(watch)

    async def scan(_schedule: Schedule) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(threads.files, stock.put_off, services, stock.scan)

    manager.schedule("scan", f"37 {services.settings.stock_hour} * * *")(scan)

    async def scan_if_asked(_schedule: Schedule) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(threads.files, stock.put_off, services, stock.scan_if_asked)

    manager.schedule("scan_if_asked", _every(services.settings.recovery_every))(scan_if_asked)

    async def prove_rows(_schedule: Schedule) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(threads.files, partial(_prove, services, with_objects=False))

    manager.schedule("prove_rows", _hourly(services.settings.proof_every))(prove_rows)
    _register_checks_of_rows(manager, services, threads)
    _register_keeping(manager, services, threads)


def _register_keeping(manager: PgQueuer, services: Services, threads: _Threads) -> None:
    """What goes by its age, once a day, and people whose erasure was asked for."""

    async def keep(_schedule: Schedule) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(threads.files, _keep, services)

    manager.schedule("keep", _KEPT_AT)(keep)

    async def erase(_schedule: Schedule) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(threads.files, _go_on_erasing, services)

    manager.schedule("erase", _every(services.settings.recovery_every))(erase)


def _register_checks_of_rows(manager: PgQueuer, services: Services, threads: _Threads) -> None:
    """Every row against the rules: one tick a day, and one for what people asked for."""

    async def check_rows(_schedule: Schedule) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(threads.files, _check_rows, services, row_rules.sweep)

    manager.schedule("check_rows", f"7 {services.settings.rows_hour} * * *")(check_rows)

    async def check_rows_if_asked(_schedule: Schedule) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(threads.files, _check_rows, services, row_rules.sweep_if_asked)

    manager.schedule("check_rows_if_asked", _every(services.settings.recovery_every))(check_rows_if_asked)


def _entry(
    work: Callable[[JobId, Services], object], services: Services, pool: ThreadPoolExecutor
) -> Callable[[Entry], Awaitable[None]]:
    """An entry point that runs `work` in a thread and turns what it raises into the engine's words."""

    async def entry(entry: Entry) -> None:
        job_id = JobId(UUID((entry.payload or b"").decode()))
        try:
            await asyncio.get_running_loop().run_in_executor(pool, work, job_id, services)
        except running.AskAgain as later:
            raise RetryRequested(timedelta(seconds=later.delay), "later") from None
        except (SystemExit, KeyboardInterrupt) as exc:  # would end the whole worker
            raise RuntimeError("a handler tried to leave") from exc

    return entry


def _save(job_id: JobId, services: Services) -> None:
    try:
        autosave.save(job_id, services)
    except StudioError as error:
        _log.warning("autosave_put_off", job_id=str(job_id), code=error.reason)
        raise running.AskAgain(5.0) from error


def _recover(services: Services) -> None:
    try:
        for _steps in recovery.walk(services):
            if services.stopping.is_set():
                return
    except StudioError as error:
        _log.warning("recovery_put_off", code=error.reason)


def _clean(services: Services) -> None:
    for clean in (cleaning.clean, sessions.purge):
        try:
            clean(services)
        except StudioError as error:
            _log.warning("cleaning_put_off", code=error.reason)


def _keep(services: Services) -> None:
    try:
        retention.keep(services)
    except StudioError as error:
        _log.warning("retention_put_off", code=error.reason)


def _go_on_erasing(services: Services) -> None:
    try:
        privacy.go_on(services)
    except StudioError as error:
        _log.warning("erasure_put_off", code=error.reason)


def _prove(services: Services, *, with_objects: bool = True) -> None:
    """The proof of every portrait by the clock; what a killed one left is gone on with."""
    try:
        proof.run_proof(services, with_objects=with_objects, resume=True)
    except (
        StudioError
    ) as error:  # another worker is at it, or the store is away: tomorrow's goes on from there
        _log.warning("proof_put_off", code=error.reason)


def _watch(services: Services) -> None:
    try:
        notices.watch(services)
    except StudioError as error:
        _log.warning("health_put_off", code=error.reason)


def _check_rows(services: Services, carry_out: Callable[[Services], object]) -> None:
    """Every row against the rules, by the clock or because somebody asked; another process may be at it."""
    try:
        carry_out(services)
    except StudioError as error:
        _log.warning("rows_check_put_off", code=error.reason)


def _check_now(run_id: JobId, services: Services) -> None:
    """A check that a person asked for; while another one runs, or the store is away, it waits."""
    try:
        run = proof.carry_out(run_id, services)
    except NotFound as error:  # given up for a newer one
        _log.info("proof_given_up", run=str(run_id), code=error.reason)
        return
    except StudioError as error:
        _log.warning("proof_put_off", code=error.reason)
        raise running.AskAgain(_PROOF_WAITS) from error
    if run is not None and run.finished_at is None:  # this worker is leaving
        raise running.AskAgain(1.0)


def _hourly(hours: int) -> str:
    """A cron line (UTC) for every so many hours, apart from the daily proof."""
    return f"41 */{hours} * * *" if hours < 24 else "41 0 * * *"  # noqa: PLR2004 — hours of a day


def _every(seconds: float) -> str:
    """A cron line (UTC; the engine takes seconds as a sixth field) that ticks about every `seconds`."""
    whole = max(_FASTEST_TICK, round(seconds))
    if whole < 60:  # noqa: PLR2004 — seconds of a minute
        return f"* * * * * */{whole}"
    return f"*/{min(59, whole // 60)} * * * *"


async def _beat(services: Services, threads: _Threads, worker_id: UUID) -> None:
    """Say every third of a heartbeat that this worker lives; say at the end that it left by itself."""
    loop = asyncio.get_running_loop()
    try:
        while True:
            await loop.run_in_executor(threads.files, _say_alive, services, worker_id)
            await asyncio.sleep(services.settings.heartbeat_seconds / 3)
    finally:
        _say_gone(services, worker_id)


def _say_alive(services: Services, worker_id: UUID) -> None:
    with contextlib.suppress(StudioError), services.db.as_service() as conn:
        workers.beat(conn, worker_id, host=socket.gethostname(), pid=os.getpid())


def _say_gone(services: Services, worker_id: UUID) -> None:
    with contextlib.suppress(StudioError), services.db.as_service() as conn:
        workers.stopped(conn, worker_id)


async def _pass_on(shutdown: asyncio.Event, stopping: threading.Event) -> None:
    await shutdown.wait()
    stopping.set()


async def _hear(stopping: threading.Event, shutdown: asyncio.Event) -> None:
    """Stop taking work as soon as this process leaves, not when its last request is answered."""
    while not stopping.is_set():  # noqa: ASYNC110 — a thread sets it
        await asyncio.sleep(_HEARD_WITHIN)
    shutdown.set()


def main() -> None:
    """Work until SIGTERM or Ctrl+C; a second one ends at once, as a kill does, and nothing is lost by it."""
    from core.db.embedded import terminate_cleanly  # noqa: PLC0415
    from core.services import open_services  # noqa: PLC0415 — after the arguments, before the work
    from core.settings import Settings  # noqa: PLC0415

    async def work(services: Services) -> None:
        shutdown = asyncio.Event()
        loop = asyncio.get_running_loop()

        def leave(number: int) -> None:
            if shutdown.is_set():
                os._exit(128 + number)
            shutdown.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, leave, number)
        await serve(services, shutdown)

    terminate_cleanly()  # a signal that comes while it starts
    try:
        with open_services(Settings()) as services:
            _log.info("worker_started", providers=sorted(services.providers))
            asyncio.run(work(services))
    except StudioError as error:
        sys.exit(error.sentence)


if __name__ == "__main__":
    main()
