"""Real servers, real processes, real signals. Each test has its own server, below a path with a space."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import psycopg
import pytest

from core.db.embedded import EmbeddedPostgres, _failure
from core.errors import SetupFailed
from tests.fix_database import fast_folder

REPOSITORY = Path(__file__).parents[2]

OWNER = """
import sys, time
from pathlib import Path
from core.db.embedded import EmbeddedPostgres, terminate_cleanly
terminate_cleanly()
server = EmbeddedPostgres.start(Path(sys.argv[1]))
print(server.dsn, flush=True)
time.sleep(100)
"""


@pytest.fixture
def home():
    """A home of its own; whatever still runs below it afterwards is ended."""
    folder = Path(tempfile.mkdtemp(prefix="ps home-", dir=fast_folder()))
    yield folder
    if (folder / "postgres" / "postmaster.pid").exists():
        with contextlib.suppress(SetupFailed):
            EmbeddedPostgres.start(folder).stop()  # also frees the shared memory of one that was killed
    for pid in postgres_of(folder):
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(pid).kill()
    shutil.rmtree(folder)


@pytest.fixture
def run(home):
    """Starts Python programs of their own; returns once they said a line."""
    started = []

    def begin(script=OWNER, *, wait=True):
        command = [sys.executable, "-c", script, str(home)]
        program = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        started.append(program)
        program.said = program.stdout.readline().strip() if wait else None
        return program

    yield begin
    for program in started:
        program.kill()
        program.wait()
        program.stdout.close()


def postgres_of(home):
    """PIDs of the servers whose data is below `home`."""
    data = str(home / "postgres")
    everybody = psutil.process_iter(["name", "cmdline"])
    return [
        one.pid for one in everybody if one.info["name"] == "postgres" and data in (one.info["cmdline"] or [])
    ]


def the_postmaster(home):
    (pid,) = postgres_of(home)
    return pid


def write_row(dsn):
    with psycopg.connect(dsn) as conn:
        conn.execute("CREATE TABLE IF NOT EXISTS kept (n int); INSERT INTO kept VALUES (1)")


def rows(dsn):
    with psycopg.connect(dsn) as conn:
        return conn.execute("SELECT count(*) FROM kept").fetchone()[0]


@contextlib.contextmanager
def a_stranger(home):
    """An unrelated program of the very user that runs the server: the one Postgres would take for its own."""
    owner = (home / "postgres").stat().st_uid
    program = subprocess.Popen(["sleep", "100"], user=None if owner == os.geteuid() else owner)
    try:
        yield program
    finally:
        program.kill()
        program.wait()


def name_in(lock, text, stranger):
    lock.write_text("\n".join([str(stranger.pid), *text.split("\n")[1:]]))


def soon(question, seconds=10.0):
    """True as soon as `question` answers so, False when it has not within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if question():
            return True
        time.sleep(0.05)
    return False


def test_what_was_committed_is_there_after_stop_and_start(home):
    first = EmbeddedPostgres.start(home)
    write_row(first.dsn)
    first.stop()
    gone = postgres_of(home)

    second = EmbeddedPostgres.start(home)

    assert gone == []
    assert second.dsn == first.dsn
    assert rows(second.dsn) == 1
    second.stop()


def test_only_the_last_to_leave_stops_the_server(home, run):
    mine, other = EmbeddedPostgres.start(home), run()
    write_row(mine.dsn)

    mine.stop()
    mine.stop()

    assert rows(other.said) == 1
    other.terminate()
    assert other.wait(20) == 128 + signal.SIGTERM
    assert postgres_of(home) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_program_and_its_server_cleanly(home, run, number):
    owner = run()
    write_row(owner.said)

    owner.send_signal(number)

    assert owner.wait(20) == 128 + number
    assert postgres_of(home) == []
    assert "database system is shut down" in (home / "postgres" / "server.log").read_text()


