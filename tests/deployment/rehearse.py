"""`python -m tests.deployment.rehearse`: every command of compose.yaml, one by one, as Docker would start it.

Where there is no Docker: the image's files as .dockerignore lets them through, in a folder that nobody may write to;
a fresh environment from requirements.txt (or --venv, one that is there); an account without rights where we are root; a
Postgres of its own in the place of the service `database`; every variable as the Dockerfile, compose.yaml and
deploy/compose.laptop.yaml set it, but for addresses and ports. Each service's health check is asked until it is green; then
each is stopped, within its stop_grace_period.
"""

import argparse
import contextlib
import fnmatch
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from core.db.embedded import _wheel
from tests.deployment.compose import (
    FILES,
    ROOT,
    Image,
    command_of,
    environment_of,
    read_compose,
    read_image,
    seconds,
)
from tests.ports import free_port

NOBODY = 65534
GREEN_WITHIN = 180.0


@dataclass(frozen=True)
class Trial:
    """What became of one container."""

    service: str
    command: str
    green_after: float
    megabytes: float
    stopped_after: float
    status: int


@dataclass
class Stage:
    """Where the rehearsal happens; `user` None: as who we are."""

    home: Path
    python: Path
    user: int | None
    image: Image = field(default_factory=read_image)

    @property
    def app(self) -> Path:
        return self.home / "app"

    def start(
        self, words: Sequence[str], environment: Mapping[str, str], name: str
    ) -> subprocess.Popen[bytes]:
        program = str(self.python) if words[0] == "python" else words[0]
        with (self.home / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [program, *words[1:]], cwd=self.app, env=dict(environment), stdout=log, stderr=log,
                user=self.user, group=self.user, extra_groups=None if self.user is None else [],
            )  # fmt: skip

    def run(self, words: Sequence[str], environment: Mapping[str, str], name: str) -> int:
        return self.start(words, environment, name).wait(120)

    def log(self, name: str) -> str:
        return (self.home / f"{name}.log").read_text(errors="replace")


def lay_out(app: Path) -> dict[str, tuple[int, int]]:
    """The image's files, read-only; size and time of each, to see later that nothing was written."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    let_in = [line[1:] for line in lines if line.startswith("!")]
    left_out = [line.removeprefix("**/") for line in lines if line and line[0] not in "#!" and line != "*"]

    def ignored(_folder: str, names: list[str]) -> set[str]:
        return {name for name in names if any(fnmatch.fnmatch(name, rule) for rule in left_out)}

    app.mkdir()
    for name in let_in:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, app / name, **({"ignore": ignored} if (ROOT / name).is_dir() else {}))
    for path in [app, *app.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    return contents(app)


def contents(app: Path) -> dict[str, tuple[int, int]]:
    found = {path: path.stat() for path in app.rglob("*")}
    return {str(path.relative_to(app)): (one.st_size, one.st_mtime_ns) for path, one in found.items()}


def make_venv(folder: Path) -> Path:
    """As the Dockerfile makes it; its python."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "--require-hashes", "--only-binary", ":all:", "-r", str(ROOT / "requirements.txt")], check=True
    )
    slim(folder)
    return folder / "bin/python"


def slim(folder: Path) -> None:
    packages = next(folder.glob("lib/python3*/site-packages"))
    for name in ("numpy", "pandas", "pyarrow"):
        for path in [found for found in (packages / name).rglob("*") if found.is_dir()]:
            if path.name == "tests" or path in (packages / "pyarrow/include", packages / "pyarrow/src"):
                shutil.rmtree(path, ignore_errors=True)
    pip = [str(folder / "bin/python"), "-m", "pip", "uninstall", "--quiet", "--yes", "setuptools", "pip"]
    subprocess.run(pip, check=True)


@contextlib.contextmanager
def database(stage: Stage) -> Iterator[str]:
    """The service `database`: a Postgres on a port of its own; its address."""
    programs, data, port = _wheel(), stage.home / "database", free_port()
    plain = {"PATH": os.defpath, "LC_ALL": "C"}
    make = [str(programs / "initdb"), "-D", str(data), "-U", "postgres", "--auth=trust", "--encoding=UTF8"]
    assert stage.run(make, plain, "database") == 0, stage.log("database")
    words = [
        str(programs / "postgres"),
        "-D",
        str(data),
        "-p",
        str(port),
        "-k",
        str(stage.home),
        "-c",
        "fsync=off",
    ]
    server = stage.start(words, plain, "database")
    try:
        ready = [str(programs / "pg_isready"), "-U", "postgres", "-h", "127.0.0.1", "-p", str(port)]
        until_true(lambda: stage.run(ready, plain, "database-ready") == 0, 60)
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(60)


