"""Real Postgres for tests: one server a run, one migrated template in it, one clone of that a test.

The server lives in memory where the machine has room there, is shared by all xdist workers, and ends with
the run; what a killed run left is ended by the next one. TEST_DATABASE_URL (a role that may create databases)
puts another server in its place. Tests below tests/database run on Postgres 15 too.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest

from core.db import Connection, Database, migrate
from core.db.embedded import EmbeddedPostgres

POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")  # where Debian's package puts its programs
PROGRAMS = {"embedded": None, "postgres15": POSTGRES_15}

_HOME = "PORTRAIT_STUDIO_TESTS_HOME"  # from the process that runs the workers, to the workers
_PREFIX = "ps-tests-"
_ROOM = 1_000_000_000  # bytes free
_NO_DURABILITY = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "300",
}
_TEMPLATE_LOCK = 20_261_120


@dataclass(frozen=True)
class Server:
    """A Postgres and its superuser's address."""

    dsn: str

    def address(self, database: str) -> str:
        return urlunsplit(urlsplit(self.dsn)._replace(path=f"/{database}"))

    def run(self, sql: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            conn.execute(sql)

    @contextlib.contextmanager
    def database(self, template: str) -> Iterator[str]:
        """The address of a database of its own, gone afterwards."""
        name = f"test_{uuid4().hex}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        try:
            yield self.address(name)
        finally:
            self.run(f"DROP DATABASE {name} WITH (FORCE)")

    def template(self) -> str:
        """The migrated template, made here where no other worker has made it."""
        name = f"studio_template_{_fingerprint()}"
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            conn.execute("SELECT pg_advisory_lock(%s)", [_TEMPLATE_LOCK])
            if conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
                self._make_template(conn, name)
        return name

    def _make_template(self, conn: Connection, name: str) -> None:
        conn.execute("DROP DATABASE IF EXISTS studio_template_new WITH (FORCE)")
        conn.execute("CREATE DATABASE studio_template_new TEMPLATE template0")
        migrate.migrate(self.address("studio_template_new"), say=lambda _: None)
        # Under its name only when it is whole; and nobody, autovacuum included, stands in a clone's way.
        conn.execute(f"ALTER DATABASE studio_template_new RENAME TO {name}")
        conn.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")


@dataclass
class Servers:
    """What this process has started or joined."""

    home: Path
    running: dict[str, EmbeddedPostgres] = field(default_factory=dict)
    templates: dict[str, str] = field(default_factory=dict)

    def get(self, name: str) -> Server:
        if name == "given":
            return Server(os.environ["TEST_DATABASE_URL"])
        if name not in self.running:
            if name == "postgres15" and not POSTGRES_15.is_dir():
                pytest.fail("CI proves the schema on Postgres 15 too: apt-get install postgresql-15.")
            self.running[name] = start_server(self.home / name, name)
        return Server(self.running[name].dsn)

    def template(self, server: Server) -> str:
        if server.dsn not in self.templates:
            self.templates[server.dsn] = server.template()
        return self.templates[server.dsn]

    def stop(self) -> None:
        while self.running:
            self.running.popitem()[1].stop()


def start_server(home: Path, name: str = "embedded") -> EmbeddedPostgres:
    """A server for tests: forgets on a power cut, and is faster for it."""
    return EmbeddedPostgres.start(home, programs=PROGRAMS[name], settings=_NO_DURABILITY)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "server" not in metafunc.fixturenames:
        return
    names = ["embedded"]
    if "database" in metafunc.definition.path.parts and (
        POSTGRES_15.is_dir() or os.environ.get("CI") == "true"
    ):
        names.append("postgres15")
    if os.environ.get("TEST_DATABASE_URL"):
        names = ["given"]
    metafunc.parametrize("server", names, indirect=True)


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    found = Servers(Path(os.environ[_HOME]))
    yield found
    found.stop()


@pytest.fixture
def server(request: pytest.FixtureRequest, servers: Servers) -> Server:
    """The Postgres this test runs on."""
    return servers.get(request.param)


@pytest.fixture
def dsn(server: Server, servers: Servers) -> Iterator[str]:
    """The address of a migrated database of this test's own."""
    with server.database(servers.template(server)) as address:
        yield address


@pytest.fixture
def empty_dsn(server: Server) -> Iterator[str]:
    """The address of a database of this test's own with nothing in it."""
    with server.database("template0") as address:
        yield address


@pytest.fixture
def database(dsn: str) -> Iterator[Database]:
    """The migrated database of this test, opened as the studio opens it."""
    opened = Database.open(dsn, max_size=8, share_with_team=True)
    yield opened
    opened.close()


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return  # an xdist worker finds the folder in its environment
    _end_leftovers()
    home = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=fast_folder()))
    os.environ[_HOME] = str(home)
    config.stash[_RUN] = (home, _hold(home))


def pytest_unconfigure(config: pytest.Config) -> None:
    if run := config.stash.get(_RUN, None):
        home, lock = run
        _end(home)
        os.close(lock)


_RUN = pytest.StashKey[tuple[Path, int]]()


def fast_folder() -> Path:
    memory = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a private folder in it
    if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > _ROOM:
        return memory
    return Path(tempfile.gettempdir())


def _hold(home: Path) -> int:
    descriptor = os.open(home / "run.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def _end_leftovers() -> None:
    """End the servers of runs that were killed: nobody holds their lock."""
    for home in fast_folder().glob(f"{_PREFIX}*"):
        if home.stat().st_uid != os.geteuid() or time.time() - home.stat().st_mtime < 60:
            continue
        with contextlib.suppress(BlockingIOError):
            lock = _hold(home)
            _end(home)
            os.close(lock)


def _end(home: Path) -> None:
    for name in PROGRAMS:
        if (home / name / "postgres" / "postmaster.pid").exists():
            start_server(
                home / name, name
            ).stop()  # joins what an aborted worker left, and leaves as the last
    shutil.rmtree(home)


def _fingerprint() -> str:
    """Stands for everything the template is made of."""
    digest = hashlib.sha256(Path(migrate.__file__).read_bytes())
    for path in sorted(migrate.FOLDER.glob("*.sql")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]
