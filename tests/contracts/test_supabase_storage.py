"""Supabase Storage behind our protocol: what is particular to it beside the contract every storage passes
(test_storage.py). The server is the double that tests/supabase proves.
"""

import contextlib
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import stamina
from typer.testing import CliRunner

from core import cli, images
from core.errors import NotAllowed, ObjectMissing, SetupFailed, StorageFailed
from core.services import open_services, open_storage
from core.settings import Settings
from core.storage import BUCKETS, LIBRARY, PUBLIC_ASSETS, WORKSPACE
from core.storage import supabase as adapter
from core.storage.folder import FolderStorage
from core.storage.supabase import SETUP, SupabaseStorage
from core.values import JobStage, Role
from tests import builders
from tests.emulator.wire import Reply, json_reply
from tests.fix_services import served
from tests.supabase.objects import Stored
from tests.supabase.storage_double import SECRET_KEY, StorageDouble

pytest_plugins = ["tests.supabase.fix_supabase"]

ROOT = Path(__file__).parents[2]
PERSON = "6f1c0a52-0000-4000-8000-000000000001"
PATH = f"{PERSON}/portraits/11aa/22bb.png"
FOLDER = PATH.rpartition("/")[0]
OTHER = f"{PERSON}/portraits/11aa/33cc.png"
# Each deed with the operation of Storage it is, so that a fault meets it.
DEEDS = {
    "put": ("upload", lambda store: store.put(WORKSPACE, OTHER, b"new", "image/png")),
    "get": ("download", lambda store: store.get(WORKSPACE, PATH)),
    "copy": ("copy", lambda store: store.copy((WORKSPACE, PATH), (LIBRARY, PATH))),
    "info": ("info", lambda store: store.info(WORKSPACE, PATH)),
    "list": ("list", lambda store: list(store.list(WORKSPACE, FOLDER))),
    "delete": ("remove", lambda store: store.delete(WORKSPACE, PATH)),
    "make_buckets": ("list_buckets", lambda store: store.make_buckets()),
}
deeds = pytest.mark.parametrize(("operation", "act"), DEEDS.values(), ids=DEEDS)


@pytest.fixture(autouse=True)
def no_pause():
    """Three attempts as ever, without the waiting between them."""
    with stamina.set_testing(True, attempts=adapter.ATTEMPTS, cap=True):
        yield


@pytest.fixture
def store(supabase, double):
    """Our adapter with one picture in the workspace, and nothing asked yet."""
    supabase.put(WORKSPACE, PATH, b"12345", "image/png")
    double.calls.clear()
    return supabase


def refusal(status, error, message="as recorded"):
    """A refusal as Storage words it."""
    return json_reply({"statusCode": status, "error": error, "message": message, "code": "X"}, status=400)


def failure(act, store):
    with pytest.raises(StorageFailed) as failed:
        act(store)
    return failed.value


# --- what it asks for ---------------------------------------------------------------------------------------


def test_nothing_is_asked_before_it_is_needed(double):
    with contextlib.closing(SupabaseStorage(double.url, double.secret_key)):
        assert double.calls == []


def test_every_request_carries_the_key_and_nobody_signs_in(store, double):
    for _, act in DEEDS.values():
        act(store)

    assert {call.request.headers["authorization"] for call in double.calls} == {f"Bearer {SECRET_KEY}"}
    assert {call.request.headers["apikey"] for call in double.calls} == {SECRET_KEY}
    assert "nothing" not in double.operations()


def test_a_picture_is_stored_under_its_own_type(store, double):
    store.put(LIBRARY, PATH, b"RIFFxxxxWEBP", "image/webp")

    assert double.buckets[LIBRARY].objects[PATH].media_type == "image/webp"


def test_a_copy_is_one_request_in_the_storage_and_keeps_the_type(store, double):
    store.copy((WORKSPACE, PATH), (LIBRARY, OTHER))

    (call,) = double.calls
    assert call.request.json() == {
        "bucketId": WORKSPACE,
        "sourceKey": PATH,
        "destinationBucket": LIBRARY,
        "destinationKey": OTHER,
    }
    assert call.request.headers["x-upsert"] == "true"
    copied = double.buckets[LIBRARY].objects[OTHER]
    assert (copied.data, copied.media_type) == (b"12345", "image/png")


