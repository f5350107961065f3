"""The demo world: a small, made-up studio with every state and every defect, to learn the dashboard on and to test it
with. What can be made by the use cases is; the rest is written as another writer would have (core/db/demo.py).
"""

from __future__ import annotations

from collections.abc import Callable

from core import proof
from core import stock as scanning
from core.db import Connection, activity, demo
from core.demo import history, overview, stock, stuck, unsaved
from core.demo.cast import ADA, PEOPLE, email_of
from core.demo.manifest import CANNOT_HAPPEN, Innocent, Page, Planted, Repair, World
from core.demo.stand_ins import NAMES
from core.demo.workshop import Workshop, open_workshop
from core.errors import Conflict
from core.services import Services

__all__ = ["CANNOT_HAPPEN", "Innocent", "Page", "Planted", "Repair", "World", "make"]


def make(
    services: Services, *, anyway: bool = False, say: Callable[[str], None] = lambda _line: None
) -> World:
    """Fill the database and the store with the demo world; where one stands its manifest comes back, nothing changed.

    `say` hears what is being made. `anyway`: also beside other people's characters, or where a provider has a key.
    Raises Conflict `DEMO_NOT_HERE` or `DEMO_HALF_MADE`, and what the use cases raise.
    """
    with services.db.as_service() as conn:
        demo.one_at_a_time(conn)
        kept = demo.made(conn)
        if kept is not None:
            return World.of_json(kept)
        _refuse_unfit(conn, services, anyway=anyway)
        activity.note(conn, demo.BEGUN, "characters", "demo")
    workshop = _people(services)
    for words, step in _STEPS:
        say(words)
        step(workshop)
    world = World(
        planted=workshop.planted,
        innocent=workshop.innocent,
        people={one.name: ", ".join(sorted(one.roles)) or "customer" for one in PEOPLE},
        is_new=True,
    )
    with services.db.as_service() as conn:
        activity.note(conn, demo.MADE, "characters", "demo", after=world.as_json())
    return world


def _refuse_unfit(conn: Connection, services: Services, *, anyway: bool) -> None:
    if anyway:
        return
    if demo.is_begun(conn):
        raise Conflict(
            "A demo world was begun here and is not finished: somebody makes it now, or it was broken off. Wait a minute, or take "
            "a fresh STUDIO_HOME or an empty database.",
            code="DEMO_HALF_MADE",
        )
    if demo.holds_characters(conn, [one.id for one in PEOPLE]):
        raise Conflict(
            "Somebody's characters are here, and a demo world is full of damage. Take a fresh STUDIO_HOME, or an empty "
            "database; --anyway puts it beside them.",
            code="DEMO_NOT_HERE",
        )
    if any(name in services.providers for name in NAMES):
        raise Conflict(
            "A provider has a key here, and it would be asked about pictures that it never made. Take the keys out of the "
            "settings first; --anyway leaves them in.",
            code="DEMO_NOT_HERE",
        )


def _people(services: Services) -> Workshop:
    with services.db.as_service() as conn:
        for one in PEOPLE:
            demo.insert_person(conn, one.id, email_of(one), sorted(one.roles))
    return open_workshop(services, ADA)


def _month(workshop: Workshop) -> None:
    last = history.month(workshop)
    history.tidied(workshop)
    history.opinions(workshop, last)
    history.sample(workshop)


def _proved(workshop: Workshop) -> None:
    """The nightly proof and the scan of the library have run: what they found is what the dashboard begins with."""
    proof.run_proof(workshop.services)
    proof.run_proof(workshop.services, with_objects=True)
    scanning.scan(workshop.services)


_STEPS: tuple[tuple[str, Callable[[Workshop], None]], ...] = (
    ("Characters", history.people),
    ("A month of portraits", _month),
    ("Failures in words", history.failures),
    ("Attribute images", history.matrix),
    ("Money", history.money),
    ("Portraits that were not saved right", unsaved.plant),
    ("Rows without objects, objects without rows", stock.plant),
    ("What only looks wrong", stock.innocents),
    ("Stuck jobs", stuck.plant),
    ("Jobs that only look stuck", stuck.innocents),
    ("An hour of rest", stock.settled),
    ("Budgets", history.limits),
    ("Pauses", stuck.pause_provider),
    ("The proof of the night", _proved),
    ("What an overview must say of all this", overview.plant),
    ("One more portrait, being saved", stock.being_saved),
)
