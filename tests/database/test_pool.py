import contextlib
import itertools
import json
import socket
import struct
import tempfile
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import psycopg
import pytest

import core.db
from core.db import Database, connect, refuse_old, repeat_on_deadlock, session_settings
from core.errors import (
    BadRequest,
    BudgetSpent,
    Conflict,
    DatabaseUnavailable,
    NoModel,
    NotAllowed,
    NotFound,
    NotSignedIn,
    PolicyRefused,
    QueryTimedOut,
    SetupFailed,
    StudioError,
    TooMany,
)
from core.values import Person, PersonId, Role
from tests.fix_database import fast_folder, start_server


@pytest.fixture
def person():
    return Person(id=PersonId(uuid4()), roles=frozenset({Role.qa, Role.editor}))


@pytest.fixture
def one_connection(dsn):
    """A pool whose users all get the same connection, one after the other."""
    opened = Database.open(dsn, max_size=1, share_with_team=False)
    yield opened
    opened.close()


WHO = "SELECT current_user::text, coalesce(current_setting('request.jwt.claims', true), '')"


def who(conn):
    return conn.execute(WHO).fetchone()


def test_a_person_speaks_as_authenticated_with_their_own_claims(database, person):
    with database.as_user(person) as conn:
        role, claims = who(conn)
        subject = conn.execute("SELECT auth.uid()").fetchone()[0]

    assert role == "authenticated"
    assert json.loads(claims)["app_metadata"] == {"roles": ["editor", "qa"]}
    assert subject == person.id


def test_nothing_of_a_person_is_left_for_the_next_user_of_the_connection(one_connection, person):
    with one_connection.as_service() as conn:
        before = who(conn)
    with one_connection.as_user(person) as conn:
        conn.execute("SELECT 1")

    with one_connection.as_service() as conn:
        after = who(conn)

    assert after == before
    assert after[1] == ""


def test_nothing_of_a_person_is_left_after_their_transaction_failed(one_connection, person):
    with one_connection.as_service() as conn:
        before = who(conn)
    with pytest.raises(StudioError), one_connection.as_reader(person) as conn:
        conn.execute("SELECT 1 / 0")

    with one_connection.as_service() as conn:
        after = who(conn)
        conn.execute("CREATE TABLE still_writable (n int)")
        limit = conn.execute("SHOW statement_timeout").fetchone()[0]

    assert after == before
    assert limit == "0"


def test_nobody_ends_a_persons_transaction_half_way(one_connection, person):
    with pytest.raises(StudioError), one_connection.as_user(person) as conn:
        conn.commit()

    with one_connection.as_service() as conn:
        assert who(conn)[0] != "authenticated"


def test_a_block_that_fails_keeps_nothing(database):
    with database.as_service() as conn:
        conn.execute("CREATE TABLE notes (n int)")

    with pytest.raises(NotFound):
        note_and_refuse(database)

    with database.as_service() as conn:
        assert conn.execute("SELECT count(*) FROM notes").fetchone() == (0,)


def note_and_refuse(database):
    with database.as_service() as conn:
        conn.execute("INSERT INTO notes VALUES (1)")
        raise NotFound("There is no such character.")


def test_a_reader_cannot_write(database, person):
    with database.as_service() as conn:
        conn.execute("CREATE TABLE notes (n int); GRANT ALL ON notes TO authenticated")

    with pytest.raises(NotAllowed), database.as_reader(person) as conn:
        conn.execute("INSERT INTO notes VALUES (1)")

    with database.as_service() as conn:
        assert conn.execute("SELECT count(*) FROM notes").fetchone() == (0,)


def test_a_readers_slow_question_is_stopped_and_told_from_a_failure(database, person, monkeypatch):
    monkeypatch.setattr(core.db, "READER_SECONDS", 0.1)
    started = time.monotonic()

    with pytest.raises(QueryTimedOut) as caught, database.as_reader(person) as conn:
        conn.execute("SELECT pg_sleep(10)")

    assert caught.value.status == 504
    assert time.monotonic() - started < 5


def test_a_person_without_the_right_is_refused(database, person):
    with pytest.raises(NotAllowed), database.as_user(person) as conn:
        conn.execute("SELECT * FROM studio.schema_migrations")


def test_every_connection_is_marked_as_ours(dsn, database):
    asked = "SELECT studio.is_ours(), studio.shares(), current_setting('TimeZone')"
    with database.as_service() as conn:
        pooled = conn.execute(asked).fetchone()
    with database.connect() as conn:
        own = conn.execute(asked).fetchone()
    with psycopg.connect(dsn) as conn:
        foreign = conn.execute(asked).fetchone()

    assert pooled == own == (True, True, "UTC")
    assert foreign[:2] == (False, False)


