"""Novita.ai: tasks that are polled, and endpoints whose answer already is the result (reference/providers.md §3).

Reserved keys of `input_defaults` beside those of core/providers/fields.py:
`_endpoint`, the path of the request; one under `/v3/async/` makes a task, another one answers with the picture.
`_extra`, what stands beside the request; where it is there, the body is {"extra": …, "request": …}, and a field
called `extra.…` goes there too.

Money and credential problems can come as HTTP 400, so `reason` decides, never the status alone. Novita cannot be
asked to stop.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import httpx

from core.errors import ProviderRejected
from core.providers import CancelAnswer, webhooks
from core.providers.endings import Ending, Endings
from core.providers.fields import Spelling, defaults_of, filled
from core.providers.http import Answer, Dialect, ProviderHttp, base_origin, new_client
from core.providers.reading import image, moment, number, rows, table, whole, words
from core.providers.references import Taking
from core.providers.webhooks import Notice, Proof
from core.values import Finished, ImageModel, JobStage, Order, RemoteImage, Running, Size, Ticket

API = "https://api.novita.ai"
# Presigned S3 addresses (§3.2), seen on faas-output-image.s3.ap-southeast-1.amazonaws.com; they are fetched
# without any key of ours.
MEDIA_HOSTS = ("*.amazonaws.com", "*.novita.ai")
USUAL_LIFETIME = 3600.0  # seconds, where neither the answer nor the address says (§0: typically an hour)
MOST_INLINE = 7 * 1024 * 1024  # bytes of a reference: in base64 below the 10 MB of §3.1 and §3.3
ANSWER_WITHIN = 300.0  # seconds of silence from an endpoint that draws before it answers

_ENDPOINT = re.compile(r"^/v3(?:beta)?(?:/[A-Za-z0-9][A-Za-z0-9._-]*)+$")
_TASK = re.compile(r"^[A-Za-z0-9_-]{1,100}$")
_CONTENT = re.compile(r"\bNSFW\b|\billegal\b|\bsensitive\b|content polic", re.IGNORECASE)
_ENDINGS = Endings(name="Novita", key="NOVITA_API_KEY", kept="about an hour")


def _text(size: Size) -> object:
    return str(size)


SPELLING = Spelling(
    names={
        "prompt": "prompt",
        "negative": "negative_prompt",
        "size": "size",
        "seed": "seed",
        "references": "images",
        "safety_checker": "",
    },
    size=_text,
    taking=Taking(inside=MOST_INLINE, pixels=16_000_000, types=("image/png", "image/jpeg")),
)


class Novita:
    """Novita.ai. `base_url` stands for all of its hosts (the emulator); a client that is handed in stays its
    owner's to close. `answer_within` is seconds. Raises SetupFailed where key or address cannot be used.
    """

    name = "novita"

    def __init__(
        self,
        key: str,
        *,
        base_url: str | None = None,
        client: httpx.Client | None = None,
        answer_within: float = ANSWER_WITHIN,
    ) -> None:
        self._base = (base_url or API).rstrip("/")
        self._media = MEDIA_HOSTS if base_url is None else (base_origin(base_url),)
        self._is_played = base_url is not None
        self._client = client or new_client()
        self._closes = client is None
        self._answer_within = answer_within
        self._http = ProviderHttp(
            "Novita",
            self._client,
            origins=(self._base,),
            authorization=f"Bearer {key.strip()}",
            dialect=Dialect(refusal=_refusal, got_in=_got_in, verdict=_verdict),
        )

    def __repr__(self) -> str:
        return "Novita()"

    @property
    def address(self) -> str:
        """As `Remote`."""
        return self._base

    @property
    def download_hosts(self) -> tuple[str, ...]:
        """The hosts of Novita's results, or the one origin that stands for all of them."""
        return self._media

    def close(self) -> None:
        """Close the connections, where they are our own."""
        if self._closes:
            self._client.close()

    def submit(self, order: Order, model: ImageModel) -> Ticket:
        """Send the paid request, once. The receipt of an endpoint that answers at once holds its result.

        Raises ProviderBusy, ProviderRejected, OutcomeUnknown as `Provider.submit`; what cannot fit is rejected
        before anything leaves.
        """
        path = words(defaults_of(order, model).get("_endpoint"))
        if not _ENDPOINT.match(path):
            raise _ENDINGS.rejected(Ending.model_unknown)
        patience = None if "/async/" in path else self._answer_within
        answer = self._http.post_once(f"{self._base}{path}", body_of(order, model), patience=patience)
        if "/async/" in path:
            return self._task(answer, model)
        if not isinstance((answer.body or {}).get("images"), list):
            raise _ENDINGS.without_number()
        return Ticket(
            provider=self.name,
            request_id=f"answer-{secrets.token_hex(12)}",  # Novita numbers no such request
            model_key=model.model_key,
            answer={
                "images": (answer.body or {}).get("images"),
                "extra": (answer.body or {}).get("extra"),
                "received_at": datetime.now(UTC).isoformat(),
            },
        )

    def poll(self, ticket: Ticket) -> Running | Finished:
        """Where a task stands, or its result; a receipt that holds its result is only read.

        Raises ProviderRejected where it ended without a picture, ResultLost where Novita has forgotten it,
        ProviderUnreachable where the question should be asked again: also for a refused key or an empty
        balance, because those say nothing about the picture that was paid for.
        """
        if ticket.answer is not None:
            return _finished(ticket.answer, moment(ticket.answer.get("received_at")))
        answer = self._http.get(ticket.status_url or self._result_of(ticket.request_id))
        ended = _verdict(answer)
        if ended is not None:
            raise ended
        if answer.status in {404, 410}:
            raise _ENDINGS.lost()
        if not answer.is_good:
            raise _ENDINGS.unreachable(answer.status, _account(answer))
        return _stand(answer.body or {})

    def cancel(self, ticket: Ticket) -> CancelAnswer:  # noqa: ARG002  (Novita has no such call)
        """Nothing is asked: Novita has no way to stop a task (providers.md §3.2)."""
        return CancelAnswer.unsupported

    # ---- webhooks: unsigned (providers.md §3.4)

    def can_call(self, url: str) -> bool:
        """As `ReportsBack.can_call`."""
        return webhooks.takes_address(url, is_played=self._is_played)

    def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Notice:  # noqa: ARG002  (nothing is signed)
        """As `ReportsBack.read_webhook`; only a hint."""
        task = table(table(webhooks.json_object("Novita", body).get("payload")).get("task"))
        return Notice(
            request_ids=webhooks.request_numbers("Novita", task.get("task_id")),
            word=webhooks.status_word(task.get("status")),
            proof=Proof.hint,
        )

    def receipt_of(self, request_id: str, model_key: str, defaults: Mapping[str, object]) -> Ticket:  # noqa: ARG002  (Novita needs none)
        """As `ReportsBack.receipt_of`."""
        return Ticket(
            provider=self.name,
            request_id=request_id,
            model_key=model_key,
            status_url=self._result_of(request_id),
        )

    def _task(self, answer: Answer, model: ImageModel) -> Ticket:
        task_id = answer.text("task_id")
        if not _TASK.match(task_id):
            raise _ENDINGS.without_number()
        return self.receipt_of(task_id, model.model_key, model.input_defaults)

    def _result_of(self, task_id: str) -> str:
        return f"{self._base}/v3/async/task-result?task_id={task_id}"


