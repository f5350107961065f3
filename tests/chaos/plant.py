"""One installation under test: a database, a provider with its own counts, workers as real processes.

What became of a job is read by SQL of this file alone, not through the product's own questions.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

import psycopg

from core import characters, generation
from core.services import Services, open_services
from core.settings import Settings
from core.values import Character, JobId, Person, PersonId, PortraitRequest, Role
from tests.emulator import KEY, EmulatorProcess

ROOT = Path(__file__).parents[2]
DESCRIPTION = (
    "A cartographer of imaginary islands who insists that every one of them has good coffee and a bus."
)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the rows say about one job; `agrees` is true where character, portrait and library name one object."""

    status: str
    stage: str | None
    code: str | None
    assets: int
    library: int
    portraits: int
    sent: int
    agrees: bool

    @property
    def is_saved_once(self) -> bool:
        counts = (self.assets, self.library, self.portraits)
        return self.status == "completed" and counts == (1, 1, 1) and self.agrees


SAVED_ONCE = Facts(
    status="completed", stage="saved", code=None, assets=1, library=1, portraits=1, sent=1, agrees=True
)


@dataclass
class Plant:
    """`environment` is what each worker gets; processes that still run at the end are ended by their own id."""

    dsn: str
    home: Path
    emulator: EmulatorProcess
    environment: dict[str, str]
    person: Person
    services: Services
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_worker(self, *strike: str) -> subprocess.Popen[bytes]:
        """A worker; `strike` is what tests/chaos/worker.py takes."""
        return self._start("tests/chaos/worker.py", *strike)

    def run_asker(self, character: Character) -> int:
        """Ask in a process that dies at once; its exit status."""
        return self._start("tests/chaos/asker.py", str(self.person.id), str(character.id)).wait(30)

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.home / f"process-{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *command], cwd=ROOT, env=self.environment, stdout=log, stderr=log
            )
        self.processes.append(process)
        return process

    def end_workers(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def make_character(self, name: str = "Ada Quill") -> Character:
        fields = {"name": name, "description": DESCRIPTION, "appearance_tags": ["round glasses"]}
        return characters.create(self.person, self.services, fields)

    def ask(self, character: Character, count: int = 1) -> list[JobId]:
        flux = next(
            one.model
            for one in generation.models_for(self.person, self.services)
            if one.model.model_key == "fal-ai/flux/dev"
        )
        wanted = PortraitRequest(character_id=character.id, model_id=flux.id)
        return [generation.request(wanted, self.person, self.services).job_id for _ in range(count)]

    def facts(self, job_id: JobId) -> Facts:
        with psycopg.connect(self.dsn) as conn:
            row = conn.execute(
                """
                SELECT j.status, j.stage, j.error_code,
                    (SELECT count(*) FROM workspace_assets a WHERE a.job_id = j.id),
                    (SELECT count(*) FROM user_library l WHERE l.storage_path LIKE '%%' || j.id || '%%'),
                    (SELECT count(*) FROM character_portraits p WHERE p.image_url LIKE '%%' || j.id || '%%'),
                    (SELECT count(*) FROM studio.submissions s WHERE s.job_id = j.id),
                    EXISTS (SELECT FROM characters c
                        JOIN character_portraits p ON p.character_id = c.id AND p.is_primary
                        JOIN user_library l ON 'user-library/' || l.storage_path = p.image_url
                        WHERE c.id = j.character_id AND c.image_url = p.image_url AND l.sha256 = p.sha256)
                FROM jobs j WHERE j.id = %s
                """,
                [job_id],
            ).fetchone()
        names = ("status", "stage", "code", "assets", "library", "portraits", "sent", "agrees")
        return Facts(**dict(zip(names, row, strict=True)))

    def wait_for(self, job_id: JobId, *, seconds: float = 80, unknown: bool = False) -> Facts:
        """The facts once the job is saved, failed, cancelled (or, `unknown`, outcome unknown)."""
        ends = time.monotonic() + seconds
        while True:
            facts = self.facts(job_id)
            done = facts.stage == "saved" or facts.status in {"failed", "cancelled"}
            if done or (unknown and facts.stage == "outcome_unknown") or time.monotonic() > ends:
                return facts
            time.sleep(0.05)

    def wait_until_settled(self, jobs: list[JobId], *, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            with psycopg.connect(self.dsn) as conn:
                left = conn.execute(
                    """
                    SELECT count(*) FROM jobs WHERE id = ANY(%s) AND status NOT IN ('failed', 'cancelled')
                    AND stage IS DISTINCT FROM 'saved' AND stage IS DISTINCT FROM 'outcome_unknown'
                    """,
                    [jobs],
                ).fetchone()
            if left == (0,):
                return
            time.sleep(0.2)

    def log_text(self) -> str:
        return "".join(path.read_text(errors="replace") for path in sorted(self.home.glob("process-*.log")))


def wait_until(holds, *, seconds: float = 20) -> bool:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if holds():
            return True
        time.sleep(0.02)
    return False


@contextlib.contextmanager
def open_plant(home: Path, dsn: str | None, **settings: str) -> Iterator[Plant]:
    """An installation on `dsn`, or with its own embedded database below `home`, and its own provider."""
    home.mkdir(parents=True, exist_ok=True)
    with EmulatorProcess() as emulator:
        wanted = {
            "STUDIO_HOME": str(home / "studio"),
            "DATABASE_URL": dsn or "",
            "FAL_KEY": KEY,
            "FAL_BASE_URL": emulator.url,
            "REPLICATE_API_TOKEN": KEY,
            "REPLICATE_BASE_URL": f"{emulator.url}/replicate",
            "NOVITA_API_KEY": KEY,
            "NOVITA_BASE_URL": f"{emulator.url}/novita",
            "RUNPOD_API_KEY": KEY,
            "RUNPOD_ENDPOINT_ID": "sdxl",
            "RUNPOD_BASE_URL": f"{emulator.url}/runpod/v2",
            "HEARTBEAT_SECONDS": "1",
            "STUCK_AFTER": "2",
            "RECOVERY_EVERY": "1",
            "POLL_EVERY": "0.1",
            "TEAM_SHARING": "no",
            **settings,
        }
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        environment = {**inherited, **wanted, "PYTHONPATH": str(ROOT)}
        person = Person(id=PersonId(uuid4()), roles=frozenset({Role.editor}))
        with open_services(_settings(wanted)) as services:
            _make_person(services.db.dsn, person.id)
            plant = Plant(services.db.dsn, home, emulator, environment, person, services)
            try:
                yield plant
            finally:
                plant.end_workers()


def _settings(wanted: dict[str, str]) -> Settings:
    return Settings(**{name.lower(): value for name, value in wanted.items() if value})


def _make_person(dsn: str, person: UUID) -> None:
    with psycopg.connect(dsn) as conn:
        conn.execute("INSERT INTO auth.users (id, email) VALUES (%s, %s)", [person, f"{person}@people.test"])
