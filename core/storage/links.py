"""Links that browsers get: signed, short-lived, and equal for a while, so that a browser keeps the picture.

A link is made when something is shown and is never stored (SPEC "Files"). It says which object, until when,
and carries our signature over both.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from core.errors import BadRequest, NotAllowed, SetupFailed
from core.settings import Settings
from core.storage import BUCKETS, WORKSPACE, Address, External, checked

HOUR = 3600
DAY = 24 * HOUR
LIVES = {bucket: HOUR if bucket == WORKSPACE else DAY for bucket in BUCKETS}  # seconds (SPEC "Files")
FILES = "/files/"
SUPABASE_OBJECTS = "/storage/v1/"
# What stands between the storage's own address and bucket/path: object/sign/…, render/image/public/…
SUPABASE_FORMS = ("object", "render/image")
SUPABASE_ACCESS = ("sign", "public", "authenticated")
SECRET_FILE = "files.secret"  # noqa: S105 -- a file's name
LEAST_SECRET = 16  # characters


class Links:
    """Signs and checks `/files/{bucket}/{path}?token=…`. Processes that share the secret share the links."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def __repr__(self) -> str:
        return "Links()"

    def sign(self, address: tuple[str, str], now: datetime) -> str:
        """A relative link to an object. It stays the same until an hour before it ends, or half its life.

        Raises NotAllowed BAD_PATH. Whether the person may see the object was decided by the caller.
        """
        bucket, path = checked(*address)
        expiry = _expiry(bucket, now)
        return f"{FILES}{bucket}/{quote(path)}?token={expiry:x}-{self._mac(bucket, path, expiry)}"

    def sign_many(self, addresses: Iterable[tuple[str, str]], now: datetime) -> dict[tuple[str, str], str]:
        """The links of a page of pictures, by address."""
        return {address: self.sign(address, now) for address in addresses}

    def check(self, bucket: str, path: str, token: str, now: datetime) -> None:
        """Nothing where `token` was signed by us for this very object and has not ended.

        Raises NotAllowed: LINK_INVALID (changed, or of another object), LINK_EXPIRED, BAD_PATH.
        """
        checked(bucket, path)
        head, _, mac = token.partition("-")
        try:
            expiry = int(head, 16) if len(head) <= 16 else 0  # noqa: PLR2004 -- longer than any time
        except ValueError:
            expiry = 0
        if not hmac.compare_digest(self._mac(bucket, path, expiry).encode(), mac.encode("utf-8", "replace")):
            raise NotAllowed(
                "This picture link was changed or belongs to another picture.", code="LINK_INVALID"
            )
        if now.timestamp() >= expiry:
            raise NotAllowed(
                "This picture link has ended. Reload the page for a new one.", code="LINK_EXPIRED"
            )

    def seal(self, purpose: str, value: str) -> str:
        """What only we can make of `value`, for one purpose: 43 characters that fit into an address."""
        return self._digest(f"portrait-studio {purpose}\n{value}")

    def is_sealed(self, purpose: str, value: str, seal: str) -> bool:
        """Whether `seal` is ours for that purpose and value; takes as long for every wrong one."""
        return hmac.compare_digest(self.seal(purpose, value).encode(), seal.encode("utf-8", "replace"))

    def _mac(self, bucket: str, path: str, expiry: int) -> str:
        # No part can hold a line break (`checked`), so no two objects make the same message.
        return self._digest(f"portrait-studio file\n{bucket}\n{path}\n{expiry}")

    def _digest(self, message: str) -> str:
        digest = hmac.new(self._secret, message.encode("utf-8", "replace"), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def _expiry(bucket: str, now: datetime) -> int:
    """Seconds since 1970. All moments of one slot share an expiry that lies its margin beyond the slot's end.

    So a link always has between its margin and its whole life left, and changes once a slot.
    """
    life = LIVES[bucket]
    margin = min(HOUR, life // 2)
    slot = life - margin
    return (int(now.timestamp()) // slot + 1) * slot + margin


def parse_address(
    value: str, *, default_bucket: str | None = None, own_hosts: tuple[str, ...] = ()
) -> Address | External:
    """What a row or a request names as a picture, in any of the forms that are in use.

    `bucket/path`; a path alone, inside `default_bucket`; our own link `/files/…`, also with one of
    `own_hosts` in front; a storage link of a Supabase project among `own_hosts` (`host` or `host:port`). Any other
    http(s) address is External. A token is not looked at: an address gives nobody a right.

    Raises BadRequest where it is none of these, NotAllowed BAD_PATH where it is one with a forbidden path.
    """
    text = value.strip()
    if text.startswith(FILES):
        return _of_parts(unquote(urlsplit(text).path.removeprefix(FILES)))
    if text[:8].lower().startswith(("http://", "https://")):
        return _of_url(text, own_hosts)
    if ":" in text.partition("/")[0] or not text:
        raise BadRequest("That is neither a stored picture nor a web address of one.", code="BAD_ADDRESS")
    if text.partition("/")[0] in BUCKETS or default_bucket is None:
        return _of_parts(text)
    return checked(default_bucket, text)


def _of_parts(text: str) -> Address:
    bucket, _, path = text.partition("/")
    return checked(bucket, path)


def _of_url(text: str, own_hosts: tuple[str, ...]) -> Address | External:
    try:
        parts = urlsplit(text)
    except ValueError as exc:
        raise BadRequest("That web address can't be read.", code="BAD_ADDRESS") from exc
    if parts.netloc.lower() not in {host.lower() for host in own_hosts}:
        return External(text)
    inside = _own_path(parts.path)
    if inside is None or inside.partition("/")[0] not in BUCKETS:
        return External(text)
    return _of_parts(unquote(inside))


def _own_path(path: str) -> str | None:
    """`bucket/path` out of the path of one of our own addresses, None where it serves something else."""
    if path.startswith(FILES):
        return path.removeprefix(FILES)
    for form in SUPABASE_FORMS:
        for access in SUPABASE_ACCESS:
            start = f"{SUPABASE_OBJECTS}{form}/{access}/"
            if path.startswith(start):
                return path.removeprefix(start)
    return None


def read_or_make_secret(settings: Settings) -> bytes:
    """FILES_SECRET, or the secret kept under STUDIO_HOME, made there once with mode 0600.

    Several processes starting at once get the same one. Raises SetupFailed.
    """
    if settings.files_secret is not None:
        return _long_enough(settings.files_secret.get_secret_value().encode(), "FILES_SECRET")
    place = settings.home / SECRET_FILE
    try:
        if not place.exists():
            _make_secret(place)
        if place.stat().st_mode & 0o077:
            place.chmod(0o600)
        return _long_enough(place.read_bytes().strip(), str(place.name))
    except OSError as exc:
        raise SetupFailed(
            f"The secret that signs picture links can't be kept under STUDIO_HOME: {exc.strerror}. "
            "Make that folder writable, or set FILES_SECRET."
        ) from exc


def _make_secret(place: Path) -> None:
    """Written whole under another name first: who sees `place` sees all of it, and the first one stays."""
    place.parent.mkdir(parents=True, exist_ok=True)
    passing = place.with_name(f".{secrets.token_hex(8)}.part")
    handle = os.open(passing, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_hex(32).encode())
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was first: its secret is everybody's
            os.link(passing, place)
    finally:
        passing.unlink(missing_ok=True)


def _long_enough(secret: bytes, name: str) -> bytes:
    if len(secret) < LEAST_SECRET:
        raise SetupFailed(
            f"{name} is too short to sign links with: it takes {LEAST_SECRET} characters or more. "
            "Set a longer FILES_SECRET, or remove it to have one made."
        )
    return secret
