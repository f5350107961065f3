"""What holds in the world while a state is looked at, made through the use cases and taken back afterwards."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from uuid import UUID, uuid4

from core import (
    attributes,
    characters,
    generation,
    library,
    line,
    members,
    portraits,
    references,
    reviews,
    running,
)
from core.auth import LOCAL_PERSON
from core.errors import ProviderRejected
from core.library import Wanted
from core.presence import OpenPage
from core.values import (
    Character,
    CharacterId,
    JobId,
    Person,
    PortraitId,
    PortraitRequest,
    Presets,
    ReviewStatus,
)
from tests import builders
from tests.screens.conftest import eventually
from tests.screenshots.world import QUICK, SLOW, World
from tests.sharing import share

_SIGN_OF_LIFE = 0.3  # seconds between two of a colleague's page


@contextlib.contextmanager
def busy(world: World) -> Iterator[None]:
    """Portraits on their way: mine of the hero, and those of a colleague."""
    wanted = [
        (world.hero, LOCAL_PERSON, "profile", "wind in the hair"),
        (world.other, world.colleague, "standing", "in the tram depot"),
        (world.hero, LOCAL_PERSON, "sitting", "on a bollard"),
        (world.other, world.colleague, "close-up", "laughing"),
        (world.hero, LOCAL_PERSON, "close-up", "lamplight"),
    ]
    with _slow(world):
        asked = [_ask(world, *one) for one in wanted]
        eventually(lambda: _is_drawing(world), within=60)
        yield
        _end(world, asked)


@contextlib.contextmanager
def refused(world: World) -> Iterator[None]:
    """One portrait that the provider refused, one that was cancelled; no worker takes them up meanwhile."""
    world.workshop.close()
    failed = builders.a_job_being_made(LOCAL_PERSON, world.services, world.hero).job_id
    error = ProviderRejected(
        "Sketch refused this picture: it takes no words of more than one page. Shorten your own words.",
        code="INVALID_INPUT",
    )
    running.fail(generation.outcome(failed, LOCAL_PERSON, world.services).job, error, world.services)
    cancelled = _ask(world, world.hero, LOCAL_PERSON, "sitting", "on a bollard")
    generation.cancel(cancelled, LOCAL_PERSON, world.services)
    world.workshop.pace(QUICK)
    eventually(lambda: not _line(world), within=60)
    yield
    _end(world, [failed, cancelled])


@contextlib.contextmanager
def in_company(world: World) -> Iterator[None]:
    """A colleague has the hero open."""
    page, gone = OpenPage(world.colleague, world.services), threading.Event()

    def stay() -> None:
        while not gone.wait(_SIGN_OF_LIFE):
            page.go_to(world.hero.id)
        page.leave()

    thread = threading.Thread(target=stay, name="colleague")
    thread.start()
    yield
    gone.set()
    thread.join()


@contextlib.contextmanager
def shared(world: World) -> Iterator[None]:
    """Two colleagues work on the hero: one edits, the guest may only look."""
    services = world.apart.services
    for member, can_edit in ((world.colleague, True), (world.apart.guest, False)):
        share(world.hero, LOCAL_PERSON, member, services, can_edit=can_edit)
    yield
    for member in (world.colleague, world.apart.guest):
        members.remove(world.hero.id, member.id, LOCAL_PERSON, services)


@contextlib.contextmanager
def looked_at(world: World) -> Iterator[None]:
    """It is the guest who has the hero open."""
    with shared(world):
        world.apart.gate.is_somebody = world.apart.guest
        yield
        world.apart.gate.is_somebody = LOCAL_PERSON


@contextlib.contextmanager
def a_reference(world: World) -> Iterator[None]:
    """The hero has a reference, which every portrait is to match."""
    hero = _now(world, world.hero)
    first = _portraits(world)[0]
    hero = references.pick_portrait(
        hero.id, first, version=hero.version, person=LOCAL_PERSON, services=world.services
    )
    references.choose_match(hero.id, True, version=hero.version, person=LOCAL_PERSON, services=world.services)
    yield
    hero = _now(world, world.hero)
    references.choose_match(
        hero.id, False, version=hero.version, person=LOCAL_PERSON, services=world.services
    )


@contextlib.contextmanager
def binned_portraits(world: World) -> Iterator[None]:
    """Two of the hero's portraits are in the bin."""
    gone = _portraits(world)[1:3]
    portraits.delete_many(world.hero.id, gone, LOCAL_PERSON, world.services)
    yield
    portraits.restore_many(world.hero.id, gone, LOCAL_PERSON, world.services)


