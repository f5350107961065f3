"""Frozen values and closed sets: the product's words as types. No input or output here.

Sizes are pixels, times carry a zone, money is `Decimal` US dollars (None = unknown, never zero), progress
runs from 0 to 1, seeds are whole numbers that may exceed 32 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NewType
from uuid import UUID

PersonId = NewType("PersonId", UUID)
CharacterId = NewType("CharacterId", UUID)
PortraitId = NewType("PortraitId", UUID)
SceneId = NewType("SceneId", UUID)
JobId = NewType("JobId", UUID)
ModelId = NewType("ModelId", UUID)
SubmissionId = NewType("SubmissionId", UUID)


class Role(StrEnum):
    """What a person may do here (SPEC "People"); one person can hold several."""

    editor = "editor"
    qa = "qa"
    product = "product"
    admin = "admin"


class Gender(StrEnum):
    """As stored in characters.gender."""

    female = "female"
    male = "male"
    non_binary = "non-binary"
    unspecified = "unspecified"


class ContentRating(StrEnum):
    """As stored in characters.content_rating; `nsfw` needs the deployment's consent (SPEC "Policy")."""

    sfw = "sfw"
    nsfw = "nsfw"


class VoiceTone(StrEnum):
    """As stored in characters.voice_tone: how a character speaks."""

    warm = "warm"
    playful = "playful"
    confident = "confident"
    teasing = "teasing"
    direct = "direct"


class Mood(StrEnum):
    """As stored in characters.mood."""

    friendly = "friendly"
    flirty = "flirty"
    mysterious = "mysterious"
    dominant = "dominant"
    submissive = "submissive"


class JobStatus(StrEnum):
    """As stored in jobs.status; the moves between them are held by the database (SPEC "Data")."""

    queued = "queued"
    processing = "processing"
    completed = "completed"
    failed = "failed"
    cancelled = "cancelled"

    @property
    def is_final(self) -> bool:
        """True where nothing more happens by itself."""
        return self in {JobStatus.completed, JobStatus.failed, JobStatus.cancelled}


class JobStage(StrEnum):
    """Where a job really stands, as its worker last wrote it (SPEC "Run"); never a timer's guess."""

    waiting = "waiting"  # in our queue, or the provider asked us to come back later
    sending = "sending"  # the paid request is on its way
    provider_queue = "provider_queue"  # accepted; the provider has others before us
    drawing = "drawing"  # the provider works on it
    fetching = "fetching"  # done there; being downloaded and checked
    saving = "saving"  # stored for now; on its way into the library
    saved = "saved"  # in the library
    not_saved = "not_saved"  # kept out of the library, with a finding: QA decides
    cancelling = "cancelling"  # the provider was asked to stop
    outcome_unknown = "outcome_unknown"  # sent, and no receipt came


class ConsistencyMethod(StrEnum):
    """How a portrait was kept alike to its character (SPEC "Prompt")."""

    none = "none"
    seed = "seed"
    i2i = "i2i"


class PriceUnit(StrEnum):
    """What a price counts (SPEC "model_prices")."""

    image = "image"
    megapixel = "megapixel"
    second = "second"
    million_input_tokens = "million_input_tokens"
    million_output_tokens = "million_output_tokens"
    request = "request"


@dataclass(frozen=True, kw_only=True)
class Person:
    """Who is asking, as the gate established it."""

    id: PersonId
    roles: frozenset[Role]
    name: str = ""

    def holds(self, *roles: Role) -> bool:
        """True where the person has at least one of `roles`."""
        return not self.roles.isdisjoint(roles)


@dataclass(frozen=True, kw_only=True)
class Size:
    """Width and height in pixels."""

    width: int
    height: int

    @property
    def megapixels(self) -> Decimal:
        """Millions of pixels."""
        return Decimal(self.width * self.height) / Decimal(1_000_000)

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True, kw_only=True)
class Presets:
    """Chosen presets: a key of the catalogue, or free words of at most 60 characters (SPEC "HTTP")."""

    pose: str | None = None
    expression: str | None = None
    outfit: str | None = None
    camera: str | None = None


