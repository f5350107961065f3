"""Everything that may go wrong and be said to a person, in one tree.

StudioError                the sentence may be shown to a person; `code` is for programs
├── RequestRefused         the person can fix it: nothing was sent, nothing is owed
│   ├── BadRequest         400  the request does not fit its form
│   ├── NoSuchModel        400  the model is switched off, unknown or not for images
│   ├── NotSignedIn        401  we do not know who is asking
│   │   └── SessionEnded   401  we did, and that sign-in is over
│   ├── WrongCredentials   401  e-mail and password do not fit together
│   ├── BudgetSpent        402  a hard budget is used up, or the price is unknown under one
│   ├── NotAllowed         403  known, but without the right
│   ├── NotFound           404  no such row, or none this person may see
│   ├── Conflict           409  somebody else was faster
│   ├── PolicyRefused      422  the words may not be asked for
│   ├── TooMany            429  this person has enough waiting
│   └── TooManyAttempts    429  too many sign-ins were tried; `retry_after` says how long to wait
├── NoModel                503  no active model can serve this request
│   └── ProviderPaused     503  its provider is paused for everybody; `retry_after` says for how long
├── ProviderBusy           surely not accepted: the queue may send again after `retry_after`
├── ProviderUnreachable    a question (never a paid request) got no answer; ask again
├── ProviderRejected       final: the provider read it and said no; `pauses` where it says so to everybody
├── OutcomeUnknown         the paid request left and no receipt came: look it up, never send again
├── ResultLost             paid for, finished, and gone before it could be fetched
├── BadImage               bytes came back that we will not keep
├── BadSuggestion          502  a suggestion model answered with nothing that can be proposed
├── LeaseLost              another run owns the job now: stop quietly, change no state
├── StorageFailed          an object could not be read or written; ask again
│   └── ObjectMissing      there is no such object
├── SignInUnavailable      503  whoever signs people in does not answer, or not so that it can be used
├── DatabaseUnavailable    the database does not answer
├── QueryTimedOut          504  one question took longer than its limit; the database itself is well
└── SetupFailed            the installation is wrong; the sentence says what to do

Every error carries who acts next (`who`): the person who asked, an admin, QA, or nobody (we try again).
The HTTP status belongs to the error so that the page, the API and the command line say the same.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from core.values import Charge


class Who(StrEnum):
    """Who can do something about an error."""

    person = "person"
    admin = "admin"
    qa = "qa"
    nobody = "nobody"


class StudioError(Exception):
    """An expected failure. `str(error)` is a sentence for people: what happened, why, what to do.

    The sentence never holds a key, a prompt or a signed link.
    """

    code: ClassVar[str] = "STUDIO_ERROR"
    status: ClassVar[int] = 500
    who: ClassVar[Who] = Who.admin
    charge: Charge | None = None  # what the provider told of the price of a request that ended like this

    def __init__(self, sentence: str, *, code: str | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.reason = code or self.code

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.reason})"


class RequestRefused(StudioError):
    """The person can fix it; nothing was sent and nothing is owed."""

    code = "REFUSED"
    status = 400
    who = Who.person


class BadRequest(RequestRefused):
    """The request does not fit its form. `field` names the part that is wrong, in the API's spelling."""

    code = "BAD_REQUEST"

    def __init__(self, sentence: str, *, field: str | None = None, code: str | None = None) -> None:
        super().__init__(sentence, code=code)
        self.field = field


class NoSuchModel(RequestRefused):
    """The chosen model is unknown, switched off or does not make images (SPEC "Route")."""

    code = "MODEL_UNAVAILABLE"


class NotSignedIn(RequestRefused):
    """We do not know who is asking."""

    code = "MISSING_AUTH"
    status = 401


class SessionEnded(NotSignedIn):
    """Somebody was signed in, and is not any more: signed out, taken back, banned or deleted."""

    code = "SESSION_ENDED"


class WrongCredentials(RequestRefused):
    """E-mail and password do not fit together. Who has no account reads the same words."""

    code = "WRONG_CREDENTIALS"
    status = 401


class BudgetSpent(RequestRefused):
    """A hard budget has nothing left (`BUDGET`) or cannot judge an unknown price (`PRICE_UNKNOWN`)."""

    code = "BUDGET"
    status = 402


class NotAllowed(RequestRefused):
    """Known, but without the right to do this."""

    code = "NOT_ALLOWED"
    status = 403


class NotFound(RequestRefused):
    """There is no such row, or none that this person may see: both look alike on purpose."""

    code = "NOT_FOUND"
    status = 404


class Conflict(RequestRefused):
    """Somebody else changed it first; what was typed is kept by the caller."""

    code = "CONFLICT"
    status = 409


class PolicyRefused(RequestRefused):
    """The words may not be asked for (SPEC "Policy"). The sentence never repeats them."""

    code = "POLICY"
    status = 422

    def __init__(self, sentence: str, *, field: str, code: str | None = None) -> None:
        super().__init__(sentence, code=code)
        self.field = field


