"""The platform's database as old and as messy as a real one: its tables, and rows of years of use, written by COPY.

The same seed and sizes give the same world; its times count back from the moment it is written. Every defect is
planted on purpose and counted, so that a test can compare what was found with what there is. Nothing here is real:
no person, no link, no token.
"""

from __future__ import annotations

import base64
import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import psycopg
from psycopg import sql

from core.db import migrate
from tests.platform import words

FIXTURES = Path(__file__).parents[1] / "fixtures"
STAND_INS = migrate.FOLDER / "20261120090000_supabase_stand_ins.sql"
OWN_PROJECT = "https://project.supabase.co"
OTHER_PROJECT = "https://elsewhere.supabase.co"

DAY = 86_400
YEARS = 3 * 365 * DAY  # how long ago the first character was made
WEEKS = 21 * DAY
SIGNED_FOR = 365 * DAY
LARGEST = 2_147_483_647  # what an integer column holds
BEYOND = 9_007_199_254_740_993  # a seed that neither 32 bits nor a browser's number can hold

COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "characters": (
            "id", "user_id", "name", "description", "gender", "content_rating", "is_public", "traits", "persona",
            "image_url", "reference_image_url", "preview_image_url", "appearance_tags", "clothing_tags", "voice_tone",
            "mood", "first_message", "system_prompt", "alternate_greetings", "forbidden_phrases", "voice_examples",
            "default_presets", "scene_behavior_rules", "seed_locked", "role", "created_at", "updated_at",
        ),
        "character_portraits": (
            "id", "character_id", "image_url", "thumbnail_url", "prompt", "enhanced_prompt", "generation_metadata",
            "is_primary", "sort_order", "created_at", "updated_at",
        ),
        "character_scenes": (
            "id", "character_id", "scene_name", "scene_description", "scene_prompt", "image_url", "scene_type",
            "scene_starters", "system_prompt", "priority", "created_at", "updated_at",
        ),
        "api_providers": ("id", "name", "display_name", "is_active", "created_at"),
        "api_models": (
            "id", "provider_id", "display_name", "model_key", "modality", "capabilities", "is_active", "priority",
            "input_defaults", "default_for_tasks", "created_at", "updated_at",
        ),
        "jobs": (
            "id", "user_id", "job_type", "status", "original_prompt", "api_model_id", "metadata", "error_message",
            "created_at", "started_at", "completed_at",
        ),
        "workspace_assets": (
            "id", "user_id", "job_id", "asset_type", "temp_storage_path", "thumbnail_path", "mime_type",
            "file_size_bytes", "original_prompt", "model_used", "generation_seed", "generation_settings", "created_at",
            "expires_at",
        ),
        "user_library": (
            "id", "user_id", "asset_type", "storage_path", "thumbnail_path", "file_size_bytes", "mime_type",
            "original_prompt", "model_used", "generation_seed", "width", "height", "tags", "roleplay_metadata",
            "content_category", "created_at",
        ),
        "attribute_images": (
            "id", "category", "value", "style", "image_url", "prompt", "seed", "width", "height", "created_at",
            "updated_at",
        ),
        "style_images": ("id", "style", "image_url", "prompt", "created_at", "updated_at"),
    }
)  # fmt: skip
_PEOPLE = ("auth.users", ("id", "email", "raw_app_meta_data", "created_at"))
# Parents first: a child's keys are checked when its COPY ends.
_ORDER = ("auth.users", "api_providers", "api_models", *(t for t in COLUMNS if not t.startswith("api_")))
_PATTERN = (
    0,
    1,
    1,
    2,
    3,
    2,
    1,
    5,
    2,
    3,
)  # portraits of ten characters in a row, where there are two for each


@dataclass(frozen=True, kw_only=True)
class Planted:
    """What was written: rows of each table, and rows of each kind of defect by its name, as `character.two_primaries`."""

    tables: Mapping[str, int]
    kinds: Mapping[str, int]

    def __getitem__(self, kind: str) -> int:
        return self.kinds[kind]


