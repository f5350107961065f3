"""Rows against objects: what a scan of the library finds, what it leaves alone, and that it can be stopped anywhere."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from PIL import Image
from typer.testing import CliRunner

from core import cli, images, stock
from core.audit import library
from core.errors import Conflict, NotAllowed, StorageFailed
from core.stock import SENTENCES, Kind
from core.storage import ATTRIBUTE_ORIGINALS, LIBRARY, PUBLIC_ASSETS, REFERENCES, WORKSPACE
from core.values import Role
from tests import builders
from tests.contracts.stock_table import (
    OWN_HOST,
    a_library_row,
    a_picture,
    age,
    by_hand,
    rows_of,
    settle,
    stray,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def character(services, ana):
    return builders.a_character(ana, services)


@pytest.fixture
def saved(services, ana, character):
    """A job whose portrait was made and saved an hour ago."""
    job_id = builders.a_finished_portrait(ana, services, character).job.id
    settle(services)
    return job_id


@pytest.fixture
def qa(services):
    return builders.a_person(services.db, "quinn", Role.qa)


def open_finds(services, kind=None):
    with services.db.as_service() as conn:
        return [found for one in Kind if kind in (None, one) for found in library.page(conn, [one]).rows]


def found(services):
    """What a whole scan leaves open, as (kind, bucket or table, path or column)."""
    stock.scan(services)
    return {
        (one.kind, one.bucket or one.table_name, one.path or one.column_name) for one in open_finds(services)
    }


# ---- what it finds


def test_a_library_that_fits_has_no_finding(services, saved):
    assert found(services) == set()


def test_every_kind_has_a_sentence_for_people():
    assert set(SENTENCES) == set(Kind)
    assert all(sentence.endswith(".") for sentence in SENTENCES.values())


def test_a_row_without_its_object_is_found_once_whichever_rows_name_it(services, saved):
    picture, _, _ = rows_of(services, saved)
    services.storage.delete(LIBRARY, picture)

    assert found(services) == {("object_missing", LIBRARY, picture)}
    [one] = open_finds(services)
    assert (one.table_name, one.column_name, one.job_id) == ("user_library", "storage_path", saved)


def test_a_missing_workspace_object_is_found_before_its_seven_days_are_over(services, saved):
    _, _, fresh = rows_of(services, saved)
    services.storage.delete(WORKSPACE, fresh)

    assert found(services) == {("object_missing", WORKSPACE, fresh)}


@pytest.mark.parametrize(
    ("bucket", "name"),
    [
        (WORKSPACE, None),
        (LIBRARY, "portraits/x/old.png"),
        (REFERENCES, "11/ab.png"),
        (ATTRIBUTE_ORIGINALS, "ab.png"),
    ],
)
def test_an_object_without_a_row_is_found_in_every_bucket(services, saved, ana, bucket, name):
    path = stray(services, ana.id, bucket=bucket, name=name)

    assert found(services) == {("object_without_row", bucket, path)}


def test_a_published_picture_without_a_row_is_found_and_other_files_of_that_bucket_are_not_ours(
    services, saved
):
    services.storage.put(PUBLIC_ASSETS, "attribute-images/age/20s-anime-0a.jpg", b"x", "image/jpeg")
    services.storage.put(PUBLIC_ASSETS, "logos/platform.png", b"x", "image/png")
    for path in ("attribute-images/age/20s-anime-0a.jpg", "logos/platform.png"):
        age(services, PUBLIC_ASSETS, path)

    assert found(services) == {("object_without_row", PUBLIC_ASSETS, "attribute-images/age/20s-anime-0a.jpg")}


def test_a_thumbnail_without_its_picture_or_row_is_an_object_without_a_row(services, saved, ana):
    path = stray(services, ana.id, name=f"{uuid4()}_1.thumb.webp")

    assert found(services) == {("object_without_row", WORKSPACE, path)}


def test_a_size_and_a_hash_that_differ_are_told_apart(services, ana, character, saved):
    other = builders.a_finished_portrait(ana, services, character, own_words="at the window").job.id
    settle(services)
    cut, _, _ = rows_of(services, saved)
    flipped, _, _ = rows_of(services, other)
    services.storage.put(LIBRARY, cut, services.storage.get(LIBRARY, cut) + b"more", "image/png")
    data = bytearray(services.storage.get(LIBRARY, flipped))
    data[-20] ^= 1
    services.storage.put(LIBRARY, flipped, bytes(data), "image/png")

    kinds = {(kind, path) for kind, _, path in found(services)}

    assert ("size_differs", cut) in kinds
    assert ("hash_differs", flipped) in kinds
    assert not {("hash_differs", cut), ("size_differs", flipped)} & kinds


def test_a_missing_thumbnail_is_found_named_or_not(services, ana, character, saved):
    other = builders.a_finished_portrait(ana, services, character, own_words="at the window").job.id
    settle(services)
    _, named, _ = rows_of(services, saved)
    _, unnamed, _ = rows_of(services, other)
    for path in (named, unnamed):
        services.storage.delete(LIBRARY, path)
    for table, column in (("user_library", "thumbnail_path"), ("character_portraits", "thumbnail_url")):
        by_hand(services, f"UPDATE public.{table} SET {column} = NULL WHERE job_id = %s", other)

    assert found(services) == {("thumbnail_missing", LIBRARY, named), ("thumbnail_missing", LIBRARY, unnamed)}


def test_the_same_bytes_twice_and_a_copy_that_was_written_anew_are_told_apart(services, ana, character):
    first = a_library_row(services, ana.id, character.id, data=a_picture(1), name=f"{ana.id}/portraits/a.png")
    same = a_library_row(services, ana.id, uuid4(), data=a_picture(1), name=f"{ana.id}/portraits/b.png")
    anew = a_library_row(
        services, ana.id, uuid4(), data=a_picture(1, kind="JPEG"), name=f"{ana.id}/portraits/c.jpg"
    )
    a_library_row(services, ana.id, character.id, data=a_picture(9), name=f"{ana.id}/portraits/d.png")

    twins = {(one.kind, one.path, one.other_path) for one in (found(services) and open_finds(services))}

    assert twins == {("same_bytes", same, first), ("look_alike", anew, first)}
    distances = {one.kind: one.distance for one in open_finds(services)}
    assert distances["same_bytes"] == 0
    assert distances["look_alike"] <= stock.TWIN_DISTANCE


@pytest.mark.parametrize("bits", [1, 2, 3])
def test_hashes_that_differ_in_up_to_three_bits_are_found_and_further_ones_are_not(services, ana, bits):
    base = 0x0123456789ABCDEF
    near = base ^ sum(1 << place for place in (3, 19, 40)[:bits])
    far = base ^ sum(1 << place for place in (3, 19, 40, 60))
    for number, look in enumerate((base, near, far)):
        path = f"{ana.id}/portraits/{number}.png"
        a_library_row(services, ana.id, uuid4(), data=a_picture(number), name=path, phash=f"{look:016x}")
    stock.MOST_DECODED, kept = 0, stock.MOST_DECODED
    try:
        stock.scan(services)
    finally:
        stock.MOST_DECODED = kept

    pairs = {
        (one.other_path[-5], one.path[-5]): one.distance for one in open_finds(services, Kind.look_alike)
    }
    assert pairs[("0", "1")] == bits
    assert ("0", "2") not in pairs


def test_a_picture_of_one_colour_is_found_by_its_row_or_its_bytes(services, ana, character, saved):
    out = Path(services.settings.home / "blank.png")
    Image.new("RGB", (64, 64), (12, 12, 12)).save(out)
    by_bytes = a_library_row(services, ana.id, character.id, data=out.read_bytes())

    assert found(services) == {("blank", LIBRARY, by_bytes)}


def test_an_object_that_is_no_picture_is_found(services, ana, character):
    cut = a_library_row(services, ana.id, character.id, data=a_picture(3)[:-200])
    page = a_library_row(services, ana.id, character.id, data=b"<html>expired</html>")

    assert found(services) == {("corrupt", LIBRARY, cut), ("corrupt", LIBRARY, page)}


def test_stored_links_are_found_with_when_they_die(services, ana, character, saved):
    with services.db.as_service() as conn:
        conn.execute("INSERT INTO studio.settings (key, value) VALUES ('own_hosts', %s)", (OWN_HOST,))
    picture, _, _ = rows_of(services, saved)
    by_hand(
        services,
        "UPDATE public.characters SET reference_image_url = %s, preview_image_url = %s, updated_at = now() - interval '2 hours'",
        f"https://{OWN_HOST}/storage/v1/object/sign/{LIBRARY}/{picture}?token=aa.eyJleHAiOjE4MDAwMDAwMDB9.cc",
        "https://replicate.delivery/xezq/out-0.webp",
    )

    assert found(services) == {
        ("own_link", LIBRARY, picture),
        ("external_link", "characters", "preview_image_url"),
    }
    ends = {one.kind: one.dies_at for one in open_finds(services)}
    assert ends["own_link"] == datetime.fromtimestamp(1_800_000_000, UTC)
    assert ends["external_link"] < datetime.now(UTC)
    with services.db.as_reader(builders.a_person(services.db, "pia", Role.product)) as conn:
        standing = library.deadlines(conn)
    assert (standing.dead, standing.nearest) == (1, datetime.fromtimestamp(1_800_000_000, UTC))
    kept = builders.rows(
        services.db,
        "SELECT to_jsonb(f)::text || to_jsonb(m)::text FROM studio.findings f JOIN studio.stock_marks m ON m.finding_id = f.id",
    )
    assert not any("eyJleH" in text or "xezq" in text for (text,) in kept)


def test_a_text_that_is_no_address_is_found(services, saved):
    by_hand(services, "UPDATE public.characters SET preview_image_url = '/placeholder.svg'")

    assert found(services) == {("no_address", "characters", "preview_image_url")}


# ---- what it leaves alone


def test_a_result_that_is_still_being_saved_is_not_flagged(services, ana, character):
    job_id = builders.a_finished_portrait(ana, services, character).job.id
    picture, _, _ = rows_of(services, job_id)
    services.storage.delete(LIBRARY, picture)  # its row was written a moment ago
    services.storage.put(WORKSPACE, f"{ana.id}/{uuid4()}_1.png", b"just stored, its row comes", "image/png")

    assert found(services) == set()


def test_objects_of_a_job_that_runs_are_not_flagged_however_old_they_are(services, ana, character):
    job_id = builders.a_job_being_made(ana, services, character).job_id
    stray(services, ana.id, name=f"{job_id}_1700000000000.png")

    assert found(services) == set()


def test_what_a_person_removed_is_not_flagged(services, ana, character, saved):
    picture, thumbnail, _ = rows_of(services, saved)
    for table in ("user_library", "character_portraits"):
        by_hand(services, f"UPDATE public.{table} SET deleted_at = now() WHERE job_id = %s", saved)
    by_hand(services, "UPDATE public.characters SET image_url = NULL, reference_image_url = NULL")
    services.storage.delete(LIBRARY, picture)
    services.storage.delete(LIBRARY, thumbnail)
    gone = stray(services, ana.id, bucket=LIBRARY, name=f"{uuid4()}_{uuid4()}.png")
    by_hand(
        services,
        "INSERT INTO studio.removed_items (job_id) VALUES (%s)",
        Path(gone).name.partition("_")[0],
    )
    by_hand(
        services,
        "INSERT INTO public.jobs (id, user_id, job_type, status, completed_at) VALUES (%s, %s, 'image', 'completed', now())",
        Path(gone).name.partition("_")[0], ana.id,
    )  # fmt: skip

    assert found(services) == set()


def test_a_cleaned_or_past_workspace_object_is_not_flagged(services, ana, character, saved):
    other = builders.a_finished_portrait(ana, services, character, own_words="at the window").job.id
    settle(services)
    for job_id, change in ((saved, "cleaned_at = now()"), (other, "created_at = now() - interval '8 days'")):
        _, _, fresh = rows_of(services, job_id)
        services.storage.delete(WORKSPACE, fresh)
        services.storage.delete(WORKSPACE, f"{fresh.rpartition('.')[0]}.thumb.webp")
        by_hand(services, f"UPDATE public.workspace_assets SET {change} WHERE job_id = %s", job_id)

    assert found(services) == set()


def test_the_platforms_own_path_and_public_link_are_not_flagged(services, ana, character):
    with services.db.as_service() as conn:
        conn.execute("INSERT INTO studio.settings (key, value) VALUES ('own_hosts', %s)", (OWN_HOST,))
    path = a_library_row(
        services, ana.id, character.id, data=a_picture(5), name=f"{ana.id}/{uuid4()}_{character.id}.png"
    )
    by_hand(
        services,
        "UPDATE public.characters SET image_url = %s, reference_image_url = %s, updated_at = now() - interval '1 hour'",
        f"{LIBRARY}/{path}", f"https://{OWN_HOST}/storage/v1/object/public/{LIBRARY}/{path}",
    )  # fmt: skip

    assert found(services) == set()


def test_alternates_of_one_prompt_are_no_duplicates_and_the_same_picture_of_two_prompts_is(
    services, ana, character
):
    near = ("0123456789abcdef", "0123456789abcdee", "0123456789abcdec")
    prompts = ("by the sea", "by the sea", "in the attic")
    for number, (look, prompt) in enumerate(zip(near, prompts, strict=True)):
        path = f"{ana.id}/portraits/{number}.png"
        a_library_row(
            services, ana.id, character.id, data=a_picture(number), name=path, phash=look, prompt=prompt
        )
    stock.MOST_DECODED, kept = 0, stock.MOST_DECODED
    try:
        stock.scan(services)
    finally:
        stock.MOST_DECODED = kept

    pairs = {(one.other_path[-5], one.path[-5]) for one in open_finds(services)}
    assert pairs == {("0", "2"), ("1", "2")}


def test_a_thumbnail_of_another_size_beside_its_picture_is_not_flagged(services, ana, character, saved):
    _, thumbnail, _ = rows_of(services, saved)
    services.storage.put(
        LIBRARY, thumbnail, images.read_picture(a_picture(2, side=64)).thumbnail, "image/webp"
    )
    by_hand(services, "UPDATE public.user_library SET thumbnail_path = NULL WHERE job_id = %s", saved)
    by_hand(services, "UPDATE public.character_portraits SET thumbnail_url = NULL WHERE job_id = %s", saved)
    age(services, LIBRARY, thumbnail)

    assert found(services) == set()


def test_what_lies_in_the_bin_is_counted_and_not_flagged(services, ana, saved):
    services.storage.put(WORKSPACE, f"{stock.BIN}/{ana.id}/a.png", b"x", "image/png")
    age(services, WORKSPACE, f"{stock.BIN}/{ana.id}/a.png")

    assert found(services) == set()
    with services.db.as_service() as conn:
        assert library.scans(conn)[0].binned == 1


def test_an_object_that_comes_while_the_scan_runs_is_not_missed(services, saved, monkeypatch):
    picture, _, _ = rows_of(services, saved)
    data = services.storage.get(LIBRARY, picture)
    services.storage.delete(LIBRARY, picture)
    rows = stock._rows

    def late(work):
        services.storage.put(LIBRARY, picture, data, "image/png")
        return rows(work)

    monkeypatch.setattr(stock, "_STAGES", {**stock._STAGES, stock.Stage.rows: late})

    assert found(services) == set()


# ---- the scan itself


def test_what_is_right_again_is_marked_mended_by_the_next_scan(services, saved):
    picture, _, _ = rows_of(services, saved)
    data = services.storage.get(LIBRARY, picture)
    services.storage.delete(LIBRARY, picture)
    assert len(found(services)) == 1

    services.storage.put(LIBRARY, picture, data, "image/png")

    assert found(services) == set()
    assert builders.one(
        services.db, "SELECT mended_at IS NOT NULL AND mended_by IS NULL FROM studio.findings"
    )
    services.storage.delete(LIBRARY, picture)
    assert len(found(services)) == 1
    assert builders.one(services.db, "SELECT times FROM studio.findings") == 2


def test_a_broken_picture_stays_found_until_its_bytes_are_right(services, ana, character):
    path = a_library_row(services, ana.id, character.id, data=b"<html>expired</html>")
    assert found(services) == {("corrupt", LIBRARY, path)}
    assert found(services) == {("corrupt", LIBRARY, path)}

    services.storage.put(LIBRARY, path, a_picture(4), "image/png")
    by_hand(services, "UPDATE public.user_library SET file_size_bytes = %s", len(a_picture(4)))

    assert found(services) == set()


def test_a_store_that_does_not_answer_for_one_object_mends_nothing_and_accuses_nobody(
    services, saved, monkeypatch
):
    picture, _, _ = rows_of(services, saved)
    data = bytearray(services.storage.get(LIBRARY, picture))
    data[-20] ^= 1
    services.storage.put(LIBRARY, picture, bytes(data), "image/png")
    before = found(services)
    digest = type(services.storage).digest

    def silent(self, bucket, path):
        if path == picture:
            raise StorageFailed("The store did not answer.")
        return digest(self, bucket, path)

    monkeypatch.setattr(type(services.storage), "digest", silent)

    assert ("hash_differs", LIBRARY, picture) in before
    assert ("hash_differs", LIBRARY, picture) in found(services)
    with services.db.as_service() as conn:
        assert library.scans(conn)[0].unread == 1


def test_a_store_that_cannot_be_listed_says_so_and_nothing_is_mended(services, saved, monkeypatch):
    picture, _, _ = rows_of(services, saved)
    services.storage.delete(LIBRARY, picture)
    assert len(found(services)) == 1

    def away(self, bucket, after=""):
        raise StorageFailed("The storage could not be reached.")

    monkeypatch.setattr(type(services.storage), "walk", away)
    with pytest.raises(StorageFailed):
        stock.scan(services)

    with services.db.as_service() as conn:
        newest = library.scans(conn)[0]
    assert (newest.finished_at, newest.trouble) == (None, "The storage could not be reached.")
    assert len(open_finds(services)) == 1


@pytest.mark.parametrize("lots", [1, 2, 4, 6, 9])
def test_a_killed_scan_goes_on_where_it_stopped_and_finds_the_same(services, ana, character, saved, lots):
    picture, _, _ = rows_of(services, saved)
    services.storage.delete(LIBRARY, picture)
    lost = stray(services, ana.id)
    program = f"""
