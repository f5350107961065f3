"""What tests begin with, made the way the product makes it: people, characters, requests, finished portraits."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

import psycopg

from core import (
    autosave,
    callbacks,
    characters,
    generation,
    matching,
    proof,
    publishing,
    queue,
    recovery,
    running,
)
from core.db import Connection, Database, activity
from core.generation import Asked, Outcome
from core.services import Services
from core.values import (
    Character,
    CharacterTraits,
    Gender,
    JobId,
    Person,
    PersonId,
    PortraitRequest,
    Role,
)

DESCRIPTION = (
    "A retired lighthouse keeper in her sixties who repairs music boxes and argues with seagulls about jazz."
)
TRAITS = CharacterTraits(
    name="Juniper Vale",
    description=DESCRIPTION,
    gender=Gender.female,
    appearance_tags=("silver hair", "laugh lines"),
    clothing_tags=("mustard raincoat",),
)
_WORK = {
    queue.AUTOSAVE: autosave.save,
    queue.RESCUE: recovery.rescue,
    queue.CONFIRM: callbacks.confirm,
    queue.MATCH: matching.match,
    queue.PUBLISH: publishing.publish_or_later,
    queue.PROVE: proof.carry_out,
}  # all else carries portraits
OWN_WORDS = "reading a letter"  # what a request asks for; the scan of the run knows it as a prompt
_MOST_RUNS = 25  # of one entry; a test that needs more is asking for ever


def a_person(database: Database, name: str, *roles: Role) -> Person:
    """Somebody with a row in auth.users; without `roles` a customer of the platform."""
    person = Person(id=PersonId(uuid4()), roles=frozenset(roles), name=name)
    with database.as_service() as conn:
        conn.execute(
            "INSERT INTO auth.users (id, email) VALUES (%s, %s)",
            (person.id, f"{name}-{person.id}@studio.invalid"),
        )
    return person


def a_character(person: Person, services: Services, **values: object) -> Character:
    """A character that is ready for a portrait, through the use case."""
    traits = {
        "name": TRAITS.name,
        "description": TRAITS.description,
        "gender": TRAITS.gender,
        "appearance_tags": list(TRAITS.appearance_tags),
        "clothing_tags": list(TRAITS.clothing_tags),
    }
    return characters.create(person, services, traits | values)


def a_request(character: Character | None = None, **values: Any) -> PortraitRequest:
    """A request for a portrait of `character`, or of one that is not saved."""
    subject = {"character_id": character.id} if character else {"character": TRAITS}
    return PortraitRequest(**({"own_words": OWN_WORDS} | subject | values))


def a_finished_portrait(person: Person, services: Services, character: Character, **values: Any) -> Outcome:
    """A portrait that was asked for, made and saved; the test fails where it was not."""
    asked = generation.request(a_request(character, **values), person, services)
    work(services)
    outcome = generation.outcome(asked.job_id, person, services)
    assert outcome.portrait_id is not None, f"{outcome.job.status}: {outcome.job.error_message}"
    return outcome


def a_waiting_job(
    person: Person, services: Services, character: Character | None = None, **values: Any
) -> Asked:
    """A job that was asked for and that nobody has begun."""
    return generation.request(a_request(character, **values), person, services)


def a_job_being_made(person: Person, services: Services, character: Character) -> Asked:
    """A job that a run has claimed and not sent yet."""
    asked = a_waiting_job(person, services, character)
    running._claim(asked.job_id, services)
    return asked


def work(services: Services) -> None:
    """Do everything that is queued, as a worker would but without the engine and without its pauses.

    An entry that asks to be called later is called again soon; after many times it stays queued, and what
    it waits for is the test's business.
    """
    calls: dict[tuple[str, JobId], int] = {}
    while (
        entry := _taken(services, tired=[k for k, count in calls.items() if count >= _MOST_RUNS])
    ) is not None:
        calls[entry] = calls.get(entry, 0) + 1
        entrypoint, job_id = entry
        try:
            _WORK.get(entrypoint, running.run)(job_id, services)
        except running.AskAgain as later:
            time.sleep(min(later.delay, 0.02))
            _put_back(entrypoint, job_id, services)


def entries(services: Services) -> list[tuple[str, JobId]]:
    """What is queued now: entry point and job, in the order the engine would take them."""
    with services.db.as_service() as conn:
        rows = conn.execute(
            """
            SELECT entrypoint, convert_from(payload, 'UTF8') FROM studio_queue.pgqueuer
            WHERE status = 'queued' ORDER BY priority DESC, id
            """
        ).fetchall()
    return [(row[0], JobId(UUID(row[1]))) for row in rows]


def pass_deadlines(services: Services) -> None:
    """Every request was sent so long ago that no provider keeps its result any more."""
    with services.db.as_service() as conn:
        conn.execute(
            "UPDATE studio.submissions SET submitted_at = submitted_at - interval '1 day', result_expires_at = NULL"
        )


def _taken(services: Services, *, tired: Sequence[tuple[str, JobId]]) -> tuple[str, JobId] | None:
    for entrypoint, job_id in entries(services):
        if (entrypoint, job_id) in tired:
            continue
        with services.db.as_service() as conn:
            conn.execute(
                "DELETE FROM studio_queue.pgqueuer WHERE dedupe_key = %s", (_key(entrypoint, job_id),)
            )
        return entrypoint, job_id
    return None


def _put_back(entrypoint: str, job_id: JobId, services: Services) -> None:
    with services.db.as_service() as conn:
        if entrypoint == queue.AUTOSAVE:
            queue.put_autosave(conn, job_id)
        elif entrypoint == queue.RESCUE:
            queue.put_rescue(conn, job_id)
        elif entrypoint == queue.CONFIRM:
            queue.put_confirm(conn, job_id)
        elif entrypoint == queue.MATCH:
            queue.put_match(conn, job_id)
        elif entrypoint == queue.PUBLISH:
            queue.put_publish(conn, job_id)
        else:
            queue.put_job(conn, job_id, entrypoint.removeprefix("portrait_"))


def _key(entrypoint: str, job_id: JobId) -> str:
    return f"{entrypoint if entrypoint in _WORK else 'job'}:{job_id}"


@contextlib.contextmanager
def as_platform(dsn: str, role: str, person: Person | None = None) -> Iterator[Connection]:
    """A connection as the platform's own services and pages have it: in `role`, with the claims of `person`, each
    statement by itself, and without our mark.
    """
    claims = {"role": role}
    if person is not None:
        claims |= {"sub": str(person.id), "app_metadata": {"roles": sorted(person.roles)}}
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(
            "SELECT set_config('role', %s, false), set_config('request.jwt.claims', %s, false)",
            (role, json.dumps(claims)),
        )
        yield conn


def an_event(
    database: Database, person: Person | None, action: str, table: str, row: str, **values: Any
) -> None:
    """An audit event of `person` (None: the studio's own) as a function of the database writes it: people
    themselves write only the few of `studio.note_deed`.
    """
    with database.as_service() as conn:
        if person is not None:
            conn.execute(
                "SELECT set_config('request.jwt.claims', %s, true)", (json.dumps({"sub": str(person.id)}),)
            )
        activity.note(conn, action, table, row, **values)


def rows(
    database: Database, statement: str, values: Mapping[str, object] | Sequence[object] = ()
) -> list[Any]:
    """What the database holds, read with the studio's own rights."""
    with database.as_service() as conn:
        return conn.execute(statement, values or None).fetchall()


def one(database: Database, statement: str, values: Mapping[str, object] | Sequence[object] = ()) -> Any:
    """The one row of `rows`, or its value where it has one column."""
    found = rows(database, statement, values)
    assert len(found) == 1, found
    return found[0][0] if len(found[0]) == 1 else found[0]
