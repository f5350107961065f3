"""Who may do what with whose row, written by hand from SPEC "Data": the table that the database is held to.

A line names one table, how one valid row of it is made, and who may read, insert, change and delete it. Everything
else is refused. `cases` makes of the lines every statement there is: who × table × verb × whose row. A table without
a line, and a line without a table, fail in test_rights_table.py.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4, uuid5

from core.db import Connection

_NAMES = UUID(int=0x5265_6368_7465)
VERBS = ("select", "insert", "update", "delete")
_numbers = itertools.count(1_000_000)


# Who ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Who:
    """Somebody who speaks to the database: in `role`, with `metadata` beside the id in the token."""

    name: str
    role: str = "authenticated"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    holds: frozenset[str] = frozenset()

    @property
    def id(self) -> UUID:
        return uuid5(_NAMES, self.name)

    @property
    def is_signed_in(self) -> bool:
        return self.role == "authenticated"

    @property
    def is_a_person(self) -> bool:
        return self.role in ("anon", "authenticated")

    @property
    def claims(self) -> str:
        if self.role == "none":
            return ""
        named = {"sub": str(self.id)} if self.is_signed_in else {}
        return json.dumps({"role": self.role, **named, **self.metadata})

    def __str__(self) -> str:
        return self.name


def _holder(*roles: str) -> Who:
    return Who(" and ".join(roles), metadata={"app_metadata": {"roles": list(roles)}}, holds=frozenset(roles))


def _mistaken(name: str, **metadata: Any) -> Who:
    return Who(name, metadata=metadata)


SERVICES = (Who("service_role", "service_role"), Who("our own service", "none"))
EVERYBODY = (
    Who("nobody signed in", "anon"),
    Who("a customer"),
    _mistaken("roles that are a string", app_metadata={"roles": "admin"}),
    _mistaken("roles that are an object", app_metadata={"roles": {"admin": True, "editor": True}}),
    _mistaken("roles that are null", app_metadata={"roles": None}),
    _mistaken("roles one list too deep", app_metadata={"roles": [["admin", "editor"]]}),
    _mistaken("roles in capitals", app_metadata={"roles": ["ADMIN", "Editor"]}),
    _mistaken(
        "roles they wrote themselves",
        user_metadata={"roles": ["admin", "editor"]},
        roles=["admin", "editor"],
    ),
    _holder("editor"),
    _holder("qa"),
    _holder("product"),
    _holder("admin"),
    _holder("editor", "qa"),
    *SERVICES,
)


# Whose ----------------------------------------------------------------------------------------------------------


class Whose(StrEnum):
    """Whose row it is, seen from who asks."""

    own = "their own"
    another = "another's"
    public = "another's public"
    shared = "another's, while the team shares"
    looked_at = "another's, as a member who may look"
    changed = "another's, as a member who may change"
    nobody = "the studio's"


@dataclass(frozen=True)
class Scope:
    """The rows of one owner: ids that hang together."""

    name: str
    owner: UUID
    is_public: bool = False

    def id(self, of: str) -> UUID:
        return uuid5(_NAMES, f"{self.name}/{of}")

    def values(self, line: str, fresh: Sequence[str] = ()) -> dict[str, Any]:
        """The values of this owner's row of `line`; those of `fresh` are new, for a row that is not there yet."""
        if (self.name, line) not in _VALUES:
            _VALUES[self.name, line] = self._made(line)
        return _VALUES[self.name, line] | {name: _new(name) for name in fresh}

    def _made(self, line: str) -> dict[str, Any]:
        return {
            "owner": self.owner,
            "is_public": self.is_public,
            "row": self.id(line),
            "n": next(_numbers),
            "tag": f"{self.id(line).hex[:20]}",
            "finding": self.id("finding").int % 10**12 + 10**12,
            **{
                of: self.id(of)
                for of in (
                    "character",
                    "portrait",
                    "scene",
                    "job",
                    "studio_job",
                    "library",
                    "run",
                    "action",
                    "sample",
                    "view",
                    "reference",
                    "asset_job",
                )
            },
            "model": uuid5(_NAMES, "model"),
            "provider": uuid5(_NAMES, "provider"),
        }


_VALUES: dict[tuple[str, str], dict[str, Any]] = {}
STUDIO = Scope("the studio", UUID(int=0x57))
STRANGER = Scope("a stranger", uuid5(_NAMES, "a stranger"))
LOOKED_AT = Scope("a colleague who lets others look", uuid5(_NAMES, "a colleague who lets others look"))
CHANGED = Scope("a colleague who lets others change", uuid5(_NAMES, "a colleague who lets others change"))
PUBLISHER = Scope("a publisher", uuid5(_NAMES, "a publisher"), is_public=True)


def own_scope(who: Who) -> Scope:
    return Scope(f"rows of {who.name}", who.id)


def _new(name: str) -> Any:
    if name == "n":
        return next(_numbers)
    return uuid4().hex[:20] if name == "tag" else uuid4()


def scope_of(who: Who, whose: Whose) -> Scope:
    if whose is Whose.own:
        return own_scope(who)
    return {
        Whose.public: PUBLISHER,
        Whose.nobody: STUDIO,
        Whose.looked_at: LOOKED_AT,
        Whose.changed: CHANGED,
    }.get(whose, STRANGER)


SCOPES = (
    STUDIO,
    STRANGER,
    PUBLISHER,
    LOOKED_AT,
    CHANGED,
    *(own_scope(who) for who in EVERYBODY if who.is_signed_in),
)


# Rights ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Right:
    """True for those who may, given who asks and whose row it is."""

    holds: Callable[[Who, Whose], bool]

    def __call__(self, who: Who, whose: Whose) -> bool:
        return self.holds(who, whose)

    def __or__(self, other: Right) -> Right:
        return Right(lambda who, whose: self(who, whose) or other(who, whose))

    def __and__(self, other: Right) -> Right:
        return Right(lambda who, whose: self(who, whose) and other(who, whose))


