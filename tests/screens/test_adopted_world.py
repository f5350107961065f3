"""The product reads a database as old and as messy as a real one: whatever other writers stored, nobody's page breaks."""

import pytest

from audit.navigation import ROOMS
from bench.world import settings
from core import attributes, characters, generation, library, portraits, recovery, scenes
from core.auth import LOCAL_PERSON
from core.services import set_up_database
from tests.builders import rows as rows_of
from tests.platform import rows
from tests.screens.dashboard import pages_on

CHARACTERS = 110  # with fewer, some kind of mess is left out


@pytest.fixture
def dsn(empty_dsn, tmp_path):
    """The platform's database, adopted."""
    rows.build(empty_dsn)
    rows.fill(empty_dsn, characters=CHARACTERS, portraits=2 * CHARACTERS, jobs=5 * CHARACTERS)
    set_up_database(empty_dsn, settings(tmp_path, supabase_url=rows.OWN_PROJECT), lambda _: None)
    return empty_dsn


def test_every_page_and_every_row_of_an_adopted_database_can_be_looked_at(build):
    services = build(team_sharing=True)

    with pages_on(services) as pages:
        for room in (room for rooms in ROOMS.values() for room in rooms):
            pages(room.name)
    seen = [look_at(character, services) for character in ids(services, "characters")]
    for job in ids(services, "jobs"):
        generation.outcome(job, LOCAL_PERSON, services)

    assert sum(seen) == 2 * CHARACTERS
    assert generation.models_for(LOCAL_PERSON, services)
    assert attributes.status(LOCAL_PERSON, services)
    assert len(library.page(library.Wanted(), LOCAL_PERSON, services).items) == 60
    assert any(recovery.walk(services, dry_run=True, person=LOCAL_PERSON))


def ids(services, table):
    return [row[0] for row in rows_of(services.db, f"SELECT id FROM public.{table}")]


def look_at(character, services):
    """All of one character; how many portraits it has."""
    loaded = characters.load(character, LOCAL_PERSON, services)
    characters.checks(loaded, services)
    scenes.cards(character, LOCAL_PERSON, services)
    grid = portraits.grid(character, LOCAL_PERSON, services)
    shown = [tile.id for tile in grid.tiles]
    return len(portraits.details(shown, LOCAL_PERSON, services))