def test_a_connection_of_its_own_hears_notifications(database):
    with database.connect() as listener:
        listener.execute("LISTEN pages")

        with database.as_service() as conn:
            conn.execute("NOTIFY pages, 'hello'")

        assert [note.payload for note in listener.notifies(timeout=5, stop_after=1)] == ["hello"]


def test_all_threads_get_their_turn_on_a_small_pool(one_connection):
    def ask(number):
        with one_connection.as_service() as conn:
            return conn.execute("SELECT %s::int", [number]).fetchone()[0]

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, range(40)))

    assert answers == list(range(40))


SAID = [
    ("PS400", BadRequest, 400),
    ("PS401", NotSignedIn, 401),
    ("PS402", BudgetSpent, 402),
    ("PS403", NotAllowed, 403),
    ("PS404", NotFound, 404),
    ("PS409", Conflict, 409),
    ("PS422", PolicyRefused, 422),
    ("PS429", TooMany, 429),
    ("PS503", NoModel, 503),
]


@pytest.mark.parametrize(("state", "kind", "status"), SAID)
def test_what_our_own_functions_raise_keeps_its_words_and_code(database, state, kind, status):
    using = f"ERRCODE = '{state}', DETAIL = 'MOON', HINT = 'sky'"
    raising = f"DO $$ BEGIN RAISE 'The moon is out.' USING {using}; END $$"

    with pytest.raises(kind) as caught, database.as_service() as conn:
        conn.execute(raising)

    assert type(caught.value) is kind
    assert (str(caught.value), caught.value.reason, caught.value.status) == (
        "The moon is out.",
        "MOON",
        status,
    )
    assert getattr(caught.value, "field", "sky") == "sky"


def test_an_error_of_ours_without_a_detail_keeps_its_class_code(database):
    with pytest.raises(Conflict) as caught, database.as_service() as conn:
        conn.execute("DO $$ BEGIN RAISE 'The log is append-only.' USING ERRCODE = 'PS409'; END $$")

    assert caught.value.reason == "CONFLICT"


MEANT = [
    ("INSERT INTO diary VALUES ('my secret')", Conflict),
    ("INSERT INTO diary VALUES ('my secret and more than twenty letters')", BadRequest),
    ("INSERT INTO diary VALUES (NULL)", BadRequest),
    ("SELECT 'my secret'::uuid", BadRequest),
    ("SELECT * FROM nowhere", SetupFailed),
    ("SELECT 'my secret' FROM WHERE", StudioError),
]


@pytest.mark.parametrize(("sql", "kind"), MEANT)
def test_what_postgres_refuses_becomes_ours_and_quotes_nobody(database, sql, kind):
    with database.as_service() as conn:
        conn.execute(
            "CREATE TABLE diary (words varchar(20) PRIMARY KEY); INSERT INTO diary VALUES ('my secret')"
        )

    with pytest.raises(StudioError) as caught, database.as_service() as conn:
        conn.execute(sql.encode())

    assert type(caught.value) is kind
    assert isinstance(caught.value.__cause__, psycopg.Error)
    told = str(caught.value) + str(caught.value.__cause__)
    assert "secret" not in told


def test_a_traceback_in_the_log_holds_no_value_of_a_row(database):
    with database.as_service() as conn:
        conn.execute("CREATE TABLE diary (words text PRIMARY KEY)")
        conn.execute("INSERT INTO diary VALUES (%s)", ["hush"])

    with pytest.raises(Conflict) as caught, database.as_service() as conn:
        conn.execute("INSERT INTO diary VALUES (%s)", ["hush"])

    last_lines = [
        line for line in traceback.format_exception(caught.value) if "Error" in line or "Violation" in line
    ]
    assert last_lines
    assert not any("(hush)" in line for line in last_lines)


def two_rows(database):
    with database.as_service() as conn:
        conn.execute("CREATE TABLE pair (id int PRIMARY KEY, n int); INSERT INTO pair VALUES (1, 0), (2, 0)")


def test_two_transactions_that_lock_each_other_out_both_get_through(database):
    two_rows(database)
    meeting = threading.Barrier(2)

    def change(order, runs):
        def work():
            with database.as_service() as conn:
                for step, row in enumerate(order):
                    conn.execute("UPDATE pair SET n = n + 1 WHERE id = %s", [row])
                    if step == 0 and next(runs) == 0:
                        meeting.wait(10)

        repeat_on_deadlock(work)

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(change, order, itertools.count()) for order in ((1, 2), (2, 1))]:
            done.result(timeout=30)

    with database.as_service() as conn:
        assert conn.execute("SELECT array_agg(n) FROM pair").fetchone() == ([2, 2],)


