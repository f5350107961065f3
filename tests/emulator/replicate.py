"""Replicate's predictions, spoken from providers.md §2: create, poll, cancel, a model's version, uploads."""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

from tests.emulator.faults import Fault, Kind, Place
from tests.emulator.media import Media, address, inline, is_file
from tests.emulator.spoiling import Instead, come_back, spoiled
from tests.emulator.state import Job, Stand, State
from tests.emulator.webhooks import Voice, replicate_secret, sign_replicate
from tests.emulator.wire import Reply, Request, json_reply

NSFW = "NSFW content detected. Try running it again, or try a different prompt."
VERSION = "39ed52f2a78e934b3ba6e2a89f5b1c712de7dfea535525255b1aa35c5565e08b"
SECRET = "/v1/webhooks/default/secret"
_EVENTS = ["start", "output", "logs", "completed"]
_CREATE = re.compile(r"^/v1/(?:models/(?P<model>[^/]+/[^/]+)/)?predictions$")
_ONE = re.compile(r"^/v1/predictions/(?P<id>[^/]+)(?P<rest>/cancel|)$")
_MODEL = re.compile(r"^/v1/models/(?P<owner>[^/]+)/(?P<name>[^/]+)$")
_UPLOAD = re.compile(r"^/v1/files(?:/(?P<id>[^/]+))?$")
_ALPHABET = string.ascii_lowercase + string.digits


class ReplicatePredictions:
    """Answers what a client with `base_url` = …/replicate asks."""

    name = "replicate"

    def __init__(self, state: State) -> None:
        self._state = state
        self._media = Media(state, self.name)
        pauses = tuple(2.0**again for again in range(6))  # the last about a minute after the end
        state.caller.learn(self.name, Voice(write=_reported, sign=sign_replicate, repeats=pauses, patience=5))

    def is_paid(self, request: Request) -> bool:
        return request.method == "POST" and _CREATE.match(request.path) is not None

    def answer(self, request: Request) -> Reply:
        """Routes one request; whatever needs the token is refused without it."""
        if is_file(request):
            return self._media.answer(request)
        if request.headers.get("authorization") != f"Bearer {self._state.settings.key}":
            return _problem(401, "Unauthenticated", "You did not pass a valid authentication token")
        return self._routed(request) or _problem(404, "Not Found", "The requested resource does not exist.")

    def _routed(self, request: Request) -> Reply | None:
        if (found := _CREATE.match(request.path)) and request.method == "POST":
            return self._create(request, found["model"])
        if found := _ONE.match(request.path):
            return self._ask(request, found["id"], found["rest"])
        if (found := _MODEL.match(request.path)) and request.method == "GET":
            return self._looked_up(json_reply(_model(found["owner"], found["name"])))
        if request.path == SECRET and request.method == "GET":
            self._state.counts[self.name].key_calls += 1
            return json_reply({"key": replicate_secret(self._state.settings.key_generation)})
        if found := _UPLOAD.match(request.path):
            return self._looked_up(self._file(request, found["id"]))
        return None

    def _looked_up(self, reply: Reply) -> Reply:
        fault = self._state.faults.take(Place.lookup)
        return reply if fault is None else spoiled(fault, reply, INSTEAD)

    # ---- the paid request

    def _create(self, request: Request, model: str | None) -> Reply:
        body = request.json()
        given = body.get("input") if isinstance(body, dict) else None
        if not isinstance(given, dict):
            return _problem(422, "Input validation failed", "- input is required")
        prompt = str(given.get("prompt", ""))
        fault = self._state.faults.take(Place.submit, prompt=prompt)
        if fault is not None and not fault.takes:
            return spoiled(fault, json_reply({}), INSTEAD, prompt)
        version = str(body.get("version", ""))
        if model is None and not version:
            return _problem(422, "Input validation failed", "- version is required")
        if not _is_https_or_ours(body.get("webhook"), request.origin):
            return _problem(422, "Input validation failed", "- webhook: must be a valid HTTPS URL")
        job = self._accept(model or version, body, given, request.origin)
        elsewhere = fault is not None and fault.kind is Kind.foreign_urls
        origin = "https://api.elsewhere.example" if elsewhere else request.origin
        reply = json_reply(_starting(job, origin), status=201)
        return reply if fault is None else spoiled(fault, reply, INSTEAD, prompt)

    def _accept(self, model: str, body: dict[str, object], given: dict[str, object], origin: str) -> Job:
        width, height = _size(given)
        return self._state.accept(
            self.name,
            model,
            body,
            words=given,
            width=width,
            height=height,
            fmt="jpeg" if given.get("output_format") == "jpg" else "png",
            name="".join(secrets.choice(_ALPHABET) for _ in range(26)),
            bills_failures=True,
            webhook=body.get("webhook", ""),
            origin=origin,
        )

    # ---- questions

    def _ask(self, request: Request, job_id: str, rest: str) -> Reply:
        job = self._state.jobs.get(job_id)
        if job is None or job.provider != self.name:
            return _problem(404, "Not Found", "The requested resource does not exist.")
        place = {("GET", ""): Place.status, ("POST", "/cancel"): Place.cancel}.get((request.method, rest))
        if place is None:
            return _problem(405, "Method Not Allowed", "")
        fault = self._state.faults.take(place, prompt=job.prompt)
        if fault is not None and not fault.spoils_the_answer:
            return spoiled(fault, json_reply({}), INSTEAD, job.prompt)
        reply = self._status(request, job) if place is Place.status else self._cancel(request, job)
        return reply if fault is None else spoiled(fault, reply, INSTEAD, job.prompt)

    def _status(self, request: Request, job: Job) -> Reply:
        self._state.counts[self.name].status_calls += 1
        job.status_calls += 1
        if job.script:
            word, _ = job.script.popleft()
            told = "starting" if word == "IN_QUEUE" else "processing"
            return json_reply(_prediction(job, request.origin) | {"status": told, "output": None})
        return json_reply(_prediction(job, request.origin))

    def _cancel(self, request: Request, job: Job) -> Reply:
        self._state.counts[self.name].cancel_calls += 1
        if self._state.cancel(job) and job.stand is not Stand.cancelled:
            return json_reply(_prediction(job, request.origin) | {"status": "canceled"})
        return json_reply(_prediction(job, request.origin))

    def _file(self, request: Request, file_id: str | None) -> Reply:
        if request.method == "GET" and file_id in self._state.files:
            return json_reply(self._uploaded(file_id, request.origin))
        content = _form_field(request, "content")
        if request.method != "POST" or content is None:
            return _problem(404, "Not Found", "The requested resource does not exist.")
        file_id = secrets.token_urlsafe(24)
        self._state.files[file_id] = content
        return json_reply(self._uploaded(file_id, request.origin), status=201)

    def _uploaded(self, file_id: str, origin: str) -> dict[str, object]:
        return {
            "id": file_id,
            "name": "picture",
            "content_type": "image/png",
            "size": len(self._state.files[file_id]),
            "etag": "5eed",
            "checksums": {},
            "metadata": {},
            "created_at": _time(None),
            "expires_at": None,
            "urls": {"get": f"{origin}/v1/files/{file_id}"},
        }


