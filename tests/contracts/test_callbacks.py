"""Webhooks of every provider over real HTTP: what each does to a job, whatever happens to it on the way."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import httpx
import pytest

from audit import timeline
from core import callbacks, recovery, worker
from core.audit import jobs as audit_jobs
from core.callbacks import Deed
from core.db import callbacks as records
from core.db import jobs, models, submissions
from core.errors import OutcomeUnknown
from core.running import callback_url
from core.values import JobStage, JobStatus, Order, Role, Ticket
from tests import builders
from tests.contracts.called import PROVIDERS, SIGNED, UNSIGNED
from tests.fix_services import served

pytest_plugins = ["tests.contracts.fix_callbacks"]

each = pytest.mark.parametrize("provider", PROVIDERS, indirect=True)
each_signed = pytest.mark.parametrize("provider", SIGNED, indirect=True)
each_unsigned = pytest.mark.parametrize("provider", UNSIGNED, indirect=True)
fal_only = pytest.mark.parametrize("provider", ["fal"], indirect=True)
QUICK = 8.0  # seconds, far below the pause between two polls here (20 s)


def took(begun):
    return time.monotonic() - begun


def lost(called, **fault):
    """A job whose request left and whose answer was lost; its webhook waits until `calm`."""
    called.emulator.fault("submit", "reset_after")
    called.emulator.fault("webhook", **({"kind": "lost"} | fault))
    job_id = called.ask()
    called.work()
    assert called.outcome(job_id).job.stage is JobStage.outcome_unknown
    return job_id


def reports(called):
    """The provider's webhook of its one request, now."""
    [request] = called.emulator.counts()["requests"]
    called.emulator.announce(request["id"])


# ---- in time


@each
def test_a_webhook_ends_the_waiting_long_before_the_next_question(called, did):
    called.emulator.set(latency=0.5)
    job_id = called.ask()
    begun = time.monotonic()

    called.work()

    assert called.portraits(job_id) == 1
    assert took(begun) < QUICK
    assert called.emulator.counts()["leaked_keys"] == 0
    did("in time", called.provider, ", ".join(called.deeds(job_id)))
    assert called.deeds(job_id) == [Deed.woke]


@each
def test_without_public_url_no_provider_is_told_where_to_report(called, reachable):
    called.services = reachable(public_url="")
    job_id = called.ask()

    called.work()

    assert called.portraits(job_id) == 1
    assert called.sent() == []


@each
def test_polling_and_webhooks_at_once_save_every_picture_once_and_pay_it_once(called, reachable, eventually):
    called.services = reachable(poll_every=0.02)
    called.emulator.set(latency=0.2)
    called.emulator.fault("webhook", "doubled", count=None)
    job_ids = [called.ask() for _ in range(6)]

    with worker.in_thread(called.services):
        eventually(lambda: all(called.portraits(one) == 1 for one in job_ids), seconds=60)
        eventually(lambda: len(called.sent()) == 12, seconds=20)

    counts = called.emulator.counts()
    spent = builders.rows(
        called.services.db, "SELECT count(*) FROM studio.cost_entries WHERE kind = 'computed' GROUP BY job_id"
    )
    assert (counts["submits"], counts["charged"]) == (6, 6)
    assert [called.portraits(one) for one in job_ids] == [1] * 6
    assert [row[0] for row in spent] == [1] * 6
    assert {answer for one in called.sent() for answer in one["answers"]} == {200}


# ---- what happens to a message on the way


@each
def test_a_doubled_webhook_is_counted_and_does_nothing_the_second_time(called, did, eventually):
    called.emulator.set(latency=0.5)
    called.emulator.fault("webhook", "doubled")
    job_id = called.ask()

    called.work()
    eventually(lambda: [one.times for one in called.callbacks(job_id)] in ([2], [1, 1]))

    assert called.portraits(job_id) == 1
    assert [one["answers"] for one in called.sent()] == [[200], [200]]
    [row] = called.callbacks(job_id)
    assert row.times == 2
    did("doubled", called.provider, f"{row.deed} ×{row.times}, saved once")


