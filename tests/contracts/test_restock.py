"""What a scan of the library found, set right: each safe repair, what is left to a person, and who may do it."""

import threading
from uuid import uuid4

import httpx
import pytest

from core import recovery, restock, stock
from core.audit import library
from core.errors import Conflict, NotAllowed, RequestRefused
from core.stock import BIN, Kind
from core.storage import LIBRARY, REFERENCES, WORKSPACE
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
from tests.contracts.test_stock import found, open_finds
from tests.emulator import KEY
from tests.emulator.fal import INITIATE

WHY = "Seen on the library page."


@pytest.fixture
def character(services, ana):
    return builders.a_character(ana, services)


@pytest.fixture
def saved(services, ana, character):
    job_id = builders.a_finished_portrait(ana, services, character).job.id
    settle(services)
    return job_id


@pytest.fixture
def qa(services):
    return builders.a_person(services.db, "quinn", Role.qa)


@pytest.fixture
def mend(services, qa):
    """Scan, repair the one finding that is open, scan again; what was said, and what is open then."""

    def go(deed=restock.mend):
        stock.scan(services)
        [one] = open_finds(services)
        said = deed(one.id, qa, services, why=WHY)
        assert open_finds(services) == []
        return said, found(services)

    return go


def broken(services, path):
    """Other bytes of the same length, a picture no more."""
    data = bytearray(services.storage.get(LIBRARY, path))
    data[-30] ^= 255
    return bytes(data)


def uploaded(fal, data):
    """A living link to a picture on a provider's host."""
    keyed = {"Authorization": f"Key {KEY}"}
    asked = httpx.post(
        f"{fal.url}{INITIATE}", json={"content_type": "image/png", "file_name": "a.png"}, headers=keyed
    )
    httpx.put(asked.json()["upload_url"], content=data)
    return asked.json()["file_url"]


def last_event(services):
    return builders.rows(
        services.db,
        "SELECT action, before, after, why FROM studio.audit_events WHERE action LIKE 'library_%' ORDER BY id DESC LIMIT 1",
    )[0]


# ---- safe repairs


def test_a_missing_thumbnail_is_made_again_and_named(services, saved, mend):
    _, thumbnail, _ = rows_of(services, saved)
    services.storage.delete(LIBRARY, thumbnail)
    by_hand(services, "UPDATE public.user_library SET thumbnail_path = NULL WHERE job_id = %s", saved)

    said, left = mend()

    assert (said, left) == ("Its thumbnail was made again.", set())
    assert rows_of(services, saved)[1] == thumbnail
    assert services.storage.get(LIBRARY, thumbnail)[:4] == b"RIFF"
    action, _, after, why = last_event(services)
    assert (action, after, why) == ("library_mended", {"thumbnail": f"{LIBRARY}/{thumbnail}"}, WHY)


def test_a_missing_object_is_brought_back_from_the_workspace(services, saved, mend):
    picture, _, _ = rows_of(services, saved)
    data = services.storage.get(LIBRARY, picture)
    services.storage.delete(LIBRARY, picture)

    assert mend() == ("Its bytes and its record fit again.", set())
    assert services.storage.get(LIBRARY, picture) == data


def test_changed_bytes_are_replaced_by_the_recorded_ones(services, saved, mend):
    picture, _, _ = rows_of(services, saved)
    data = services.storage.get(LIBRARY, picture)
    services.storage.put(LIBRARY, picture, broken(services, picture), "image/png")
    stock.scan(services)
    [one] = open_finds(services, Kind.hash_differs)

    restock.mend(one.id, builders.a_person(services.db, "ada", Role.admin), services, why=WHY)

    assert services.storage.get(LIBRARY, picture) == data
    assert found(services) == set()


