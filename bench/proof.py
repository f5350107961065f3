"""The seven-check proof over 100,000 saved portraits: rows only, with their files, and the last hour.

Each run is the product's own command in a process of its own, so that its memory is its own too.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import psycopg

from bench.figures import Figure
from bench.world import environment, home, settings
from core.audit import autosave
from core.services import Services, open_services

PORTRAITS = 100_000
EACH = 20  # portraits of one character
PEOPLE = 50
LAST_HOUR = 500
DAYS = 180
PICTURE = 20_000  # bytes
THUMBNAIL = 2_000
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Made:
    """One portrait that was made and saved."""

    job: UUID
    user: UUID
    character: UUID
    at: datetime
    sha256: str
    primary: bool
    size: int = PICTURE

    @property
    def stem(self) -> str:
        return f"{self.user}/portraits/{self.character}/{self.job}"

    @property
    def workspace(self) -> str:
        return f"{self.user}/{self.job}_{int(self.at.timestamp() * 1000)}"


def measure() -> list[Figure]:
    """Seconds and megabytes of the three runs."""
    with home() as folder, open_services(settings(folder)) as services:
        # A proof that no worker disturbs; the files are as warm as the floor's.
        made = list(_files(folder))
        fill(services, made)
        count = _count_floor(services)
        reading = count + _read_floor(folder)
        rows, rows_memory, _ = _run(folder, services)
        _refuse_unlike(rows, PORTRAITS, "passed")
        hour, _, _ = _run(folder, services, "--since", "1h")
        objects, memory, worked = _run(folder, services, "--with-objects")
        _refuse_unlike(objects, PORTRAITS, "passed")
    note = f"{PORTRAITS:,} portraits"
    return [
        Figure(
            what="seven checks, rows only",
            measured=_seconds(rows),
            unit="s",
            budget=5,
            floor=count,
            note=f"{note}; floor: counting the five tables; {rows_memory:.0f} MB",
        ),
        Figure(
            what="seven checks with objects",
            measured=_seconds(objects),
            unit="s",
            budget=60,
            floor=reading,
            note=f"{note} of {PICTURE // 1000} kB; floor: reading the same bytes and one count; {worked:.1f} s of processor",
        ),
        Figure(what="its memory", measured=memory, unit="MB", budget=300, note="largest, of its process"),
        Figure(
            what="seven checks, the last hour",
            measured=_seconds(hour),
            unit="s",
            budget=2,
            note=f"{hour.looked_at:,} portraits among {PORTRAITS:,}",
        ),
    ]


def _files(folder: Path) -> Iterator[Made]:
    """Every picture and thumbnail; the workspace's too where it should still be there."""
    now = datetime.now(UTC) - timedelta(minutes=2)
    bulk = os.urandom(PICTURE)
    people = [uuid4() for _ in range(PEOPLE)]
    for number in range(PORTRAITS):
        if number % EACH == 0:
            character = uuid4()
        # The last ones within the last hour, the rest evenly over the months before.
        late = number - (PORTRAITS - LAST_HOUR)
        back = (
            timedelta(minutes=55) * (1 - late / LAST_HOUR)
            if late >= 0
            else timedelta(days=DAYS) * (1 - number / PORTRAITS) + timedelta(hours=2)
        )
        job = uuid4()
        data = job.bytes + bulk[16:]
        one = Made(
            job=job,
            user=people[number // EACH % PEOPLE],
            character=character,
            at=now - back,
            sha256=hashlib.sha256(data).hexdigest(),
            primary=number % EACH == EACH - 1,
        )
        write_pair(folder / "objects/user-library" / one.stem, data)
        if back < timedelta(days=autosave.RETENTION_DAYS):
            write_pair(folder / "objects/workspace-temp" / one.workspace, data)
        yield one


def write_pair(stem: Path, data: bytes) -> None:
    stem.parent.mkdir(parents=True, exist_ok=True)
    stem.with_name(stem.name + ".png").write_bytes(data)
    stem.with_name(stem.name + ".thumb.webp").write_bytes(data[:THUMBNAIL])


def fill(services: Services, made: list[Made]) -> None:
    """What the product would have written, by COPY and past the triggers."""
    with psycopg.connect(services.db.dsn) as conn:
        conn.execute("SET session_replication_role = replica")
        for table, columns, rows in _tables(made):
            with conn.cursor().copy(f"COPY {table} ({columns}) FROM STDIN".encode()) as copy:
                for row in rows:
                    copy.write_row(row)
    with psycopg.connect(services.db.dsn, autocommit=True) as conn:
        conn.execute("VACUUM ANALYZE")


def _tables(made: list[Made]) -> Iterator[tuple[str, str, Iterator[tuple[object, ...]]]]:
    yield (
        "public.characters",
        "id, user_id, name, description, gender, image_url, created_at",
        (
            (
                m.character,
                m.user,
                "Juniper Vale",
                "keeps a lighthouse",
                "female",
                f"user-library/{m.stem}.png",
                m.at,
            )
            for m in made
            if m.primary
        ),
    )
    yield (
        "public.jobs",
        "id, user_id, job_type, status, stage, runner, character_id, metadata, created_at, started_at, completed_at",
        (
            (
                m.job,
                m.user,
                "character_portrait",
                "completed",
                "saved",
                "studio",
                m.character,
                _metadata(m),
                m.at,
                m.at,
                m.at,
            )
            for m in made
        ),
    )
    yield (
        "public.workspace_assets",
        "user_id, job_id, asset_type, temp_storage_path, thumbnail_path, mime_type, file_size_bytes, sha256, created_at",
        (
            (
                m.user,
                m.job,
                "image",
                f"{m.workspace}.png",
                f"{m.workspace}.thumb.webp",
                "image/png",
                m.size,
                m.sha256,
                m.at,
            )
            for m in made
        ),
    )
    yield (
        "public.user_library",
        """
        user_id, job_id, asset_type, storage_path, thumbnail_path, file_size_bytes, mime_type, tags, roleplay_metadata,
        content_category, sha256, created_at
        """,
        (
            (m.user, m.job, "image", f"{m.stem}.png", f"{m.stem}.thumb.webp", m.size, "image/png", ["character", "portrait"],
             f'{{"type": "character_portrait", "character_id": "{m.character}"}}', "character", m.sha256, m.at)
            for m in made
        ),
    )  # fmt: skip
    yield (
        "public.character_portraits",
        "character_id, job_id, image_url, thumbnail_url, is_primary, sha256, created_at",
        (
            (
                m.character,
                m.job,
                f"user-library/{m.stem}.png",
                f"user-library/{m.stem}.thumb.webp",
                m.primary,
                m.sha256,
                m.at,
            )
            for m in made
        ),
    )


def _metadata(one: Made) -> str:
    return (
        f'{{"destination": "character_portrait", "character_id": "{one.character}", "owner": "{one.user}"}}'
    )


def _run(folder: Path, services: Services, *words: str) -> tuple[autosave.Run, float, float]:
    """The command's own run, its process's largest memory in MB and its processor time in s. Raises RuntimeError where it found fault."""
    child = subprocess.Popen(
        [sys.executable, "-m", "core", "audit", *words],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise RuntimeError(f"The proof ended with status {child.returncode}; its words are above.")
    with services.db.as_service() as conn:
        [run] = autosave.runs(conn, limit=1)
    return run, used.ru_maxrss * 1024 / MEGABYTE, used.ru_utime + used.ru_stime


def _seconds(run: autosave.Run) -> float:
    if run.finished_at is None:
        raise RuntimeError("The proof did not come to its end.")
    return (run.finished_at - run.started_at).total_seconds()


def _refuse_unlike(run: autosave.Run, wanted: int, what: str) -> None:
    counted = [run.tally[check].get(autosave.PASSED, 0) for check in autosave.Check]
    if not run.with_objects:  # files were not looked at
        counted = [number for number in counted if number]
    if set(counted) != {wanted}:
        raise RuntimeError(f"Each check should have {what} {wanted} times: {counted}.")


def _count_floor(services: Services) -> float:
    began = time.perf_counter()
    with services.db.as_service() as conn:
        for table in ("jobs", "workspace_assets", "user_library", "character_portraits", "characters"):
            conn.execute(f"SELECT count(*) FROM public.{table}".encode())
    return time.perf_counter() - began


def _read_floor(folder: Path) -> float:
    began = time.perf_counter()
    for parent, _, names in os.walk(folder / "objects"):
        for name in names:
            if name.endswith(".png"):
                with contextlib.closing(os.fdopen(os.open(f"{parent}/{name}", os.O_RDONLY), "rb", 0)) as file:
                    file.read()
    return time.perf_counter() - began