def any_of(*roles: str) -> Right:
    return Right(lambda who, _: bool(who.holds & set(roles)))


def row(*whose: Whose) -> Right:
    return Right(lambda _, asked: asked in whose)


NOBODY = Right(lambda _who, _whose: False)
ALL = Right(lambda who, _: who.is_a_person)
SIGNED_IN = Right(lambda who, _: who.is_signed_in)
OWN = SIGNED_IN & row(Whose.own)
TEAM = any_of("qa", "product", "admin")
ROLE = any_of("editor", "qa", "product", "admin")
EDITS = any_of("editor") & row(Whose.own, Whose.shared)
SHARED = any_of("editor") & row(Whose.shared)
LOOKS = any_of("editor") & row(Whose.looked_at, Whose.changed)  # a member; without the role they see nothing
CHANGES = any_of("editor") & row(Whose.changed)
READS = TEAM | EDITS | LOOKS  # what hangs on a row of somebody, in the studio's own tables
PUBLIC = ALL & row(Whose.public)
SERVICE = frozenset(VERBS)
ADDED_TO_ONLY = frozenset({"select", "insert"})


OTHERS = (Whose.another, Whose.public, Whose.shared, Whose.looked_at, Whose.changed)
OWNED = (Whose.own, *OTHERS)


# Lines ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """One table. `plant` makes a valid row, found again by `key`; `fresh` are the values a second row needs new."""

    table: str
    plant: str
    key: str
    fresh: tuple[str, ...]
    change: str  # column = value, untrue of the planted row
    select: Right = NOBODY
    insert: Right = NOBODY
    update: Right = NOBODY
    delete: Right = NOBODY
    owned: bool = False  # whose row it is matters
    needs: str = ""  # rows of other tables under it
    alone: bool = False  # one row an owner: it goes before another is inserted
    service: frozenset[str] = SERVICE
    ours: frozenset[str] = SERVICE

    def right(self, verb: str) -> Right:
        return {"select": self.select, "insert": self.insert, "update": self.update, "delete": self.delete}[
            verb
        ]

    def may(self, who: Who, verb: str, whose: Whose) -> bool:
        if who.role == "service_role":
            return verb in self.service
        return verb in self.ours if who.role == "none" else self.right(verb)(who, whose)

    @property
    def whose(self) -> tuple[Whose, ...]:
        return OWNED if self.owned else (Whose.nobody,)


def _character_rows(
    table: str, plant: str, key: str, change: str, *, fresh: str, **rights: Right | str | bool
) -> Line:
    values: dict[str, Any] = {
        "select": OWN | TEAM | SHARED | LOOKS,
        "insert": OWN,
        "update": OWN,
        "delete": OWN,
    }
    return Line(table, plant, key, (fresh,), change, owned=True, **(values | rights))


def _common(
    table: str,
    plant: str,
    key: str,
    change: str,
    select: Right,
    *,
    fresh: tuple[str, ...] = ("row", "tag", "n"),
    **more: Any,
) -> Line:
    return Line(table, plant, key, fresh, change, select=select, **more)


def _hanging(
    table: str,
    plant: str,
    key: str,
    change: str,
    select: Right = READS,
    *,
    fresh: tuple[str, ...] = ("row", "tag", "n"),
    **more: Any,
) -> Line:
    return Line(table, plant, key, fresh, change, select=select, owned=True, **more)


_RUN = "INSERT INTO studio.attribute_runs (id, asked_by, kind) VALUES (%(run)s, %(owner)s, 'generate')"
_ACTION = (
    "INSERT INTO studio.bulk_actions (id, kind, why, asked_by, items)"
    " VALUES (%(action)s, 'retry', 'w', %(owner)s, 1)"
)
_SAMPLE = """INSERT INTO studio.qa_samples (id, title, seed, since, until, per_stratum, size, strata, drawn_by)
    VALUES ({id}, 'A sample', 1, '2026-01-01', '2026-02-01', 1, 1, '[]', %(owner)s)"""
_ITEM = """INSERT INTO studio.qa_sample_items (sample_id, place, portrait_id, character_id, provider, style, week)
    VALUES (%(sample)s, {place}, {portrait}, %(character)s, 'fal', 'anime', '2026-01-05')"""