# ---- what is sent


def body_of(order: Order, model: ImageModel) -> dict[str, object]:
    """The JSON that is paid for. Raises ProviderRejected `INVALID_INPUT` where the model cannot do it."""
    body = filled(order, model, SPELLING)
    defaults = defaults_of(order, model)
    if "_extra" not in defaults:
        return body
    beside = {name: value for name, value in body.items() if name.startswith("extra.")}
    extra = {**table(defaults["_extra"]), **{name[6:]: value for name, value in beside.items()}}
    if order.callback_url and "/async/" in words(defaults.get("_endpoint")):
        extra["webhook"] = {"url": order.callback_url}
    return {
        "extra": extra,
        "request": {name: value for name, value in body.items() if name not in beside},
    }


# ---- what comes back


def _stand(body: Mapping[str, object]) -> Running | Finished:
    task = table(body.get("task"))
    match task.get("status"):
        case "TASK_STATUS_SUCCEED":
            return _finished(body, _completed_at(body))
        case "TASK_STATUS_FAILED":
            refused = _CONTENT.search(words(task.get("reason")))
            # Nothing says whether a failed task is charged, so it may be.
            raise _ENDINGS.rejected(Ending.content_refused if refused else Ending.failed, billed=True)
        case "TASK_STATUS_QUEUED":
            return Running(stage=JobStage.provider_queue)
        case _:  # processing, unknown, or a word that is newer than this code (§0 rule 7)
            return Running(stage=JobStage.drawing, fraction=_fraction(task))


def _fraction(task: Mapping[str, object]) -> float | None:
    percent = number(task.get("progress_percent"))
    # 0 is also what Novita says of a task whose progress it does not know.
    return min(percent / 100, 1.0) if percent is not None and percent > 0 else None


