"""An address to bytes: allowed hosts only, no private networks, a size cap, a deadline, no surprises.

Results come from addresses that a provider wrote into its answer, so an address is foreign input. A name is
resolved once, every address behind it is looked at, and the connection goes to one of those addresses: a name
that changes its mind in between (DNS rebinding) gains nothing. Nothing of ours is sent along: no key, no
cookie, no referrer.

Spoken with httpcore, the layer under httpx, because its network backend is the public place for that look;
each attempt has its own connection, so that nothing of one download reaches the next.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

import httpcore
import httpx
import stamina

from core.errors import BadImage, ProviderRejected, ProviderUnreachable, ResultLost, StudioError

LIMIT = 40 * 1024 * 1024
REDIRECTS = 3
CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 20.0  # the longest pause inside one answer
GONE = frozenset({403, 404, 410})  # a presigned address answers 403 once it has expired
PASSING = frozenset({408, 425, 429})
HEADERS = [("User-Agent", "portrait-studio"), ("Accept", "image/*"), ("Accept-Encoding", "identity")]
_CREDENTIALS = re.compile(r"[^/?#]*//[^/?#]*@")  # also an empty name, which a parsed address no longer shows
NAT64 = ipaddress.ip_network("64:ff9b::/96")

Resolve = Callable[[str, int], list[str]]


def resolve(host: str, port: int) -> list[str]:
    """Every address of `host`, in the system's order. Raises OSError where the name is not known."""
    return [str(row[4][0]) for row in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class Downloads:
    """Fetches results. One instance serves every thread; it holds no connection between two calls."""

    def __init__(
        self,
        *,
        deadline: float = 90.0,
        resolve: Resolve = resolve,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """`deadline` is seconds for one fetch, repeats included; the other two are for tests of the wire."""
        self._deadline = deadline
        self._resolve = resolve
        self._ssl = ssl_context or httpx.create_ssl_context()

    def fetch(self, url: str, *, allowed: tuple[str, ...], limit: int = LIMIT) -> bytes:
        """The bytes behind `url`, at most `limit` of them.

        `allowed` holds hosts (`v3.fal.media`) and families of hosts (`*.fal.media`), both only over https on
        its usual port and only on public addresses, or whole origins (`http://127.0.0.1:9000`: the emulator),
        which alone may be plain http or on this machine. `data:` addresses are decoded under the same limit.
        Up to three redirects are followed, each held to the same rules. Up to three attempts, with growing,
        jittered pauses, where a repeat may help.

        Raises ProviderRejected FOREIGN_ADDRESS (nothing was sent), ResultLost (403, 404, 410), BadImage
        IMAGE_TOO_LARGE or NOT_AN_IMAGE (an unreadable `data:` address), ProviderUnreachable (ask again).
        """
        if url[:5].lower() == "data:":
            return _inline(url, limit)
        ends = time.monotonic() + self._deadline
        for attempt in stamina.retry_context(
            on=_Passing, attempts=3, timeout=self._deadline, wait_initial=0.2, wait_max=3.0, wait_jitter=0.3
        ):
            with attempt:
                return self._follow(_Target.read(url, allowed), allowed, limit, ends)
        raise AssertionError("stamina either returns a value or raises")  # pragma: no cover

    def _follow(self, target: _Target, allowed: tuple[str, ...], limit: int, ends: float) -> bytes:
        for _ in range(REDIRECTS + 1):
            answer = self._attempt(target, limit, ends)
            if isinstance(answer, bytes):
                return answer
            target = _Target.read(answer.location, allowed, base=target.url)
        raise _foreign("it was sent on from address to address")

    def _attempt(self, target: _Target, limit: int, ends: float) -> bytes | _SentOn:
        backend = _CheckedNetwork(self._resolve, ends, this_machine=target.this_machine)
        try:
            with httpcore.ConnectionPool(ssl_context=self._ssl, network_backend=backend, retries=0) as pool:
                return _get(pool, target.url, limit)
        except StudioError:
            raise
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, OSError) as exc:
            raise _Passing("The finished picture could not be downloaded: the connection broke.") from exc


class _Passing(ProviderUnreachable):
    """A failure that a repeat may mend."""


@dataclass(frozen=True)
class _SentOn:
    """An answer that names another address."""

    location: str


@dataclass(frozen=True, kw_only=True)
class _Target:
    """An address that may be asked; `this_machine`: it may be plain http and on loopback."""

    url: httpx.URL
    this_machine: bool

    @classmethod
    def read(cls, text: str, allowed: tuple[str, ...], *, base: httpx.URL | None = None) -> _Target:
        """Raises ProviderRejected FOREIGN_ADDRESS where no entry of `allowed` names the address."""
        if "\\" in text:  # a slash to some readers and a letter to others
            raise _foreign("it is no web address")
        try:
            url = base.join(text) if base else httpx.URL(text)
        except (httpx.InvalidURL, ValueError) as exc:
            raise _foreign("it is no web address") from exc
        if url.userinfo or _CREDENTIALS.match(text):
            raise _foreign("it carries a name or password")
        if any(_is_origin(entry) and _origin(url) == _origin(httpx.URL(entry)) for entry in allowed):
            return cls(url=url, this_machine=True)
        if url.scheme != "https" or url.port is not None:
            raise _foreign("only https on its usual port is fetched")
        if not any(_names(entry, _host(url)) for entry in allowed if not _is_origin(entry)):
            raise _foreign("its host is not one the provider's results come from")
        return cls(url=url, this_machine=False)


def _is_origin(entry: str) -> bool:
    return "://" in entry


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, _host(url), url.port or (443 if url.scheme == "https" else 80)


def _host(url: httpx.URL) -> str:
    return url.raw_host.decode("ascii").lower()


def _names(entry: str, host: str) -> bool:
    if entry.startswith("*."):
        return host.endswith(entry[1:].lower()) and len(host) > len(entry) - 1
    return host == entry.lower()


class _CheckedNetwork(httpcore.NetworkBackend):
    """Connects only to addresses it has looked at, and lets nothing last beyond `ends` (time.monotonic())."""

    def __init__(self, resolve: Resolve, ends: float, *, this_machine: bool) -> None:
        self._resolve = resolve
        self._ends = ends
        self._this_machine = this_machine
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Resolve `host` once, look at every address, connect to the first that answers."""
        failure: Exception = httpcore.ConnectError("the name has no address")
        for address in self._checked(host, port):
            try:
                stream = self._plain.connect_tcp(
                    address, port, time_left(self._ends, timeout), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
                failure = exc
            else:
                return TimedStream(stream, self._ends)
        raise failure

    def _checked(self, host: str, port: int) -> list[str]:
        try:
            addresses = self._resolve(host, port)
        except OSError as exc:
            raise httpcore.ConnectError("the name is not known") from exc
        if not all(may_connect(address, this_machine=self._this_machine) for address in addresses):
            raise _foreign("it leads into a private network")
        return addresses


def may_connect(address: str, *, this_machine: bool = False) -> bool:
    """Whether an IP address is public; with `this_machine` also where it is loopback.

    Looks through IPv4 inside IPv6 (mapped, NAT64); tunnels (6to4, Teredo), the old site-local addresses and what is
    no address at all are refused.
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.sixtofour is not None or ip.teredo is not None or ip.is_site_local:
            return False
        ip = ip.ipv4_mapped or (ipaddress.IPv4Address(ip.packed[-4:]) if ip in NAT64 else ip)
    if ip.is_loopback:
        return this_machine
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_link_local)