def build(dsn: str) -> None:
    """The tables, policies and grants of the platform in an empty database, as its login role owns them."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(STAND_INS.read_text())
        conn.execute((FIXTURES / "old_schema.sql").read_text())


def fill(dsn: str, *, characters: int, portraits: int, jobs: int, seed: int = 1) -> Planted:
    """Years of rows: exactly so many of these three, and what hangs on them. From 200 characters and twice as many
    portraits and five times as many jobs on, there is at least one row of every kind.
    """
    with contextlib.ExitStack() as stack:
        streams = {table: _Stream.open(dsn, table, stack) for table in _ORDER}
        world = _World(streams=streams, rng=random.Random(seed), now=time.time())
        _write_people(world, max(characters // 8, 20))
        _write_models(world)
        _write_attributes(world)
        for number in range(characters):
            _write_character(world, number, characters, portraits, jobs)
        for table in _ORDER:
            streams[table].end()
    _analyse(dsn)
    return Planted(
        tables={table: streams[table].rows for table in COLUMNS}, kinds=MappingProxyType(dict(world.kinds))
    )


def fingerprints(
    conn: psycopg.Connection, *, without: Mapping[str, Sequence[object]] = MappingProxyType({})
) -> dict[str, tuple[int, dict[str, int]]]:
    """Rows and a hash of every column the platform's tables have had from the start: whatever their order, whatever the
    width of a number; a value that moved to another row is another hash. `without` leaves out rows by table and id.
    """
    with conn.transaction():
        conn.execute("SET LOCAL TimeZone TO 'UTC'")
        return {
            table: _fingerprint(conn, table, columns, without.get(table, ()))
            for table, columns in COLUMNS.items()
        }


def _fingerprint(
    conn: psycopg.Connection, table: str, columns: Sequence[str], without: Sequence[object]
) -> tuple[int, dict[str, int]]:
    hashes = [
        sql.SQL(
            "bit_xor(hashtextextended(id::text || ':' || coalesce({name}::text, E'\\x01 null'), 0))"
        ).format(name=sql.Identifier(name))
        for name in columns
    ]
    row = conn.execute(
        sql.SQL("SELECT count(*), {hashes} FROM public.{table} WHERE NOT id = ANY (%s)").format(
            hashes=sql.SQL(", ").join(hashes), table=sql.Identifier(table)
        ),
        [list(without)],
    ).fetchone()
    return row[0], dict(zip(columns, (value or 0 for value in row[1:]), strict=True))


# ---- writing


@dataclass
class _Stream:
    """Rows on their way into one table, on a connection of its own, so that all tables are written side by side."""

    conn: psycopg.Connection
    block: contextlib.AbstractContextManager[psycopg.Copy]
    copy: psycopg.Copy
    rows: int = 0

    @classmethod
    def open(cls, dsn: str, table: str, stack: contextlib.ExitStack) -> _Stream:
        conn = stack.enter_context(contextlib.closing(psycopg.connect(dsn)))
        name, columns = _PEOPLE if table == _PEOPLE[0] else (f"public.{table}", COLUMNS[table])
        block = conn.cursor().copy(f"COPY {name} ({', '.join(columns)}) FROM STDIN".encode())
        return cls(conn=conn, block=block, copy=block.__enter__())

    def add(self, *values: object) -> None:
        self.rows += 1
        self.copy.write_row(values)

    def end(self) -> None:
        self.block.__exit__(None, None, None)
        self.conn.commit()


@dataclass
class _World:
    """What the parts that write share."""

    streams: Mapping[str, _Stream]
    rng: random.Random
    now: float
    kinds: Counter[str] = field(default_factory=Counter)
    people: list[str] = field(default_factory=list)
    models: list[tuple[str, str]] = field(default_factory=list)  # id and key of each image model
    made: Counter[str] = field(default_factory=Counter)  # how often a form was taken, to take them in turn
    before: _Character | None = None
    foreign: _Job | None = None  # the last job of a portrait
    mandys: set[str] = field(default_factory=set)  # who has one already

    def new_id(self) -> str:
        digits = f"{self.rng.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    def turn(self, name: str, of: int) -> int:
        """0, 1, … `of` - 1 and from the start again, for each name by itself."""
        self.made[name] += 1
        return (self.made[name] - 1) % of

    def plant(self, kind: str, holds: bool = True) -> bool:
        """Count a row of this kind, where it is one."""
        if holds:
            self.kinds[kind] += 1
        return holds


class _Character(NamedTuple):
    """What the rows around a character need of it; `made` in seconds since 1970."""

    id: str
    owner: str
    name: str
    number: int
    made: float


class _Job(NamedTuple):
    id: str
    owner: str
    at: float
    character: _Character


class _Portrait(NamedTuple):
    """One portrait before it is written. `has_job`: a job of its own was written for it."""

    id: str
    image: str
    job: str | None
    metadata: str | None
    made: float
    has_job: bool = False


def _at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _analyse(dsn: str) -> None:
    """As autovacuum would have: plans of a database of years know their tables."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        for table in COLUMNS:
            conn.execute(sql.SQL("ANALYZE public.{}").format(sql.Identifier(table)))


# ---- people, models, attribute images


def _write_people(world: _World, count: int) -> None:
    for number in range(count):
        person = world.new_id()
        world.people.append(person)
        silent = world.plant("person.no_email", number % 10 == 3)
        roles = {"roles": ["editor"]} if world.plant("person.with_role", number % 50 == 7) else {}
        world.streams["auth.users"].add(
            person,
            None if silent else f"person{number}@platform.invalid",
            _json({"provider": "email", "providers": ["email"]} | roles),
            _at(world.now - YEARS - number % 1000),
        )