def test_a_race_that_is_always_lost_ends_as_a_conflict(database):
    runs = []

    def lose():
        runs.append(1)
        with database.as_service() as conn:
            conn.execute("DO $$ BEGIN RAISE 'lost' USING ERRCODE = '40001'; END $$")

    with pytest.raises(Conflict) as caught:
        repeat_on_deadlock(lose, attempts=3)

    assert caught.value.reason == "COLLISION"
    assert len(runs) == 3


def test_a_conflict_of_another_kind_is_not_repeated(database):
    runs = []

    def refuse():
        runs.append(1)
        with database.as_service() as conn:
            conn.execute("DO $$ BEGIN RAISE 'changed meanwhile' USING ERRCODE = 'PS409'; END $$")

    with pytest.raises(Conflict):
        repeat_on_deadlock(refuse)

    assert len(runs) == 1


def test_a_restarted_server_costs_nobody_an_error():
    with tempfile.TemporaryDirectory(dir=fast_folder(), prefix="ps-pool-") as home:
        server = start_server(Path(home))
        database = Database.open(server.dsn, max_size=4, share_with_team=True)
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda _: ask_after(database, 0.05), range(4)))
            server.stop()
            server = start_server(Path(home))

            answers = list(threads.map(lambda _: ask_after(database, 0.05), range(8)))

        database.close()
        server.stop()
    assert answers == [1] * 8


def ask_after(database, seconds):
    with database.as_service() as conn:
        return conn.execute("SELECT 1 FROM pg_sleep(%s)", [seconds]).fetchone()[0]


def test_a_server_that_is_away_is_said_to_be_away_and_healed_when_it_is_back(monkeypatch):
    monkeypatch.setattr(core.db, "_WAIT", 1.0)
    with tempfile.TemporaryDirectory(dir=fast_folder(), prefix="ps-pool-") as home:
        server = start_server(Path(home))
        database = Database.open(server.dsn, share_with_team=True)
        ask_after(database, 0)
        server.stop()

        with pytest.raises(DatabaseUnavailable):
            ask_after(database, 0)
        with pytest.raises(DatabaseUnavailable):
            database.connect()

        server = start_server(Path(home))
        answer = until_it_answers(database)
        database.close()
        server.stop()
    assert answer == 1


def until_it_answers(database):
    deadline = time.monotonic() + 15
    while True:
        try:
            return ask_after(database, 0)
        except DatabaseUnavailable:
            if time.monotonic() > deadline:
                raise


def test_a_connection_cut_in_the_middle_is_a_database_that_does_not_answer(database):
    with pytest.raises(DatabaseUnavailable), database.as_service() as conn:
        conn.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    assert ask_after(database, 0) == 1


def test_a_closed_database_says_it_does_not_answer(dsn):
    database = Database.open(dsn, share_with_team=True)
    database.close()

    with pytest.raises(DatabaseUnavailable), database.as_service():
        pass


def test_an_address_where_nothing_listens_is_told_from_one_that_is_wrong(dsn):
    wrong_name = urlsplit(dsn)._replace(path="/no_such_database").geturl()

    with pytest.raises(DatabaseUnavailable):
        Database.open("postgresql://u:pa55word@127.0.0.1:1/x", share_with_team=True)
    with pytest.raises(SetupFailed, match="refuses the sign-in"):
        Database.open(wrong_name, share_with_team=True)
    with pytest.raises(SetupFailed, match="not a Postgres address"):
        Database.open("pa55word is not an address", share_with_team=True)


@pytest.mark.parametrize("address", ["postgresql://u:pa55word@127.0.0.1:1/x", "u:pa55word@nonsense"])
def test_the_password_is_in_no_error_and_no_repr(address):
    with pytest.raises(StudioError) as caught:
        Database.open(address, share_with_team=True)

    error, cause = caught.value, caught.value.__cause__
    assert "pa55word" not in f"{error} {error!r} {cause} {cause!r}"


def test_the_database_does_not_show_its_address(database):
    assert "postgres" not in repr(database)


@pytest.mark.parametrize("version", [90624, 120001, 140023])
def test_a_server_older_than_fifteen_is_refused(version):
    with pytest.raises(SetupFailed, match="15 or newer"):
        refuse_old(version)


@pytest.mark.parametrize("version", [150000, 180004])
def test_fifteen_and_newer_will_do(version):
    assert refuse_old(version) is None


