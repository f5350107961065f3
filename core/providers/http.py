"""What every provider over HTTP shares: a paid request leaves once, a question is asked as often as needed,
and foreign errors become ours (DESIGN decision 5, SPEC "Failure").

The key goes only to the origins that were named, whatever address a reply holds; no redirect is followed.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from fnmatch import fnmatchcase
from functools import cache
from http import HTTPStatus
from typing import cast

import httpx
import stamina

from core.errors import OutcomeUnknown, ProviderBusy, ProviderRejected, ProviderUnreachable, SetupFailed

ATTEMPTS = 3  # SPEC "Failure": reading is repeated, 3 attempts
LONGEST_PAUSE = 5.0  # seconds between two attempts; whoever waits longer asks again through the queue
MAX_ANSWER = 48 * 1024 * 1024  # bytes, decoded: room for one large picture inside the JSON
MAX_QUESTION = 20.0  # seconds of silence; three of them are the longest that a poll keeps its worker
MAX_SECONDS = 180.0  # for one whole answer: read timeouts alone let a peer drip for ever

NOTHING_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
TIMEOUT = httpx.Timeout(60.0, connect=10.0, pool=10.0)
# An idle connection that the peer has just closed swallows a paid request and leaves its outcome unknown; so
# idle ones are dropped long before any peer does it.
LIMITS = httpx.Limits(max_connections=128, max_keepalive_connections=64, keepalive_expiry=5.0)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a provider answered: `body` is its JSON, None where it is not a JSON object."""

    status: int
    headers: httpx.Headers
    body: Mapping[str, object] | None

    @property
    def is_good(self) -> bool:
        """True for 2xx."""
        return httpx.codes.is_success(self.status)

    def text(self, name: str) -> str:
        """A field of the body that should be text; empty where it is missing or something else."""
        value = (self.body or {}).get(name)
        return value if isinstance(value, str) else ""


def _header_says(answer: Answer) -> float | None:
    return retry_after(answer.headers)


def _no_verdict(_answer: Answer) -> ProviderRejected | None:
    return None


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """What a provider's answers mean where HTTP alone does not say; each function reads one answer."""

    refusal: Callable[[Answer], ProviderRejected]  # a 4xx to the paid request
    got_in: Callable[[Answer], bool]  # whether a 503 shows that the request was taken all the same
    come_back: Callable[[Answer], float | None] = _header_says  # seconds to wait after a 429
    verdict: Callable[[Answer], ProviderRejected | None] = _no_verdict  # a 5xx that is the request's end


Files = Mapping[str, tuple[str, bytes, str]]


class _AskAgain(Exception):
    """A question failed in a way that may pass; `after` is what the provider asked for, in seconds."""

    def __init__(self, why: str, *, after: float | None = None) -> None:
        super().__init__(why)
        self.after = after


def new_client() -> httpx.Client:
    """A client fit for paid requests; it knows no key and follows no redirects."""
    return httpx.Client(timeout=TIMEOUT, limits=LIMITS, follow_redirects=False, verify=_trusted())


@cache
def _trusted() -> ssl.SSLContext:
    """Whom we believe; read once: it takes longer than the rest of a client."""
    return httpx.create_ssl_context()


# The provider read the request and said no. Any other 4xx (408, 409, 425, 499 …) may come from a proxy after the
# request was taken: it is an outcome unknown.
_DEFINITE_REFUSALS = frozenset({400, 401, 402, 403, 404, 405, 410, 413, 415, 422})