_PROVIDERS = (
    "fal",
    "Replicate",
    "novita-ai",
    "RunPod",
    "openrouter",
)  # ours are in small letters and one word
_MODELS = (  # provider, name, key, modality, priority, capabilities, input_defaults
    (0, "Seedream", "fal-ai/bytedance/seedream/v4/text-to-image", "image", 10, '{"supports_i2i": true}', "{}"),
    (1, "Replicate FLUX", "black-forest-labs/flux-dev", "image", 8, '{"supports_i2i": false, "max_resolution": 1440}', "{}"),
    (2, "SDXL", "sd_xl_base_1.0.safetensors", "image", 5, '{"supported_formats": ["png"]}', None),
    (2, "SDXL again", "sd_xl_base_1.0.safetensors", "image", 5, None, "{}"),
    (3, "Own SDXL", "own-sdxl", "image", 4, "[]", "[]"),
    (0, "Old FLUX", "fal-ai/flux/schnell", "image", 3, '"yes"', '"none"'),
    (0, "FLUX edit", "fal-ai/flux/dev/image-to-image", "image", 2, '{"supports_i2i": "true", "max_reference_images": "two"}', "{}"),
    (0, "Wide", "fal-ai/wide", "image", 1, '{"max_resolution": "2048x2048", "supported_formats": "png", "aspect_ratios": 1.5}', "{}"),
    (0, "Nulls", "fal-ai/nulls", "image", 1, '{"supports_i2i": null, "max_resolution": null, "supported_formats": null, "aspect_ratios": null, "max_reference_images": null}', "null"),
    (0, "Video", "fal-ai/video", "video", 1, "{}", "{}"),
    (4, "Talker", "openrouter/talker", "chat", 1, "{}", "{}"),
)  # fmt: skip
_ODD_FROM = 4  # the models from there on to Nulls have capabilities of odd types
_ODD_UNTIL = 9


def _write_models(world: _World) -> None:
    made = _at(world.now - YEARS)
    providers = [world.new_id() for _ in _PROVIDERS]
    for provider, name in zip(providers, _PROVIDERS, strict=True):
        world.plant("provider.other_name", name not in {"fal", "openrouter"})
        world.streams["api_providers"].add(provider, name, name.title(), True, made)
    keys: set[tuple[int, str]] = set()
    for number, (provider, name, key, modality, priority, capabilities, defaults) in enumerate(_MODELS):
        model = world.new_id()
        world.plant("model.odd_capabilities", _ODD_FROM <= number < _ODD_UNTIL)
        world.plant("model.twice", (provider, key) in keys)
        keys.add((provider, key))
        if modality == "image":
            world.models.append((model, key))
        world.streams["api_models"].add(
            model, providers[provider], name, key, modality, capabilities, number != _ODD_UNTIL, priority, defaults,
            ["generation"] if number == 0 else None, made, made,
        )  # fmt: skip


_VALUES = (
    ("age", ("20s", "30s", "40s", "50s", "60s", "unknown")),
    ("body", ("Slim", "Cub", "Average", "Curvy", "Chubby")),
    ("ethnicity", ("Caucasian", "Asian", "Arab", "Latina", "Mixed", "Elf")),
    ("hairdo", ("Beehive",)),
)
_STYLES = ("realistic", "anime", "Realistic")


def _write_attributes(world: _World) -> None:
    made = _at(world.now - YEARS / 2)
    for category, values in _VALUES:
        for value in values:
            for style in _STYLES[: 3 if value == "30s" else 2]:
                _write_attribute(world, category, value, style, made)
    for style, image in (("realistic", _signed("assets/style-images/realistic.jpg", world.now - 2 * SIGNED_FOR)),
                         ("anime", f"{OWN_PROJECT}/storage/v1/object/public/assets/style-images/anime.jpg")):  # fmt: skip
        world.streams["style_images"].add(world.new_id(), style, image, None, made, made)


def _write_attribute(world: _World, category: str, value: str, style: str, made: str) -> None:
    world.plant("attribute.alias", value == "Cub")
    world.plant("attribute.unknown_value", value in {"unknown", "Elf", "Beehive"} or style == "Realistic")
    path = f"attribute-images/{category}/{value}-{style}.jpg"
    dead = world.plant("attribute.signed_link", value == "Slim")
    world.streams["attribute_images"].add(
        world.new_id(), category, value, style,
        _signed(f"assets/{path}", world.now - 2 * SIGNED_FOR) if dead else f"{OWN_PROJECT}/storage/v1/object/public/assets/{path}",
        None if value == "unknown" else words.PROMPTS[0], LARGEST if value == "30s" else 42, 512, 768, made, made,
    )  # fmt: skip


# ---- characters