PUBLIC_LINES = (
    _character_rows(
        "public.characters",
        """INSERT INTO public.characters (id, user_id, name, description, is_public)
           VALUES (%(character)s, %(owner)s, 'A name', 'Words.', %(is_public)s)""",
        "id = %(character)s",
        "mood = 'mysterious'",
        fresh="character",
        select=OWN | PUBLIC | TEAM | SHARED | LOOKS,
        update=OWN | SHARED | CHANGES,
    ),
    _character_rows(
        "public.character_portraits",
        """INSERT INTO public.character_portraits (id, character_id, image_url)
           VALUES (%(portrait)s, %(character)s, 'user-library/' || %(owner)s || '/x.png')""",
        "id = %(portrait)s",
        "prompt = 'changed'",
        fresh="portrait",
        update=OWN | SHARED | CHANGES,
    ),
    _character_rows(
        "public.character_scenes",
        """INSERT INTO public.character_scenes (id, character_id, scene_name)
           VALUES (%(scene)s, %(character)s, 'A scene')""",
        "id = %(scene)s",
        "scene_prompt = 'changed'",
        fresh="scene",
        insert=OWN | SHARED | CHANGES,
        update=OWN | SHARED | CHANGES,
        delete=OWN | SHARED | CHANGES,
    ),
    _character_rows(
        "public.jobs",
        """INSERT INTO public.jobs (id, user_id, job_type, status, character_id, metadata)
           VALUES (%(job)s, %(owner)s, 'fal_image', 'queued', %(character)s, '{}')""",
        "id = %(job)s",
        "original_prompt = 'changed'",
        fresh="job",
    ),
    _character_rows(
        "public.workspace_assets",
        """INSERT INTO public.workspace_assets (id, user_id, job_id, asset_type, temp_storage_path, mime_type)
           VALUES (%(row)s, %(owner)s, %(asset_job)s, 'image', %(owner)s || '/x.png', 'image/png')""",
        "id = %(row)s",
        "model_used = 'changed'",
        fresh="row",
        needs="""INSERT INTO public.jobs (id, user_id, job_type, status, character_id)
                 VALUES (%(asset_job)s, %(owner)s, 'fal_image', 'processing', %(character)s)""",
    ),
    _character_rows(
        "public.user_library",
        """INSERT INTO public.user_library (id, user_id, asset_type, storage_path, mime_type, roleplay_metadata)
           VALUES (%(library)s, %(owner)s, 'image', %(owner)s || '/x.png', 'image/png',
                   jsonb_build_object('character_id', %(character)s))""",
        "id = %(library)s",
        "model_used = 'changed'",
        fresh="library",
        update=OWN | SHARED | CHANGES,
    ),
    _common(
        "public.api_providers",
        "INSERT INTO public.api_providers (id, name) VALUES (%(row)s, %(tag)s)",
        "id = %(row)s",
        "display_name = 'changed'",
        SIGNED_IN,
    ),
    _common(
        "public.api_models",
        """INSERT INTO public.api_models (id, provider_id, display_name, model_key, modality)
           VALUES (%(row)s, %(provider)s, 'A model', %(tag)s, 'image')""",
        "id = %(row)s",
        "priority = 7",
        SIGNED_IN,
    ),
    _common(
        "public.attribute_images",
        """INSERT INTO public.attribute_images (id, category, value, style, image_url)
           VALUES (%(row)s, 'body', %(tag)s, 'anime', 'assets/x.jpg')""",
        "id = %(row)s",
        "prompt = 'changed'",
        ALL,
    ),
    _common(
        "public.style_images",
        "INSERT INTO public.style_images (id, style, image_url) VALUES (%(row)s, %(tag)s, 'assets/x.jpg')",
        "id = %(row)s",
        "prompt = 'changed'",
        ALL,
    ),
)

