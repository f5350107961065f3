"""A chat model at any endpoint that speaks OpenAI's chat completions (reference providers.md, "Chat").

An answer in JSON is asked for with the schema first, then as any JSON object, then in words, as far as an endpoint
takes it; what it takes is remembered. A refused form is no answer, so nothing was paid for it; a request that may
have been taken is never sent again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from http import HTTPStatus

import httpx

from core.errors import OutcomeUnknown, ProviderBusy, ProviderRejected, SetupFailed
from core.providers.http import Answer, Dialect, ProviderHttp, new_client
from core.providers.reading import number, rows, table, whole, words

PATIENCE = 120.0  # seconds of silence: a model on one's own machine is loaded at the first call
_FORM = re.compile(r"response_format|json_schema|json_object|structured|guided|grammar", re.IGNORECASE)
_TOKENS = re.compile(r"max_tokens", re.IGNORECASE)
_CONTENT = re.compile(r"moderat|flagged|content.?(?:policy|filter)|safety", re.IGNORECASE)
_ADMIN = "An admin has to look at the settings CHAT_…"


class Form(StrEnum):
    """How JSON is asked for, the strictest first."""

    schema = "json_schema"
    json = "json_object"
    words = "words"


@dataclass(frozen=True, kw_only=True)
class ChatAnswer:
    """What a model wrote, why it stopped, and what it counted. Tokens and dollars are None where it does not say."""

    text: str = field(repr=False)
    stopped: str  # stop, length, content_filter …
    refused: bool
    input_tokens: int | None
    output_tokens: int | None
    billed_usd: Decimal | None


class _FormRefused(ProviderRejected):
    """The endpoint does not take this way of asking for JSON."""


class _LimitRefused(ProviderRejected):
    """The endpoint wants the limit of the answer under its newer name."""


class Chat:
    """One model at one endpoint: `base_url` ends before /chat/completions, `key` may be missing on one's own machine.

    Raises SetupFailed where address or key cannot be used.
    """

    name = "chat"

    def __init__(
        self,
        base_url: str,
        key: str | None,
        model: str,
        *,
        client: httpx.Client | None = None,
        patience: float = PATIENCE,
    ) -> None:
        if not model.strip():
            raise SetupFailed("CHAT_BASE_URL is set and CHAT_MODEL is not. Name the model, or remove both.")
        self.model = model.strip()
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._client = client or new_client()
        self._closes = client is None
        self._patience = patience
        self._form = Form.schema
        self._limit = "max_tokens"
        self._http = ProviderHttp(
            "The suggestion model",
            self._client,
            origins=(base_url,),
            authorization=f"Bearer {(key or 'none').strip()}",
            dialect=Dialect(refusal=_refusal, got_in=lambda _answer: False),
        )

    def __repr__(self) -> str:
        return "Chat()"

    def close(self) -> None:
        """Close the connections, where they are our own."""
        if self._closes:
            self._client.close()

    def ask(
        self, system: str, question: str, schema: Mapping[str, object], *, most_tokens: int
    ) -> ChatAnswer:
        """Have the model answer with JSON that fits `schema`; the caller checks that it does.

        Raises ProviderBusy (surely not taken), ProviderRejected (final), OutcomeUnknown (left, and no answer came).
        """
        forms = list(Form)
        for form in forms[forms.index(self._form) :]:
            try:
                answer = self._once(form, system, question, schema, most_tokens)
            except _FormRefused:
                if form is Form.words:
                    raise
                continue
            self._form = form
            return answer
        raise AssertionError  # the last form returns or raises

    def _once(
        self, form: Form, system: str, question: str, schema: Mapping[str, object], most_tokens: int
    ) -> ChatAnswer:
        body = _body(self.model, form, system, question, schema)
        try:
            return self._sent(body | {self._limit: most_tokens})
        except _LimitRefused:
            self._limit = "max_completion_tokens"
            return self._sent(body | {self._limit: most_tokens})

    def _sent(self, body: Mapping[str, object]) -> ChatAnswer:
        try:
            answer = self._http.post_once(self._url, body, patience=self._patience)
        except ProviderBusy as exc:
            raise ProviderBusy(
                "The suggestion model takes no request right now, so nothing was sent. Try again in a moment.",
                retry_after=exc.retry_after,
            ) from exc
        except OutcomeUnknown as exc:
            raise OutcomeUnknown(
                "The request went to the suggestion model and no readable answer came back. It may have been "
                "charged and is not sent again by itself; ask once more if you like."
            ) from exc
        return _read(answer)


# ---- what is sent


def _body(
    model: str, form: Form, system: str, question: str, schema: Mapping[str, object]
) -> dict[str, object]:
    body: dict[str, object] = {"model": model, "temperature": 1}
    if form is Form.schema:
        named = {"name": "suggestions", "strict": True, "schema": schema}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    else:
        system += f"\nAnswer with one JSON object and nothing else. Its JSON schema: {json.dumps(schema)}"
    if form is Form.json:
        body["response_format"] = {"type": "json_object"}
    body["messages"] = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    return body


# ---- what comes back


def _read(answer: Answer) -> ChatAnswer:
    body = answer.body or {}
    choice = table(next(iter(rows(body.get("choices"))), None))
    error = body.get("error") or choice.get("error")
    if error:  # a 200 can carry one, where it failed after it had begun
        raise _rejected(whole(table(error).get("code")) or 0, _said(error), billed=True)
    message, usage = table(choice.get("message")), table(body.get("usage"))
    return ChatAnswer(
        text=_text(message.get("content")),
        stopped=words(choice.get("finish_reason")),
        refused=bool(message.get("refusal")) or choice.get("finish_reason") == "content_filter",
        input_tokens=_count(usage.get("prompt_tokens")),
        output_tokens=_count(usage.get("completion_tokens")),
        billed_usd=_dollars(usage.get("cost")),
    )


def _text(content: object) -> str:
    """The answer's text, also where it comes in parts."""
    if isinstance(content, str):
        return content
    return "".join(words(table(part).get("text")) for part in rows(content))