def test_a_storage_that_knows_no_copy_between_buckets_is_noticed(store, double):
    double.fault("copy", reply=json_reply({"Key": f"{WORKSPACE}/{PATH}", "Id": "x"}))

    failed = failure(DEEDS["copy"][1], store)

    assert failed.reason == SETUP
    assert "too old" in failed.sentence


def test_a_copy_onto_itself_asks_only_whether_it_is_there(store, double):
    store.copy((WORKSPACE, PATH), (WORKSPACE, PATH))
    with pytest.raises(ObjectMissing):
        store.copy((WORKSPACE, OTHER), (WORKSPACE, OTHER))

    assert double.operations() == ["info", "info"]


def test_times_come_with_their_zone(store):
    (listed,) = store.list(WORKSPACE)

    assert listed == store.info(WORKSPACE, PATH)
    assert listed.modified_at.tzinfo is not None


def test_many_threads_share_one_storage(store):
    paths = [f"u{n}/a.png" for n in range(24)]
    came = {}

    def work(path):
        store.put(WORKSPACE, path, path.encode(), "image/png")
        store.copy((WORKSPACE, path), (LIBRARY, path))
        came[path] = store.get(LIBRARY, path)

    threads = [threading.Thread(target=work, args=[path]) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert came == {path: path.encode() for path in paths}


# --- refusals -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (refusal("404", "Bucket not found"), SETUP),
        (refusal("403", "Unauthorized"), SETUP),
        (refusal("413", "Payload too large"), "STORAGE_TOO_LARGE"),
        (refusal("415", "invalid_mime_type"), "STORAGE_TYPE"),
        (refusal("409", "Duplicate"), "STORAGE_REFUSED"),
        (refusal("400", "Error"), "STORAGE_REFUSED"),
        (json_reply({"message": "Invalid API key"}, status=401), SETUP),
        (
            json_reply({"message": "Route not found", "error": "Not Found", "statusCode": 404}, status=404),
            SETUP,
        ),
        (Reply(status=404, body=b"<html>no such project</html>"), SETUP),
        (Reply(status=301, headers={"location": "http://127.0.0.1:9/"}), SETUP),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value.status} {value.body[:60].decode()}",
)
@deeds
def test_what_waiting_does_not_help_is_asked_once_and_said_with_its_reason(
    store, double, operation, act, reply, reason
):
    double.fault(operation, count=3, reply=reply)

    failed = failure(act, store)

    assert not isinstance(failed, ObjectMissing)
    assert failed.reason == reason
    assert "admin" in failed.sentence
    assert double.operations().count(operation) == 1


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=502, body=b"<html><h1>Bad Gateway</h1></html>"),
        Reply(status=503),
        Reply(status=429, body=b"slow down"),
        json_reply(
            {"statusCode": "500", "error": "Internal", "message": "x", "code": "InternalError"}, status=500
        ),
        refusal("503", "SlowDown"),
    ],
    ids=["502 page", "503", "429", "500", "503 as text"],
)
@deeds
def test_what_may_pass_by_itself_is_asked_three_times(store, double, operation, act, reply):
    double.fault(operation, count=2, reply=reply)
    act(store)

    assert double.operations().count(operation) == 3

    store.put(WORKSPACE, PATH, b"12345", "image/png")
    double.calls.clear()
    double.fault(operation, count=3, reply=reply)

    assert failure(act, store).reason == "STORAGE"
    assert double.operations().count(operation) == 3


@deeds
def test_a_broken_connection_is_tried_again(store, double, operation, act):
    double.breaks(operation, count=2)
    act(store)

    double.breaks(operation, count=3)

    assert failure(act, store).reason == "STORAGE"