def _write_character(world: _World, number: int, characters: int, portraits: int, jobs: int) -> None:
    it = _new_character(world, number, characters)
    wanted = _share(number + 1, characters, portraits) - _share(number, characters, portraits)
    may = jobs * (number + 1) // characters - jobs * number // characters
    saved = may - (it.name == "Mandy")
    its_portraits: list[_Portrait] = []
    for place in range(wanted):
        its_portraits.append(_new_portrait(world, it, place, saved, its_portraits))
    stars = _stars(world, its_portraits)
    for portrait in its_portraits:
        _write_portrait(world, it, portrait, is_primary=portrait.id in stars)
    _write_row_of_character(world, it, its_portraits, stars)
    if number % 4 == 1:
        _write_scene(world, it)
    for place in range(may - sum(portrait.has_job for portrait in its_portraits)):
        _write_loose_job(world, it, is_first=place == 0)
    world.before = it


def _share(number: int, characters: int, portraits: int) -> int:
    """How many portraits the first `number` characters have together."""
    whole = sum(_PATTERN)
    weight = number // len(_PATTERN) * whole + sum(_PATTERN[: number % len(_PATTERN)])
    last = characters // len(_PATTERN) * whole + sum(_PATTERN[: characters % len(_PATTERN)])
    return portraits * weight // last


def _new_character(world: _World, number: int, characters: int) -> _Character:
    people = world.people
    owner = people[number % len(people)]
    made = world.now - YEARS * (characters - number) / (characters + 1) - DAY
    slot = number % 101
    if slot == 37 and world.before is not None:
        world.plant("character.namesake")
        owner, name = world.before.owner, world.before.name
    elif slot == 41 and owner not in world.mandys:
        world.plant("character.mandy")
        world.mandys.add(owner)
        name = "Mandy"
    else:
        name = _name(world, slot, number)
    return _Character(id=world.new_id(), owner=owner, name=name, number=number, made=made)


def _name(world: _World, slot: int, number: int) -> str:
    turn = number // len(world.people)  # another surname for each character of one owner
    last = words.LAST[(number + turn) % len(words.LAST)]
    plain = f"{words.FIRST[number % len(words.FIRST)]} {last}"
    for at, kind, name in (
        (3, "character.long_name", (plain + words.LONG_NAME)[:60].rstrip().ljust(60, "!")),
        (11, "character.right_to_left_name", f"{words.RIGHT_TO_LEFT[number % 3]} {last}"),
        (17, "character.emoji_name", f"{words.EMOJI[number % 3]} {last}"),
        (23, "character.combining_name", f"{words.COMBINING[number % 3]} {last}"),
        (29, "character.trailing_blanks", f"{plain}  "),
        (31, "character.empty_name", ""),
    ):
        if slot == at:
            world.plant(kind)
            return name
    return plain


def _description(world: _World, number: int) -> str:
    slot = number % 89
    if world.plant("character.empty_description", slot == 5):
        return ""
    if world.plant("character.short_description", slot in {9, 50}):
        return "short"
    plain = f"An adult who {words.ROLES[number % len(words.ROLES)]}; {words.MANNERS[number % len(words.MANNERS)]}."
    if world.plant("character.overlong_description", slot in {14, 61}):
        return " ".join([plain] * (6 + number % 20))
    return plain


def _tags(world: _World, kind: str, known: Sequence[str], number: int, slot: int) -> list[str] | None:
    if world.plant(f"character.many_{kind}", number % 83 == slot):
        return list(known[:22])
    if world.plant(f"character.null_{kind}", number % 83 == slot + 1):
        return None
    first = number % (len(known) - 4)
    return list(known[first : first + number % 5])


def _write_row_of_character(
    world: _World, it: _Character, portraits: Sequence[_Portrait], stars: set[str]
) -> None:
    number = it.number
    image = _image_of_character(world, it, portraits, stars)
    edge = world.plant("character.seed_near_limit", number % 79 == 6)
    early = world.plant("character.updated_before_created", number % 97 == 13)
    nsfw = world.plant("character.nsfw_by_default", number % 3 > 0)
    world.streams["characters"].add(
        it.id, it.owner, it.name, _description(world, number), ("female", "male", "unspecified")[number % 3],
        "nsfw" if nsfw else "sfw", number % 7 == 0, None if number % 2 else "carries a lamp", words.MANNERS[number % 5],
        image, image if number % 5 else None, None, _tags(world, "tags", words.APPEARANCE, number, 2),
        _tags(world, "clothing_tags", words.CLOTHING, number, 21),
        ("warm", "playful", "confident", "teasing", "direct", None)[number % 6],
        ("friendly", "flirty", "mysterious", "dominant", "submissive", None)[number % 6],
        "Tea first, then talk." if number % 2 else None, None, ["Hello there."] if number % 4 == 0 else [],
        [] if number % 11 else None, [], (None, "{}", '{"pose": "standing"}', "[]")[number % 4],
        None if number % 9 else "{}", LARGEST - number % 2 * (2 * LARGEST + 1) if edge else None if number % 3 else number,
        None if number % 2 else "keeper", _at(it.made), _at(it.made - 3600 if early else it.made + number % 50 * DAY / 51),
    )  # fmt: skip