@contextlib.contextmanager
def binned_pictures(world: World) -> Iterator[None]:
    """Three pictures of the library are in its bin."""
    with _binned(world, _pictures(world)[:3]):
        yield


@contextlib.contextmanager
def nothing_saved(world: World) -> Iterator[None]:
    """The library holds nothing."""
    with _binned(world, _pictures(world)):
        yield


def saved_over(world: World) -> None:
    """A colleague saves other words over those that are being typed."""
    other = _now(world, world.other)
    words = f"{other.description} Bell no. {other.version} of the depot hangs in his kitchen."
    characters.save(
        other.id,
        {"description": words},
        version=other.version,
        person=world.colleague,
        services=world.services,
    )


def _ask(world: World, character: Character, person: Person, pose: str, words: str) -> JobId:
    order = PortraitRequest(
        character_id=character.id, own_words=words, presets=Presets(pose=pose), idempotency_key=str(uuid4())
    )
    return generation.request(order, person, world.services).job_id


def _line(world: World) -> Sequence[line.Waiting]:
    return line.line_for(LOCAL_PERSON, world.services).jobs


def _is_drawing(world: World) -> bool:
    return sum(bool(one.fraction) for one in _line(world)) == world.services.settings.sketch_limit


def _stop_all(world: World) -> None:
    """Nothing is on its way any more."""
    for one in _line(world):
        generation.cancel(one.id, LOCAL_PERSON, world.services)
    eventually(lambda: not _line(world), within=60)


def _end(world: World, asked: Sequence[JobId]) -> None:
    _stop_all(world)
    for one in asked:
        generation.dismiss(one, LOCAL_PERSON, world.services)


def _now(world: World, character: Character) -> Character:
    return characters.load(CharacterId(character.id), LOCAL_PERSON, world.services)


def _portraits(world: World) -> list[PortraitId]:
    tiles = portraits.tiles(world.hero.id, LOCAL_PERSON, world.services)
    return [PortraitId(UUID(tile.id)) for tile in tiles if tile.kind == "portrait"]


def _pictures(world: World) -> list[UUID]:
    return [one.id for one in library.page(Wanted(), LOCAL_PERSON, world.services).items]


@contextlib.contextmanager
def _binned(world: World, ids: Sequence[UUID]) -> Iterator[None]:
    library.delete(ids, LOCAL_PERSON, world.services)
    yield
    library.restore(ids, LOCAL_PERSON, world.services)


@contextlib.contextmanager
def a_run(world: World) -> Iterator[None]:
    """What is asked for on the page while it is looked at is cancelled afterwards."""
    with _slow(world):
        yield
        _stop_all(world)


@contextlib.contextmanager
def made_cells(world: World) -> Iterator[None]:
    """Part of the matrix was made; product approved some of it and sent one back. Stays as it is."""
    cells = attributes.all_cells(world.services.catalog)[::3]
    attributes.generate(LOCAL_PERSON, world.services, cells=cells)
    eventually(lambda: not _line(world), within=240)
    found = attributes.status(LOCAL_PERSON, world.services).cells
    for number, one in enumerate(one for one in found if one.picture is not None):
        if number % 3 != 2 and one.picture.review_status is ReviewStatus.pending:
            verdict = ReviewStatus.rejected if number == 4 else ReviewStatus.approved
            note = "The hands are missing." if number == 4 else ""
            reviews.review(
                one.cell, verdict, LOCAL_PERSON, world.services, image_url=one.picture.image_url, note=note
            )
    yield


@contextlib.contextmanager
def _slow(world: World) -> Iterator[None]:
    """Drawings take long enough to be looked at."""
    world.workshop.pace(SLOW)
    yield
    world.workshop.pace(QUICK)