def test_a_record_that_is_wrong_about_a_right_object_is_corrected(services, ana, character, mend):
    path = a_library_row(services, ana.id, character.id, data=a_picture(4))
    by_hand(services, "UPDATE public.user_library SET file_size_bytes = 17")

    said, left = mend()

    assert (said, left) == ("The record now says what the object is.", set())
    assert builders.one(services.db, "SELECT file_size_bytes FROM public.user_library") == len(a_picture(4))
    assert last_event(services)[1] == {"size": 17, "sha256": None}
    assert services.storage.get(LIBRARY, path) == a_picture(4)


def test_a_paid_result_without_a_row_is_adopted_by_its_job_and_saved(services, ana, character, mend):
    job_id = builders.a_waiting_job(ana, services, character).job_id
    by_hand(services, "UPDATE public.jobs SET status = 'failed', error_code = 'X' WHERE id = %s", job_id)
    path = stray(services, ana.id, name=f"{job_id}_1700000000000.png", data=a_picture(6))

    said, _ = mend()
    builders.work(services)

    assert "is being saved" in said
    assert rows_of(services, job_id)[2] == path
    assert builders.one(services.db, "SELECT status FROM public.jobs WHERE id = %s", (job_id,)) == "completed"
    assert builders.one(services.db, "SELECT count(*) FROM public.character_portraits") == 1


def test_a_library_object_without_a_row_is_adopted_by_its_job(services, ana, character, saved, mend):
    picture, thumbnail, _ = rows_of(services, saved)
    by_hand(services, "DELETE FROM public.user_library WHERE job_id = %s", saved)
    by_hand(services, "DELETE FROM public.character_portraits WHERE job_id = %s", saved)
    by_hand(services, "UPDATE public.characters SET image_url = NULL, reference_image_url = NULL")
    for path in (picture, thumbnail):
        age(services, LIBRARY, path)
    stock.scan(services)
    [one] = [each for each in open_finds(services) if each.path == picture]

    said = restock.mend(one.id, builders.a_person(services.db, "ada", Role.admin), services, why=WHY)

    assert said == "It is its job's library item now."
    settle(services)
    assert found(services) == set()
    assert (
        builders.one(
            services.db, "SELECT count(*) FROM public.character_portraits WHERE job_id = %s", (saved,)
        )
        == 1
    )


def test_a_signed_link_to_our_own_object_becomes_its_address(services, saved, mend):
    picture, _, _ = rows_of(services, saved)
    with services.db.as_service() as conn:
        conn.execute("INSERT INTO studio.settings (key, value) VALUES ('own_hosts', %s)", (OWN_HOST,))
    by_hand(
        services,
        "UPDATE public.characters SET preview_image_url = %s",
        f"https://{OWN_HOST}/storage/v1/object/sign/{LIBRARY}/{picture}?token=aa.eyJleHAiOjE4MDAwMDAwMDB9.cc",
    )

    said, left = mend()

    assert (said, left) == ("The row now holds the object's own address.", set())
    assert (
        builders.one(services.db, "SELECT preview_image_url FROM public.characters") == f"{LIBRARY}/{picture}"
    )
    assert "eyJ" not in str(last_event(services))


@pytest.mark.parametrize(
    ("column", "bucket"),
    [("image_url", LIBRARY), ("reference_image_url", REFERENCES), ("preview_image_url", LIBRARY)],
)
def test_the_picture_behind_a_living_external_link_is_brought_in(
    services, ana, character, fal, mend, column, bucket
):
    link = uploaded(fal, a_picture(8))
    by_hand(
        services, f"UPDATE public.characters SET {column} = %s, updated_at = now() - interval '1 hour'", link
    )

    said, _ = mend()
    settle(services)

    assert said == "Its picture lies in the library now."
    address = builders.one(services.db, f"SELECT {column} FROM public.characters")
    assert address.startswith(f"{bucket}/{ana.id}/")
    assert services.storage.get(bucket, address.removeprefix(f"{bucket}/")) == a_picture(8)
    assert {kind for kind, _, _ in found(services)} <= {"object_without_row"}