def test_a_program_under_uvicorn_leaves_no_server_behind(home, run):
    serving = OWNER.replace(
        "time.sleep(100)",
        "import uvicorn\n"
        "async def app(scope, receive, send): ...\n"
        "uvicorn.run(app, port=0, lifespan='off', log_level='critical')",
    )
    owner = run(serving)
    time.sleep(0.7)

    owner.terminate()

    assert owner.wait(20) == 128 + signal.SIGTERM
    assert postgres_of(home) == []


def test_after_kill_9_of_the_owner_the_next_joins_and_still_stops_it(home, run):
    owner = run()
    write_row(owner.said)
    before = the_postmaster(home)
    owner.kill()
    owner.wait()

    mine = EmbeddedPostgres.start(home)

    assert the_postmaster(home) == before
    assert rows(mine.dsn) == 1
    mine.stop()
    assert postgres_of(home) == []


def test_an_owner_killed_while_others_stay_is_not_counted(home, run):
    mine, killed = EmbeddedPostgres.start(home), run()
    killed.kill()
    killed.wait()

    mine.stop()

    assert postgres_of(home) == []


def test_after_kill_9_of_the_postmaster_it_heals_without_losing_a_row(home):
    server = EmbeddedPostgres.start(home)
    write_row(server.dsn)
    os.kill(the_postmaster(home), signal.SIGKILL)

    healed, needless = soon(server.heal), server.heal()

    assert (healed, needless) == (True, False)
    assert rows(server.dsn) == 1
    server.stop()


def test_after_kill_9_of_owner_and_postmaster_the_next_start_recovers(home, run):
    owner = run()
    write_row(owner.said)
    os.kill(the_postmaster(home), signal.SIGKILL)
    owner.kill()
    owner.wait()

    mine = EmbeddedPostgres.start(home)

    assert rows(mine.dsn) == 1
    mine.stop()


def test_a_watched_server_comes_back_by_itself(home):
    server = EmbeddedPostgres.start(home)
    server.keep_running()
    write_row(server.dsn)
    before = the_postmaster(home)

    os.kill(before, signal.SIGKILL)

    assert soon(lambda: (home / "postgres" / "postmaster.pid").exists() and answers(server.dsn))
    assert rows(server.dsn) == 1
    assert the_postmaster(home) != before
    server.stop()
    assert postgres_of(home) == []


def answers(dsn):
    try:
        return rows(dsn) > 0
    except psycopg.OperationalError:
        return False


def test_two_watchers_start_one_server(home, run):
    watching = OWNER.replace("print(", "server.keep_running(); print(")
    first, second = run(watching), run(watching)
    write_row(first.said)
    os.kill(the_postmaster(home), signal.SIGKILL)

    assert soon(lambda: answers(second.said))

    time.sleep(0.7)  # the second watcher has looked too by now
    assert len(postgres_of(home)) == 1
    for owner in (first, second):
        owner.terminate()
        owner.wait(20)
    assert postgres_of(home) == []


def test_a_dead_servers_process_that_still_runs_is_waited_for(home):
    server = EmbeddedPostgres.start(home)
    write_row(server.dsn)
    with psycopg.connect(server.dsn) as conn:
        left = psutil.Process(conn.info.backend_pid)
        left.suspend()  # cannot notice that its server dies
        os.kill(the_postmaster(home), signal.SIGKILL)
        healing = threading.Thread(target=soon, args=(server.heal,))
        healing.start()
        healing.join(1.5)
        waited = healing.is_alive()
        left.kill()
        healing.join(20)

    assert waited
    assert rows(server.dsn) == 1
    server.stop()


def test_several_processes_open_a_fresh_folder_at_once_and_share_one_server(home, run):
    owners = [run(wait=False) for _ in range(3)]

    said = [owner.stdout.readline().strip() for owner in owners]

    assert said[0].startswith("postgresql://")
    assert len(set(said)) == 1
    assert len(postgres_of(home)) == 1
    for owner in owners:
        owner.terminate()
    assert [owner.wait(20) for owner in owners] == [128 + signal.SIGTERM] * 3
    assert postgres_of(home) == []


