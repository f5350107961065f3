"""fal.ai over its queue (reference/providers.md §1).

Which of fal's fields takes what is data of the model, not code: `input_defaults` may hold the reserved key
`_fields`, a mapping from our word to the model's field name; empty or null means that it has no such field.

    word            usual field                     what is sent
    prompt          prompt                          the text
    negative        negative_prompt                 the text, where capabilities.supports_negative
    size            image_size                      {"width", "height"} in pixels; called `width,height`: two
                                                    numbers; called `aspect_ratio`: the nearest of
                                                    capabilities.aspect_ratios
    seed            seed                            a whole number, where capabilities.supports_seed
    references      image_urls where the model      a name ending in `s` takes the list, another one the
                    takes several, else image_url   first reference
    safety_checker  enable_safety_checker           true or false

`_min_pixels` and `_min_side` (of the shorter side) enlarge a smaller wish, in its shape. Everything else in
`input_defaults` is sent under our fields as it stands, keys that begin with `_` never, and `num_images` and
`max_images` are 1 at most: a job is one picture.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from http import HTTPStatus
from typing import TypeGuard, cast

import httpx

from core.errors import OutcomeUnknown, ProviderRejected, ProviderUnreachable, ResultLost
from core.providers import CancelAnswer
from core.providers.http import Answer, ProviderHttp, new_client, origin_of
from core.values import Finished, ImageModel, JobStage, Order, RemoteImage, Running, Size, Ticket

QUEUE = "https://queue.fal.run"
MEDIA_HOSTS = ("fal.media", "*.fal.media")
RESULT_LIFETIME = timedelta(hours=1)  # providers.md §1.4; longer only where the account stores payloads

_UNITS = "x-fal-billable-units"
_SEGMENT = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
_REQUEST_ID = re.compile(r"^[A-Za-z0-9_-]{1,100}$")
_DATA_URI = re.compile(r"^data:image/[a-z0-9.+-]+;base64,", re.IGNORECASE)


class Fal:
    """fal.ai. `base_url` stands for all of its hosts (the emulator); a client that is handed in stays its
    owner's to close. Raises SetupFailed where key or address cannot be used.
    """

    name = "fal"

    def __init__(self, key: str, *, base_url: str | None = None, client: httpx.Client | None = None) -> None:
        self._base = (base_url or QUEUE).rstrip("/")
        self._media = MEDIA_HOSTS if base_url is None else (_origin(base_url),)
        self._client = client or new_client()
        self._closes = client is None
        self._http = ProviderHttp(
            "fal",
            self._client,
            origins=(self._base,),
            authorization=f"Key {key.strip()}",
            refusal=_refusal,
            request_id_header="x-fal-request-id",
        )

    def __repr__(self) -> str:
        return "Fal()"

    @property
    def download_hosts(self) -> tuple[str, ...]:
        """The media hosts of fal, or the one origin that stands for all of them."""
        return self._media

    def close(self) -> None:
        """Close the connections, where they are our own."""
        if self._closes:
            self._client.close()

    def submit(self, order: Order, model: ImageModel) -> Ticket:
        """Put one picture into fal's queue, once; the receipt comes back.

        Raises ProviderBusy, ProviderRejected, OutcomeUnknown as `Provider.submit`; a model or an order that
        cannot fit is rejected before anything leaves.
        """
        app = _app(model.model_key)
        answer = self._http.post_once(f"{self._base}/{model.model_key}", body_of(order, model))
        request_id = answer.text("request_id")
        if not _REQUEST_ID.match(request_id):
            raise OutcomeUnknown(
                "fal took the request and gave no number for it, so it may be charged. "
                "It is not sent again; somebody looks it up."
            )
        own = f"{self._base}/{app}/requests/{request_id}"
        return Ticket(
            provider=self.name,
            request_id=request_id,
            model_key=model.model_key,
            status_url=self._trusted(answer.text("status_url"), f"{own}/status"),
            result_url=self._trusted(answer.text("response_url"), own),
            cancel_url=self._trusted(answer.text("cancel_url"), f"{own}/cancel"),
        )

    def poll(self, ticket: Ticket) -> Running | Finished:
        """Where a request stands, or its result.

        Raises ProviderRejected where it ended without a picture, ResultLost where fal has forgotten it,
        ProviderUnreachable where the question should be asked again: also for a refused key or a locked
        account, because those say nothing about the picture that was paid for.
        """
        status = self._http.get(ticket.status_url or f"{self._own(ticket)}/status")
        if status.status in {404, 410}:
            raise _lost()
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
        raise _lost() if answer.status in {404, 410} else _unreachable(answer)

    def _trusted(self, url: str, own: str) -> str:
        return url if url and self._http.allows(url) else own

    def _own(self, ticket: Ticket) -> str:
        return f"{self._base}/{_app(ticket.model_key)}/requests/{ticket.request_id}"


# ---- what is sent


def body_of(order: Order, model: ImageModel) -> dict[str, object]:
    """The JSON that is paid for. Raises ProviderRejected `INVALID_INPUT` where the model cannot do it."""
    defaults: dict[str, object] = {**model.input_defaults, **order.input_defaults}
    body = {name: value for name, value in defaults.items() if not name.startswith("_")}
    body.update((name, 1) for name in ("num_images", "max_images") if name in body)
    names = _names(defaults, model)
    given: dict[str, object] = {"prompt": order.prompt, "safety_checker": order.safety_checker}
    if order.negative and model.capabilities.supports_negative:
        given["negative"] = order.negative
    if order.seed is not None and model.capabilities.supports_seed:
        given["seed"] = order.seed
    if order.references:
        given["references"] = _references(order.references, model, names["references"])
    body.update((names[word], value) for word, value in given.items() if names[word])
    body.update(_shape(_enlarged(order.size, defaults), names["size"], model.capabilities.aspect_ratios))
    return body


def _names(defaults: Mapping[str, object], model: ImageModel) -> dict[str, str]:
    """What this model calls our words; empty where it has no such field."""
    usual: dict[str, object] = {
        "prompt": "prompt",
        "negative": "negative_prompt",
        "size": "image_size",
        "seed": "seed",
        "references": "image_urls" if model.capabilities.max_reference_images > 1 else "image_url",
        "safety_checker": "enable_safety_checker",
    }
    names = {**usual, **_object(defaults.get("_fields"))}
    return {word: name if isinstance(name, str) else "" for word, name in names.items()}


def _shape(size: Size, name: str, ratios: Sequence[str]) -> dict[str, object]:
    if not name:
        return {}
    if name == "width,height":
        return {"width": size.width, "height": size.height}
    if name != "aspect_ratio":
        return {name: {"width": size.width, "height": size.height}}
    wanted = size.width / size.height
    return {name: min(ratios or ("1:1",), key=lambda ratio: abs(_ratio(ratio) / wanted - 1))}


def _enlarged(size: Size, defaults: Mapping[str, object]) -> Size:
    """The size in the same shape, as large as the model asks for at least; sides in steps of 8 pixels."""
    least_pixels, least_side = _number(defaults.get("_min_pixels")), _number(defaults.get("_min_side"))
    factor = max(
        math.sqrt(least_pixels / (size.width * size.height)), least_side / min(size.width, size.height)
    )
    if factor <= 1:
        return size
    return Size(width=_up(size.width * factor), height=_up(size.height * factor))


def _up(side: float) -> int:
    return math.ceil(round(side / 8, 6)) * 8


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _ratio(text: str) -> float:
    width, _, height = text.partition(":")
    try:
        return float(width) / float(height)
    except (ValueError, ZeroDivisionError):
        return 0.0


def _references(references: tuple[str, ...], model: ImageModel, name: str) -> object:
    most = model.capabilities.max_reference_images
    if len(references) > most:
        raise ProviderRejected(
            f"{model.display_name} takes {most or 'no'} reference images and {len(references)} were given, "
            "so nothing was sent. Choose another model or fewer references.",
            code="INVALID_INPUT",
        )
    return list(references) if name.endswith("s") else references[0]


def _app(model_key: str) -> str:
    """The part of a model's key under which its requests live: fal drops the sub-path (providers.md §1.3)."""
    parts = model_key.split("/")
    if len(parts) < 2 or not all(_SEGMENT.match(part) for part in parts):  # noqa: PLR2004  (owner/app)
        raise ProviderRejected(
            "The model's key is not one of fal's (owner/app), so nothing was sent. An admin can mend it.",
            code="MODEL_UNKNOWN",
        )
    return "/".join(parts[: 3 if parts[0] in {"workflows", "comfy"} else 2])


