"""Objects in the buckets of a Supabase project, over the `supabase` client.

What the server answers was measured (reference/supabase.md §1–3): nearly every refusal is HTTP 400 with the
real status as text in its body, a listing of what is not there is empty, and so is the answer to a removal
that was forbidden. So refusals are told apart by (status, code) of the body, and emptiness is looked into.

Everything here may be done twice with one effect (a write replaces), so what may pass by itself is tried
three times before the caller hears of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import TypeVar

import httpx
import stamina
from storage3.exceptions import StorageApiError
from supabase import Client, ClientOptions, create_client

from core.errors import NotAllowed, ObjectMissing, SetupFailed, StorageFailed
from core.images import MAX_BYTES
from core.storage import BUCKETS, PUBLIC_ASSETS, Address, Digest, ObjectInfo, checked, is_behind, is_key

T = TypeVar("T")

ATTEMPTS = 3  # SPEC "Failure"
TIMEOUT = httpx.Timeout(30.0, connect=5.0)  # seconds of silence, not for the whole exchange
LIMITS = httpx.Limits(max_connections=64, max_keepalive_connections=32, keepalive_expiry=20.0)
PAGE = 1000  # entries of a folder asked for at once
# A page with fewer entries is the last one: whatever a server makes of PAGE, it gives the client's own default.
SURELY_GIVEN = 100
WORTH_LISTING = 4  # objects wanted of one folder from which on its listing is read
MEDIA_TYPES = ("image/png", "image/jpeg", "image/webp", "image/avif")  # what core.images takes
SETUP = "STORAGE_SETUP"  # reason: waiting does not help, an admin must act

_EXISTS = ("409", "Duplicate")
_BUCKET_SENTENCE = (
    "The storage knows no such bucket; it says the same where it does not accept SUPABASE_SECRET_KEY. "
    "An admin should check that key and run `python -m core migrate`, which makes missing buckets."
)
_KEY_SENTENCE = (
    "The storage does not accept SUPABASE_SECRET_KEY, or that key may not do this. "
    "An admin must set the project's secret key."
)
_ADDRESS_SENTENCE = (
    "There is no Supabase Storage at SUPABASE_URL. An admin should check the project's address."
)
# By (status, code), then by status alone: the reason, and what a person reads.
_ANSWERS: Mapping[tuple[str, str], tuple[str, str]] = {
    ("404", "Bucket not found"): (SETUP, _BUCKET_SENTENCE),
    ("413", "Payload too large"): (
        "STORAGE_TOO_LARGE",
        "The picture is larger than its bucket takes. An admin must raise the bucket's file size limit.",
    ),
    ("415", "invalid_mime_type"): (
        "STORAGE_TYPE",
        "The bucket does not take this type of picture. An admin must add it to the bucket's allowed types.",
    ),
}
_STATUSES: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("401", "403"), (SETUP, _KEY_SENTENCE)),
    **dict.fromkeys(("301", "302", "303", "307", "308", "404"), (SETUP, _ADDRESS_SENTENCE)),
}
_PASSES = {"408", "425", "429"}


class SupabaseStorage:
    """`Storage` (core.storage) in a Supabase project.

    Nobody ever signs in on its client: the client would then act as that person everywhere.
    """

    def __init__(self, url: str, secret_key: str, client: httpx.Client | None = None) -> None:
        """`url` is the project's address. A `client` that is handed in brings its own timeouts and is closed by
        whoever made it.

        Nothing is asked yet. Raises SetupFailed where the address or the key cannot be one.
        """
        project, key = _project_address(url), _fit_for_a_header(secret_key)
        self._http = new_client() if client is None else client
        self._is_own = client is None
        self._supabase = _sign_in_free(project, key, self._http)
        # Built here once: the client makes it on first use, without a lock.
        self._storage = self._supabase.storage

    def __repr__(self) -> str:
        return f"SupabaseStorage({self._supabase.supabase_url.host})"

    def close(self) -> None:
        """Close the connections, where they are this storage's own."""
        if self._is_own:
            self._http.close()

    @property
    def is_near(self) -> bool:
        """As `Storage.is_near`."""
        return False

    def put(self, bucket: str, path: str, data: bytes, media_type: str) -> None:
        """As `Storage.put`. Raises StorageFailed STORAGE_TOO_LARGE, STORAGE_TYPE where the bucket's limits forbid it."""
        checked(bucket, path)
        _ask(
            "written",
            lambda: self._storage.from_(bucket).upload(
                path, data, {"content-type": media_type, "upsert": "true"}
            ),
        )

    def get(self, bucket: str, path: str) -> bytes:
        """As `Storage.get`."""
        checked(bucket, path)
        return _ask("read", lambda: self._storage.from_(bucket).download(path))

    def copy(self, source: tuple[str, str], target: tuple[str, str]) -> None:
        """As `Storage.copy`, inside the storage: the bytes do not pass through here.

        The client's own `copy` knows one bucket and does not replace, so the HTTP call it makes is made here
        with both. Reading and writing again would move every picture twice, and lose its stored type.
        """
        origin, goal = checked(*source), checked(*target)
        if origin == goal:
            self._must_stand(origin)
            return
        _ask("copied", lambda: self._copy(origin, goal))

    def info(self, bucket: str, path: str) -> ObjectInfo | None:
        """As `Storage.info`."""
        checked(bucket, path)

        def look() -> ObjectInfo:
            said = self._storage.from_(bucket).info(path)
            return _info(bucket, path, said["size"], said["last_modified"])

        try:
            return _ask("looked at", look)
        except ObjectMissing:
            return None

    def sizes(self, bucket: str, paths: Iterable[str]) -> dict[str, int]:
        """As `Storage.sizes`: out of the listing of a folder where several lie in it, else one by one.

        A removal meanwhile hides entries from a listing, so what it did not show is asked for by name.
        """
        found: dict[str, int] = {}
        asked = set(filter(is_key, paths))
        folders: dict[str, set[str]] = {}
        for path in asked:
            folders.setdefault(path.rpartition("/")[0], set()).add(path)
        for folder, wanted in folders.items():
            if len(wanted) >= WORTH_LISTING:
                found |= self._sizes_in(bucket, folder, wanted)
        for path in asked - found.keys():
            if (info := self.info(bucket, path)) is not None:
                found[path] = info.size
        return found

    def digest(self, bucket: str, path: str) -> Digest:
        """As `Storage.digest`."""
        checked(bucket, path)
        return _ask("read", lambda: self._digest(bucket, path))

    def list(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:
        """As `Storage.list`; `prefix` is a whole folder (`a/b`), never a part of a name.

        What stands there throughout is given exactly once, whatever is added or removed meanwhile. Raises
        StorageFailed where nothing is found because the bucket itself is missing.
        """
        folder = prefix.rstrip("/")
        # Any key serves to have the bucket and the prefix looked at.
        checked(bucket, f"{folder}/x" if folder else "x")
        empty = True
        for info in self._below(bucket, folder):
            empty = False
            yield info
        if empty:
            _ask("listed", lambda: self._storage.get_bucket(bucket))

    def walk(self, bucket: str, after: str = "") -> Iterator[ObjectInfo]:
        """As `Storage.walk`. Raises StorageFailed where nothing is found because the bucket itself is missing."""
        checked(bucket, "x")
        empty = not after
        for info in self._behind(bucket, "", after.split("/") if after else []):
            empty = False
            yield info
        if empty:
            _ask("listed", lambda: self._storage.get_bucket(bucket))

    def delete(self, bucket: str, path: str) -> None:
        """As `Storage.delete`. Raises StorageFailed STORAGE_SETUP where the object still stands afterwards."""
        address = checked(bucket, path)
        rows = _ask("deleted", lambda: _names(self._storage.from_(bucket).remove([path])))
        # Without a word, a removal that is forbidden removes nothing.
        if path not in rows and self.info(*address) is not None:
            raise StorageFailed(f"The picture was not removed. {_KEY_SENTENCE}", code=SETUP)

    def make_buckets(self) -> tuple[str, ...]:
        """Make the buckets that are missing (SPEC "Files"); those that stand are left as they are.

        Returns the names of the new ones. They take pictures only, up to what core.images takes; `assets` is
        public, the others are private. Safe twice and from two processes at once. Raises StorageFailed.
        """
        standing = _ask("listed", lambda: {bucket.id for bucket in self._storage.list_buckets()})
        missing = [name for name in BUCKETS if name not in standing]
        return tuple(name for name in missing if _ask("made", partial(self._make, name)))

    def _make(self, name: str) -> bool:
        """False where another process was first."""
        try:
            self._storage.create_bucket(
                name,
                options={
                    "public": name == PUBLIC_ASSETS,
                    "file_size_limit": MAX_BYTES,
                    "allowed_mime_types": [*MEDIA_TYPES],
                },
            )
        except StorageApiError as exc:
            if (str(exc.status), exc.code) != _EXISTS:
                raise
            return False
        return True

    def _copy(self, source: Address, target: Address) -> None:
        response = self._http.post(
            f"{self._supabase.storage_url}object/copy",
            headers={**self._supabase.options.headers, "x-upsert": "true"},
            json={
                "bucketId": source.bucket,
                "sourceKey": source.path,
                "destinationBucket": target.bucket,
                "destinationKey": target.path,
            },
        )
        if not response.is_success:
            raise _api_error(response)
        if response.json()["Key"] != str(target):
            raise StorageFailed(
                "This Supabase Storage is too old to copy from one bucket to another. An admin must update it.",
                code=SETUP,
            )

    def _digest(self, bucket: str, path: str) -> Digest:
        size, said = 0, hashlib.sha256()
        address = f"{self._supabase.storage_url}object/{bucket}/{path}"
        with self._http.stream("GET", address, headers={**self._supabase.options.headers}) as response:
            if not response.is_success:
                response.read()
                raise _api_error(response)
            for piece in response.iter_bytes():
                size += len(piece)
                said.update(piece)
        return Digest(size=size, sha256=said.hexdigest())

    def _sizes_in(self, bucket: str, folder: str, wanted: set[str]) -> dict[str, int]:
        """Sizes of `wanted` out of one folder's pages, until all are found; a page at a time is held."""
        found: dict[str, int] = {}
        offset = 0
        while len(found) < len(wanted):
            page = _ask("listed", partial(self._page, bucket, folder, offset))
            found |= {
                info.path: info.size for info in page.values() if info is not None and info.path in wanted
            }
            if len(page) < SURELY_GIVEN:
                break
            offset += len(page)
        return found

    def _must_stand(self, address: Address) -> None:
        if self.info(*address) is None:
            raise _missing()

    def _below(self, bucket: str, folder: str) -> Iterator[ObjectInfo]:
        for name, info in self._entries(bucket, folder):
            # As in the folder store: a hidden name is no key. The project's dashboard makes some.
            if name.startswith("."):
                continue
            if info is None:
                yield from self._below(bucket, f"{folder}/{name}" if folder else name)
            else:
                yield info

    def _behind(self, bucket: str, folder: str, after: Sequence[str]) -> Iterator[ObjectInfo]:
        # Sorted here: the server sorts by its database's collation.
        entries = sorted(self._entries(bucket, folder), key=lambda entry: (entry[0], entry[1] is None))
        for name, info in entries:
            if name.startswith(".") or not is_behind(name, after, is_folder=info is None):
                continue
            if info is None:
                rest = after[1:] if after and name == after[0] else ()
                yield from self._behind(bucket, f"{folder}/{name}" if folder else name, rest)
            else:
                yield info

    def _entries(self, bucket: str, folder: str) -> Iterator[tuple[str, ObjectInfo | None]]:
        """Names in one folder, each with its object, or None for a folder below.

        Pages are counted from the start, so a removal meanwhile would hide as many entries as it removed:
        each page begins with the last entry of the one before, and where it shares none the reading steps back.
        The whole folder is read before the first entry is given, so that the caller may remove as it goes.
        """
        found: dict[tuple[str, bool], ObjectInfo | None] = {}
        offset = 0
        while True:
            page = _ask("listed", partial(self._page, bucket, folder, offset))
            if offset and found.keys().isdisjoint(page):
                offset = max(0, offset - PAGE)
                continue
            found |= page
            if len(page) < SURELY_GIVEN:
                break
            offset += len(page) - 1
        for (name, _), info in found.items():
            yield name, info

    def _page(self, bucket: str, folder: str, offset: int) -> dict[tuple[str, bool], ObjectInfo | None]:
        entries = self._storage.from_(bucket).list(folder, {"limit": PAGE, "offset": offset})
        found: dict[tuple[str, bool], ObjectInfo | None] = {}
        for entry in entries:
            name = _text(entry["name"])
            path = f"{folder}/{name}" if folder else name
            is_folder = entry["id"] is None
            found[name, is_folder] = (
                None if is_folder else _info(bucket, path, entry["metadata"]["size"], entry["updated_at"])
            )
        return found


def new_client() -> httpx.Client:
    """A client for the storage; it follows no redirect, which would carry the key along."""
    return httpx.Client(timeout=TIMEOUT, limits=LIMITS, follow_redirects=False)


def _sign_in_free(project: str, key: str, http: httpx.Client) -> Client:
    # Its options hold no session and start no timer; with a client of ours it makes no TLS context of its own.
    options = ClientOptions(httpx_client=http, persist_session=False, auto_refresh_token=False)
    return create_client(project, key, options)


def _project_address(url: str) -> str:
    try:
        parts = httpx.URL(url.strip())
    except httpx.InvalidURL as exc:
        raise SetupFailed("SUPABASE_URL cannot be read as an address. Copy it again.") from exc
    if parts.scheme not in {"http", "https"} or not parts.host or parts.userinfo or parts.query:
        raise SetupFailed(
            "SUPABASE_URL must be the project's address, such as https://your-project.supabase.co. Copy it again."
        )
    return str(parts)


def _fit_for_a_header(key: str) -> str:
    if not (key.isascii() and key.isprintable() and key):
        raise SetupFailed("SUPABASE_SECRET_KEY holds characters that no key has. Copy it again, in one line.")
    if key.startswith("sb_publishable_"):
        raise SetupFailed(
            "SUPABASE_SECRET_KEY holds the publishable key, which may not write. Set the project's secret key."
        )
    return key


def _ask(deed: str, ask: Callable[[], T]) -> T:
    """Its answer; what may pass by itself is asked up to three times. Raises our errors only."""
    for attempt in stamina.retry_context(
        on=_may_pass, attempts=ATTEMPTS, timeout=None, wait_initial=0.1, wait_max=2.0, wait_jitter=0.2
    ):
        with attempt, _said_plainly(deed):
            return ask()
    raise AssertionError("a retry block either returns or raises")


def _may_pass(exc: Exception) -> bool:
    return isinstance(exc, StorageFailed) and exc.reason == StorageFailed.code


@contextmanager
def _said_plainly(deed: str) -> Generator[None]:
    try:
        yield
    except StorageApiError as exc:
        raise _ours(str(exc.status), exc.code, deed) from exc
    except httpx.HTTPError as exc:  # the storage client hands these on as they are
        raise StorageFailed(
            f"A picture could not be {deed}: the storage could not be reached, or did not answer in time. "
            "It is tried again; if it stays so, an admin should look at the Supabase project."
        ) from exc
    except (LookupError, TypeError, ValueError) as exc:  # a good status with a body that says something else
        raise StorageFailed(
            f"A picture could not be {deed}: the storage's answer could not be read. It is tried again; if it "
            "stays so, an admin should check that SUPABASE_URL leads to a Supabase project."
        ) from exc


def _ours(status: str, code: str, deed: str) -> NotAllowed | StorageFailed:
    """The error for one of Storage's refusals (the table in reference/supabase.md §3)."""
    if (status, code) == ("404", "not_found"):
        return _missing()
    if (status, code) == ("400", "InvalidKey"):
        return NotAllowed(
            "That is not the address of a stored picture. Pick the picture again.", code="BAD_PATH"
        )
    known = _ANSWERS.get((status, code)) or _STATUSES.get(status)
    if known is not None:
        return StorageFailed(known[1], code=known[0])
    if status in _PASSES or not status.startswith("4"):
        return StorageFailed(
            f"A picture could not be {deed}: the storage answered {status}. It is tried again; if it stays so, "
            "an admin should look at the Supabase project."
        )
    return StorageFailed(
        f"A picture could not be {deed}: the storage refused it ({status}). An admin should look at its log.",
        code="STORAGE_REFUSED",
    )


def _missing() -> ObjectMissing:
    return ObjectMissing("The picture's file is not in the store; the audit lists such pictures.")


def _api_error(response: httpx.Response) -> StorageApiError:
    """A refusal as the storage client itself would raise it."""
    try:
        said = response.json()
        return StorageApiError(said["message"], said["error"], said["statusCode"])
    except (LookupError, TypeError, ValueError):
        return StorageApiError("", "InternalError", response.status_code)


def _names(rows: list[dict[str, object]]) -> set[str]:
    return {_text(row["name"]) for row in rows}


def _info(bucket: str, path: str, size: object, modified: object) -> ObjectInfo:
    moment = datetime.fromisoformat(_text(modified))
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    return ObjectInfo(bucket=bucket, path=path, size=_number(size), modified_at=moment)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("text was expected")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError("a whole number was expected")
    return value
