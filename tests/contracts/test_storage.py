"""What the rest of the code relies on in a storage; every backend passes the same suite.

A backend joins by a fixture of its own name in STORES that gives an empty storage. A real Supabase project joins where
`make test-supabase URL=…` names one: a folder of the run's own in each of its buckets is the whole storage then.
"""

import contextlib
import hashlib
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest

from core.errors import NotAllowed, ObjectMissing, StorageFailed
from core.storage import BUCKETS, LIBRARY, WORKSPACE
from core.storage.folder import FolderStorage
from core.storage.supabase import SupabaseStorage
from tests.supabase.given import Within, given

pytest_plugins = ["tests.supabase.fix_supabase"]

STORES = ["folder", "supabase", *(["given"] if given() else [])]
PATH = "0f6c/portraits/11aa/22bb.png"


@pytest.fixture
def folder(tmp_path):
    return FolderStorage(tmp_path / "objects")


@pytest.fixture(name="given")
def given_store():
    project = given()
    with contextlib.closing(SupabaseStorage(project.url, project.secret_key)) as storage:
        store = Within(storage, project.folder)
        store.empty()
        yield store
        store.empty()


@pytest.fixture(params=STORES)
def store(request):
    return request.getfixturevalue(request.param)


def keys(store, bucket=WORKSPACE, prefix=""):
    return sorted(info.path for info in store.list(bucket, prefix))


@pytest.mark.parametrize("bucket", BUCKETS)
def test_what_is_put_comes_back_byte_for_byte(store, bucket):
    store.put(bucket, PATH, b"\x00\xffpicture", "image/png")

    assert store.get(bucket, PATH) == b"\x00\xffpicture"


def test_putting_again_replaces_whole(store):
    store.put(WORKSPACE, PATH, b"a long first version", "image/png")

    store.put(WORKSPACE, PATH, b"second", "image/png")

    assert store.get(WORKSPACE, PATH) == b"second"
    assert keys(store) == [PATH]


def test_an_empty_object_is_an_object(store):
    store.put(WORKSPACE, PATH, b"", "image/png")

    assert store.get(WORKSPACE, PATH) == b""
    assert store.info(WORKSPACE, PATH).size == 0


def test_a_copy_stands_by_itself(store):
    store.put(WORKSPACE, "a/one.png", b"first", "image/png")

    store.copy((WORKSPACE, "a/one.png"), (LIBRARY, PATH))
    store.put(WORKSPACE, "a/one.png", b"changed", "image/png")
    store.delete(WORKSPACE, "a/one.png")

    assert store.get(LIBRARY, PATH) == b"first"


def test_a_copy_replaces_what_stands_there(store):
    store.put(WORKSPACE, "a/one.png", b"new", "image/png")
    store.put(LIBRARY, PATH, b"old and longer", "image/png")

    store.copy((WORKSPACE, "a/one.png"), (LIBRARY, PATH))

    assert store.get(LIBRARY, PATH) == b"new"


def test_an_object_copied_onto_itself_stays(store):
    store.put(LIBRARY, PATH, b"same", "image/png")

    store.copy((LIBRARY, PATH), (LIBRARY, PATH))

    assert store.get(LIBRARY, PATH) == b"same"


def test_what_is_not_there_is_said_to_be_missing(store):
    with pytest.raises(ObjectMissing):
        store.get(WORKSPACE, PATH)
    with pytest.raises(ObjectMissing):
        store.copy((WORKSPACE, PATH), (LIBRARY, PATH))

    assert store.info(WORKSPACE, PATH) is None
    assert store.info(LIBRARY, PATH) is None
    assert keys(store) == []


def test_a_folder_is_no_object(store):
    store.put(WORKSPACE, "a/b/c.png", b"x", "image/png")

    assert store.info(WORKSPACE, "a/b") is None
    with pytest.raises(ObjectMissing):
        store.get(WORKSPACE, "a/b")


def test_deleting_twice_is_no_error_and_leaves_the_neighbours(store):
    store.put(WORKSPACE, "a/one.png", b"1", "image/png")
    store.put(WORKSPACE, "a/two.png", b"2", "image/png")

    store.delete(WORKSPACE, "a/one.png")
    store.delete(WORKSPACE, "a/one.png")

    assert keys(store) == ["a/two.png"]


