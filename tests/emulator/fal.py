"""fal's queue, spoken from providers.md §1: submit, status, result, cancel, prices, uploads (§1.11 A)."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Mapping

from tests.emulator import pictures
from tests.emulator.faults import Fault, Kind, Place
from tests.emulator.media import Media, address, inline, is_file
from tests.emulator.spoiling import Instead, come_back, spoiled
from tests.emulator.state import Job, Stand, State
from tests.emulator.webhooks import Voice, fal_jwks, sign_fal
from tests.emulator.wire import Reply, Request, json_reply

PRESETS = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
}
LOCKED = "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing."
_STORED = re.compile(r"^/storage/kept/(?P<id>[A-Za-z0-9_-]+)/(?P<name>[^/]+)$")
INITIATE = "/storage/upload/initiate"
JWKS = "/.well-known/jwks.json"
_REQUEST = re.compile(r"^/(?P<app>.+)/requests/(?P<id>[^/]+)(?P<rest>/status|/cancel|)$")


class FalQueue:
    """Answers every path that belongs to nobody else."""

    name = "fal"

    def __init__(self, state: State) -> None:
        self._state = state
        self._media = Media(state, self.name)
        pauses = tuple(2.0**again for again in range(10))  # ten more within two hours
        state.caller.learn(self.name, Voice(write=_reported, sign=sign_fal, repeats=pauses, patience=15))

    def is_paid(self, request: Request) -> bool:
        return request.method == "POST" and not request.path.startswith("/storage/")

    def answer(self, request: Request) -> Reply:
        """Routes one request; whatever needs the key is refused without it."""
        if is_file(request) or request.path == JWKS:
            return self._public(request)
        if found := _STORED.match(request.path):
            return self._stored(request, found["id"])
        if request.headers.get("authorization") != f"Key {self._state.settings.key}":
            return _bad_key()
        return self._routed(request)

    def _routed(self, request: Request) -> Reply:
        if request.path == "/v1/models/pricing":
            return self._prices(request)
        if found := _REQUEST.match(request.path):
            return self._ask(request, found["app"], found["id"], found["rest"])
        if request.method != "POST":
            return json_reply({"detail": "Not Found"}, status=404)
        return self._initiate(request) if request.path == INITIATE else self._submit(request)

    def _public(self, request: Request) -> Reply:
        """What needs no key: the pictures, and what webhooks are signed with."""
        if is_file(request):
            return self._media.answer(request)
        self._state.counts[self.name].key_calls += 1
        return json_reply(fal_jwks(self._state.settings.key_generation))

    # ---- the paid request

    def _submit(self, request: Request) -> Reply:
        body = request.json()
        if not isinstance(body, dict):
            return json_reply({"detail": "The body is no JSON object."}, status=400)
        prompt = str(body.get("prompt", ""))
        fault = self._state.faults.take(Place.submit, prompt=prompt)
        if fault is not None and not fault.takes:
            return spoiled(fault, json_reply({}), INSTEAD, prompt)
        width, height = _size(body.get("image_size"))
        fmt = body.get("output_format") or body.get("format")
        job = self._state.accept(
            self.name,
            request.path.strip("/"),
            body,
            words=body,
            width=width,
            height=height,
            fmt="png" if fmt == "png" else "jpeg",
            webhook=request.query.get("fal_webhook", ""),
            origin=request.origin,
        )
        origin = "https://queue.elsewhere.example" if _is(fault, Kind.foreign_urls) else request.origin
        reply = _told({"status": "IN_QUEUE", "queue_position": 0} | _links(job, origin), job)
        return reply if fault is None else spoiled(fault, reply, INSTEAD)

    # ---- questions about a request

    def _ask(self, request: Request, app: str, job_id: str, rest: str) -> Reply:
        job = self._state.jobs.get(job_id)
        if job is None or _app(job.model) != app:
            return json_reply({"status": "NOT_FOUND"}, status=404)
        place, act = {
            ("GET", "/status"): (Place.status, self._status),
            ("GET", ""): (Place.result, self._result),
            ("PUT", "/cancel"): (Place.cancel, self._cancel),
        }.get((request.method, rest), (None, None))
        if place is None:
            return json_reply({"detail": "Method Not Allowed"}, status=405)
        fault = self._state.faults.take(place, prompt=job.prompt)
        if fault is not None and not fault.spoils_the_answer:
            return spoiled(fault, json_reply({}), INSTEAD)
        reply = act(request, job)
        return reply if fault is None else spoiled(fault, reply, INSTEAD)

    def _status(self, request: Request, job: Job) -> Reply:
        self._state.counts[self.name].status_calls += 1
        job.status_calls += 1
        links = _links(job, request.origin)
        if job.script:
            word, place = job.script.popleft()
        elif job.is_over:
            return _told({"status": "COMPLETED", "logs": None, **_ending(job), **links}, job)
        else:
            word = "IN_QUEUE" if job.stand is Stand.queued else "IN_PROGRESS"
            place = self._state.position(job)
        more = {"queue_position": place} if word == "IN_QUEUE" else {"logs": None}
        return _told({"status": word, **more, **links}, job, status=202)

    def _result(self, request: Request, job: Job) -> Reply:
        self._state.counts[self.name].result_calls += 1
        job.result_calls += 1
        if not job.is_over or job.script:
            return _told({"detail": "Request is still in progress"}, job, status=400)
        refusal = _refusal(job)
        if refusal is not None:
            return refusal
        if job.kind is Kind.expired or self._too_old(job):
            return _told({"status": "NOT_FOUND"}, job, status=(job.fate and job.fate.status) or 404)
        return _told(_output(job, request.origin), job, units=str(job.units))

    def _too_old(self, job: Job) -> bool:
        lifetime = self._state.settings.result_lifetime
        return (
            lifetime is not None and job.finished_at is not None and time.time() > job.finished_at + lifetime
        )

    def _cancel(self, _request: Request, job: Job) -> Reply:
        self._state.counts[self.name].cancel_calls += 1
        if self._state.cancel(job):
            return _told({"status": "CANCELLATION_REQUESTED"}, job, status=202)
        return _told({"status": "ALREADY_COMPLETED"}, job, status=400)

    # ---- uploads

    def _initiate(self, request: Request) -> Reply:
        """Where a file may be put, and where it will be found; the address itself is the right to put it."""
        fault = self._state.faults.take(Place.lookup)
        body = request.json()
        if not isinstance(body, dict) or not body.get("content_type"):
            return json_reply({"detail": [{"loc": ["body", "content_type"], "type": "missing"}]}, status=422)
        kept = (
            f"{request.origin}/storage/kept/{secrets.token_urlsafe(12)}/{body.get('file_name', 'upload.bin')}"
        )
        put_at = fault.location if _is(fault, Kind.foreign_urls) else f"{kept}?put=once"
        reply = json_reply({"upload_url": put_at, "file_url": kept})
        return reply if fault is None else spoiled(fault, reply, INSTEAD)

    def _stored(self, request: Request, file_id: str) -> Reply:
        if "authorization" in request.headers:
            self._state.counts[self.name].leaked_keys += 1
        if request.method == "PUT" and "put" in request.query:
            self._state.files[file_id] = request.body
            return Reply(status=200)
        if request.method == "GET" and file_id in self._state.files:
            return Reply(body=self._state.files[file_id], headers={"content-type": "image/png"})
        return Reply(status=404, body=b"Not found", headers={"content-type": "text/plain"})

    # ---- prices

    def _prices(self, request: Request) -> Reply:
        fault = self._state.faults.take(Place.pricing)
        settings = self._state.settings
        price = {
            "endpoint_id": request.query.get("endpoint_id", ""),
            "unit_price": settings.unit_price,
            "unit": settings.unit,
            "currency": "USD",
        }
        reply = json_reply({"prices": [price], "next_cursor": None, "has_more": False})
        return reply if fault is None else spoiled(fault, reply, INSTEAD)


def _is(fault: Fault | None, kind: Kind) -> bool:
    return fault is not None and fault.kind is kind


def _app(model: str) -> str:
    """The part of a model's id that its requests live under: sub-paths vanish."""
    parts = model.split("/")
    return "/".join(parts[: 3 if parts[0] in {"workflows", "comfy"} else 2])


