"""Everything that is decided before money moves: whose picture, allowed or not, which model, which words, what
price. A plan is what the person sees before paying and what the queue carries afterwards.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePosixPath
from urllib.parse import unquote

from core import budgets, foreign_paths, policy, prompts, routing
from core.authority import Action, permit
from core.characters import refuse_changing
from core.db import characters, library, models, references, scenes
from core.errors import BadRequest, NotFound
from core.routing import PLACEHOLDER, READY, ProviderStanding, Standing
from core.services import Services
from core.storage import LIBRARY, REFERENCES, External
from core.storage.links import parse_address
from core.values import (
    Character,
    CharacterId,
    CharacterTraits,
    ConsistencyMethod,
    ContentRating,
    Gender,
    ImageModel,
    Person,
    PersonId,
    PortraitRequest,
    Presets,
    Prompt,
)

NAME_LENGTH = (1, 50)  # SPEC "characters": to generate or publish
DESCRIPTION_LENGTH = (50, 500)
_SEEDS = 2**31  # what every provider's seed field takes


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One picture, decided. `price` in dollars, None where it is not known; `owner` is the character's."""

    character_id: CharacterId | None
    owner: PersonId
    name: str
    prompt: Prompt
    model: ImageModel
    reason: str
    price: Decimal | None
    seed: int | None
    reference: str | None
    rating: ContentRating
    consistency: ConsistencyMethod
    warnings: tuple[str, ...]

    @property
    def price_words(self) -> str:
        """The price of one picture as people read it; unknown is said, never shown as zero."""
        return price_words(self.price)


@dataclass(frozen=True, kw_only=True)
class _Subject:
    """Whom the picture shows, saved or not."""

    character_id: CharacterId | None
    owner: PersonId
    traits: CharacterTraits
    rating: ContentRating
    reference: str | None
    seed_locked: int | None


def price_words(price: Decimal | None) -> str:
    """A price for one picture in words: "free", "$0.03", "price unknown"."""
    if price is None:
        return "price unknown"
    if price == 0:
        return "free"
    return f"${price.quantize(Decimal('0.0001')).normalize():f}"


def make(asked: PortraitRequest, person: Person, services: Services) -> Plan:
    """Decide everything about one picture, or say what is in the way.

    Raises NotAllowed, NotFound, BadRequest (field), PolicyRefused (field), NoSuchModel, NoModel.
    """
    permit(person, Action.make_pictures)
    policy.check_texts({"referenceImageUrl": _file_name(asked.reference or "")})
    subject = _subject(asked, person, services)
    if asked.prompt is None:
        _refuse_unfinished(subject.traits)
    scene = _scene(asked, person, services)
    policy.check_texts(_texts(subject.traits, asked, scene))
    rating, rating_warning = policy.effective_rating(
        asked.content_rating, subject.rating, allow_nsfw=services.settings.allow_nsfw
    )
    match = subject.reference is not None
    choice, price = _route(asked, person, services, match=match)
    can = choice.model.capabilities
    prompt = _prompt(
        asked, subject.traits, services, scene=scene, match=match, negative=can.supports_negative
    )
    seed, consistency, seed_warning = _seed(asked, subject, choice.model, match=match)
    extra = tuple(warning for warning in (rating_warning, seed_warning) if warning)
    return Plan(
        character_id=subject.character_id,
        owner=subject.owner,
        name=subject.traits.name,
        prompt=prompt,
        model=choice.model,
        reason=choice.reason,
        price=price,
        seed=seed,
        reference=subject.reference,
        rating=rating,
        consistency=consistency,
        warnings=(*prompt.warnings, *extra, *budgets.warnings(price, person, services)),
    )


def as_metadata(plan: Plan, asked: PortraitRequest) -> dict[str, object]:
    """What the job row carries: enough to send exactly this order again, from any worker."""
    return {
        "own_words": asked.own_words,
        **({"whole_prompt": True} if asked.prompt is not None else {}),
        "presets": {name: value for name, value in vars_of(asked.presets).items() if value},
        "negative": plan.prompt.negative,
        "seed": str(plan.seed) if plan.seed is not None else None,
        "width": asked.size.width,
        "height": asked.size.height,
        "generation_mode": "i2i" if plan.reference else "txt2img",
        "consistency_method": plan.consistency,
        "reference_image_url": plan.reference,
        "content_rating": plan.rating,
        "safety_checker": plan.rating is ContentRating.sfw,
        "contentType": "character",
        "character_name": plan.name,
        "owner": str(plan.owner),
        "model_reason": plan.reason,
        "model_name": plan.model.display_name,
        **(
            {"character": _described(asked.character)}
            if plan.character_id is None and asked.character
            else {}
        ),
    }


def _described(traits: CharacterTraits) -> dict[str, object]:
    """A character that is not saved, kept with its job so that asking again needs no second description."""
    return {
        "name": traits.name,
        "description": traits.description,
        "gender": traits.gender,
        "appearance_tags": list(traits.appearance_tags),
        "clothing_tags": list(traits.clothing_tags),
        "traits": traits.traits,
    }