def until_true(holds, within: float) -> float:
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < within, "It did not happen in time."
        time.sleep(0.2)
    return time.monotonic() - began


def until_green(
    stage: Stage, process: subprocess.Popen[bytes], check: Sequence[str], environment: Mapping[str, str]
) -> float:
    """Seconds until the health check passed, or the process ended."""
    return until_true(
        lambda: process.poll() is not None or stage.run(check, environment, "health") == 0, GREEN_WITHIN
    )


def play(stage: Stage, names: Sequence[str], address: str | None = None) -> Iterator[Trial]:
    """Start, ask until green, and at the end stop, the services of those names; `address`: a database that is there."""
    services = read_compose(*FILES[:2], variables={"POSTGRES_PASSWORD": "rehearsal"})["services"]
    ports = {"STUDIO_PORT": str(free_port()), "AUDIT_PORT": str(free_port())}
    data = stage.home / "data"
    data.mkdir(mode=0o700)
    if stage.user is not None:
        os.chown(data, stage.user, stage.user)
        os.chown(stage.home, stage.user, stage.user)
    running: list[tuple[str, subprocess.Popen[bytes], float]] = []
    with contextlib.nullcontext(address) if address else database(stage) as dsn:
        here = {"DATABASE_URL": dsn, "STUDIO_HOME": str(data), **ports}
        here |= {"STUDIO_HOST": "127.0.0.1", "AUDIT_HOST": "127.0.0.1", "HEARTBEAT_SECONDS": "5"}
        here |= {
            "HOME": str(data),
            "GRADIO_TEMP_DIR": str(data / "gradio"),
            "PATH": f"{stage.python.parent}:{os.defpath}",
        }
        try:
            for number, name in enumerate(names):
                environment = environment_of(services[name], stage.image) | here
                process = stage.start(
                    command_of(services[name], stage.image), environment, f"{name}-{number}"
                )
                check = services[name]["healthcheck"]["test"][1:]
                running.append((name, process, 0.0))
                took = until_green(stage, process, check, environment)
                if (
                    name == "worker"
                ):  # the other one's sign of life makes this one's check green, on one machine
                    until_true(
                        lambda log=f"{name}-{number}": "worker_started" in stage.log(log), GREEN_WITHIN
                    )
                assert process.poll() is None, stage.log(f"{name}-{number}")[-3000:]
                running[-1] = (name, process, took)
            for name, process, took in reversed(running):
                used = psutil.Process(process.pid).memory_info().rss / 1e6
                process.terminate()
                began = time.monotonic()
                status = process.wait(seconds(services[name]["stop_grace_period"]))
                words = " ".join(command_of(services[name], stage.image))
                yield Trial(name, words, took, used, time.monotonic() - began, status)
        finally:
            for _, process, _ in running:
                if process.poll() is None:
                    process.kill()
                    process.wait()


def main() -> None:
    """Rehearse, and say how it went."""
    said = argparse.ArgumentParser(description=__doc__)
    said.add_argument("--venv", type=Path, help="an environment that is there already")
    given = said.parse_args()
    home = Path(tempfile.mkdtemp(prefix="rehearsal-"))
    home.chmod(0o755)
    python = given.venv / "bin/python" if given.venv else make_venv(home / "venv")
    stage = Stage(home, python, NOBODY if os.geteuid() == 0 else None)
    before = lay_out(stage.app)
    try:
        for one in play(stage, ("studio", "audit", "worker", "worker")):
            print(
                f"{one.service:7} {one.command:24} green after {one.green_after:5.1f} s, {one.megabytes:4.0f} MB, "
                f"stopped after {one.stopped_after:4.1f} s with status {one.status}"
            )
        assert contents(stage.app) == before, "Something was written into the project's folder."
        print("Nothing was written into the project's folder.")
    finally:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
