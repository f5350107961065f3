"""Novita's tasks and its endpoints that answer at once, spoken from providers.md §3."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import replace

from tests.emulator.faults import Fault, Kind, Place
from tests.emulator.media import Media, inline, is_file, signed
from tests.emulator.spoiling import Instead, come_back, spoiled
from tests.emulator.state import Job, Stand, State
from tests.emulator.webhooks import Voice, unsigned
from tests.emulator.wire import Reply, Request, json_reply

RESULT = "/v3/async/task-result"
_PAID = re.compile(r"^/v3(?:beta)?/(?P<model>[a-z0-9./-]+)$")
_FAILING = {Kind.content_policy, Kind.invalid_input, Kind.model_error}
_LIFETIME = 3600


class NovitaTasks:
    """Answers what a client with `base_url` = …/novita asks."""

    name = "novita"

    def __init__(self, state: State) -> None:
        self._state = state
        self._media = Media(state, self.name)
        state.caller.learn(self.name, Voice(write=_reported, sign=unsigned, repeats=(1.0,) * 5, patience=5))

    def is_paid(self, request: Request) -> bool:
        return request.method == "POST" and _PAID.match(request.path) is not None

    def answer(self, request: Request) -> Reply:
        """Routes one request; whatever needs the key is refused without it."""
        if is_file(request):
            return self._media.answer(request)
        given = request.headers.get("authorization")
        if given is None:
            return _refusal(400, "MISSING_API_KEY")
        if given != f"Bearer {self._state.settings.key}":
            return _refusal(403, "INVALID_API_KEY")
        if request.path == RESULT and request.method == "GET":
            return self._ask(request)
        found = _PAID.match(request.path)
        if found is None or request.method != "POST":
            return _refusal(404, "API_NOT_FOUND")
        return self._submit(request, found["model"])

    # ---- the paid request

    def _submit(self, request: Request, model: str) -> Reply:
        body = request.json()
        words = body.get("request", body) if isinstance(body, dict) else None
        if not isinstance(words, dict):
            return _refusal(400, "INVALID_REQUEST_BODY")
        prompt = str(words.get("prompt", ""))
        fault = self._state.faults.take(Place.submit, prompt=prompt)
        if fault is not None and not fault.takes:
            return spoiled(fault, json_reply({}), INSTEAD, prompt)
        job = self._accept(model, body, words, request.origin)
        reply = json_reply({"task_id": job.id}) if model.startswith("async/") else self._at_once(request, job)
        return reply if fault is None else spoiled(fault, reply, INSTEAD, prompt)

    def _accept(self, model: str, body: dict[str, object], words: dict[str, object], origin: str) -> Job:
        width, height = _size(words)
        extra = body.get("extra")
        extra = extra if isinstance(extra, dict) else {}
        kind, report = extra.get("response_image_type"), extra.get("webhook")
        # Only tasks report; an endpoint that answers at once has nothing left to tell.
        is_told = model.startswith("async/") and isinstance(report, dict)
        return self._state.accept(
            self.name,
            model,
            body,
            words=words,
            width=width,
            height=height,
            fmt="jpeg" if kind == "jpeg" else "png",
            webhook=report.get("url", "") if is_told else "",
            origin=origin,
        )

    def _at_once(self, request: Request, job: Job) -> Reply:
        """The picture itself is the answer, after the time it takes."""
        wait = self._state.settings.latency
        if job.kind is Kind.content_policy:
            return replace(_refusal(400, "ILLEGAL_PROMPT", job.prompt), wait=wait)
        if job.kind in _FAILING:
            return replace(_refusal(500, "TASK_FAILED", job.prompt), wait=wait)
        listed = [] if job.kind is Kind.no_images else [_file(job, request.origin)]
        # Some clients saw objects in place of texts (§3.3).
        shaped = [{"image_url": one} for one in listed] if "schnell" in job.model else listed
        return replace(json_reply({"images": shaped}), wait=wait)

    # ---- questions about a task

    def _ask(self, request: Request) -> Reply:
        job = self._state.jobs.get(request.query.get("task_id", ""))
        if job is None or job.provider != self.name or (job.kind is Kind.expired and job.is_over):
            return _refusal(404, "TASK_NOT_FOUND")
        fault = self._state.faults.take(Place.status, prompt=job.prompt)
        if fault is not None and not fault.spoils_the_answer:
            return spoiled(fault, json_reply({}), INSTEAD, job.prompt)
        self._state.counts[self.name].status_calls += 1
        job.status_calls += 1
        reply = json_reply(_result(job, request.origin))
        return reply if fault is None else spoiled(fault, reply, INSTEAD, job.prompt)


def _reported(job: Job, event: str) -> Mapping[str, object] | None:
    if event != "completed":
        return None
    told = _result(replace(job, script=deque()), job.origin)
    return {"event_type": "ASYNC_TASK_RESULT", "payload": told}


def _result(job: Job, origin: str) -> dict[str, object]:
    status, reason = _word(job), ""
    if status == "TASK_STATUS_FAILED":
        why = "NSFW content" if job.kind is Kind.content_policy else "internal error"
        reason = f"{why}: {job.prompt}"
    good = status == "TASK_STATUS_SUCCEED" and job.kind is not Kind.no_images
    return {
        "extra": {
            "seed": str(job.seed),
            "enable_nsfw_detection": True,
            "debug_info": {
                "request_info": "",
                "submit_time_ms": _milliseconds(job.accepted_at),
                "execute_time_ms": _milliseconds(job.started_at),
                "complete_time_ms": _milliseconds(job.finished_at),
            },
        },
        "task": {
            "task_id": job.id,
            "status": status,
            "reason": reason,
            "task_type": "TXT_TO_IMG" if "txt" in job.model else "IMG_TO_IMG",
            "eta": 0,
            "progress_percent": 100 if job.is_over else 0,
        },
        "images": [_listed(job, origin)] if good else [],
        "videos": [],
        "audios": [],
    }


def _word(job: Job) -> str:
    if job.script:
        word, _ = job.script.popleft()
        return "TASK_STATUS_QUEUED" if word == "IN_QUEUE" else "TASK_STATUS_PROCESSING"
    if job.stand is Stand.queued:
        return "TASK_STATUS_QUEUED"
    if job.stand is Stand.running:
        return "TASK_STATUS_PROCESSING"
    failed = job.kind in _FAILING or not job.prompt
    return "TASK_STATUS_FAILED" if failed else "TASK_STATUS_SUCCEED"


def _listed(job: Job, origin: str) -> dict[str, object]:
    flagged = {"valid": True, "confidence": 0.97} if job.kind is Kind.black else None
    return {
        "image_url": _file(job, origin),
        "image_type": job.format,
        "image_url_ttl": str(_LIFETIME),
        "nsfw_detection_result": flagged,
    }


def _file(job: Job, origin: str) -> str:
    return inline(job) if job.kind is Kind.data_uri else signed(job, origin, _LIFETIME)


def _milliseconds(seconds: float | None) -> str:
    return str(int(seconds * 1000)) if seconds else ""


def _size(words: dict[str, object]) -> tuple[int, int]:
    width, height = words.get("width"), words.get("height")
    if isinstance(width, int) and isinstance(height, int):
        return width, height
    across, _, down = str(words.get("size", "")).partition("x")
    return (int(across), int(down)) if across.isdigit() and down.isdigit() else (2048, 2048)


# ---- how it says no


def _refusal(status: int, reason: str, prompt: str = "") -> Reply:
    body = {"code": status, "reason": reason, "message": f"{reason}: {prompt}", "metadata": {}}
    return json_reply(body, status=status)


def _server_error(fault: Fault, _prompt: str) -> Reply:
    body = {"code": 500, "reason": "GET_RESULT_FAILED", "task_id": "00000000-0000-4000-8000-000000000000"}
    return json_reply(body, status=fault.status or 500)


def _refused(fault: Fault, prompt: str) -> Reply:
    illegal = fault.type == "content_policy_violation"
    named = fault.type if fault.type.isupper() else "INVALID_REQUEST_BODY"
    return _refusal(fault.status or 400, "ILLEGAL_PROMPT" if illegal else named, prompt)


def _bad_key(fault: Fault, _prompt: str) -> Reply:
    missing = fault.type == "missing"
    return _refusal(400 if missing else 403, "MISSING_API_KEY" if missing else "INVALID_API_KEY")


def _rate_limited(fault: Fault, _prompt: str) -> Reply:
    body = {"code": 429, "reason": "RATE_LIMIT_EXCEEDED", "message": "slow down", "metadata": {}}
    return json_reply(body, status=429, headers=come_back(fault))


INSTEAD: Instead = {
    Kind.unreadable: lambda _fault, _prompt: Reply(body=b'{"task_id": "ab'),
    Kind.rate_limited: _rate_limited,
    Kind.server_error: _server_error,
    Kind.refused: _refused,
    Kind.bad_key: _bad_key,
    Kind.balance_empty: lambda _fault, _prompt: _refusal(400, "BILLING_BALANCE_NOT_ENOUGH"),
    Kind.gone: lambda fault, _prompt: _refusal(fault.status or 404, "TASK_NOT_FOUND"),
}
