"""RunPod serverless: an endpoint of one's own, and RunPod's public ones (reference/providers.md §4).

Reserved key of `input_defaults` beside those of core/providers/fields.py: `_endpoint`, the id of the endpoint;
where it is missing, the one of the settings. Workers differ in what they answer with, so a picture is looked for
under the names that are in use.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx

from core.errors import ProviderRejected, ProviderUnreachable, ResultLost
from core.providers import CancelAnswer, webhooks
from core.providers.endings import Ending, Endings
from core.providers.fields import Spelling, defaults_of, filled
from core.providers.http import Answer, Dialect, ProviderHttp, base_origin, new_client
from core.providers.reading import images, number, rows, table, whole, words
from core.providers.references import Taking
from core.providers.webhooks import Notice, Proof
from core.values import Charge, Finished, ImageModel, JobStage, Order, Running, Size, Ticket

API = "https://api.runpod.ai/v2"
# Public endpoints answer with image.runpod.ai; a worker of one's own may put its pictures into S3 or R2.
MEDIA_HOSTS = ("*.runpod.ai", "*.runpod.io", "*.amazonaws.com", "*.r2.cloudflarestorage.com")
RESULT_LIFETIME = timedelta(minutes=30)  # of a request to /run (§4.1)
MOST_INSIDE = 7 * 1024 * 1024  # bytes of references: in base64 below the 10 MB of a request to /run (§4.1)

_ENDPOINT = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
_JOB = re.compile(r"^[A-Za-z0-9_-]{1,100}$")
_CONTENT = re.compile(
    r"\bNSFW\b|safety (?:checker|filter|system)|content polic|flagged as sensitive", re.IGNORECASE
)
_MEMORY = re.compile(r"out of memory|OutOfMemory", re.IGNORECASE)
_PLACES = ("images", "image", "image_url", "image_urls", "message", "output", "result", "url", "data")
_ENDINGS = Endings(name="RunPod", key="RUNPOD_API_KEY", kept="30 minutes")


def _starred(size: Size) -> object:
    return f"{size.width}*{size.height}"


SPELLING = Spelling(
    names={
        "prompt": "prompt",
        "negative": "negative_prompt",
        "size": "width,height",
        "seed": "seed",
        "references": "image_url",
        "safety_checker": "",
    },
    size=_starred,
    taking=Taking(inside=MOST_INSIDE),
)


class RunPod:
    """RunPod. `endpoint_id` is one's own endpoint; `base_url` stands for all hosts (the emulator) and ends before
    the endpoint; a client that is handed in stays its owner's to close. Raises SetupFailed where key or address
    cannot be used.
    """

    name = "runpod"

    def __init__(
        self,
        key: str,
        *,
        endpoint_id: str | None = None,
        base_url: str | None = None,
        client: httpx.Client | None = None,
    ) -> None:
        self._endpoint = (endpoint_id or "").strip()
        self._base = (base_url or API).rstrip("/")
        self._media = MEDIA_HOSTS if base_url is None else (base_origin(base_url),)
        self._is_played = base_url is not None
        self._client = client or new_client()
        self._closes = client is None
        self._http = ProviderHttp(
            "RunPod",
            self._client,
            origins=(self._base,),
            authorization=f"Bearer {key.strip()}",
            dialect=Dialect(refusal=_refusal, got_in=_got_in),
        )

    def __repr__(self) -> str:
        return "RunPod()"

    @property
    def address(self) -> str:
        """As `Remote`."""
        return self._base

    @property
    def download_hosts(self) -> tuple[str, ...]:
        """The hosts of RunPod's results, or the one origin that stands for all of them."""
        return self._media

    def close(self) -> None:
        """Close the connections, where they are our own."""
        if self._closes:
            self._client.close()

    def submit(self, order: Order, model: ImageModel) -> Ticket:
        """Put one job into an endpoint's queue, once; its receipt comes back.

        Raises ProviderBusy, ProviderRejected, OutcomeUnknown as `Provider.submit`; what cannot fit is rejected
        before anything leaves.
        """
        endpoint = self._endpoint_of(order, model)
        report = {"webhook": order.callback_url} if order.callback_url else {}
        url = f"{self._base}/{endpoint}"
        answer = self._http.post_once(f"{url}/run", {"input": filled(order, model, SPELLING), **report})
        request_id = answer.text("id")
        if not _JOB.match(request_id):
            raise _ENDINGS.without_number()
        return self._receipt(endpoint, request_id, model.model_key)

    def poll(self, ticket: Ticket) -> Running | Finished:
        """Where a job stands, or its result.

        Raises ProviderRejected where it ended without a picture, ResultLost where RunPod has forgotten it or its
        output, ProviderUnreachable where the question should be asked again: also for a refused key, because
        that says nothing about the picture that was paid for.
        """
        answer = self._http.get(ticket.status_url or self._own(ticket, "status"))
        if answer.status in {404, 410}:
            raise _ENDINGS.lost()
        # Public endpoints tell a failure with HTTP 400 (§4.5).
        if answer.is_good or answer.text("status") == "FAILED":
            return _stand(answer.body or {})
        raise _unreachable(answer)

    def cancel(self, ticket: Ticket) -> CancelAnswer:
        """Ask RunPod to stop; worker time that was used is charged. Raises ProviderUnreachable."""
        answer = self._http.post(ticket.cancel_url or self._own(ticket, "cancel"))
        if answer.is_good:
            over = answer.text("status") in {"COMPLETED", "FAILED", "TIMED_OUT"}
            return CancelAnswer.too_late if over else CancelAnswer.asked
        if answer.status in {400, 404, 409, 410}:
            return CancelAnswer.too_late
        raise _unreachable(answer)

    # ---- webhooks: unsigned (providers.md §4.3)

    def can_call(self, url: str) -> bool:
        """As `ReportsBack.can_call`."""
        return webhooks.takes_address(url, is_played=self._is_played)

    def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Notice:  # noqa: ARG002  (nothing is signed)
        """As `ReportsBack.read_webhook`; only a hint."""
        said = webhooks.json_object("RunPod", body)
        return Notice(
            request_ids=webhooks.request_numbers("RunPod", said.get("id")),
            word=webhooks.status_word(said.get("status")),
            proof=Proof.hint,
        )

    def receipt_of(self, request_id: str, model_key: str, defaults: Mapping[str, object]) -> Ticket:
        """As `ReportsBack.receipt_of`."""
        return self._receipt(words(defaults.get("_endpoint")) or self._endpoint, request_id, model_key)

    def _receipt(self, endpoint: str, request_id: str, model_key: str) -> Ticket:
        url = f"{self._base}/{endpoint}"
        return Ticket(
            provider=self.name,
            request_id=request_id,
            model_key=model_key,
            status_url=f"{url}/status/{request_id}",
            cancel_url=f"{url}/cancel/{request_id}",
        )

    def _endpoint_of(self, order: Order, model: ImageModel) -> str:
        endpoint = words(defaults_of(order, model).get("_endpoint")) or self._endpoint
        if not endpoint:
            raise ProviderRejected(
                f"{model.display_name} runs on an endpoint of one's own at RunPod and none is set, so nothing was "
                "sent. Choose another model, or have an admin put RUNPOD_ENDPOINT_ID into the settings.",
                code="MODEL_UNKNOWN",
            )
        if not _ENDPOINT.match(endpoint):
            raise _ENDINGS.rejected(Ending.model_unknown)
        return endpoint

    def _own(self, ticket: Ticket, act: str) -> str:
        """For a receipt that holds no address: only our own endpoint's requests can be asked about without."""
        return f"{self._base}/{self._endpoint}/{act}/{ticket.request_id}"


