"""The platform beside us: its edge functions, scripts and front end, as real statements in their roles (tests only).

What it writes is word for word what tests/fixtures/old_writes.sql lists, in the flows of reference/old-platform.md and
with their faults. Each statement is a transaction of its own, as over REST; what is marked as an rpc is one together.
It knows nothing of the studio: no column, table or setting of ours is named here, and it runs on the old schema, on an
adopted one, and while it is being adopted.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
from PIL import Image

from core.storage import LIBRARY, WORKSPACE, Storage

SERVICE, CUSTOMER, ANON = "service_role", "authenticated", "anon"
DEADLOCK = "40P01"
SIGNED = "https://project.supabase.co/storage/v1/object/sign"
PEOPLE = 4  # the first of them does most of what is done
STEADY = 3  # characters of each that are never deleted
LONG = (1.0, 1.4)  # seconds a transaction is left open
LIVELY = 0.6  # the share of all flows that falls on one person
LARGEST_SEED = 2**31 - 1  # what the old columns take
WORDS = "keeps a lighthouse nobody asked for and answers every letter that drifts ashore"

Values = Mapping[str, object]
Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Failure:
    """A statement of the platform that was refused: in which role, in which flow, with which state."""

    role: str
    flow: str
    sqlstate: str | None


@dataclass
class Report:
    """What a run did. `slowest_seconds` is one statement's, its commit included; a pause inside an rpc is none.

    `deadlocks` counts those of `failures` that were one. `late_errors`: jobs that an error handler called failed
    after their result. `deleted`: the jobs of portraits that people deleted. `flows`: how often each ran.
    """

    statements: int = 0
    failures: list[Failure] = field(default_factory=list)
    slowest_seconds: float = 0.0
    slowest_statement: str = ""
    deadlocks: int = 0
    flows: Counter[str] = field(default_factory=Counter)
    late_errors: set[UUID] = field(default_factory=set)
    deleted: set[UUID] = field(default_factory=set)

    def add(self, other: Report) -> None:
        self.statements += other.statements
        self.failures += other.failures
        self.deadlocks += other.deadlocks
        self.flows += other.flows
        self.late_errors |= other.late_errors
        self.deleted |= other.deleted
        if other.slowest_seconds > self.slowest_seconds:
            self.slowest_seconds, self.slowest_statement = other.slowest_seconds, other.slowest_statement


@dataclass(frozen=True)
class Figure:
    """A character as the platform's pages know it.

    `turn`: statements that change several of its portraits go one at a time. Two at once can deadlock among themselves
    on the old schema already (seen: once in 3,500 statements); that fault is the platform's own and is left out here.
    """

    id: UUID
    user: UUID
    name: str
    turn: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)


class Platform:
    """`objects`: where its functions keep pictures (None: nowhere). `pause`: seconds at most between two flows of one
    thread, which sets how much it does.
    """

    def __init__(
        self, dsn: str, *, seed: int = 1, objects: Storage | None = None, pause: float = 0.1
    ) -> None:
        self.dsn = dsn
        self.seed = seed
        self.objects = objects
        self.pause = pause
        self.people: list[UUID] = []
        self.steady: dict[UUID, list[Figure]] = {}
        self.contested: list[Figure] = []
        self.is_held = threading.Lock()  # one transaction at a time is left open
        self._guard = threading.Lock()
        self._numbers = 0
        self._runs = 0

    def number(self) -> int:
        """A number that no other thread of this platform gets."""
        with self._guard:
            self._numbers += 1
            return self._numbers

    def run(self, until: threading.Event, threads: int = 4) -> Report:
        """Run flows in `threads` at once until the event is set; again and again on the same people."""
        self._runs += 1
        whole = Report()
        with self.desk(f"opening {self._runs}") as desk:
            if not self.people:
                self._open(desk)
            whole.add(desk.report)
        with ThreadPoolExecutor(threads) as pool:
            for part in pool.map(lambda place: self._work(place, until), range(threads)):
                whole.add(part)
        return whole

    def _open(self, desk: Desk) -> None:
        """People, and for each a few characters with portraits."""
        for _ in range(PEOPLE):
            person = desk.uuid()
            with desk.conn.transaction():
                desk.conn.execute(
                    "INSERT INTO auth.users (id, email) VALUES (%s, %s)", (person, f"{person}@platform.test")
                )
            self.steady[person] = [make_character(desk, person) for _ in range(STEADY)]
            self.people.append(person)
        for person in self.people:
            for figure in self.steady[person]:
                for _ in range(3):
                    add_portrait(desk, figure)
        self.contested = [self.steady[self.people[0]][0]]

    def _work(self, place: int, until: threading.Event) -> Report:
        names = list(FLOWS)
        with self.desk(f"{self._runs} {place}") as desk:
            while not until.is_set():
                flow = desk.chance.choices(names, [FLOWS[name][0] for name in names])[0]
                desk.begin(flow)
                FLOWS[flow][1](desk)
                until.wait(desk.chance.uniform(0, self.pause))
            return desk.report

    @contextlib.contextmanager
    def desk(self, label: str) -> Iterator[Desk]:
        """A connection of its own, with its own reproducible chance."""
        with psycopg.connect(self.dsn, autocommit=True, application_name="the platform") as conn:
            yield Desk(self, conn, random.Random(f"{self.seed} {label}"))


class Desk:
    """One worker thread of the platform at its connection."""

    def __init__(self, platform: Platform, conn: psycopg.Connection, chance: random.Random) -> None:
        self.platform = platform
        self.conn = conn
        self.chance = chance
        self.report = Report()
        self.flow = "opening"
        self._service = _role_of_service(conn)
        self._together = False

    def begin(self, flow: str) -> None:
        self.flow = flow
        self.report.flows[flow] += 1

    def person(self) -> UUID:
        people = self.platform.people
        return people[0] if self.chance.random() < LIVELY else self.chance.choice(people)

    def figure(self) -> Figure:
        return self.chance.choice(self.platform.steady[self.person()])

    def happens(self, share: float) -> bool:
        return self.chance.random() < share

    def uuid(self) -> UUID:
        return UUID(int=self.chance.getrandbits(128), version=4)

    def say(
        self, role: str, statement: str, values: Values | None = None, person: UUID | None = None
    ) -> Rows:
        """One statement as its role; what it showed or gave back. A refusal is noted, and the caller goes on, as the
        platform's does. Inside an rpc it ends the rpc.
        """
        began = time.monotonic()
        self.report.statements += 1
        try:
            if self._together:
                return _rows(self.conn.execute(statement, values))
            with self.conn.transaction():
                self._become(role, person)
                return _rows(self.conn.execute(statement, values))
        except psycopg.Error as error:
            self._note(role, error)
            if self._together:
                raise _RpcEndedError from error
            return []
        finally:
            self._time(time.monotonic() - began, statement)

    @contextlib.contextmanager
    def rpc(self, role: str, person: UUID | None = None) -> Generator[None]:
        """What is said inside is one transaction."""
        self._together = True
        try:
            with self.conn.transaction():
                self._become(role, person)
                yield
        except _RpcEndedError:
            return
        except psycopg.Error as error:  # at its commit
            self._note(role, error)
        finally:
            self._together = False

    def at_once(self, *works: Callable[[Desk], object]) -> None:
        """Each on a connection of its own, all at the same moment."""
        gate = threading.Barrier(len(works))

        def do(work: Callable[[Desk], object], label: str) -> Report:
            with self.platform.desk(label) as other:
                other.flow = self.flow
                gate.wait(30)
                work(other)
                return other.report

        labels = [f"beside {self.chance.random()}" for _ in works]
        with ThreadPoolExecutor(len(works)) as pool:
            for part in pool.map(do, works, labels):
                self.report.add(part)

    def keep(self, bucket: str, path: str, *, thumbnail: bool) -> int:
        """A picture in the store, and its thumbnail where the flow makes one; returns the picture's size in bytes."""
        if self.platform.objects is None:
            return 1000
        picture = Image.frombytes("RGB", (48, 64), self.chance.randbytes(48 * 64 * 3))
        file = _encoded(picture, "PNG")
        self.platform.objects.put(bucket, path, file, "image/png")
        if thumbnail:
            self.platform.objects.put(bucket, thumbnail_of(path), _encoded(picture, "WEBP"), "image/webp")
        return len(file)

    def copy(self, source: str, target: str) -> None:
        """From workspace-temp to user-library, with the thumbnail where there is one."""
        objects = self.platform.objects
        if objects is None:
            return
        for one, other in ((source, target), (thumbnail_of(source), thumbnail_of(target))):
            if objects.info(WORKSPACE, one) is not None:
                objects.copy((WORKSPACE, one), (LIBRARY, other))

    def _become(self, role: str, person: UUID | None) -> None:
        claims: dict[str, object] = {"role": role}
        if person is not None:
            claims["sub"] = str(person)
        self.conn.execute(
            "SELECT set_config('role', %s, true), set_config('request.jwt.claims', %s, true)",
            (self._service if role == SERVICE else role, json.dumps(claims)),
        )

    def _note(self, role: str, error: psycopg.Error) -> None:
        self.report.failures.append(Failure(role, self.flow, error.sqlstate))
        self.report.deadlocks += error.sqlstate == DEADLOCK

    def _time(self, seconds: float, statement: str) -> None:
        if seconds > self.report.slowest_seconds:
            self.report.slowest_seconds = seconds
            self.report.slowest_statement = f"{self.flow}: {' '.join(statement.split())}"