@each
def test_a_late_webhook_finds_everything_settled(called, reachable, did, eventually):
    called.services = reachable(poll_every=0.02)
    called.emulator.fault("webhook", "slow", seconds=1.5)
    job_id = called.ask()

    called.work()
    saved_before = called.portraits(job_id)
    eventually(lambda: called.deeds(job_id) != [])

    assert (saved_before, called.portraits(job_id)) == (1, 1)
    assert called.deeds(job_id) == [Deed.nothing_left]
    assert builders.entries(called.services) == []
    did("late: the job is saved", called.provider, *called.deeds(job_id))


@each
def test_a_webhook_that_says_running_after_the_end_changes_nothing(called, did, eventually):
    called.emulator.set(latency=0.5)
    called.emulator.fault("webhook", "out_of_order")
    job_id = called.ask()

    called.work()
    eventually(lambda: len(called.sent()) == 2 and called.sent()[1]["answers"] == [200])

    job = called.outcome(job_id).job
    assert (job.status, job.stage) == (JobStatus.completed, JobStage.saved)
    assert called.portraits(job_id) == 1
    what = "the end again" if called.provider == "fal" else "running after the end"
    did("out of order", called.provider, f"{what}: harmless")


@each
def test_a_webhook_that_never_comes_is_made_up_for_by_asking(called, reachable, did):
    called.services = reachable(poll_every=0.02)
    called.emulator.fault("webhook", "lost")
    job_id = called.ask()

    called.work()

    assert (called.portraits(job_id), called.deeds(job_id), called.sent()) == (1, [], [])
    did("never", called.provider, "saved by asking")


@each
def test_a_forged_webhook_is_refused_and_does_nothing(called, did, eventually):
    job_id = lost(called, kind="forged")

    eventually(lambda: called.sent() != [] and called.sent()[0]["answers"] != [])

    assert called.sent()[0]["answers"][0] == 403
    assert called.deeds(job_id) == []
    assert called.refused() == ["forged"]
    assert called.outcome(job_id).job.stage is JobStage.outcome_unknown
    assert builders.entries(called.services) == []
    did("forged", called.provider, "403, nothing")


@each
def test_a_thousand_forged_webhooks_are_one_row_a_day(called):
    forged = {"x-fal-webhook-signature": "0" * 128, "webhook-signature": "v1,AAAA"}
    with httpx.Client(trust_env=False, timeout=30) as client:
        answers = {
            client.post(called.url, json={"id": "abc", "n": number}, headers=forged).status_code
            for number in range(30)
        }

    times = builders.rows(called.services.db, "SELECT times FROM studio.callbacks")
    # Novita's and RunPod's are read before their token is missed, so some cannot even be read.
    assert answers <= {400, 403}
    assert len(times) <= 1


@each_signed
def test_a_webhook_signed_hours_ago_is_refused(called, did, eventually):
    job_id = lost(called, kind="stale", seconds=7200)

    eventually(lambda: called.sent() != [] and called.sent()[0]["answers"] != [])

    assert called.sent()[0]["answers"][0] == 403
    assert called.refused() == ["stale"]
    assert called.submission(job_id).ticket is None
    did("replayed after hours", called.provider, "403, nothing")


@each
def test_a_webhook_replayed_at_once_does_nothing(called, did, eventually):
    called.emulator.set(latency=0.3)
    job_id = called.ask()
    called.work()
    [message] = called.sent()
    before = builders.rows(called.services.db, "SELECT status, stage, heartbeat_at FROM jobs")

    answer = called.again(message)

    assert (answer.status_code, answer.json()) == (200, {"success": True, "did": "nothing_left"})
    assert builders.rows(called.services.db, "SELECT status, stage, heartbeat_at FROM jobs") == before
    assert builders.entries(called.services) == []
    assert called.callbacks(job_id)[0].times == 2
    did("replayed within 5 min", called.provider, "nothing_left")


@each
def test_a_studio_that_does_not_listen_yet_is_called_again_on_the_providers_own_schedule(
    unserved, did, eventually
):
    called = unserved
    called.emulator.fault("submit", "reset_after")
    job_id = called.ask()
    called.work()
    eventually(lambda: called.sent() != [] and called.sent()[0]["answers"] == [0])

    with served(called.services, port=called.port):
        eventually(lambda: called.deeds(job_id) != [], seconds=20)
        called.work()

    assert called.portraits(job_id) == 1
    assert called.sent()[-1]["answers"] == [200]
    did("connection refused at first", called.provider, f"{called.callbacks(job_id)[0].deed} at a repeat")


