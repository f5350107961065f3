"""What every handler of the page does around its one use case: who asks, what was sent, and how it failed."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import gradio as gr
from starlette.requests import HTTPConnection

from core import log as logs
from core.auth import Gate, require_role
from core.errors import BadRequest, NotSignedIn, StudioError
from core.services import Services
from core.values import Person

log = logs.get(__name__)

# A private endpoint is only unlisted, still callable: whoever calls it is checked inside (ui-notes A10). One
# slow answer must not hold up everybody's others, so no handler shares the default limit of one.
QUIET: Final[Mapping[str, object]] = {
    "api_visibility": "private",
    "show_progress": "hidden",
    "concurrency_limit": None,
}


@dataclass(frozen=True, kw_only=True)
class Asking:
    """The services, and the gate that knows who is asking."""

    services: Services
    gate: Gate

    def person(self, request: gr.Request) -> Person:
        """Who sent this event. Raises NotSignedIn where the session has ended since the page was opened, NotAllowed where
        the person's last role was taken away.
        """
        return self.caller(request.request)

    def caller(self, request: object) -> Person:
        """Who asked a server function, which is handed the plain request. Raises NotSignedIn, NotAllowed."""
        person = self.gate.person(request) if isinstance(request, HTTPConnection) else None
        if person is None:
            raise NotSignedIn("You are signed out. Sign in again; what you typed is kept in this browser.")
        require_role(person)
        return person


def sent(event: gr.EventData) -> Mapping[str, object]:
    """What a component's script sent with its event: a client's words, to be checked like any other."""
    data = event._data  # noqa: SLF001  # Gradio offers the whole mapping under no public name
    return data if isinstance(data, dict) else {}


def storable(value: object) -> str:
    """A text as Postgres takes it, also to look for: no null bytes and no halves of surrogate pairs."""
    words = "" if value is None else str(value)
    return words.replace("\x00", "").encode("utf-8", "ignore").decode("utf-8")


def sent_id(event: gr.EventData, name: str = "id") -> UUID:
    """An id a script sent. Raises BadRequest where it is none."""
    try:
        return UUID(str(sent(event).get(name)))
    except ValueError as exc:
        raise BadRequest("The page sent something that is no id. Reload the page.", field=name) from exc


def sent_ids(event: gr.EventData, name: str, *, most: int) -> tuple[UUID, ...]:
    """A list of at most `most` ids a script sent. Raises BadRequest where it is none."""
    data = sent(event).get(name)
    if not isinstance(data, list) or len(data) > most:
        raise BadRequest("The page sent something that is no list of ids. Reload the page.", field=name)
    try:
        return tuple(UUID(str(one)) for one in data)
    except ValueError as exc:
        raise BadRequest("The page sent something that is no id. Reload the page.", field=name) from exc


@contextmanager
def told() -> Iterator[None]:
    """Turn a failure into a sentence on the page: ours as it is, a bug as an apology and a line in the log."""
    try:
        yield
    except StudioError as error:
        raise gr.Error(html.escape(error.sentence), duration=8, print_exception=False) from error
    except gr.Error:
        raise
    except Exception as exc:
        # Gradio would show a bug's own text to the person, or nothing at all (ui-notes A9)
        log.exception("handler_failed")
        raise gr.Error(
            "That did not work, and the mistake is ours. Nothing you typed is lost; try again, and tell an"
            " admin if it stays.",
            duration=8,
            print_exception=False,
        ) from exc


def warn(sentence: str) -> None:
    """Say at the edge of the page what did not work, where an answer still follows."""
    gr.Warning(html.escape(sentence), duration=8)


def say(sentence: str) -> None:
    """A short word at the edge of the page. Gradio lets some markup through, so it is escaped here."""
    gr.Info(html.escape(sentence), duration=6)
