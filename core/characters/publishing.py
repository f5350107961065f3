"""From a draft to a public character: the checks in words, then `is_public` (SPEC "Studio", "characters")."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from core import policy
from core.characters import fields
from core.errors import BadRequest, PolicyRefused
from core.values import Character, ContentRating


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that is looked at before a character becomes public. `field` is where it is mended.

    `needed`: without it nothing is published; the others are advice.
    """

    field: str
    label: str
    sentence: str
    passed: bool
    needed: bool = True


def checks(character: Character, *, allow_nsfw: bool) -> tuple[Check, ...]:
    """All checks of a character, in the order of the form."""
    return tuple(_checks(character, allow_nsfw=allow_nsfw))


def refuse_unready(character: Character, *, allow_nsfw: bool) -> None:
    """Raises BadRequest with the field of the first check that is needed and not passed."""
    for check in checks(character, allow_nsfw=allow_nsfw):
        if check.needed and not check.passed:
            raise BadRequest(check.sentence, field=check.field, code="NOT_READY")


def asks_for_rating(character: Character, *, allow_nsfw: bool) -> bool:
    """True where the rating is an adopted nsfw that nobody chose, in a studio that makes none (SPEC "Policy")."""
    return (
        not allow_nsfw
        and character.content_rating == ContentRating.nsfw
        and character.rating_settled_at is None
    )


def _checks(character: Character, *, allow_nsfw: bool) -> Iterator[Check]:
    name, description = character.name.strip(), character.description.strip()
    yield _needed("name", bool(name), "Give the character a name.")
    yield _needed("name", len(name) <= fields.LONGEST_NAME, _too_long("name", fields.LONGEST_NAME, name))
    yield _described(description)
    yield _needed(
        "content_rating",
        not asks_for_rating(character, allow_nsfw=allow_nsfw),
        "Say how the character is rated: it still has the rating it came with.",
    )
    yield _clean(character)
    yield _advice("portrait", "Portrait", character.image_url, "Without one people see a placeholder.")
    yield _advice(
        "first_message", "First message", character.first_message, "Without one the chat begins in silence."
    )


def _described(description: str) -> Check:
    length = len(description)
    if length > fields.LONGEST_DESCRIPTION:
        sentence = _too_long("description", fields.LONGEST_DESCRIPTION, description)
    else:
        missing = max(fields.SHORTEST_DESCRIPTION - length, 0)
        sentence = f"The description needs {fields.SHORTEST_DESCRIPTION} characters: {missing} more to go."
    fits = fields.SHORTEST_DESCRIPTION <= length <= fields.LONGEST_DESCRIPTION
    return _needed("description", fits, sentence)


def _clean(character: Character) -> Check:
    """Every text under the policy: other writers' texts never passed our own check."""
    written = {name: getattr(character, name) or "" for name in (*fields.TEXTS, *fields.LISTS)}
    try:
        policy.check_texts(
            fields.texts(
                {name: list(text) if name in fields.LISTS else text for name, text in written.items()}
            ),
            today=datetime.now(UTC).date(),
        )
    except PolicyRefused as refused:
        return Check(field=refused.field, label="Policy", sentence=refused.sentence, passed=False)
    return Check(field="description", label="Policy", sentence="Every text describes an adult.", passed=True)


def _too_long(field: str, longest: int, text: str) -> str:
    return f"{fields.LABELS[field]} takes at most {longest} characters; this has {len(text)}."


def _needed(field: str, passed: bool, sentence: str) -> Check:
    return Check(field=field, label=fields.LABELS[field], sentence=sentence, passed=passed)


def _advice(field: str, label: str, value: str | None, sentence: str) -> Check:
    passed = bool(value and value.strip())
    return Check(field=field, label=label, sentence=sentence, passed=passed, needed=False)
