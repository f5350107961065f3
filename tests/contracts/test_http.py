"""How the interface speaks HTTP: other origins, parts of files, names of requests, methods, and bodies that are slow,
huge or broken.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from pydantic import ValidationError

from core import api, log
from core.auth import LocalGate
from core.guards import BodyLimit
from core.settings import Settings
from core.storage import LIBRARY
from tests.builders import DESCRIPTION, a_character, entries, one, rows
from tests.fix_services import served, serving

PORTRAIT = "/functions/v1/character-portrait"
FAL = "/functions/v1/fal-image"
UNSAVED = {"name": "Barnaby Quill", "description": DESCRIPTION}
JSON = {"Content-Type": "application/json"}
PLATFORM = "https://platform.example"


def refused(answer, status, code):
    """The answer's body, once it is a refusal in the one form."""
    assert (answer.status_code, answer.json().get("code")) == (status, code), answer.text
    assert answer.json().keys() >= {"success", "error", "code"}
    return answer.json()


# ---- other origins


@pytest.fixture
def opened(build, ana):
    """A studio that the platform's pages may call."""
    with served(build(allowed_origins=f"{PLATFORM}, https://other.example")) as app:
        app.as_(ana)
        yield app


PREFLIGHT = {
    "Origin": PLATFORM,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "apikey, authorization, content-type, idempotency-key, prefer, x-client-info, x-request-id, "
    "range, if-range, if-none-match",
}


@pytest.mark.parametrize("path", [PORTRAIT, FAL, "/functions/v1/jobs/x", "/files/assets/a.jpg"])
def test_a_browser_that_asks_first_is_told_what_the_platform_may_send(opened, path):
    answer = opened.as_(None).options(path, headers=PREFLIGHT)

    allowed = {name.strip().lower() for name in answer.headers["access-control-allow-headers"].split(",")}
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PLATFORM
    assert allowed >= set(PREFLIGHT["Access-Control-Request-Headers"].split(", "))
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "origin" in answer.headers["vary"].lower()
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "asks",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Access-Control-Request-Headers": "x-anything-else"},
        {"Access-Control-Request-Method": "DELETE"},
    ],
    ids=str,
)
def test_a_browser_that_asks_for_anything_else_is_refused(opened, asks):
    answer = opened.as_(None).options(PORTRAIT, headers=PREFLIGHT | asks)

    assert answer.status_code == 400
    assert answer.headers.get("access-control-allow-origin") in (None, PLATFORM)
    assert asks.get("Origin") is None or "access-control-allow-origin" not in answer.headers


def test_the_platforms_page_may_read_every_refusal_the_guards_own_too(opened, ana):
    client = opened.as_(ana, Origin=PLATFORM)

    answers = {
        "not signed in": opened.as_(None, Origin=PLATFORM).post(PORTRAIT, json={}),
        "misshapen": client.post(PORTRAIT, json={}),
        "no such address": client.get("/nowhere"),
        "no such method": client.put(PORTRAIT, json={}),
        "not JSON": client.post(PORTRAIT, content=b"a=b"),
        "too large": client.post(PORTRAIT, content=b"x" * 1_100_000, headers=JSON),
        "a foreign host": client.get("/healthz", headers={"Host": "evil.example"}),
    }

    statuses = {why: answer.status_code for why, answer in answers.items()}
    assert statuses == {
        "not signed in": 401, "misshapen": 400, "no such address": 404, "no such method": 405, "not JSON": 415,
        "too large": 413, "a foreign host": 403,
    }  # fmt: skip
    for answer in answers.values():
        assert answer.headers["access-control-allow-origin"] == PLATFORM
        assert "x-request-id" in answer.headers["access-control-expose-headers"].lower()


def test_the_platforms_page_may_read_that_the_studio_broke_and_learns_nothing_of_why(build, ana, monkeypatch):
    monkeypatch.setattr(api.portraits.generation, "outcome", _breaks)
    with served(build(allowed_origins=PLATFORM)) as app:
        answer = app.as_(ana, Origin=PLATFORM).get(f"/functions/v1/jobs/{uuid4()}")

    refused(answer, 500, "INTERNAL")
    assert answer.headers["access-control-allow-origin"] == PLATFORM
    assert "zebra4711" not in answer.text