import os, signal, sys
from pathlib import Path
from core import stock
from core.services import open_services
from core.settings import Settings
stock._OBJECTS_AT_ONCE = stock._ROWS_AT_ONCE = 1
left = [{lots}]
def say(now):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
with open_services(Settings(_env_file=None, studio_home=Path({str(services.settings.home)!r}), database_url={services.db.dsn!r})) as services:
    stock.scan(services, say=say)
"""
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False, env={**os.environ})
    with services.db.as_service() as conn:
        left = library.scans(conn)[0]

    done = stock.scan(services)

    assert ended.returncode == -signal.SIGKILL
    assert left.finished_at is None
    assert left.looked_at > 0
    assert done.id == left.id
    assert {(one.kind, one.path) for one in open_finds(services)} == {
        ("object_missing", picture),
        ("object_without_row", lost),
    }


def test_two_scans_at_once_are_one(services, saved):
    with stock._alone(services), pytest.raises(Conflict) as refused:
        stock.scan(services)

    assert refused.value.reason == "SCAN_RUNNING"


def test_a_scan_is_asked_for_once_by_who_may_and_a_worker_carries_it_out(services, saved, qa, ana):
    assert stock.scan_if_asked(services) is None

    first, second = stock.ask(qa, services), stock.ask(qa, services)
    done = stock.scan_if_asked(services)

    assert first == second == done.id
    assert done.asked_by == qa.id
    assert done.finished_at is not None
    assert stock.scan_if_asked(services) is None
    with pytest.raises(NotAllowed):
        stock.ask(ana, services)
    with pytest.raises(NotAllowed), services.db.as_user(ana) as conn:
        stock.stock.ask(conn)


def test_a_far_store_has_a_sample_read_each_day_and_everything_within_a_month():
    addresses = [stock.Address(LIBRARY, f"u/{number}.png") for number in range(300)]
    days = [datetime(2026, 11, 1, tzinfo=UTC) + timedelta(days=number) for number in range(stock.SAMPLE_DAYS)]

    read = [{one for one in addresses if stock.in_sample(one, day)} for day in days]

    assert set().union(*read) == set(addresses)
    assert sum(map(len, read)) == len(addresses)
    assert max(map(len, read)) < len(addresses) / 5


def test_coverage_tells_portraits_saved_and_missing_of_each_character(services, ana, qa, character, saved):
    builders.a_finished_portrait(ana, services, character, own_words="at the window")
    settle(services)
    bare = builders.a_character(ana, services, name="Nobody Yet")
    picture, _, _ = rows_of(services, saved)
    services.storage.delete(LIBRARY, picture)
    stock.scan(services)

    with services.db.as_reader(qa) as conn:
        covered = {one.character_id: one for one in library.coverage(conn).rows}
        named = library.coverage(conn, name="nobody").rows
        begin = library.coverage(conn, limit=1)
        [first] = begin.rows
        end = library.coverage(conn, before=begin.older, limit=1)
        [second] = end.rows
        back = library.coverage(conn, after=end.newer, limit=1)

    whole = covered[character.id]
    assert (whole.portraits, whole.saved, whole.missing) == (2, 2, 1)
    assert (covered[bare.id].portraits, covered[bare.id].saved) == (0, 0)
    assert [one.character_id for one in named] == [bare.id]
    assert {first.character_id, second.character_id} == {character.id, bare.id}
    assert [one.character_id for one in back.rows] == [first.character_id]
    assert (begin.newer, end.older, back.newer) == (None, None, None)


def test_findings_are_turned_by_key_and_every_one_is_met_once(services, ana, saved):
    for number in range(5):
        stray(services, ana.id, name=f"{number}.png")
    stock.scan(services)

    with services.db.as_service() as conn:
        first = library.page(conn, ["object_without_row", "blank"], limit=2)
        second = library.page(conn, ["object_without_row"], before=first.older, limit=2)
        third = library.page(conn, ["object_without_row"], before=second.older, limit=2)
        back = library.page(conn, ["object_without_row"], after=second.newer, limit=2)

    met = [one.id for one in (*first.rows, *second.rows, *third.rows)]
    assert met == sorted(met, reverse=True)
    assert len(set(met)) == 5
    assert (first.newer, third.older, back.newer) == (None, None, None)
    assert [one.id for one in back.rows] == [one.id for one in first.rows]


def test_the_command_line_compares_the_library_and_fails_where_something_is_open(
    services, saved, monkeypatch
):
    monkeypatch.setenv("DATABASE_URL", services.db.dsn)
    monkeypatch.setenv("STUDIO_HOME", str(services.settings.home))
    well = CliRunner().invoke(cli.app, ["audit", "library"])
    picture, _, _ = rows_of(services, saved)
    services.storage.delete(LIBRARY, picture)
    broken = CliRunner().invoke(cli.app, ["audit", "library"])

    assert well.exit_code == 0, well.output
    assert "Rows and objects fit." in well.output
    assert broken.exit_code == 1
    assert "object_missing" in broken.output
