"""News of the health rules: a worker's clock looks, keeps what broke and healed, and tells a receiver once per change.

News is grouped: at most one notice a minute, none while one is on its way, again after a day while something stays
broken. A notice is Slack-compatible JSON of the rules' own sentences and links to the dashboard: no prompt, no key, no
signed link, no person's name. A receiver that does not take it is tried again with growing pauses, is a finding
meanwhile, and is given up after a while; the next change starts anew.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta

from core import health, log, receivers
from core.authority import Action, permit
from core.db import health as kept
from core.db.health import State
from core.errors import BadRequest, StudioError
from core.health import ALSO, RULES, STORE, WATCHER, Health, Problem
from core.receivers import Refused
from core.services import Services
from core.storage import LIBRARY
from core.values import Person

APART = timedelta(minutes=1)
AGAIN = timedelta(days=1)
FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(hours=1)
MOST_TRIES = 12  # within about eight hours
_LINES = 20  # of one notice
_LETTERS = 2700  # of one block; Slack takes 3,000
_PROBE = (
    "00000000-0000-0000-0000-000000000000/none.webp"  # an object that is not there: asking costs a listing
)
_TITLES: Mapping[str, str] = {rule.code: rule.title for rule in RULES}
_log = log.get(__name__)


def watch(services: Services) -> Health:
    """One tick of the clock: look, keep, tell. Raises StudioError where the look itself failed."""
    look_at_store(services)
    found = health.look(WATCHER, services)
    remember(found, services)
    deliver(services)
    for one in found.unanswered:
        _log.warning("health_rule_unanswered", rule=one.rule, timed_out=one.timed_out)
    return found


def look_at_store(services: Services) -> bool:
    """Ask the store whether it answers, and keep what it said and how long it took; its answer."""
    begun = time.perf_counter()
    try:
        services.storage.sizes(LIBRARY, [_PROBE])
    except StudioError as error:
        ok, sentence = False, error.sentence
    else:
        ok, sentence = True, "It answers."
    seconds = time.perf_counter() - begun
    with services.db.as_service() as conn:
        kept.note_look(conn, STORE, ok=ok, seconds=seconds, sentence=sentence)
    return ok


def remember(found: Health, services: Services) -> None:
    """Keep what broke and healed, and put the news of it on its way where a receiver is set."""
    asked = [*found.asked, *(code for code, rule in ALSO.items() if rule in found.asked)]
    with services.db.as_service() as conn:
        kept.take_turn(conn)
        kept.keep(conn, _one_each(found.problems), asked)
        if services.settings.notify_webhook_url is None or not kept.may_tell(conn, apart=APART):
            return
        if told := kept.news(conn, repeat_after=AGAIN):
            kept.tell(conn, body(told, services.settings.audit_url), told)


def _one_each(problems: Sequence[Problem]) -> list[Problem]:
    """One problem a key, the first: an upsert cannot meet the same row twice."""
    return list({(one.rule, one.subject): one for one in reversed(problems)}.values())[::-1]


def deliver(services: Services) -> str | None:
    """Send the notice that is due; the receiver's answer in words, None where nothing was due."""
    address = services.settings.notify_webhook_url
    if address is None:
        return None
    with services.db.as_service() as conn:
        notice = kept.take_due(conn, first=FIRST_PAUSE, longest=LONGEST_PAUSE)
    if notice is None:
        return None
    try:
        answer = receivers.post(address.get_secret_value(), notice.body)
    except StudioError as error:
        answer = error.sentence
        with services.db.as_service() as conn:
            kept.did_not_arrive(conn, notice, answer, most=MOST_TRIES)
        _log.warning("notice_not_taken", attempts=notice.attempts, code=error.reason)
    else:
        with services.db.as_service() as conn:
            kept.arrived(conn, notice.id, answer)
    return answer


def send_test(person: Person, services: Services) -> str:
    """Send a message that says it is a test; the receiver's answer in words. Recorded.

    Raises NotAllowed (needs admin), BadRequest where no receiver is set, Refused where it was not taken.
    """
    permit(person, Action.send_test_messages)
    address = services.settings.notify_webhook_url
    if address is None:
        raise BadRequest(
            "NOTIFY_WEBHOOK_URL is not set, so there is nobody to tell.", field="notify_webhook_url"
        )
    link = _link("system", services.settings.audit_url, "Open System")
    try:
        answer = receivers.post(
            address.get_secret_value(),
            _message(["A test of Portrait Studio: news of its health rules arrives here." + link]),
        )
    except Refused as error:
        with services.db.as_user(person) as conn:
            kept.note_test(conn, error.sentence)
        raise
    with services.db.as_user(person) as conn:
        kept.note_test(conn, answer)
    return answer


# -- words ------------------------------------------------------------------------------------------------------------


def body(told: Sequence[State], audit_url: str | None) -> dict[str, object]:
    """News as Slack reads it: `text` for a line in a list, `blocks` for the message. Pure."""
    broken = [one for one in told if one.broken]
    healed = [one for one in told if not one.broken]
    head = ", ".join(
        [*([f"{len(broken)} broken"] if broken else []), *([f"{len(healed)} well again"] if healed else [])]
    )
    lines = [f"*Portrait Studio*: {head}"]
    for place, one in enumerate((*broken, *healed)):
        line = _line(one, audit_url)
        if place >= _LINES or len("\n".join([*lines, line])) > _LETTERS:
            lines.append(f"… and {len(told) - place} more" + _link("overview", audit_url, "Overview"))
            break
        lines.append(line)
    return _message(lines)


def _line(one: State, audit_url: str | None) -> str:
    if not one.broken:
        return f":white_check_mark: Well again: {_TITLES.get(one.rule, one.rule)}" + (
            f" ({_escaped(one.subject)})"
            if one.subject and ":" not in one.subject and "-" not in one.subject
            else ""
        )
    mark = ":red_circle:" if one.severity == "bad" else ":large_yellow_circle:"
    still = " _(still)_" if one.told_broken else ""
    return f"{mark} {_escaped(one.sentence)}{still}{_link(one.page, audit_url, 'Open')}"


def _link(page: str, audit_url: str | None, words: str) -> str:
    if audit_url is None:
        return ""
    return f" <{audit_url.rstrip('/')}/{page if page != 'overview' else ''}|{words}>"


def _message(lines: Sequence[str]) -> dict[str, object]:
    text = "\n".join(lines)
    return {
        "text": lines[0].replace("*", ""),
        "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": text}}],
    }


def _escaped(text: str) -> str:
    """As Slack wants its three letters; a name of a model cannot become a link or a mention."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