def _breaks(*_args, **_kwargs):
    raise ZeroDivisionError("zebra4711")


def test_a_studio_that_names_no_origin_lets_no_page_ask(app):
    answer = app.as_(None).options(PORTRAIT, headers=PREFLIGHT)

    refused(answer, 403, "FOREIGN_ORIGIN")
    assert [name for name in answer.headers if name.startswith("access-control-")] == []


@pytest.mark.parametrize(
    "origins", ["*", "https://a.example, *", "a.example", "https://a.example/path", "null"]
)
def test_an_origin_that_would_open_the_studio_to_everybody_is_no_setting(no_settings_around, origins):
    with pytest.raises(ValidationError, match="names each origin whole"):
        Settings(_env_file=None, allowed_origins=origins)


# ---- the name of a request


def test_a_request_keeps_the_name_its_caller_gave_it_and_gets_one_where_it_gave_none(app):
    client = app.as_(None)

    named = client.get("/healthz", headers={"X-Request-Id": "seagull-0042.a_b"}).headers["x-request-id"]
    made = [client.get("/healthz").headers["x-request-id"] for _ in range(2)]

    assert named == "seagull-0042.a_b"
    assert all(re.fullmatch(r"[0-9a-f]{32}", name) for name in made)
    assert made[0] != made[1]


@pytest.mark.parametrize("name", ["short", "x" * 65, "with a space in it", "<script>alert(1)</script>", 'quote"quote"quote', "-begins-wrong"])  # fmt: skip
def test_a_name_that_could_be_anything_else_is_replaced(app, name):
    answer = app.as_(None).get("/healthz", headers={"X-Request-Id": name})

    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])


@pytest.fixture
def written(monkeypatch):
    """What the log wrote since, one mapping a line."""
    stream = io.StringIO()
    log.configure("DEBUG", stream=stream, console=False)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    log.configure("INFO")


def test_every_request_leaves_one_line_with_its_name_and_without_its_token(
    services, app, written, eventually
):
    services.storage.put(LIBRARY, "person/one.png", b"\x89PNG", "image/png")
    link = services.links.sign((LIBRARY, "person/one.png"), datetime.now(UTC))

    app.as_(None).get(link, headers={"X-Request-Id": "the-one-0001"})

    def served_lines():
        named = [one for one in written() if one.get("request_id") == "the-one-0001"]
        return [one for one in named if one["event"] == "request_served"]

    eventually(served_lines)  # it is written after the last byte has left
    [line] = served_lines()
    assert (line["method"], line["path"], line["status"]) == (
        "GET",
        "/files/user-library/person/one.png",
        200,
    )
    assert line["seconds"] >= 0
    assert link.partition("token=")[2] not in json.dumps(written())


def test_what_a_request_causes_in_the_log_carries_its_name(services, ana, app, written):
    character = a_character(ana, services)

    app.as_(ana, **{"Prefer": "respond-async", "X-Request-Id": "portrait-0007"}).post(
        PORTRAIT, json={"characterId": str(character.id)}
    )

    [line] = [line for line in written() if line.get("event") == "portrait_asked"]
    assert line["request_id"] == "portrait-0007"


def test_a_broken_request_is_written_down_with_its_name(ana, app, written, monkeypatch):
    monkeypatch.setattr(api.portraits.generation, "outcome", _breaks)

    answer = app.as_(ana).get(f"/functions/v1/jobs/{uuid4()}")

    [line] = [line for line in written() if line.get("event") == "request_broke"]
    assert line["request_id"] == answer.headers["x-request-id"]
    assert "ZeroDivisionError" in line["exception"]


# ---- methods


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "GET", "POST"])
def test_a_method_that_an_address_does_not_take_is_refused_with_those_it_takes(app, method):
    document = api.build(SimpleNamespace(settings=Settings(_env_file=None)), LocalGate()).openapi()
    client = app.as_(None)

    for path, methods in document["paths"].items():
        takes = {known.upper() for known in methods} | ({"HEAD"} if path.startswith("/files/") else set())
        if method in takes:
            continue
        answer = client.request(method, path.replace("{", "").replace("}", ""), headers=JSON, content=b"{}")

        assert answer.status_code == 405, (method, path)
        assert answer.headers["allow"] in takes
        if method != "HEAD":
            refused(answer, 405, "METHOD_NOT_ALLOWED")