# ---- what comes back


def _stand(body: Mapping[str, object]) -> Running | Finished:
    match body.get("status"):
        case "COMPLETED":
            return _finished(body)
        case "FAILED":
            ending = _ending(body.get("error"))
            raise _ENDINGS.rejected(ending, billed=_worked(body, unsaid=True), charge=_charge(body))
        case "TIMED_OUT":
            raise _ENDINGS.rejected(Ending.timed_out, billed=_worked(body, unsaid=True), charge=_charge(body))
        case "CANCELLED":
            raise _ENDINGS.rejected(
                Ending.cancelled, billed=_worked(body, unsaid=False), charge=_charge(body)
            )
        case "IN_QUEUE":
            return Running(stage=JobStage.provider_queue)
        case _:  # IN_PROGRESS, whose `output` is only a message, RUNNING, or a word newer than this code
            return Running(stage=JobStage.drawing)


def _finished(body: Mapping[str, object]) -> Finished:
    output = body.get("output")
    if not output:
        raise _output_lost(body)
    found = images(output, under=_PLACES)
    told = table(output)
    if not found:
        ending = _ending(told["error"]) if told.get("error") else Ending.no_image
        raise _ENDINGS.rejected(ending, billed=True, charge=_charge(body))
    return Finished(
        images=found,
        seed=whole(told.get("seed")),
        billed_usd=_dollars(told.get("cost")),
        seconds=_seconds(body),
        expires_at=datetime.now(UTC) + RESULT_LIFETIME,
    )