STUDIO_LINES = (
    _common(
        "studio.adoptions",
        "INSERT INTO studio.adoptions (rows_before) VALUES (jsonb_build_object(%(tag)s, 1))",
        "rows_before ? %(tag)s",
        "corrections = '[]'",
        TEAM,
    ),
    _common(
        "studio.attribute_image_versions",
        """INSERT INTO studio.attribute_image_versions (id, category, value, style, image_url, review_status, made_at, why)
           VALUES (%(row)s, 'body', %(tag)s, 'anime', 'assets/x.jpg', 'pending', now(), 'replaced')""",
        "id = %(row)s",
        "prompt = 'changed'",
        TEAM,
    ),
    _common(
        "studio.attribute_jobs",
        """INSERT INTO studio.attribute_jobs (job_id, run_id, category, value, style, replaces, asked_by)
           VALUES (%(row)s, %(run)s, 'body', %(tag)s, 'anime', false, %(owner)s)""",
        "job_id = %(row)s",
        "held_usd = 7",
        TEAM,
        needs=_RUN,
    ),
    _common(
        "studio.attribute_options",
        """INSERT INTO studio.attribute_options (category, value, added_by, changed_by)
           VALUES ('body', %(tag)s, %(owner)s, %(owner)s)""",
        "category = 'body' AND value = %(tag)s",
        "label = 'changed'",
        ROLE,
    ),
    _common(
        "studio.attribute_runs",
        "INSERT INTO studio.attribute_runs (id, asked_by, kind) VALUES (%(row)s, %(owner)s, 'generate')",
        "id = %(row)s",
        "limit_usd = 7",
        TEAM,
    ),
    _common(
        "studio.audit_events",
        "INSERT INTO studio.audit_events (action, table_name, row_id) VALUES ('looked', 'jobs', %(tag)s)",
        "row_id = %(tag)s",
        "why = 'changed'",
        TEAM,
        service=ADDED_TO_ONLY,
        ours=ADDED_TO_ONLY,
    ),
    _hanging(
        "studio.budgets",
        """INSERT INTO studio.budgets (id, scope, user_id, period, limit_usd, reserve_usd)
           VALUES (%(row)s, 'person', %(owner)s, 'day', 1000, 1)""",
        "id = %(row)s",
        "limit_usd = 7",
        TEAM | (any_of("editor") & row(Whose.own)),
    ),
    _hanging(
        "studio.bulk_actions",
        """INSERT INTO studio.bulk_actions (id, kind, why, asked_by, items)
           VALUES (%(row)s, 'retry', 'w', %(owner)s, 1)""",
        "id = %(row)s",
        "why = 'changed'",
        TEAM | (any_of("editor") & row(Whose.own)),
    ),
    _hanging(
        "studio.bulk_items",
        "INSERT INTO studio.bulk_items (action_id, place, item_id) VALUES (%(action)s, %(n)s, %(tag)s)",
        "action_id = %(action)s AND item_id = %(tag)s",
        "tries = 7",
        TEAM | (any_of("editor") & row(Whose.own)),
        needs=_ACTION,
    ),
    _common(
        "studio.bulk_kinds",
        "INSERT INTO studio.bulk_kinds (kind, roles) VALUES (%(tag)s, '{qa}')",
        "kind = %(tag)s",
        "roles = '{admin}'",
        TEAM,
    ),
    _hanging(
        "studio.callbacks",
        """INSERT INTO studio.callbacks (provider, fingerprint, deed, last_deed, job_id)
           VALUES (%(tag)s, '\\x00', 'd', 'd', %(job)s)""",
        "provider = %(tag)s",
        "times = 7",
    ),
    _hanging(
        "studio.character_cards",
        """INSERT INTO studio.character_cards (character_id, form, card, mapped, sha256)
           VALUES (%(character)s, 'V2', '{}', '{}', repeat('0', 64))""",
        "character_id = %(character)s",
        "form = 'V3'",
        alone=True,
        fresh=(),
    ),
    _hanging(
        "studio.character_versions",
        "INSERT INTO studio.character_versions (character_id, version, changes) VALUES (%(character)s, %(n)s, '{}')",
        "character_id = %(character)s AND version = %(n)s",
        "changes = '[]'",
    ),
    _hanging(
        "studio.cost_entries",
        """INSERT INTO studio.cost_entries (job_id, user_id, character_id, provider, model_key, kind, amount_usd)
           VALUES (%(row)s, %(owner)s, %(character)s, 'fal', 'm', 'estimated', 0)""",
        "job_id = %(row)s",
        "note = 'changed'",
        service=ADDED_TO_ONLY,
        ours=ADDED_TO_ONLY,
    ),
    _hanging(
        "studio.character_members",
        "INSERT INTO studio.character_members (character_id, user_id) VALUES (%(character)s, %(row)s)",
        "character_id = %(character)s AND user_id = %(row)s",
        "can_edit = true",
        TEAM | (any_of("editor") & row(Whose.own)),  # and everybody their own
    ),
    _common(
        "studio.counted",
        "INSERT INTO studio.counted (source, written_before) VALUES (%(tag)s, 0)",
        "source = %(tag)s",
        "written_before = 7",
        NOBODY,
    ),
    _common(
        "studio.counters",
        "INSERT INTO studio.counters (name, labels) VALUES (%(tag)s, '{}')",
        "name = %(tag)s",
        "value = 7",
        NOBODY,
    ),
    _common(
        "studio.findings",
        """INSERT INTO studio.findings (rule, table_name, row_id, sentence)
           VALUES ('job.illegal_move', 'jobs', %(tag)s, 'A sentence.')""",
        "row_id = %(tag)s",
        "note = 'changed'",
        TEAM,
    ),
    _common(
        "studio.health_history",
        """INSERT INTO studio.health_history (run_id, check_name, with_objects, passed, failed, not_checked, not_applicable)
           VALUES (%(row)s, 'x', false, 0, 0, 0, 0)""",
        "run_id = %(row)s",
        "passed = 7",
        TEAM,
    ),
    _common(
        "studio.health_looks",
        "INSERT INTO studio.health_looks (name, ok, sentence) VALUES (%(tag)s, true, 'A sentence.')",
        "name = %(tag)s",
        "seconds = 7",
        TEAM,
    ),
    _common(
        "studio.health_notices",
        "INSERT INTO studio.health_notices (body, last_answer) VALUES ('{}', %(tag)s)",
        "last_answer = %(tag)s",
        "attempts = 7",
        TEAM,
    ),
    _common(
        "studio.health_state",
        """INSERT INTO studio.health_state (rule, severity, sentence, page)
           VALUES (%(tag)s, 'bad', 'A sentence.', 'jobs')""",
        "rule = %(tag)s",
        "severity = 'warn'",
        TEAM,
    ),
    _hanging(
        "studio.job_events",
        "INSERT INTO studio.job_events (job_id, to_status, stage) VALUES (%(job)s, 'queued', %(tag)s)",
        "job_id = %(job)s AND stage = %(tag)s",
        "note = 'changed'",
    ),
    _common(
        "studio.model_prices",
        """INSERT INTO studio.model_prices (id, model_id, unit, price, valid_from, size)
           VALUES (%(row)s, %(model)s, 'request', 1, now(), %(tag)s)""",
        "id = %(row)s",
        "source = 'changed'",
        ROLE,
    ),
    _common(
        "studio.proof_results",
        "INSERT INTO studio.proof_results (job_id, ended_at) VALUES (%(row)s, now())",
        "job_id = %(row)s",
        "row_codes = '{x}'",
        TEAM,
    ),
    _common(
        "studio.proof_runs",
        "INSERT INTO studio.proof_runs (id, with_objects, expected) VALUES (%(row)s, false, 0)",
        "id = %(row)s",
        "broken = 7",
        TEAM,
    ),
    _common(
        "studio.provider_state",
        "INSERT INTO studio.provider_state (provider) VALUES (%(tag)s)",
        "provider = %(tag)s",
        "failures = 7",
        ROLE,
    ),
    _common(
        "studio.qa_sample_items",
        _ITEM.format(place="%(n)s", portrait="%(row)s"),
        "portrait_id = %(row)s",
        "provider = 'changed'",
        TEAM,
        needs=_SAMPLE.format(id="%(sample)s"),
        service=ADDED_TO_ONLY,
        ours=ADDED_TO_ONLY,
    ),
    _common(
        "studio.qa_samples",
        _SAMPLE.format(id="%(row)s"),
        "id = %(row)s",
        "size = 7",
        TEAM,
    ),
    _hanging(
        "studio.qa_verdicts",
        """INSERT INTO studio.qa_verdicts (sample_id, portrait_id, person, verdict, first_verdict)
           VALUES (%(sample)s, %(portrait)s, %(owner)s, 'good', 'good')""",
        "sample_id = %(sample)s AND portrait_id = %(portrait)s AND person = %(owner)s",
        "note = 'changed'",
        TEAM & row(Whose.own),  # others' after one's own, or when the sample is closed
        needs=";".join((_SAMPLE.format(id="%(sample)s"), _ITEM.format(place="1", portrait="%(portrait)s"))),
        alone=True,
        fresh=(),
    ),
    _hanging(
        "studio.ratings",
        """INSERT INTO studio.ratings (portrait_id, user_id, character_id, is_favourite)
           VALUES (%(portrait)s, %(row)s, %(character)s, true)""",
        "portrait_id = %(portrait)s AND user_id = %(row)s",
        "stars = 3",
    ),
    _hanging(
        "studio.recovery_steps",
        "INSERT INTO studio.recovery_steps (job_id, action, why) VALUES (%(job)s, %(tag)s, 'w')",
        "job_id = %(job)s AND action = %(tag)s",
        "times = 7",
    ),
    _hanging(
        "studio.reference_uploads",
        """INSERT INTO studio.reference_uploads (id, owner, character_id, path, sha256, media_type, file_size, width,
             height, uploaded_by, rights_confirmed_by)
           VALUES (%(reference)s, %(owner)s, %(character)s, %(tag)s, repeat('0', 64), 'image/png', 1, 1, 1, %(owner)s,
             %(owner)s)""",
        "id = %(reference)s",
        "width = 7",
        fresh=("reference", "tag"),
    ),
    _common(
        "studio.removed_items",
        "INSERT INTO studio.removed_items (job_id) VALUES (%(row)s)",
        "job_id = %(row)s",
        "removed_at = '2026-01-01'",
        TEAM,
    ),
    _common(
        "studio.removed_portraits",
        "INSERT INTO studio.removed_portraits (job_id, character_id) VALUES (%(row)s, %(character)s)",
        "job_id = %(row)s",
        "removed_at = '2026-01-01'",
        TEAM,
    ),
    _hanging(
        "studio.removed_scenes",
        "INSERT INTO studio.removed_scenes (id, character_id, scene) VALUES (%(row)s, %(character)s, '{}')",
        "id = %(row)s",
        "scene = '[]'",
    ),
    _common(
        "studio.erasures",
        "INSERT INTO studio.erasures (id, person, asked_by) VALUES (%(row)s, %(row)s, %(row)s)",
        "id = %(row)s",
        "objects_gone = 7",
        any_of("admin"),
    ),
    _common(
        "studio.going_objects",
        "INSERT INTO studio.going_objects (bucket, path) VALUES ('user-library', %(tag)s)",
        "path = %(tag)s",
        "since = now() - interval '1 day'",
        NOBODY,
    ),
    _common(
        "studio.retention_runs",
        "INSERT INTO studio.retention_runs (id, kind) VALUES (%(row)s, 'bin')",
        "id = %(row)s",
        "gone = 7",
        any_of("admin"),
    ),
    _common(
        "studio.kept_days",
        "INSERT INTO studio.kept_days (kind, least, most) VALUES (%(tag)s, 1, 9)",
        "kind = %(tag)s",
        "days = 7",
        ROLE,
    ),
    _common(
        "studio.row_sweeps",
        "INSERT INTO studio.row_sweeps (id, finished_at) VALUES (%(row)s, now())",
        "id = %(row)s",
        "stage = 'changed'",
        TEAM,
    ),
    _hanging(
        "studio.saved_views",
        "INSERT INTO studio.saved_views (id, owner, name, page) VALUES (%(view)s, %(owner)s, %(tag)s, 'jobs')",
        "id = %(view)s",
        "address = 'changed'",
        ROLE & row(Whose.own),
        fresh=("view", "tag"),
    ),
    _common(
        "studio.schema_migrations",
        "INSERT INTO studio.schema_migrations (version, name, sha256) VALUES (%(tag)s, 'x', 'x')",
        "version = %(tag)s",
        "name = 'changed'",
        NOBODY,
        service=frozenset(),
    ),
    _common(  # whoever writes here may be anybody: the platform's key has no right either
        "studio.sessions",
        """INSERT INTO studio.sessions (id, token_hash, person, way, access_ends_at, ends_at)
           VALUES (%(row)s, sha256(%(tag)s::text::bytea), %(row)s, 'password', now(), now())""",
        "id = %(row)s",
        "name = 'changed'",
        NOBODY,
        service=frozenset(),
    ),
    _common(
        "studio.settings",
        "INSERT INTO studio.settings (key, value) VALUES (%(tag)s, 'x')",
        "key = %(tag)s",
        "value = 'changed'",
        NOBODY,
    ),
    _common(
        "studio.sign_in_failures",
        "INSERT INTO studio.sign_in_failures (kind, who) VALUES ('pair', sha256(%(tag)s::text::bytea))",
        "who = sha256(%(tag)s::text::bytea)",
        "failures = 99",
        NOBODY,
        service=frozenset(),
    ),
    _common(
        "studio.stock_marks",
        "INSERT INTO studio.stock_marks (finding_id, kind, scan_id) VALUES (%(finding)s, 'x', %(row)s)",
        "finding_id = %(finding)s",
        "size = 7",
        TEAM,
        needs="""INSERT INTO studio.findings (id, rule, table_name, row_id, sentence) OVERRIDING SYSTEM VALUE
                 VALUES (%(finding)s, 'library.blank', 'user_library', %(tag)s, 'A sentence.')""",
        alone=True,
        fresh=(),
    ),
    _common(
        "studio.stock_objects",
        """INSERT INTO studio.stock_objects (bucket, path, size, modified_at, seen_in)
           VALUES ('user-library', %(tag)s, 1, now(), %(row)s)""",
        "path = %(tag)s",
        "size = 7",
        TEAM,
    ),
    _common(
        "studio.stock_scans",
        "INSERT INTO studio.stock_scans (id, finished_at) VALUES (%(row)s, now())",
        "id = %(row)s",
        "bytes = 7",
        TEAM,
    ),
    _hanging(
        "studio.submissions",
        """INSERT INTO studio.submissions (id, job_id, attempt, lease, provider, model_key, outcome)
           VALUES (%(row)s, %(job)s, %(n)s, 1, 'fal', 'm', 'not_accepted')""",
        "id = %(row)s",
        "settled_by = 'changed'",
    ),
    _hanging(
        "studio.suggestions",
        """INSERT INTO studio.suggestions (id, user_id, wanted, model_key, fingerprint)
           VALUES (%(row)s, %(owner)s, 'all', 'm', 'f')""",
        "id = %(row)s",
        "error_code = 'changed'",
        any_of("editor") & row(Whose.own),
    ),
    _common(
        "studio.workers",
        "INSERT INTO studio.workers (id, host, pid) VALUES (%(row)s, 'h', 1)",
        "id = %(row)s",
        "version = 'changed'",
        ROLE,
    ),
)

