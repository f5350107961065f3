"""The world the pictures are taken of: made through the use cases, with Sketch as the provider."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

from core import characters, generation, scenes, worker
from core import portraits as shown
from core.auth import LOCAL_PERSON
from core.db import people
from core.services import Services, open_services
from core.settings import Settings
from core.values import Character, Person, PortraitId, PortraitRequest, Presets, Role
from tests import builders
from tests.screens.conftest import DoorGate, built, eventually, serving

CAST = (
    (
        "Mira Vantongeren",
        "female",
        "Harbour pilot",
        ["silver hair", "green eyes", "freckles"],
        ["oilskin coat"],
    ),
    (
        "Otto Klingbeil",
        "male",
        "Retired tram driver",
        ["grey moustache", "round glasses"],
        ["cardigan", "cap"],
    ),
    ("Sunniva Aas", "non-binary", "Keeper of a tiny museum of keys", ["copper curls"], ["corduroy suit"]),
)
QUICK, SLOW = 0.2, 110  # seconds of a drawing: soon there, or seen while it is made
DESCRIPTION = (
    "{name} knows every shortcut in town, tells long stories about short journeys, and never spills tea."
)
SCENES = (
    ("The night ferry", "A wet deck under swaying lanterns; the last crossing before the storm.", ["Mind the step.", "Tea?"]),
    ("Sunday market", "Stalls of oranges and old radios, a brass band that knows three songs.", ["You look lost."]),
    ("The signal room", "Charts on every wall, a kettle that never gets to rest.", []),
)  # fmt: skip


class Workshop:
    """The worker beside the studio, and how long its drawings take."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open = contextlib.ExitStack()

    def pace(self, seconds: float) -> None:
        """A worker whose drawings take `seconds` each, in place of the one before."""
        self.close()
        slow = self._settings.model_copy(update={"sketch_seconds": seconds})
        services = self._open.enter_context(open_services(slow))
        self._open.enter_context(worker.in_thread(services))

    def close(self) -> None:
        self._open.close()


@dataclass(frozen=True)
class World:
    """A running studio and who lives in it; `empty` is a character that has nothing yet."""

    url: str
    services: Services
    gate: DoorGate
    workshop: Workshop
    hero: Character
    other: Character
    empty: Character
    colleague: Person
    apart: Apart


@dataclass(frozen=True)
class Apart:
    """A second studio over the same world, in which nobody sees another's characters unasked; `guest` is an editor."""

    url: str
    services: Services
    gate: DoorGate
    guest: Person


@contextlib.contextmanager
def made_up() -> Iterator[World]:
    """The world on an embedded database of its own, gone at the end."""
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(
            _env_file=None,
            studio_home=Path(home),
            sketch_seconds=QUICK,
            autosave_delay=0,
            team_sharing=True,
            start_chat_url="https://chat.example/{character_id}",
            log_level="ERROR",
        )
        with open_services(settings) as services:
            with services.db.as_service() as conn:
                people.insert_missing(conn, LOCAL_PERSON.id, "local@studio.invalid")
            gate, workshop = DoorGate(), Workshop(settings)
            with contextlib.closing(workshop), serving(built(services, gate)) as url:
                workshop.pace(QUICK)
                cast = _cast(services)
                with _apart(settings, services) as apart:
                    yield World(url, services, gate, workshop, *cast, apart)


@contextlib.contextmanager
def _apart(settings: Settings, services: Services) -> Iterator[Apart]:
    guest, gate = builders.a_person(services.db, "Ben Okafor", Role.editor), DoorGate()
    with services.db.as_service() as conn:  # as they sign in
        conn.execute(
            "UPDATE auth.users SET email = lower(replace(substr(email, 1, strpos(email, '-') - 1), ' ', '.')) || '@studio.invalid'"
            " WHERE id <> %s",
            [LOCAL_PERSON.id],
        )
    with (
        open_services(settings.model_copy(update={"team_sharing": False})) as alone,
        serving(built(alone, gate)) as url,
    ):
        yield Apart(url, alone, gate, guest)


def _cast(services: Services) -> tuple[Character, Character, Character, Person]:
    """The hero, another character, one that has nothing yet, and a colleague who wrote a little of it."""
    colleague = builders.a_person(services.db, "Ana Ruiz", *Role)
    known = [_person(services, *one) for one in CAST]
    hero = known[0]
    for name, description, starters in SCENES:
        values = {"scene_name": name, "scene_description": description, "scene_starters": starters}
        scenes.create(hero.id, values, LOCAL_PERSON, services)
    _pictures(services, known)
    empty = characters.create(LOCAL_PERSON, services, {"name": "Nobody Yet"})
    _edited(known[1], colleague, services)
    return characters.load(hero.id, LOCAL_PERSON, services), known[1], empty, colleague


def _edited(character: Character, colleague: Person, services: Services) -> None:
    """A history: the colleague's words, then ours."""
    for person, changes in (
        (colleague, {"role": "Tram driver, retired", "clothing_tags": ["cardigan", "conductor's cap"]}),
        (LOCAL_PERSON, {"description": character.description + " The depot still calls him on Sundays."}),
    ):
        now = characters.load(character.id, LOCAL_PERSON, services)
        characters.save(character.id, changes, version=now.version, person=person, services=services)


def _person(
    services: Services, name: str, gender: str, role: str, looks: list[str], clothes: list[str]
) -> Character:
    values = {
        "name": name,
        "gender": gender,
        "role": role,
        "description": DESCRIPTION.format(name=name.split(maxsplit=1)[0]),
        "appearance_tags": looks,
        "clothing_tags": clothes,
    }
    return characters.create(LOCAL_PERSON, services, values)


def _pictures(services: Services, known: list[Character]) -> None:
    """Portraits for everybody, six for the hero, and pictures of the first two scenes."""
    hero = known[0]
    orders = [
        PortraitRequest(character_id=one.id, presets=Presets(pose=pose), idempotency_key=str(uuid4()))
        for one in known
        for pose in (
            ("standing", "profile", "sitting", "close-up", "back", "lying") if one is hero else ("standing",)
        )
    ]
    cards = scenes.cards(hero.id, LOCAL_PERSON, services)
    orders += [scenes.picture_request(card.scene.id, hero.id, key=str(uuid4())) for card in cards[:2]]
    for order in orders:
        generation.request(order, LOCAL_PERSON, services)
    eventually(lambda: _all_there(services, hero), within=240)
    tiles = shown.tiles(hero.id, LOCAL_PERSON, services)
    ids = [PortraitId(UUID(tile.id)) for tile in tiles if tile.kind == "portrait"]
    for one in shown.details(ids, LOCAL_PERSON, services):
        if one.presets.get("pose") == "standing":
            shown.make_primary(PortraitId(UUID(one.tile.id)), LOCAL_PERSON, services)


def _all_there(services: Services, hero: Character) -> bool:
    tiles = shown.tiles(hero.id, LOCAL_PERSON, services)
    drawn = [card for card in scenes.cards(hero.id, LOCAL_PERSON, services) if card.image_url]
    return sum(tile.kind == "portrait" for tile in tiles) == 6 and len(drawn) == 2