def _finished(body: Mapping[str, object], since: datetime | None) -> Finished:
    """A result; `since` is when its addresses began to live."""
    listed = [(_address(entry), entry) for entry in rows(body.get("images"))]
    kept = [(one, entry) for one, entry in listed if one is not None and not _flagged(entry)]
    if not kept:
        flagged = any(_flagged(entry) for _, entry in listed)
        raise _ENDINGS.rejected(Ending.content_refused if flagged else Ending.no_image, billed=True)
    lifetime = min(_lifetime(one, entry) for one, entry in kept)
    return Finished(
        images=tuple(one for one, _ in kept),
        seed=whole(table(body.get("extra")).get("seed")),
        seconds=_seconds(body),
        expires_at=(since or datetime.now(UTC)) + timedelta(seconds=lifetime),
    )


def _address(entry: object) -> RemoteImage | None:
    """A picture of a result: its address as text, or inside an object (§3.3 accepts both)."""
    return image(words(entry) or words(table(entry).get("image_url")))


def _flagged(entry: object) -> bool:
    return table(table(entry).get("nsfw_detection_result")).get("valid") is True


def _lifetime(one: RemoteImage, entry: object) -> float:
    """Seconds an address lives: as the answer says, else as the address itself does, else an hour."""
    told = number(table(entry).get("image_url_ttl"))
    signed = parse_qs(urlsplit(one.url).query).get("X-Amz-Expires", [""])
    return told or number(signed[0]) or USUAL_LIFETIME


def _completed_at(body: Mapping[str, object]) -> datetime | None:
    milliseconds = _clock(body, "complete_time_ms")
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds else None


def _seconds(body: Mapping[str, object]) -> float | None:
    began, ended = _clock(body, "execute_time_ms"), _clock(body, "complete_time_ms")
    return max(0.0, (ended - began) / 1000) if began and ended else None


def _clock(body: Mapping[str, object], name: str) -> float | None:
    """One of Novita's times, in milliseconds since 1970; None where it is none."""
    told = number(table(table(body.get("extra")).get("debug_info")).get(name))
    return told if told is not None and 0 < told < _END_OF_TIME else None


_END_OF_TIME = 4.0e12  # the year 2096: beyond it a number is not a time in milliseconds

# ---- how it says no: by its reasons (§3.5)


def _got_in(answer: Answer) -> bool:
    return bool(answer.text("task_id"))


def _verdict(answer: Answer) -> ProviderRejected | None:
    """A task that failed for good, which an endpoint that answers at once tells as a 500."""
    if answer.text("reason") != "TASK_FAILED":
        return None
    return _ENDINGS.rejected(Ending.failed, billed=True)


def _refusal(answer: Answer) -> ProviderRejected:
    """The paid request was refused at the door, so nothing was charged."""
    account = _account(answer)
    if account is not None:
        return _ENDINGS.rejected(account)
    if answer.status in {404, 405, 410}:
        return _ENDINGS.rejected(Ending.model_unknown)
    return _ENDINGS.rejected(_REASONS.get(answer.text("reason"), Ending.invalid_input))


def _account(answer: Answer) -> Ending | None:
    """What is wrong with the account, None where nothing is said about it."""
    found = _ACCOUNT.get(answer.text("reason"))
    if found is None and answer.status in {401, 402, 403}:
        return {401: Ending.bad_key, 402: Ending.balance_empty}.get(answer.status, Ending.not_permitted)
    return found


_ACCOUNT = {
    "MISSING_API_KEY": Ending.bad_key,
    "INVALID_API_KEY": Ending.bad_key,
    "BILLING_BALANCE_NOT_ENOUGH": Ending.balance_empty,
    "BILLING_AUTH_FAILED": Ending.account_blocked,
    "NEED_REAL_NAME_VERIFY": Ending.account_blocked,
    "FEATURE_NOT_ALLOWED": Ending.not_permitted,
    "API_NOT_ALLOWED": Ending.not_permitted,
}
_REASONS = {
    "ILLEGAL_PROMPT": Ending.content_refused,
    "ILLEGAL_IMAGE_CONTENT": Ending.content_refused,
    "IMAGE_FILE_EXCEEDS_MAX_SIZE": Ending.bad_reference,
    "INVALID_IMAGE_FORMAT": Ending.bad_reference,
    "IMAGE_EXCEEDS_MAX_RESOLUTION": Ending.bad_reference,
    "INVALID_IMAGE_SIZE": Ending.bad_reference,
}
