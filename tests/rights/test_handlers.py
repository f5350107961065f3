"""Every event of the page and every question of its scripts, sent past the page: who × handler × whose row, both ways.

A page's button hides nothing here: each is sent as Gradio's own client sends it, by its number, with a session of the
sender's own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
import pytest
from starlette.requests import HTTPConnection

from core.errors import NotAllowed, NotSignedIn
from studio.asking import Asking
from tests.rights import surfaces
from tests.rights.site import GRADIO, NOBODY, Site
from tests.rights.table import reads, version_now
from tests.rights.ways import EVENTS, QUESTIONS, Press
from tests.rights.world import OWNER, WHO, stand

WHOSE = ("own", "another's", "shared")  # what is said of a missing row is asked of the use cases
PRESSES = {**QUESTIONS, **EVENTS}
TEAM = [who for who in WHO if WHO[who]]
# Every role is asked of every use case; an event goes through Gradio's queue and takes its time (SOAK=1: every role).
FEW = [
    (who, whose)
    for who in ("colleague", "guest", "qa")
    for whose in WHOSE
    if (who, whose) not in {("qa", "shared"), ("guest", "own"), ("guest", "shared")}
]
ALL = [(who, whose) for who in TEAM for whose in WHOSE if (who, whose) != (OWNER, "another's")]


def cases(press: Press) -> list[tuple[str, str]]:
    if press.of_rows:
        return ALL if os.environ.get("SOAK") else FEW
    return [(who, "own") for who in TEAM]


def filled(site: Site, press: Press, who: str, whose: str) -> dict[str, object]:
    """What is sent about the row, over the version it has now."""
    row = site.world.row(who, whose)
    sent = dict(press.send(row))
    return sent | ({"version": version_now(row, site.world.apart)} if "version" in sent else {})


def event(site: Site, name: str, number: int, who: str, whose: str) -> dict[str, object]:
    """What came of an event, as the browser reads it."""
    sent = filled(site, EVENTS[name], who, whose)
    inputs = len(surfaces.blocks(site.app_for(whose)).fns[number].inputs)
    session = uuid4().hex
    client = site.client(who, whose)
    body = {"data": [None] * inputs, "event_data": sent, "fn_index": number, "session_hash": session}
    client.post(f"{GRADIO}/queue/join", json=body).raise_for_status()
    with client.stream("GET", f"{GRADIO}/queue/data", params={"session_hash": session}) as stream:
        for line in stream.iter_lines():
            if '"process_completed"' in line:
                return json.loads(line.removeprefix("data:"))
    pytest.fail(f"{name} gave no answer")


def question(site: Site, name: str, number: int, who: str, whose: str) -> object:
    """The answer to a question."""
    sent = {"what": name.rpartition(".")[2], **filled(site, QUESTIONS[name], who, whose)}
    return ask(site.client(who, whose), number, sent).raise_for_status().json()


def ask(client: httpx.Client, number: int, sent: Mapping[str, object]) -> httpx.Response:
    body = {"data": sent, "component_id": number, "fn_name": "answer", "session_hash": uuid4().hex}
    return client.post(f"{GRADIO}/component_server", json=body)


def is_refused(answer: object, press: Press) -> bool:
    """By an error at the edge of the page, by words in its answer, or by nothing done."""
    if isinstance(answer, dict) and answer.get("msg") == "process_completed":
        parts = answer["output"].get("data") or [answer["output"]]
        return answer["success"] is False or any(is_refused(part, press) for part in parts)
    if not isinstance(answer, dict):
        return False
    if not press.of_rows and "code" in answer:  # the role was enough to look, and there is no such thing
        return answer["code"] == "NOT_ALLOWED"
    state = answer["answer"].get("state") if isinstance(answer.get("answer"), dict) else answer.get("state")
    said = answer.get("problem") or answer.get("sentence") or answer.get("refused") or answer.get("lost")
    return bool(said) or state in {"failed", "refused", "conflict"} or answer.get("done") == []


def last(name: str) -> bool:
    """What takes the row away comes after all that needs it."""
    return name == "studio.page.remove"


Case = tuple[str, str, str]


def asked(site: Site, case: Case) -> object:
    """The answer to one case."""
    name, who, whose = case
    app = site.app_for(whose)
    send, found = (event, surfaces.events(app)) if name in EVENTS else (question, surfaces.questions(app))
    return send(site, name, found[name][0], who, whose)


def all_cases(*, served: bool) -> list[Case]:
    """Those that are to be served, in an order in which each finds its row; or those that are to be refused."""
    return [
        (name, who, whose)
        for name in sorted(PRESSES, key=last)
        for who, whose in cases(PRESSES[name])
        # the owner's own row is the one that is shared, where somebody else is served on it
        if PRESSES[name].rule(who, whose) is served
        and not (served and PRESSES[name].of_rows and who == OWNER)
    ]


def test_every_event_and_every_question_has_a_line_and_every_line_one(site):
    assert set(surfaces.events(site.app)) == set(EVENTS)
    assert set(surfaces.questions(site.app)) == set(QUESTIONS)


def test_every_event_is_kept_out_of_gradios_lists(site):
    handlers = [one for one in surfaces.blocks(site.app).fns.values() if one.fn is not None]

    assert {one.api_visibility for one in handlers} == {"private"}


def test_who_may_not_is_refused_by_the_handler_itself_and_nothing_changes(site, count):
    before = stand(site.world.apart)
    refused = all_cases(served=False)
    with ThreadPoolExecutor(6) as together:  # each waits for Gradio's queue
        told = dict(zip(refused, together.map(lambda case: asked(site, case), refused), strict=True))

    assert [case for case, answer in told.items() if not is_refused(answer, PRESSES[case[0]])] == []
    hers = site.world.work[OWNER].secrets
    leaks = [
        case
        for case, answer in told.items()
        if case[2] == "another's"
        and not reads(case[1], case[2])
        and any(one in json.dumps(answer) for one in hers)
    ]
    assert leaks == []
    assert stand(site.world.apart) == before
    count(f"handlers: {len(told)} cases refused")


def test_who_may_is_served(fresh_site, count):
    told = {case: asked(fresh_site, case) for case in all_cases(served=True)}

    refused = {
        case: str(answer)[:600] for case, answer in told.items() if is_refused(answer, PRESSES[case[0]])
    }
    assert refused == {}, refused
    count(f"handlers: {len(told)} cases served")


@pytest.mark.parametrize(("who", "status"), [(NOBODY, 401), ("customer", 403)])
def test_who_is_not_of_the_team_sends_no_event_and_asks_nothing(site, who, status, count):
    client = site.client(who)
    numbers = [*surfaces.blocks(site.app).fns]
    joined = [
        client.post(f"{GRADIO}/queue/join", json={"data": [], "fn_index": one, "session_hash": uuid4().hex})
        for one in numbers
    ]
    asked = [
        ask(client, number, {"what": name.rpartition(".")[2]})
        for name, found in surfaces.questions(site.app).items()
        for number in found
    ]

    assert {answer.status_code for answer in (*joined, *asked)} == {status}
    assert {answer.json()["success"] for answer in (*joined, *asked)} == {False}
    count(f"handlers: {len(joined) + len(asked)} cases of {who}")


def test_a_handler_looks_at_the_role_itself_where_it_is_taken_away_behind_the_door(site):
    """The door lets in whom it knew a moment ago; the handler asks again."""
    asking = Asking(services=site.world.apart, gate=site.gate)
    with pytest.raises(NotAllowed):
        asking.caller(HTTPConnection({"type": "http", "headers": [(b"cookie", b"who=customer")]}))
    with pytest.raises(NotSignedIn):
        asking.caller(HTTPConnection({"type": "http", "headers": []}))
