"""fal.ai over its queue (reference/providers.md §1); core/providers/fields.py says what is sent."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from http import HTTPStatus
from urllib.parse import quote

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from core.errors import ProviderBusy, ProviderRejected, ProviderUnreachable
from core.providers import CancelAnswer, webhooks
from core.providers.endings import Ending, Endings
from core.providers.fields import Spelling, filled
from core.providers.http import Answer, Dialect, ProviderHttp, base_origin, new_client
from core.providers.reading import image, number, rows, table, whole, words
from core.providers.references import Taking, Upload
from core.providers.webhooks import Kept, Notice, Proof
from core.values import (
    Charge,
    Finished,
    ImageModel,
    JobStage,
    Order,
    ReferencePicture,
    RemoteImage,
    Running,
    Size,
    Ticket,
)

QUEUE = "https://queue.fal.run"
REST = "https://rest.fal.ai"
MEDIA_HOSTS = ("fal.media", "*.fal.media")
UPLOAD_HOSTS = (
    *MEDIA_HOSTS,
    "*.fal.ai",
    "storage.googleapis.com",
)  # where §1.11 A leads; they never see the key
# fal calls `data:` addresses fit for small files and names no limit (§1.11, §8): this one is ours.
TAKING = Taking(inside=1024 * 1024)
UPLOAD_SECONDS = 86_400  # how long fal keeps a reference: longer than a request can wait in its queue
KEYS = "https://rest.fal.ai"
KEYS_PATH = "/.well-known/jwks.json"
RESULT_LIFETIME = timedelta(hours=1)  # providers.md §1.4; longer only where the account stores payloads

_UNITS = "x-fal-billable-units"
_MOST_KEPT = 16  # pictures or reasons of one webhook
_LONGEST_KEPT = 2000  # characters of an address
_SEGMENT = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
_REQUEST_ID = re.compile(r"^[A-Za-z0-9_-]{1,100}$")
_NAMES = {
    "prompt": "prompt",
    "negative": "negative_prompt",
    "size": "image_size",
    "seed": "seed",
    "safety_checker": "enable_safety_checker",
}
_SIGNED_HEADERS = tuple(
    f"x-fal-webhook-{name}" for name in ("request-id", "user-id", "timestamp", "signature")
)
_ENDINGS = Endings(name="fal", key="FAL_KEY", kept="about an hour")


class Fal:
    """fal.ai. `base_url` stands for all of its hosts (the emulator); a client that is handed in stays its
    owner's to close. Raises SetupFailed where key or address cannot be used.
    """

    name = "fal"

    def __init__(self, key: str, *, base_url: str | None = None, client: httpx.Client | None = None) -> None:
        self._base = (base_url or QUEUE).rstrip("/")
        self._rest = REST if base_url is None else self._base
        self._media = MEDIA_HOSTS if base_url is None else (base_origin(base_url),)
        self._upload_hosts = UPLOAD_HOSTS if base_url is None else self._media
        self._is_played = base_url is not None
        self._client = client or new_client()
        self._closes = client is None
        self._keys = Kept(self._fetch_keys)
        self._http = ProviderHttp(
            "fal",
            self._client,
            origins=(self._base, self._rest),
            authorization=f"Key {key.strip()}",
            dialect=Dialect(refusal=_refusal, got_in=_got_in),
        )

    def __repr__(self) -> str:
        return "Fal()"

    @property
    def address(self) -> str:
        """As `Remote`."""
        return self._base

    @property
    def download_hosts(self) -> tuple[str, ...]:
        """The media hosts of fal, or the one origin that stands for all of them."""
        return self._media

    def close(self) -> None:
        """Close the connections, where they are our own."""
        if self._closes:
            self._client.close()

    def submit(self, order: Order, model: ImageModel) -> Ticket:
        """Put one picture into fal's queue, once; the receipt comes back. A large reference is uploaded before, free.

        Raises ProviderBusy, ProviderRejected, OutcomeUnknown as `Provider.submit`; a model or an order that
        cannot fit is rejected before anything leaves.
        """
        app = _app(model.model_key)
        # The whole address is one value of the query: its own token must not become a field of fal's.
        report = f"?fal_webhook={quote(order.callback_url, safe='')}" if order.callback_url else ""
        body = body_of(order, model, self._uploaded)
        answer = self._http.post_once(f"{self._base}/{model.model_key}{report}", body)
        request_id = answer.text("request_id")
        if not _REQUEST_ID.match(request_id):
            raise _ENDINGS.without_number()
        own = f"{self._base}/{app}/requests/{request_id}"
        return Ticket(
            provider=self.name,
            request_id=request_id,
            model_key=model.model_key,
            status_url=self._http.trusted(answer.text("status_url"), f"{own}/status"),
            result_url=self._http.trusted(answer.text("response_url"), own),
            cancel_url=self._http.trusted(answer.text("cancel_url"), f"{own}/cancel"),
        )

    def poll(self, ticket: Ticket) -> Running | Finished:
        """Where a request stands, or its result.

        Raises ProviderRejected where it ended without a picture, ResultLost where fal has forgotten it,
        ProviderUnreachable where the question should be asked again: also for a refused key or a locked
        account, because those say nothing about the picture that was paid for.
        """
        status = self._http.get(ticket.status_url or f"{self._own(ticket)}/status")
        if status.status in {404, 410}:
            return _remembered(ticket)
        if not status.is_good:
            raise _unreachable(status)
        if status.text("status") != "COMPLETED":
            return _running(status)
        return self._result(ticket, status)

    def cancel(self, ticket: Ticket) -> CancelAnswer:
        """Ask fal to stop. Raises ProviderUnreachable."""
        answer = self._http.put(ticket.cancel_url or f"{self._own(ticket)}/cancel")
        if answer.is_good:
            return CancelAnswer.asked
        if answer.status in {400, 404, 410}:
            return CancelAnswer.too_late
        raise _unreachable(answer)

    def _result(self, ticket: Ticket, status: Answer) -> Running | Finished:
        failed = bool(status.text("error") or status.text("error_type"))
        try:
            answer = self._http.get(ticket.result_url or self._own(ticket))
        except ProviderUnreachable as exc:
            # A failed request answers its result address with the failure's own status, 500 among them.
            if failed:
                raise _ended(_types(status) or ("internal_error",), billed=False) from exc
            raise
        if answer.is_good:
            return _finished(answer, status)
        if failed or answer.status in {400, 422}:
            return _refused_result(answer, status, failed=failed)
        if answer.status in {404, 410}:
            return _remembered(ticket)
        raise _unreachable(answer)

    # ---- webhooks (providers.md §1.8)

    def can_call(self, url: str) -> bool:
        """As `ReportsBack.can_call`."""
        return webhooks.takes_address(url, is_played=self._is_played)

    def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Notice:
        """As `ReportsBack.read_webhook`: Ed25519 over number, user, time and the body's hash."""
        number, user, seconds, signature = (headers.get(name, "") for name in _SIGNED_HEADERS)
        if not (number and user and signature):
            raise webhooks.forged("fal")
        webhooks.refuse_stale("fal", seconds, now)
        message = f"{number}\n{user}\n{seconds}\n{hashlib.sha256(body).hexdigest()}".encode()
        if not self._signed(signature, message):
            raise webhooks.forged("fal")
        notice = _notice(body)
        if number not in notice.request_ids:
            raise webhooks.forged("fal")
        return notice

    def receipt_of(self, request_id: str, model_key: str, defaults: Mapping[str, object]) -> Ticket:  # noqa: ARG002  (fal needs none)
        """As `ReportsBack.receipt_of`."""
        own = f"{self._base}/{_app(model_key)}/requests/{request_id}"
        return Ticket(
            provider=self.name,
            request_id=request_id,
            model_key=model_key,
            status_url=f"{own}/status",
            result_url=own,
            cancel_url=f"{own}/cancel",
        )

    def _signed(self, signature: str, message: bytes) -> bool:
        if webhooks.ed25519_fits(self._keys.get(), signature, message):
            return True
        newer = self._keys.newer()
        return newer is not None and webhooks.ed25519_fits(newer, signature, message)

    def _fetch_keys(self) -> tuple[Ed25519PublicKey, ...]:
        url = (self._base if self._is_played else KEYS) + KEYS_PATH
        return webhooks.ed25519_keys(webhooks.fetch_public("fal", self._client, url))

    def _uploaded(self, picture: ReferencePicture) -> str:
        """The address of a reference in fal's own storage (§1.11 A), where it stays for a day."""
        name = f"reference.{picture.media_type.rpartition('/')[2]}"
        kept = {"X-Fal-Object-Lifecycle-Preference": f'{{"expiration_duration_seconds": {UPLOAD_SECONDS}}}'}
        try:
            begun = self._http.post_free(
                f"{self._rest}/storage/upload/initiate?storage_type=fal-cdn-v3",
                {"file_name": name, "content_type": picture.media_type},
                headers=kept,
            )
            if (account := _account(begun)) is not None:
                raise _ENDINGS.rejected(account)
            put_at, address = begun.text("upload_url"), begun.text("file_url")
            done = self._http.deliver(put_at, picture.data, picture.media_type, hosts=self._upload_hosts)
        except ProviderUnreachable as exc:
            raise _not_ordered("did not take the reference image") from exc
        if not done.is_good or not address.startswith(("https://", f"{self._base}/")):
            raise _not_ordered("did not keep the reference image")
        return address

    def _own(self, ticket: Ticket) -> str:
        return f"{self._base}/{_app(ticket.model_key)}/requests/{ticket.request_id}"