@dataclass(frozen=True, kw_only=True)
class CharacterTraits:
    """What the prompt needs to know of a character, saved or not (SPEC "characterData")."""

    name: str
    description: str
    gender: Gender = Gender.unspecified
    appearance_tags: tuple[str, ...] = ()
    clothing_tags: tuple[str, ...] = ()
    traits: str = ""


@dataclass(frozen=True, kw_only=True)
class Character:
    """A row of public.characters, the fields the studio edits and the generator reads."""

    id: CharacterId
    user_id: PersonId
    name: str
    description: str
    gender: str
    content_rating: str
    is_public: bool
    role: str | None
    traits: str | None
    appearance_tags: tuple[str, ...]
    clothing_tags: tuple[str, ...]
    image_url: str | None
    reference_image_url: str | None
    match_reference: bool
    reference_is_auto: bool
    seed_locked: int | None
    version: int
    created_at: datetime
    updated_at: datetime
    persona: str | None = None
    personality_traits: str | None = None
    voice_tone: str | None = None
    mood: str | None = None
    first_message: str | None = None
    alternate_greetings: tuple[str, ...] = ()
    system_prompt: str | None = None
    forbidden_phrases: tuple[str, ...] = ()
    voice_examples: tuple[str, ...] = ()
    preview_image_url: str | None = None
    rating_settled_at: datetime | None = None  # None: nobody chose the rating it came with (SPEC "Policy")
    member_may_change: bool | None = None  # of who asked; None: no member (SPEC "Data")

    @property
    def shown_name(self) -> str:
        """The name, or what a draft without one is called (SPEC "characters")."""
        return self.name.strip() or "Untitled"


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A row of public.character_scenes: a role-play setting of a character. `image_url` is bucket/path."""

    id: SceneId
    character_id: CharacterId
    scene_name: str
    scene_description: str
    scene_prompt: str
    image_url: str | None
    scene_starters: list[str]
    system_prompt: str
    priority: int
    updated_at: datetime


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a model can do: data, never an `if` on its name (DESIGN decision 7)."""

    supports_i2i: bool = False
    needs_reference: bool = False  # makes nothing without a reference image (the edit endpoints)
    supports_seed: bool = False
    supports_negative: bool = False
    max_reference_images: int = 0
    max_resolution: int = 1024  # longest side, pixels
    supported_formats: tuple[str, ...] = ("png",)
    aspect_ratios: tuple[str, ...] = ("1:1",)


@dataclass(frozen=True, kw_only=True)
class ImageModel:
    """An image model: a row of api_models with its provider's name."""

    id: ModelId
    provider: str
    model_key: str
    display_name: str
    modality: str = "image"
    is_active: bool = True
    priority: int = 0
    capabilities: Capabilities = field(default_factory=Capabilities)
    input_defaults: Mapping[str, object] = field(default_factory=dict[str, object])
    default_for_tasks: tuple[str, ...] | None = None  # None: serves every task (SPEC "api_models")


@dataclass(frozen=True, kw_only=True)
class PortraitRequest:
    """What a person asked for, before any model was chosen."""

    character_id: CharacterId | None = None
    character: CharacterTraits | None = None  # instead of an id: a character that is not saved yet
    scene_id: SceneId | None = None  # the picture of a scene of that character, not a portrait
    prompt: str | None = field(default=None, repr=False)  # whole and final: the older call brings its own
    own_words: str = ""
    presets: Presets = field(default_factory=Presets)
    reference: str | None = None  # bucket/path or one of our own signed links
    content_rating: ContentRating | None = None
    model_id: ModelId | None = None
    keep_seed: bool = False
    seed: int | None = None  # a certain one, before the kept one
    size: Size = field(default_factory=lambda: Size(width=1024, height=1024))
    idempotency_key: str | None = None
    retried_from: JobId | None = None


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """The text that is sent, whole, and what had to be left out."""

    text: str
    negative: str = ""
    warnings: tuple[str, ...] = ()