def _origin(base_url: str) -> str:
    """The origin of a base address, without its port where the address has none."""
    full = origin_of(base_url)
    return full.removesuffix(":443") if full.startswith("https") else full.removesuffix(":80")


# ---- what comes back


def _running(status: Answer) -> Running:
    body = status.body or {}
    if status.text("status") == "IN_QUEUE":
        position = body.get("queue_position")
        return Running(
            stage=JobStage.provider_queue,
            queue_position=position if _is_whole(position) else None,
        )
    # IN_PROGRESS, or a word that is newer than this code: either way it is not over (providers.md §0 rule 7)
    return Running(stage=JobStage.drawing)


def _finished(answer: Answer, status: Answer) -> Finished:
    body = answer.body or {}
    listed = _listed(body)
    kept = tuple(image for image, flagged in listed if image is not None and not flagged)
    if not kept and any(flagged for _, flagged in listed):
        raise _ended(("content_policy_violation",), billed=True)
    if not kept:
        raise _ended(("no_media_generated",), billed=True)
    seed = body.get("seed")
    return Finished(
        images=kept,
        seed=seed if _is_whole(seed) else None,
        units=_units(answer),
        seconds=_seconds(status.body or {}),
        expires_at=datetime.now(UTC) + RESULT_LIFETIME,
    )