# ---- what is sent


def body_of(order: Order, model: ImageModel, upload: Upload | None = None) -> dict[str, object]:
    """The JSON that is paid for. Raises ProviderRejected `INVALID_INPUT` where the model cannot do it."""
    several = model.capabilities.max_reference_images > 1
    names = {**_NAMES, "references": "image_urls" if several else "image_url"}
    return filled(order, model, Spelling(names=names, size=_sides, taking=TAKING), upload)


def _sides(size: Size) -> object:
    return {"width": size.width, "height": size.height}


def _app(model_key: str) -> str:
    """The part of a model's key under which its requests live: fal drops the sub-path (providers.md §1.3)."""
    parts = model_key.split("/")
    if len(parts) < 2 or not all(_SEGMENT.match(part) for part in parts):  # noqa: PLR2004  (owner/app)
        raise _ENDINGS.rejected(Ending.model_unknown)
    return "/".join(parts[: 3 if parts[0] in {"workflows", "comfy"} else 2])


# ---- what comes back


def _running(status: Answer) -> Running:
    body = status.body or {}
    if status.text("status") == "IN_QUEUE":
        return Running(stage=JobStage.provider_queue, queue_position=whole(body.get("queue_position")))
    # IN_PROGRESS, or a word that is newer than this code: either way it is not over (providers.md §0 rule 7)
    return Running(stage=JobStage.drawing)


