"""The one way a notice leaves: a POST of JSON to the address an operator has set.

The address comes from this deployment's settings, not from a row, so an internal receiver is allowed, over https. What
could still be turned against us is not: the name is resolved once and the connection goes to an address that was
looked at; link-local, multicast and reserved addresses (a cloud's metadata service) are never asked; plain http only
on this machine; no redirect is followed, because it would carry the news elsewhere; no proxy is asked, nothing of the
answer is kept but its status, and everything ends after ten seconds. The address may hold a secret: no error names it.
"""

from __future__ import annotations

import ipaddress
import json
import ssl
import time
from collections.abc import Iterable, Mapping
from typing import Any

import httpcore
import httpx

from core.downloads import NAT64, Resolve, TimedStream, resolve, time_left
from core.errors import ProviderUnreachable, SetupFailed

SECONDS = 10.0
_FINE = range(200, 300)
_ELSEWHERE = range(300, 400)


class Refused(ProviderUnreachable):
    """The receiver did not take the news; the sentence says what it did instead."""

    code = "NOT_TAKEN"


def check(address: str) -> httpx.URL:
    """The address as it may be asked. Raises SetupFailed, in words without the address."""
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL as exc:
        raise SetupFailed("NOTIFY_WEBHOOK_URL is no web address.") from exc
    if url.userinfo:
        raise SetupFailed("NOTIFY_WEBHOOK_URL carries a name or password; use an address without them.")
    if url.scheme not in {"https", "http"} or not url.host:
        raise SetupFailed("NOTIFY_WEBHOOK_URL is an https address (http only on this machine).")
    return url


def post(
    address: str,
    body: Mapping[str, object],
    *,
    seconds: float = SECONDS,
    find: Resolve = resolve,
    tls: ssl.SSLContext | None = None,
) -> str:
    """Send `body` once; what the receiver answered, in words. Raises Refused, SetupFailed.

    `find` and `tls` are for tests of the wire.
    """
    url = check(address)
    backend = _Network(find, time.monotonic() + seconds, plain=url.scheme == "http")
    content = json.dumps(body, ensure_ascii=False).encode()
    target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    headers = [
        ("Content-Type", "application/json; charset=utf-8"),
        ("User-Agent", "portrait-studio"),
        ("Content-Length", str(len(content))),
    ]
    try:
        with (
            httpcore.ConnectionPool(
                ssl_context=tls or httpx.create_ssl_context(), network_backend=backend, retries=0
            ) as pool,
            pool.stream("POST", target, headers=headers, content=content) as answer,
        ):
            return _judged(answer.status)
    except httpcore.TimeoutException:
        raise Refused(f"It did not answer within {seconds:.0f} s.") from None
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError):
        raise Refused("It could not be reached.") from None


def _judged(status: int) -> str:
    if status in _FINE:
        return f"Taken (HTTP {status})."
    if status in _ELSEWHERE:
        raise Refused(
            f"It answered HTTP {status} and sent us on to another address, which is not followed. Set the final one."
        )
    raise Refused(f"It answered HTTP {status}.")


class _Network(httpcore.NetworkBackend):
    """Connects only to addresses it has looked at; nothing lasts beyond `ends` (time.monotonic())."""

    def __init__(self, find: Resolve, ends: float, *, plain: bool) -> None:
        self._find = find
        self._ends = ends
        self._is_plain = plain
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Resolve `host` once, look at every address, connect to the first that answers."""
        addresses = self._find(host, port)
        if not addresses or not all(may_tell(one, plain=self._is_plain) for one in addresses):
            raise Refused("Its address leads where news is never sent; look at NOTIFY_WEBHOOK_URL.")
        failure: Exception = httpcore.ConnectError("no address")
        for address in addresses:
            try:
                left = time_left(self._ends, timeout)
                stream = self._sockets.connect_tcp(address, port, left, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
                failure = exc
            else:
                return TimedStream(stream, self._ends)
        raise failure


def may_tell(address: str, *, plain: bool) -> bool:
    """Whether news may go to an IP address: this machine by http or https, everything else by https only, and what is
    link-local, multicast, reserved or no address of a host never.
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
        return True
    if ip.is_link_local or ip.is_multicast or ip.is_reserved or ip.is_unspecified:
        return False
    return not plain
