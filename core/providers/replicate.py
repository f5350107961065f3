"""Replicate's predictions, official and community models (reference/providers.md §2).

Reserved keys of `input_defaults` beside those of core/providers/fields.py: `_version`, for a community model:
64 hex digits, or `latest` (asked for before each order). The header `Prefer` is never sent: it would hold the
paid request open, and an answer that gets lost there is an outcome nobody knows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import httpx

from core.errors import ProviderBusy, ProviderRejected, ProviderUnreachable, SetupFailed
from core.providers import CancelAnswer, webhooks
from core.providers.endings import Ending, Endings
from core.providers.fields import Spelling, check_fits, defaults_of, filled
from core.providers.http import Answer, Dialect, ProviderHttp, base_origin, new_client, retry_after
from core.providers.reading import images, moment, number, table, whole, words
from core.providers.references import Taking
from core.providers.webhooks import Kept, Notice, Proof
from core.values import Charge, Finished, ImageModel, JobStage, Order, ReferencePicture, Running, Size, Ticket

API = "https://api.replicate.com"
MEDIA_HOSTS = ("replicate.delivery", "*.replicate.delivery")
RESULT_LIFETIME = timedelta(hours=1)  # providers.md §2.3: result and files, from the end of the prediction
MOST_INLINE = 256 * 1024  # bytes of a reference inside the request; a larger one is uploaded first (§2.3)

_MODEL = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$")
_VERSION = re.compile(r"^[0-9a-f]{64}$")
_PREDICTION = re.compile(r"^[A-Za-z0-9_-]{1,100}$")
_CONTENT = re.compile(r"\bE005\b|flagged as sensitive|NSFW content detected", re.IGNORECASE)
_WAIT = re.compile(r"resets? in ~?\s*(\d+(?:\.\d+)?)\s*s", re.IGNORECASE)
_SIGNED_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
_ENDINGS = Endings(name="Replicate", key="REPLICATE_API_TOKEN", kept="one hour")


def _unchecked(wanted: bool) -> object:
    return not wanted


def _text(size: Size) -> object:
    return str(size)


SPELLING = Spelling(
    names={
        "prompt": "prompt",
        "negative": "negative_prompt",
        "size": "width,height",
        "seed": "seed",
        "references": "image",
        "safety_checker": "disable_safety_checker",
    },
    size=_text,
    safety_checker=_unchecked,
    taking=Taking(inside=MOST_INLINE),
)


class Replicate:
    """Replicate. `base_url` stands for all of its hosts (the emulator) and ends before `/v1`; a client that is
    handed in stays its owner's to close. `webhook_secret` (`whsec_…`) signs its webhooks; where it is missing,
    Replicate is asked for it. Raises SetupFailed where token, secret or address cannot be used.
    """

    name = "replicate"

    def __init__(
        self,
        token: str,
        *,
        base_url: str | None = None,
        client: httpx.Client | None = None,
        webhook_secret: str | None = None,
    ) -> None:
        self._base = (base_url or API).rstrip("/")
        self._media = MEDIA_HOSTS if base_url is None else (base_origin(base_url),)
        self._is_played = base_url is not None
        self._client = client or new_client()
        self._closes = client is None
        self._given_secret = _given(webhook_secret)
        self._secret = Kept(self._fetch_secret)
        self._http = ProviderHttp(
            "Replicate",
            self._client,
            origins=(self._base,),
            authorization=f"Bearer {token.strip()}",
            dialect=Dialect(refusal=_refusal, got_in=_got_in, come_back=_come_back),
        )

    def __repr__(self) -> str:
        return "Replicate()"

    @property
    def address(self) -> str:
        """As `Remote`."""
        return self._base

    @property
    def download_hosts(self) -> tuple[str, ...]:
        """The file hosts of Replicate, or the one origin that stands for all of them."""
        return self._media

    def close(self) -> None:
        """Close the connections, where they are our own."""
        if self._closes:
            self._client.close()

    def submit(self, order: Order, model: ImageModel) -> Ticket:
        """Create one prediction, once; its receipt comes back.

        A large reference is uploaded and a community model's newest version looked up before that, both free.
        Raises ProviderBusy, ProviderRejected, OutcomeUnknown as `Provider.submit`; what cannot fit is rejected
        before anything leaves.
        """
        if not _MODEL.match(model.model_key):
            raise _ENDINGS.rejected(Ending.model_unknown)
        check_fits(order, model)
        url, version = self._address(order, model)
        given = filled(order, model, SPELLING, self._uploaded)
        report = _report(order.callback_url)
        answer = self._http.post_once(url, {**version, **report, "input": given})
        return self._ticket(answer, model)

    def poll(self, ticket: Ticket) -> Running | Finished:
        """Where a prediction stands, or its result.

        Raises ProviderRejected where it ended without a picture, ResultLost where Replicate has forgotten it or
        removed its files, ProviderUnreachable where the question should be asked again: also for a refused
        token, because that says nothing about the picture that was paid for.
        """
        answer = self._http.get(ticket.status_url or self._own(ticket.request_id))
        if answer.status in {404, 410}:
            raise _ENDINGS.lost()
        if not answer.is_good:
            raise _unreachable(answer)
        return _stand(answer.body or {})

    def cancel(self, ticket: Ticket) -> CancelAnswer:
        """Ask Replicate to stop; time that was used is charged. Raises ProviderUnreachable."""
        answer = self._http.post(ticket.cancel_url or f"{self._own(ticket.request_id)}/cancel")
        if answer.is_good:
            over = answer.text("status") in {"succeeded", "failed"}
            return CancelAnswer.too_late if over else CancelAnswer.asked
        if answer.status in {400, 404, 409, 410, 422}:
            return CancelAnswer.too_late
        raise _unreachable(answer)

    # ---- webhooks (providers.md §2.4)

    def can_call(self, url: str) -> bool:
        """As `ReportsBack.can_call`."""
        return webhooks.takes_address(url, is_played=self._is_played)

    def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Notice:
        """As `ReportsBack.read_webhook`: HMAC-SHA256 over number, time and body ("standard webhooks")."""
        number, seconds, signatures = (headers.get(name, "") for name in _SIGNED_HEADERS)
        if not (number and signatures):
            raise webhooks.forged("Replicate")
        webhooks.refuse_stale("Replicate", seconds, now)
        if not self._signed(signatures, f"{number}.{seconds}.".encode() + body):
            raise webhooks.forged("Replicate")
        said = webhooks.json_object("Replicate", body)
        return Notice(
            request_ids=webhooks.request_numbers("Replicate", said.get("id")),
            word=webhooks.status_word(said.get("status")),
            proof=Proof.signed,
        )

    def receipt_of(self, request_id: str, model_key: str, defaults: Mapping[str, object]) -> Ticket:  # noqa: ARG002  (Replicate needs none)
        """As `ReportsBack.receipt_of`."""
        own = self._own(request_id)
        return Ticket(
            provider=self.name,
            request_id=request_id,
            model_key=model_key,
            status_url=own,
            cancel_url=f"{own}/cancel",
        )

    def _signed(self, signatures: str, message: bytes) -> bool:
        if webhooks.hmac_fits(self._secret.get(), signatures, message):
            return True
        newer = self._secret.newer()
        return newer is not None and webhooks.hmac_fits(newer, signatures, message)

    def _fetch_secret(self) -> bytes:
        if self._given_secret is not None:
            return self._given_secret
        answer = self._http.get(f"{self._base}/v1/webhooks/default/secret")
        secret = webhooks.webhook_secret(answer.text("key")) if answer.is_good else None
        if secret is None:
            raise _unreachable(answer)
        return secret

    # ---- before the paid request: free, and so asked again like any question

    def _address(self, order: Order, model: ImageModel) -> tuple[str, dict[str, object]]:
        """Where an order goes, and what names a community model's version inside the body."""
        version = words(defaults_of(order, model).get("_version"))
        if not version:
            return f"{self._base}/v1/models/{model.model_key}/predictions", {}
        if version == "latest":
            found = self._before(lambda: self._http.get(f"{self._base}/v1/models/{model.model_key}"))
            version = words(table(found.get("latest_version")).get("id"))
        if not _VERSION.match(version):
            raise _ENDINGS.rejected(Ending.model_unknown)
        return f"{self._base}/v1/predictions", {"version": version}

    def _uploaded(self, picture: ReferencePicture) -> str:
        """The address of a reference among the account's files (§2.3)."""
        file = self._before(
            lambda: self._http.upload(f"{self._base}/v1/files", picture.data, picture.media_type)
        )
        url = words(table(file.get("urls")).get("get"))
        if not url:
            raise _not_ordered("took the reference image and gave no address for it")
        return url

    def _before(self, ask: Callable[[], Answer]) -> Mapping[str, object]:
        try:
            answer = ask()
        except ProviderUnreachable as exc:
            raise _not_ordered("did not answer") from exc
        if not answer.is_good:
            raise _refusal(answer)
        return answer.body or {}

    def _ticket(self, answer: Answer, model: ImageModel) -> Ticket:
        request_id = answer.text("id")
        if not _PREDICTION.match(request_id):
            raise _ENDINGS.without_number()
        own, urls = self._own(request_id), table((answer.body or {}).get("urls"))
        return Ticket(
            provider=self.name,
            request_id=request_id,
            model_key=model.model_key,
            status_url=self._http.trusted(words(urls.get("get")), own),
            cancel_url=self._http.trusted(words(urls.get("cancel")), f"{own}/cancel"),
        )

    def _own(self, request_id: str) -> str:
        return f"{self._base}/v1/predictions/{request_id}"