@pytest.mark.parametrize("deed", ["put", "copy", "delete"])
def test_an_answer_that_was_lost_leaves_the_deed_done_once(store, double, deed):
    operation, act = DEEDS[deed]
    double.breaks(operation, done=True)

    act(store)

    there = {
        "put": (WORKSPACE, OTHER, b"new"),
        "copy": (LIBRARY, PATH, b"12345"),
        "delete": (WORKSPACE, PATH, None),
    }
    bucket, path, data = there[deed]
    found = double.buckets[bucket].objects.get(path)
    assert (found.data if found else None) == data


def test_a_picture_cut_short_on_its_way_is_never_taken_for_whole(store, double):
    double.fault("download", count=3, keep=2)

    assert failure(DEEDS["get"][1], store).reason == "STORAGE"
    assert store.get(WORKSPACE, PATH) == b"12345"


def test_a_storage_that_is_gone_or_silent_is_a_failure_in_words(store, double):
    double.wait = 0.5
    with httpx.Client(timeout=0.1) as hasty:
        silent = SupabaseStorage(double.url, double.secret_key, hasty)
        assert "did not answer" in failure(DEEDS["get"][1], silent).sentence
        silent.close()
        assert not hasty.is_closed
    double.wait = 0
    double.close()

    assert "could not be reached" in failure(DEEDS["get"][1], store).sentence


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=b"<html>a captive portal</html>"),
        json_reply({}),
        json_reply([{}]),
        json_reply([1]),
        json_reply(None),
    ],
    ids=["page", "nothing in it", "a row of nothing", "numbers", "null"],
)
@pytest.mark.parametrize("deed", [name for name in DEEDS if name != "get"])
def test_a_good_status_with_nonsense_below_it_is_a_failure(store, double, deed, reply):
    operation, act = DEEDS[deed]
    if deed in {"list", "delete", "make_buckets"} and reply.body == b"{}":
        reply = json_reply({"message": "nonsense"})
    double.fault(operation, count=3, reply=reply)

    assert failure(act, store).reason == "STORAGE"


def test_a_time_without_its_zone_is_nonsense(store, double):
    double.fault("info", count=3, reply=json_reply({"size": 5, "last_modified": "2026-01-01T00:00:00"}))

    assert failure(DEEDS["info"][1], store).reason == "STORAGE"


def test_a_key_that_only_this_storage_forbids_is_no_address(store):
    for forbidden in [
        lambda: store.put(WORKSPACE, "u1/a~b.png", b"x", "image/png"),
        lambda: store.get(WORKSPACE, "u1/a~b.png"),
        lambda: store.info(WORKSPACE, "u1/a~b.png"),
    ]:
        with pytest.raises(NotAllowed) as refused:
            forbidden()
        assert refused.value.reason == "BAD_PATH"


# --- whose key it is ----------------------------------------------------------------------------------------


@deeds
def test_a_key_that_is_not_accepted_never_makes_a_picture_look_missing(store, double, operation, act):
    with contextlib.closing(SupabaseStorage(double.url, "sb_secret_of_another_project")) as stranger:
        failed = failure(act, stranger)

    assert not isinstance(failed, ObjectMissing)
    assert failed.reason == SETUP
    assert "SUPABASE_SECRET_KEY" in failed.sentence


def test_a_removal_that_was_silently_forbidden_is_noticed(store, double):
    double.policies[WORKSPACE] = {"select", "insert", "update"}
    with contextlib.closing(SupabaseStorage(double.url, double.user_token(PERSON))) as restricted:
        failed = failure(DEEDS["delete"][1], restricted)

    assert failed.reason == SETUP
    assert store.get(WORKSPACE, PATH) == b"12345"


def test_a_key_that_sees_no_bucket_does_not_make_a_bucket_look_empty(store, double):
    with contextlib.closing(SupabaseStorage(double.url, double.user_token(PERSON))) as restricted:
        assert failure(DEEDS["list"][1], restricted).reason == SETUP


@deeds
def test_no_sentence_and_no_repr_holds_the_key(store, double, operation, act):
    body = f"<html>you sent {SECRET_KEY}</html>".encode()
    double.fault(operation, count=3, reply=Reply(status=502, body=body))

    failed = failure(act, store)

    assert SECRET_KEY not in f"{failed} {failed!r} {store!r} {vars(failed)}"