def _seconds(body: Mapping[str, object]) -> float | None:
    milliseconds = number(body.get("executionTime"))
    return milliseconds / 1000 if milliseconds is not None else None


def _charge(body: Mapping[str, object]) -> Charge:
    """What RunPod told of the price: its worker's time, and dollars at a public endpoint (§4.5)."""
    return Charge(seconds=_seconds(body), billed_usd=_dollars(table(body.get("output")).get("cost")))


def _dollars(cost: object) -> Decimal | None:
    """What a public endpoint says it charged (§4.5)."""
    told = number(cost)
    return Decimal(str(cost)) if told is not None and told >= 0 else None


def _worked(body: Mapping[str, object], *, unsaid: bool) -> bool:
    """Whether a worker spent time on it, which is charged; `unsaid` where RunPod does not tell the time."""
    spent = _seconds(body)
    return unsaid if spent is None else spent > 0


def _ending(error: object) -> Ending:
    """What kind of failure it was: `error` is text, JSON inside a text, or a list of what is wrong (§4.2)."""
    told = _unwrapped(error)
    if rows(told):
        return Ending.invalid_input
    said = told if isinstance(told, str) else json.dumps(told)
    if _CONTENT.search(said):
        return Ending.content_refused
    return Ending.out_of_memory if _MEMORY.search(said) else Ending.failed


def _unwrapped(error: object) -> object:
    if not isinstance(error, str):
        return error
    try:
        told: object = json.loads(error)
    except (ValueError, RecursionError):
        return error
    return told


def _output_lost(body: Mapping[str, object]) -> ResultLost:
    lost = ResultLost(
        "RunPod finished and its output is missing: a result above its size limit is thrown away there. It was "
        "charged. Ask for a smaller picture, or have an admin let the worker deliver into a bucket.",
        is_certain=True,
    )
    lost.charge = _charge(body)
    return lost


# ---- how it says no


def _got_in(answer: Answer) -> bool:
    return bool(answer.text("id"))


def _refusal(answer: Answer) -> ProviderRejected:
    """The paid request was refused at the door, so nothing was charged."""
    account = _account(answer)
    if account is not None:
        return _ENDINGS.rejected(account)
    if answer.status in {404, 405, 410}:
        return _ENDINGS.rejected(Ending.model_unknown)
    refused = _CONTENT.search(answer.text("error"))
    return _ENDINGS.rejected(Ending.content_refused if refused else Ending.invalid_input)


def _account(answer: Answer) -> Ending | None:
    kinds = {401: Ending.bad_key, 402: Ending.balance_empty, 403: Ending.not_permitted}
    return kinds.get(answer.status)


def _unreachable(answer: Answer) -> ProviderUnreachable:
    return _ENDINGS.unreachable(answer.status, _account(answer))