def _links(job: Job, origin: str) -> dict[str, object]:
    base = f"{origin}/{_app(job.model)}/requests/{job.id}"
    return {
        "request_id": job.id,
        "response_url": base,
        "status_url": f"{base}/status",
        "cancel_url": f"{base}/cancel",
    }


def _told(payload: object, job: Job, *, status: int = 200, units: str | None = None) -> Reply:
    headers = {"x-fal-request-id": job.id} | ({"X-Fal-Billable-Units": units} if units is not None else {})
    return json_reply(payload, status=status, headers=headers)


def _size(given: object) -> tuple[int, int]:
    if not isinstance(given, dict):
        return PRESETS.get(str(given), PRESETS["square_hd"])
    return _side(given.get("width")), _side(given.get("height"))


def _side(given: object) -> int:
    return min(max(given, 16), 4096) if isinstance(given, int) else 1024


def _ending(job: Job) -> dict[str, object]:
    seconds = (job.finished_at or 0) - (job.started_at or 0) if job.finished_at else 0.0
    ending: dict[str, object] = {"metrics": {"inference_time": round(seconds, 4)}}
    failure = _failure(job)
    if failure is not None:
        ending |= {"error": f"Invalid status code: {failure[0]}", "error_type": failure[1]}
    return ending


def _failure(job: Job) -> tuple[int, str] | None:
    """The HTTP status and the type of a request that ended badly."""
    if job.stand is Stand.cancelled:
        return 499, "client_cancelled"
    if not job.prompt:
        return 422, "missing"
    if job.kind is Kind.content_policy:
        return 422, "content_policy_violation"
    if job.kind is Kind.invalid_input and job.fate is not None:
        return 422, job.fate.type
    if job.kind is Kind.model_error:
        return 500, "internal_server_error"
    return None


