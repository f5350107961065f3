"""A migrating process that is killed at any moment is made good by the next run (docs/decisions/0030)."""

from __future__ import annotations

import signal
import subprocess
import sys

from core.db import migrate
from tests.database.test_adoption_steps import PUBLIC_INDEXES, asked, bring_up, fill, prints, seed_types
from tests.database.test_migrate import REPOSITORY

# Ends itself with SIGKILL before its nth statement that holds these words; every table counts as a large one.
SCRIPT = """
import os, signal, sys
import psycopg
from core.db import migrate, seeds
migrate.APART_BYTES, seeds.AT_ONCE_BYTES, seeds._BLOCKS = 0, -1, 8
words, left, execute = sys.argv[2], [int(sys.argv[3])], psycopg.Connection.execute
def counted(conn, query, *rest, **more):
    text = query.as_string(conn) if hasattr(query, "as_string") else str(query)
    if words in text:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return execute(conn, query, *rest, **more)
psycopg.Connection.execute = counted
migrate.migrate(sys.argv[1], say=lambda _: None)
"""
MOMENTS = (
    ("UPDATE", 3),  # while a seed is filled
    ("DROP TRIGGER", 1),  # inside the exchange of names
    ("DROP COLUMN", 2),
    ("note_finding", 1),  # while second primaries are settled
    ("INSERT INTO studio.schema_migrations", 4),  # inside the files that adopt, before they are recorded
    ("INDEX CONCURRENTLY", 5),  # between two builds
    ("INSERT INTO studio.schema_migrations", 12),
)


def test_a_process_killed_at_any_moment_leaves_what_the_next_one_ends(empty_dsn, dsn):
    fill(empty_dsn)
    before = {key: value for key, value in prints(empty_dsn).items() if not key[0].startswith("api_")}
    [(jobs,)] = asked(empty_dsn, "SELECT count(*) FROM public.jobs")

    for words, number in MOMENTS:
        ended = subprocess.run(
            [sys.executable, "-c", SCRIPT, empty_dsn, words, str(number)],
            cwd=REPOSITORY,
            timeout=120,
            check=False,
        )
        assert ended.returncode == -signal.SIGKILL, words
    bring_up(empty_dsn)

    after = prints(empty_dsn)
    assert {key: after[key] for key in before} == before
    assert seed_types(empty_dsn) == [("bigint",)]
    assert set(asked(empty_dsn, PUBLIC_INDEXES)) == set(asked(dsn, PUBLIC_INDEXES))
    # A cluster with Supabase's roles (other tests make them) needs no stand-ins.
    assert asked(
        empty_dsn,
        "SELECT version FROM studio.schema_migrations WHERE name <> 'supabase_stand_ins' ORDER BY version",
    ) == [(one.version,) for one in migrate.read_folder(migrate.FOLDER) if not one.is_stand_in]
    assert asked(empty_dsn, "SELECT count(*), min((rows_before ->> 'jobs')::int) FROM studio.adoptions") == [
        (1, jobs)
    ]