def _is_https_or_ours(webhook: object, origin: str) -> bool:
    """Replicate takes https only; on loopback http is let through, because nothing there has a certificate."""
    if webhook is None:
        return True
    parts = urlsplit(webhook) if isinstance(webhook, str) else None
    return parts is not None and (parts.scheme == "https" or parts.hostname == urlsplit(origin).hostname)


def _reported(job: Job, event: str) -> Mapping[str, object] | None:
    """The prediction itself, at the events its creator asked for."""
    wanted = job.body.get("webhook_events_filter") or _EVENTS
    return _prediction(job, job.origin) if event in wanted else None


def _starting(job: Job, origin: str) -> dict[str, object]:
    """The answer to the creation: without `Prefer` nothing has begun yet."""
    return _prediction(job, origin) | {
        "status": "starting",
        "output": None,
        "error": None,
        "metrics": {},
        "started_at": None,
        "completed_at": None,
    }


def _prediction(job: Job, origin: str) -> dict[str, object]:
    own = f"{origin}/v1/predictions/{job.id}"
    status = _word(job)
    return {
        "id": job.id,
        "model": job.model,
        "version": "hidden",
        "input": job.words,
        "logs": "",
        "error": _error(job) if status == "failed" else None,
        "output": _output(job, origin) if status == "succeeded" else None,
        "status": status,
        "data_removed": job.kind is Kind.expired and status == "succeeded",
        "source": "api",
        "created_at": _time(job.accepted_at),
        "started_at": _time(job.started_at) if job.started_at and status != "aborted" else None,
        "completed_at": _time(job.finished_at or job.cancelled_at) if job.is_over else None,
        "metrics": _metrics(job) if status != "aborted" else {},
        "urls": {"get": own, "cancel": f"{own}/cancel", "web": f"https://replicate.example/p/{job.id}"},
    }