# ---- outcome unknown


@each
def test_a_webhook_settles_an_unknown_outcome_and_the_picture_is_saved(called, did, eventually):
    job_id = lost(called)

    reports(called)
    eventually(lambda: called.deeds(job_id) != [])
    first = called.callbacks(job_id)[0].deed
    called.work()

    assert called.portraits(job_id) == 1
    assert called.emulator.counts()["submits"] == 1
    assert called.submission(job_id).outcome == "finished"
    assert called.outcome(job_id).job.error_code is None
    assert first == (Deed.receipt_kept if called.provider in SIGNED else Deed.asking)
    assert called.deeds(job_id) == [Deed.receipt_kept]
    did("outcome unknown", called.provider, " → ".join(dict.fromkeys([first, Deed.receipt_kept, "saved"])))


@each
def test_a_webhook_of_a_failure_settles_an_unknown_outcome_with_the_providers_reason(called, did, eventually):
    called.emulator.fault("outcome", "content_policy")
    job_id = lost(called)

    reports(called)
    eventually(lambda: called.deeds(job_id) != [])
    called.work()

    job = called.outcome(job_id).job
    assert (job.status, job.error_code) == (JobStatus.failed, "CONTENT_REFUSED")
    assert called.submission(job_id).outcome == "refused"
    assert called.portraits(job_id) == 0
    did("outcome unknown, and it failed", called.provider, f"settled: {job.error_code}")


@each
def test_a_webhook_that_is_faster_than_the_answer_to_the_order_is_no_second_order(called, did, eventually):
    called.emulator.fault("submit", "slow", seconds=1.5)
    job_id = called.ask()

    with worker.in_thread(called.services):
        eventually(lambda: called.portraits(job_id) == 1, seconds=30)

    assert called.emulator.counts()["submits"] == 1
    assert called.outcome(job_id).job.status is JobStatus.completed
    did("before the order's answer", called.provider, f"{called.callbacks(job_id)[0].deed}, saved once")


class _LosesTheAnswer:
    """A provider whose answer to the order is lost only after its webhook was taken in."""

    def __init__(self, inner, taken):
        self._inner = inner
        self._taken = taken

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def submit(self, order, model):
        self._inner.submit(order, model)
        self._taken()
        raise OutcomeUnknown("Its answer was lost.")


@each_signed
def test_an_answer_that_is_lost_after_the_webhook_came_is_no_unknown_outcome(called, eventually):
    job_id = called.ask()
    real = called.services.providers[called.provider]
    loses = _LosesTheAnswer(real, lambda: eventually(lambda: called.deeds(job_id) != []))
    called.services.providers[called.provider] = loses

    called.work()

    stages = builders.rows(
        called.services.db, "SELECT 1 FROM studio.job_events WHERE stage = 'outcome_unknown'"
    )
    assert called.portraits(job_id) == 1
    assert stages == []


@each_unsigned
def test_an_unsigned_webhook_about_a_request_the_provider_does_not_know_keeps_nothing(
    called, did, eventually
):
    job_id = lost(called)
    reports(called)
    eventually(lambda: called.deeds(job_id) == [Deed.asking] and called.sent()[0]["answers"] == [200])
    builders.rows(called.services.db, "DELETE FROM studio.callbacks RETURNING 1")
    builders.rows(called.services.db, "DELETE FROM studio_queue.pgqueuer RETURNING 1")
    [message] = called.sent()
    made_up = message["body"].replace(message["request"], "00000000-0000-4000-8000-00000000000b")

    answer = called.again(message, body=made_up)
    called.work()

    assert answer.json()["did"] == Deed.asking
    assert called.deeds(job_id) == [Deed.not_confirmed]
    assert called.submission(job_id).ticket is None
    assert called.outcome(job_id).job.stage is JobStage.outcome_unknown
    did("made-up number", called.provider, "asking → not_confirmed")


@each_unsigned
def test_a_hint_that_comes_after_the_receipt_is_answered_though_nobody_is_asked(called, eventually):
    job_id = lost(called)
    reports(called)
    eventually(lambda: called.deeds(job_id) == [Deed.asking])
    [request] = called.emulator.counts()["requests"]
    sent = called.submission(job_id)
    with called.services.db.as_service() as conn:
        submissions.keep_receipt(
            conn,
            sent.id,
            Ticket(provider=sent.provider, request_id=request["id"], model_key=sent.model_key),
        )

    callbacks.confirm(job_id, called.services)

    assert called.deeds(job_id) == [Deed.nothing_left]