def _refused_result(answer: Answer, status: Answer, *, failed: bool) -> Running:
    """Raises why there is no result, unless fal says that it took the request up again."""
    if not failed and not _types(answer) and "in progress" in answer.text("detail"):
        return Running(stage=JobStage.drawing)
    units = _units(answer)
    # A 422 raised after the drawing may be billed (providers.md §1.9): only fal's own zero says it was not.
    raise _ended(_types(answer) or _types(status), billed=units is None or units > 0)


def _listed(body: Mapping[str, object]) -> list[tuple[RemoteImage | None, bool]]:
    """Each picture of a result and whether the safety checker blacked it out (providers.md §1.10)."""
    images = _list(body.get("images")) or [body.get("image")]
    flags = _list(body.get("has_nsfw_concepts"))
    flags += [None] * (len(images) - len(flags))
    return [(_image(image), flag is True) for image, flag in zip(images, flags, strict=False)]


def _image(entry: object) -> RemoteImage | None:
    url = _object(entry).get("url")
    if not isinstance(url, str) or not url:
        return None
    head = _DATA_URI.match(url)
    if head is None:
        return RemoteImage(url=url)
    try:
        return RemoteImage(data=base64.b64decode(url[head.end() :], validate=True))
    except binascii.Error:
        return None


def _units(answer: Answer) -> Decimal | None:
    try:
        units = Decimal(answer.headers.get(_UNITS, ""))
    except InvalidOperation:
        return None
    return units if units.is_finite() and units >= 0 else None


def _seconds(status: Mapping[str, object]) -> float | None:
    seconds = _object(status.get("metrics")).get("inference_time")
    return float(seconds) if isinstance(seconds, int | float) and not isinstance(seconds, bool) else None


def _list(value: object) -> list[object]:
    return list(cast("list[object]", value)) if isinstance(value, list) else []