def _word(job: Job) -> str:
    if job.stand is Stand.cancelled:
        return "canceled"
    if job.stand is Stand.queued:
        return "starting"
    if job.stand is Stand.running:
        return "processing"
    if job.kind is Kind.aborted:
        return "aborted"
    failed = job.kind in {Kind.content_policy, Kind.invalid_input, Kind.model_error} or not job.prompt
    return "failed" if failed else "succeeded"


def _error(job: Job) -> str:
    if job.kind is Kind.content_policy:
        return NSFW if job.fate.type != "E005" else f"{job.prompt}: flagged as sensitive. (E005)"
    if job.kind is Kind.model_error:
        code = job.fate.type if job.fate.type.startswith("E") else "E1000"
        return f"Prediction failed for {job.prompt}. (code: {code})"
    return f"ValueError: {job.prompt or 'no prompt'}"


def _output(job: Job, origin: str) -> object:
    """As the model says: one string (kontext), a list (most), an object (those with `named` in their name)."""
    if job.kind is Kind.expired:
        return None
    if job.kind is Kind.no_images:
        return []
    file = inline(job) if job.kind is Kind.data_uri else address(job, origin)
    if "kontext" in job.model:
        return file
    return {"seed": str(job.seed), "pictures": [[file]]} if "named" in job.model else [file]


def _metrics(job: Job) -> dict[str, object]:
    ended = job.finished_at or job.cancelled_at
    if not job.started_at or not ended:
        return {}
    return {
        "predict_time": float(job.seconds),
        "total_time": ended - job.accepted_at,
    }


def _time(seconds: float | None) -> str:
    moment = datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _size(given: Mapping[str, object]) -> tuple[int, int]:
    width, height = given.get("width"), given.get("height")
    if isinstance(width, int) and isinstance(height, int):
        return width, height
    across, _, down = str(given.get("aspect_ratio", "1:1")).partition(":")
    if not (across.isdigit() and down.isdigit()):
        return 1024, 1024
    unit = (1024 * 1024 / (int(across) * int(down))) ** 0.5
    return round(int(across) * unit / 8) * 8, round(int(down) * unit / 8) * 8


def _model(owner: str, name: str) -> dict[str, object]:
    version = {"id": VERSION, "created_at": _time(None), "cog_version": "0.9.0", "openapi_schema": {}}
    return {
        "url": f"https://replicate.example/{owner}/{name}",
        "owner": owner,
        "name": name,
        "description": None,
        "visibility": "public",
        "github_url": None,
        "paper_url": None,
        "license_url": None,
        "run_count": 1,
        "cover_image_url": None,
        "default_example": None,
        "latest_version": None if name == "official" else version,
    }


def _form_field(request: Request, name: str) -> bytes | None:
    """One field of a multipart body."""
    _, _, boundary = request.headers.get("content-type", "").partition("boundary=")
    if not boundary:
        return None
    for part in request.body.split(b"--" + boundary.encode()):
        head, _, body = part.partition(b"\r\n\r\n")
        if f'name="{name}"'.encode() in head:
            return body.removesuffix(b"\r\n")
    return None


# ---- how it says no


def _problem(status: int, title: str, detail: str, **more: object) -> Reply:
    return json_reply({"title": title, "detail": detail, "status": status, **more}, status=status)


def _rate_limited(fault: Fault, _prompt: str) -> Reply:
    """The time to come back in the header; with type `field` in the body, with `sentence` in its words."""
    detail, more = "Request was throttled.", {}
    headers = come_back(fault)
    if fault.type == "field":
        headers, more = {}, {"retry_after": fault.retry_after}
    if fault.type == "sentence":
        headers, detail = {}, f"Request was throttled. Your rate limit resets in ~{fault.retry_after}s."
    return json_reply({"detail": detail, "status": 429, **more}, status=429, headers=headers)


def _server_error(fault: Fault, _prompt: str) -> Reply:
    body = {"id": "a" * 26, "status": "starting", "detail": "Something broke"}
    return json_reply(body, status=fault.status or 500)


INSTEAD: Instead = {
    Kind.unreadable: lambda _fault, _prompt: Reply(body=b'{"id": "ab'),
    Kind.rate_limited: _rate_limited,
    Kind.server_error: _server_error,
    Kind.refused: lambda fault, prompt: _problem(
        fault.status or 422, "Input validation failed", f"- input.prompt: {fault.type}: {prompt}"
    ),
    Kind.bad_key: lambda _fault, _prompt: _problem(401, "Unauthenticated", "Invalid token."),
    Kind.balance_empty: lambda _fault, _prompt: _problem(
        402, "Insufficient credit", "You have insufficient credit to run this model."
    ),
    Kind.gone: lambda fault, _prompt: _problem(fault.status or 404, "Not Found", "Gone."),
}