@each_unsigned
def test_a_provider_that_does_not_answer_is_asked_about_the_hint_again(called, eventually):
    job_id = lost(called)
    called.emulator.fault("status", "server_error", count=3)
    reports(called)
    eventually(lambda: called.deeds(job_id) == [Deed.asking])

    called.work()

    assert called.deeds(job_id) == [Deed.receipt_kept]
    assert called.portraits(job_id) == 1


# ---- jobs that have ended


@each
def test_a_webhook_of_a_job_that_was_given_up_and_purged_still_brings_the_paid_picture(
    called, did, eventually
):
    job_id = lost(called)
    quentin = builders.a_person(called.services.db, "quentin", Role.qa)
    recovery.settle_unknown(job_id, quentin, called.services, billed=None, why="Not in their list.")
    with called.services.db.as_service() as conn:
        conn.execute("UPDATE jobs SET error_code = 'PURGED' WHERE id = %s", [job_id])

    reports(called)
    eventually(lambda: called.deeds(job_id) != [])
    called.work()

    assert called.portraits(job_id) == 1
    assert called.outcome(job_id).job.status is JobStatus.completed
    assert called.emulator.counts()["submits"] == 1
    did("purged job", called.provider, f"{called.deeds(job_id)[0]}, the paid picture is saved")


@each
def test_a_webhook_of_a_job_whose_row_was_deleted_is_written_down(called, did, eventually):
    called.emulator.fault("webhook", "lost")
    job_id = called.ask()
    called.work()
    with called.services.db.as_service() as conn:
        conn.execute("DELETE FROM jobs WHERE id = %s", [job_id])

    reports(called)
    eventually(lambda: called.sent() != [] and called.sent()[0]["answers"] != [])

    assert called.deeds(job_id) == [Deed.job_gone]
    assert called.sent()[0]["answers"] == [200]
    did("deleted job", called.provider, *called.deeds(job_id))


@each
def test_a_webhook_of_a_failed_job_brings_its_late_picture_at_once(called, reachable, did, eventually):
    called.services = reachable(poll_every=0.02, give_up_after=1.0)
    called.emulator.fault("outcome", "late_result")
    called.emulator.set(latency=2.0)
    job_id = called.ask()
    called.work()
    failed = called.outcome(job_id).job

    eventually(lambda: called.deeds(job_id) != [])
    called.work()

    assert (failed.status, failed.error_code) == (JobStatus.failed, "TIMED_OUT")
    assert called.portraits(job_id) == 1
    did("failed job", called.provider, f"{called.deeds(job_id)[0]}, the paid picture is saved")


@each
def test_a_webhook_for_a_cancelled_job_changes_nothing(called, did, eventually):
    called.emulator.set(latency=20)
    job_id = called.ask()
    with worker.in_thread(called.services):
        eventually(lambda: called.emulator.counts()["accepted"] == 1)
        with called.services.db.as_service() as conn:
            conn.execute("UPDATE jobs SET status = 'cancelled' WHERE id = %s", [job_id])
            conn.execute("UPDATE studio.submissions SET outcome = 'cancelled' WHERE job_id = %s", [job_id])
    reports(called)
    eventually(lambda: called.deeds(job_id) != [])

    assert called.deeds(job_id) == [Deed.nothing_left]
    assert called.outcome(job_id).job.status is JobStatus.cancelled
    did("cancelled job", called.provider, *called.deeds(job_id))


# ---- requests that are not ours


@each
def test_a_webhook_of_somebody_elses_request_is_of_no_request_of_ours(called, did, eventually):
    provider = called.services.providers[called.provider]
    job_id = called.ask()
    with called.services.db.as_service() as conn:
        known = models.get(conn, jobs.get(conn, job_id).model_id)
    provider.submit(Order(prompt="an adult juggler", callback_url=called.url), known)

    eventually(lambda: called.sent() != [] and called.sent()[0]["answers"] != [])

    answer = called.sent()[0]["answers"][0]
    rows = builders.rows(called.services.db, "SELECT deed, job_id FROM studio.callbacks")
    signed = called.provider in SIGNED
    assert answer == (200 if signed else 403)
    assert [tuple(row) for row in rows] == [("unknown_request" if signed else "forged", None)]
    did("unknown request", called.provider, f"{answer}, {rows[0][0]}")