def _object(value: object) -> Mapping[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


# ---- how it says no: fal's own words may repeat the prompt, so only its types are read


def _types(answer: Answer) -> tuple[str, ...]:
    entries = [_object(entry).get("type") for entry in _list((answer.body or {}).get("detail"))]
    named = [answer.text("error_type"), answer.headers.get("x-fal-error-type", "")]
    return tuple(kind for kind in (*entries, *named) if isinstance(kind, str) and kind)


def _refusal(answer: Answer) -> ProviderRejected:
    """The paid request was refused at the door, so nothing was charged."""
    code = _account_code(answer)
    if code is not None:
        return ProviderRejected(_ACCOUNT[code], code=code, pauses=True)
    if answer.status in {402, 403}:
        return ProviderRejected(
            "fal does not let this account use the model. An admin can ask fal for access.",
            code="NOT_PERMITTED",
        )
    if answer.status in {404, 405, 410}:
        return ProviderRejected(
            "fal does not know this model. An admin can mend its key or switch it off.", code="MODEL_UNKNOWN"
        )
    return _ended(_types(answer), billed=False)


def _account_code(answer: Answer) -> str | None:
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return "BAD_KEY"
    text = answer.text("detail").lower()
    locked = answer.status in {402, 403} and ("locked" in text or "balance" in text)
    return "BALANCE_EMPTY" if locked else None


def _ended(types: Sequence[str], *, billed: bool) -> ProviderRejected:
    """Why a request ended without a picture, from fal's types (providers.md §1.6) in our own words."""
    kinds = set(types)
    code, sentence = next((ending for known, ending in _ENDINGS if kinds & known), _INVALID_INPUT)
    return ProviderRejected(sentence, code=code, billed=billed)


def _unreachable(answer: Answer) -> ProviderUnreachable:
    code = _account_code(answer)
    if code is not None:
        return ProviderUnreachable(f"{_ACCOUNT[code]} Pictures under way are asked about again.", code=code)
    return ProviderUnreachable(
        f"fal answered a question about a request with status {answer.status}. It is asked again later."
    )


def _lost() -> ResultLost:
    return ResultLost(
        "fal no longer has this result: it keeps them for about an hour. It may have been charged; "
        "look it up at fal before making it again."
    )


_ACCOUNT = {
    "BAD_KEY": "fal does not accept our key. An admin has to put a valid FAL_KEY into the settings.",
    "BALANCE_EMPTY": "The account at fal is locked, usually for want of money. An admin has to top it up.",
}
_INVALID_INPUT = (
    "INVALID_INPUT",
    "fal did not accept this request's settings. Change them, or have an admin check the model's defaults.",
)
_REFUSED_CONTENT = frozenset({"content_policy_violation"})
_CANCELLED = frozenset({"client_cancelled"})
_NOTHING_MADE = frozenset({"no_media_generated"})
_BAD_REFERENCE = frozenset(
    {
        "image_too_small",
        "image_too_large",
        "image_load_error",
        "file_download_error",
        "file_too_large",
        "face_detection_error",
        "unsupported_image_format",
    }
)
_FAILED_THERE = frozenset(
    {
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
    }
)
_ENDINGS = (
    (
        _REFUSED_CONTENT,
        (
            "CONTENT_REFUSED",
            "fal's safety check refused this picture. Change the description or your own words.",
        ),
    ),
    (_CANCELLED, ("CANCELLED", "The request was cancelled at fal before it was finished.")),
    (
        _NOTHING_MADE,
        ("NO_IMAGE", "fal finished and sent no picture. Try again, with other words or another model."),
    ),
    (
        _BAD_REFERENCE,
        ("INVALID_INPUT", "fal could not use the reference image. Choose another one, in a common size."),
    ),
    (
        _FAILED_THERE,
        (
            "PROVIDER_FAILED",
            "fal failed while it worked on this picture. Try again, or choose another model.",
        ),
    ),
)
