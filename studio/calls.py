"""How the pages' own scripts ask their server: one question, one answer, no queue in between.

An event of Gradio's queue is a POST and a stream that brings its answer; a question here is one POST (measured in
docs/decisions/0021). Whoever asks is checked inside, as in `asking`; what was sent is a stranger's word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Final
from uuid import UUID

import gradio as gr

from core import log as logs
from core.errors import BadRequest, StudioError
from core.values import Person
from studio.asking import Asking, storable

log = logs.get(__name__)

MOST_DOLLARS: Final = 1_000_000

Sent = Mapping[str, object]
Answer = Callable[[Person, Sent], object]
Server = Callable[[gr.Request, object], object]

_OURS: Final = "That did not work, and the mistake is ours. Nothing you typed is lost; try again, and tell an admin if it stays."


def answering(asking: Asking, answers: Mapping[str, Answer]) -> Server:
    """The server function of a component: `what` names the answer. A refusal is the answer {problem, code, field}."""

    def answer(request: gr.Request, data: object) -> object:
        try:
            person = asking.caller(request)
            return _known(answers, data)(person, data if isinstance(data, dict) else {})
        except StudioError as error:
            return {
                "problem": error.sentence,
                "code": error.reason,
                "field": getattr(error, "field", None),
            }
        except Exception:
            # what a bug says of itself is for the log, not for the page
            log.exception("answer_failed")
            return {"problem": _OURS, "code": "OURS", "field": None}

    return answer


def _known(answers: Mapping[str, Answer], data: object) -> Answer:
    what = data.get("what") if isinstance(data, dict) else None
    if not isinstance(what, str) or what not in answers:
        raise BadRequest("The page asked for something this studio does not do. Reload it.", field="what")
    return answers[what]


def text(data: Sent, name: str, *, longest: int = 300) -> str:
    """A text that was sent, empty where there is none. Raises BadRequest where it is longer."""
    value = data.get(name)
    if value is None:
        return ""
    words = storable(value)
    if len(words) > longest:
        raise BadRequest(f"This is longer than {longest:,} characters. Shorten it.", field=name)
    return words


def texts(data: Sent, name: str, *, most: int, longest: int = 300) -> tuple[str, ...]:
    """A list of texts that was sent. Raises BadRequest for anything else."""
    value = data.get(name) or []
    if not isinstance(value, list) or len(value) > most:
        raise BadRequest("The page sent something that is no list of words. Reload the page.", field=name)
    return tuple(text({name: one}, name, longest=longest) for one in value)


def an_id(data: Sent, name: str = "id") -> UUID:
    """An id that was sent. Raises BadRequest where it is none."""
    try:
        return UUID(str(data.get(name)))
    except ValueError as exc:
        raise BadRequest("The page sent something that is no id. Reload the page.", field=name) from exc


def ids(data: Sent, name: str, *, most: int) -> tuple[UUID, ...]:
    """A list of at most `most` ids that was sent. Raises BadRequest for anything else."""
    return tuple(an_id({name: one}, name) for one in texts(data, name, most=most))


def whole_number(data: Sent, name: str) -> int | None:
    """A whole number that fits a bigint, as text or number; None where none was sent. Raises BadRequest."""
    words = text(data, name, longest=30).strip()
    if not words:
        return None
    if not re.fullmatch(r"-?[0-9]{1,19}", words) or abs(int(words)) >= 2**63:
        raise BadRequest("A whole number is wanted here.", field=name)
    return int(words)


def day(data: Sent, name: str) -> date | None:
    """A day as `2026-11-20`; None where none was sent. Raises BadRequest."""
    words = text(data, name, longest=30).strip()
    try:
        return date.fromisoformat(words) if words else None
    except ValueError as exc:
        raise BadRequest("A day is written like 2026-11-20.", field=name) from exc


def money(data: Sent, name: str) -> Decimal | None:
    """An amount in dollars; None where none was sent. Raises BadRequest."""
    words = text(data, name, longest=30).strip().removeprefix("$")
    try:
        amount = Decimal(words) if words else None
    except InvalidOperation as exc:
        raise BadRequest("An amount in dollars is written like 1.50.", field=name) from exc
    if amount is not None and not (amount.is_finite() and 0 <= amount <= MOST_DOLLARS):
        raise BadRequest(f"A spending limit lies between 0 and {MOST_DOLLARS:,} dollars.", field=name)
    return amount