@each
def test_a_webhook_at_another_providers_address_does_nothing(called, did):
    called.emulator.set(latency=0.3)
    job_id = called.ask()
    called.work()
    [message] = called.sent()
    others = [name for name in PROVIDERS if name != called.provider]

    answers = {
        name: called.again(
            message, url=message["url"].replace(f"/callbacks/{called.provider}", f"/callbacks/{name}")
        )
        for name in others
    }

    did_what = {answer.json().get("did", answer.json().get("code")) for answer in answers.values()}
    assert {answer.status_code for answer in answers.values()} <= {200, 400, 403}
    assert did_what <= {"unknown_request", "FORGED", "UNREADABLE"}
    assert len(called.callbacks(job_id)) == 1
    did("another provider's", called.provider, "refused or of no request")


@pytest.mark.parametrize("provider", ["runpod"], indirect=True)
def test_a_token_opens_only_its_own_providers_address(called):
    job_id = lost(called)
    runpods = called.services.providers["runpod"]
    url = callback_url(called.submission(job_id), runpods, called.services).replace("/runpod", "/novita")
    body = {"payload": {"task": {"task_id": "made-up", "status": "TASK_STATUS_SUCCEED"}}}

    answer = httpx.post(url, json=body, trust_env=False)

    assert (answer.status_code, answer.json()["did"]) == (200, Deed.unknown_request)
    assert called.deeds(job_id) == []
    assert builders.entries(called.services) == []


@each_signed
def test_a_webhook_on_a_request_we_hold_for_refused_becomes_a_finding(called, did, eventually):
    job_id = lost(called)
    with called.services.db.as_service() as conn:
        submissions.settle(conn, called.submission(job_id).id, "not_accepted", by="test")

    reports(called)
    eventually(lambda: called.deeds(job_id) != [])

    finding = builders.one(called.services.db, "SELECT rule FROM studio.findings")
    assert called.deeds(job_id) == [Deed.contradiction]
    assert finding == "submission.refused_and_reported"
    did("refused by the order's answer", called.provider, "contradiction: a finding for QA")


# ---- what a signed result is worth when its provider has forgotten it


@fal_only
def test_a_result_that_fal_has_forgotten_is_fetched_by_what_its_webhook_told(called, did, eventually):
    job_id = lost(called)
    reports(called)
    eventually(lambda: called.deeds(job_id) != [])
    called.emulator.fault("status", "gone", count=None)

    called.work()

    assert called.portraits(job_id) == 1
    assert called.submission(job_id).outcome == "finished"
    did("fal has forgotten the result", called.provider, "saved by what the webhook told")


@fal_only
def test_what_is_kept_of_a_webhook_holds_no_words_of_the_prompt(called, eventually):
    called.emulator.fault("outcome", "content_policy")
    job_id = lost(called)

    reports(called)
    eventually(lambda: called.deeds(job_id) != [])

    kept = builders.one(called.services.db, "SELECT receipt -> 'answer' FROM studio.submissions")
    prompt = called.outcome(job_id).job.prompt
    assert kept == {"types": ["content_policy_violation"]}
    assert prompt in called.sent()[0]["body"]


# ---- the door


@each
def test_a_body_that_names_no_request_is_a_bad_request_or_unproved(called):
    answers = [
        httpx.post(called.url, content=body, trust_env=False, timeout=30)
        for body in (b"", b"[]", b"{", b"\xff\xfe", b'{"id": 7}', b'{"payload": []}')
    ]

    assert {answer.status_code for answer in answers} == {403 if called.provider in SIGNED else 400}


@fal_only
def test_a_provider_that_is_not_set_up_reports_nowhere(called):
    answers = [
        httpx.post(called.url.replace("/fal", name), json={}, trust_env=False)
        for name in ("/sketch", "/nobody", "/FAL")
    ]

    assert [(one.status_code, one.json()["code"]) for one in answers] == [(404, "NO_SUCH_PROVIDER")] * 3