_CLOSED: dict[str, Any] = {"select": NOBODY, "service": frozenset()}
QUEUE_LINES = (
    _common(
        "studio_queue.pgqueuer",
        """INSERT INTO studio_queue.pgqueuer (priority, status, entrypoint, dedupe_key)
           VALUES (0, 'queued', 'nothing', %(tag)s)""",
        "dedupe_key = %(tag)s",
        "priority = 7",
        **_CLOSED,
    ),
    _common(
        "studio_queue.pgqueuer_log",
        """INSERT INTO studio_queue.pgqueuer_log (job_id, status, priority, entrypoint)
           VALUES (1, 'queued', 0, %(tag)s)""",
        "entrypoint = %(tag)s",
        "priority = 7",
        **_CLOSED,
    ),
    _common(
        "studio_queue.pgqueuer_schedules",
        "INSERT INTO studio_queue.pgqueuer_schedules (expression, entrypoint) VALUES ('* * * * *', %(tag)s)",
        "entrypoint = %(tag)s",
        "expression = '0 * * * *'",
        **_CLOSED,
    ),
    _common(
        "studio_queue.pgqueuer_statistics",
        """INSERT INTO studio_queue.pgqueuer_statistics (count, priority, status, entrypoint)
           VALUES (1, 0, 'queued', %(tag)s)""",
        "entrypoint = %(tag)s",
        "count = 7",
        **_CLOSED,
    ),
)
LINES = (*PUBLIC_LINES, *STUDIO_LINES, *QUEUE_LINES)


