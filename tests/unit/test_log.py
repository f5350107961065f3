"""The log writes one line an event and never a key, a prompt or a signed link."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from dataclasses import dataclass, field

import pytest
import structlog

from core import log

KEY = "fal-key-7f3a9c:secret-half-55"
PROMPT = "a heron in a tuxedo, “café”\nsecond line"
LINK = "https://project.supabase.co/storage/v1/object/sign/user-library/a/b.png?token=eyJhbGciOiJIUzI1NiJ9.eyJ1cmwi.sig99"
AWS = "https://bucket.s3.amazonaws.com/a.png?X-Amz-Expires=3600&X-Amz-Signature=deadbeef77"


@pytest.fixture
def lines():
    """Configure the log on a stream of the test's own, and put the process back as it was."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level, sys.excepthook, threading.excepthook, set(log._secrets))
    stream = io.StringIO()
    log.configure("INFO", stream=stream, console=False)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:], root.level, sys.excepthook, threading.excepthook = before[:4]
    log._secrets.clear()
    log._secrets.update(before[4])
    structlog.contextvars.clear_contextvars()


def _written(lines):
    return json.dumps(lines(), ensure_ascii=False)


def test_an_event_is_one_line_with_its_facts_apart(lines):
    log.get("core.worker").info(
        "job_settled", seconds=3.2, model_key="fal-ai/flux/dev", stage_words="drawing"
    )

    (event,) = lines()
    assert event["event"] == "job_settled"
    assert event["logger"] == "core.worker"
    assert event["level"] == "info"
    assert (event["seconds"], event["model_key"]) == (3.2, "fal-ai/flux/dev")
    assert event["stage_words"] == "drawing"
    assert event["timestamp"].endswith("Z")


def test_the_job_is_on_every_event_of_its_block_and_on_none_after(lines):
    with log.bind_job("job-1"):
        log.get("a").info("inside")
        logging.getLogger("pgqueuer").warning("theirs")
    log.get("a").info("outside")

    assert [event.get("job_id") for event in lines()] == ["job-1", "job-1", None]


@pytest.mark.parametrize(
    "name",
    [
        "key", "api_key", "apiKey", "FAL_KEY", "x-api-key", "token", "accessToken", "secret", "client_secret",
        "password", "Authorization", "prompt", "original_prompt", "promptOverride", "own_words", "negative",
        "cookie", "signature", "dsn", "idempotency_key",
    ],
)  # fmt: skip
def test_a_field_named_like_something_private_is_hidden(lines, name):
    log.get("a").info("seen", **{name: "planted value"})

    assert "planted value" not in _written(lines)
    assert lines()[0][name] == "***"


def test_nested_fields_are_hidden_too(lines):
    facts = {"headers": {"Authorization": KEY}, "list": [{"prompt": PROMPT}, ({"url": LINK},)], "n": 1}

    log.get("a").info("seen", facts=facts)

    text = _written(lines)
    assert all(secret not in text for secret in (KEY, "heron", "sig99", "eyJ"))
    assert lines()[0]["facts"]["n"] == 1


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Key {KEY}",
        f"sent Key {KEY} to fal",
        f"Bearer {KEY}",
        f"{{'prompt': 'planted heron', 'token': '{KEY}'}}",
        f'{{"prompt": "planted \\"heron\\" again", "key": "{KEY}"}}',
        f"Order(prompt='planted heron', key='{KEY}')",
        f"postgresql://studio:{KEY.replace(':', '-')}@db.example.org/postgres",
        f"dbname=studio password={KEY}",
        LINK,
        AWS,
        f"GET /files/user-library/a/b.png?token={KEY} HTTP/1.1",
        "whsec_AAECAwQFBgcICQ heron",
        "r8_AbCdEfGhIjKlMnOp heron",
        "input should be valid [type=x, input_value='planted heron', input_type=str]",
        "duplicate key value\nDETAIL:  Key (prompt)=(planted heron) already exists.",
        "data:image/png;base64,aGVyb24gaW4gYSB0dXhlZG8=",
    ],
)
def test_a_private_part_inside_a_text_is_hidden(lines, text):
    logging.getLogger("httpx").error("said: %s", text.removesuffix(" heron"))

    written = _written(lines)
    planted = (
        KEY,
        KEY.replace(":", "-"),
        "secret-half",
        "planted",
        "sig99",
        "deadbeef77",
        "AAECAwQF",
        "AbCdEf",
        "aGVyb24",
    )
    assert [secret for secret in planted if secret in written] == []
    assert "***" in written


def test_a_harmless_sentence_stays_as_it_is(lines):
    sentence = "Key change: model fal-ai/flux/dev, 3 tokens of thanks, see /files/a/b.png"

    log.get("a").info("said", sentence=sentence)

    assert lines()[0]["sentence"] == sentence


def test_the_query_of_an_address_is_left_out(lines):
    log.get("a").info("fetched", result_url="https://v3.fal.media/files/a.png?who=me#x")

    assert lines()[0]["result_url"] == "https://v3.fal.media/files/a.png?***"