@pytest.mark.parametrize("late", [0, 0.02], ids=["at once", "a moment late"])
@pytest.mark.parametrize("ready", [1, 3])
def test_a_transaction_mode_pooler_is_recognised_and_refused(dsn, ready, late):
    refused = pytest.raises(SetupFailed, match="transaction-mode pooler")

    with pooler(dsn, per_transaction=True, ready=ready, late=late) as address, refused:
        Database.open(address, share_with_team=True)


def test_a_session_mode_pooler_that_drops_startup_options_serves(dsn):
    with pooler(dsn, per_transaction=False, ready=0) as address:
        database = Database.open(address, share_with_team=True)

        with database.as_service() as conn:
            assert conn.execute("SELECT studio.is_ours(), studio.shares()").fetchone() == (True, True)

        database.close()


def test_the_settings_of_a_connection_are_there_for_other_drivers(dsn):
    with connect(dsn, session_settings(share_with_team=False)) as conn:
        assert conn.execute("SELECT studio.is_ours(), studio.shares()").fetchone() == (True, False)


def test_a_process_that_froze_inside_a_transaction_lets_go_of_its_rows_after_a_minute(dsn, database):
    with database.as_service() as ours, connect(dsn, session_settings(share_with_team=True)) as own:
        limits = [
            conn.execute("SHOW idle_in_transaction_session_timeout").fetchone()[0] for conn in (ours, own)
        ]

    assert limits == ["1min", "1min"]


# A pooler as PgBouncer and Supavisor are one, told by its wire: it answers the start-up itself (whatever
# options came with it), and lends server sessions for a transaction, or for as long as a client stays.


@contextlib.contextmanager
def pooler(dsn, *, per_transaction, ready, late=0):
    split = urlsplit(dsn)
    folder, port = parse_qs(split.query)["host"][0], parse_qs(split.query)["port"][0]
    sessions = Sessions(Path(folder) / f".s.PGSQL.{port}", split.username, split.path[1:], ready)
    listener = socket.create_server(("127.0.0.1", 0))
    ways = (sessions, per_transaction, late)
    threading.Thread(target=accept, args=(listener, *ways), daemon=True).start()
    try:
        yield f"postgresql://{split.username}@127.0.0.1:{listener.getsockname()[1]}{split.path}?gssencmode=disable"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        sessions.close()


class Sessions:
    """Server sessions; the one given back last is lent first, as PgBouncer does."""

    def __init__(self, path, user, database, ready):
        self.path, self.user, self.database = path, user, database
        self.open, self.idle, self.lock = [], [], threading.Lock()
        for _ in range(ready):
            self.give_back(self.new())

    def new(self):
        server = socket.socket(socket.AF_UNIX)
        server.connect(str(self.path))
        words = f"user\0{self.user}\0database\0{self.database}\0\0".encode()
        server.sendall(struct.pack("!ii", len(words) + 8, 196608) + words)
        self.greeting = b"".join(until_ready(server))
        self.open.append(server)
        return server

    def lend(self):
        with self.lock:
            return self.idle.pop() if self.idle else self.new()

    def give_back(self, server):
        with self.lock:
            self.idle.append(server)

    def close(self):
        for server in self.open:
            server.close()


def accept(listener, *ways):
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=relay, args=(client, *ways), daemon=True).start()


def relay(client, sessions, per_transaction, late):
    with client, contextlib.suppress(ConnectionError, OSError):
        while struct.unpack("!i", (packet := read_packet(client))[:4])[0] != 196608:
            assert packet
            client.sendall(b"N")  # no TLS here
        server = None if per_transaction else sessions.lend()
        client.sendall(sessions.greeting)
        while (message := read_message(client))[:1] != b"X":
            server = server or sessions.lend()
            server.sendall(message)
            if message[:1] not in {b"Q", b"S"}:
                continue
            *answers, ready = until_ready(server)
            given_back = per_transaction and ready[-1:] == b"I"
            if given_back and not late:  # before its client hears of the end, as PgBouncer does
                sessions.give_back(server)
            client.sendall(b"".join([*answers, ready]))
            if given_back and late:
                time.sleep(late)
                sessions.give_back(server)
            server = None if given_back else server


def until_ready(server):
    while True:
        message = read_message(server)
        yield message
        if message[:1] == b"Z":
            return


def read_packet(sock):
    size = struct.unpack("!i", exactly(sock, 4))[0]
    return exactly(sock, size - 4)


def read_message(sock):
    head = exactly(sock, 5)
    return head + exactly(sock, struct.unpack("!i", head[1:])[0] - 4)


def exactly(sock, size):
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise ConnectionError("gone")
        data += piece
    return data