def _finished(answer: Answer, status: Answer) -> Finished:
    return _pictures(answer.body or {}, units=_units(answer), seconds=_seconds(status.body or {}))


def _pictures(body: Mapping[str, object], *, units: Decimal | None, seconds: float | None) -> Finished:
    listed = _listed(body)
    kept = tuple(image for image, flagged in listed if image is not None and not flagged)
    if not kept and any(flagged for _, flagged in listed):
        raise _ENDINGS.rejected(Ending.content_refused, billed=True, charge=Charge(units=units))
    if not kept:
        raise _ENDINGS.rejected(Ending.no_image, billed=True, charge=Charge(units=units))
    return Finished(
        images=kept,
        seed=whole(body.get("seed")),
        units=units,
        seconds=seconds,
        expires_at=datetime.now(UTC) + RESULT_LIFETIME,
    )


def _refused_result(answer: Answer, status: Answer, *, failed: bool) -> Running:
    """Raises why there is no result, unless fal says that it took the request up again."""
    if not failed and not _types(answer) and "in progress" in answer.text("detail"):
        return Running(stage=JobStage.drawing)
    units = _units(answer)
    # A 422 raised after the drawing may be billed (providers.md §1.9): only fal's own zero says it was not.
    billed = units is None or units > 0
    raise _ended(_types(answer) or _types(status), billed=billed, charge=Charge(units=units))


def _listed(body: Mapping[str, object]) -> list[tuple[RemoteImage | None, bool]]:
    """Each picture of a result and whether the safety checker blacked it out (providers.md §1.10)."""
    pictures = rows(body.get("images")) or [body.get("image")]
    flags = rows(body.get("has_nsfw_concepts"))
    flags += [None] * (len(pictures) - len(flags))
    found = [image(words(table(entry).get("url"))) for entry in pictures]
    return [(one, flag is True) for one, flag in zip(found, flags, strict=False)]


def _units(answer: Answer) -> Decimal | None:
    try:
        units = Decimal(answer.headers.get(_UNITS, ""))
    except InvalidOperation:
        return None
    return units if units.is_finite() and units >= 0 else None


def _seconds(status: Mapping[str, object]) -> float | None:
    return number(table(status.get("metrics")).get("inference_time"))


# ---- what a webhook told, for when fal has forgotten the request: its JSON lives an hour, the picture longer


