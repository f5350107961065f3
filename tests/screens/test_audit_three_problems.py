"""Three problems in a world that is otherwise well: the overview alone names all three and nothing else, the worst first,
each with the way to the page that mends it (issue 5, "Overview").
"""

from __future__ import annotations

import html
import json
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from core import attributes
from core.auth import LOCAL_PERSON
from core.services import Services
from tests.screens.dashboard import text_of

HOUR = timedelta(hours=1)
SKETCH = "(SELECT m.id FROM public.api_models m JOIN public.api_providers p ON p.id = m.provider_id WHERE p.name = 'sketch' LIMIT 1)"
_LINE = re.compile(
    r'<li data-tone="(\w+)"><a href="([^"]+)".*?<b>(.*?)</b>.*?<span class="ov-go">(.*?)</span></a></li>',
    re.DOTALL,
)


@pytest.fixture
def services(build) -> Services:
    return build(providers=("sketch",), heartbeat_seconds=30, stuck_after=600, team_sharing=True)


def sql(services: Services, statement: str, *values: object) -> None:
    """What an accident or another writer left: none of our triggers saw it."""
    with psycopg.connect(services.db.dsn, autocommit=True) as conn:
        conn.execute("SET session_replication_role = replica")
        conn.execute(statement, values)


@pytest.fixture(autouse=True)
def well(services: Services) -> None:
    """Every attribute image is there, and the store was looked at just now."""
    for cell in attributes.all_cells(services.catalog):
        if cell.category == "style":
            sql(
                services,
                "INSERT INTO public.style_images (style, image_url) VALUES (%s, 'assets/x.jpg')",
                cell.style,
            )
        else:
            sql(
                services,
                "INSERT INTO public.attribute_images (category, value, style, image_url) VALUES (%s, %s, %s, 'assets/x.jpg')",
                cell.category,
                cell.value,
                cell.style,
            )
    sql(
        services, "INSERT INTO studio.health_looks (name, ok, sentence) VALUES ('store', true, 'It answers.')"
    )


# -- what can be planted ----------------------------------------------------------------------------------------------


def insert_job(services: Services, status: str, *, stage: str | None = None, ago: timedelta = HOUR) -> str:
    """A job of the local person, asked for and last heard of that long ago."""
    job = str(uuid4())
    sql(
        services,
        f"""
        INSERT INTO public.jobs (id, user_id, job_type, status, stage, metadata, runner, api_model_id, created_at,
            started_at, heartbeat_at, completed_at)
        VALUES (%s, %s, 'image', %s, %s, %s, 'studio', {SKETCH}, now() - %s, now() - %s, now() - %s,
            CASE WHEN %s IN ('completed', 'failed') THEN now() - %s END)
        """,
        job, LOCAL_PERSON.id, status, stage, json.dumps({"destination": "character_portrait", "provider": "sketch"}),
        ago, ago, ago, status, ago,
    )  # fmt: skip
    return job


def insert_entry(services: Services, entrypoint: str, job: str, *, key: str, due: timedelta) -> None:
    """A waiting entry of the queue; `due` is how long ago it could have begun, in the future where negative."""
    sql(
        services,
        """
        INSERT INTO studio_queue.pgqueuer (entrypoint, payload, priority, status, dedupe_key, execute_after)
        VALUES (%s, %s, 0, 'queued', %s, now() - %s)
        """,
        entrypoint, job.encode(), key, due,
    )  # fmt: skip


def pause_a_provider(services: Services) -> None:
    sql(
        services,
        "INSERT INTO studio.provider_state (provider, paused_until, why) VALUES ('novita', now() + interval '1 hour', %s)",
        "the balance is empty",
    )


def leave_a_job_standing(services: Services) -> None:
    insert_job(services, "processing")


def lose_a_receipt(services: Services) -> None:
    insert_job(services, "processing", stage="outcome_unknown")


def let_a_result_expire(services: Services) -> None:
    """Paid, received by the provider, deleted there in five minutes; its job is on its way."""
    job = insert_job(services, "processing", ago=timedelta(minutes=2))
    insert_entry(services, "portrait_sketch", job, key=f"job:{job}", due=-HOUR)
    sql(
        services,
        """
        INSERT INTO studio.submissions (job_id, attempt, lease, provider, model_key, request_id, receipt, received_at,
            result_expires_at)
        VALUES (%s, 1, 1, 'fal', 'fal-ai/flux/dev', 'r-1', '{}', now(), now() + interval '5 minutes')
        """,
        job,
    )