def _count(tokens: object) -> int | None:
    told = whole(tokens)
    return told if told is not None and told >= 0 else None


def _dollars(cost: object) -> Decimal | None:
    told = number(cost)
    return Decimal(str(told)) if told is not None and told >= 0 else None


# ---- how it says no: servers differ in the shape, so only the words are looked at, and never repeated


def _said(error: object) -> str:
    return json.dumps(error)[:4000] if error else ""


def _refusal(answer: Answer) -> ProviderRejected:
    """The request was refused at the door, so nothing was charged."""
    return _rejected(answer.status, _said(answer.body), billed=False)


def _rejected(status: int, said: str, *, billed: bool) -> ProviderRejected:
    """Why there is no answer; `billed` where it failed after it had begun."""
    if status in _ACCOUNT:
        code, sentence = _ACCOUNT[status]
        return _no(code, sentence, pauses=True)
    if _CONTENT.search(said):
        sentence = (
            "The suggestion model's own rules refused this character's words. Change them and try again."
        )
        return _no("CONTENT_REFUSED", sentence, billed=billed)
    if billed:
        return _no("PROVIDER_FAILED", "The suggestion model failed while it wrote. Try again.", billed=True)
    if status not in _ACCESS:
        code, sentence = "INVALID_INPUT", "The suggestion model did not take this request. Shorten the texts."
        return _form_refused(said) or _no(code, sentence)
    formed = _form_refused(said) if status == HTTPStatus.NOT_FOUND else None
    code, sentence = _ACCESS[status]
    return formed or _no(code, sentence)


def _form_refused(said: str) -> ProviderRejected | None:
    """Whether it was only the way of asking that it did not take."""
    if _TOKENS.search(said) and "max_completion" in said:
        return _LimitRefused("The suggestion model wants its limit under another name.", code="INVALID_INPUT")
    if _FORM.search(said):
        sentence = f"The suggestion model takes no request of this form. {_ADMIN}"
        return _FormRefused(sentence, code="INVALID_INPUT")
    return None


_ACCOUNT = {
    401: ("BAD_KEY", f"The suggestion model does not accept our key. {_ADMIN}"),
    402: ("BALANCE_EMPTY", "The account of the suggestion model is empty. An admin has to top it up."),
}
_ACCESS = {
    403: ("NOT_PERMITTED", f"The suggestion model is not open to this account. {_ADMIN}"),
    404: ("MODEL_UNKNOWN", f"There is no such suggestion model at its address. {_ADMIN}"),
    405: ("MODEL_UNKNOWN", f"There is no suggestion model at this address. {_ADMIN}"),
    410: ("MODEL_UNKNOWN", f"This suggestion model is no longer offered. {_ADMIN}"),
}


def _no(code: str, sentence: str, *, pauses: bool = False, billed: bool = False) -> ProviderRejected:
    return ProviderRejected(sentence, code=code, pauses=pauses, billed=billed)