def test_a_redirect_is_not_followed_so_the_key_stays_here(store, double):
    with StorageDouble() as elsewhere:
        moved = Reply(
            status=302, headers={"location": f"{elsewhere.url}/storage/v1/object/{WORKSPACE}/{PATH}"}
        )
        double.fault("download", reply=moved)

        failure(DEEDS["get"][1], store)

        assert elsewhere.calls == []


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("", "sb_secret_x"),
        ("project.supabase.example", "sb_secret_x"),
        ("ftp://project.supabase.example", "sb_secret_x"),
        ("https://", "sb_secret_x"),
        ("https://me:word@project.supabase.example", "sb_secret_x"),
        ("https://project.supabase.example\n/x", "sb_secret_x"),
        ("https://project.supabase.example", ""),
        ("https://project.supabase.example", "sb_secret_ü"),
        ("https://project.supabase.example", "sb_secret_x\nx"),
        ("https://project.supabase.example", "sb_publishable_x"),
    ],
)
def test_settings_that_cannot_be_right_are_refused_at_once(url, key):
    with pytest.raises(SetupFailed) as refused:
        SupabaseStorage(url, key)

    assert "SUPABASE_" in refused.value.sentence
    assert "sb_secret_" not in refused.value.sentence
    assert "word" not in refused.value.sentence


# --- listings -----------------------------------------------------------------------------------------------


def fill(double, count, *, folder="u1", bucket=WORKSPACE):
    """Puts objects where they lie, without asking for each."""
    shelf = double.buckets[bucket].objects
    for n in range(count):
        name = f"{folder}/{n:05}.png"
        shelf[name] = Stored(bucket=bucket, name=name, data=b"x", media_type="image/png")


def listed(store, prefix=""):
    return [info.path for info in store.list(WORKSPACE, prefix)]


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 999, 1000, 1001, 2345])
def test_a_folder_of_any_size_is_listed_whole(supabase, double, count):
    fill(double, count)

    found = listed(supabase, "u1")

    assert sorted(found) == sorted(double.buckets[WORKSPACE].objects)
    assert len(found) == count


def test_a_listing_asks_once_for_a_small_folder(store, double):
    fill(double, 50)
    double.calls.clear()

    listed(store, "u1")

    assert double.operations() == ["list"]


def test_hidden_names_are_left_out_and_folders_walked(store, double):
    for path in [".emptyFolderPlaceholder", "u1/.emptyFolderPlaceholder", "u1/a/b/c.png", "u1/a.png"]:
        double.buckets[LIBRARY].objects[path] = Stored(
            bucket=LIBRARY, name=path, data=b"x", media_type="image/png"
        )

    assert sorted(info.path for info in store.list(LIBRARY)) == ["u1/a.png", "u1/a/b/c.png"]


def test_a_server_that_gives_smaller_pages_than_asked_for_is_read_to_the_end(supabase, double, monkeypatch):
    fill(double, 450)
    whole = double._list

    def sparing(request, bucket):
        reply = whole(request, bucket)
        return json_reply(_rows(reply)[:100])

    monkeypatch.setattr(double, "_list", sparing)

    assert len(set(listed(supabase, "u1"))) == 450


def _rows(reply):
    return httpx.Response(200, content=reply.body).json()


# Numbers of the objects that go while the listing is under way, after its first page of 1,000.
GONE = {
    "the first": range(1),
    "the last seen": range(999, 1000),
    "some seen": range(100, 400),
    "nearly all seen": range(999),
    "all seen": range(1000),
    "seen and unseen": range(900, 1100),
    "unseen": range(1000, 1200),
    "all": range(2300),
}