def test_a_stale_lock_that_names_a_stranger_is_removed_and_the_stranger_lives(home):
    first = EmbeddedPostgres.start(home)
    write_row(first.dsn)
    data = home / "postgres"
    kept = {name: (data / name).read_text() for name in ("postmaster.pid", ".s.PGSQL.5432.lock")}
    os.kill(the_postmaster(home), signal.SIGKILL)
    first.stop()
    with a_stranger(home) as stranger:
        for name, text in kept.items():
            name_in(data / name, text, stranger)

        second = EmbeddedPostgres.start(home)
        found = rows(second.dsn)
        second.stop()

        assert stranger.poll() is None
    assert found == 1
    assert postgres_of(home) == []


def test_stopping_never_touches_a_stranger(home):
    server = EmbeddedPostgres.start(home)
    os.kill(the_postmaster(home), signal.SIGKILL)
    lock = home / "postgres" / "postmaster.pid"
    with a_stranger(home) as stranger:
        name_in(lock, lock.read_text(), stranger)

        server.stop()

        assert stranger.poll() is None
    assert postgres_of(home) == []


def test_a_making_that_was_cut_short_is_no_obstacle(home):
    (home / "postgres.new-cut").mkdir()
    (home / "postgres.new-cut" / "PG_VERSION").write_text("18\n")

    server = EmbeddedPostgres.start(home)
    write_row(server.dsn)

    assert rows(server.dsn) == 1
    server.stop()


def test_a_forked_childs_end_leaves_the_server_running(home, run):
    forking = OWNER.replace(
        "time.sleep(100)",
        "import os, sys\n"
        "if os.fork() == 0: sys.exit(0)\n"
        "os.wait(); print('child gone', flush=True); time.sleep(100)",
    )
    owner = run(forking)

    gone = owner.stdout.readline().strip()

    assert gone == "child gone"
    assert len(postgres_of(home)) == 1
    owner.terminate()
    assert owner.wait(20) == 128 + signal.SIGTERM
    assert postgres_of(home) == []


def test_the_server_inherits_none_of_our_keys_and_no_setting_from_outside(home, monkeypatch):
    monkeypatch.setenv("FAL_KEY", "not-for-postgres")
    monkeypatch.setenv("PGPORT", "6000")
    monkeypatch.setenv("PGDATA", "/nowhere")

    server = EmbeddedPostgres.start(home)

    environment = psutil.Process(the_postmaster(home)).environ()
    assert "FAL_KEY" not in environment
    assert (home / "postgres" / ".s.PGSQL.5432").is_socket()
    server.stop()


def test_only_the_owner_may_reach_the_server_and_no_network_does(home):
    server = EmbeddedPostgres.start(home)
    data = home / "postgres"

    opened = psutil.Process(the_postmaster(home)).net_connections("inet")

    assert opened == []
    assert data.stat().st_mode & 0o777 == 0o700
    assert (home / "run").stat().st_mode & 0o777 == 0o700
    server.stop()


def test_the_servers_log_holds_nothing_a_person_wrote(home):
    server = EmbeddedPostgres.start(home)
    with psycopg.connect(server.dsn, autocommit=True) as conn:
        conn.execute("CREATE TABLE diary (words text PRIMARY KEY)")
        for _ in range(2):
            with contextlib.suppress(psycopg.errors.UniqueViolation):
                conn.execute("INSERT INTO diary VALUES ('a secret wish')")
    server.stop()

    log = (home / "postgres" / "server.log").read_text()

    assert "diary_pkey" in log
    assert "secret" not in log


def test_a_path_too_long_for_a_socket_is_refused_before_anything_is_made(home):
    deep = home / ("x" * 100)

    with pytest.raises(SetupFailed, match="Set STUDIO_HOME to a shorter path"):
        EmbeddedPostgres.start(deep)

    assert not deep.exists()


@pytest.mark.parametrize("character", ['"', "$", "`", "\\", ",", "\n"])
def test_a_path_that_the_programs_would_misread_is_refused(home, character):
    with pytest.raises(SetupFailed, match="without such characters"):
        EmbeddedPostgres.start(home / f"a{character}b")