def test_info_tells_size_and_time_in_a_zone(store):
    store.put(WORKSPACE, PATH, b"12345", "image/png")

    info = store.info(WORKSPACE, PATH)

    assert (info.bucket, info.path, info.size) == (WORKSPACE, PATH, 5)
    assert abs(datetime.now(UTC) - info.modified_at) < timedelta(minutes=1)


def test_a_listing_is_of_one_bucket_and_one_whole_folder(store):
    for path in ["u1/a.png", "u1/deep/er/b.png", "u10/c.png", "top.png"]:
        store.put(WORKSPACE, path, path.encode(), "image/png")
    store.put(LIBRARY, "u1/other.png", b"x", "image/png")

    assert keys(store) == ["top.png", "u1/a.png", "u1/deep/er/b.png", "u10/c.png"]
    assert keys(store, prefix="u1") == keys(store, prefix="u1/") == ["u1/a.png", "u1/deep/er/b.png"]
    assert keys(store, prefix="nobody") == []
    assert {info.size for info in store.list(WORKSPACE, "u10")} == {len("u10/c.png")}


WALKED = ["a.png", "u/10/b.png", "u/2/c.png", "u/2/d/e.png", "u/2/f.png", "u/a.png", "u2/g.png", "z.png"]


def test_a_walk_goes_through_a_bucket_in_order_and_each_object_comes_once(store):
    for path in reversed(WALKED):
        store.put(WORKSPACE, path, path.encode(), "image/png")
    store.put(LIBRARY, "other.png", b"x", "image/png")

    walked = list(store.walk(WORKSPACE))

    assert [info.path for info in walked] == WALKED
    assert [info.size for info in walked] == [len(path) for path in WALKED]


def test_a_walk_that_was_stopped_goes_on_behind_any_of_its_objects(store):
    for path in WALKED:
        store.put(WORKSPACE, path, b"x", "image/png")

    for place, path in enumerate(WALKED):
        assert [info.path for info in store.walk(WORKSPACE, path)] == WALKED[place + 1 :]


def test_a_walk_goes_on_where_the_object_it_stopped_at_is_gone(store):
    for path in WALKED:
        store.put(WORKSPACE, path, b"x", "image/png")
    store.delete(WORKSPACE, "u/2/d/e.png")

    assert [info.path for info in store.walk(WORKSPACE, "u/2/d/e.png")] == WALKED[4:]
    assert list(store.walk(LIBRARY)) == []


BAD = [
    "",
    "/",
    "/etc/passwd",
    "../x",
    "a/../../x",
    "a/..",
    "./a",
    "a/./b",
    "a//b",
    "a/",
    ".hidden",
    "a/.hidden",
    "a\\b",
    "a\nb",
    "a\0b",
    "ü.png",
    "a b.png",
    "a?b",
    "a#b",
    "a%2e%2e/b",
    "~/x?",
    "C:/x",
    "a" * 300,
    "/".join(["a"] * 40),
    "a\n",
]


@pytest.mark.parametrize("path", BAD)
def test_a_path_that_is_no_key_of_ours_is_refused_everywhere(store, path):
    store.put(WORKSPACE, PATH, b"x", "image/png")

    for forbidden in [
        lambda: store.put(WORKSPACE, path, b"x", "image/png"),
        lambda: store.get(WORKSPACE, path),
        lambda: store.info(WORKSPACE, path),
        lambda: store.delete(WORKSPACE, path),
        lambda: store.copy((WORKSPACE, path), (LIBRARY, PATH)),
        lambda: store.copy((WORKSPACE, PATH), (LIBRARY, path)),
    ]:
        with pytest.raises(NotAllowed) as refused:
            forbidden()
        assert refused.value.reason == "BAD_PATH"
    assert keys(store, LIBRARY) == []


@pytest.mark.parametrize("bucket", ["", "..", "elsewhere", "workspace-temp/..", "/", "."])
def test_a_bucket_that_is_not_ours_is_refused(store, bucket):
    with pytest.raises(NotAllowed):
        store.put(bucket, PATH, b"x", "image/png")
    with pytest.raises(NotAllowed):
        list(store.list(bucket))


