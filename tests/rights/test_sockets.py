"""Sockets and streams: the page's pushes, the stream of its answers, and what another web page can reach of them."""

from __future__ import annotations

import json
import time
from uuid import uuid4

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from core import characters
from core.api import pages
from studio.doors import Sessions
from tests.rights import surfaces
from tests.rights.site import GRADIO, NOBODY, Site
from tests.rights.table import reads
from tests.rights.world import OWNER, WHO

CLOSED = {NOBODY: 4401, "customer": 4403}
STRANGE = (
    "http://evil.example",
    "null",
    "http://127.0.0.1:1",
    "https://localhost.evil.example",
    "http://127.0.0.1.evil.example",
)


def socket(site: Site, who: str, whose: str = "own", **headers: str) -> ClientConnection:
    url = (site.team if whose == "shared" else site.apart).replace("http", "ws")
    return connect(f"{url}/ws", additional_headers={"Cookie": f"who={who}", **headers})


def heard(opened: ClientConnection) -> list[dict[str, object]]:
    said = []
    while True:
        try:
            said.append(json.loads(opened.recv(timeout=0.6)))
        except TimeoutError:
            return said


def until_closed(opened: ClientConnection) -> None:
    while True:
        opened.recv(timeout=5)


def test_a_socket_is_for_the_team(site, count):
    ended = {}
    for who in (NOBODY, *WHO):
        with socket(site, who) as opened:
            try:
                opened.recv(timeout=0.3)
            except TimeoutError:
                ended[who] = None
            except ConnectionClosedError as end:
                ended[who] = end.rcvd.code

    assert ended == {who: CLOSED.get(who) for who in (NOBODY, *WHO)}
    count(f"sockets: {len(ended)} cases of who opens one")


@pytest.mark.parametrize("whose", ["another's", "shared"])
def test_a_push_about_a_row_reaches_those_who_may_see_it_and_nobody_else(fresh_site, whose, count):
    world = fresh_site.world
    row, owner = world.work[OWNER], world.people[OWNER]
    listening = [who for who in WHO if WHO[who] and who != OWNER]
    opened = {who: socket(fresh_site, who, whose) for who in listening}
    try:
        time.sleep(0.3)
        characters.save(
            row.character.id,
            {"role": "pilot"},
            version=row.character.version,
            person=owner,
            services=world.services(whose),
        )
        said = {who: json.dumps(heard(one)) for who, one in opened.items()}
    finally:
        for one in opened.values():
            one.close()

    assert {who: str(row.character.id) in words for who, words in said.items()} == {
        who: reads(who, whose) for who in listening
    }
    assert [who for who, words in said.items() if row.character.name in words or "pilot" in words] == []
    count(f"sockets: {len(said)} cases of who hears of a row ({whose})")


def test_who_is_with_a_character_is_told_to_those_who_may_see_it(fresh_site):
    row = fresh_site.world.work[OWNER]
    with (
        socket(fresh_site, "colleague") as stranger,
        socket(fresh_site, "qa") as colleague,
        socket(fresh_site, OWNER) as hers,
    ):
        time.sleep(0.3)
        hers.send(json.dumps({"type": "at", "character_id": str(row.character.id)}))
        # a stranger says that they are there too, and is believed by nobody
        stranger.send(json.dumps({"type": "at", "character_id": str(row.character.id)}))
        told, to_stranger = heard(colleague), heard(stranger)

    assert {one.get("name") for one in told if one["type"] == "presence"} == {OWNER}
    assert to_stranger == []


def test_a_socket_ends_where_its_person_signs_out_or_loses_a_role(fresh_site, monkeypatch):
    monkeypatch.setattr(pages, "_LOOK_EVERY", 0.2)
    monkeypatch.setattr(pages, "_PING_EVERY", 0.1)
    with socket(fresh_site, "qa") as opened:
        assert json.loads(opened.recv(timeout=2))["type"] == "ping"
        fresh_site.gate._people.pop("qa")
        with pytest.raises(ConnectionClosedError) as end:
            until_closed(opened)

    assert end.value.rcvd.code == 4401