@fal_only
def test_a_webhook_needs_no_person_and_no_page_and_may_be_eight_megabytes_at_most(called):
    foreign = {"Origin": "https://fal.example", "Content-Type": "text/plain"}

    far = httpx.post(called.url, content=b"{}", headers=foreign, trust_env=False)
    large = httpx.post(called.url, content=b" " * (8 * 1024 * 1024 + 1), trust_env=False, timeout=30)
    read = httpx.get(called.url, trust_env=False)

    assert (far.status_code, far.json()["code"]) == (403, "FORGED")
    assert (large.status_code, large.json()["code"]) == (413, "TOO_LARGE")
    assert read.status_code == 405


@fal_only
def test_while_the_database_is_away_the_provider_is_asked_to_send_it_again(unserved, reachable, eventually):
    called = unserved
    away = reachable()
    called.emulator.fault("submit", "reset_after")
    with served(away, port=called.port):
        away.db.close()
        job_id = called.ask()
        called.work()
        eventually(lambda: called.sent() != [] and called.sent()[0]["answers"] != [])
        unanswered = called.sent()[0]["answers"][0]
    with served(called.services, port=called.port):
        eventually(lambda: called.deeds(job_id) != [], seconds=20)

    called.work()

    assert unanswered == 503
    assert called.portraits(job_id) == 1


@each_signed
def test_many_webhooks_at_once_fetch_what_they_are_checked_with_once(called):
    called.emulator.set(latency=0.3)
    job_id = called.ask()
    called.work()
    [message] = called.sent()

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: called.again(message).status_code, range(24)))

    assert answers == [200] * 24
    assert called.emulator.counts()["key_calls"] == 1
    assert called.callbacks(job_id)[0].times == 25


@each
def test_neither_the_record_nor_the_log_holds_the_token_or_the_body(called, capsys):
    called.emulator.set(latency=0.3)
    job_id = called.ask()
    called.work()

    token = callback_url(
        called.submission(job_id), called.services.providers[called.provider], called.services
    ).partition("token=")[2]
    record = json.dumps(
        [list(map(str, row)) for row in builders.rows(called.services.db, "SELECT * FROM studio.callbacks")]
    )
    said = capsys.readouterr()
    assert token in called.sent()[0]["url"]
    assert token.partition(".")[2] not in record + said.out + said.err
    assert called.outcome(job_id).job.prompt not in record + said.out + said.err


@each
def test_what_it_cost_is_the_same_whether_the_end_was_told_or_asked(called, reachable):
    told = called.ask()
    called.work()
    called.services = reachable(public_url="", poll_every=0.02)
    asked = called.ask()
    called.work()

    amounts = [
        builders.rows(
            called.services.db, "SELECT kind, amount_usd FROM studio.spend WHERE job_id = %s", [one]
        )
        for one in (told, asked)
    ]
    assert amounts[0] == amounts[1]
    assert amounts[0][0][1] is None or amounts[0][0][1] >= Decimal(0)


@fal_only
def test_the_story_of_a_job_shows_what_each_webhook_did(called, eventually):
    job_id = lost(called)
    quentin = builders.a_person(called.services.db, "quentin", Role.qa)
    reports(called)
    eventually(lambda: called.deeds(job_id) != [])
    called.work()
    called.again(called.sent()[0])

    with called.services.db.as_reader(quentin) as conn:
        story = audit_jobs.story(conn, job_id)

    told = [moment for moment in timeline.moments(story) if moment.title.endswith(" reported")]
    assert [(one.detail, one.code) for one in told] == [("All was settled before. It came 2 times.", "OK")]
    assert [one.deed for one in story.callbacks] == [Deed.receipt_kept]


@fal_only
def test_what_webhooks_did_is_shown_to_whom_the_job_is_shown(called):
    called.emulator.set(latency=0.3)
    job_id = called.ask()
    called.work()
    httpx.post(called.url, content=b"{}", trust_env=False)
    people = {
        name: builders.a_person(called.services.db, name, *roles)
        for name, roles in {"qa": [Role.qa], "ben": [Role.editor], "customer": []}.items()
    } | {"owner": called.person}

    seen = {}
    for name, person in people.items():
        with called.services.db.as_user(person) as conn:
            seen[name] = sorted(one.deed for one in records.listed(conn))

    assert called.deeds(job_id) == [Deed.woke]
    assert seen == {"qa": ["forged", "woke"], "owner": ["woke"], "ben": [], "customer": []}
