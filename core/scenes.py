"""Scenes of a character: the settings it can be met in (SPEC "Words", "Studio")."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote
from uuid import UUID

from core import characters, generation, policy, portraits
from core.authority import Action, permit
from core.db import activity, scenes
from core.db import characters as character_rows
from core.errors import BadRequest, Conflict, NotAllowed, NotFound
from core.services import Services
from core.values import (
    Character,
    CharacterId,
    Job,
    JobId,
    JobStage,
    JobStatus,
    ModelId,
    Person,
    PortraitRequest,
    Presets,
    Scene,
    SceneId,
    Size,
    scene_of,
)

LONGEST_NAME = 80
LONGEST_TEXT = 2000
MOST_STARTERS = 12
LONGEST_STARTER = 300
MOST_SCENES = 100
PICTURE_SIZE = Size(width=1024, height=1024)
_LONGEST: Mapping[str, int] = {
    "scene_name": LONGEST_NAME,
    "scene_description": LONGEST_TEXT,
    "scene_prompt": LONGEST_TEXT,
    "system_prompt": LONGEST_TEXT,
}
_LABELS: Mapping[str, str] = {
    "scene_name": "The name",
    "scene_description": "The description",
    "scene_prompt": "The picture's words",
    "system_prompt": "The system prompt",
    "scene_starters": "Starters",
}


@dataclass(frozen=True, kw_only=True)
class PictureJob:
    """A picture of a scene on its way, or the last one that failed. `fraction` runs from 0 to 1, None: not known."""

    id: JobId
    status: JobStatus
    words: str
    fraction: float | None
    error_words: str
    can_cancel: bool
    can_retry: bool
    can_dismiss: bool


@dataclass(frozen=True, kw_only=True)
class SceneCard:
    """A scene as it is shown. Links end within a day and are empty where there is nothing to show.

    `external` is an address of another site that some other writer put there; `chat_url` is empty where
    START_CHAT_URL is not set.
    """

    scene: Scene
    image_url: str
    thumb_url: str
    external: str
    chat_url: str
    job: PictureJob | None


def cards(character_id: CharacterId, person: Person, services: Services) -> list[SceneCard]:
    """The scenes of a character in their order, each with its picture and what is being made. Raises NotFound."""
    character = characters.load(character_id, person, services)
    with services.db.as_user(person) as conn:
        found = scenes.of_character(conn, character_id)
        running = scenes.open_jobs(conn, character_id)
    newest = {scene_of(job): job for job in reversed(running)}
    return [_card(scene, newest.get(scene.id), character, (person, services)) for scene in found]


def picture_request(
    scene_id: SceneId,
    character_id: CharacterId,
    *,
    model_id: ModelId | None = None,
    outfit: str | None = None,
    key: str | None = None,
) -> PortraitRequest:
    """The order of a scene's picture, for `generation.preview` and `generation.request`.

    `outfit` is a key of the catalogue or words, and is the scene's clothing; `key` never buys twice.
    """
    return PortraitRequest(
        character_id=character_id,
        scene_id=scene_id,
        presets=Presets(outfit=outfit or None),
        model_id=model_id,
        size=PICTURE_SIZE,
        idempotency_key=key,
    )


def _card(scene: Scene, job: Job | None, character: Character, asker: tuple[Person, Services]) -> SceneCard:
    full = portraits.signed(scene.image_url, character, *asker)
    value = scene.image_url or ""
    return SceneCard(
        scene=scene,
        image_url=full,
        thumb_url=portraits.signed(_thumbnail(value), character, *asker) or full,
        external=value if value.startswith(("http://", "https://")) and not full else "",
        chat_url=_chat_url(scene, asker[1]),
        job=_shown_job(job, character, asker) if job else None,
    )


def _thumbnail(image_url: str) -> str:
    """The thumbnail beside a picture that auto-save put there; empty for other writers' addresses."""
    stem, _, _ = image_url.rpartition(".")
    return f"{stem}.thumb.webp" if stem and "/scenes/" in image_url else ""


def _chat_url(scene: Scene, services: Services) -> str:
    """Where a chat in this scene begins. A template without {scene_id} gets it as a parameter."""
    template = services.settings.start_chat_url or ""
    if not template:
        return ""
    if "{scene_id}" not in template:
        template += ("&" if "?" in template else "?") + "scene={scene_id}"
    return template.replace("{character_id}", quote(str(scene.character_id))).replace(
        "{scene_id}", quote(str(scene.id))
    )


def _shown_job(job: Job, character: Character, asker: tuple[Person, Services]) -> PictureJob:
    offer = generation.offer(job, asker[0], changes=characters.may_change(character, *asker))
    has_failed = job.status is JobStatus.failed
    words = "Not made" if has_failed else portraits.STAGE_WORDS[job.stage or JobStage.waiting]
    return PictureJob(
        id=job.id,
        status=job.status,
        words=words,
        fraction=job.progress,
        error_words=job.error_message or "",
        can_cancel=offer.cancel,
        can_retry=has_failed and offer.retry,
        can_dismiss=has_failed and offer.dismiss,
    )


def of_character(character_id: CharacterId, person: Person, services: Services) -> list[Scene]:
    """The scenes of a character this person can see, in their order. Raises NotFound."""
    characters.load(character_id, person, services)
    with services.db.as_user(person) as conn:
        return scenes.of_character(conn, character_id)


def create(
    character_id: CharacterId, values: Mapping[str, object], person: Person, services: Services
) -> Scene:
    """A new scene behind the others. Raises NotFound, BadRequest and PolicyRefused with `field`."""
    permit(person, Action.write_scenes)
    checked = _checked({"scene_name": "", **values})
    characters.refuse_changing(characters.load(character_id, person, services), person, services)
    with services.db.as_user(person) as conn:
        if len(scenes.of_character(conn, character_id)) >= MOST_SCENES:
            raise BadRequest(f"A character has at most {MOST_SCENES} scenes. Delete one first.")
        return scenes.insert(conn, character_id, checked)