@dataclass(frozen=True)
class Twist:
    """A statement beyond the four verbs, with who may run it to effect."""

    title: str
    statement: str
    proof: str
    may: Right
    whose: tuple[Whose, ...]
    service: bool = True


def _owner_changed(table: str, column: str, key: str, to: str, title: str, whose: tuple[Whose, ...]) -> Twist:
    return Twist(
        f"{title} ({table})",
        f"UPDATE {table} SET {column} = {to} WHERE id = {key}",
        f"SELECT {column} = {to} FROM {table} WHERE id = {key}",
        NOBODY,
        whose,
    )


_TAKEN = (
    ("public.characters", "user_id", "%(character)s", "%(me)s"),
    ("public.user_library", "user_id", "%(library)s", "%(me)s"),
    ("public.jobs", "user_id", "%(job)s", "%(me)s"),
    ("public.character_portraits", "character_id", "%(portrait)s", "%(my_character)s"),
    ("public.character_scenes", "character_id", "%(scene)s", "%(my_character)s"),
)
_GIVEN = (
    ("public.characters", "user_id", "%(character)s", "%(somebody)s"),
    ("public.user_library", "user_id", "%(library)s", "%(somebody)s"),
    ("public.jobs", "user_id", "%(job)s", "%(somebody)s"),
    ("public.character_portraits", "character_id", "%(portrait)s", "%(somebodys_character)s"),
    ("public.character_scenes", "character_id", "%(scene)s", "%(somebodys_character)s"),
)
_PATHS = (
    ("public.characters", "image_url", "%(character)s"),
    ("public.characters", "reference_image_url", "%(character)s"),
    ("public.character_portraits", "image_url", "%(portrait)s"),
    ("public.character_scenes", "image_url", "%(scene)s"),
    ("public.user_library", "storage_path", "%(library)s"),
)
TWISTS = (
    *(
        Twist(
            f"saying where its picture lies ({table}.{column})",
            f"UPDATE {table} SET {column} = 'user-library/changed.png' WHERE id = {key}",
            f"SELECT {column} = 'user-library/changed.png' FROM {table} WHERE id = {key}",
            OWN | SHARED,
            OWNED,
        )
        for table, column, key in _PATHS
    ),
    Twist(
        "removing a character",
        "UPDATE public.characters SET deleted_at = now() WHERE id = %(character)s",
        "SELECT deleted_at IS NOT NULL FROM public.characters WHERE id = %(character)s",
        OWN | SHARED,
        OWNED,
    ),
    Twist(
        "a row that hangs on another's character",
        """INSERT INTO public.character_portraits (character_id, image_url)
           VALUES (%(character)s, 'user-library/' || %(me)s || '/x.png')""",
        "",
        OWN,
        OWNED,
    ),
    Twist(
        "who else is a member",
        "SELECT FROM studio.character_members WHERE character_id = %(character)s AND user_id = %(me)s",
        "",
        LOOKS | (TEAM & row(Whose.looked_at, Whose.changed)),
        OTHERS,
    ),
    Twist(
        "a model that is switched off",
        "SELECT FROM public.api_models WHERE NOT is_active",
        "",
        ROLE,
        (Whose.nobody,),
    ),
    Twist(
        "another's view that is shared",
        "SELECT FROM studio.saved_views WHERE shared",
        "",
        ROLE,
        (Whose.nobody,),
    ),
    Twist(
        "a budget of everybody",
        "SELECT FROM studio.budgets WHERE user_id IS NULL",
        "",
        TEAM,
        (Whose.nobody,),
    ),
    Twist(
        "a callback that names no job",
        "SELECT FROM studio.callbacks WHERE job_id IS NULL",
        "",
        any_of("qa", "admin"),
        (Whose.nobody,),
    ),
    *(_owner_changed(*one, "taking it", OTHERS) for one in _TAKEN),
    *(_owner_changed(*one, "giving it away", OWNED) for one in _GIVEN),
    Twist(
        "reading a receipt",
        "SELECT receipt FROM studio.submissions WHERE job_id = %(job)s",
        "",
        NOBODY,
        OWNED,
    ),
    Twist(
        "reading all there is of a request",
        "SELECT * FROM studio.submissions WHERE job_id = %(job)s",
        "",
        NOBODY,
        OWNED,
    ),
    Twist(
        "reading what a notice says", "SELECT body FROM studio.health_notices", "", NOBODY, (Whose.nobody,)
    ),
    Twist(
        "what was spent",
        "SELECT FROM studio.spend WHERE user_id = %(owner)s",
        "",
        READS,
        OWNED,
    ),
    Twist("the queue's entries", "SELECT FROM studio.live_entries LIMIT 1", "", TEAM, (Whose.nobody,), False),
    Twist(
        "pictures of attributes with their reviews",
        "SELECT FROM studio.attribute_pictures LIMIT 1",
        "",
        SIGNED_IN,
        (Whose.nobody,),
    ),
    Twist(
        "a job of the studio is changed by its owner",
        "UPDATE public.jobs SET status = 'failed', original_prompt = 'changed' WHERE id = %(studio_job)s",
        "SELECT status = 'failed' AND original_prompt = 'changed' FROM public.jobs WHERE id = %(studio_job)s",
        NOBODY,
        OWNED,
    ),
    Twist(
        "a job of the studio is deleted by its owner",
        "DELETE FROM public.jobs WHERE id = %(studio_job)s",
        "SELECT NOT EXISTS (SELECT FROM public.jobs WHERE id = %(studio_job)s)",
        NOBODY,
        OWNED,
    ),
    Twist(
        "an asset is hung on a job of the studio",
        """INSERT INTO public.workspace_assets (user_id, job_id, asset_type, temp_storage_path, mime_type)
           VALUES (%(me)s, %(studio_job)s, 'image', 'x', 'image/png')""",
        "SELECT EXISTS (SELECT FROM public.workspace_assets WHERE job_id = %(studio_job)s)",
        NOBODY,
        OWNED,
    ),
)