def _image_of_character(
    world: _World, it: _Character, portraits: Sequence[_Portrait], stars: set[str]
) -> str | None:
    slot = it.number % 19
    if not portraits or world.plant("character.image_null_with_portraits", slot == 4):
        world.plant("character.image_null")
        return None
    primary = next((portrait for portrait in portraits if portrait.id in stars), portraits[-1])
    if slot == 7 and len(portraits) > 1:
        primary = next((portrait for portrait in portraits if portrait.id not in stars), primary)
    world.plant("character.image_not_primary", len(stars) == 1 and primary.id not in stars)
    _plant_link(world, "character", primary.image)
    return primary.image


def _stars(world: _World, portraits: Sequence[_Portrait]) -> set[str]:
    """Which of a character's portraits are primary; all but the newest of several are corrected by the adoption."""
    if not portraits:
        world.plant("character.no_portrait")
        return set()
    slot = world.turn("stars", 17)
    wanted = 0 if slot == 3 else 1
    if len(portraits) >= 2 and slot in {5, 9}:
        wanted = 3 if slot == 9 and len(portraits) >= 3 else 2
    world.plant(f"character.{('no_primary', 'one_primary', 'two_primaries', 'three_primaries')[wanted]}")
    world.kinds["portrait.second_primary"] += max(wanted - 1, 0)
    chosen = portraits[:wanted] if slot % 2 else portraits[len(portraits) - wanted :]
    return {portrait.id for portrait in chosen}


# ---- portraits


def _new_portrait(
    world: _World, it: _Character, place: int, may: int, older: Sequence[_Portrait]
) -> _Portrait:
    """The next portrait of a character; at most `may` of them have a job of their own."""
    made = min(it.made + place * DAY + 40, world.now - 60 + place)
    form = world.turn("portrait", 29)
    if form in {3, 11, 19} or (place >= may and form < 15):
        return _portrait_without_job(world, it, made)
    if place >= may or form == 7:
        world.plant("portrait.job_purged")
        return _portrait_of(world, it, world.new_id(), made)
    if form in {5, 16, 23} and older and older[-1].has_job:
        world.plant("portrait.second_of_job")
        return _portrait_of(world, it, older[-1].job, made)
    if form == 21 and world.foreign is not None and world.foreign.owner != it.owner:
        world.plant("portrait.job_of_somebody_else")
        return _portrait_of(world, it, world.foreign.id, made)
    world.foreign = _write_saved_job(world, it, made)
    return _portrait_of(world, it, world.foreign.id, made)._replace(has_job=True)


def _portrait_without_job(world: _World, it: _Character, made: float) -> _Portrait:
    world.plant("portrait.no_job")
    form = world.turn("no job", 8)
    metadata = (None, "{}", '{"model": "seedream"}', "[]", '"txt2img"', '{"job_id": "undefined"}',
                '{"job_id": 17, "presets": ["pose"]}', '{"job_id": null}')[form]  # fmt: skip
    world.plant("portrait.metadata_null", form == 0)
    world.plant("portrait.metadata_no_object", form in {3, 4})
    world.plant("portrait.metadata_odd_types", form in {5, 6})
    image = (
        f"https://fal.media/files/old/{it.number}.png"
        if form % 2
        else f"user-library/{it.owner}/uploads/{it.number}.png"
    )
    return _Portrait(id=world.new_id(), image=image, job=None, metadata=metadata, made=made)


def _portrait_of(world: _World, it: _Character, job: str, made: float) -> _Portrait:
    form = world.turn("portrait of a job", 19)
    path = f"user-library/{it.owner}/portraits/{it.id}/{job}.png"
    if form in {1, 9, 15}:
        path = f"user-library/{it.owner}/{job}_{it.id}.png"
    if form == 5:
        path = f"workspace-temp/{it.owner}/{job}_{int(made * 1000)}.png"
    image = path
    if form in {2, 6, 10}:
        image = _signed(path, made)
    elif form == 13:
        image = _signed(path, made, OTHER_PROJECT)
    elif form == 17:
        image = f"https://fal.media/files/penguin/{job[:8]}.png"
    metadata: dict[str, object] = {
        "model": "seedream",
        "generation_mode": "txt2img",
        "generation_time_ms": 9000 + form,
    }
    by_path = form in {0, 1}
    if not world.plant("portrait.job_by_path_only", by_path):
        metadata["job_id"] = job.upper() if world.plant("portrait.job_in_capitals", form == 4) else job
    return _Portrait(id=world.new_id(), image=image, job=job, metadata=_json(metadata), made=made)