def _report(url: str | None) -> dict[str, object]:
    """Where to report and when: at the end only, which is also the one delivery that Replicate repeats."""
    return {"webhook": url, "webhook_events_filter": ["completed"]} if url else {}


def _given(secret: str | None) -> bytes | None:
    if secret is None:
        return None
    key = webhooks.webhook_secret(secret)
    if key is None:
        raise SetupFailed("REPLICATE_WEBHOOK_SECRET is no such secret: it begins with whsec_. Copy it again.")
    return key


# ---- what comes back


def _stand(body: Mapping[str, object]) -> Running | Finished:
    match body.get("status"):
        case "succeeded":
            return _finished(body)
        case "failed":
            raise _failed(body)
        case "canceled":
            raise _ENDINGS.rejected(Ending.cancelled, billed=_began(body), charge=_charge(body))
        case "aborted":
            raise _ENDINGS.rejected(Ending.never_started)
        case "starting":
            return Running(stage=JobStage.provider_queue)
        case _:  # processing, or a word that is newer than this code (providers.md §0 rule 7)
            return Running(stage=JobStage.drawing)


def _finished(body: Mapping[str, object]) -> Finished:
    found = images(body.get("output"))
    if not found and body.get("data_removed") is True:
        raise _ENDINGS.lost(is_certain=True)
    if not found:
        # The safety checker drops what it flags; a prediction can succeed with nothing left (§2.5).
        raise _ENDINGS.rejected(Ending.no_image, billed=True, charge=_charge(body))
    ended = moment(body.get("completed_at")) or datetime.now(UTC)
    return Finished(
        images=found,
        seed=whole(table(body.get("input")).get("seed")),
        seconds=_seconds(body),
        expires_at=ended + RESULT_LIFETIME,
    )