def keep_a_portrait_unsaved(services: Services) -> None:
    job = insert_job(services, "completed", stage="saving", ago=2 * HOUR)
    sql(services, "UPDATE public.jobs SET character_id = %s WHERE id = %s", uuid4(), job)
    sql(
        services,
        """
        INSERT INTO public.workspace_assets (user_id, job_id, asset_type, temp_storage_path, mime_type)
        VALUES (%s, %s, 'image', 'x/y.png', 'image/png')
        """,
        LOCAL_PERSON.id, job,
    )  # fmt: skip


def break_a_portrait(services: Services) -> None:
    sql(
        services,
        "INSERT INTO studio.proof_results (job_id, ended_at, row_codes) VALUES (%s, now() - interval '3 hours', %s)",
        uuid4(),
        ["NO_LIBRARY_ROW"],
    )


def spend_a_budget(services: Services, *, limit: str) -> None:
    """Ten dollars were spent today."""
    sql(
        services,
        "INSERT INTO studio.budgets (scope, period, limit_usd, hard) VALUES ('everybody', 'day', %s, true)",
        limit,
    )
    job = insert_job(services, "failed", ago=timedelta(0))
    sql(services, "UPDATE public.jobs SET error_code = 'PURGED' WHERE id = %s", job)
    for kind in ("estimated", "billed"):
        sql(
            services,
            """
            INSERT INTO studio.cost_entries (job_id, user_id, provider, model_key, kind, amount_usd)
            VALUES (%s, %s, 'fal', 'fal-ai/flux/dev', %s, 10)
            """,
            job, LOCAL_PERSON.id, kind,
        )  # fmt: skip


def use_up_a_budget(services: Services) -> None:
    spend_a_budget(services, limit="10")


def near_a_budget(services: Services) -> None:
    spend_a_budget(services, limit="11")


def find_something(services: Services) -> None:
    sql(
        services,
        """
        INSERT INTO studio.findings (rule, table_name, row_id, sentence, first_seen)
        VALUES ('character.blocked', 'characters', %s, 'A character is in the way.', now() - interval '2 days')
        """,
        str(uuid4()),
    )


def lose_an_object(services: Services) -> None:
    sql(
        services,
        """
        INSERT INTO studio.findings (rule, table_name, row_id, sentence, first_seen)
        VALUES ('library.row_without_object', 'user_library', %s, 'A file is gone.', now() - interval '2 days')
        """,
        str(uuid4()),
    )


def lose_attribute_images(services: Services) -> None:
    sql(services, "DELETE FROM public.style_images")


def stop_the_workers(services: Services) -> None:
    insert_entry(services, "publish", str(uuid4()), key="publish:x", due=timedelta(minutes=3))


def make_models_fail(services: Services) -> None:
    """Twelve of twelve pictures of one model failed within the hour."""
    for _ in range(12):
        insert_job(services, "failed")


def silence_the_store(services: Services) -> None:
    sql(
        services,
        "UPDATE studio.health_looks SET ok = false, sentence = 'It did not answer within 10 seconds.'",
    )


def drop_a_trigger(services: Services) -> None:
    sql(services, "ALTER TABLE studio.cost_entries DISABLE TRIGGER USER")


def forget_a_migration(services: Services) -> None:
    sql(
        services,
        "DELETE FROM studio.schema_migrations WHERE version = (SELECT max(version) FROM studio.schema_migrations)",
    )


