"""The studio's own people beside the platform: they ask for portraits, edit, choose and remove through core, and the
upkeep that otherwise runs by the clock runs all the time.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

import psycopg

from core import characters, portraits, proof, recovery, row_rules, stock
from core.errors import Conflict, NotFound, StudioError
from core.services import Services
from core.values import Character, JobId, Person, PersonId, PortraitId, Role
from tests.chaos.plant import DESCRIPTION, Plant
from tests.platform.flows import Figure, Platform

AT_WORK = {"PROOF_RUNNING", "SCAN_RUNNING", "SWEEP_RUNNING"}  # another process is at it


@dataclass
class Colleagues:
    """`answers`: what core refused, by code. `asked`: the jobs they asked for; `hidden`: the portraits they removed."""

    plant: Plant
    platform: Platform
    answers: Counter[str] = field(default_factory=Counter)
    deeds: Counter[str] = field(default_factory=Counter)
    asked: list[JobId] = field(default_factory=list)
    hidden: set[UUID] = field(default_factory=set)
    shared: list[Character] = field(default_factory=list)
    quiet: list[Character] = field(default_factory=list)

    def begin(self) -> None:
        """Characters of theirs; the shared ones the platform writes on too, the quiet ones it leaves alone."""
        for person in self.platform.people[:2]:
            for place in range(2):
                made = characters.create(
                    self.person(person), self.services, {"name": f"Ada {place}", "description": DESCRIPTION}
                )
                self.shared.append(made)
                self.platform.steady[person].append(Figure(made.id, person, made.name))
        first = self.person(self.platform.people[0])
        self.quiet = [characters.create(first, self.services, {"name": "Quiet", "description": DESCRIPTION})]

    @property
    def services(self) -> Services:
        return self.plant.services

    def person(self, user: UUID) -> Person:
        return Person(id=PersonId(user), roles=frozenset({Role.editor}))

    def work(self, until: threading.Event, seed: int) -> None:
        """One person, until the event is set."""
        chance = random.Random(f"{seed} colleague")
        deeds = (self.ask, self.edit, self.choose, self.remove, self.reorder)
        while not until.wait(chance.uniform(0.05, 0.4)):
            deed = chance.choices(deeds, (3, 3, 3, 1, 1))[0]
            self._note(deed.__name__, lambda: deed(chance))  # noqa: B023 - called at once

    def keep_up(self, until: threading.Event) -> None:
        """Recovery, both proofs, the library's scan and the check of every row, one after the other."""
        rounds: tuple[Callable[[], object], ...] = (
            lambda: recovery.recover(self.services),
            lambda: proof.run_proof(self.services, with_objects=True),
            lambda: stock.scan(self.services),
            lambda: row_rules.sweep(self.services),
        )
        place = 0
        while not until.wait(0.3):
            self._note("upkeep", rounds[place % len(rounds)])
            place += 1

    def _note(self, name: str, work: Callable[[], object]) -> None:
        self.deeds[name] += 1
        try:
            work()
        except StudioError as error:
            is_usual = isinstance(error, NotFound) or error.reason in AT_WORK
            self.answers["usual" if is_usual else f"{name}: {error.reason}"] += 1

    def ask(self, chance: random.Random) -> None:
        character = chance.choice([*self.shared, *self.quiet])
        self.plant.person = self.person(character.user_id)
        self.asked += self.plant.ask(character)

    def edit(self, chance: random.Random) -> None:
        """What they typed upon may have been changed meanwhile; then they look and save again."""
        known = chance.choice(self.shared)
        person = self.person(known.user_id)
        for _ in range(20):
            version = characters.load(known.id, person, self.services).version
            try:
                changes = {"persona": f"Word {chance.random()}"}
                characters.save(known.id, changes, version=version, person=person, services=self.services)
            except Conflict as error:
                if error.reason == "COLLISION":
                    raise
                continue
            return

    def choose(self, chance: random.Random) -> None:
        person, shown = self._shown(chance)
        if shown:
            portraits.make_primary(chance.choice(shown), person, self.services)

    def remove(self, chance: random.Random) -> None:
        person, shown = self._shown(chance)
        if len(shown) > 3:
            gone = chance.choice(shown)
            portraits.delete(gone, person, self.services)
            self.hidden.add(gone)

    def reorder(self, chance: random.Random) -> None:
        known = self._figure(chance)
        person, shown = self._shown_of(known)
        chance.shuffle(shown)
        portraits.reorder(known.id, [str(one) for one in shown], person, self.services)

    def _figure(self, chance: random.Random) -> Figure:
        return chance.choice(self.platform.steady[chance.choice(self.platform.people[:2])])

    def _shown(self, chance: random.Random) -> tuple[Person, list[PortraitId]]:
        return self._shown_of(self._figure(chance))

    def _shown_of(self, figure: Figure) -> tuple[Person, list[PortraitId]]:
        with psycopg.connect(self.plant.dsn, autocommit=True) as conn:
            rows = conn.execute(
                "SELECT id FROM character_portraits WHERE character_id = %s AND deleted_at IS NULL LIMIT 20",
                [figure.id],
            ).fetchall()
        return self.person(figure.user), [PortraitId(row[0]) for row in rows]