class TooMany(RequestRefused):
    """This person has as many pictures waiting as the studio takes from one person."""

    code = "TOO_MANY"
    status = 429


class TooManyAttempts(RequestRefused):
    """Too many sign-ins were tried; one more is taken after `retry_after` seconds (None: nobody said)."""

    code = "TOO_MANY_ATTEMPTS"
    status = 429

    def __init__(self, sentence: str, *, code: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(sentence, code=code)
        self.retry_after = retry_after


class NoModel(StudioError):
    """No active model can serve the request: `NO_IMAGE_MODEL`, or `NO_I2I_MODEL` in image match mode."""

    code = "NO_IMAGE_MODEL"
    status = 503

    def __init__(self, sentence: str, *, code: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(sentence, code=code)
        self.retry_after = retry_after


class ProviderPaused(NoModel):
    """The provider of the chosen model is paused for everybody (SPEC "Failure"), for `retry_after` seconds yet."""

    code = "PROVIDER_PAUSED"


class ProviderBusy(StudioError):
    """The paid request was surely not accepted; it may be sent again after `retry_after` seconds."""

    code = "PROVIDER_BUSY"
    status = 503
    who = Who.nobody

    def __init__(self, sentence: str, *, retry_after: float | None = None, code: str | None = None) -> None:
        super().__init__(sentence, code=code)
        self.retry_after = retry_after


class ProviderUnreachable(StudioError):
    """A question to a provider (never a paid request) got no usable answer; asking again is safe."""

    code = "PROVIDER_UNREACHABLE"
    status = 503
    who = Who.nobody


class ProviderRejected(StudioError):
    """Final: the provider read the request and said no.

    `pauses` is true where the answer concerns everybody (bad key, empty balance): the provider is then
    paused until an admin acts. `billed` is false where the provider surely took no money.
    """

    code = "PROVIDER_REJECTED"
    status = 502
    who = Who.person

    def __init__(
        self, sentence: str, *, code: str | None = None, pauses: bool = False, billed: bool = False
    ) -> None:
        super().__init__(sentence, code=code)
        self.pauses = pauses
        self.billed = billed


class OutcomeUnknown(StudioError):
    """The paid request left and no receipt came (SPEC "Outcome unknown"); it is never sent again."""

    code = "OUTCOME_UNKNOWN"
    status = 502
    who = Who.qa


class ResultLost(StudioError):
    """Paid for and finished, but the result was gone before it could be fetched.

    `is_certain`: its provider said in so many words that it never comes. One that was merely not found is asked for
    again until its provider's deadline has passed.
    """

    code = "RESULT_LOST"
    status = 502
    who = Who.qa

    def __init__(self, sentence: str, *, code: str | None = None, is_certain: bool = False) -> None:
        super().__init__(sentence, code=code)
        self.is_certain = is_certain


class BadImage(StudioError):
    """Bytes came that we will not keep as a picture: not one, cut short, too large, or blank.

    `reason` is one of `NOT_AN_IMAGE`, `IMAGE_BROKEN`, `IMAGE_TOO_LARGE`, `IMAGE_BLANK`, `IMAGE_ANIMATED`,
    `IMAGE_TOO_SMALL` (an upload).
    """

    code = "NOT_AN_IMAGE"
    status = 422
    who = Who.person


class BadSuggestion(StudioError):
    """A suggestion model answered, and nothing in it can be proposed. What it cost stands in the ledger.

    `reason` is one of `SUGGESTION_UNUSABLE` (not the form asked for), `SUGGESTION_CUT` (it stopped in the
    middle), `SUGGESTION_REFUSED` (it would not), `SUGGESTION_POLICY` (its words may not be used here).
    """

    code = "SUGGESTION_UNUSABLE"
    status = 502
    who = Who.person


class LeaseLost(StudioError):
    """Another run owns the job now; this one changes no state any more (DESIGN decision 5)."""

    code = "LEASE_LOST"
    status = 409
    who = Who.nobody


class StorageFailed(StudioError):
    """An object could not be read or written; trying again is safe."""

    code = "STORAGE"
    status = 503
    who = Who.nobody


class ObjectMissing(StorageFailed):
    """There is no such object."""

    code = "OBJECT_MISSING"
    status = 404


class SignInUnavailable(StudioError):
    """Whoever signs people in cannot be reached or cannot be used: `SIGN_IN_UNAVAILABLE` passes by itself,
    `SIGN_IN_SETUP` needs an admin.
    """

    code = "SIGN_IN_UNAVAILABLE"
    status = 503


class DatabaseUnavailable(StudioError):
    """The database does not answer; nothing was changed."""

    code = "DATABASE_UNAVAILABLE"
    status = 503


class QueryTimedOut(StudioError):
    """A question was stopped at its time limit. The database answers: ask for less, or again later."""

    code = "TIMED_OUT"
    status = 504
    who = Who.person


class SetupFailed(StudioError):
    """The installation is wrong; the sentence names the one thing to do."""

    code = "SETUP"
