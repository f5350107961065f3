"""News of the health rules, against a receiver on loopback that takes it, refuses it, keeps silent or sends us on."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydantic import SecretStr

from core import health, notices, receivers
from core.db.health import State
from core.errors import BadRequest, NotAllowed, SetupFailed, StorageFailed
from core.health import Health, Problem, Severity
from core.receivers import Refused, may_tell
from core.values import Role
from tests.builders import a_person, one, rows

SECRET = "T0123/B4567/abcdefsecret"
AUDIT = "https://audit.example.org"
HAIR = timedelta(seconds=61)


class Receiver:
    """Answers each POST with what `says` holds next, the last for ever: a status, seconds of silence, a redirect."""

    def __init__(self):
        self.says = [200]
        self.got = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                length = int(self.headers["Content-Length"])
                outer.got.append((self.path, json.loads(self.rfile.read(length))))
                answer = outer.says.pop(0) if len(outer.says) > 1 else outer.says[0]
                if isinstance(answer, float):
                    time.sleep(answer)
                    answer = 200
                self.send_response(answer)
                if answer in (301, 302, 307):
                    self.send_header("Location", f"http://127.0.0.1:{outer.port}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/services/{SECRET}"

    @property
    def texts(self):
        return [body["blocks"][0]["text"]["text"] for _, body in self.got]


@pytest.fixture
def receiver():
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.fixture
def told(build, receiver):
    return build(notify_webhook_url=SecretStr(receiver.url), audit_url=AUDIT)


def problem(rule="jobs.stuck", subject="", sentence="3 jobs stand still, the oldest for 40 min."):
    return Problem(
        rule=rule, subject=subject, severity=Severity.bad, title="Jobs", sentence=sentence, page="stuck"
    )


def seen(*problems):
    asked = tuple(rule.code for rule in health.RULES)
    return Health(at=datetime.now(UTC), problems=problems, unanswered=(), asked=asked)


def pass_time(services, span=HAIR):
    with services.db.as_service() as conn:
        for table, columns in (
            ("health_notices", ("made_at", "next_try_at", "sent_at")),
            ("health_state", ("told_at", "broken_since", "seen_at")),
        ):
            moved = ", ".join(f"{name} = {name} - %(span)s" for name in columns)
            conn.execute(f"UPDATE studio.{table} SET {moved}", {"span": span})


def tick(services, *problems):
    notices.remember(seen(*problems), services)
    return notices.deliver(services)


def test_what_breaks_is_told_once_and_what_heals_once(told, receiver):
    tick(told, problem())
    pass_time(told)
    tick(told, problem())
    pass_time(told)
    tick(told)
    pass_time(told)
    tick(told)

    assert len(receiver.got) == 2
    assert "3 jobs stand still" in receiver.texts[0]
    assert f"<{AUDIT}/stuck|Open>" in receiver.texts[0]
    assert "Well again: Stuck jobs" in receiver.texts[1]


def test_the_notice_is_what_slack_reads(told, receiver):
    tick(told, problem(sentence="<!channel> & 3 jobs"))

    [(path, body)] = receiver.got
    assert path == f"/services/{SECRET}"
    assert set(body) == {"text", "blocks"}
    assert body["blocks"][0]["type"] == "section"
    assert body["blocks"][0]["text"]["type"] == "mrkdwn"
    assert "&lt;!channel&gt; &amp; 3 jobs" in receiver.texts[0]


def test_changes_within_a_minute_go_out_together_and_later(told, receiver):
    tick(told, problem())
    tick(told, problem(), problem("queue.old", "autosave", "40 wait."))
    tick(told, problem(), problem("queue.old", "autosave", "41 wait."), problem("store.silent"))
    assert len(receiver.got) == 1

    pass_time(told)
    tick(told, problem(), problem("queue.old", "autosave", "42 wait."), problem("store.silent"))

    assert len(receiver.got) == 2
    assert "2 broken" in receiver.texts[1]
    assert "42 wait." in receiver.texts[1]


def test_what_broke_and_healed_between_two_notices_is_no_news(told, receiver):
    tick(told, problem())
    tick(told, problem(), problem("store.silent"))
    tick(told, problem())
    pass_time(told)
    tick(told, problem())

    assert len(receiver.got) == 1


def test_what_stays_broken_is_said_again_after_a_day(told, receiver):
    tick(told, problem())
    pass_time(told, timedelta(hours=23))
    tick(told, problem())
    assert len(receiver.got) == 1

    pass_time(told, timedelta(hours=2))
    tick(told, problem())

    assert len(receiver.got) == 2
    assert "_(still)_" in receiver.texts[1]


def test_a_rule_that_could_not_be_asked_neither_breaks_nor_heals(told, receiver):
    tick(told, problem())
    pass_time(told)
    unasked = Health(at=datetime.now(UTC), problems=(), unanswered=(), asked=("queue.old",))

    notices.remember(unasked, told)
    notices.deliver(told)

    assert len(receiver.got) == 1
    assert one(told.db, "SELECT broken FROM studio.health_state") is True


@pytest.mark.parametrize(
    ("answer", "words"),
    [(500, "HTTP 500"), (404, "HTTP 404"), (302, "not followed"), (307, "not followed")],
)
def test_a_receiver_that_does_not_take_it_is_a_finding_and_is_asked_again_later(
    told, receiver, answer, words
):
    receiver.says = [answer, 200]

    said = tick(told, problem())
    tick(told, problem())  # at once: it is not due yet

    assert words in said
    assert len(receiver.got) == 1
    [finding] = rows(told.db, "SELECT rule, sentence, mended_at FROM studio.findings")
    assert finding[0] == "notify.receiver"
    assert words in finding[1]
    assert finding[2] is None

    pass_time(told)
    tick(told, problem())

    assert len(receiver.got) == 2
    assert one(told.db, "SELECT mended_at IS NOT NULL FROM studio.findings") is True
    assert one(told.db, "SELECT count(*) FROM studio.health_notices") == 1


def test_a_redirect_is_never_followed(told, receiver):
    receiver.says = [302]

    tick(told, problem())

    assert [path for path, _ in receiver.got] == [f"/services/{SECRET}"]


def test_a_silent_receiver_costs_its_time_and_no_more(receiver):
    receiver.says = [3.0]
    begun = time.monotonic()

    with pytest.raises(Refused) as refused:
        receivers.post(receiver.url, {"text": "x"}, seconds=0.3)

    assert time.monotonic() - begun < 2
    assert "did not answer" in refused.value.sentence


def test_each_pause_is_longer_and_after_the_last_try_it_is_given_up(told, receiver):
    receiver.says = [500]
    tick(told, problem())
    pauses = []
    for _ in range(notices.MOST_TRIES - 1):
        [(tried, due)] = rows(
            told.db, "SELECT attempts, next_try_at - clock_timestamp() FROM studio.health_notices"
        )
        pauses.append((tried, due.total_seconds()))
        pass_time(told, timedelta(hours=1, seconds=1))
        notices.deliver(told)

    assert [round(seconds / 30) for _, seconds in pauses][:4] == [1, 2, 4, 8]
    assert max(seconds for _, seconds in pauses) <= 3600
    assert len(receiver.got) == notices.MOST_TRIES
    assert one(told.db, "SELECT given_up_at IS NOT NULL FROM studio.health_notices") is True
    pass_time(told, timedelta(hours=2))
    assert notices.deliver(told) is None


def test_while_one_is_on_its_way_no_other_is_made(told, receiver):
    receiver.says = [500]
    tick(told, problem())
    pass_time(told)
    tick(told, problem(), problem("store.silent"))

    assert one(told.db, "SELECT count(*) FROM studio.health_notices") == 1


def test_two_workers_tell_it_once(told, receiver, build):
    other = build(notify_webhook_url=SecretStr(receiver.url))
    threads = [threading.Thread(target=tick, args=(each, problem())) for each in (told, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(receiver.got) == 1


def test_without_a_receiver_the_state_is_kept_and_nothing_is_told(services):
    assert tick(services, problem()) is None

    assert one(services.db, "SELECT broken FROM studio.health_state") is True
    assert one(services.db, "SELECT count(*) FROM studio.health_notices") == 0


def test_the_clock_s_tick_looks_keeps_and_tells(told, receiver, monkeypatch):
    def away(*_):
        raise StorageFailed("The store is away.")

    monkeypatch.setattr(told.storage, "sizes", away)

    notices.watch(told)

    assert "The store is away." in receiver.texts[0]
    assert one(told.db, "SELECT ok FROM studio.health_looks WHERE name = 'store'") is False


def test_a_test_message_arrives_and_is_on_record(told, receiver):
    admin = a_person(told.db, "ada", Role.admin)

    assert "HTTP 200" in notices.send_test(admin, told)

    assert "A test of Portrait Studio" in receiver.texts[0]
    assert one(told.db, "SELECT who FROM studio.audit_events WHERE action = 'test_notice'") == admin.id


@pytest.mark.parametrize("role", [Role.editor, Role.qa, Role.product])
def test_only_an_admin_sends_a_test_message(told, receiver, role):
    person = a_person(told.db, "quinn", role)

    with pytest.raises(NotAllowed):
        notices.send_test(person, told)
    with pytest.raises(NotAllowed), told.db.as_user(person) as conn:
        conn.execute("SELECT studio.note_test_notice('x')")

    assert receiver.got == []


def test_a_test_message_that_is_not_taken_says_so_and_is_on_record(told, receiver):
    receiver.says = [500]
    admin = a_person(told.db, "ada", Role.admin)

    with pytest.raises(Refused):
        notices.send_test(admin, told)

    assert "500" in one(told.db, "SELECT after::text FROM studio.audit_events WHERE action = 'test_notice'")


def test_without_a_receiver_a_test_message_says_what_to_set(services):
    with pytest.raises(BadRequest) as refused:
        notices.send_test(a_person(services.db, "ada", Role.admin), services)

    assert "NOTIFY_WEBHOOK_URL" in refused.value.sentence


@pytest.mark.parametrize(
    ("address", "plain", "told_it"),
    [
        ("93.184.216.34", False, True),
        ("10.1.2.3", False, True),  # an internal receiver, over https
        ("10.1.2.3", True, False),
        ("93.184.216.34", True, False),
        ("127.0.0.1", True, True),
        ("::1", True, True),
        ("169.254.169.254", False, False),
        ("::ffff:169.254.169.254", False, False),
        ("64:ff9b::a9fe:a9fe", False, False),
        ("fe80::1", False, False),
        ("224.0.0.1", False, False),
        ("0.0.0.0", False, False),  # noqa: S104
        ("not an address", False, False),
    ],
)
def test_where_news_may_go(address, plain, told_it):
    assert may_tell(address, plain=plain) is told_it


@pytest.mark.parametrize(
    "address", ["ftp://x.example/a", "https://me:pw@x.example/a", "no address", "file:///etc/passwd"]
)
def test_an_address_that_is_none_is_refused_without_being_named(address):
    with pytest.raises(SetupFailed) as refused:
        receivers.post(address, {"text": "x"})

    assert address not in refused.value.sentence
    assert "NOTIFY_WEBHOOK_URL" in refused.value.sentence


def test_a_name_that_leads_to_the_metadata_service_is_never_asked():
    with pytest.raises(Refused):
        receivers.post("https://hooks.example/x", {"text": "x"}, find=lambda *_: ["169.254.169.254"])


def test_no_error_and_no_row_names_the_secret_address(told, receiver, caplog):
    receiver.says = [500]
    tick(told, problem())
    with contextlib.suppress(Refused):
        receivers.post(f"http://127.0.0.1:1/{SECRET}", {"text": "x"})

    kept = str(rows(told.db, "SELECT * FROM studio.health_notices")) + str(
        rows(told.db, "SELECT * FROM studio.findings")
    )
    assert SECRET not in kept
    assert SECRET not in caplog.text
    assert SECRET not in repr(told.settings)


def test_a_notice_of_many_stays_within_what_slack_takes():
    many = [
        State(
            rule="queue.old",
            subject=f"entry{number}",
            severity="warn",
            sentence=f"{number} wait for something with a rather long name, the first for 40 min. " * 3,
            page="system",
            broken=True,
            broken_since=datetime.now(UTC),
            seen_at=datetime.now(UTC),
            healed_at=None,
            told_at=None,
            told_broken=False,
        )
        for number in range(150)
    ]

    text = notices.body(many, AUDIT)["blocks"][0]["text"]["text"]

    assert len(text) < 3000
    assert "more" in text.splitlines()[-1]