def vars_of(presets: Presets) -> Mapping[str, str | None]:
    """The four presets by name."""
    return {
        "pose": presets.pose,
        "expression": presets.expression,
        "outfit": presets.outfit,
        "camera": presets.camera,
    }


def standings(paused: Mapping[str, str], services: Services) -> dict[str, ProviderStanding]:
    """Where each configured provider stands; `paused` gives the reason of those that are, and as models.Pause
    also how long it still lasts.
    """
    return {
        name: _paused(paused[name]) if name in paused else READY
        for name in services.providers
        if name != PLACEHOLDER
    }


def _paused(why: str) -> ProviderStanding:
    seconds = why.seconds if isinstance(why, models.Pause) else None
    return ProviderStanding(standing=Standing.paused, why=why, seconds=seconds)


def _subject(asked: PortraitRequest, person: Person, services: Services) -> _Subject:
    if asked.character_id is None:
        return _unsaved(asked, person, services)
    with services.db.as_user(person) as conn:
        character = characters.get(conn, asked.character_id)
    if character is None:
        raise NotFound("This character does not exist, or it is not yours.")
    is_shared = services.settings.shares_with_team or character.member_may_change is not None
    if character.user_id != person.id and not is_shared:
        raise NotFound("This character does not exist, or it is not yours.")
    refuse_changing(character, person, services)
    return _Subject(
        character_id=character.id,
        owner=character.user_id,
        traits=traits_of(character),
        rating=ContentRating(character.content_rating),
        reference=_reference(asked, character, character.user_id, person, services),
        seed_locked=character.seed_locked,
    )


def _unsaved(asked: PortraitRequest, person: Person, services: Services) -> _Subject:
    if asked.character is None:
        raise BadRequest(
            "Name a character by characterId, or describe one in characterData.", field="characterId"
        )
    return _Subject(
        character_id=None,
        owner=person.id,
        traits=asked.character,
        rating=asked.content_rating or ContentRating.sfw,
        reference=_reference(asked, None, person.id, person, services),
        seed_locked=None,
    )


def traits_of(character: Character) -> CharacterTraits:
    """What a prompt needs of a saved character; a gender of another writer that we do not know is left open."""
    known = character.gender in set(Gender)
    return CharacterTraits(
        name=character.name.strip(),
        description=character.description.strip(),
        gender=Gender(character.gender) if known else Gender.unspecified,
        appearance_tags=character.appearance_tags,
        clothing_tags=character.clothing_tags,
        traits=character.traits or "",
    )


def _reference(
    asked: PortraitRequest,
    character: Character | None,
    owner: PersonId,
    person: Person,
    services: Services,
) -> str | None:
    """The picture to match, as bucket/path, or None."""
    if asked.reference:
        return own_picture(asked.reference, {owner, person.id}, person, services)
    if character is None or not character.match_reference or not character.reference_image_url:
        return None
    return own_picture(character.reference_image_url, {owner, person.id}, person, services, of=character)


def own_picture(
    value: str,
    owners: Collection[PersonId],
    person: Person,
    services: Services,
    *,
    of: Character | None = None,
) -> str:
    """The stored picture that `value` (a path or one of our own links) names, as bucket/path.

    A row's path is not believed: its first segment must be the id of one of `owners`, and the person must be allowed
    to read the row it belongs to (SPEC "Files"), which is `of` where that character names it as its reference; else
    it is refused and noted. Raises BadRequest (REFERENCE_MISSING where it is not stored any more), NotAllowed.
    """
    host = (services.settings.public_url or "").removeprefix("https://").removeprefix("http://").rstrip("/")
    address = parse_address(value, default_bucket=LIBRARY, own_hosts=(host,) if host else ())
    if isinstance(address, External):
        raise BadRequest(
            "The reference is a picture of another site. Upload it, or choose one from the library.",
            field="referenceImageUrl",
        )
    bucket, path = address
    is_named = of is not None and of.reference_image_url == f"{bucket}/{path}" and of.user_id in owners
    is_owners = bucket in (LIBRARY, REFERENCES) and not foreign_paths.is_foreign(path, owners)
    if not is_owners or not (is_named or _may_read(bucket, path, person, services)):
        foreign_paths.refuse(
            address,
            person,
            services,
            sentence="The reference belongs to somebody else. Choose one of this character's own.",
        )
    if not _is_there(bucket, path, services):
        raise BadRequest(
            "The reference picture is not stored any more. Choose another one.",
            field="referenceImageUrl",
            code="REFERENCE_MISSING",
        )
    return f"{bucket}/{path}"


def _may_read(bucket: str, path: str, person: Person, services: Services) -> bool:
    """False where the picture is somebody's whose row this person may not read. One without a row lies in the folder
    of its owner, which shows what is shared only.
    """
    if path.split("/", 1)[0] == str(person.id) or services.settings.shares_with_team:
        return True
    holds = library.holds_path if bucket == LIBRARY else references.holds_path
    with services.db.as_user(person) as conn:
        return holds(conn, path)


