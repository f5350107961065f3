"""RunPod's endpoints, spoken from providers.md §4: run, runsync, status, cancel, health."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping

from tests.emulator.faults import Fault, Kind, Place
from tests.emulator.media import Media, address, inline, is_file
from tests.emulator.spoiling import Instead, come_back, spoiled
from tests.emulator.state import Job, Stand, State
from tests.emulator.webhooks import Voice, unsigned
from tests.emulator.wire import Reply, Request, json_reply

COST = "0.0251"  # dollars a picture of a public endpoint, where no tariff says otherwise
_PATH = re.compile(r"^/v2/(?P<endpoint>[^/]+)/(?P<act>run|runsync|health|status|cancel)(?:/(?P<id>[^/]+))?$")
_FAILING = {Kind.content_policy, Kind.invalid_input, Kind.model_error}


class RunPodEndpoints:
    """Answers what a client with `base_url` = …/runpod/v2 asks, at whatever endpoint."""

    name = "runpod"

    def __init__(self, state: State) -> None:
        self._state = state
        self._media = Media(state, self.name)
        state.caller.learn(self.name, Voice(write=_reported, sign=unsigned, repeats=(10.0, 10.0), patience=5))

    def is_paid(self, request: Request) -> bool:
        found = _PATH.match(request.path)
        return request.method == "POST" and found is not None and found["act"] in {"run", "runsync"}

    def answer(self, request: Request) -> Reply:
        """Routes one request; whatever needs the key is refused without it."""
        if is_file(request):
            return self._media.answer(request)
        if request.headers.get("authorization") != f"Bearer {self._state.settings.key}":
            return Reply(status=401)
        found = _PATH.match(request.path)
        return self._routed(request, found) if found else Reply(status=404)

    def _routed(self, request: Request, found: re.Match[str]) -> Reply:
        match (request.method, found["act"]):
            case ("POST", "run" | "runsync"):
                return self._run(request, found["endpoint"], at_once=found["act"] == "runsync")
            case ("GET", "status") | ("POST", "cancel"):
                return self._ask(request, found["act"], found["id"] or "")
            case ("GET", "health"):
                return json_reply({"jobs": {"inQueue": self._state.unfinished}, "workers": {"idle": 1}})
            case _:
                return Reply(status=405)

    # ---- the paid request

    def _run(self, request: Request, endpoint: str, *, at_once: bool) -> Reply:
        body = request.json()
        words = body.get("input") if isinstance(body, dict) else None
        if not isinstance(words, dict):
            return json_reply({"error": "the body has no input"}, status=400)
        prompt = str(words.get("prompt", ""))
        fault = self._state.faults.take(Place.submit, prompt=prompt)
        if fault is not None and not fault.takes:
            return spoiled(fault, json_reply({}), INSTEAD, prompt)
        width, height = _size(words)
        job = self._state.accept(
            self.name,
            endpoint,
            body,
            words=words,
            width=width,
            height=height,
            fmt="png",
            name=f"{'sync-' if at_once else ''}{uuid.uuid4()}-u1",
            bills_failures=True,
            webhook=body.get("webhook", ""),
            origin=request.origin,
        )
        if at_once:
            return json_reply(_told(job, request.origin))
        reply = json_reply({"id": job.id, "status": "IN_QUEUE"})
        return reply if fault is None else spoiled(fault, reply, INSTEAD, prompt)

    # ---- questions about a job

    def _ask(self, request: Request, act: str, job_id: str) -> Reply:
        job = self._state.jobs.get(job_id)
        if job is None or job.provider != self.name or (job.kind is Kind.expired and job.is_over):
            return Reply(status=404)
        fault = self._state.faults.take(Place(act), prompt=job.prompt)
        if fault is not None and not fault.spoils_the_answer:
            return spoiled(fault, json_reply({}), INSTEAD, job.prompt)
        reply = self._status(request, job) if act == "status" else self._cancel(job)
        return reply if fault is None else spoiled(fault, reply, INSTEAD, job.prompt)

    def _status(self, request: Request, job: Job) -> Reply:
        self._state.counts[self.name].status_calls += 1
        job.status_calls += 1
        if job.script:
            word, _ = job.script.popleft()
            return json_reply({"id": job.id, "status": word})
        # Public endpoints tell a failure with HTTP 400 (§4.5).
        failed = job.is_over and _word(job) == "FAILED"
        return json_reply(_told(job, request.origin), status=400 if failed and _is_public(job) else 200)

    def _cancel(self, job: Job) -> Reply:
        self._state.counts[self.name].cancel_calls += 1
        stopped = self._state.cancel(job)
        return json_reply({"id": job.id, "status": "CANCELLED" if stopped else _word(job)})


def _reported(job: Job, event: str) -> Mapping[str, object] | None:
    """The whole envelope, the request's own words included."""
    if event != "completed":
        return None
    return {**_told(job, job.origin), "input": job.words, "webhook": job.webhook}


