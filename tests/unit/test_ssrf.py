"""Addresses that would lead a download into our own network, or anywhere it was not meant to go: all refused.

Everything is tried against real sockets on loopback and, where names are asked, a name server of this test: the
figures stand at the end of the run.
"""

from __future__ import annotations

import gzip
import socket
import ssl
import struct
import threading
import time
import zlib
from contextlib import contextmanager

import pytest
import stamina

from core.downloads import Downloads, may_connect
from core.errors import BadImage, ProviderRejected, ProviderUnreachable, StudioError
from tests.unit.test_downloads import moved, reply, serving

SECTION = "addresses a download must refuse (SSRF)"
ALLOWED = ("v3.fal.media", "*.fal.media", "http://127.0.0.1:9000")
PUBLIC = "93.184.216.34"

# Every spelling of an address inside; each is tried as the host of an address and, where it is one, as an answer
# of the name server.
INSIDE = {
    "loopback": ("127.0.0.1", "127.0.0.2", "127.255.255.254", f"0.0.0.{0}", "0.1.2.3"),
    "link-local": ("169.254.169.254", "169.254.0.1", "169.254.170.2"),
    "private": (
        "10.0.0.1",
        "10.255.255.255",
        "172.16.0.1",
        "172.31.255.254",
        "192.168.0.1",
        "192.168.255.254",
    ),
    "shared and special": (
        *("100.64.0.1", "100.127.255.254", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1"),
        *("203.0.113.9", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
    ),
    "IPv6": (
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fe80::1%25lo", "fc00::1", "fd00::1", "fd12:3456:789a::1"),
        *("ff02::1", "fec0::1", "2001:db8::1", "100::1"),
    ),
    "IPv4 inside IPv6": (
        *("::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "::127.0.0.1"),
        *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1", "2002:7f00:1::", "2002:a9fe:a9fe::1"),
        *("2001:0:4136:e378:8000:63bf:3fff:fdd2",),
    ),
}
NOT_AN_ADDRESS_TO_PYTHON = {
    "decimal": ("2130706433", "2852039166", "167772161"),
    "octal": ("0177.0.0.1", "0251.0376.0251.0376", "00000177.1", "0177.1"),
    "hexadecimal": ("0x7f000001", "0x7f.0.0.1", "0xa9fea9fe", "0x7F.1"),
    "short": ("127.1", "127.0.1", "10.1", "0"),
    "wide digits": ("①②⑦.⓪.⓪.①", "１２７.0.0.1", "127。0。0。1"),
}
HOSTS = {
    "a host that ends alike": (
        *("evilfal.media", "v3.fal.media.evil.example", "fal.media.evil.example", "xv3.fal.media.example"),
        *("fal-media.example", "v3-fal.media", "fal.media", "v3.fal.medi", "v3.fal.mediaa"),
    ),
    "a trailing dot": ("v3.fal.media.", "v3.fal.media..", "127.0.0.1.", "localhost."),
    "lookalikes": (
        "v3.fаl.media",
        "v3.fal.mediа",
        "v3.ƒal.media",
        "xn--v3-fal-media.example",
        "v3。fal。media.evil.example",
    ),
    "names of this machine": (
        "localhost",
        "localhost.localdomain",
        "ip6-localhost",
        "metadata.google.internal",
        "instance-data",
    ),
}
WHOLE = {
    "credentials": (
        *("https://key@v3.fal.media/a", "https://key:secret@v3.fal.media/a", "https://@v3.fal.media/a"),
        *("https://v3.fal.media@evil.example/a", "https://:x@v3.fal.media/a", "http://u@127.0.0.1:9000/a"),
        "https://v3.fal.media%40evil.example/a",
    ),
    "other schemes": (
        *(
            "http://v3.fal.media/a",
            "file:///etc/passwd",
            "file://v3.fal.media/etc/passwd",
            "ftp://v3.fal.media/a",
        ),
        *(
            "gopher://v3.fal.media/1",
            "dict://v3.fal.media:11211/",
            "ldap://v3.fal.media/",
            "javascript:alert(1)",
        ),
        *(
            "jar:https://v3.fal.media/a!/b",
            "blob:https://v3.fal.media/1",
            "ws://v3.fal.media/",
            "about:blank",
            "unix:///var/run/docker.sock",
        ),
    ),
    "backslashes and line ends": (
        *(
            "https:\\\\v3.fal.media\\a",
            "https://evil.example\\@v3.fal.media/a",
            "https://v3.fal.media\\.evil.example/a",
        ),
        *(
            "https://v3.fal.media\r\nHost: evil.example/a",
            "https://v3.fal.media/a\r\nX-Injected: 1",
            "https://v3.fal.media\t.evil.example/",
        ),
        *(
            "https://v3.fal.media/\x00a",
            " https://v3.fal.media/a",
            "https://v3.fal.media /a",
            "https:///v3.fal.media/a",
        ),
    ),
    "odd ports": (
        *(
            "https://v3.fal.media:22/a",
            "https://v3.fal.media:8443/a",
            "https://v3.fal.media:0/a",
            "https://v3.fal.media:65536/a",
        ),
        *(
            "https://v3.fal.media:-1/a",
            "https://v3.fal.media:port/a",
            "http://127.0.0.1:9001/a",
            "https://127.0.0.1:9000/a",
            "http://127.0.0.1/a",
        ),
    ),
    "no address at all": (
        "",
        "https://",
        "//v3.fal.media/a",
        "v3.fal.media/a",
        "https:v3.fal.media/a",
        "https://[",
        "https://]/",
        "/a",
        "?",
    ),
}


def of_hosts(hosts):
    return [f"https://{_bracketed(host)}/a.png" for host in hosts] + [
        f"http://{_bracketed(host)}/a.png" for host in hosts
    ]


def _bracketed(host):
    return f"[{host}]" if ":" in host else host


ADDRESSES = {
    **{
        f"{kind}, written out": of_hosts(hosts)
        for kind, hosts in (INSIDE | NOT_AN_ADDRESS_TO_PYTHON | HOSTS).items()
    },
    **WHOLE,
}


TRUST = ssl.create_default_context()  # read once: it costs more than most refusals


def downloads_of(**options):
    return Downloads(ssl_context=TRUST, **options)


@pytest.fixture(autouse=True)
def _no_pauses():
    with stamina.set_testing(True, attempts=3):
        yield


def count(record_property, name, refused, tried):
    record_property("figure", [SECTION, f"refused {refused:3} of {tried:3}  {name}"])


def is_refused(downloads, url, *, allowed):
    """True where nothing came; the refusal has its code and does not repeat the address."""
    try:
        downloads.fetch(url, allowed=allowed)
    except ProviderRejected as refusal:
        return refusal.reason == "FOREIGN_ADDRESS" and (url == "" or url not in str(refusal) + repr(refusal))
    return False


@pytest.mark.parametrize("kind", ADDRESSES)
def test_an_address_of_this_kind_is_refused_before_a_name_is_asked_or_a_byte_is_sent(kind, record_property):
    asked, passed = [], []
    downloads = downloads_of(resolve=lambda host, _port: asked.append(host) or [PUBLIC])

    for url in ADDRESSES[kind]:
        passed += [] if is_refused(downloads, url, allowed=ALLOWED) else [url]

    count(record_property, kind, len(ADDRESSES[kind]) - len(passed), len(ADDRESSES[kind]))
    assert (passed, asked) == ([], [])


# ---- what a name leads to


class NameServer:
    """A name server on loopback: answers each question about a host with the next of its answers, the last for ever."""

    def __init__(self, answers):
        self.answers = answers
        self.questions = 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = self.socket.getsockname()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                question, sender = self.socket.recvfrom(512)
            except OSError:
                return
            if not question:
                return
            given = self.answers[min(self.questions, len(self.answers) - 1)]
            self.questions += 1
            self.socket.sendto(self._answer(question, given), sender)

    @staticmethod
    def _answer(question, addresses):
        end = question.index(b"\0", 12) + 5
        head = question[:2] + struct.pack(">HHHHH", 0x8180, 1, len(addresses), 0, 0)
        found = b"".join(
            b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 0, 4) + socket.inet_aton(address)
            for address in addresses
        )  # a lifetime of 0 s: whoever asks again is told anew
        return head + question[12:end] + found

    def resolve(self, host, _port):
        """Ask over the wire, as the system's resolver would."""
        name = b"".join(bytes([len(part)]) + part.encode() for part in host.split(".")) + b"\0"
        question = b"\x12\x34" + struct.pack(">HHHHH", 0x0100, 1, 0, 0, 0) + name + struct.pack(">HH", 1, 1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(5)
            asking.sendto(question, self.address)
            answer = asking.recv(512)
        many = struct.unpack(">H", answer[6:8])[0]
        return [socket.inet_ntoa(answer[len(answer) - 16 * (many - one) :][12:16]) for one in range(many)]

    def close(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.address)
        self.thread.join(5)
        self.socket.close()


@contextmanager
def naming(*answers):
    server = NameServer(answers)
    try:
        yield server
    finally:
        server.close()


@pytest.mark.parametrize("kind", INSIDE)
def test_a_name_that_leads_inside_is_not_followed_alone_nor_among_public_ones(kind, record_property):
    passed = []
    cases = [
        answers
        for one in INSIDE[kind]
        for answers in ([one], [PUBLIC, one], [one, PUBLIC], [PUBLIC, PUBLIC, one])
    ]

    for answers in cases:
        downloads = downloads_of(resolve=lambda _host, _port, found=answers: found)
        if not is_refused(downloads, "https://v3.fal.media/a.png", allowed=ALLOWED):
            passed.append(answers)

    count(record_property, f"{kind}, as a name's answer", len(cases) - len(passed), len(cases))
    assert passed == []
    assert not any(may_connect(one) for one in INSIDE[kind])


def test_a_name_that_changes_its_answer_is_asked_once_and_the_connection_goes_where_it_was_looked_at(
    record_property,
):
    with naming(["127.0.0.1"], ["127.0.0.9"]) as names, serving(reply()) as server:
        origin = f"http://media.rebinding.test:{server.port}"

        data = downloads_of(resolve=names.resolve, deadline=5).fetch(f"{origin}/a.png", allowed=(origin,))

    assert data
    assert names.questions == 1
    assert [head.split(b"\r\n")[0] for head in server.asked] == [b"GET /a.png HTTP/1.1"]
    record_property("figure", [SECTION, "kept to the address that was looked at: 1 question, 1 connection"])


def test_a_name_that_turns_private_at_the_second_question_is_refused_then(record_property):
    """A repeat asks again, and looks again."""
    with naming(["127.0.0.1"], ["10.0.0.1"]) as names, serving(reply(b"", "503 Busy")) as server:
        origin = f"http://media.rebinding.test:{server.port}"

        with pytest.raises(ProviderRejected):
            downloads_of(resolve=names.resolve, deadline=5).fetch(f"{origin}/a.png", allowed=(origin,))

    assert (names.questions, len(server.asked)) == (2, 1)
    count(record_property, "a name that changes between two attempts", 1, 1)


def test_an_answer_that_is_no_address_is_refused(record_property):
    cases = (["not an address"], ["127.0.0.1\n"], ["2130706433"], [""], ["0x7f.1"])

    for answers in cases:
        with pytest.raises(StudioError):
            downloads_of(resolve=lambda _host, _port, found=answers: found).fetch(
                "https://v3.fal.media/a.png", allowed=ALLOWED
            )

    count(record_property, "a name's answer that is no address", len(cases), len(cases))


# ---- redirects


LOCATIONS = (
    *(
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.1:22/",
        "http://[::1]/",
        "http://10.0.0.1/",
        "https://192.168.0.1/",
    ),
    *(
        "//169.254.169.254/",
        "http://localhost/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "https://evilfal.media/a",
    ),
    *(
        "file:///etc/passwd",
        "ftp://v3.fal.media/a",
        "gopher://127.0.0.1:6379/_INFO",
        "data:image/png;base64,AAAA",
        "javascript:1",
    ),
    *(
        "http://v3.fal.media/a",
        "https://key@v3.fal.media/a",
        "https://v3.fal.media:8443/a",
        "\\\\127.0.0.1\\a",
        "https://v3.fal.media./a",
    ),
)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 Kept", "308 Kept"])
def test_a_redirect_out_of_the_allowed_places_is_refused(status, record_property):
    passed = []

    for location in LOCATIONS:
        with serving(reply(b"", status, extra=f"Location: {location}\r\n"), reply()) as server:
            allowed = (server.origin, "v3.fal.media")
            if not is_refused(downloads_of(deadline=5), f"{server.origin}/a", allowed=allowed):
                passed.append(location)
            assert len(server.asked) == 1

    count(record_property, f"redirects with {status[:3]}", len(LOCATIONS) - len(passed), len(LOCATIONS))
    assert passed == []


def test_a_redirect_to_another_allowed_name_is_looked_at_like_the_first(record_property):
    with serving(reply()) as other, naming(["10.0.0.1"]) as names:
        inside = f"http://inside.test:{other.port}"
        with serving(moved(f"{inside}/b")) as first, pytest.raises(ProviderRejected):
            downloads_of(
                resolve=lambda host, port: [host] if host == "127.0.0.1" else names.resolve(host, port),
                deadline=5,
            ).fetch(f"{first.origin}/a", allowed=(first.origin, inside))

    assert (len(first.asked), other.asked) == (1, [])
    count(record_property, "a redirect to an allowed name that leads inside", 1, 1)


def test_chains_and_loops_of_redirects_end(record_property):
    chain = [moved(f"/{step}") for step in range(10)]

    for scripts in (chain, [moved("/a")], [moved("/b"), moved("/a")]):
        with serving(*scripts) as server, pytest.raises(ProviderRejected):
            downloads_of(deadline=5).fetch(f"{server.origin}/a", allowed=(server.origin,))
        assert len(server.asked) == 4

    count(record_property, "chains and loops of redirects", 3, 3)


# ---- bodies


def _drip():
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
    while True:
        time.sleep(0.05)
        yield b"x"


def _endless_chunks():
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"10000\r\n" + bytes(65536) + b"\r\n"


BOMB = gzip.compress(bytes(50_000_000))
BODIES = {
    "announced too large": (reply(b"x", length=2_000_000), BadImage),
    "larger than announced as small": (b"HTTP/1.1 200 OK\r\n\r\n" + bytes(1_000_001), BadImage),
    "chunks without an end": (_endless_chunks, BadImage),
    "a length that lies, cut short": (reply(b"x" * 10, length=1000), ProviderUnreachable),
    "two lengths": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 300\r\n\r\nabc",
        ProviderUnreachable,
    ),
    "a length below nothing": (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nabc", ProviderUnreachable),
    "a slow drip": (_drip, ProviderUnreachable),
    "a head without an end": (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000, ProviderUnreachable),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_hostile_body_is_not_taken(name, record_property):
    script, expected = BODIES[name]
    begun = time.monotonic()

    with serving(script) as server, pytest.raises(expected):
        downloads_of(deadline=2).fetch(f"{server.origin}/a", allowed=(server.origin,), limit=1_000_000)

    assert time.monotonic() - begun < 10
    count(record_property, f"body: {name}", 1, 1)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip"])
def test_a_compressed_bomb_is_never_blown_up(coding, record_property):
    """Nobody asked for a coding, so what comes is kept as it came: a few bytes that are no picture."""
    body = zlib.compress(bytes(50_000_000)) if coding == "deflate" else BOMB

    with serving(reply(body, extra=f"Content-Encoding: {coding}\r\n")) as server:
        data = downloads_of(deadline=5).fetch(f"{server.origin}/a", allowed=(server.origin,), limit=1_000_000)

    assert data == body
    assert b"accept-encoding: identity" in server.asked[0].lower()
    record_property("figure", [SECTION, f"left packed ({len(body)} of 50,000,000 bytes)  {coding}"])
