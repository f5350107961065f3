"""The library over 200,000 rows: its first page, page 3,000, searches and filters; as the page asks for them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import date

import psycopg

from bench.figures import Figure, p95
from bench.world import home, settings
from core import library
from core.auth import LOCAL_PERSON
from core.library import Page, Wanted
from core.services import Services, open_services

ROWS = 200_000
DEEP = 3000  # the page that must be as fast as the first
ASKED = 60  # times each question is asked
BUDGET = 150  # ms (DESIGN)
WORDS = (
    "harbour", "telescope", "sunlit", "lighthouse", "raincoat", "lemons", "market", "brass", "quay", "violin",
    "orchard", "tram", "snow", "bakery", "rooftop", "ferry", "chess", "kite", "greenhouse", "radio",
)  # fmt: skip
SEARCHES = {
    "a common word": Wanted(words="harbour"),
    "letters of a word, as typed": Wanted(words="tel"),
    "three words": Wanted(words="violin snow chess"),
    "a word that is nowhere": Wanted(words="zeppelin"),
    "characters": Wanted(only_characters=True),
    "a rare tag": Wanted(tag="rare"),
    "a model and a week": Wanted(model="model-3", first_day=date(2026, 3, 2), last_day=date(2026, 3, 8)),
    "a seed": Wanted(seed=123_456),
}


def measure() -> list[Figure]:
    """p95 in milliseconds of every question."""
    with home() as folder, open_services(settings(folder)) as services:
        _fill(services)
        _times(lambda: library.page(Wanted(), LOCAL_PERSON, services), 10)  # a database that was just started
        first = _times(lambda: library.page(Wanted(), LOCAL_PERSON, services), ASKED)
        cursor = _cursor_of(DEEP, services)
        deep = _times(lambda: library.page(Wanted(), LOCAL_PERSON, services, cursor=cursor), ASKED)
        found = {
            name: _times(lambda wanted=wanted: library.page(wanted, LOCAL_PERSON, services), ASKED)
            for name, wanted in SEARCHES.items()
        }
        counted = _times(lambda: library.count(Wanted(words="harbour"), LOCAL_PERSON, services), ASKED)
    note = f"p95 of {ASKED}, {library.PAGE} of {ROWS:,} rows, links signed"
    return [
        Figure(what="library, first page", measured=p95(first), unit="ms", budget=BUDGET, note=note),
        Figure(
            what=f"library, page {DEEP:,}",
            measured=p95(deep),
            unit="ms",
            budget=BUDGET,
            floor=p95(first),
            note=f"the floor is the first page; medians {statistics.median(deep):.1f} and"
            f" {statistics.median(first):.1f} ms",
        ),
        *(
            Figure(what=f"library, {name}", measured=p95(taken), unit="ms", budget=BUDGET, note=note)
            for name, taken in found.items()
        ),
        Figure(what="library, how many", measured=p95(counted), unit="ms", budget=BUDGET, note='"1,000+"'),
    ]


def _fill(services: Services) -> None:
    """Rows as the product would have written them, past the triggers."""
    with psycopg.connect(services.db.dsn) as conn:
        conn.execute("SET session_replication_role = replica")
        conn.execute("SELECT setseed(0.42)")
        conn.execute(
            """
            INSERT INTO public.user_library
                (user_id, asset_type, storage_path, thumbnail_path, file_size_bytes, mime_type, original_prompt, model_used,
                 generation_seed, width, height, tags, roleplay_metadata, content_category, created_at)
            SELECT %(owner)s::uuid, 'image', %(owner)s::uuid || '/portraits/' || n || '.png',
                   %(owner)s::uuid || '/portraits/' || n || '.thumb.webp',
                   900000, 'image/png',
                   'high quality character portrait, sharp focus, adult person, ' || array_to_string(ARRAY(
                       SELECT (%(words)s::text[])[1 + floor(random() * %(many)s + n * 0)::int] FROM generate_series(1, 6)), ', '),
                   'model-' || n %% 7, n * 17, 1024, 1024,
                   CASE WHEN n %% 5000 = 0 THEN '{character,portrait,rare}'::text[] ELSE '{character,portrait}'::text[] END,
                   jsonb_build_object('type', 'character_portrait', 'character_name', 'Person ' || n %% 5000),
                   CASE WHEN n %% 4 = 0 THEN 'scene' ELSE 'character' END,
                   timestamptz '2026-01-01' + n * interval '100 seconds'
            FROM generate_series(1, %(rows)s) n
            """,
            {"owner": str(LOCAL_PERSON.id), "words": list(WORDS), "many": len(WORDS), "rows": ROWS},
        )
    with psycopg.connect(services.db.dsn, autocommit=True) as conn:
        conn.execute("VACUUM (ANALYZE) public.user_library")


def _cursor_of(page: int, services: Services) -> str:
    """Where that page begins: the same key that reading all pages before it would lead to."""
    with services.db.as_service() as conn:
        row = conn.execute(
            """
            SELECT (extract(epoch FROM created_at) * 1000000)::bigint || '_' || id FROM public.user_library
            WHERE deleted_at IS NULL ORDER BY created_at DESC, id DESC OFFSET %s LIMIT 1
            """,
            ((page - 1) * library.PAGE - 1,),
        ).fetchone()
    assert row is not None
    return str(row[0])


def _times(ask: Callable[[], Page | str], count: int) -> list[float]:
    taken: list[float] = []
    for _ in range(count):
        began = time.perf_counter()
        ask()
        taken.append((time.perf_counter() - began) * 1000)
    return taken