DEAD = "https://replicate.delivery/xezq/out-0.webp"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE public.character_portraits SET image_url = %s, updated_at = now() - interval '3 hours'",
        "UPDATE public.characters SET image_url = %s, updated_at = now() - interval '3 hours'",
    ],
)
def test_a_dead_link_gives_way_to_the_picture_that_the_library_holds(services, saved, mend, change):
    picture, _, _ = rows_of(services, saved)
    by_hand(services, change, DEAD)

    said, _ = mend()

    assert said == "It shows the picture that the library holds already."
    shown = builders.rows(
        services.db,
        "SELECT image_url FROM public.character_portraits UNION ALL SELECT image_url FROM public.characters",
    )
    assert shown == [(f"{LIBRARY}/{picture}",)] * 2


def test_a_link_that_died_long_ago_is_not_asked_for(services, ana, character, qa):
    by_hand(
        services,
        "UPDATE public.characters SET preview_image_url = %s, updated_at = now() - interval '3 hours'",
        DEAD,
    )
    stock.scan(services)
    [one] = open_finds(services)

    with pytest.raises(RequestRefused, match="The link is dead"):
        restock.mend(one.id, qa, services, why=WHY)


def test_a_dead_link_stays_for_a_person(services, ana, character, fal, qa):
    by_hand(
        services,
        "UPDATE public.characters SET image_url = %s, updated_at = now() - interval '1 hour'",
        f"{fal.url}/files/gone/0.png",
    )
    stock.scan(services)
    [one] = open_finds(services)

    with pytest.raises(RequestRefused, match="The link is dead"):
        restock.mend(one.id, qa, services, why=WHY)

    assert [each.id for each in open_finds(services)] == [one.id]


def test_a_link_to_a_host_of_no_provider_is_never_fetched(services, ana, character, qa):
    by_hand(
        services,
        "UPDATE public.characters SET image_url = 'https://pictures.invalid/a.png', updated_at = now() - interval '1 hour'",
    )
    stock.scan(services)
    [one] = open_finds(services)

    with pytest.raises(RequestRefused, match="none that pictures are fetched from"):
        restock.mend(one.id, qa, services, why=WHY)


# ---- what a person decides


def test_an_object_without_a_known_job_is_not_repaired_and_goes_to_the_bin_whole(services, ana, saved, qa):
    path = stray(services, ana.id, data=b"perhaps a paid picture", name="loose.png")
    stock.scan(services)
    [one] = open_finds(services)
    with pytest.raises(RequestRefused, match="Its name tells no job"):
        restock.mend(one.id, qa, services, why=WHY)

    said = restock.put_in_bin(one.id, qa, services, why=WHY)

    assert said.endswith(f"{WORKSPACE}/{BIN}/{path}.")
    assert services.storage.get(WORKSPACE, f"{BIN}/{path}") == b"perhaps a paid picture"
    assert services.storage.info(WORKSPACE, path) is None
    assert found(services) == set()
    assert last_event(services)[2] == {"object": f"{WORKSPACE}/{BIN}/{path}"}


def test_an_object_that_a_row_names_by_now_is_not_binned(services, ana, character, qa):
    path = stray(services, ana.id, bucket=LIBRARY, name="portraits/late.png", data=a_picture(2))
    stock.scan(services)
    [one] = open_finds(services)
    a_library_row(services, ana.id, character.id, data=a_picture(2), name=path)

    with pytest.raises(RequestRefused, match="A row names it by now"):
        restock.put_in_bin(one.id, qa, services, why=WHY)

    assert services.storage.get(LIBRARY, path) == a_picture(2)