# ---- parts of files

PICTURE = bytes(range(256)) * 4096  # a megabyte, more than one piece


@pytest.fixture
def link(services):
    services.storage.put(LIBRARY, "person/large.png", PICTURE, "image/png")
    return services.links.sign((LIBRARY, "person/large.png"), datetime.now(UTC))


class WholeOnly:
    """A storage that hands its objects over whole, as the one of a Supabase project does."""

    def __init__(self, storage):
        self.get = storage.get
        self.info = storage.info


@pytest.fixture(params=["in pieces", "whole"])
def shop(request, services):
    """The interface over a storage that hands files over in pieces, and over one that has them whole only."""
    if request.param == "whole":
        services = replace(services, storage=WholeOnly(services.storage))
    with served(services) as app:
        yield app


@pytest.mark.parametrize(
    ("asked", "first", "end"),
    [
        ("bytes=0-9", 0, 10),
        ("bytes=300000-300009", 300_000, 300_010),
        ("bytes=1048570-", 1_048_570, 1_048_576),
        ("bytes=-6", 1_048_570, 1_048_576),
        ("bytes=1048570-9999999", 1_048_570, 1_048_576),
        ("bytes=100-700000", 100, 700_001),
    ],
)
def test_a_part_of_a_picture_can_be_asked_for(shop, link, asked, first, end):
    answer = shop.as_(None).get(link, headers={"Range": asked})

    assert answer.status_code == 206
    assert answer.headers["content-range"] == f"bytes {first}-{end - 1}/{len(PICTURE)}"
    assert answer.content == PICTURE[first:end]
    assert int(answer.headers["content-length"]) == end - first


@pytest.mark.parametrize("asked", ["bytes=1048576-", "bytes=9999999-99999999", "bytes=-0"])
def test_a_part_that_a_picture_does_not_have_is_refused_with_its_size(shop, link, asked):
    answer = shop.as_(None).get(link, headers={"Range": asked})

    refused(answer, 416, "NO_SUCH_PART")
    assert answer.headers["content-range"] == f"bytes */{len(PICTURE)}"


@pytest.mark.parametrize(
    "asked", ["bytes=9-3", "bytes=0-1,5-9", "lines=1-2", "bytes=", "bytes=a-b", f"bytes={'9' * 400}-"]
)
def test_what_asks_for_no_part_we_know_gets_the_whole_picture(shop, link, asked):
    answer = shop.as_(None).get(link, headers={"Range": asked})

    assert (answer.status_code, answer.content == PICTURE) == (200, True)


def test_who_has_the_picture_already_gets_no_bytes_and_who_has_an_older_one_gets_all(services, shop, link):
    client = shop.as_(None)
    tag = client.get(link).headers["etag"]

    same = client.get(link, headers={"If-None-Match": f'"other", W/{tag}'})
    services.storage.put(LIBRARY, "person/large.png", PICTURE[:-1], "image/png")
    changed = client.get(link, headers={"If-None-Match": tag})
    part = client.get(link, headers={"Range": "bytes=0-9", "If-Range": tag})

    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    assert (changed.status_code, len(changed.content)) == (200, len(PICTURE) - 1)
    assert (part.status_code, len(part.content)) == (200, len(PICTURE) - 1)


def test_the_head_of_a_picture_says_what_the_picture_would(shop, link):
    client = shop.as_(None)

    head, whole = client.head(link), client.get(link)

    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "content-type", "etag", "accept-ranges", "content-security-policy"):
        assert head.headers[name] == whole.headers[name]
    assert whole.content == PICTURE