def save(
    scene_id: SceneId,
    changes: Mapping[str, object],
    person: Person,
    services: Services,
    *,
    was: Mapping[str, object] | None = None,
) -> Scene:
    """Write changed fields; `was` is what they were typed over, where the caller shows what others wrote meanwhile.

    Raises Conflict where another one of those fields stands there now, NotFound, BadRequest and PolicyRefused with
    `field`.
    """
    permit(person, Action.write_scenes)
    checked = _checked(changes)
    with services.db.as_user(person) as conn:
        standing = scenes.lock(conn, scene_id)
        if standing is None:
            raise _not_changed(conn, scene_id, person, services)
        _refuse_overwriting(standing, checked, was or {})
        saved = scenes.update(conn, scene_id, checked) if checked else standing
    if saved is None:
        raise _gone()
    return saved


def get(scene_id: SceneId, person: Person, services: Services) -> Scene:
    """A scene of a character this person can see. Raises NotFound."""
    with services.db.as_user(person) as conn:
        found = scenes.get(conn, scene_id)
    if found is None:
        raise _gone()
    characters.load(found.character_id, person, services)
    return found


def _refuse_overwriting(standing: Scene, checked: Mapping[str, object], was: Mapping[str, object]) -> None:
    """Nobody's words are written over unseen: what stands is what was typed over, or what is wanted anyway."""
    for name, wanted in checked.items():
        stands = getattr(standing, name)
        if name in was and stands != wanted and _plain(stands) != _plain(was[name]):
            raise Conflict(
                "Somebody else changed this scene meanwhile. Look at both, and save what is to stay."
            )


def _plain(value: object) -> object:
    """A value as a page may have shown it: what was typed over is compared, not judged."""
    if isinstance(value, list | tuple):
        return [str(one).strip() for one in value if str(one).strip()]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return str(value or "").replace("\x00", "").replace("\r\n", "\n")


def delete(scene_id: SceneId, person: Person, services: Services) -> None:
    """Take a scene out; `restore` brings it back for a week. Raises NotFound."""
    _change(scene_id, scenes.remove, "scene_deleted", person, services)


def restore(scene_id: SceneId, person: Person, services: Services) -> None:
    """Undo of `delete`. Raises NotFound."""
    _change(scene_id, scenes.bring_back, "scene_restored", person, services)


def _change(
    scene_id: SceneId,
    change: Callable[[scenes.Connection, SceneId], bool],
    action: str,
    person: Person,
    services: Services,
) -> None:
    permit(person, Action.write_scenes)
    with services.db.as_user(person) as conn:
        if not change(conn, scene_id):
            raise _not_changed(conn, scene_id, person, services)
        activity.note(conn, action, "character_scenes", str(scene_id))


def reorder(character_id: CharacterId, ids: Sequence[UUID], person: Person, services: Services) -> None:
    """Keep this order; scenes that are not named come behind. Raises NotFound."""
    permit(person, Action.write_scenes)
    characters.refuse_changing(characters.load(character_id, person, services), person, services)
    with services.db.as_user(person) as conn:
        scenes.reorder(conn, character_id, ids)


def _not_changed(
    conn: scenes.Connection, scene_id: SceneId, person: Person, services: Services
) -> NotFound | NotAllowed:
    """Why a scene could not be changed: one that can be seen may only be looked at."""
    seen = scenes.get(conn, scene_id)
    character = character_rows.get(conn, seen.character_id) if seen is not None else None
    if character is None or not characters.may_see(character, person, services):
        return _gone()
    if characters.may_change(character, person, services):
        return _gone()
    return NotAllowed(characters.LOOK_ONLY, code="LOOK_ONLY")


def _gone() -> NotFound:
    return NotFound("This scene does not exist any more, or it is not yours.")


def _checked(values: Mapping[str, object]) -> dict[str, object]:
    """The values, each fit for its column. Raises BadRequest, PolicyRefused."""
    unknown = values.keys() - scenes.EDITABLE
    if unknown:
        raise BadRequest(f"A scene has no field {min(unknown)}.", field=min(unknown))
    checked = {name: _fit(name, value) for name, value in values.items()}
    if "scene_name" in checked and not str(checked["scene_name"]).strip():
        raise BadRequest("Give the scene a name.", field="scene_name")
    policy.check_texts({
        name: ", ".join(map(str, value)) if isinstance(value, list) else str(value)  # pyright: ignore[reportUnknownArgumentType]
        for name, value in checked.items()
    })  # fmt: skip
    return checked


def _fit(name: str, value: object) -> object:
    if name == "scene_starters":
        return _starters(value)
    text = str(value or "").replace("\x00", "")
    if len(text) > _LONGEST[name]:
        words = f"{_LABELS[name]} takes at most {_LONGEST[name]} characters; this has {len(text)}."
        raise BadRequest(words, field=name)
    return text


def _starters(value: object) -> list[str]:
    if not isinstance(value, list | tuple):
        raise BadRequest("Starters come as a list.", field="scene_starters")
    texts = [str(one).replace("\x00", "").strip() for one in value]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    kept = [one for one in texts if one]
    if len(kept) > MOST_STARTERS:
        raise BadRequest(f"At most {MOST_STARTERS} starters; these are {len(kept)}.", field="scene_starters")
    if any(len(one) > LONGEST_STARTER for one in kept):
        raise BadRequest(f"A starter takes at most {LONGEST_STARTER} characters.", field="scene_starters")
    return kept