PROVIDER_NAMES: Mapping[str, str] = {
    "fal": "fal",
    "replicate": "Replicate",
    "novita": "Novita",
    "runpod": "RunPod",
    "sketch": "Sketch",
}
"""Providers as they write themselves, in sentences for people."""


def provider_name(provider: str) -> str:
    """A provider in a sentence; one that is not in the table with a capital."""
    return PROVIDER_NAMES.get(provider, provider.capitalize())


@dataclass(frozen=True, kw_only=True)
class ReferencePicture:
    """A picture to be matched, as an order carries it; sides in pixels.

    `link` is our own signed address of these very bytes, empty where a provider cannot reach this studio.
    """

    data: bytes = field(repr=False)
    media_type: str
    width: int
    height: int
    link: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class Order:
    """What an adapter sends: every paid detail decided, nothing left to the adapter but its spelling and the way
    its provider takes a reference (core/providers/references.py). `__repr__` hides the words.
    """

    prompt: str = field(repr=False)
    negative: str = field(default="", repr=False)
    size: Size = field(default_factory=lambda: Size(width=1024, height=1024))
    seed: int | None = None
    references: tuple[ReferencePicture, ...] = field(default=(), repr=False)
    safety_checker: bool = True
    input_defaults: Mapping[str, object] = field(default_factory=dict[str, object], repr=False)
    callback_url: str | None = field(default=None, repr=False)  # where its end is to be told; holds a secret


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """A receipt: proof that a provider accepted a paid request, and where to ask about it.

    Stored as JSON in studio.submissions.receipt; `answer` holds the result itself where a provider
    answers at once. Addresses may be secrets: they are kept out of `repr`.
    """

    provider: str
    request_id: str
    model_key: str
    status_url: str = field(default="", repr=False)
    result_url: str = field(default="", repr=False)
    cancel_url: str = field(default="", repr=False)
    answer: Mapping[str, object] | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Running:
    """Not finished yet. `queue_position` counts those before us, `fraction` is real progress from 0 to 1."""

    stage: JobStage
    queue_position: int | None = None
    fraction: float | None = None


