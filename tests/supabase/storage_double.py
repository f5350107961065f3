"""A Supabase Storage on loopback, with faults on demand.

It stands where gateway and Storage stand in a project: `secret_key` is an opaque key that the gateway turns
into the service's rights; `user_token` makes a signed-in person's. test_storage_double.py drives it through
the `supabase` client and asserts the recorded answers one by one.

Not played, because nothing was recorded of it or nothing here asks for it: list-v2, transformed images,
`copyMetadata`, and that simultaneous uploads without upsert all succeed.
"""

from __future__ import annotations

import json
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import quote

import jwt

from tests.emulator.wire import Loss, Reply, Request, json_reply
from tests.supabase import answers
from tests.supabase.objects import BUCKET_NAME, Bucket, Stored, checked_key, now, read_form
from tests.supabase.running import Closing, Running

PREFIX = "/storage/v1"
SECRET = "the double's own secret, long enough for HS256"
SECRET_KEY = "sb_secret_double_0123456789"
MOST_TO_SIGN = 1000
WRONG_SIGNATURE = "signature verification failed"
EXPIRED = '"exp" claim timestamp check failed'
NOT_TO_BE_SIGNED = "Either the object does not exist or you do not have access to it"


@dataclass(frozen=True)
class Caller:
    """Whose rights a request has. A token that was not accepted has none, and knows why."""

    role: str
    id: str = ""
    refused: str = ""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Instead of an answer of `at` (an operation's name, `*` for any): `reply`.

    With `done`, what was asked for is done all the same and only its answer is lost. With `keep`, that many
    bytes of the true answer arrive before the connection breaks.
    """

    at: str
    reply: Reply = field(default_factory=Reply)
    done: bool = False
    keep: int | None = None


@dataclass(frozen=True)
class Call:
    """One request that came, with the operation it meant."""

    operation: str
    request: Request


class StorageDouble(Closing):
    """A running server; `url` is the project's address. A context manager."""

    def __init__(self, *, gateway: bool = True) -> None:
        self.secret_key = SECRET_KEY
        self.buckets: dict[str, Bucket] = {}
        # By bucket: what a person may do in the folder of their own id (select, insert, update, delete).
        self.policies: dict[str, set[str]] = {}
        self.most = 50 * 1024 * 1024  # bytes, for every bucket
        self.wait = 0.0  # seconds before each answer
        self.claims_of: Callable[[str], dict[str, object]] = _claims_of_token  # of a person's token
        self.calls: list[Call] = []
        self._gateway = gateway
        self._faults: deque[Fault] = deque()
        self._running = Running(self, "storage double")
        self.url = self._running.url

    # --- what a test says to it

    def fault(self, at: str, *, count: int = 1, **details: object) -> None:
        """The next `count` answers of an operation go wrong, see `Fault`."""
        self._faults.extend([Fault(at=at, **details)] * count)

    def breaks(self, at: str, *, count: int = 1, done: bool = False) -> None:
        """The connection is reset instead of an answer."""
        self.fault(at, count=count, reply=Reply(loss=Loss.reset), done=done)

    def bad_gateway(self, at: str, *, count: int = 1, status: int = 502) -> None:
        """A gateway's own page: no JSON, and the status is a real one."""
        page = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
        self.fault(
            at, count=count, reply=Reply(status=status, body=page, headers={"content-type": "text/html"})
        )

    def user_token(self, person: str, *, seconds: float = 3600, secret: str = SECRET) -> str:
        """A signed-in person's token; negative seconds make one that has ended."""
        claims = {"sub": person, "role": "authenticated", "exp": int(time.time() + seconds)}
        return jwt.encode(claims, secret, algorithm="HS256")

    def operations(self) -> list[str]:
        return [call.operation for call in self.calls]

    def close(self) -> None:
        """Stop answering; safe twice."""
        self._running.close()

    # --- what the server calls

    def refuses_body(self, _request: Request) -> bool:
        return False

    def answer(self, request: Request) -> Reply:
        path = re.sub("/+", "/", request.path.removeprefix(PREFIX))
        operation, act, parts = self._meant(request, path)
        self.calls.append(Call(operation, request))
        fault = self._due(operation)
        if fault is not None and not fault.done and fault.keep is None:
            return replace(fault.reply, wait=max(fault.reply.wait, self.wait))
        try:
            reply = act(request, *parts)
        except answers.Refused as refused:
            reply = refused.reply
        if fault is not None:
            reply = fault.reply if fault.done else replace(reply, keep=fault.keep)
        return replace(reply, wait=max(reply.wait, self.wait))

    def _due(self, operation: str) -> Fault | None:
        for fault in self._faults:
            if fault.at in {operation, "*"}:
                self._faults.remove(fault)
                return fault
        return None

    def _meant(self, request: Request, path: str) -> tuple[str, Callable[..., Reply], tuple[str, ...]]:
        for method, pattern, operation in ROUTES:
            if method == request.method and (found := re.fullmatch(pattern, path)):
                return operation, getattr(self, f"_{operation}"), found.groups()
        return "nothing", lambda request: answers.no_route(request.method, path), ()

    # --- buckets

    def _list_buckets(self, request: Request) -> Reply:
        shown = self.buckets.values() if self._caller(request).role == "service_role" else []
        return json_reply([{**bucket.told(), "type": "STANDARD"} for bucket in shown])

    def _create_bucket(self, request: Request) -> Reply:
        said = _body(request)
        self._must_be_service(request)
        name = str(said.get("id", ""))
        if not BUCKET_NAME.fullmatch(name):
            raise answers.invalid_bucket_name()
        if name in self.buckets:
            raise answers.exists("BucketAlreadyExists")
        self.buckets[name] = Bucket(id=name)
        self.buckets[name].change(said)
        return json_reply({"name": name})

    def _get_bucket(self, request: Request, name: str) -> Reply:
        if self._caller(request).role != "service_role":
            raise answers.no_bucket()
        return json_reply(self._bucket(name).told())

    def _update_bucket(self, request: Request, name: str) -> Reply:
        self._must_be_service(request)
        self._bucket(name).change(_body(request))
        return json_reply({"message": "Successfully updated"})

    def _empty_bucket(self, request: Request, name: str) -> Reply:
        self._must_be_service(request)
        self._bucket(name).objects.clear()
        return json_reply({"message": "Empty bucket has been queued. Completion may take up to an hour."})

    def _delete_bucket(self, request: Request, name: str) -> Reply:
        self._must_be_service(request)
        if self._bucket(name).objects:
            raise answers.not_empty()
        del self.buckets[name]
        return json_reply({"message": "Successfully deleted"})

    # --- objects

    def _upload(self, request: Request, bucket: str, path: str) -> Reply:
        replaces = request.headers.get("x-upsert") == "true"
        stored = self._take(request, self._caller(request), bucket, path, replaces=replaces)
        return json_reply({"Key": f"{bucket}/{stored.name}", "Id": stored.id})

    def _update(self, request: Request, bucket: str, path: str) -> Reply:
        caller, name = self._caller(request), checked_key(path)
        if not self._may(caller, bucket, "update", name) or name not in self._bucket(bucket).objects:
            raise answers.no_object()
        stored = self._take(request, caller, bucket, path, replaces=True)
        return json_reply({"Key": f"{bucket}/{stored.name}", "Id": stored.id})

    def _take(self, request: Request, caller: Caller, bucket: str, path: str, *, replaces: bool) -> Stored:
        name, shelf = checked_key(path), self._bucket(bucket)
        form = read_form(request.body, request.headers.get("content-type", ""))
        shelf.refuse(form.media_type, len(form.data), self.most)
        before = shelf.objects.get(name)
        self._must(caller, bucket, {"insert"}, name)
        if before is not None and not replaces:
            raise answers.exists()
        if before is not None:
            self._must(caller, bucket, {"select", "update"}, name)
        metadata = form.fields.get("metadata")
        return self._put(
            Stored(
                bucket=bucket,
                name=name,
                data=form.data,
                media_type=form.media_type,
                cache_seconds=form.fields.get("cacheControl", "3600"),
                user_metadata=json.loads(metadata) if metadata else None,
                owner=caller.id,
            )
        )

    def _put(self, stored: Stored) -> Stored:
        shelf = self._bucket(stored.bucket).objects
        before = shelf.get(stored.name)
        if before is not None:
            stored = replace(stored, id=before.id, created_at=before.created_at)
        shelf[stored.name] = stored
        return stored

    def _download(self, request: Request, bucket: str, path: str) -> Reply:
        # A download tolerates a token it does not accept, goes on as nobody, and nobody sees no bucket.
        caller = self._caller(request, tolerant=True)
        if caller.refused:
            raise answers.no_bucket()
        return _bytes(request, self._seen(caller, bucket, path))

    def _public_download(self, request: Request, bucket: str, path: str) -> Reply:
        shelf = self._bucket(bucket)
        if not shelf.public:
            raise answers.no_bucket()
        return _bytes(request, shelf.object(checked_key(path)))

    def _info(self, request: Request, bucket: str, path: str) -> Reply:
        return json_reply(self._seen(self._caller(request), bucket, path).told())

    def _list(self, request: Request, bucket: str) -> Reply:
        caller, said = self._caller(request), _body(request)
        shelf = self.buckets.get(bucket)
        if shelf is None:
            return json_reply([])
        visible = {name for name in shelf.objects if self._may(caller, bucket, "select", name)}
        page = shelf.folder(
            str(said["prefix"]), visible, offset=int(said["offset"]), limit=int(said["limit"])
        )
        return json_reply(page)

    def _copy(self, request: Request) -> Reply:
        caller, said = self._caller(request), _body(request)
        source = self._seen(caller, said["bucketId"], said["sourceKey"])
        bucket, name = said.get("destinationBucket", source.bucket), checked_key(said["destinationKey"])
        shelf = self._bucket(bucket)
        self._must(caller, bucket, {"insert"}, name)
        if name in shelf.objects and request.headers.get("x-upsert") != "true":
            raise answers.exists()
        fresh = Stored(
            bucket=bucket,
            name=name,
            data=source.data,
            media_type=source.media_type,
            cache_seconds=source.cache_seconds,
            user_metadata=source.user_metadata,
            owner=caller.id,
        )
        made = self._put(fresh)
        return json_reply({"Key": f"{bucket}/{name}", "Id": made.id, **made.row()})

    def _move(self, request: Request) -> Reply:
        caller, said = self._caller(request), _body(request)
        source = self._seen(caller, said["bucketId"], said["sourceKey"])
        if not self._may(caller, source.bucket, "update", source.name):
            raise answers.no_object()
        bucket, name = said.get("destinationBucket", source.bucket), checked_key(said["destinationKey"])
        self._must(caller, bucket, {"update"}, name)
        shelf = self._bucket(bucket)
        if name in shelf.objects:
            raise answers.exists("ResourceAlreadyExists")
        del self.buckets[source.bucket].objects[source.name]
        shelf.objects[name] = replace(source, bucket=bucket, name=name, updated_at=now())
        return json_reply({"message": "Successfully moved"})

    def _remove(self, request: Request, bucket: str) -> Reply:
        caller, names = self._caller(request), _body(request).get("prefixes", [])
        if not names:
            raise answers.invalid_body("prefixes must NOT have fewer than 1 items")
        shelf = self.buckets.get(bucket)
        gone = [] if shelf is None else [shelf.objects[name] for name in names if name in shelf.objects]
        gone = [one for one in gone if self._all(caller, bucket, {"select", "delete"}, one.name)]
        for one in gone:
            shelf.objects.pop(one.name, None)
        return json_reply([one.row() for one in gone])

    # --- signed links

    def _sign(self, request: Request, bucket: str, path: str) -> Reply:
        caller, seconds = self._caller(request), _seconds(_body(request))
        return json_reply({"signedURL": _link(self._seen(caller, bucket, path), seconds)})

    def _sign_many(self, request: Request, bucket: str) -> Reply:
        caller, said = self._caller(request), _body(request)
        seconds, paths = _seconds(said), said.get("paths", [])
        if not paths:
            raise answers.invalid_body("paths must NOT have fewer than 1 items")
        if len(paths) > MOST_TO_SIGN:
            raise answers.invalid_body(f"paths must NOT have more than {MOST_TO_SIGN} items")
        return json_reply([self._one_link(caller, bucket, path, seconds) for path in paths])

    def _one_link(self, caller: Caller, bucket: str, path: str, seconds: int) -> dict[str, object]:
        try:
            link = _link(self._seen(caller, bucket, path), seconds)
        except answers.Refused:
            return {"error": NOT_TO_BE_SIGNED, "path": path, "signedURL": None}
        return {"error": None, "path": path, "signedURL": link}

    def _signed_download(self, request: Request, bucket: str, path: str) -> Reply:
        """Whoever holds the link; the rules were looked at when it was signed, and are not again."""
        claims = _claims_of_link(request, "download", bucket, path)
        reply = _bytes(request, self._bucket(bucket).object(checked_key(path)))
        headers = {name: value for name, value in reply.headers.items() if name != "cache-control"}
        return replace(reply, headers={**headers, "expires": _http_date(claims["exp"])})

    def _sign_upload(self, request: Request, bucket: str, path: str) -> Reply:
        name = checked_key(path)
        self._must(self._caller(request), bucket, {"insert"}, name)
        replaces = request.headers.get("x-upsert") == "true"
        token = _token(f"{bucket}/{name}", 60, scope="upload", upsert=replaces)
        return json_reply({"url": f"/object/upload/sign/{bucket}/{name}?token={token}", "token": token})

    def _signed_upload(self, request: Request, bucket: str, path: str) -> Reply:
        claims = _claims_of_link(request, "upload", bucket, path)
        service = Caller("service_role")
        stored = self._take(request, service, bucket, path, replaces=bool(claims["upsert"]))
        return json_reply({"Key": f"{bucket}/{stored.name}"})

    # --- rights

    def _caller(self, request: Request, *, tolerant: bool = False) -> Caller:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self._gateway and token == self.secret_key:
            return Caller("service_role")
        try:
            claims = self.claims_of(token)
        except jwt.ExpiredSignatureError:
            caller = Caller("anon", refused=EXPIRED)
        except jwt.InvalidTokenError:
            caller = Caller("anon", refused=WRONG_SIGNATURE)
        else:
            return Caller(claims["role"], claims.get("sub", ""))
        if not tolerant:
            raise answers.forbidden(caller.refused)
        return caller

    def _may(self, caller: Caller, bucket: str, right: str, name: str) -> bool:
        if caller.role == "service_role":
            return True
        own_folder = caller.role == "authenticated" and name.split("/", maxsplit=1)[0] == caller.id
        return own_folder and right in self.policies.get(bucket, set())

    def _all(self, caller: Caller, bucket: str, rights: set[str], name: str) -> bool:
        return all(self._may(caller, bucket, right, name) for right in rights)

    def _must(self, caller: Caller, bucket: str, rights: set[str], name: str) -> None:
        self._bucket(bucket)
        if not self._all(caller, bucket, rights, name):
            raise answers.forbidden()

    def _must_be_service(self, request: Request) -> None:
        if self._caller(request).role != "service_role":
            raise answers.forbidden()

    def _bucket(self, name: str) -> Bucket:
        if name not in self.buckets:
            raise answers.no_bucket()
        return self.buckets[name]

    def _seen(self, caller: Caller, bucket: str, path: str) -> Stored:
        """An object the caller may see; what they may not see is not there for them."""
        shelf, name = self._bucket(bucket), checked_key(path)
        if not self._may(caller, bucket, "select", name):
            raise answers.no_object()
        return shelf.object(name)


# Method, path below /storage/v1, operation; the first that fits is meant.
ROUTES = (
    ("GET", "/bucket", "list_buckets"),
    ("POST", "/bucket", "create_bucket"),
    ("GET", "/bucket/([^/]+)", "get_bucket"),
    ("PUT", "/bucket/([^/]+)", "update_bucket"),
    ("POST", "/bucket/([^/]+)/empty", "empty_bucket"),
    ("DELETE", "/bucket/([^/]+)", "delete_bucket"),
    ("POST", "/object/list/([^/]+)", "list"),
    ("POST", "/object/copy", "copy"),
    ("POST", "/object/move", "move"),
    ("POST", "/object/upload/sign/([^/]+)/(.+)", "sign_upload"),
    ("PUT", "/object/upload/sign/([^/]+)/(.+)", "signed_upload"),
    ("POST", "/object/sign/([^/]+)", "sign_many"),
    ("POST", "/object/sign/([^/]+)/(.+)", "sign"),
    ("GET", "/object/sign/([^/]+)/(.+)", "signed_download"),
    ("GET", "/object/info/([^/]+)/(.+)", "info"),
    ("GET", "/object/public/([^/]+)/(.+)", "public_download"),
    ("DELETE", "/object/([^/]+)", "remove"),
    ("GET", "/object/([^/]+)/(.+)", "download"),
    ("POST", "/object/([^/]+)/(.+)", "upload"),
    ("PUT", "/object/([^/]+)/(.+)", "update"),
)


def _body(request: Request) -> dict[str, object]:
    said = request.json()
    if not isinstance(said, dict):
        raise answers.invalid_body("must be object")
    return said


def _seconds(said: dict[str, object]) -> int:
    value = str(said.get("expiresIn", ""))
    if not re.fullmatch(r"-?\d+", value):
        raise answers.invalid_body("expiresIn must be integer")
    if int(value) < 1:
        raise answers.invalid_body("expiresIn must be >= 1")
    return int(value)


def _token(url: str, seconds: int, **claims: object) -> str:
    began = int(time.time())
    return jwt.encode({"url": url, **claims, "iat": began, "exp": began + seconds}, SECRET, algorithm="HS256")


def _link(stored: Stored, seconds: int) -> str:
    place = f"{stored.bucket}/{stored.name}"
    # As a browser's encodeURI has it: a question mark in a key stays one, and breaks the link.
    shown = quote(place, safe="/!-.*'()&$@=;:+,?")
    return f"/object/sign/{shown}?token={_token(place, seconds, scope='download')}"


def _claims_of_token(token: str) -> dict[str, object]:
    return jwt.decode(token, SECRET, algorithms=["HS256"])


def _claims_of_link(request: Request, scope: str, bucket: str, path: str) -> dict[str, object]:
    try:
        claims = jwt.decode(request.query.get("token", ""), SECRET, algorithms=["HS256"])
    except jwt.ExpiredSignatureError as exc:
        raise answers.invalid_token(EXPIRED) from exc
    except jwt.InvalidTokenError as exc:
        raise answers.invalid_token(WRONG_SIGNATURE) from exc
    if (claims["url"], claims["scope"]) != (f"{bucket}/{path}", scope):
        raise answers.other_signature()
    return claims


def _http_date(seconds: int) -> str:
    return format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True)


def _bytes(request: Request, stored: Stored) -> Reply:
    headers = stored.headers()
    if request.headers.get("if-none-match") == stored.etag:
        return Reply(status=304, headers=headers)
    part = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
    if part is None:
        return Reply(body=stored.data, headers=headers)
    first, size = int(part[1]), len(stored.data)
    last = min(int(part[2] or size - 1), size - 1)
    shown = {"content-range": f"bytes {first}-{last}/{size}"}
    return Reply(status=206, body=stored.data[first : last + 1], headers={**headers, **shown})
