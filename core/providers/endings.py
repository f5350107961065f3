"""How requests end without a picture, in one wording for every provider.

A provider's own words may repeat the prompt, so adapters read only what kind of ending it was and say it here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, auto

from core.errors import OutcomeUnknown, ProviderRejected, ProviderUnreachable, ResultLost
from core.values import Charge


class Ending(StrEnum):
    """What kind of ending it was."""

    bad_key = auto()
    balance_empty = auto()
    account_blocked = auto()
    not_permitted = auto()
    model_unknown = auto()
    invalid_input = auto()
    bad_reference = auto()
    content_refused = auto()
    cancelled = auto()
    no_image = auto()
    out_of_memory = auto()
    never_started = auto()
    failed = auto()
    timed_out = auto()


EVERYBODY = frozenset({Ending.bad_key, Ending.balance_empty, Ending.account_blocked})
"""The endings that concern every request: the provider is paused until an admin acts."""


@dataclass(frozen=True, kw_only=True)
class Endings:
    """One provider's endings: `name` as people know it, `key` the setting that holds its key, `kept` how long
    it keeps a result, in words.
    """

    name: str
    key: str
    kept: str

    def rejected(
        self, ending: Ending, *, billed: bool = False, charge: Charge | None = None
    ) -> ProviderRejected:
        """The error for an ending; `billed` is false only where the provider surely took no money, `charge` is
        what it told of the price.
        """
        code, sentence = self._told(ending)
        error = ProviderRejected(sentence, code=code, pauses=ending in EVERYBODY, billed=billed)
        error.charge = charge
        return error

    def unreachable(self, status: int, ending: Ending | None = None) -> ProviderUnreachable:
        """A question that got no verdict: a refused key says nothing about a picture that was paid for."""
        if ending is not None and ending in EVERYBODY:
            code, sentence = self._told(ending)
            return ProviderUnreachable(f"{sentence} Pictures under way are asked about again.", code=code)
        return ProviderUnreachable(
            f"{self.name} answered a question about a request with status {status}. It is asked again later."
        )

    def lost(self, *, is_certain: bool = False) -> ResultLost:
        """Paid for, and no longer to be had; `is_certain` where the provider said that it removed it."""
        return ResultLost(
            f"{self.name} no longer has this result: it keeps them for {self.kept}. It may have been charged; "
            f"look it up at {self.name} before making it again.",
            is_certain=is_certain,
        )

    def without_number(self) -> OutcomeUnknown:
        """Accepted, and the answer holds nothing to ask about it with."""
        return OutcomeUnknown(
            f"{self.name} took the request and gave no number for it, so it may be charged. "
            "It is not sent again; somebody looks it up."
        )

    def _told(self, ending: Ending) -> tuple[str, str]:
        code, sentence = _TOLD[ending]
        return code, sentence.format(name=self.name, key=self.key)


_TOLD = {
    Ending.bad_key: (
        "BAD_KEY",
        "{name} does not accept our key. An admin has to put a valid {key} into the settings.",
    ),
    Ending.balance_empty: (
        "BALANCE_EMPTY",
        "The account at {name} is locked, usually for want of money. An admin has to top it up.",
    ),
    Ending.account_blocked: (
        "ACCOUNT_BLOCKED",
        "{name} has blocked this account. An admin has to settle that with {name}.",
    ),
    Ending.not_permitted: (
        "NOT_PERMITTED",
        "{name} does not let this account use the model. An admin can ask {name} for access.",
    ),
    Ending.model_unknown: (
        "MODEL_UNKNOWN",
        "{name} does not know this model. An admin can mend its key or switch it off.",
    ),
    Ending.invalid_input: (
        "INVALID_INPUT",
        "{name} did not accept this request's settings. Change them, or have an admin check the model's defaults.",
    ),
    Ending.bad_reference: (
        "INVALID_INPUT",
        "{name} could not use the reference image. Choose another one, in a common size.",
    ),
    Ending.content_refused: (
        "CONTENT_REFUSED",
        "{name}'s safety check refused this picture. Change the description or your own words.",
    ),
    Ending.cancelled: (
        "CANCELLED",
        "The request was cancelled at {name} before it was finished.",
    ),
    Ending.no_image: (
        "NO_IMAGE",
        "{name} finished and sent no picture. Try again, with other words or another model.",
    ),
    Ending.out_of_memory: (
        "OUT_OF_MEMORY",
        "{name} ran out of memory on this picture. Ask for a smaller one.",
    ),
    Ending.never_started: (
        "NEVER_STARTED",
        "{name} gave this request up before it began, so nothing was charged. Try again.",
    ),
    Ending.failed: (
        "PROVIDER_FAILED",
        "{name} failed while it worked on this picture. Try again, or choose another model.",
    ),
    Ending.timed_out: (
        "PROVIDER_FAILED",
        "{name} took too long over this picture and stopped. Try again, or choose another model.",
    ),
}