@dataclass(frozen=True, kw_only=True)
class RemoteImage:
    """One picture of a result: an address to fetch, or the bytes themselves."""

    url: str = field(default="", repr=False)
    data: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Charge:
    """What a provider told of the price of one request; None: it did not say.

    `units` of its own price list, `seconds` of work, `billed_usd` where it names dollars itself.
    """

    units: Decimal | None = None
    seconds: float | None = None
    billed_usd: Decimal | None = None
    images: int = 1


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A provider's result. `units` is what it says it billed; `billed_usd` only where it names dollars."""

    images: tuple[RemoteImage, ...]
    seed: int | None = None
    units: Decimal | None = None
    billed_usd: Decimal | None = None
    seconds: float | None = None
    expires_at: datetime | None = None

    @property
    def charge(self) -> Charge:
        """What of it concerns money."""
        return Charge(
            units=self.units,
            seconds=self.seconds,
            billed_usd=self.billed_usd,
            images=max(len(self.images), 1),
        )


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Bytes that were decoded whole and may be kept. `data` is exactly what came."""

    data: bytes = field(repr=False)
    media_type: str
    extension: str
    width: int
    height: int
    sha256: str  # 64 hex digits of `data`
    phash: str  # 16 hex digits, a 64-bit perceptual hash
    blank: bool
    thumbnail: bytes = field(repr=False)  # WebP, longest side 384


@dataclass(frozen=True, kw_only=True)
class Job:
    """A row of public.jobs as the worker and the pages read it. `prompt` is the final text that is sent."""

    id: JobId
    user_id: PersonId
    character_id: CharacterId | None
    status: JobStatus
    stage: JobStage | None
    runner: str
    lease: int
    attempts: int
    prompt: str = field(repr=False)
    model_id: ModelId | None
    metadata: Mapping[str, object] = field(repr=False)
    progress: float | None
    queue_position: int | None
    cancel_requested: bool
    error_code: str | None
    error_message: str | None
    retried_from: JobId | None
    cost_usd: Decimal | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    heartbeat_at: datetime | None

    @property
    def provider(self) -> str:
        """The provider it was routed to, as written when it was asked."""
        return str(self.metadata.get("provider", ""))


SCENE_PICTURE = "character_scene"  # metadata.destination of the picture of a scene


def scene_of(job: Job) -> SceneId | None:
    """The scene a job of ours makes a picture of; None for a portrait and for the platform's own jobs."""
    if job.runner != "studio" or job.metadata.get("destination") != SCENE_PICTURE:
        return None
    try:
        return SceneId(UUID(str(job.metadata.get("scene_id"))))
    except ValueError:
        return None


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A row of studio.submissions: one paid request, from its intent to its end (DESIGN decision 5)."""

    id: SubmissionId
    job_id: JobId
    attempt: int
    lease: int
    provider: str
    model_key: str
    submitted_at: datetime
    ticket: Ticket | None
    outcome: str | None

    @property
    def is_open(self) -> bool:
        """True while it may still bring a picture."""
        return self.outcome is None


@dataclass(frozen=True, kw_only=True)
class Asset:
    """A row of public.workspace_assets: a fresh result in temporary storage."""

    id: UUID
    job_id: JobId
    user_id: PersonId
    path: str  # inside the bucket workspace-temp
    thumbnail_path: str | None
    media_type: str
    file_size: int
    seed: int | None
    width: int | None
    height: int | None
    sha256: str | None
    phash: str | None
    blank: bool | None
    cleaned_at: datetime | None = None  # its object was removed, the library's copy proved


@dataclass(frozen=True, kw_only=True)
class Portrait:
    """A row of public.character_portraits; addresses are `bucket/path`."""

    id: PortraitId
    character_id: CharacterId
    job_id: JobId | None
    image_url: str
    thumbnail_url: str | None
    prompt: str | None = field(repr=False)
    enhanced_prompt: str | None = field(repr=False)
    metadata: Mapping[str, object] = field(repr=False)
    is_primary: bool
    primary_pinned: bool
    sort_order: int
    seed: int | None
    width: int | None
    height: int | None
    created_at: datetime
    deleted_at: datetime | None


class ReviewStatus(StrEnum):
    """What product said of a published attribute or style image."""

    pending = "pending"
    approved = "approved"
    rejected = "rejected"


STYLE_IMAGE = "style"  # the category of a style's own picture


@dataclass(frozen=True, kw_only=True, order=True)
class Cell:
    """One picture of the attribute matrix by its catalogue names (SPEC "Attribute images").

    A style's own picture has the category `style` and the style's key as its value.
    """

    category: str
    value: str
    style: str

    @property
    def is_style(self) -> bool:
        """True for the picture that stands for a style itself."""
        return self.category == STYLE_IMAGE

    def __str__(self) -> str:
        return f"{self.style} style" if self.is_style else f"{self.category} {self.value}, {self.style}"


@dataclass(frozen=True, kw_only=True)
class AttributePicture:
    """A row of public.attribute_images or public.style_images; `image_url` and `original` are `bucket/path`.

    Rows of other writers may hold any address, and know neither an original nor a job.
    """

    id: UUID
    cell: Cell  # as the row spells it: an older name stands for the value it became
    image_url: str
    original: str | None
    prompt: str | None = field(repr=False)
    seed: int | None
    width: int | None
    height: int | None
    file_size: int | None
    job_id: JobId | None
    cost_usd: Decimal | None
    review_status: ReviewStatus
    reviewed_by: PersonId | None
    reviewed_at: datetime | None
    review_note: str | None
    created_at: datetime
    updated_at: datetime
    is_placeholder: bool = False  # drawn by the built-in Sketch: it gives way to any provider's picture