def test_a_large_picture_is_never_whole_in_memory(services, app):
    size = 64 * 1024 * 1024
    place = services.settings.home / "objects" / LIBRARY / "person" / "giant.png"
    place.parent.mkdir(parents=True)
    with place.open("wb") as file:
        file.truncate(size)
    link = services.links.sign((LIBRARY, "person/giant.png"), datetime.now(UTC))

    largest = max(
        len(piece) for piece in services.storage.pieces(LIBRARY, "person/giant.png", start=0, length=size)
    )
    with app.as_(None).stream("GET", link) as answer:
        told = int(answer.headers["content-length"])
        next(answer.iter_bytes())  # and leaves

    assert largest <= 1024 * 1024
    assert told == size
    assert app.as_(None).get("/healthz").status_code == 200


# ---- bodies


def raw(app, data, *, pieces=(), pause=0.0, wait=10.0):
    """What comes back for bytes as they stand, the first of the answer's lines and its body."""
    with socket.create_connection(("127.0.0.1", urlsplit(app.url).port), timeout=wait) as caller:
        caller.sendall(data)
        with contextlib.suppress(ConnectionError):  # answered while we still send: the answer lies ready
            for piece in pieces:
                time.sleep(pause)
                caller.sendall(piece)
        answer = b""
        while b"\r\n\r\n" not in answer and (more := caller.recv(65536)):
            answer += more
    return answer.partition(b"\r\n")[0].decode(), answer


HEAD = f"POST {PORTRAIT} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ana\r\nContent-Type: application/json\r\n"


def test_a_body_that_comes_a_byte_at_a_time_is_given_up_in_time(services, ana, app, monkeypatch):
    kwdefaults = BodyLimit.__init__.__kwdefaults__
    monkeypatch.setattr(BodyLimit.__init__, "__kwdefaults__", dict(kwdefaults, slowest=0.5))
    with served(services) as serving_it:
        serving_it.as_(ana)
        begun = time.monotonic()
        line, answer = raw(
            serving_it, f"{HEAD}Content-Length: 900\r\n\r\n".encode(), pieces=[b"{", b'"'], pause=0.1
        )
        taken = time.monotonic() - begun

    assert " 408 " in line
    assert b"TOO_SLOW" in answer
    assert b"connection: close" in answer.lower()
    assert taken < 5


def test_headers_without_end_are_refused(ana, app):
    app.as_(ana)

    line, _ = raw(app, f"{HEAD}X-Long: {'x' * 200_000}\r\n\r\n".encode())

    assert re.search(r" 4\d\d ", line)
    assert app.as_(None).get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"promptOverride": "\xff\xfe\xc3\x28"}', "BAD_REQUEST"),
        (b"[" * 200_000 + b"]" * 200_000, "BAD_REQUEST"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "BAD_REQUEST"),
        (b'{"characterId": ' + b"9" * 100_000 + b"}", "BAD_REQUEST"),
        (b'{"characterId": 1e999999}', "BAD_REQUEST"),
        (b'{"characterId": NaN, "presets": Infinity}', "BAD_REQUEST"),
        (b'{"characterId": null, "characterId": null}', "BAD_REQUEST"),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "BAD_REQUEST"),
    ],
    ids=["malformed UTF-8", "deep lists", "deep objects", "a huge number", "an endless number", "no numbers", "twice", "zipped"],
)  # fmt: skip
def test_a_body_that_is_meant_to_break_us_is_a_bad_request(services, ana, app, body, code):
    answer = app.as_(ana).post(PORTRAIT, content=body, headers=JSON)

    refused(answer, 400, code)
    assert rows(services.db, "SELECT id FROM jobs") == []


@pytest.mark.parametrize("path", [PORTRAIT, FAL])
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""])
def test_every_call_that_spends_takes_json_only(services, ana, app, path, kind):
    answer = app.as_(ana).post(
        path,
        content=b'{"prompt": "a lighthouse", "metadata": {"characterName": "Mandy"}}',
        headers={"Content-Type": kind},
    )

    refused(answer, 415, "NOT_JSON")


def test_unknown_parameters_and_fields_change_nothing(services, ana, app):
    character = a_character(ana, services)
    body = {"characterId": str(character.id), "aFieldOfTheFuture": {"deep": [1, 2]}}

    answer = app.as_(ana, Prefer="respond-async").post(f"{PORTRAIT}?utm_source=zebra&x[]=1&x[]=2", json=body)

    assert answer.status_code == 202