@pytest.mark.parametrize("shape", ["{}", "({!r})", "x={}&y=1"])
def test_a_registered_secret_never_comes_out_in_any_spelling(lines, shape):
    log.keep_out(PROMPT)

    log.get("a").info("said", text=shape.format(PROMPT), encoded=json.dumps([PROMPT]))

    assert "heron" not in _written(lines)


def test_a_jobs_prompt_is_kept_out_while_the_job_runs(lines):
    with log.bind_job("job-1", keep_out=[PROMPT]):
        log.get("a").info("said", text=f"drawing {PROMPT}")
    log.get("a").info("said", text="a heron outside of the job")

    assert "heron" not in json.dumps(lines()[0])
    assert "heron" in json.dumps(lines()[1])


def _failing(text):
    def inner():
        raise ValueError(f"no good: {text}")

    try:
        inner()
    except ValueError as exc:
        raise RuntimeError(f"wrapped {text}") from exc


def test_a_traceback_is_kept_whole_but_scrubbed(lines):
    log.keep_out(KEY)
    with log.bind_job("job-1", keep_out=[PROMPT]):
        try:
            _failing(f"{KEY} {PROMPT} {LINK}")
        except RuntimeError:
            log.get("a").exception("job_failed")

    (event,) = lines()
    assert "in inner" in event["exception"]
    assert "ValueError: no good: ***" in event["exception"]
    assert "RuntimeError: wrapped ***" in event["exception"]
    assert all(secret not in event["exception"] for secret in (KEY, "heron", "sig99"))


def test_an_exception_of_another_library_is_scrubbed_too(lines):
    try:
        _failing(f"Bearer {KEY}")
    except RuntimeError:
        logging.getLogger("uvicorn.error").exception("crashed with %s", LINK)

    text = _written(lines)
    assert "in inner" in text
    assert all(secret not in text for secret in (KEY, "sig99"))


def test_an_error_that_nobody_caught_is_logged_scrubbed(lines):
    log.keep_out(KEY)
    thread = threading.Thread(target=_failing, args=(KEY,), name="poller")

    thread.start()
    thread.join()

    (event,) = lines()
    assert (event["event"], event["thread"]) == ("uncaught_error_in_thread", "poller")
    assert KEY not in _written(lines)


def test_an_uncaught_error_of_the_main_thread_is_logged_scrubbed(lines):
    log.keep_out(KEY)
    try:
        _failing(KEY)
    except RuntimeError:
        sys.excepthook(*sys.exc_info())

    assert lines()[0]["event"] == "uncaught_error"
    assert KEY not in _written(lines)


@dataclass(frozen=True)
class _Order:
    prompt: str
    size: str = "1024x1024"
    token: str = field(default="planted", repr=False)


def test_a_value_object_shows_only_what_its_repr_may(lines):
    log.get("a").info("sent", order=_Order(PROMPT), data=b"12345")

    assert lines()[0]["order"] == {"prompt": "***", "size": "1024x1024"}
    assert lines()[0]["data"] == "<5 bytes>"


def test_an_event_that_cannot_be_written_shows_none_of_its_arguments(lines):
    record = logging.LogRecord("elsewhere", logging.ERROR, "shop.py", 7, "%d apples", (KEY,), None)

    logging.getLogger().handlers[0].handle(record)

    assert lines()[0]["event"] == "log_event_lost"
    assert KEY not in _written(lines)


def test_a_value_that_holds_itself_is_written_all_the_same(lines):
    loop = {}
    loop["again"] = loop

    log.get("a").info("seen", loop=loop)

    assert len(lines()) == 1


def test_events_below_the_level_are_not_written(lines):
    log.get("a").debug("quiet")
    logging.getLogger("httpx").info("HTTP Request: POST https://queue.fal.run")

    assert lines() == []


def test_handlers_of_other_libraries_are_taken_over(lines):
    own = io.StringIO()
    theirs = logging.getLogger("uvicorn.access")
    theirs.addHandler(logging.StreamHandler(own))
    theirs.propagate = False
    stream = io.StringIO()

    log.configure("INFO", stream=stream, console=False)
    theirs.info('"GET /files/a.png?token=planted77 HTTP/1.1" 200')

    assert own.getvalue() == ""
    assert "planted77" not in stream.getvalue()
    assert json.loads(stream.getvalue())["logger"] == "uvicorn.access"


def test_a_person_at_a_terminal_gets_readable_lines_scrubbed_alike(lines):
    stream = io.StringIO()
    log.configure("INFO", stream=stream, console=True)

    try:
        _failing(f"Bearer {KEY}")
    except RuntimeError:
        log.get("a").exception("job_failed", prompt=PROMPT, job="7")

    text = stream.getvalue()
    assert "job_failed" in text
    assert "in inner" in text
    assert all(secret not in text for secret in (KEY, "heron"))