def _failed(body: Mapping[str, object]) -> ProviderRejected:
    """Why a prediction failed, by the codes and texts of §2.5; failed runs can be charged (§2.6)."""
    said = str(body.get("error") or "")
    if _CONTENT.search(said):
        ending = Ending.content_refused
    elif "E1001" in said:
        ending = Ending.out_of_memory
    elif "E6716" in said:
        ending = Ending.timed_out
    else:
        ending = Ending.failed
    return _ENDINGS.rejected(ending, billed=_began(body), charge=_charge(body))


def _began(body: Mapping[str, object]) -> bool:
    """Whether it ran, so that its time may be charged."""
    return bool(body.get("started_at")) or bool(_seconds(body))


def _seconds(body: Mapping[str, object]) -> float | None:
    return number(table(body.get("metrics")).get("predict_time"))


def _charge(body: Mapping[str, object]) -> Charge:
    return Charge(seconds=_seconds(body))


# ---- how it says no


def _got_in(answer: Answer) -> bool:
    return bool(answer.text("id"))


def _come_back(answer: Answer) -> float | None:
    """Seconds to wait: the header, else the field, else the number in the sentence (§2.5)."""
    asked = retry_after(answer.headers)
    if asked is None:
        asked = number((answer.body or {}).get("retry_after"))
    if asked is None and (said := _WAIT.search(answer.text("detail"))):
        asked = float(said[1])
    return None if asked is None else min(max(0.0, asked), 86_400.0)


def _refusal(answer: Answer) -> ProviderRejected:
    """A request was refused at the door, so nothing was charged."""
    account = _account(answer)
    if account is not None:
        return _ENDINGS.rejected(account)
    if answer.status in {404, 405, 410}:
        return _ENDINGS.rejected(Ending.model_unknown)
    if answer.status == HTTPStatus.FORBIDDEN:
        return _ENDINGS.rejected(Ending.not_permitted)
    refused = _CONTENT.search(f"{answer.text('detail')} {answer.text('title')}")
    return _ENDINGS.rejected(Ending.content_refused if refused else Ending.invalid_input)


def _account(answer: Answer) -> Ending | None:
    return {401: Ending.bad_key, 402: Ending.balance_empty}.get(answer.status)


def _unreachable(answer: Answer) -> ProviderUnreachable:
    return _ENDINGS.unreachable(answer.status, _account(answer))


def _not_ordered(why: str) -> ProviderBusy:
    return ProviderBusy(
        f"Replicate {why} before anything was ordered, so nothing is owed. It is tried again by itself."
    )