def test_readers_see_the_old_or_the_new_and_nothing_between(store):
    versions = [bytes([n]) * 300_000 for n in range(8)]
    store.put(WORKSPACE, PATH, versions[0], "image/png")
    seen, stop = set(), threading.Event()

    def read():
        while not stop.is_set():
            seen.add(store.get(WORKSPACE, PATH))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for thread in readers:
        thread.start()
    for version in versions * 3:
        store.put(WORKSPACE, PATH, version, "image/png")
    stop.set()
    for thread in readers:
        thread.join()

    assert seen <= set(versions)


# --- the folder's own ---------------------------------------------------------------------------------------


def test_a_link_out_of_the_store_is_never_followed(folder, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.png").write_bytes(b"secret")
    folder.put(WORKSPACE, "u1/a.png", b"a", "image/png")
    (tmp_path / "objects" / WORKSPACE / "u2").symlink_to(outside)
    (tmp_path / "objects" / WORKSPACE / "u1" / "link.png").symlink_to(outside / "secret.png")

    for path in ["u2/secret.png", "u1/link.png"]:
        for forbidden in [
            lambda path=path: folder.get(WORKSPACE, path),
            lambda path=path: folder.info(WORKSPACE, path),
            lambda path=path: folder.put(WORKSPACE, path, b"x", "image/png"),
            lambda path=path: folder.delete(WORKSPACE, path),
        ]:
            with pytest.raises(NotAllowed):
                forbidden()

    assert keys(folder) == ["u1/a.png"]
    assert (outside / "secret.png").read_bytes() == b"secret"


def test_a_write_that_fails_leaves_the_old_object_and_no_leftover(folder, tmp_path, monkeypatch):
    folder.put(WORKSPACE, PATH, b"old", "image/png")

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFailed) as failed:
        folder.put(WORKSPACE, PATH, b"new", "image/png")

    assert "No space left" in str(failed.value)
    assert str(tmp_path) not in str(failed.value)
    assert folder.get(WORKSPACE, PATH) == b"old"
    assert [file.name for file in (tmp_path / "objects").rglob("*") if file.is_file()] == ["22bb.png"]


def test_a_writer_killed_half_way_leaves_the_old_object_and_nothing_listed(folder, tmp_path):
    folder.put(WORKSPACE, PATH, b"old", "image/png")
    program = (
        "import os, signal, sys; from pathlib import Path; from core.storage.folder import FolderStorage\n"
        "os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"FolderStorage(Path(sys.argv[1])).put({WORKSPACE!r}, {PATH!r}, b'new', 'image/png')\n"
    )

    ended = subprocess.run([sys.executable, "-c", program, tmp_path / "objects"], check=False)

    assert ended.returncode == -9
    assert folder.get(WORKSPACE, PATH) == b"old"
    assert keys(folder) == [PATH]


def test_a_file_where_a_folder_should_be_is_a_storage_failure(folder):
    folder.put(WORKSPACE, "a/b.png", b"x", "image/png")

    with pytest.raises(StorageFailed) as failed:
        folder.put(WORKSPACE, "a/b.png/c.png", b"y", "image/png")

    assert not isinstance(failed.value, ObjectMissing)


def test_sizes_of_many_are_told_together_and_what_is_not_there_is_left_out(store):
    for number in range(6):
        store.put(LIBRARY, f"a/one/{number}.png", b"x" * number, "image/png")
    store.put(LIBRARY, "a/two.png", b"alone", "image/png")
    asked = [
        *(f"a/one/{number}.png" for number in range(8)),
        "a/two.png",
        "a/one",
        "../escape.png",
        "b/none.png",
    ]

    sizes = store.sizes(LIBRARY, asked)

    assert sizes == {f"a/one/{number}.png": number for number in range(6)} | {"a/two.png": 5}


def test_a_digest_is_the_size_and_hash_of_the_bytes(store):
    data = bytes(range(256)) * 2000
    store.put(LIBRARY, PATH, data, "image/png")

    digest = store.digest(LIBRARY, PATH)

    assert digest == (len(data), hashlib.sha256(data).hexdigest())


def test_a_digest_of_what_is_not_there_says_so(store):
    with pytest.raises(ObjectMissing):
        store.digest(LIBRARY, PATH)