# ---- keys of purchases


@pytest.mark.parametrize("path", [PORTRAIT, FAL])
@pytest.mark.parametrize("key", [b"x" * 201, b"", b"caf\xe9", b"tab\tinside"])
def test_a_key_is_short_and_plain(services, ana, app, path, key):
    body = (
        {"characterData": UNSAVED}
        if path == PORTRAIT
        else {"prompt": "a lighthouse", "metadata": {"characterName": "Mandy"}}
    )

    answer = app.as_(ana, Prefer="respond-async").post(path, json=body, headers={"Idempotency-Key": key})

    assert refused(answer, 400, "BAD_REQUEST")["field"] == "Idempotency-Key"
    assert rows(services.db, "SELECT id FROM jobs") == []


@pytest.mark.parametrize("path", [PORTRAIT, FAL])
def test_twenty_calls_at_once_with_one_key_ask_for_one_picture(services, ana, app, path, monkeypatch):
    monkeypatch.setattr(api.portraits, "LONGEST_WAIT", 0.1)
    character = a_character(ana, services)
    body = (
        {"characterId": str(character.id)}
        if path == PORTRAIT
        else {"prompt": "a lighthouse", "metadata": {"characterName": "Mandy"}}
    )
    client = app.as_(ana, **{"Idempotency-Key": "twenty seagulls", "Prefer": "respond-async"})

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: client.post(path, json=body), range(20)))

    assert {answer.status_code for answer in answers} == ({202} if path == PORTRAIT else {200})
    assert len({answer.json()["jobId"] for answer in answers}) == 1
    assert len(entries(services)) == 1
    assert one(services.db, "SELECT count(*) FROM studio.cost_entries") == 1


def test_a_key_of_one_call_is_refused_with_the_other_calls_request(services, ana, app, monkeypatch):
    monkeypatch.setattr(api.portraits, "LONGEST_WAIT", 0.1)
    client = app.as_(ana, **{"Idempotency-Key": "one click", "Prefer": "respond-async"})
    client.post(PORTRAIT, json={"characterData": UNSAVED})

    refused(
        client.post(FAL, json={"prompt": "a lighthouse", "metadata": {"characterName": "Mandy"}}),
        409,
        "IDEMPOTENCY_KEY_REUSED",
    )


# ---- when to come back


def test_who_has_too_much_waiting_is_told_when_to_ask_again(build, ana):
    services = build(max_waiting=1)
    with served(services) as app:
        client = app.as_(ana, Prefer="respond-async")
        answers = [client.post(PORTRAIT, json={"characterData": UNSAVED}) for _ in range(2)]

    refused(answers[1], 429, "TOO_MANY")
    assert int(answers[1].headers["retry-after"]) > 0
    assert "retry-after" not in answers[0].headers


def test_what_cannot_be_served_now_says_when_to_ask_again(services, ana, app):
    rows(services.db, "UPDATE api_models SET is_active = false RETURNING id")
    no_model = app.as_(ana).post(PORTRAIT, json={"characterData": UNSAVED})
    services.db.close()
    no_database = app.as_(ana).get(f"/functions/v1/jobs/{uuid4()}")
    not_ready = app.as_(None).get("/readyz")

    refused(no_model, 503, "NO_IMAGE_MODEL")
    refused(no_database, 503, "DATABASE_UNAVAILABLE")
    assert not_ready.status_code == 503
    for answer in (no_model, no_database, not_ready):
        assert int(answer.headers["retry-after"]) > 0


def test_who_is_not_signed_in_is_told_how(app):
    answer = app.as_(None).get(f"/functions/v1/jobs/{uuid4()}")

    refused(answer, 401, "MISSING_AUTH")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_every_router_of_the_package_is_served_and_described(services):
    app = api.build(services, LocalGate())
    with serving(app) as url:
        assert url.startswith("http://127.0.0.1")
        paths = set(app.openapi()["paths"])

    assert {PORTRAIT, FAL, "/metrics", "/healthz", "/files/{bucket}/{path}"} <= paths