def drop_the_news(services: Services) -> None:
    sql(
        services,
        """
        INSERT INTO studio.health_notices (body, attempts, made_at, last_answer)
        VALUES ('{}', 3, now() - interval '1 hour', 'It answered 500.')
        """,
    )


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of problem: how it comes about, and what the overview must say of it."""

    plant: Callable[[Services], None]
    title: str
    says: str
    href: str
    room: str
    tone: str = "bad"


# The worst first: what is lost soon, what is broken now, what threatens.
KINDS: Mapping[str, Kind] = {
    "a result expires": Kind(
        plant=let_a_result_expire, title="Paid pictures may be lost", says="1 paid result is not with us yet",
        href="/stuck?what=at_risk", room="Stuck jobs",
    ),
    "a trigger is off": Kind(
        plant=drop_a_trigger, title="A part of the schema is missing", says="trigger", href="/system", room="System",
    ),
    "a migration is not applied": Kind(
        plant=forget_a_migration, title="The database is not up to date", says="1 migration is not applied",
        href="/system", room="System",
    ),
    "the store is silent": Kind(
        plant=silence_the_store, title="The store does not answer", says="within 10 seconds", href="/system",
        room="System",
    ),
    "no worker": Kind(
        plant=stop_the_workers, title="No worker is running", says="1 entry waits in the queue", href="/system",
        room="System",
    ),
    "a provider is paused": Kind(
        plant=pause_a_provider, title="Novita is paused", says="the balance is empty", href="/system", room="System",
    ),
    "an outcome is unknown": Kind(
        plant=lose_a_receipt, title="Outcomes are unknown", says="1 paid request left without a receipt",
        href="/stuck?what=unknown", room="Stuck jobs",
    ),
    "a job is stuck": Kind(
        plant=leave_a_job_standing, title="Jobs are stuck", says="1 job stands still", href="/stuck?what=stuck",
        room="Stuck jobs",
    ),
    "auto-save lags": Kind(
        plant=keep_a_portrait_unsaved, title="Auto-save lags", says="1 finished portrait is not in the library yet",
        href="/autosave", room="Auto-save",
    ),
    "a portrait is broken": Kind(
        plant=break_a_portrait, title="Portraits were not saved right", says="1 portrait fails one of the seven checks",
        href="/autosave?broken=true", room="Auto-save",
    ),
    "a budget is used up": Kind(
        plant=use_up_a_budget, title="A budget is used up", says="new requests are refused", href="/costs",
        room="Costs",
    ),
    "a budget is nearly used up": Kind(
        plant=near_a_budget, title="A budget is nearly used up", says="$10.00 are spent or held (91%)", href="/costs",
        room="Costs", tone="warn",
    ),
    "a model fails": Kind(
        plant=make_models_fail, title="Sketch fails more than usual", says="12 of 12 failed in the last 6 hours",
        href="/jobs?q=status:failed provider:sketch since:6h", room="Jobs", tone="warn",
    ),
    "an object is gone": Kind(
        plant=lose_an_object, title="Findings about the library", says="1 finding is open, the oldest for 2 days",
        href="/library", room="Library", tone="warn",
    ),
    "a finding is open": Kind(
        plant=find_something, title="Findings about characters", says="1 finding is open, the oldest for 2 days",
        href="/findings", room="Findings", tone="warn",
    ),
    "attribute images are missing": Kind(
        plant=lose_attribute_images, title="Attribute images are missing", says="pictures of the character form are missing",
        href="/attributes", room="Attribute images", tone="warn",
    ),
    "news does not arrive": Kind(
        plant=drop_the_news, title="News does not arrive", says="It answered 500.", href="/system", room="System",
        tone="warn",
    ),
}  # fmt: skip
# Answers of one rule: it names one of them, or both in an order of their own.
APART = (
    {"a budget is used up", "a budget is nearly used up"},
    {"an object is gone", "a finding is open"},
    {"a trigger is off", "a migration is not applied"},
)


def threes(seed: int) -> list[tuple[str, ...]]:
    """All kinds in a shuffled order, cut into threes; what does not go together waits for another seed."""
    names = list(KINDS)
    random.Random(seed).shuffle(names)
    found = [tuple(names[at : at + 3]) for at in range(0, len(names) - 2, 3)]
    return [three for three in found if not any(apart <= set(three) for apart in APART)]


COMBINATIONS = [three for seed in (5, 17, 2026) for three in threes(seed)]


@dataclass(frozen=True)
class Line:
    """One problem as the overview draws it."""

    tone: str
    href: str
    title: str
    room: str


def lines_of(said: str) -> list[Line]:
    return [
        Line(
            tone,
            html.unescape(href).replace("%3A", ":").replace("+", " "),
            html.unescape(title),
            html.unescape(room),
        )
        for tone, href, title, room in _LINE.findall(said)
    ]


def test_the_drawn_combinations_hold_every_kind_of_problem():
    assert {name for three in COMBINATIONS for name in three} == set(KINDS)
    assert len(COMBINATIONS) >= 12


def test_without_a_planted_problem_the_overview_names_none(pages):
    said = text_of(pages("overview"))

    assert lines_of(said) == []
    assert "All is well" in said


@pytest.mark.parametrize("three", COMBINATIONS, ids=" + ".join)
def test_three_problems_are_named_in_order_and_nothing_else_is(pages, services, three):
    for name in three:
        KINDS[name].plant(services)

    page = pages("overview")

    said = html.unescape(text_of(page))
    worst_first = [KINDS[name] for name in KINDS if name in three]
    assert lines_of(text_of(page)) == [
        Line(kind.tone, kind.href, kind.title, kind.room) for kind in worst_first
    ]
    assert [kind.says for kind in worst_first if kind.says not in said] == []
    assert f"first: {worst_first[0].title.lower()}." in said.lower()
    assert not page.warning
    assert not page.error