class _RpcEndedError(Exception):
    """A statement inside an rpc was refused; all of it is undone."""


def _rows(cursor: psycopg.Cursor) -> Rows:
    return cursor.fetchall() if cursor.description else []


def _role_of_service(conn: psycopg.Connection) -> str:
    """On Supabase `service_role` passes row-level security; where it cannot and no policy lets it (the old schema on
    a server of ours), the login itself stands in.
    """
    row = conn.execute(
        """
        SELECT rolbypassrls OR EXISTS (
            SELECT FROM pg_policies WHERE tablename = 'jobs' AND 'service_role' = ANY(roles))
        FROM pg_roles WHERE rolname = 'service_role'
        """
    ).fetchone()
    return SERVICE if row and row[0] else "none"


def _encoded(picture: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()


def thumbnail_of(path: str) -> str:
    return f"{path.rpartition('.')[0]}.thumb.webp"


# ---- what the platform's functions have in common


def make_character(desk: Desk, user: UUID, name: str | None = None) -> Figure:
    """The create form's insert, as the customer."""
    figure = Figure(desk.uuid(), user, name or f"Juniper {desk.platform.number()}")
    desk.say(
        CUSTOMER,
        """
        INSERT INTO public.characters (id, user_id, name, description, content_rating)
        VALUES (%(id)s, %(user)s, %(name)s, 'short', 'nsfw')
        """,
        {"id": figure.id, "user": user, "name": figure.name},
        user,
    )
    return figure


def add_portrait(desk: Desk, figure: Figure, job: UUID | None = None) -> UUID:
    """character-portrait's own rows: the portrait (primary when it is the first), then the character's picture."""
    job, portrait = job or desk.uuid(), desk.uuid()
    path = f"{figure.user}/portraits/{figure.id}/{job}.png"
    desk.keep(LIBRARY, path, thumbnail=False)
    counted = desk.say(
        SERVICE,
        "SELECT count(*) FROM public.character_portraits WHERE character_id = %(character)s",
        {"character": figure.id},
    )
    address = f"{SIGNED}/{LIBRARY}/{path}?token=x" if desk.happens(0.5) else f"{LIBRARY}/{path}"
    desk.say(
        SERVICE,
        """
        INSERT INTO public.character_portraits (id, character_id, image_url, prompt, generation_metadata, is_primary)
        VALUES (%(id)s, %(character)s, %(address)s, 'p', %(metadata)s, %(first)s)
        """,
        {
            "id": portrait,
            "character": figure.id,
            "address": address,
            "metadata": json.dumps({"job_id": str(job), "storage_path": path}),
            "first": counted == [(0,)],
        },
    )
    desk.say(
        SERVICE,
        "UPDATE public.characters SET image_url = %(address)s WHERE id = %(character)s",
        {"address": address, "character": figure.id},
    )
    return portrait


def queue_job(desk: Desk, user: UUID, **metadata: object) -> UUID:
    """fal-image's first statement."""
    job = desk.uuid()
    desk.say(
        SERVICE,
        """
        INSERT INTO public.jobs (id, user_id, job_type, status, original_prompt, metadata)
        VALUES (%(job)s, %(user)s, 'fal_image', 'queued', 'a portrait', %(metadata)s)
        """,
        {"job": job, "user": user, "metadata": json.dumps({"destination": "character_portrait", **metadata})},
    )
    return job


def set_status(desk: Desk, job: UUID, status: str) -> None:
    """An edge function's update of a job. The errors of these were ignored."""
    column = {"processing": "started_at", "completed": "completed_at"}.get(status)
    also = f", {column} = now()" if column else ", error_message = 'timeout'"
    desk.say(
        SERVICE,
        f"UPDATE public.jobs SET status = %(status)s{also} WHERE id = %(job)s",
        {"status": status, "job": job},
    )


def deliver(desk: Desk, user: UUID, job: UUID) -> str:
    """Upload, then the asset; returns the path inside workspace-temp."""
    path = f"{user}/{job}_{1_760_000_000_000 + desk.platform.number()}.png"
    size = desk.keep(WORKSPACE, path, thumbnail=desk.happens(0.5))
    desk.say(
        SERVICE,
        """
        INSERT INTO public.workspace_assets
            (user_id, job_id, asset_type, temp_storage_path, mime_type, file_size_bytes, generation_seed)
        VALUES (%(user)s, %(job)s, 'image', %(path)s, 'image/png', %(size)s, %(seed)s)
        """,
        {
            "user": user,
            "job": job,
            "path": f"workspace-temp/{path}" if desk.happens(0.5) else path,
            "size": size,
            "seed": desk.chance.randint(0, LARGEST_SEED),
        },
    )
    return path


def find_by_name(desk: Desk, user: UUID, name: str) -> UUID | None:
    """fal-image's look-up: same user, newest first, the first."""
    found = desk.say(
        SERVICE,
        """
        SELECT id FROM public.characters WHERE user_id = %(user)s AND name = %(name)s
        ORDER BY created_at DESC LIMIT 1
        """,
        {"user": user, "name": name},
    )
    return found[0][0] if found else None


def list_in_library(desk: Desk, user: UUID, job: UUID, character: UUID) -> str:
    """job-callback's library row; returns its path."""
    path = f"{user}/{job}_{character}.png"
    desk.say(
        SERVICE,
        """
        INSERT INTO public.user_library
            (user_id, asset_type, storage_path, mime_type, tags, roleplay_metadata, content_category)
        VALUES (%(user)s, 'image', %(path)s, 'image/png', '{character,portrait}',
                jsonb_build_object('type', 'character_portrait', 'character_id', %(character)s::text), 'character')
        """,
        {"user": user, "path": path, "character": str(character)},
    )
    return path


def show_on_character(desk: Desk, character: UUID, path: str) -> None:
    """job-callback's update of the character."""
    desk.say(
        SERVICE,
        """
        UPDATE public.characters SET image_url = %(address)s, reference_image_url = %(address)s, seed_locked = %(seed)s
        WHERE id = %(character)s
        """,
        {
            "address": f"{LIBRARY}/{path}",
            "seed": desk.chance.randint(0, LARGEST_SEED),
            "character": character,
        },
    )


def call_back(desk: Desk, user: UUID, job: UUID, character: UUID, source: str) -> None:
    """job-callback: copy, library row, character."""
    desk.copy(source, f"{user}/{job}_{character}.png")
    path = list_in_library(desk, user, job, character)
    show_on_character(desk, character, path)


def call_back_as_rpc(desk: Desk, user: UUID, job: UUID, character: UUID, source: str) -> None:
    desk.copy(source, f"{user}/{job}_{character}.png")
    with desk.rpc(SERVICE):
        path = list_in_library(desk, user, job, character)
        show_on_character(desk, character, path)


def fail_late(desk: Desk, job: UUID) -> None:
    """An error handler that runs after the result has come."""
    set_status(desk, job, "failed")
    desk.report.late_errors.add(job)


# ---- the flows


def form_before_character(desk: Desk) -> None:
    """The create form: the portrait first, its character a moment later ("Mandy")."""
    user = desk.person()
    name = f"Mandy {desk.platform.number()}" if desk.happens(0.8) else "Mandy"
    key = "characterName" if desk.happens(0.5) else "character_name"
    job = queue_job(desk, user, **{key: name})
    set_status(desk, job, "processing")
    deliver(desk, user, job)
    if desk.happens(0.5):
        set_status(desk, job, "completed")
    find_by_name(desk, user, name)
    make_character(desk, user, name)


def fal_image(desk: Desk) -> None:
    """Upload, asset, job, look-up by name, save; sometimes without the job's update, sometimes saved by two at once."""
    figure = desk.figure()
    named = {"character_name": figure.name} if desk.happens(0.5) else {"character_id": str(figure.id)}
    job = queue_job(desk, figure.user, **named)
    set_status(desk, job, "processing")
    source = deliver(desk, figure.user, job)
    if desk.happens(0.7):
        set_status(desk, job, "completed")
    character = find_by_name(desk, figure.user, figure.name)
    if character is None or desk.happens(0.3):  # it died before it saved
        return

    def save(at: Desk) -> None:
        call_back(at, figure.user, job, character, source)

    if desk.happens(0.2):
        desk.at_once(save, save)
    else:
        save(desk)
    if desk.happens(0.2):
        fail_late(desk, job)


def callback_twice(desk: Desk) -> None:
    """job-callback called two times, by itself or both at once, each statement alone or as an rpc."""
    figure = desk.figure()
    job = queue_job(desk, figure.user, character_id=str(figure.id), character_name=figure.name)
    source = deliver(desk, figure.user, job)
    set_status(desk, job, "completed")
    how = call_back_as_rpc if desk.happens(0.5) else call_back

    def once(at: Desk) -> None:
        how(at, figure.user, job, figure.id, source)

    if desk.happens(0.3):
        desk.at_once(once, once)
    else:
        once(desk)
        once(desk)


def callback_out_of_order(desk: Desk) -> None:
    """The save comes before the asset, the job's end before its beginning."""
    figure = desk.figure()
    job = queue_job(desk, figure.user, character_id=str(figure.id))
    path = f"{figure.user}/{job}_{figure.id}.png"
    desk.keep(LIBRARY, path, thumbnail=True)
    show_on_character(desk, figure.id, path)
    list_in_library(desk, figure.user, job, figure.id)
    set_status(desk, job, "completed")
    set_status(desk, job, "processing")
    desk.report.late_errors.add(job)
    deliver(desk, figure.user, job)


def synchronous_portrait(desk: Desk) -> None:
    """character-portrait, for a new character or one that has portraits; for a new one sometimes twice at once."""
    is_new = desk.happens(0.4)
    user = desk.person()
    figure = make_character(desk, user) if is_new else desk.figure()

    def make(at: Desk) -> None:
        job = queue_job(at, figure.user, character_id=str(figure.id), generation_mode="txt2img")
        set_status(at, job, "processing")
        add_portrait(at, figure, job)
        set_status(at, job, "completed")

    if is_new and desk.happens(0.5):
        desk.at_once(make, make)
    else:
        make(desk)


def synchronous_portrait_as_rpc(desk: Desk) -> None:
    """The same in one transaction, and the picture before the portrait."""
    figure = desk.figure()
    job = queue_job(desk, figure.user, character_id=str(figure.id))
    with desk.rpc(SERVICE):
        if desk.happens(0.5):
            show_on_character(desk, figure.id, f"{figure.user}/portraits/{figure.id}/{job}.png")
        add_portrait(desk, figure, job)
        set_status(desk, job, "completed")


def portraits_of(desk: Desk, figure: Figure) -> list[UUID]:
    """The gallery of a character, as its owner sees it."""
    found = desk.say(
        CUSTOMER,
        """
        SELECT id FROM public.character_portraits WHERE character_id = %(character)s
        ORDER BY sort_order, created_at DESC LIMIT 12
        """,
        {"character": figure.id},
        figure.user,
    )
    return [row[0] for row in found]


def switch_in_two_steps(desk: Desk, figure: Figure, portrait: UUID) -> None:
    with figure.turn:
        choose_none(desk, figure)
    choose_one(desk, figure, portrait)


def choose_none(desk: Desk, figure: Figure) -> None:
    desk.say(
        CUSTOMER,
        "UPDATE public.character_portraits SET is_primary = false WHERE character_id = %(character)s AND is_primary",
        {"character": figure.id},
        figure.user,
    )


def choose_one(desk: Desk, figure: Figure, portrait: UUID) -> None:
    desk.say(
        CUSTOMER,
        "UPDATE public.character_portraits SET is_primary = true WHERE id = %(portrait)s",
        {"portrait": portrait},
        figure.user,
    )


def switch_in_one_step(desk: Desk, figure: Figure, portrait: UUID) -> None:
    with figure.turn:
        desk.say(
            CUSTOMER,
            """
            UPDATE public.character_portraits SET is_primary = (id = %(portrait)s)
            WHERE character_id = %(character)s
            """,
            {"portrait": portrait, "character": figure.id},
            figure.user,
        )


def switch_as_rpc(desk: Desk, figure: Figure, portrait: UUID) -> None:
    with figure.turn, desk.rpc(CUSTOMER, figure.user):
        choose_none(desk, figure)
        choose_one(desk, figure, portrait)


def switch(desk: Desk, figure: Figure) -> None:
    shown = portraits_of(desk, figure)
    if shown:
        how = desk.chance.choice((switch_in_two_steps, switch_in_one_step, switch_as_rpc))
        how(desk, figure, desk.chance.choice(shown))


def choose_primary(desk: Desk) -> None:
    """A person chooses a primary, in one step or in two."""
    switch(desk, desk.figure())


def choose_primary_together(desk: Desk) -> None:
    """Several choose on one character at the same moment."""
    figure = desk.chance.choice(desk.platform.contested)
    desk.at_once(*[lambda at: switch(at, figure)] * desk.chance.randint(2, 3))


def reorder(desk: Desk) -> None:
    """Drag and drop: a statement for each tile."""
    figure = desk.figure()
    shown = portraits_of(desk, figure)
    desk.chance.shuffle(shown)
    for place, portrait in enumerate(shown[:4]):
        desk.say(
            CUSTOMER,
            "UPDATE public.character_portraits SET sort_order = %(place)s WHERE id = %(portrait)s",
            {"place": place, "portrait": portrait},
            figure.user,
        )


def delete_portrait(desk: Desk) -> None:
    """A person deletes a portrait, the primary too; a second one at the same moment in another tab."""
    figure = desk.figure()
    shown = portraits_of(desk, figure)
    if len(shown) < 4:
        return

    def remove(at: Desk, portrait: UUID) -> None:
        gone = at.say(
            CUSTOMER,
            "DELETE FROM public.character_portraits WHERE id = %(id)s RETURNING generation_metadata ->> 'job_id'",
            {"id": portrait},
            figure.user,
        )
        at.report.deleted.update(UUID(row[0]) for row in gone if row[0])

    if desk.happens(0.3):
        desk.at_once(lambda at: remove(at, shown[0]), lambda at: remove(at, shown[1]))
    else:
        remove(desk, desk.chance.choice(shown))


def edit(desk: Desk) -> None:
    """The editor saves, and saves again."""
    figure = desk.figure()
    for _ in range(desk.chance.randint(1, 3)):
        desk.say(
            CUSTOMER,
            """
            UPDATE public.characters SET description = %(words)s, appearance_tags = '{red hair,freckles}'
            WHERE id = %(character)s
            """,
            {"words": f"edited {desk.platform.number()}: {WORDS}", "character": figure.id},
            figure.user,
        )


def write_scene(desk: Desk) -> None:
    figure = desk.figure()
    desk.say(
        CUSTOMER,
        """
        INSERT INTO public.character_scenes (character_id, scene_name, scene_prompt)
        VALUES (%(character)s, 'A pier', 'a pier at dusk')
        """,
        {"character": figure.id},
        figure.user,
    )


def clean_up_by_hand(desk: Desk) -> None:
    """Stuck jobs purged, old failed ones deleted; there is always one of each."""
    user = desk.person()
    for status, age in (("processing", "2 hours"), ("failed", "91 days")):
        desk.say(
            SERVICE,
            """
            INSERT INTO public.jobs (user_id, job_type, status, created_at)
            VALUES (%(user)s, 'fal_image', %(status)s, now() - %(age)s::interval)
            """,
            {"user": user, "status": status, "age": age},
        )
    desk.say(
        SERVICE,
        """
        UPDATE public.jobs SET status = 'failed', error_message = 'purged'
        WHERE status = 'processing' AND created_at < now() - interval '1 hour'
        """,
    )
    desk.say(
        SERVICE,
        "DELETE FROM public.jobs WHERE status = 'failed' AND created_at < now() - interval '90 days'",
    )


def attribute_script(desk: Desk) -> None:
    """One image after the other; a row that stands is skipped."""
    for value in desk.chance.sample(("Slim", "Cub", "Average", "Curvy", "Chubby"), 2):
        for style in ("realistic", "anime"):
            desk.say(
                SERVICE,
                """
                INSERT INTO public.attribute_images (category, value, style, image_url, width, height)
                VALUES ('body', %(value)s, %(style)s, %(address)s, 512, 768)
                ON CONFLICT (category, value, style) DO NOTHING
                """,
                {
                    "value": value,
                    "style": style,
                    "address": "https://project.supabase.co/storage/v1/object/public/assets/attribute-images/body/"
                    f"{value}-{style}.jpg",
                },
            )


def public_pages(desk: Desk) -> None:
    """Readers who are not signed in."""
    desk.say(ANON, "SELECT count(*) FROM public.attribute_images")
    desk.say(ANON, "SELECT count(*) FROM public.characters WHERE is_public")
    desk.say(ANON, "SELECT style, image_url FROM public.style_images ORDER BY style")
    desk.say(
        ANON,
        "SELECT id, name, image_url FROM public.characters WHERE is_public ORDER BY created_at DESC LIMIT 20",
    )


def own_pages(desk: Desk) -> None:
    """What a customer's own pages ask for."""
    user = desk.person()
    for statement in (
        "SELECT id, name, image_url FROM public.characters ORDER BY created_at DESC LIMIT 20",
        "SELECT id, status, metadata FROM public.jobs WHERE user_id = %(user)s ORDER BY created_at DESC LIMIT 20",
        "SELECT id, storage_path, tags FROM public.user_library WHERE user_id = %(user)s ORDER BY created_at DESC LIMIT 20",
        "SELECT id, temp_storage_path FROM public.workspace_assets WHERE user_id = %(user)s ORDER BY created_at DESC LIMIT 20",
        "SELECT id, display_name, model_key FROM public.api_models WHERE modality = 'image' ORDER BY priority DESC",
    ):
        desk.say(CUSTOMER, statement, {"user": user}, user)


def chat(desk: Desk) -> None:
    """A job that makes no portrait."""
    user, job = desk.person(), desk.uuid()
    desk.say(
        SERVICE,
        """
        INSERT INTO public.jobs (id, user_id, job_type, status, original_prompt, metadata)
        VALUES (%(job)s, %(user)s, 'chat', 'queued', 'hello', '{"destination":"chat"}')
        """,
        {"job": job, "user": user},
    )
    set_status(desk, job, "processing")
    set_status(desk, job, "failed" if desk.happens(0.1) else "completed")


def front_ends_own_job(desk: Desk) -> None:
    user = desk.person()
    desk.say(
        CUSTOMER,
        "INSERT INTO public.jobs (user_id, job_type, status) VALUES (%(user)s, 'sdxl_image_high', 'queued')",
        {"user": user},
        user,
    )


def batch(desk: Desk) -> None:
    """Several images of one job, and a provider that fails."""
    user = desk.person()
    job = queue_job(desk, user, destination="gallery")
    set_status(desk, job, "processing")
    if desk.happens(0.3):
        set_status(desk, job, "failed")
        return
    deliver(desk, user, job)
    deliver(desk, user, job)
    set_status(desk, job, "completed")


def left_open(desk: Desk) -> None:
    """A save in one transaction that somebody leaves open for a second or two; one at a time."""
    if not desk.platform.is_held.acquire(blocking=False):
        return
    try:
        figure = desk.figure()
        job = queue_job(desk, figure.user, character_id=str(figure.id))
        deliver(desk, figure.user, job)
        steps = [
            lambda: list_in_library(desk, figure.user, job, figure.id),
            lambda: show_on_character(desk, figure.id, f"{figure.user}/{job}_{figure.id}.png"),
            lambda: set_status(desk, job, "completed"),
        ]
        desk.keep(LIBRARY, f"{figure.user}/{job}_{figure.id}.png", thumbnail=True)
        desk.chance.shuffle(steps)
        with desk.rpc(SERVICE):
            steps[0]()
            time.sleep(desk.chance.uniform(*LONG))
            steps[1]()
            steps[2]()
    finally:
        desk.platform.is_held.release()


def delete_while_it_runs(desk: Desk) -> None:
    """A character goes while its picture is being made and people choose among its portraits."""
    figure = make_character(desk, desk.person())
    for _ in range(3):
        add_portrait(desk, figure)
    job = queue_job(desk, figure.user, character_id=str(figure.id), character_name=figure.name)
    set_status(desk, job, "processing")

    def remove(at: Desk) -> None:
        with figure.turn:  # its portraits go with it
            at.say(
                CUSTOMER, "DELETE FROM public.characters WHERE id = %(id)s", {"id": figure.id}, figure.user
            )

    def finish(at: Desk) -> None:
        source = deliver(at, figure.user, job)
        call_back(at, figure.user, job, figure.id, source)
        set_status(at, job, "completed")

    desk.at_once(lambda at: switch(at, figure), remove, finish)


# How often, and what.
FLOWS: Mapping[str, tuple[int, Callable[[Desk], None]]] = {
    "form before character": (4, form_before_character),
    "fal-image": (8, fal_image),
    "callback twice": (4, callback_twice),
    "callback out of order": (2, callback_out_of_order),
    "synchronous portrait": (4, synchronous_portrait),
    "synchronous portrait, rpc": (3, synchronous_portrait_as_rpc),
    "choose primary": (6, choose_primary),
    "choose primary together": (4, choose_primary_together),
    "reorder": (3, reorder),
    "delete portrait": (4, delete_portrait),
    "edit": (6, edit),
    "scene": (1, write_scene),
    "clean up by hand": (1, clean_up_by_hand),
    "attribute script": (1, attribute_script),
    "public pages": (4, public_pages),
    "own pages": (4, own_pages),
    "chat": (6, chat),
    "front end's own job": (2, front_ends_own_job),
    "batch": (2, batch),
    "left open": (2, left_open),
    "delete while it runs": (2, delete_while_it_runs),
}