# Cases ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One statement that is run for real. `allowed`: it must touch its one row, else none."""

    who: Who
    what: str
    verb: str
    whose: Whose
    statement: str
    proof: str
    before: str
    allowed: bool

    def __str__(self) -> str:
        return f"{self.who} · {self.verb} · {self.what} · {self.whose}"


def as_sql(statement: str, values: Mapping[str, Any]) -> str:
    """`statement` with its values written out; uuids, numbers, booleans and plain words only."""
    return statement % {name: _literal(value) for name, value in values.items()}


def _literal(value: object) -> str:
    return str(value) if isinstance(value, bool | int) else f"'{value}'"


def plant(conn: Connection, lines: Sequence[Line]) -> None:
    """One row of every table for every owner, and what lies under it; `conn` is the studio's own."""
    for scope in SCOPES:
        conn.execute(
            "INSERT INTO auth.users (id, email) VALUES (%s, %s)",
            (scope.owner, f"{scope.owner}@studio.invalid"),
        )
    studio = STUDIO.values("under")
    conn.execute("INSERT INTO public.api_providers (id, name) VALUES (%(provider)s, 'rights')", studio)
    conn.execute(
        """INSERT INTO public.api_models (id, provider_id, display_name, model_key, modality)
           VALUES (%(model)s, %(provider)s, 'A model', 'rights-model', 'image')""",
        studio,
    )
    for scope in SCOPES:
        _plant_scope(conn, scope, lines)
    _plant_members(conn)
    for statement in _ONCE:
        conn.execute(as_sql(statement, studio))


def _plant_scope(conn: Connection, scope: Scope, lines: Sequence[Line]) -> None:
    under: set[str] = set()
    for line in lines:
        if not (line.owned or scope is STUDIO):
            continue
        values = scope.values(line.table)
        for statement in filter(None, line.needs.split(";")):
            if statement not in under:
                conn.execute(as_sql(statement, values))
                under.add(statement)
        conn.execute(as_sql(line.plant, values))
    conn.execute(
        """INSERT INTO public.jobs (id, user_id, job_type, status, character_id, metadata, runner, original_prompt)
           VALUES (%(studio_job)s, %(owner)s, 'character_portrait', 'queued', %(character)s,
                   '{"provider": "fal"}', 'studio', 'words')""",
        scope.values("under"),
    )


# One row each for what lies beside the lines.
_ONCE = (
    """INSERT INTO public.api_models (id, provider_id, display_name, model_key, modality, is_active)
       VALUES (gen_random_uuid(), %(provider)s, 'Off', 'switched-off', 'image', false)""",
    "INSERT INTO studio.saved_views (owner, name, page, shared) VALUES (%(owner)s, 'Shared', 'jobs', true)",
    """INSERT INTO studio.budgets (scope, period, limit_usd, reserve_usd) VALUES ('everybody', 'day', 1000, 1)""",
    """INSERT INTO studio.callbacks (provider, fingerprint, deed, last_deed) VALUES ('fal', '\\x01', 'd', 'd')""",
)


def _plant_members(conn: Connection) -> None:
    for scope, can_edit in ((LOOKED_AT, False), (CHANGED, True)):
        for who in EVERYBODY:
            if who.is_signed_in:
                conn.execute(
                    "INSERT INTO studio.character_members (character_id, user_id, can_edit) VALUES (%s, %s, %s)",
                    (scope.id("character"), who.id, can_edit),
                )


def cases(lines: Sequence[Line], *, twists: Sequence[Twist] = TWISTS) -> Iterator[Case]:
    """Every who × table × verb × whose row of `lines`."""
    for who, line in itertools.product(EVERYBODY, lines):
        for whose in line.whose:
            if whose is Whose.own and not who.is_signed_in:
                continue  # has none
            for verb in VERBS:
                yield _of_verb(who, line, verb, whose)
        if who.is_a_person:
            yield _of_truncate(who, line)
    for who, twist in itertools.product(EVERYBODY, twists):
        for whose in twist.whose:
            if who.is_a_person and (who.is_signed_in or whose is not Whose.own):
                yield _of_twist(who, twist, whose)