def _told(job: Job, origin: str) -> dict[str, object]:
    word = _word(job)
    told: dict[str, object] = {"id": job.id, "status": word}
    if word == "IN_PROGRESS":
        # A worker's progress message: no result, however much it looks like one.
        return told | {"output": {"message": "https://example.org/soon.png"}}
    if word == "IN_QUEUE":
        return told
    if word == "FAILED":
        told["error"] = _error(job)
    if word == "COMPLETED" and job.kind is not Kind.no_output:
        told["output"] = _output(job, origin)
    worked = job.started_at is not None
    return told | (
        {"delayTime": 17, "executionTime": _milliseconds(job), "workerId": "abc"} if worked else {}
    )


def _word(job: Job) -> str:
    if job.stand is not Stand.finished:
        return {Stand.cancelled: "CANCELLED", Stand.queued: "IN_QUEUE", Stand.running: "IN_PROGRESS"}[
            job.stand
        ]
    if job.kind is Kind.timed_out:
        return "TIMED_OUT"
    return "FAILED" if job.kind in _FAILING or not job.prompt else "COMPLETED"


def _is_public(job: Job) -> bool:
    return job.model.startswith(("seedream", "black-forest-labs"))


def _error(job: Job) -> str | list[str]:
    if job.kind is Kind.content_policy:
        return f"The safety checker refused: {job.prompt}"
    if job.kind is Kind.invalid_input:
        wrong = [f"prompt: {job.fate.type}: {job.prompt}"]
        return wrong if job.fate.type == "list" else json.dumps(wrong)
    if job.kind is Kind.model_error and job.fate.type == "memory":
        return "CUDA out of memory. Tried to allocate 2.00 GiB."
    return json.dumps(
        {"error_type": "<class 'RuntimeError'>", "error_message": job.prompt, "error_traceback": "Traceback"}
    )


def _output(job: Job, origin: str) -> object:
    """worker-sdxl's own words, or a public endpoint's with its cost."""
    if job.kind is Kind.no_images:
        return {"images": [], "seed": job.seed}
    if _is_public(job):
        return {"image_url": address(job, origin), "cost": float(job.usd or COST)}
    picture = inline(job) if job.kind is not Kind.media_expired else address(job, origin)
    if job.model.startswith("bare"):
        return {"message": picture.partition(",")[2], "status": "success"}
    return {"images": [picture], "image_url": picture, "seed": job.seed}


def _milliseconds(job: Job) -> int:
    return max(int(job.seconds * 1000), 1)


def _size(words: dict[str, object]) -> tuple[int, int]:
    width, height = words.get("width"), words.get("height")
    if isinstance(width, int) and isinstance(height, int):
        return width, height
    across, _, down = str(words.get("size", "")).partition("*")
    return (int(across), int(down)) if across.isdigit() and down.isdigit() else (1024, 1024)


# ---- how it says no


def _refused(fault: Fault, prompt: str) -> Reply:
    content = fault.type == "content_policy_violation"
    error = f"Content policy: {prompt}" if content else f"{fault.type}: {prompt}"
    return json_reply({"id": "", "status": "FAILED", "error": error}, status=fault.status or 400)


def _server_error(fault: Fault, _prompt: str) -> Reply:
    return json_reply(
        {"id": f"{uuid.UUID(int=0)}-u1", "error": "Something broke"}, status=fault.status or 500
    )


INSTEAD: Instead = {
    Kind.unreadable: lambda _fault, _prompt: Reply(body=b'{"id": "ab'),
    Kind.rate_limited: lambda fault, _prompt: json_reply({}, status=429, headers=come_back(fault)),
    Kind.server_error: _server_error,
    Kind.refused: _refused,
    Kind.bad_key: lambda _fault, _prompt: Reply(status=401),
    Kind.balance_empty: lambda _fault, _prompt: Reply(status=402),
    Kind.gone: lambda fault, _prompt: Reply(status=fault.status or 404),
}