@pytest.mark.parametrize("origin", STRANGE)
def test_no_socket_opens_for_another_web_page(site, origin):
    with pytest.raises(InvalidStatus) as refused:
        socket(site, "admin", Origin=origin)

    assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    "header",
    [*({"origin": one} for one in STRANGE), {"host": "evil.example"}, {"host": "127.0.0.1@evil.example"}],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/studio/"), ("GET", "/studio/config"), ("POST", f"{GRADIO}/queue/join"), ("GET", f"{GRADIO}/queue/data"),
        ("POST", f"{GRADIO}/component_server"), ("POST", "/functions/v1/character-portrait"), ("GET", "/references"), ("POST", "/cards"),
    ],
)  # fmt: skip
def test_another_web_page_or_another_name_of_this_machine_reaches_nothing(site, method, path, header):
    answer = site.client("admin").request(method, path, headers=header)
    asked = {"origin": "http://evil.example", "access-control-request-method": method}
    before = site.client("admin").options(path, headers=asked | header)

    assert answer.status_code == 403
    for one in (answer, before):
        assert not {name for name in one.headers if name.startswith("access-control-")}, one.headers


# ---- the stream of a page's answers


def joined(site: Site, who: str, session: str) -> int:
    [number] = surfaces.events(site.app)["studio.page.first"]
    body = {"data": [], "fn_index": number, "session_hash": session}
    return site.client(who).post(f"{GRADIO}/queue/join", json=body).status_code


def test_nobody_reads_the_answers_of_somebody_elses_page_or_sends_into_it(site, count):
    session = uuid4().hex
    assert joined(site, OWNER, session) == 200
    strangers = [who for who in WHO if who != OWNER]
    stream = {"params": {"session_hash": session}}
    question = {"data": {"what": "read"}, "component_id": 1, "fn_name": "answer", "session_hash": session}

    read = {who: site.client(who).get(f"{GRADIO}/queue/data", **stream) for who in strangers}
    asked = {who: site.client(who).post(f"{GRADIO}/component_server", json=question) for who in strangers}
    pushed = {who: joined(site, who, session) for who in strangers}

    expected = {who: 404 if WHO[who] else 403 for who in strangers}
    assert {who: answer.status_code for who, answer in read.items()} == expected
    assert {who: answer.status_code for who, answer in asked.items()} == expected
    assert pushed == expected
    secrets = site.world.work[OWNER].secrets
    assert [who for who, answer in read.items() if any(one in answer.text for one in secrets)] == []
    with site.client(OWNER).stream("GET", f"{GRADIO}/queue/data", **stream) as hers:
        assert any(
            site.world.work[OWNER].character.name in line
            for line in hers.iter_lines()
            if "process_completed" in line
        )
    count(f"streams: {len(read) + len(asked) + len(pushed)} cases of another's session")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"session_hash": 7}',
        b'{"session_hash": ""}',
        b'{"session_hash": "' + b"x" * 200 + b'"}',
        b"[" * 100_000,
    ],
)
def test_an_event_without_a_session_is_refused_in_words(site, body):
    answer = site.client("admin").post(
        f"{GRADIO}/queue/join", content=body, headers={"content-type": "application/json"}
    )

    assert (answer.status_code, answer.json()["success"]) == (400, False)


def test_an_event_of_any_length_is_not_read_to_its_end(site):
    answer = site.client("admin").post(f"{GRADIO}/queue/join", content=b" " * (5 * 1024 * 1024))

    assert (answer.status_code, answer.json()["code"]) == (400, "TOO_LARGE")


def test_a_session_is_remembered_for_its_person_until_many_others_came(site):
    sessions, hers, his = Sessions(most=3), site.world.people[OWNER].id, site.world.people["colleague"].id

    assert sessions.is_of("a", hers)
    assert not sessions.is_of("a", his)
    assert all(sessions.is_of(name, his) for name in "bcd")
    assert sessions.is_of("a", his)
