"""The people of the rights table, what each of them has, and the studio they ask.

Everybody who is signed in has the same rows, a customer of the platform and somebody of qa too: what a table says of
`own` can be asked of each. Nobody shares but in the services `team`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest

from core import characters, generation, references, scenes
from core.services import Services
from core.settings import Settings
from core.values import Character, CharacterId, JobId, Person, PortraitId, Role, SceneId
from tests.builders import a_character, a_finished_portrait, a_person, a_waiting_job, one, rows
from tests.emulator.pictures import portrait
from tests.fix_database import Server
from tests.fix_services import FAST, _opened
from tests.sharing import in_the_team, share

WHO: Mapping[str, tuple[Role, ...]] = {
    "customer": (),
    "editor": (Role.editor,),
    "colleague": (Role.editor,),
    "guest": (Role.editor,),
    "helper": (Role.editor,),
    "qa": (Role.qa,),
    "product": (Role.product,),
    "admin": (Role.admin,),
}
MEMBERS: Mapping[str, bool] = {"guest": False, "helper": True}  # of the owner's character; who may change it
OWNER = "editor"  # whose rows are `another's` to everybody else, and `shared` where TEAM_SHARING is on
UNREACHABLE = "http://127.0.0.1:9"


@dataclass(frozen=True, kw_only=True)
class Work:
    """What one person has: a character with a scene, a portrait, an upload and three jobs, and a deleted one."""

    character: Character
    gone: CharacterId  # another one, deleted
    portrait: PortraitId
    scene: SceneId
    reference: UUID
    item: UUID  # of the library
    friend: str  # the address of an editor whom the character is shared with, to look at
    friend_id: UUID
    saved_job: JobId
    waiting_job: JobId
    ended_job: JobId
    path: str  # of the portrait, inside user-library
    fresh_path: str  # of its workspace asset

    @property
    def secrets(self) -> tuple[str, ...]:
        """What shows that an answer tells something of these rows, but for ids that the asker named."""
        return (self.character.name, self.path, self.fresh_path, str(self.character.user_id))


@dataclass(frozen=True, kw_only=True)
class World:
    """One database: the people, their work, the services without sharing and with it."""

    dsn: str
    apart: Services
    team: Services
    people: Mapping[str, Person]
    work: Mapping[str, Work]

    def row(self, who: str, whose: str) -> Work:
        """The rows a case is about."""
        if whose == "own":
            return self.work[who]
        if whose == "missing":
            return self.missing
        return self.work[OWNER]

    def services(self, whose: str) -> Services:
        """Those the case is asked of."""
        return self.team if whose == "shared" else self.apart

    @property
    def missing(self) -> Work:
        """Ids of rows that there are not, in a work that is like the owner's."""
        real = self.work[OWNER]
        gone = {
            name: uuid4()
            for name in (
                "gone",
                "portrait",
                "scene",
                "reference",
                "item",
                "saved_job",
                "waiting_job",
                "ended_job",
            )
        }
        return replace(real, character=replace(real.character, id=uuid4()), **gone)


@contextlib.contextmanager
def opened(dsn: str, home: Path, *, sharing: bool) -> Iterator[Services]:
    """Services on that database; the environment of whoever runs the tests is nothing to them."""
    with pytest.MonkeyPatch.context() as around:
        for name in Settings.model_fields:
            around.delenv(name.upper(), raising=False)
        settings = Settings(_env_file=None, **(FAST | {"studio_home": home, "team_sharing": sharing}))
    with _opened(dsn, settings, ("sketch",), UNREACHABLE) as services:
        yield services


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A database that is nobody's to change: worlds are clones of it. `home` is where the pictures lie."""

    server: Server
    name: str
    home: Path
    people: Mapping[str, Person]
    work: Mapping[str, Work]

    @contextlib.contextmanager
    def world(self) -> Iterator[World]:
        """A clone of it, opened."""
        with (
            self.server.database(self.name) as dsn,
            opened(dsn, self.home, sharing=False) as apart,
            opened(dsn, self.home, sharing=True) as team,
        ):
            yield World(dsn=dsn, apart=apart, team=team, people=self.people, work=self.work)


@contextlib.contextmanager
def planted(server: Server, template: str, home: Path) -> Iterator[Planted]:
    """Everybody and what they have, made through the use cases."""
    with server.database(template) as dsn:
        with opened(dsn, home, sharing=False) as services:
            people = {who: a_person(services.db, who, *roles) for who, roles in WHO.items()}
            for person in people.values():
                in_the_team(person, services)
            friends = {who: people["helper" if who == "guest" else "guest"] for who in people}
            work = {who: _work(person, friends[who], services) for who, person in people.items()}
            share(work[OWNER].character, people[OWNER], people["helper"], services, can_edit=True)
        yield Planted(server=server, name=urlsplit(dsn).path[1:], home=home, people=people, work=work)


def _work(person: Person, friend: Person, services: Services) -> Work:
    """Made as an editor, whatever the person may do afterwards: roles come and go, rows stay."""
    editor = replace(person, roles=frozenset({Role.editor}))
    character = a_character(editor, services, name=f"Of {person.name} alone")
    done = a_finished_portrait(editor, services, character)
    ended = a_waiting_job(editor, services, character).job_id
    generation.cancel(ended, editor, services)
    upload = references.upload(
        character.id, "a.png", portrait(person.name, 300, 300, "png"), True, editor, services
    )
    scene = scenes.create(
        character.id,
        {"scene_name": f"A pier of {person.name}", "scene_description": "A pier at dawn."},
        editor,
        services,
    )
    gone = characters.create(editor, services, {"name": "Gone"}).id
    characters.delete(gone, editor, services)
    changed = characters.save(
        character.id, {"role": "keeper"}, version=character.version, person=editor, services=services
    )
    share(changed, editor, friend, services)
    return Work(
        character=changed,
        friend=in_the_team(friend, services),
        friend_id=friend.id,
        gone=gone,
        portrait=done.portrait_id,
        scene=scene.id,
        reference=upload.id,
        item=one(services.db, "SELECT id FROM user_library WHERE job_id = %s", (done.job.id,)),
        saved_job=done.job.id,
        waiting_job=a_waiting_job(editor, services, character).job_id,
        ended_job=ended,
        path=done.storage_path,
        fresh_path=one(
            services.db, "SELECT temp_storage_path FROM workspace_assets WHERE job_id = %s", (done.job.id,)
        ),
    )


def stand(services: Services) -> dict[str, object]:
    """Every row there is, but for what watches: findings and audit events may be added to by an attempt."""
    watching = {"findings", "audit_events"}
    tables = rows(
        services.db,
        """
        SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p') AND n.nspname IN ('public', 'studio', 'studio_queue', 'auth') ORDER BY 1, 2
        """,
    )
    return {
        f"{schema}.{table}": one(
            services.db,
            f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {schema}.{table} t",
        )
        for schema, table in tables
        if table not in watching
    }