@pytest.mark.parametrize("gone", GONE.values(), ids=GONE)
def test_what_stays_is_listed_once_though_others_go_meanwhile(supabase, double, monkeypatch, gone):
    fill(double, 2300)
    objects = double.buckets[WORKSPACE].objects
    whole = double._list

    def moving(request, bucket):
        reply = whole(request, bucket)
        if double.operations().count("list") == 1:
            for n in gone:
                del objects[f"u1/{n:05}.png"]
        return reply

    monkeypatch.setattr(double, "_list", moving)
    double.calls.clear()

    found = listed(supabase, "u1")

    assert len(found) == len(set(found))
    assert set(objects) <= set(found)


def test_what_stays_is_listed_once_though_others_come_meanwhile(supabase, double, monkeypatch):
    fill(double, 2300)
    objects = double.buckets[WORKSPACE].objects
    standing = set(objects)
    whole = double._list

    def growing(request, bucket):
        reply = whole(request, bucket)
        call = double.operations().count("list")
        for n in range(300 if call <= 3 else 0):
            name = f"u1/00000-{call}-{n:03}.png"
            objects[name] = Stored(bucket=bucket, name=name, data=b"x", media_type="image/png")
        return reply

    monkeypatch.setattr(double, "_list", growing)
    double.calls.clear()

    found = listed(supabase, "u1")

    assert len(found) == len(set(found))
    assert standing <= set(found)


def test_a_caller_may_delete_while_it_lists(supabase, double):
    fill(double, 250)

    for info in supabase.list(WORKSPACE):
        supabase.delete(WORKSPACE, info.path)

    assert double.buckets[WORKSPACE].objects == {}


def test_a_bucket_that_is_missing_is_not_taken_for_an_empty_one(store, double):
    del double.buckets[LIBRARY]

    with pytest.raises(StorageFailed) as failed:
        list(store.list(LIBRARY))

    assert failed.value.reason == SETUP
    assert "python -m core migrate" in failed.value.sentence


# --- buckets ------------------------------------------------------------------------------------------------


def test_missing_buckets_are_made_with_their_limits(double):
    with contextlib.closing(SupabaseStorage(double.url, double.secret_key)) as storage:
        made = storage.make_buckets()
        again = storage.make_buckets()

    assert made == BUCKETS
    assert again == ()
    assert {name: bucket.public for name, bucket in double.buckets.items()} == {
        name: name == PUBLIC_ASSETS for name in BUCKETS
    }
    assert {bucket.file_size_limit for bucket in double.buckets.values()} == {images.MAX_BYTES}
    assert {tuple(bucket.allowed_mime_types) for bucket in double.buckets.values()} == {
        ("image/png", "image/jpeg", "image/webp", "image/avif")
    }


def test_a_bucket_of_the_platform_is_left_as_it_is(double, service):
    service.create_bucket(LIBRARY, options={"public": True, "file_size_limit": 123})
    before = double.buckets[LIBRARY].told()

    with contextlib.closing(SupabaseStorage(double.url, double.secret_key)) as storage:
        made = storage.make_buckets()

    assert LIBRARY not in made
    assert double.buckets[LIBRARY].told() == before


def test_a_bucket_that_another_process_made_first_is_no_error(double, service):
    service.create_bucket(LIBRARY)
    double.fault("list_buckets", reply=json_reply([]))

    with contextlib.closing(SupabaseStorage(double.url, double.secret_key)) as storage:
        made = storage.make_buckets()

    assert made == tuple(name for name in BUCKETS if name != LIBRARY)


def test_what_is_no_picture_or_too_large_is_kept_out_by_the_bucket(store, double):
    double.buckets[WORKSPACE].file_size_limit = 10

    for data, media_type, reason in [
        (b"<p>", "text/html", "STORAGE_TYPE"),
        (b"x" * 11, "image/png", "STORAGE_TOO_LARGE"),
    ]:
        with pytest.raises(StorageFailed) as failed:
            store.put(WORKSPACE, OTHER, data, media_type)
        assert failed.value.reason == reason