def _is_there(bucket: str, path: str, services: Services) -> bool:
    """True where the object stands and, in the library, a row that was not deleted names it."""
    if bucket == LIBRARY:
        with services.db.as_service() as conn:
            if not library.holds_path(conn, path):
                return False
    return services.storage.info(bucket, path) is not None


def _refuse_unfinished(traits: CharacterTraits) -> None:
    shortest, longest = NAME_LENGTH
    if not shortest <= len(traits.name) <= longest:
        raise BadRequest(
            f"Give the character a name first, of at most {longest} letters.",
            field="name",
            code="CHARACTER_UNFINISHED",
        )
    shortest, longest = DESCRIPTION_LENGTH
    if not shortest <= len(traits.description) <= longest:
        raise BadRequest(
            f"Describe the character first, in {shortest} to {longest} letters; these are {len(traits.description)}.",
            field="description",
            code="CHARACTER_UNFINISHED",
        )


def _prompt(
    asked: PortraitRequest,
    traits: CharacterTraits,
    services: Services,
    *,
    scene: str | None,
    match: bool,
    negative: bool,
) -> Prompt:
    """The prompt a request brings whole, or one put together from the character."""
    if asked.prompt is not None:
        return Prompt(text=" ".join(asked.prompt.split()))
    if scene is not None:
        return prompts.build_scene(
            traits, scene, asked.presets, match=match, negative=negative, catalog=services.catalog
        )
    return prompts.build(
        traits, asked.presets, asked.own_words, match=match, negative=negative, catalog=services.catalog
    )


def _scene(asked: PortraitRequest, person: Person, services: Services) -> str | None:
    """The words of the scene that is to be shown, None for a portrait. Raises NotFound, BadRequest."""
    if asked.scene_id is None:
        return None
    with services.db.as_user(person) as conn:
        scene = scenes.get(conn, asked.scene_id)
    if scene is None or scene.character_id != asked.character_id:
        raise NotFound("This scene does not exist any more, or it is not yours.")
    words = scene.scene_prompt.strip() or scene.scene_description.strip()
    if not words:
        raise BadRequest(
            "Describe the scene first: its picture is made from its description, or from words of its own.",
            field="scene_description",
            code="SCENE_UNFINISHED",
        )
    return words


def _texts(traits: CharacterTraits, asked: PortraitRequest, scene: str | None = None) -> dict[str, str]:
    """Everything a person wrote that could reach a provider, by the API's field names."""
    texts = {
        "name": traits.name,
        "description": traits.description,
        "traits": traits.traits,
        "promptOverride": asked.own_words,
        "prompt": asked.prompt or "",
        "scene": scene or "",
    }
    texts |= {f"appearance_tags[{place}]": tag for place, tag in enumerate(traits.appearance_tags)}
    texts |= {f"clothing_tags[{place}]": tag for place, tag in enumerate(traits.clothing_tags)}
    texts |= {f"presets.{name}": value for name, value in vars_of(asked.presets).items() if value}
    texts["together"] = ", ".join(filter(None, texts.values()))
    return texts


def _file_name(address: str) -> str:
    """The name of a picture in an address, which a person may have chosen; no token, no folder."""
    return PurePosixPath(unquote(address.partition("?")[0])).stem


def _route(
    asked: PortraitRequest, person: Person, services: Services, *, match: bool
) -> tuple[routing.Choice, Decimal | None]:
    with services.db.as_user(person) as conn:
        known = models.list_all(conn)
        where = standings(models.pauses(conn), services)
        choice = routing.choose(known, chosen=asked.model_id, match=match, providers=where)
        price = models.prices(conn, [choice.model.id], asked.size.width, asked.size.height)
    longest = choice.model.capabilities.max_resolution
    if max(asked.size.width, asked.size.height) > longest:
        raise BadRequest(
            f"{choice.model.display_name} draws at most {longest} pixels a side. Ask for a smaller picture.",
            field="size",
        )
    return choice, price[choice.model.id]


def _seed(
    asked: PortraitRequest, subject: _Subject, model: ImageModel, *, match: bool
) -> tuple[int | None, ConsistencyMethod, str | None]:
    """The seed to send, how the picture is kept alike, and a warning where a wish cannot be met."""
    alike = ConsistencyMethod.i2i if match else ConsistencyMethod.none
    if not model.capabilities.supports_seed:
        lost = asked.seed is not None or (asked.keep_seed and subject.seed_locked is not None)
        warning = f"{model.display_name} takes no seed, so the kept one is not used." if lost else None
        return None, alike, warning
    if asked.seed is not None:
        _refuse_unfit_seed(asked.seed)
        return asked.seed, ConsistencyMethod.i2i if match else ConsistencyMethod.seed, None
    if asked.keep_seed and subject.seed_locked is not None:
        return subject.seed_locked, ConsistencyMethod.i2i if match else ConsistencyMethod.seed, None
    return random.SystemRandom().randrange(1, _SEEDS), alike, None


def _refuse_unfit_seed(seed: int) -> None:
    if not 0 <= seed < _SEEDS:
        raise BadRequest(
            f"This seed cannot be used here: a seed lies between 0 and {_SEEDS - 1:,}. Take another one.",
            field="seed",
        )