class TimedStream(httpcore.NetworkStream):
    """A connection whose every wait ends at `ends`: a server that drips one byte at a time gains nothing."""

    def __init__(self, stream: httpcore.NetworkStream, ends: float) -> None:
        self._stream = stream
        self._ends = ends

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """At most `max_bytes`, within the time that is left."""
        return self._stream.read(max_bytes, time_left(self._ends, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """All of `buffer`, within the time that is left."""
        self._stream.write(buffer, time_left(self._ends, timeout))

    def close(self) -> None:
        """End the connection."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """The same over TLS, within the same time."""
        inner = self._stream.start_tls(ssl_context, server_hostname, time_left(self._ends, timeout))
        return TimedStream(inner, self._ends)

    def get_extra_info(self, info: str) -> Any:
        """As the connection below says."""
        return self._stream.get_extra_info(info)


def time_left(ends: float, timeout: float | None) -> float:
    """Seconds until `ends` (time.monotonic()), at most `timeout`. Raises httpcore.ReadTimeout where none is left."""
    left = ends - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the deadline has passed")
    return left if timeout is None else min(left, timeout)


def _get(pool: httpcore.ConnectionPool, url: httpx.URL, limit: int) -> bytes | _SentOn:
    core_url = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    waits = {"connect": CONNECT_SECONDS, "read": SILENCE_SECONDS, "write": SILENCE_SECONDS}
    with pool.stream("GET", core_url, headers=HEADERS, extensions={"timeout": waits}) as answer:
        headers = {name.lower(): value for name, value in answer.headers}
        if answer.status in {301, 302, 303, 307, 308} and b"location" in headers:
            return _SentOn(headers[b"location"].decode("latin-1"))
        _refuse_status(answer.status)
        return _body(answer, headers.get(b"content-length", b""), limit)


def _refuse_status(status: int) -> None:
    if status == 200:  # noqa: PLR2004 -- the one status that brings a whole picture
        return
    if status in GONE:
        raise ResultLost(
            f"The provider no longer has the finished picture (HTTP {status}). Ask for a new one."
        )
    sentence = f"The provider's file server answered HTTP {status} instead of the picture."
    raise _Passing(sentence) if status in PASSING or status >= 500 else ProviderUnreachable(sentence)  # noqa: PLR2004


def _body(answer: httpcore.Response, announced: bytes, limit: int) -> bytes:
    """The whole body; one shorter than announced breaks in httpcore, one longer is cut there."""
    if announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    for part in answer.iter_stream():
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
    return b"".join(parts)


def _inline(url: str, limit: int) -> bytes:
    head, comma, body = url.partition(",")
    coded = head.lower().endswith(";base64")
    if not comma:
        raise BadImage(
            "The provider sent a picture inside its answer that can't be read.", code="NOT_AN_IMAGE"
        )
    if len(body) > limit * 4:  # neither spelling is longer, percent signs included
        raise _too_large(limit)
    try:
        data = unquote_to_bytes(body)
        data = base64.b64decode(data, validate=True) if coded else data
    except (binascii.Error, ValueError) as exc:
        raise BadImage(
            "The provider sent a picture inside its answer that can't be read.", code="NOT_AN_IMAGE"
        ) from exc
    if len(data) > limit:
        raise _too_large(limit)
    return data


def _too_large(limit: int) -> BadImage:
    return BadImage(
        f"The provider's file is larger than the {limit // 1024 // 1024} MB we take.", code="IMAGE_TOO_LARGE"
    )


def _foreign(why: str) -> ProviderRejected:
    return ProviderRejected(
        f"The provider named an address for its picture that we don't fetch from: {why}. "
        "Nothing was sent there; an admin should look at the provider's settings.",
        code="FOREIGN_ADDRESS",
        billed=True,
    )