def test_a_file_in_the_way_is_said_to_be_one(home):
    (home / "taken").write_text("")

    with pytest.raises(SetupFailed, match="a file stands where a folder should be"):
        EmbeddedPostgres.start(home / "taken")


def test_a_data_folder_with_something_else_in_it_is_left_alone(home):
    (home / "postgres").mkdir()
    (home / "postgres" / "letter.txt").write_text("mine")

    with pytest.raises(SetupFailed, match="holds something else"):
        EmbeddedPostgres.start(home)

    assert (home / "postgres" / "letter.txt").read_text() == "mine"


def test_data_of_another_postgres_is_refused_with_both_versions(home):
    EmbeddedPostgres.start(home).stop()
    (home / "postgres" / "PG_VERSION").write_text("14\n")

    with pytest.raises(SetupFailed, match=r"written by Postgres 14, this studio brings 18"):
        EmbeddedPostgres.start(home)


def test_a_server_that_will_not_start_says_where_the_reason_stands(home):
    EmbeddedPostgres.start(home).stop()
    with (home / "postgres" / "postgresql.conf").open("a") as settings:
        settings.write("\nno_such_setting = on\n")

    with pytest.raises(SetupFailed, match=r"server\.log"):
        EmbeddedPostgres.start(home)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ('FATAL:  could not write to file "pg_wal/1": No space left on device', "the disk is full"),
        ("could not access directory: Permission denied", "a right is missing"),
        ("Read-only file system", "the disk is read-only"),
    ],
)
def test_what_the_disk_refuses_is_said_with_what_to_do(said, words):
    error = _failure("start the database", said, Path("somewhere"))

    assert words in error.sentence


def test_a_full_disk_is_told_as_one(home, run):
    """A limit on the size of files stands for the disk: initdb cannot write the first segment of its log."""
    limited = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from core.db.embedded import EmbeddedPostgres\n"
        "from core.errors import SetupFailed\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))\n"
        "try: EmbeddedPostgres.start(Path(sys.argv[1]))\n"
        "except SetupFailed as error: print(error.sentence)\n"
    )

    said = run(limited).said

    assert said.startswith("The studio could not make the database")
    assert list(home.glob("postgres*")) == []


@pytest.mark.skipif(
    os.geteuid() != 0,
    reason="Postgres runs as whoever starts it, unless that is root: only root makes an account for it",
)
def test_of_many_first_starts_at_once_one_makes_the_account():
    name = f"ps-test-{os.getpid()}"
    script = f"from core.db import embedded; embedded._ROOTS_STAND_IN = {name!r}; print(embedded._stand_in().pw_uid)"
    try:
        for _ in range(3):
            starts = [
                subprocess.Popen(
                    [sys.executable, "-c", script], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
                )
                for _ in range(4)
            ]
            said = [start.communicate(timeout=60)[0].strip() for start in starts]

            assert said == [str(pwd.getpwnam(name).pw_uid)] * 4
            subprocess.run(["userdel", name], check=True, capture_output=True)
    finally:
        subprocess.run(["userdel", name], check=False, capture_output=True)


def test_an_ordinary_user_needs_nothing_of_root(home):
    script = (
        "import os, sys; from pathlib import Path\n"
        "import psycopg; from core.db.embedded import EmbeddedPostgres\n"
        "if os.geteuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "server = EmbeddedPostgres.start(Path(sys.argv[1]))\n"
        "with psycopg.connect(server.dsn) as conn: one = conn.execute('SELECT 1').fetchone()[0]\n"
        "print(one, os.geteuid())\n"
        "server.stop()\n"
    )
    user = os.geteuid() or 65534
    os.chown(home, user, -1)

    command = [sys.executable, "-c", script, str(home)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)

    assert done.stdout == f"1 {user}\n", done.stderr
    assert (home / "postgres").stat().st_uid == user
    assert postgres_of(home) == []