def _of_verb(who: Who, line: Line, verb: str, whose: Whose) -> Case:
    scope = scope_of(who, whose)
    values = scope.values(line.table, line.fresh if verb == "insert" else ())
    found = f"FROM {line.table} WHERE {line.key}"
    statement, proof = {
        "select": (f"SELECT {found}", ""),
        "insert": (line.plant, f"SELECT EXISTS (SELECT {found})"),
        "update": (
            f"UPDATE {line.table} SET {line.change} WHERE {line.key}",
            f"SELECT {line.change} {found}",
        ),
        "delete": (f"DELETE {found}", f"SELECT NOT EXISTS (SELECT {found})"),
    }[verb]
    return Case(
        who,
        line.table,
        verb,
        whose,
        as_sql(statement, values),
        as_sql(proof, values) if proof else "",
        as_sql(f"DELETE {found}", values) if verb == "insert" and line.alone else "",
        line.may(who, verb, whose),
    )


def _of_truncate(who: Who, line: Line) -> Case:
    return Case(
        who,
        line.table,
        "truncate",
        Whose.nobody,
        f"TRUNCATE {line.table} CASCADE",
        f"SELECT NOT EXISTS (SELECT FROM {line.table})",
        "",
        allowed=False,
    )


def _of_twist(who: Who, twist: Twist, whose: Whose) -> Case:
    values = scope_of(who, whose).values("under") | {
        "me": who.id,
        "my_character": own_scope(who).id("character"),
        "somebody": PUBLISHER.owner if whose is not Whose.public else STRANGER.owner,
        "somebodys_character": (PUBLISHER if whose is not Whose.public else STRANGER).id("character"),
    }
    return Case(
        who,
        twist.title,
        "twist",
        whose,
        as_sql(twist.statement, values),
        as_sql(twist.proof, values) if twist.proof else "",
        "",
        twist.may(who, whose),
    )


# Running --------------------------------------------------------------------------------------------------------

_TRIED = """
CREATE OR REPLACE FUNCTION pg_temp.tried(
  p_role pg_catalog.text, p_claims pg_catalog.text, p_sharing pg_catalog.text, p_writer pg_catalog.text,
  p_path pg_catalog.text, p_before pg_catalog.text, p_statement pg_catalog.text, p_proof pg_catalog.text
) RETURNS pg_catalog.text LANGUAGE plpgsql AS $$
DECLARE
  touched bigint;
  proved boolean := true;
BEGIN
  PERFORM pg_catalog.set_config('search_path', 'public, pg_temp', true);
  IF p_before <> '' THEN
    EXECUTE p_before;
  END IF;
  PERFORM set_config('studio.team_sharing', p_sharing, true), set_config('studio.writer', p_writer, true),
          set_config('request.jwt.claims', p_claims, true), set_config('search_path', p_path, true);
  PERFORM set_config('role', p_role, true);
  EXECUTE p_statement;
  GET DIAGNOSTICS touched = ROW_COUNT;
  PERFORM pg_catalog.set_config('role', 'none', true), pg_catalog.set_config('search_path', 'public, pg_temp', true);
  IF p_proof <> '' THEN
    EXECUTE p_proof INTO proved;
    touched := CASE WHEN proved THEN greatest(touched, 1) ELSE touched END;  -- TRUNCATE counts no rows
  END IF;
  RAISE EXCEPTION USING ERRCODE = 'TR000', MESSAGE = touched || CASE WHEN proved THEN '' ELSE ' unchanged' END;
EXCEPTION WHEN OTHERS THEN
  RETURN CASE SQLSTATE WHEN 'TR000' THEN SQLERRM ELSE SQLSTATE || ' ' || SQLERRM END;
END $$
"""
_AT_ONCE = 2000


def run(conn: Connection, tried: Sequence[Case], *, path: str = "public") -> list[str]:
    """What became of each case, each undone again: `1` row touched, `0`, `1 unchanged`, or a state and its words.

    `path` is the search_path of who asks.
    """
    conn.execute(_TRIED)
    outcomes: list[str] = []
    for start in range(0, len(tried), _AT_ONCE):
        some = tried[start : start + _AT_ONCE]
        columns = [
            [case.who.role for case in some],
            [case.who.claims for case in some],
            ["on" if case.whose is Whose.shared else "off" for case in some],
            ["studio" if case.who.role == "none" else "" for case in some],
            [path] * len(some),
            [case.before for case in some],
            [case.statement for case in some],
            [case.proof for case in some],
        ]
        outcomes += [
            row[0]
            for row in conn.execute(
                f"""
                SELECT pg_temp.tried(t.a, t.b, t.c, t.d, t.e, t.f, t.g, t.h)
                FROM unnest({", ".join(["%s::pg_catalog.text[]"] * 8)}) WITH ORDINALITY t(a, b, c, d, e, f, g, h, place)
                ORDER BY t.place
                """,
                columns,
            ).fetchall()
        ]
    return outcomes


REFUSALS = ("42501", "PS4")


def was_refused(outcome: str) -> bool:
    """True for no row, no right, or our own words; any other error is a fault of the case."""
    return outcome == "0" or outcome.endswith(" unchanged") or outcome.startswith(REFUSALS)


def wrong(tried: Sequence[Case], outcomes: Sequence[str]) -> list[str]:
    return [
        f"{case}: {'allowed' if case.allowed else 'refused'} by the table, and in fact: {outcome}"
        for case, outcome in zip(tried, outcomes, strict=True)
        if not (outcome == "1" if case.allowed else was_refused(outcome))
    ]