# --- in the product -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("left_out", ["supabase_url", "supabase_secret_key"])
def test_files_stay_in_the_folder_where_supabase_is_not_fully_named(no_settings_around, tmp_path, left_out):
    named = {"supabase_url": "http://127.0.0.1:9", "supabase_secret_key": "sb_secret_x"}
    named[left_out] = None

    with open_storage(Settings(_env_file=None, studio_home=tmp_path, **named)) as storage:
        assert isinstance(storage, FolderStorage)


def test_the_services_store_in_supabase_and_close_it(no_settings_around, dsn, tmp_path, double, service):
    settings = Settings(
        _env_file=None,
        studio_home=tmp_path,
        database_url=dsn,
        supabase_url=double.url,
        supabase_secret_key=double.secret_key,
    )
    service.create_bucket(LIBRARY)

    with open_services(settings) as services:
        services.storage.put(LIBRARY, PATH, b"12345", "image/png")

    assert isinstance(services.storage, SupabaseStorage)
    assert double.buckets[LIBRARY].objects[PATH].data == b"12345"
    with pytest.raises(RuntimeError):
        services.storage.get(LIBRARY, PATH)


def test_a_portrait_goes_all_the_way_into_the_library_of_the_project(build, supabase, double):
    services = replace(build(providers=("sketch",)), storage=supabase)
    ana = builders.a_person(services.db, "ana", Role.editor)
    character = builders.a_character(ana, services)
    for operation in ("upload", "copy", "info"):
        double.breaks(operation)

    outcome = builders.a_finished_portrait(ana, services, character)

    temporary, permanent = double.buckets[WORKSPACE].objects, double.buckets[LIBRARY].objects
    assert outcome.job.stage is JobStage.saved
    assert sorted(one.media_type for one in permanent.values()) == ["image/png", "image/webp"]
    assert sorted(one.etag for one in permanent.values()) == sorted(one.etag for one in temporary.values())


def test_a_page_of_sixty_pictures_asks_the_project_for_no_link_and_a_second_view_for_no_picture(
    build, supabase, double
):
    services = replace(build(providers=("sketch",)), storage=supabase)
    addresses = [(LIBRARY, f"u1/portraits/c1/{number}.png") for number in range(60)]
    for bucket, path in addresses:
        supabase.put(bucket, path, b"a picture", "image/png")
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    double.calls.clear()

    first = services.links.sign_many(addresses, now)
    again = services.links.sign_many(addresses, now + timedelta(minutes=10))

    assert double.calls == []
    assert first == again  # so the browser shows what it has
    assert all(link.startswith("/files/") for link in first.values())  # our own origin
    with served(services) as site:
        client = site.as_(None)
        shown = [client.get(link) for link in first.values()]
    assert [answer.content for answer in shown] == [b"a picture"] * 60
    assert all("max-age=" in answer.headers["cache-control"] for answer in shown)
    assert double.operations() == ["download"] * 60


def test_who_has_no_supabase_does_not_wait_for_its_packages():
    program = (
        "import sys, core.services, core.api; print('supabase' in sys.modules, 'storage3' in sys.modules)"
    )

    said = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert said.stdout.split() == ["False", "False"]


def test_migrating_makes_the_buckets_once(no_settings_around, monkeypatch, dsn, tmp_path, double):
    monkeypatch.chdir(tmp_path)
    for name, value in (
        ("DATABASE_URL", dsn),
        ("SUPABASE_URL", double.url),
        ("SUPABASE_SECRET_KEY", double.secret_key),
    ):
        monkeypatch.setenv(name, value)

    first = CliRunner().invoke(cli.app, ["migrate"])
    second = CliRunner().invoke(cli.app, ["migrate"])

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert tuple(double.buckets) == BUCKETS
    assert double.operations().count("create_bucket") == len(BUCKETS)


def test_migrating_with_a_wrong_key_says_so_and_fails(no_settings_around, monkeypatch, dsn, tmp_path, double):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", dsn)
    monkeypatch.setenv("SUPABASE_URL", double.url)
    monkeypatch.setenv("SUPABASE_SECRET_KEY", "sb_secret_of_another_project")

    ended = CliRunner().invoke(cli.app, ["migrate"])

    assert ended.exit_code == 1
    assert double.buckets == {}