class ProviderHttp:
    """One provider's HTTP: `name` for sentences, `origins` such as `https://queue.fal.run` may see the key.

    `authorization` is the whole header value; it shows in no repr. The client is closed by whoever made it.
    Raises SetupFailed where the key cannot be sent in a header.
    """

    def __init__(
        self,
        name: str,
        client: httpx.Client,
        *,
        origins: tuple[str, ...],
        authorization: str,
        dialect: Dialect,
    ) -> None:
        if not (authorization.isascii() and authorization.isprintable()):
            raise SetupFailed(
                f"The key of {name} holds characters that no key has. Copy it again, in one line."
            )
        self._name = name
        self._client = client
        self._origins = frozenset(origin_of(one) for one in origins)
        self._headers = {"Authorization": authorization, "Accept": "application/json"}
        self._dialect = dialect
        self._question_timeout = _at_most(client.timeout, MAX_QUESTION)

    def __repr__(self) -> str:
        return f"ProviderHttp({self._name})"

    def allows(self, url: str) -> bool:
        """True where the key may be sent to this address."""
        try:
            return origin_of(url) in self._origins
        except SetupFailed:
            return False

    def trusted(self, url: str, own: str) -> str:
        """An address out of a reply where it is one of the provider's, else our own spelling of it."""
        return url if url and self.allows(url) else own

    def post_once(self, url: str, payload: Mapping[str, object], *, patience: float | None = None) -> Answer:
        """Send a paid request, exactly once; a 2xx answer holding a JSON object comes back.

        `patience` is seconds of silence, for an answer that is the picture itself (None: the client's own).
        Raises ProviderBusy (surely not accepted: no connection, 429, 503 without a sign that it got in),
        ProviderRejected (other 4xx, and a 5xx that is a verdict), OutcomeUnknown (everything else once it may
        have left).
        """
        content = self._encoded(payload)
        if not self.allows(url):
            raise SetupFailed(
                f"{self._name}: the address of its service is not one of its own. Check the settings."
            )
        try:
            answer = self._exchange("POST", url, content=content, timeout=self._timeout(patience))
        except NOTHING_SENT as exc:
            raise ProviderBusy(
                f"{self._name} could not be reached, so nothing was ordered. It is tried again by itself."
            ) from exc
        except (httpx.RequestError, _AskAgain) as exc:
            raise self._unknown("no readable answer came back") from exc
        return self._receipt(answer)

    def get(self, url: str) -> Answer:
        """Ask a question, up to three times; 2xx, 3xx and 4xx (but 408, 425, 429) come back as they are.

        Raises ProviderUnreachable where no attempt got an answer that says something.
        """
        return self._ask("GET", url)

    def put(self, url: str) -> Answer:
        """Ask for something that may safely be asked twice, such as to cancel; as `get`."""
        return self._ask("PUT", url)

    def post(self, url: str) -> Answer:
        """As `put`, for providers that cancel by POST; never for a paid request."""
        return self._ask("POST", url)

    def upload(self, url: str, data: bytes, media_type: str) -> Answer:
        """Hand over a file, free of charge, as the form field `content`; as `get`."""
        return self._ask("POST", url, files={"content": ("picture", data, media_type)})

    def post_free(
        self, url: str, payload: Mapping[str, object], *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send JSON that costs nothing and may be sent twice; as `get`."""
        return self._ask("POST", url, content=self._encoded(payload), more=headers)

    def deliver(self, url: str, data: bytes, media_type: str, *, hosts: tuple[str, ...]) -> Answer:
        """Put a file at an address that a reply named, without the key, up to three times.

        `hosts` as in `Provider.download_hosts`; anything else is not asked. Raises ProviderUnreachable.
        """
        if not is_named(url, hosts):
            raise self._foreign()
        return self._repeated(lambda: self._delivered(url, data, media_type))

    def _timeout(self, patience: float | None) -> httpx.Timeout:
        timeout = self._client.timeout
        if patience is None:
            return timeout
        return httpx.Timeout(connect=timeout.connect, read=patience, write=timeout.write, pool=timeout.pool)

    def _encoded(self, payload: Mapping[str, object]) -> bytes:
        try:
            return json.dumps(payload, allow_nan=False).encode("ascii")
        except (TypeError, ValueError) as exc:
            raise ProviderRejected(
                f"The request for {self._name} cannot be written as JSON, so nothing was sent. "
                "Check the model's defaults.",
                code="INVALID_INPUT",
            ) from exc

    def _receipt(self, answer: Answer) -> Answer:
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS or (
            answer.status == HTTPStatus.SERVICE_UNAVAILABLE and not self._dialect.got_in(answer)
        ):
            raise ProviderBusy(
                f"{self._name} takes no request right now ({answer.status}). It is sent again by itself.",
                retry_after=self._dialect.come_back(answer),
            )
        if answer.status in _DEFINITE_REFUSALS:
            raise self._dialect.refusal(answer)
        if not answer.is_good:
            raise self._dialect.verdict(answer) or self._unknown(f"it answered {answer.status}")
        if answer.body is None:
            raise self._unknown("its answer could not be read")
        return answer

    def _unknown(self, why: str) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"The request went to {self._name} and {why}: it may have been accepted and charged. "
            "It is not sent again; somebody looks it up."
        )

    def _ask(
        self,
        method: str,
        url: str,
        *,
        files: Files | None = None,
        content: bytes | None = None,
        more: Mapping[str, str] | None = None,
    ) -> Answer:
        if not self.allows(url):
            raise self._foreign()
        return self._repeated(lambda: self._asked(method, url, files, content, more))

    def _repeated(self, once: Callable[[], Answer]) -> Answer:
        attempts = stamina.retry_context(
            on=_pause,
            attempts=ATTEMPTS,
            timeout=None,
            wait_initial=0.2,
            wait_max=LONGEST_PAUSE,
            wait_jitter=0.4,
        )
        try:
            for attempt in attempts:
                with attempt:
                    return once()
        except _AskAgain as exc:
            raise ProviderUnreachable(
                f"{self._name} did not answer {ATTEMPTS} times ({exc}). It is asked again later."
            ) from exc
        raise AssertionError("a retry block either returns or raises")

    def _foreign(self) -> ProviderUnreachable:
        return ProviderUnreachable(
            f"An address given for {self._name} leads to another host, so it was not asked there.",
            code="FOREIGN_ADDRESS",
        )

    def _asked(
        self,
        method: str,
        url: str,
        files: Files | None,
        content: bytes | None,
        more: Mapping[str, str] | None,
    ) -> Answer:
        timeout = self._question_timeout if files is None else self._client.timeout
        try:
            answer = self._exchange(method, url, files=files, content=content, more=more, timeout=timeout)
        except httpx.RequestError as exc:
            raise _AskAgain("no connection, or it broke") from exc
        if self._dialect.verdict(answer) is not None:
            return answer
        self._refuse_passing(answer)
        if answer.is_good and answer.body is None:
            raise _AskAgain("its answer could not be read")
        return answer

    def _refuse_passing(self, answer: Answer) -> None:
        if answer.status in {408, 425, 429} or httpx.codes.is_server_error(answer.status):
            raise _AskAgain(f"status {answer.status}", after=self._dialect.come_back(answer))

    def _delivered(self, url: str, data: bytes, media_type: str) -> Answer:
        headers = {"Content-Type": media_type}
        try:
            with self._client.stream(
                "PUT", url, content=data, headers=headers, follow_redirects=False
            ) as response:
                answer = Answer(status=response.status_code, headers=response.headers, body=None)
                _bounded(response)
        except httpx.RequestError as exc:
            raise _AskAgain("no connection, or it broke") from exc
        self._refuse_passing(answer)
        return answer

    def _exchange(
        self,
        method: str,
        url: str,
        *,
        timeout: httpx.Timeout,
        content: bytes | None = None,
        files: Files | None = None,
        more: Mapping[str, str] | None = None,
    ) -> Answer:
        headers = {**self._headers, **(more or {})}
        if content is not None:
            headers["Content-Type"] = "application/json"
        with self._client.stream(
            method,
            url,
            content=content,
            files=files,
            headers=headers,
            timeout=timeout,
            follow_redirects=False,
        ) as response:
            return Answer(
                status=response.status_code, headers=response.headers, body=_object(_bounded(response))
            )


def is_named(url: str, hosts: tuple[str, ...]) -> bool:
    """Whether an address is https on one of `hosts`, or on one of the whole origins among them."""
    try:
        origin = origin_of(url)
    except SetupFailed:
        return False
    if origin in {origin_of(entry) for entry in hosts if "://" in entry}:
        return True
    families = [entry for entry in hosts if "://" not in entry]
    return any(fnmatchcase(origin, f"https://{entry}:443") for entry in families)


def _at_most(timeout: httpx.Timeout, read: float) -> httpx.Timeout:
    shortest = read if timeout.read is None else min(timeout.read, read)
    return httpx.Timeout(connect=timeout.connect, read=shortest, write=timeout.write, pool=timeout.pool)


def _bounded(response: httpx.Response) -> bytes:
    """The body, decoded; raises _AskAgain where it is too large or too slow."""
    until = time.monotonic() + MAX_SECONDS
    data = bytearray()
    for chunk in response.iter_bytes():
        data += chunk
        if len(data) > MAX_ANSWER:
            raise _AskAgain("its answer is too large")
        if time.monotonic() > until:
            raise _AskAgain("its answer took too long")
    return bytes(data)


def _object(data: bytes) -> Mapping[str, object] | None:
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


def _pause(exc: Exception) -> bool | float:
    if not isinstance(exc, _AskAgain):
        return False
    return True if exc.after is None else min(exc.after, LONGEST_PAUSE)


def retry_after(headers: httpx.Headers) -> float | None:
    """Seconds until a provider wants to be asked again, from Retry-After (seconds or an HTTP date).

    Never negative; None where the header is missing or says nothing readable.
    """
    value = headers.get("retry-after", "").strip()
    try:
        return min(max(0.0, float(value)), 86_400.0)
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def base_origin(base_url: str) -> str:
    """The origin of a base address as downloads compare it: without its port where that is the usual one.

    Raises SetupFailed as `origin_of`.
    """
    full = origin_of(base_url)
    return full.removesuffix(":443") if full.startswith("https") else full.removesuffix(":80")


def origin_of(url: str) -> str:
    """Scheme, host and port of an address, always spelled the same way.

    Raises SetupFailed where it is none: not http or https, no host, or with a user's name inside.
    """
    try:
        parts = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as exc:
        raise SetupFailed("An address of a provider cannot be read. Check its …_BASE_URL.") from exc
    if parts.scheme not in {"http", "https"} or not parts.host or parts.userinfo:
        raise SetupFailed(
            "An address of a provider must begin with http:// or https://. Check its …_BASE_URL."
        )
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{parts.host}:{port}"