def _write_portrait(world: _World, it: _Character, portrait: _Portrait, *, is_primary: bool) -> None:
    form = world.turn("portrait row", 13)
    _plant_link(world, "portrait", portrait.image)
    early = world.plant("portrait.updated_before_created", form == 6)
    own = portrait.image.startswith("user-library/")
    thumbnail = f"{portrait.image.rpartition('.')[0]}.thumb.webp" if own and form % 3 else None
    world.plant("portrait.no_thumbnail", thumbnail is None)
    order = 0 if form else it.number % 5 + 1
    world.plant("portrait.sort_order_zero", order == 0)
    world.streams["character_portraits"].add(
        portrait.id, it.id, portrait.image, thumbnail, words.PROMPTS[form % 4], None, portrait.metadata, is_primary,
        order, _at(portrait.made), _at(portrait.made - 60 if early else portrait.made),
    )  # fmt: skip


def _plant_link(world: _World, table: str, link: str) -> None:
    """Count what kind of address this is; signed links by whether they have ended."""
    if link.startswith(OTHER_PROJECT):
        world.plant(f"{table}.link_of_another_project")
    elif link.startswith(OWN_PROJECT):
        world.plant(f"{table}.link_{'dead' if token_ends(link) < world.now else 'fresh'}")
    elif link.startswith("http"):
        world.plant(f"{table}.link_of_a_stranger")
    elif link.startswith("workspace-temp/"):
        world.plant(f"{table}.workspace_path")


def _signed(path: str, made: float, project: str = OWN_PROJECT) -> str:
    """A link as the platform had its storage sign it, for a year. The token is made up and opens nothing."""
    head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"made-up"}').rstrip(b"=").decode()
    body = base64.urlsafe_b64encode(
        _json({"url": path, "iat": int(made), "exp": int(made) + SIGNED_FOR}).encode()
    )
    return f"{project}/storage/v1/object/sign/{path}?token={head}.{body.rstrip(b'=').decode()}.nobody-signed-this"


def token_ends(link: str) -> float:
    """When a link of `_signed` ends, in seconds since 1970."""
    body = link.rpartition("?token=")[2].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))["exp"]


# ---- scenes


def _write_scene(world: _World, it: _Character) -> None:
    form = world.turn("scene", 11)
    name, about = words.SCENES[form % 3]
    empty = world.plant("scene.empty_name", form == 5)
    world.streams["character_scenes"].add(
        world.new_id(), it.id, "" if empty else name, about if form % 2 else None, None,
        _signed(f"user-library/{it.owner}/scenes/{it.number}.png", it.made) if form == 7 else None,
        None if form == 9 else "custom", None if form == 3 else ["Good evening."], None, 0, _at(it.made), _at(it.made),
    )  # fmt: skip


# ---- jobs, results, library


def _write_saved_job(world: _World, it: _Character, at: float) -> _Job:
    """A completed portrait job with its result and, most of the time, its library row."""
    job = _Job(id=world.new_id(), owner=it.owner, at=at - 30, character=it)
    _write_job(world, job, "completed", metadata=_naming(world, it))
    _write_asset(world, job)
    form = world.turn("saved", 23)
    if not world.plant("job.unsaved", form == 4):
        _write_item(world, job)
        if world.plant("library.second_of_job", form in {8, 20}):
            _write_item(world, job)
    return job


def _naming(world: _World, it: _Character) -> str:
    """metadata of a portrait job: its character by id or only by name, in either spelling, or not at all."""
    form = world.turn("naming", 9)
    said: dict[str, object] = {
        "destination": "character_portrait",
        "contentType": "sfw" if form % 2 else "nsfw",
    }
    if form in {0, 2, 4, 6}:
        said["character_id"] = it.id
    if form in {1, 2, 3}:
        said["character_name"] = it.name
    if form in {5, 7}:
        said["characterName"] = it.name
    if form == 4:
        said["seed"] = BEYOND
    world.plant("job.id_missing", "character_id" not in said)
    world.plant("job.named_in_camel_case", "characterName" in said)
    world.plant("job.names_nobody", form == 8)
    world.plant("job.seed_beyond_32_bits", form == 4)
    return _json(said)


def _write_job(
    world: _World,
    job: _Job,
    status: str,
    *,
    metadata: str | None,
    job_type: str = "fal_image",
    error: str | None = None,
) -> None:
    model = None
    if not world.plant("job.no_model", world.turn("model", 12) == 11):
        model = world.models[job.character.number % len(world.models)][0]
    ended = status in {"completed", "failed"}
    timeless = status == "completed" and world.plant(
        "job.completed_without_time", world.turn("ended", 31) == 30
    )
    world.streams["jobs"].add(
        job.id, job.owner, job_type, status, words.PROMPTS[job.character.number % 4], model, metadata, error, _at(job.at),
        None if status == "queued" else _at(job.at + 2), _at(job.at + 25) if ended and not timeless else None,
    )  # fmt: skip


