"""What may be asked for (SPEC "Policy"): characters are adults, and nsfw needs the deployment's consent.

A text is refused where words or numbers in it describe a minor. The tables stand in catalog/policy.toml;
`disguises` undoes the usual tricks (odd letters, leetspeak, torn or stretched words), `words` and `ages` compare.
They are made to refuse where a text could be read either way, and to let pass what cannot describe the person in
the picture. A text costs time in proportion to its length. No input or output here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache

from core.errors import PolicyRefused
from core.policy import ages, tables, words
from core.policy.disguises import Lexicon, Reading, readings
from core.values import ContentRating

_SPOKEN = {"promptOverride": "own words"}  # names of the HTTP call that no page shows


def check_texts(fields: Mapping[str, str | Sequence[str]], *, today: date | None = None) -> None:
    """Look at every text a person wrote, by field name; a list's entries one by one and together.

    `today` decides which years of birth are a minor's; without it this machine's clock does. Raises
    PolicyRefused `POLICY_MINOR` for the first field whose words or numbers describe a minor; the sentence names
    the field and repeats none of its words.
    """
    day = today or datetime.now(UTC).date()
    for field, value in fields.items():
        texts = (value,) if isinstance(value, str) else (*value, ", ".join(value))
        if any(describes_minor(text, today=day) for text in dict.fromkeys(texts)):
            raise PolicyRefused(
                f"The text in “{_SPOKEN.get(field, field.replace('_', ' '))}” can be read as describing somebody under 18. "
                "Every character here is an adult: change the words or numbers that say otherwise.",
                field=field,
                code="POLICY_MINOR",
            )


def describes_minor(text: str, *, today: date | None = None) -> bool:
    """True where words or numbers in `text`, however disguised, describe somebody under 18."""
    rules = _rules()
    day = today or datetime.now(UTC).date()
    return any(rules.hit(reading, day) for reading in readings(text, rules.lexicon))


def effective_rating(
    requested: ContentRating | None, of_character: ContentRating | None, *, allow_nsfw: bool
) -> tuple[ContentRating, str | None]:
    """The rating a picture is made with, and the sentence that says why it is not the one asked for.

    The stricter of the two counts, one that is missing leaves the other, none at all means sfw. nsfw is made
    only where the deployment allows it (ALLOW_NSFW).
    """
    given = {rating for rating in (requested, of_character) if rating is not None}
    if given != {ContentRating.nsfw}:
        lowered = requested is ContentRating.nsfw
        sentence = "The character is rated sfw, and the stricter rating counts: this picture is made as sfw."
        return ContentRating.sfw, sentence if lowered else None
    if allow_nsfw:
        return ContentRating.nsfw, None
    return ContentRating.sfw, "This studio makes no pictures rated nsfw, so this one is made as sfw."


@dataclass(frozen=True, kw_only=True)
class _Rules:
    english: ages.Ages  # first and always: its numbers excuse words ("mother of two children")
    others: tuple[ages.Ages, ...]
    births: ages.Births
    words: words.Vocabulary
    lexicon: Lexicon

    def hit(self, reading: Reading, today: date) -> bool:
        written = self.english.written(reading)
        return (
            self.words.hit(written)
            or self.english.hit(written)
            or any(one.concern(f"{reading.text} ") and one.hit(one.written(reading)) for one in self.others)
            or self.births.hit(reading, today)
            or self.words.hit_in_pieces(reading.text)
        )


@cache
def _rules() -> _Rules:
    read = tables.read()
    english, *others = map(ages.ages_of, read.ages)
    return _Rules(
        english=english,
        others=tuple(others),
        births=ages.births_of(read.births),
        words=words.vocabulary_of(read),
        lexicon=words.lexicon_of(read),
    )
