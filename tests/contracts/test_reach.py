"""Whether providers answer: asked without a key and without an order, kept with its age, for those who look after it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest

from core import reach
from core.errors import NotAllowed, NotFound
from core.values import Role
from tests.builders import a_person, one, rows
from tests.emulator import KEY


@pytest.fixture
def qa(services):
    return a_person(services.db, "quinn", Role.qa)


def test_a_provider_that_answers_is_kept_with_its_time(services, qa):
    found = reach.look("fal", qa, services)

    assert found.ok
    assert found.seconds is not None
    kept = one(services.db, "SELECT ok, sentence FROM studio.health_looks WHERE name = 'provider.fal'")
    assert kept == (True, "It answers.")


@contextlib.contextmanager
def answering(line):
    """A provider's address that answers once with `line`; its URL and what it was sent."""
    heard = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def answer():
            connection, _ = listener.accept()
            with connection:
                heard.append(connection.recv(4096).decode())
                connection.sendall(
                    f"HTTP/1.1 {line}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
                )

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", heard
        thread.join()


def test_nothing_is_ordered_and_no_key_is_sent(build, qa):
    with answering("401 Who are you") as (url, heard):
        found = reach.look("fal", qa, build(fal_url=url))

    assert found.ok  # a refusal is an answer
    [sent] = heard
    assert sent.startswith("GET / ")
    assert "authorization" not in sent.lower()
    assert KEY not in sent


def test_what_draws_here_needs_no_asking(services, qa):
    found = reach.look("sketch", qa, services)

    assert (found.ok, found.seconds) == (True, None)


def test_one_that_cannot_be_reached_says_so(build, qa):
    services = build(fal_url="http://127.0.0.1:1")

    found = reach.look("fal", qa, services)

    assert (found.ok, found.sentence) == (False, "It could not be reached.")


def test_one_that_keeps_silent_costs_five_seconds_at_most(build, qa, monkeypatch):
    monkeypatch.setattr(reach, "SECONDS", 0.3)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        services = build(fal_url=f"http://127.0.0.1:{listener.getsockname()[1]}")
        begun = time.monotonic()

        found = reach.look("fal", qa, services)

    assert not found.ok
    assert "did not answer" in found.sentence
    assert time.monotonic() - begun < 3


def test_one_that_answers_with_an_error_of_its_own_is_not_well(build, qa):
    with answering("503 Away") as (url, _):
        found = reach.look("fal", qa, build(fal_url=url))

    assert (found.ok, found.sentence) == (False, "It answered HTTP 503.")


def test_only_who_looks_after_it_asks(services, ana, customer):
    for person in (ana, customer):
        with pytest.raises(NotAllowed):
            reach.look("fal", person, services)

    assert rows(services.db, "SELECT name FROM studio.health_looks") == []


def test_one_that_is_not_set_up_is_not_asked(services, qa):
    with pytest.raises(NotFound):
        reach.look("novita", qa, services)