def _write_loose_job(world: _World, it: _Character, *, is_first: bool) -> None:
    """A job that no portrait came of, each in one of the ways that are met."""
    if is_first and it.name == "Mandy":
        _write_mandys_job(world, it)
        return
    weeks_ago = min(it.made + 5 * DAY, world.now - WEEKS - it.number % 1000)
    job = _Job(id=world.new_id(), owner=it.owner, at=weeks_ago - world.rng.random() * 3 * DAY, character=it)
    _WAYS[world.turn("loose", len(_WAYS))](world, job)


def _write_mandys_job(world: _World, it: _Character) -> None:
    """As it was met: the form asked for the picture 25 s before the character was there, and nothing was saved."""
    world.plant("job.mandy")
    job = _Job(id=world.new_id(), owner=it.owner, at=it.made - 25, character=it)
    said = {"destination": "character_portrait", "characterName": it.name}
    world.plant("job.id_missing")
    world.plant("job.named_in_camel_case")
    world.plant("job.processing_with_asset")
    _write_job(world, job, "processing", metadata=_json(said))
    _write_asset(world, job)


def _failed(world: _World, job: _Job) -> None:
    error = words.FAILURES[job.character.number % len(words.FAILURES)]
    world.plant("job.failed")
    _write_job(world, job, "failed", metadata=_naming(world, job.character), error=error)


def _failed_with_asset(world: _World, job: _Job) -> None:
    world.plant("job.failed_with_asset")
    _failed(world, job)
    _write_asset(world, job)


def _queued(world: _World, job: _Job) -> None:
    world.plant("job.queued_for_weeks")
    _write_job(world, job, "queued", metadata=_naming(world, job.character))


def _processing_with_asset(world: _World, job: _Job) -> None:
    world.plant("job.processing_with_asset")
    _write_job(world, job, "processing", metadata=_naming(world, job.character))
    _write_asset(world, job)


def _processing(world: _World, job: _Job) -> None:
    world.plant("job.processing_without_asset")
    _write_job(world, job, "processing", metadata=_naming(world, job.character))


def _without_asset(world: _World, job: _Job) -> None:
    world.plant("job.completed_without_asset")
    world.plant("job.unsaved")
    _write_job(world, job, "completed", metadata=_naming(world, job.character))


def _unsaved(world: _World, job: _Job) -> None:
    world.plant("job.unsaved")
    _write_job(world, job, "completed", metadata=_naming(world, job.character))
    _write_asset(world, job)


def _of_foreign_character(world: _World, job: _Job) -> None:
    """The job of somebody who names another one's character."""
    other = world.people[(job.character.number + 1) % len(world.people)]
    foreign = job._replace(owner=other)
    world.plant("job.foreign_character", other != job.owner)
    said = {"destination": "character_portrait", "character_id": job.character.id}
    world.plant("job.unsaved")
    _write_job(world, foreign, "completed", metadata=_json(said))
    _write_asset(world, foreign)


def _without_metadata(world: _World, job: _Job) -> None:
    world.plant("job.metadata_null")
    _write_job(world, job, "completed", metadata=None)
    _write_asset(world, job)


def _metadata_no_object(world: _World, job: _Job) -> None:
    world.plant("job.metadata_no_object")
    _write_job(
        world, job, "completed", metadata=("[]", '"character_portrait"', "17", "null")[world.turn("odd", 4)]
    )
    _write_asset(world, job)


def _metadata_odd_types(world: _World, job: _Job) -> None:
    world.plant("job.metadata_odd_types")
    said = ({"character_id": 17, "character_name": ["a", "b"]}, {"character_id": "undefined", "characterName": {"first": "A"}},
            {"character_id": None, "character_name": True, "generation_time_ms": "fast"})[world.turn("types", 3)]  # fmt: skip
    world.plant("job.id_missing", said["character_id"] is None)
    world.plant("job.unsaved")
    _write_job(world, job, "completed", metadata=_json({"destination": "character_portrait"} | said))
    _write_asset(world, job)


def _video(world: _World, job: _Job) -> None:
    _write_job(world, job, "completed", metadata="{}", job_type="fal_video")
    _write_asset(world, job, asset_type="video")
    _write_item(world, job, asset_type="video")


def _plain_image(world: _World, job: _Job) -> None:
    _write_job(world, job, "completed", metadata='{"destination": "workspace"}', job_type="sdxl_image_high")
    _write_asset(world, job)
    _write_item(world, job, asset_type="plain")


def _batch(world: _World, job: _Job) -> None:
    _plain_image(world, job)
    world.plant("asset.second_of_job")
    _write_asset(world, job)