def test_of_two_alike_the_later_goes_to_the_librarys_bin_and_its_bytes_stay(services, ana, character, qa):
    first = a_library_row(services, ana.id, character.id, data=a_picture(1), name=f"{ana.id}/portraits/a.png")
    second = a_library_row(
        services, ana.id, character.id, data=a_picture(1), name=f"{ana.id}/portraits/b.png"
    )
    stock.scan(services)
    [one] = open_finds(services)

    restock.put_in_bin(one.id, qa, services, why=WHY)

    gone = builders.one(
        services.db, "SELECT storage_path FROM public.user_library WHERE deleted_at IS NOT NULL"
    )
    assert gone == second
    assert services.storage.get(LIBRARY, second) == services.storage.get(LIBRARY, first)
    assert found(services) == set()


def test_a_primary_portrait_is_not_taken_out(services, ana, character, saved, qa):
    picture, _, _ = rows_of(services, saved)
    a_library_row(
        services, ana.id, character.id, data=services.storage.get(LIBRARY, picture), name=f"{ana.id}/a.png"
    )
    stock.scan(services)
    [one] = open_finds(services, Kind.same_bytes)

    with pytest.raises(RequestRefused, match="Choose another one in the studio first"):
        restock.put_in_bin(one.id, qa, services, why=WHY)


def test_what_was_left_as_it_is_is_not_opened_again_by_a_scan(services, ana, saved, qa):
    stray(services, ana.id, name="loose.png")
    stock.scan(services)
    [one] = open_finds(services)

    restock.accept(one.id, qa, services, why="The marketing team keeps it there.")

    assert found(services) == set()
    assert last_event(services)[0] == "library_accepted"


# ---- who may, and two at once


@pytest.mark.parametrize("deed", [restock.mend, restock.put_in_bin, restock.accept])
@pytest.mark.parametrize("role", [Role.editor, Role.product, None])
def test_without_the_role_nothing_is_repaired(services, ana, saved, deed, role):
    stray(services, ana.id, name="loose.png")
    stock.scan(services)
    [one] = open_finds(services)
    somebody = builders.a_person(services.db, "somebody", *([role] if role else []))

    with pytest.raises(NotAllowed):
        deed(one.id, somebody, services, why=WHY)

    assert len(open_finds(services)) == 1


def test_two_who_repair_the_same_at_once_make_one_repair_and_both_are_told(services, saved, qa):
    other = builders.a_person(services.db, "quentin", Role.qa)
    _, thumbnail, _ = rows_of(services, saved)
    services.storage.delete(LIBRARY, thumbnail)
    stock.scan(services)
    [one] = open_finds(services)
    told, start = [], threading.Barrier(2)

    def repair(person):
        start.wait()
        try:
            told.append(restock.mend(one.id, person, services, why=WHY))
        except Conflict as error:
            told.append(error.sentence)

    threads = [threading.Thread(target=repair, args=(person,)) for person in (qa, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len([said for said in told if said == "Its thumbnail was made again."]) == 1
    assert len([said for said in told if "mended" in said]) == 1
    assert (
        builders.one(services.db, "SELECT count(*) FROM studio.audit_events WHERE action = 'library_mended'")
        == 1
    )


def test_a_row_that_leads_into_somebody_elses_folder_is_left_alone(services, ana, ben, character, saved, qa):
    a_library_row(services, ana.id, character.id, data=a_picture(3), name=f"{ben.id}/portraits/{uuid4()}.png")
    by_hand(services, "UPDATE public.user_library SET file_size_bytes = 3 WHERE job_id IS NULL")
    stock.scan(services)
    [one] = open_finds(services)

    with pytest.raises(NotAllowed):
        restock.mend(one.id, qa, services, why=WHY)

    assert (
        builders.one(services.db, "SELECT file_size_bytes FROM public.user_library WHERE job_id IS NULL") == 3
    )


def test_a_repaired_portrait_stays_repaired_for_recovery_too(services, saved, mend):
    picture, _, _ = rows_of(services, saved)
    services.storage.delete(LIBRARY, picture)
    mend()

    assert [step for steps in recovery.walk(services) for step in steps] == []
    with services.db.as_service() as conn:
        assert library.counts(conn) == []