def _notice(body: bytes) -> Notice:
    """A webhook whose signature was checked. Raises BadRequest."""
    said = webhooks.json_object("fal", body)
    payload = table(said.get("payload"))
    return Notice(
        request_ids=webhooks.request_numbers("fal", said.get("request_id"), said.get("gateway_request_id")),
        word=webhooks.status_word(said.get("status")),
        proof=Proof.signed,
        outcome=_worth_keeping(said.get("status"), payload),
    )


def _worth_keeping(status: object, payload: Mapping[str, object]) -> Mapping[str, object] | None:
    """Addresses and marks of a good result, the types of a bad one; no words, which may hold the prompt."""
    if status == "ERROR":
        types = [words(table(entry).get("type")) for entry in rows(payload.get("detail"))]
        return {"types": [kind for kind in types if webhooks.status_word(kind)][:_MOST_KEPT]}
    addresses = [words(table(entry).get("url")) for entry in rows(payload.get("images"))]
    kept = [{"url": url} for url in addresses if url.startswith("http") and len(url) < _LONGEST_KEPT]
    if not kept or len(kept) != len(addresses) or len(kept) > _MOST_KEPT:
        return None
    flags = [flag is True for flag in rows(payload.get("has_nsfw_concepts"))][:_MOST_KEPT]
    return {"images": kept, "seed": whole(payload.get("seed")), "has_nsfw_concepts": flags}


def _remembered(ticket: Ticket) -> Finished:
    """The result as a webhook told it. Raises ProviderRejected where it told a failure, ResultLost where none came."""
    if ticket.answer is None:
        raise _ENDINGS.lost()
    types = [words(one) for one in rows(ticket.answer.get("types"))]
    if "types" in ticket.answer:
        # The header that tells what was billed came with no webhook, so it may be.
        raise _ended(types or ("internal_error",), billed=True)
    return _pictures(ticket.answer, units=None, seconds=None)


# ---- how it says no: fal's own words may repeat the prompt, so only its types are read


def _types(answer: Answer) -> tuple[str, ...]:
    entries = [table(entry).get("type") for entry in rows((answer.body or {}).get("detail"))]
    named = [answer.text("error_type"), answer.headers.get("x-fal-error-type", "")]
    return tuple(kind for kind in (*entries, *named) if isinstance(kind, str) and kind)


def _got_in(answer: Answer) -> bool:
    return "x-fal-request-id" in answer.headers


def _refusal(answer: Answer) -> ProviderRejected:
    """The paid request was refused at the door, so nothing was charged."""
    account = _account(answer)
    if account is not None:
        return _ENDINGS.rejected(account)
    if answer.status in {402, 403}:
        return _ENDINGS.rejected(Ending.not_permitted)
    if answer.status in {404, 405, 410}:
        return _ENDINGS.rejected(Ending.model_unknown)
    return _ended(_types(answer), billed=False)


def _account(answer: Answer) -> Ending | None:
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return Ending.bad_key
    text = answer.text("detail").lower()
    locked = answer.status in {402, 403} and ("locked" in text or "balance" in text)
    return Ending.balance_empty if locked else None


def _ended(types: Sequence[str], *, billed: bool, charge: Charge | None = None) -> ProviderRejected:
    """Why a request ended without a picture, from fal's types (providers.md §1.6) in our own words."""
    kinds = set(types)
    ending = next((ending for ending, known in _TYPES.items() if kinds & known), Ending.invalid_input)
    return _ENDINGS.rejected(ending, billed=billed, charge=charge)


def _unreachable(answer: Answer) -> ProviderUnreachable:
    return _ENDINGS.unreachable(answer.status, _account(answer))


def _not_ordered(why: str) -> ProviderBusy:
    return ProviderBusy(
        f"fal {why}, and nothing was ordered, so nothing is owed. It is tried again by itself."
    )


_TYPES = {
    Ending.content_refused: {"content_policy_violation"},
    Ending.cancelled: {"client_cancelled"},
    Ending.no_image: {"no_media_generated"},
    Ending.bad_reference: {
        "image_too_small",
        "image_too_large",
        "image_load_error",
        "file_download_error",
        "file_too_large",
        "face_detection_error",
        "unsupported_image_format",
    },
    Ending.failed: {
        "internal_server_error",
        "internal_error",
        "generation_timeout",
        "downstream_service_error",
        "downstream_service_unavailable",
        "request_timeout",
        "startup_timeout",
        "client_disconnected",
        "runner_scheduling_failure",
        "runner_connection_timeout",
        "runner_disconnected",
        "runner_connection_refused",
        "runner_connection_error",
        "runner_incomplete_response",
        "runner_server_error",
    },
}
