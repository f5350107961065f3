"""What goes wrong on demand: a queue of faults for each place, and what each kind means.

Two families. *Wire* faults spoil one call at one place. *Fates* (place `outcome`) are drawn when a request is
accepted and stay with it, so that asking twice gets the same story twice.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, fields
from enum import StrEnum


class Place(StrEnum):
    submit = "submit"
    status = "status"
    result = "result"
    cancel = "cancel"
    media = "media"
    pricing = "pricing"
    lookup = "lookup"  # Replicate: a model's version, an upload; fal: an upload; before an order and free
    webhook = "webhook"  # what is sent when a request ends
    outcome = "outcome"


class Kind(StrEnum):
    # on the wire, at every place but outcome
    rate_limited = (
        "rate_limited"  # 429; `retry_after` is sent as it stands (seconds or a date), null: not sent
    )
    server_error = "server_error"  # `status` 500; `request_id` says whether it shows a request's number
    reset_before = "reset_before"  # submit: connection reset before the body is read, nothing accepted
    reset_after = "reset_after"  # done as asked, and the answer is lost
    hang = "hang"  # done as asked, and no answer ever comes
    slow = "slow"  # done as asked, and answered after `seconds`
    unreadable = "unreadable"  # done as asked, and answered 200 with bytes that are no JSON
    no_number = "no_number"  # submit: done as asked, and answered 200 without a number or a picture
    bad_key = "bad_key"  # 401; Novita 403, with type missing 400
    balance_empty = "balance_empty"  # fal 403, the account is locked; Replicate 402; Novita 400
    redirect = "redirect"  # 302 to `location`
    refused = "refused"  # submit: `status` 422 (Novita, RunPod 400) with `type` in the provider's words
    foreign_urls = (
        "foreign_urls"  # submit: the answer's addresses lead to another host; lookup: to `location`
    )
    gone = "gone"  # result, media: `status` 404
    truncated = "truncated"  # media: the picture ends in the middle, length and all
    cut = "cut"  # media: the connection breaks in the middle of the picture
    html = "html"  # media: a web page instead of a picture
    lost = "lost"  # webhook: never sent
    doubled = "doubled"  # webhook: sent twice at once
    out_of_order = "out_of_order"  # webhook: after it one that says the request still runs
    forged = "forged"  # webhook: a changed signature, and the address without its token
    stale = "stale"  # webhook: signed for a moment `seconds` ago
    # fates
    # The words below are fal's; each other provider says the same its own way.
    content_policy = "content_policy"  # COMPLETED with an error, result 422 content_policy_violation
    invalid_input = "invalid_input"  # the same with `type`
    model_error = "model_error"  # the same, 500 internal_server_error
    black = "black"  # an all-black picture and the safety checker's flag beside it, billed (fal, Novita)
    blank = "blank"  # an all-black picture and no word about it, billed
    no_images = "no_images"  # an empty list, billed
    data_uri = "data_uri"  # the picture inside the JSON
    expired = "expired"  # the result answers `status` 404; Replicate says data_removed
    media_expired = "media_expired"  # the picture answers `status` 404
    regress = "regress"  # IN_PROGRESS, then IN_QUEUE again, then on
    late_result = "late_result"  # cancelling is answered politely and changes nothing
    never = "never"  # it never finishes
    aborted = "aborted"  # Replicate: its deadline passed before it began, not charged
    timed_out = "timed_out"  # RunPod: the worker took too long
    no_output = "no_output"  # RunPod: completed, and its output was too large to keep


FATES = frozenset(
    {
        Kind.content_policy,
        Kind.invalid_input,
        Kind.model_error,
        Kind.black,
        Kind.blank,
        Kind.no_images,
        Kind.data_uri,
        Kind.expired,
        Kind.media_expired,
        Kind.regress,
        Kind.late_result,
        Kind.never,
        Kind.aborted,
        Kind.timed_out,
        Kind.no_output,
        Kind.truncated,
        Kind.html,
    }
)
ONLY_AT = {
    Kind.reset_before: {Place.submit},
    Kind.refused: {Place.submit},
    Kind.no_number: {Place.submit},
    Kind.foreign_urls: {Place.submit, Place.lookup},
    Kind.gone: {Place.status, Place.result, Place.media, Place.lookup},
    Kind.truncated: {Place.media},
    Kind.cut: {Place.media},
    Kind.html: {Place.media},
    Kind.lost: {Place.webhook},
    Kind.doubled: {Place.webhook},
    Kind.out_of_order: {Place.webhook},
    Kind.forged: {Place.webhook},
    Kind.stale: {Place.webhook},
}
AT_WEBHOOK = {Kind.lost, Kind.doubled, Kind.out_of_order, Kind.forged, Kind.stale, Kind.slow}


_DONE = {Kind.hang, Kind.reset_after, Kind.slow, Kind.unreadable, Kind.foreign_urls, Kind.no_number}


class UnknownFault(ValueError):
    """What was asked for is no fault of ours."""


@dataclass(kw_only=True)
class Fault:
    """One entry of a queue; `count` None means always, `share` the part of the calls that is hit."""

    at: Place
    kind: Kind
    count: int | None = 1
    skip: int = 0  # calls that pass before the first one is hit
    share: float = 1.0
    only_prompt: str = ""  # only requests whose prompt holds these words
    status: int | None = None
    request_id: bool = True
    accepted: bool | None = None  # submit, server_error: whether the request was taken all the same
    retry_after: str | int | None = 1
    seconds: float = 1.0
    type: str = "value_error"
    location: str = ""

    @property
    def spoils_the_answer(self) -> bool:
        """Whether what was asked is done, and only its answer suffers."""
        return self.kind in {Kind.reset_after, Kind.hang, Kind.slow, Kind.unreadable}

    @property
    def takes(self) -> bool:
        """Whether a submit that fails like this was accepted (and will be charged)."""
        if self.kind is Kind.server_error:
            return self.request_id if self.accepted is None else self.accepted
        return self.kind in _DONE and self.accepted is not False


def read_fault(given: object) -> Fault:
    """A fault from the JSON of POST /_emulator/faults; raises UnknownFault with the reason."""
    if not isinstance(given, dict):
        raise UnknownFault("A fault is an object with `at` and `kind`.")
    unknown = set(given) - {one.name for one in fields(Fault)}
    if unknown:
        raise UnknownFault(f"A fault has no {', '.join(sorted(unknown))}.")
    try:
        fault = Fault(**{**given, "at": Place(given.get("at", "")), "kind": Kind(given.get("kind", ""))})
    except (TypeError, ValueError) as exc:
        raise UnknownFault(str(exc)) from exc
    _check_place(fault)
    return fault


def _check_place(fault: Fault) -> None:
    if fault.at is Place.outcome:
        fits = fault.kind in FATES
    elif fault.at is Place.webhook:
        fits = fault.kind in AT_WEBHOOK
    else:
        fits = fault.at in ONLY_AT[fault.kind] if fault.kind in ONLY_AT else fault.kind not in FATES
    if not fits:
        raise UnknownFault(f"{fault.kind} does not happen at {fault.at}.")


@dataclass(kw_only=True)
class FaultQueue:
    """The faults still to come, oldest first at each place."""

    waiting: list[Fault] = field(default_factory=list)
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    def take(self, at: Place, *, prompt: str = "", early: bool = False) -> Fault | None:
        """The fault that hits this call, used up by it; None where the call goes well.

        `early` asks before the body was read, where only a reset can happen (and no prompt is known).
        """
        for fault in tuple(self.waiting):
            fits = fault.at is at and (fault.kind is Kind.reset_before) == early
            if fits and fault.only_prompt in prompt and self._hits(fault):
                return fault
        return None

    def _hits(self, fault: Fault) -> bool:
        if fault.skip > 0:
            fault.skip -= 1
            return False
        if fault.share < 1 and self.chance.random() >= fault.share:
            return False
        if fault.count is not None:
            fault.count -= 1
            if fault.count <= 0:
                self.waiting.remove(fault)
        return True
