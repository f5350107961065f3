"""Presence: who hears it, who may say it, and that nothing of it stays."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from core.api.pages import _understood
from core.db import presence
from core.events import Change
from core.presence import OpenPage
from core.values import CharacterId
from tests.builders import a_character


def heard(services, person, deed, *, most=3, seconds=1.0):
    """The presence that `person` hears of while `deed` runs."""

    async def listen() -> list[Change]:
        found: list[Change] = []
        with services.events.subscribe(person) as subscription:
            await asyncio.sleep(0.2)
            await asyncio.to_thread(deed)
            while len(found) < most and (change := await subscription.next(seconds)) is not None:
                if change.table == "presence":
                    found.append(change)
        return found

    with ThreadPoolExecutor(1) as thread:  # a browser test of this process may have left its loop running
        return thread.submit(asyncio.run, listen()).result()


@pytest.fixture
def character(services, ana):
    return a_character(ana, services)


def test_arriving_staying_and_leaving_is_told_to_whom_may_see_the_character(services, ana, character):
    page = OpenPage(ana, services)

    def deed() -> None:
        page.go_to(character.id)
        page.go_to(character.id)
        page.go_to(None)

    told = heard(services, ana, deed)

    assert [(change.op, change.name, change.character_id) for change in told] == [
        ("arrived", "ana", str(character.id)),
        ("here", "ana", str(character.id)),
        ("left", "ana", str(character.id)),
    ]
    assert all(page.said_by_itself(change) for change in told)


def test_a_stranger_hears_nothing_of_it_and_can_say_nothing(services, ana, ben, character):
    def both() -> None:
        OpenPage(ana, services).go_to(character.id)
        OpenPage(ben, services).go_to(character.id)
        OpenPage(ben, services).go_to(CharacterId(uuid4()))

    assert heard(services, ben, both, most=1) == []
    assert [change.name for change in heard(services, ana, both, most=2)] == ["ana"]


def test_a_page_answers_who_arrives_and_nobody_else(services, ana, character):
    page, other = OpenPage(ana, services), OpenPage(ana, services)
    page.go_to(character.id)

    asked = Change(table="presence", op="arrived", page=str(other.id), character_id=str(character.id))

    assert page.answers(asked)
    assert not page.answers(
        Change(table="presence", op="here", page=str(other.id), character_id=str(character.id))
    )
    assert not page.answers(
        Change(table="presence", op="arrived", page=str(other.id), character_id=str(uuid4()))
    )
    assert not page.answers(
        Change(table="presence", op="arrived", page=str(page.id), character_id=str(character.id))
    )
    assert not other.answers(asked)


def test_nothing_of_it_is_stored(services, ana, character):
    page = OpenPage(ana, services)

    with services.db.as_user(ana) as conn:
        conn.execute("SET TRANSACTION READ ONLY")  # a single written row would be an error now
        told = presence.tell(conn, page.id, character.id, "here", "ana")

    assert told


@pytest.mark.parametrize(
    "words",
    ["", "x" * 5000, "[]", "null", '{"type":"at","character_id":"x"}', '{"type":"else"}', "[" * 400],
)
def test_what_a_page_says_wrongly_is_not_heard(words):
    assert _understood(words) is None


def test_what_a_page_says_rightly_is_heard():
    known = uuid4()

    assert _understood(json.dumps({"type": "at", "character_id": str(known)})) == (known,)
    assert _understood('{"type": "at", "character_id": null}') == (None,)