def _purged(world: _World, job: _Job) -> None:
    """A failed job; and the result and the library row of one that was purged beside it."""
    _failed(world, job)
    gone = job._replace(id=world.new_id())
    world.plant("asset.job_purged")
    _write_asset(world, gone)
    world.plant("library.job_purged")
    _write_item(world, gone)


def _foreign_asset(world: _World, job: _Job) -> None:
    world.plant("asset.foreign_folder")
    _write_job(world, job, "completed", metadata='{"destination": "workspace"}')
    _write_asset(world, job, folder=world.people[(job.character.number + 1) % len(world.people)])


def _foreign_item(world: _World, job: _Job) -> None:
    world.plant("library.foreign_folder")
    _write_job(world, job, "completed", metadata='{"destination": "workspace"}')
    _write_item(
        world, job, folder=world.people[(job.character.number + 1) % len(world.people)], asset_type="plain"
    )


def _without_job(world: _World, job: _Job) -> None:
    """A failed job; and an asset beside it that never had one."""
    _failed(world, job)
    world.plant("asset.no_job")
    _write_asset(world, job, names_job=False)


_WAYS = (  # in turn; two thirds are in order
    *(_plain_image,) * 24,
    _failed, _failed_with_asset, _queued, _plain_image, _processing_with_asset, _processing, _without_asset, _plain_image,
    _unsaved, _of_foreign_character, _without_metadata, _metadata_no_object, _metadata_odd_types, _video, _batch, _purged,
    _foreign_asset, _foreign_item, _without_job,
)  # fmt: skip


def _write_asset(
    world: _World, job: _Job, *, asset_type: str = "image", folder: str | None = None, names_job: bool = True
) -> None:
    form = world.turn("asset", 21)
    ending, mime = ("mp4", "video/mp4") if asset_type == "video" else ("png", "image/png")
    path = f"{folder or job.owner}/{job.id}_{int(job.at * 1000) + form}.{ending}"
    prefixed = world.plant("asset.path_with_bucket", form % 3 == 0)
    near = world.plant("asset.seed_near_limit", form == 8)
    world.plant("asset.settings_null", form == 2)
    world.plant("asset.settings_no_object", form in {3, 4})
    world.plant("asset.seed_beyond_32_bits", form in {5, 6})
    settings = {
        2: None,
        3: "[]",
        4: '"fast"',
        5: f'{{"seed": {BEYOND}}}',
        6: '{"seed": "18446744073709551615", "width": "wide"}',
    }
    world.streams["workspace_assets"].add(
        world.new_id(), job.owner, job.id if names_job else None, asset_type, f"workspace-temp/{path}" if prefixed else path,
        None if form % 2 else f"{path.rpartition('.')[0]}.thumb.webp", mime, 0 if form == 9 else 900_000 + form,
        None, None if form == 10 else "seedream", LARGEST if near else None if form in {5, 6} else form,
        settings.get(form, '{"width": 1024, "height": 1024}'), _at(job.at + 20), _at(job.at + 7 * DAY) if form % 5 else None,
    )  # fmt: skip


def _write_item(world: _World, job: _Job, *, asset_type: str = "portrait", folder: str | None = None) -> None:
    form = world.turn("item", 17)
    it = job.character
    owner = folder or job.owner
    ending, mime = ("mp4", "video/mp4") if asset_type == "video" else ("png", "image/png")
    portrait = asset_type == "portrait"
    path = (
        f"{owner}/portraits/{it.id}/{job.id}.png"
        if portrait and form % 3
        else f"{owner}/{job.id}_{it.id}.{ending}"
    )
    bare = world.plant("library.no_thumbnail", form % 4 == 0)
    world.plant("library.about_null", not portrait or form == 5)
    world.plant("library.about_no_object", portrait and form == 6)
    about = None if not portrait or form == 5 else "[]" if form == 6 else _about(world, it, form)
    near = world.plant("library.seed_near_limit", form == 8)
    world.streams["user_library"].add(
        world.new_id(), job.owner, "video" if asset_type == "video" else "image", path,
        None if bare else f"{path.rpartition('.')[0]}.thumb.webp", 0 if form == 9 else 900_000, mime, words.PROMPTS[form % 4],
        None if form == 10 else "seedream", -LARGEST - 1 if near else form, None if form == 11 else 1024,
        None if form == 11 else 1024, ["character", "portrait"] if portrait else None if form == 12 else [], about,
        "character" if portrait else None, _at(job.at + 28),
    )  # fmt: skip


def _about(world: _World, it: _Character, form: int) -> str:
    said: dict[str, object] = {
        "type": "character_portrait",
        "consistency_method": ("none", "seed", "i2i")[form % 3],
    }
    if not world.plant("library.names_no_character", form in {7, 13}):
        said |= {"character_id": it.id, "character_name": it.name}
    return _json(said)
