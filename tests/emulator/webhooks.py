"""The webhooks a provider sends by itself when a request ends: its body, its signature, its own repeats, and what may
go wrong on the way (providers.md §1.8, §2.4, §3.4, §4.3). Real HTTP to wherever the request asked for.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.emulator.faults import Fault, FaultQueue, Kind, Place

USER = "user_emulator"
MOST_KEPT = 2000  # deliveries that can be looked at afterwards

Write = Callable[[object, str], Mapping[str, object] | None]
Sign = Callable[[bytes, Mapping[str, object], float, int], dict[str, str]]


@dataclass(frozen=True, kw_only=True)
class Voice:
    """How a provider reports: `write` makes the body of a job's event (None: it does not report that one), `sign` the
    headers; `repeats` are the pauses before it tries again, in units of the setting `webhook_pause`.
    """

    write: Write
    sign: Sign
    repeats: tuple[float, ...]
    patience: float  # seconds it waits for an answer


@dataclass(kw_only=True)
class Delivery:
    """One message as it left: what came back of each try, 0 where nothing did."""

    request: str
    provider: str
    event: str
    url: str
    headers: dict[str, str]
    body: str
    answers: list[int] = field(default_factory=list)


class Caller:
    """Sends what is announced; touched by the emulator's loop only."""

    def __init__(self, faults: Callable[[], FaultQueue], settings: Callable[[], object]) -> None:
        self._faults = faults
        self._settings = settings
        self._voices: dict[str, Voice] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._made: httpx.AsyncClient | None = None
        self.deliveries: list[Delivery] = []

    def learn(self, provider: str, voice: Voice) -> None:
        self._voices[provider] = voice

    def forget(self) -> None:
        """Stops what is still to be sent."""
        for task in self._tasks:
            task.cancel()
        self.deliveries.clear()

    async def leave(self) -> None:
        """Stops, and waits until all has stopped."""
        going = tuple(self._tasks)
        self.forget()
        await asyncio.gather(*going, return_exceptions=True)
        if self._made is not None:
            await self._made.aclose()

    def announce(self, job: object, event: str, *, fault: Fault | None = None) -> None:
        """Sends the webhook of an event, where the request asked for one and its provider reports it."""
        voice = self._voices.get(job.provider)
        if voice is None or not job.webhook:
            return
        if event == "completed" and fault is None:
            fault = self._faults().take(Place.webhook, prompt=job.prompt)
        task = asyncio.get_running_loop().create_task(self._send_all(voice, job, event, fault))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _client(self) -> httpx.AsyncClient:
        """One for all, made when the first message leaves: making one costs as much as many messages."""
        if self._made is None:
            self._made = httpx.AsyncClient(trust_env=False, follow_redirects=False)
        return self._made

    async def _send_all(self, voice: Voice, job: object, event: str, fault: Fault | None) -> None:
        kind = fault.kind if fault else None
        if kind is Kind.lost:
            return
        if kind is Kind.slow:
            await asyncio.sleep(fault.seconds)
        # What is told is what is true when it happened, however late it is sent.
        body = voice.write(job, event)
        if body is None:
            return
        sends = [self._deliver(voice, job, event, body, fault)]
        if kind is Kind.doubled:
            sends.append(self._deliver(voice, job, event, body, fault))
        await asyncio.gather(*sends)
        if kind is Kind.out_of_order:
            await self._deliver(voice, job, "processing", {**body, **_earlier(job.provider, body)}, None)

    async def _deliver(
        self, voice: Voice, job: object, event: str, payload: Mapping[str, object], fault: Fault | None
    ) -> None:
        """One message until it is taken or its provider gives up."""
        body = json.dumps(payload, separators=(",", ":")).encode()
        settings = self._settings()
        for pause in (0.0, *voice.repeats):
            await asyncio.sleep(pause * settings.webhook_pause)
            if await self._try(voice, job, event, body, fault):
                return

    async def _try(
        self,
        voice: Voice,
        job: object,
        event: str,
        body: bytes,
        fault: Fault | None,
    ) -> bool:
        kind = fault.kind if fault else None
        told = time.time() - (fault.seconds if kind is Kind.stale else 0)
        headers = voice.sign(body, {"id": job.id}, told, self._settings().key_generation)
        url = job.webhook
        if kind is Kind.forged:
            headers = {name: _turned(name, value) for name, value in headers.items()}
            url = _without_token(url)
        sent = Delivery(
            request=job.id, provider=job.provider, event=event, url=url, headers=headers, body=body.decode()
        )
        if len(self.deliveries) < MOST_KEPT:
            self.deliveries.append(sent)
        try:
            answer = await self._client().post(url, content=body, headers=headers, timeout=voice.patience)
        except httpx.HTTPError:
            sent.answers.append(0)
            return False
        sent.answers.append(answer.status_code)
        return answer.is_success