def _refusal(job: Job) -> Reply | None:
    failure = _failure(job)
    if failure is None:
        return None
    status, kind = failure
    if kind == "client_cancelled":
        return _told({"detail": "Request was cancelled", "error_type": kind}, job, status=status, units="0")
    # fal echoes the words it objects to: whoever prints this body prints a prompt.
    entry = {
        "loc": ["body", "prompt"],
        "msg": f"Not with these words: {job.prompt}",
        "type": kind,
        "url": f"https://docs.fal.ai/errors#{kind}",
        "ctx": {},
        "input": job.prompt,
    }
    return _told({"detail": [entry]}, job, status=status, units="0")


def _output(job: Job, origin: str) -> dict[str, object]:
    image = {
        "url": address(job, origin),
        "content_type": pictures.MEDIA_TYPES[job.format],
        "file_name": None,
        "file_size": None,
        "width": job.width,
        "height": job.height,
    }
    if job.kind is Kind.data_uri or job.body.get("sync_mode") is True:
        image["url"] = inline(job)
    output: dict[str, object] = {"images": [] if job.kind is Kind.no_images else [image], "seed": job.seed}
    if "seedream" not in job.model:
        output |= {"prompt": job.prompt, "timings": {}, "has_nsfw_concepts": [job.kind is Kind.black]}
    return output


def _reported(job: Job, event: str) -> Mapping[str, object] | None:
    """fal reports the end only: OK with the output, or ERROR with the model's own refusal."""
    if event != "completed":
        return None
    refusal = _refusal(job)
    head = {"request_id": job.id, "gateway_request_id": job.id}
    if refusal is None:
        return {**head, "status": "OK", "payload": _output(job, job.origin)}
    error = f"Invalid status code: {refusal.status}"
    return {**head, "status": "ERROR", "error": error, "payload": json.loads(refusal.body)}


def _bad_key() -> Reply:
    return json_reply({"detail": "Cannot access application: invalid key credentials"}, status=401)


def _unreadable(_fault: Fault, _prompt: str) -> Reply:
    return Reply(body=b'{"request_id": "ab', headers={"content-type": "application/json"})


def _rate_limited(fault: Fault, _prompt: str) -> Reply:
    detail = {"detail": "Too many requests", "error_type": "concurrent_requests_limit"}
    return json_reply(detail, status=429, headers={"X-Fal-Needs-Retry": "1", **come_back(fault)})


def _refused(fault: Fault, prompt: str) -> Reply:
    detail = [{"loc": ["body", "prompt"], "msg": f"Not {prompt}", "type": fault.type, "input": prompt}]
    return json_reply({"detail": detail}, status=fault.status or 422)


def _server_error(fault: Fault, _prompt: str) -> Reply:
    detail = {"detail": "Something broke", "error_type": "runner_server_error"}
    known = {
        "x-fal-request-id": "00000000-0000-4000-8000-000000000000",
        "X-Fal-Error-Type": "runner_server_error",
    }
    return json_reply(detail, status=fault.status or 500, headers=known)


INSTEAD: Instead = {
    Kind.unreadable: _unreadable,
    Kind.rate_limited: _rate_limited,
    Kind.server_error: _server_error,
    Kind.refused: _refused,
    Kind.bad_key: lambda _fault, _prompt: _bad_key(),
    Kind.balance_empty: lambda _fault, _prompt: json_reply({"detail": LOCKED}, status=403),
    Kind.gone: lambda fault, _prompt: json_reply({"status": "NOT_FOUND"}, status=fault.status or 404),
}
