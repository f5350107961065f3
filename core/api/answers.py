"""What the calls answer, as the OpenAPI document shows it: one place, so that the document cannot say other than the
routes do. Names are the API's (camel case), times are milliseconds, money is text with up to six decimals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from core.callbacks import Deed
from core.cards.card import Form
from core.errors import StudioError
from core.values import JobStage, JobStatus

REFUSAL = {"$ref": "#/components/schemas/Refusal"}
_TITLES = {
    400: "The request does not fit its form",
    401: "Nobody is signed in",
    402: "The budget is used up, or cannot judge an unknown price",
    403: "Known, but without the right; or a page that may not ask",
    404: "No such thing, or none this person may see",
    408: "The body came too slowly",
    409: "It meets something that stands already",
    413: "The body is too large",
    415: "The body is not JSON",
    416: "The file has no such part",
    422: "The words or the picture may not be made",
    429: "This person has enough waiting",
    500: "A mistake of the studio",
    502: "The provider did not make the picture",
    503: "Nothing can serve this now; Retry-After says when to ask again",
    504: "It took too long",
}
_RETRY_AFTER = {
    "Retry-After": {"description": "Seconds until it is worth asking again.", "schema": {"type": "string"}}
}


class Answer(BaseModel):
    """A JSON answer."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, frozen=True)

    def as_json(self) -> dict[str, Any]:
        """With the API's names."""
        return self.model_dump(mode="json", by_alias=True)


class PortraitAnswer(Answer):
    """A portrait that is made and saved."""

    success: Literal[True] = True
    image_url: str = Field(description="A signed link that ends within a day; never store it.")
    job_id: UUID
    portrait_id: UUID | None = Field(description="null until a character without an id is matched")
    character_id: UUID | None
    generation_time_ms: int | None
    storage_path: str = Field(description="Inside its bucket.")
    warnings: Sequence[str]


class AcceptedAnswer(Answer):
    """A job that was asked for and is not waited for."""

    success: Literal[True] = True
    job_id: UUID
    status: JobStatus
    warnings: Sequence[str]


class CardNote(Answer):
    """What a card loses, or what was mended in it, in words."""

    code: str
    sentence: str


class CardAnswer(Answer):
    """The character that was made of a card."""

    success: Literal[True] = True
    character_id: UUID
    name: str
    form: Form
    has_picture: bool = Field(description="Whether the card's picture became a portrait.")
    notes: Sequence[CardNote] = Field(description="What was mended, cut or left out.")
    author_notes: str = Field(description="What the card's author tells people, as plain text.")


class CardReportAnswer(Answer):
    """What an export leaves out."""

    success: Literal[True] = True
    notes: Sequence[CardNote]


class JobAnswer(Answer):
    """Where a job stands, and its picture once there is one."""

    success: Literal[True] = True
    job_id: UUID
    status: JobStatus
    stage: JobStage | None
    progress: float | None = Field(description="From 0 to 1, as the provider tells it.")
    queue_position: int | None
    cancel_requested: bool
    error: str | None
    code: str | None
    character_id: UUID | None
    portrait_id: UUID | None
    image_url: str | None
    storage_path: str | None
    cost_usd: str | None = Field(description="null: not known")
    generation_time_ms: int | None


class FalImageAnswer(Answer):
    """The older call's answer."""

    status: Literal["completed", "queued"]
    result_url: str | None
    job_id: UUID


class CallbackAnswer(Answer):
    """What a provider's report did."""

    success: Literal[True] = True
    did: Deed


class Proposal(Answer):
    """One field: what stands there and what is proposed, each a text or a list of texts."""

    field: str
    label: str
    present: str | Sequence[str] | None
    proposed: str | Sequence[str]


class SuggestionsAnswer(Answer):
    """Proposals beside the present texts; nothing was changed."""

    success: Literal[True] = True
    suggestion_id: UUID
    character_id: UUID | None
    version: int | None = Field(description="The version the proposals were written for.")
    source: str = Field(description="`model`, or `offline` where no chat model is set up.")
    model: str | None
    suggestions: Sequence[Proposal]
    warnings: Sequence[str]
    cost_usd: str | None = Field(description="null: not known")


class ReferenceNote(Answer):
    """What was done to an upload, in words."""

    code: str
    sentence: str


class ReferenceAnswer(Answer):
    """A stored reference picture."""

    id: UUID
    character_id: UUID
    reference_image_url: str = Field(description="Its address, as referenceImageUrl takes it.")
    image_url: str = Field(description="A signed link that ends; never store it.")
    media_type: str
    width: int
    height: int
    uploaded_at: datetime
    notes: Sequence[ReferenceNote]
    used: bool
    version: int | None = Field(description="The character's version, where it follows this reference now.")


class UploadAnswer(ReferenceAnswer):
    """The reference that was kept."""

    success: Literal[True] = True


class MatchingModel(Answer):
    """A model that can match a picture."""

    id: UUID
    name: str
    provider: str
    price: str


class ReferencesAnswer(Answer):
    """References, newest first, and the models that can match one."""

    success: Literal[True] = True
    references: Sequence[ReferenceAnswer]
    models: Sequence[MatchingModel]
    models_in_words: str


class Refusal(Answer):
    """Why not, in words for people and a code for programs."""

    success: Literal[False] = False
    error: str = Field(description="A sentence for people.")
    code: str = Field(pattern="^[A-Z][A-Z0-9_]*$")
    field: str | None = Field(default=None, description="What is wrong, in the request's spelling.")
    job_id: UUID | None = Field(default=None, description="The job that failed.")


def refusals(
    *errors: type[StudioError], codes: Mapping[int, Sequence[str]] | None = None, open_at: int | None = None
) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that raises `errors`, and further `codes` by status.

    At `open_at` any code may come: those a provider's failure brought.
    """
    found: dict[int, list[str]] = {}
    for error in errors:
        found.setdefault(error.status, []).append(error.code)
    for status, further in (codes or {}).items():
        found.setdefault(status, []).extend(further)
    if open_at is not None:
        found[open_at] = []
    return {status: refusal(status, found[status]) for status in sorted(found)}


def refusal(status: int, codes: Sequence[str]) -> dict[str, Any]:
    """The documentation of one status: which codes it carries, any where `codes` is empty."""
    known = list(dict.fromkeys(codes))
    narrowed = {"allOf": [REFUSAL, {"type": "object", "properties": {"code": {"enum": known}}}]}
    example = {
        "success": False,
        "error": f"{_TITLES[status]}.",
        "code": known[0] if known else "PROVIDER_FAILED",
    }
    said: dict[str, Any] = {
        "description": f"{_TITLES[status]}: {', '.join(known) or 'the code of the failure'}.",
        "content": {"application/json": {"schema": narrowed if known else REFUSAL, "example": example}},
    }
    return said | ({"headers": _RETRY_AFTER} if status in {429, 503} else {})