def _earlier(provider: str, body: Mapping[str, object]) -> dict[str, object]:
    """What makes the message of an end one of the middle, in each provider's words; fal knows none."""
    if provider == "replicate":
        return {"status": "processing", "output": None, "completed_at": None}
    if provider == "novita":
        task = body["payload"]["task"] | {"status": "TASK_STATUS_PROCESSING"}
        return {"payload": body["payload"] | {"task": task, "images": []}}
    return {"status": "IN_PROGRESS", "output": None} if provider == "runpod" else {}


def _turned(name: str, value: str) -> str:
    """A signature with its first digit changed; other headers stay."""
    if not name.lower().endswith("signature"):
        return value
    head, comma, rest = value.rpartition(",")
    return head + comma + ("0" if rest[0] != "0" else "1") + rest[1:]


def _without_token(url: str) -> str:
    return urlunsplit(urlsplit(url)._replace(query="token=" + "0" * 36 + ".nobody"))


# ---- how each one signs


def fal_key(generation: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(f"fal {generation}".encode()).digest())


def fal_jwks(generation: int) -> dict[str, object]:
    """Two keys, the one in use last; and one of another kind, which is no use for this."""
    public = [
        fal_key(one).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw) for one in (0, generation)
    ]
    mine = [{"kty": "OKP", "crv": "Ed25519", "x": _b64url(raw)} for raw in public]
    return {"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}, *mine]}


def sign_fal(body: bytes, about: Mapping[str, object], at: float, generation: int) -> dict[str, str]:
    seconds = str(int(at))
    message = f"{about['id']}\n{USER}\n{seconds}\n{hashlib.sha256(body).hexdigest()}"
    return {
        "content-type": "application/json",
        "X-Fal-Webhook-Request-Id": str(about["id"]),
        "X-Fal-Webhook-User-Id": USER,
        "X-Fal-Webhook-Timestamp": seconds,
        "X-Fal-Webhook-Signature": fal_key(generation).sign(message.encode()).hex(),
    }


def replicate_secret(generation: int) -> str:
    return (
        "whsec_" + base64.b64encode(hashlib.sha256(f"replicate {generation}".encode()).digest()[:24]).decode()
    )


def sign_replicate(body: bytes, _about: Mapping[str, object], at: float, generation: int) -> dict[str, str]:
    """Two signatures, as after a change of secrets: the one that fits last."""
    number, seconds = f"msg_{uuid.uuid4().hex}", str(int(at))
    content = f"{number}.{seconds}.".encode() + body
    made = [_hmac(replicate_secret(one), content) for one in (0, generation)]
    return {
        "content-type": "application/json",
        "webhook-id": number,
        "webhook-timestamp": seconds,
        "webhook-signature": " ".join(f"v1,{one}" for one in made),
    }


def unsigned(_body: bytes, _about: Mapping[str, object], _at: float, _generation: int) -> dict[str, str]:
    return {"content-type": "application/json"}


def _hmac(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()


def _b64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
