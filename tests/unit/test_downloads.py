"""Downloads over a real connection on loopback: what is fetched, what is refused before anything is sent."""

import base64
import datetime as dt
import ipaddress
import socket
import ssl
import threading
import time
from contextlib import contextmanager

import pytest
import stamina
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from core.downloads import Downloads, may_connect
from core.errors import BadImage, ProviderRejected, ProviderUnreachable, ResultLost

BYTES = bytes(range(256)) * 40


def reply(
    body: bytes = BYTES, status: str = "200 OK", *, length: int | None = None, extra: str = ""
) -> bytes:
    announced = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {announced}\r\n{extra}\r\n".encode() + body


class Server:
    """Answers each connection with the next script, the last one for ever; notes what it was sent."""

    def __init__(self, *scripts, tls: ssl.SSLContext | None = None):
        self.scripts = scripts
        self.tls = tls
        self.asked: list[bytes] = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.origin = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection):
        try:
            wire = self.tls.wrap_socket(connection, server_side=True) if self.tls else connection
            with wire:
                self.asked.append(wire.recv(65536))
                script = self.scripts[min(len(self.asked), len(self.scripts)) - 1]
                for part in [script] if isinstance(script, bytes) else script():
                    wire.sendall(part)
        except OSError:
            connection.close()


@contextmanager
def serving(*scripts, tls=None):
    server = Server(*scripts, tls=tls)
    try:
        yield server
    finally:
        server.socket.shutdown(socket.SHUT_RDWR)  # a closed socket alone would still take one connection
        server.socket.close()


@pytest.fixture(autouse=True)
def _no_pauses():
    with stamina.set_testing(True, attempts=3):  # three attempts as in production, without the waiting
        yield


def fetch(server, path="/a.png", **options):
    return Downloads(deadline=5).fetch(server.origin + path, allowed=(server.origin,), **options)


def test_a_file_of_an_allowed_origin_arrives_whole_and_no_credentials_leave():
    with serving(reply()) as server:
        data = fetch(server, "/files/a.png?sig=1%2F2")

    assert data == BYTES
    head = server.asked[0].decode().lower()
    assert head.startswith("get /files/a.png?sig=1%2f2 http/1.1")
    assert "authorization" not in head
    assert "cookie" not in head
    assert "referer" not in head


@pytest.mark.parametrize(
    "url",
    [
        "http://v3.fal.media/a.png",
        "https://evil.example/a.png",
        "https://v3.fal.media.evil.example/a.png",
        "https://evilfal.media/a.png",
        "https://fal.media/a.png",
        "https://v3.fal.media:8443/a.png",
        "https://key@v3.fal.media/a.png",
        "https://v3.fal.media@evil.example/a.png",
        "https://evil.example\\@v3.fal.media/a.png",
        "https://127.0.0.1/a.png",
        "https://[::1]/a.png",
        "http://169.254.169.254/latest/meta-data",
        "http://127.0.0.1:9001/a.png",
        "https://127.0.0.1:9000/a.png",
        "http://localhost:9000/a.png",
        "file:///etc/passwd",
        "ftp://v3.fal.media/a.png",
        "//v3.fal.media/a.png",
        "v3.fal.media/a.png",
        "https://",
        "",
        "https://v3.fal.media:99999/a.png",
    ],
)
def test_an_address_outside_the_allowed_ones_is_refused_before_its_name_is_looked_up(url):
    looked_up = []
    downloads = Downloads(resolve=lambda host, _port: looked_up.append(host) or ["93.184.216.34"])

    with pytest.raises(ProviderRejected) as refused:
        downloads.fetch(url, allowed=("v3.fal.media", "*.fal.media", "http://127.0.0.1:9000"))

    assert refused.value.reason == "FOREIGN_ADDRESS"
    assert looked_up == []


FORBIDDEN = [
    "127.0.0.1",
    "127.9.9.9",
    "10.0.0.1",
    "172.16.4.4",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",  # noqa: S104 -- refused here, not listened on
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "192.0.2.1",
    "198.18.0.1",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "2002:7f00:1::",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_a_name_that_leads_into_a_private_network_is_never_connected_to(address):
    downloads = Downloads(resolve=lambda _host, _port: ["93.184.216.34", address])

    with pytest.raises(ProviderRejected) as refused:
        downloads.fetch("https://v3.fal.media/a.png", allowed=("v3.fal.media",))

    assert refused.value.reason == "FOREIGN_ADDRESS"
    assert not may_connect(address)


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:4700::1111", "::ffff:93.184.216.34", "64:ff9b::5db8:d822"]
)
def test_public_addresses_may_be_connected_to(address):
    assert may_connect(address)


def test_an_allowed_origin_may_be_this_machine_but_not_another_private_one():
    downloads = Downloads(resolve=lambda _host, _port: ["10.1.2.3"])

    with pytest.raises(ProviderRejected):
        downloads.fetch("http://emulator.test:9000/a.png", allowed=("http://emulator.test:9000",))

    assert may_connect("127.0.0.1", this_machine=True)
    assert not may_connect("10.1.2.3", this_machine=True)


def test_the_connection_goes_to_the_address_that_was_looked_at_and_the_name_is_asked_once():
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    with serving(reply()) as server:
        origin = f"http://media.rebinding.test:{server.port}"

        data = Downloads(resolve=lambda _host, _port: next(answers)).fetch(
            f"{origin}/a.png", allowed=(origin,)
        )

    assert data == BYTES
    assert f"host: media.rebinding.test:{server.port}" in server.asked[0].decode().lower()
    assert next(answers) == ["10.0.0.1"]  # still unasked


def test_the_next_address_is_tried_where_the_first_does_not_answer():
    with serving(reply()) as server:
        origin = f"http://media.test:{server.port}"

        data = Downloads(resolve=lambda _host, _port: ["127.0.0.2", "127.0.0.1"]).fetch(
            origin, allowed=(origin,)
        )

    assert data == BYTES


@pytest.mark.parametrize("status", ["403 Forbidden", "404 Not Found", "410 Gone"])
def test_a_result_that_is_gone_is_lost_and_not_asked_for_again(status):
    with serving(reply(b"gone", status)) as server, pytest.raises(ResultLost):
        fetch(server)

    assert len(server.asked) == 1


@pytest.mark.parametrize("status", ["429 Slow", "500 Oops", "502 Bad", "503 Busy", "504 Late", "408 Timeout"])
def test_a_passing_failure_is_asked_again_until_it_works(status):
    with serving(reply(b"", status), reply(b"", status), reply()) as server:
        data = fetch(server)

    assert data == BYTES
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    "script",
    [
        reply(b"", "503 Busy"),
        reply(BYTES[:100], length=len(BYTES)),  # cut short
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\nabc",
        b"not http at all\r\n\r\n",
        b"",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 200_000 + b"\r\n\r\n",
    ],
)
def test_three_attempts_and_then_a_word_that_asking_again_is_safe(script):
    with serving(script) as server, pytest.raises(ProviderUnreachable) as failed:
        fetch(server, "/secret-signature.png")

    assert len(server.asked) == 3
    assert "secret-signature" not in str(failed.value) + repr(failed.value)


def test_other_refusals_are_not_repeated_at_once():
    with serving(reply(b"", "401 Who")) as server, pytest.raises(ProviderUnreachable):
        fetch(server)

    assert len(server.asked) == 1


def test_nobody_listening_is_a_passing_failure():
    with serving(reply()) as server:
        origin = server.origin

    with pytest.raises(ProviderUnreachable):
        Downloads(deadline=5).fetch(f"{origin}/a.png", allowed=(origin,))


def test_a_name_nobody_knows_is_a_passing_failure():
    def unknown(_host, _port):
        raise socket.gaierror("unknown")

    with pytest.raises(ProviderUnreachable):
        Downloads(resolve=unknown).fetch("https://v3.fal.media/a.png", allowed=("v3.fal.media",))


def endless():
    yield b"HTTP/1.1 200 OK\r\n\r\n"
    while True:
        yield bytes(65536)


@pytest.mark.parametrize(
    "script",
    [reply(b"", length=5000), reply(bytes(1001)), endless],
    ids=["announced", "sent", "never ending"],
)
def test_more_than_the_limit_is_refused_while_it_comes(script):
    with serving(script) as server, pytest.raises(BadImage) as refused:
        fetch(server, limit=1000)

    assert refused.value.reason == "IMAGE_TOO_LARGE"
    assert len(server.asked) == 1


def test_exactly_the_limit_is_taken():
    with serving(reply(bytes(1000))) as server:
        assert fetch(server, limit=1000) == bytes(1000)


def test_bytes_beyond_the_announced_length_are_not_taken():
    with serving(reply(BYTES + b"more", length=len(BYTES))) as server:
        assert fetch(server) == BYTES


def dripping_head():
    yield b"HTTP/1.1 200 OK\r\nX: "
    while True:
        time.sleep(0.05)
        yield b"y"


def dripping_body():
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    while True:
        time.sleep(0.05)
        yield b"y"


SILENT = 30  # seconds


def silence():
    time.sleep(SILENT)
    yield b""


@pytest.mark.parametrize("script", [dripping_head, dripping_body, silence])
def test_the_deadline_holds_however_slowly_bytes_drip(script):
    with serving(script) as server:
        started = time.monotonic()

        with pytest.raises(ProviderUnreachable):
            Downloads(deadline=0.4).fetch(f"{server.origin}/a.png", allowed=(server.origin,))

    assert time.monotonic() - started < SILENT / 2  # far from any drip's end, also on a busy machine


def moved(location: str) -> bytes:
    return reply(b"", "302 Found", extra=f"Location: {location}\r\n")


def test_a_redirect_inside_the_allowed_places_is_followed():
    with serving(moved("/b.png"), reply()) as server:
        data = fetch(server)

    assert data == BYTES
    assert server.asked[1].startswith(b"GET /b.png ")


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:1/x",
        "http://169.254.169.254/",
        "https://evil.example/",
        "file:///etc/passwd",
        "http://[",
        "data:,x",
    ],
)
def test_a_redirect_to_anywhere_else_is_refused(location):
    with serving(moved(location)) as server, pytest.raises(ProviderRejected) as refused:
        fetch(server)

    assert refused.value.reason == "FOREIGN_ADDRESS"
    assert len(server.asked) == 1


def test_redirects_in_a_circle_end_after_three():
    with serving(moved("/a.png")) as server, pytest.raises(ProviderRejected):
        fetch(server)

    assert len(server.asked) == 4


def certificate(tmp_path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Contexts of a server that is `name`, and of a client that trusts only it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = dt.datetime.now(dt.UTC)
    paper = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            ),
            False,
        )
        .sign(key, hashes.SHA256())
    )
    crt, pem = tmp_path / "crt.pem", tmp_path / "key.pem"
    crt.write_bytes(paper.public_bytes(serialization.Encoding.PEM))
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(crt, pem)
    return server, ssl.create_default_context(cafile=str(crt))


def test_over_tls_the_certificate_must_be_the_names_although_the_connection_goes_to_an_address(tmp_path):
    served, trusted = certificate(tmp_path, "media.test")

    with serving(reply(), tls=served) as server:
        good, bad = f"https://media.test:{server.port}", f"https://other.test:{server.port}"
        downloads = Downloads(resolve=lambda _host, _port: ["127.0.0.1"], ssl_context=trusted, deadline=5)

        data = downloads.fetch(f"{good}/a.png", allowed=(good,))
        with pytest.raises(ProviderUnreachable):
            downloads.fetch(f"{bad}/a.png", allowed=(bad,))

    assert data == BYTES
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("data:image/png;base64," + base64.b64encode(BYTES).decode(), BYTES),
        ("DATA:image/png;BASE64," + base64.b64encode(b"abc").decode(), b"abc"),
        ("data:image/png;base64,YWI%3D", b"ab"),
        ("data:,a%20b", b"a b"),
    ],
)
def test_a_picture_inside_the_address_is_decoded(url, expected):
    assert Downloads().fetch(url, allowed=()) == expected


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("data:image/png;base64", "NOT_AN_IMAGE"),
        ("data:image/png;base64,@@@", "NOT_AN_IMAGE"),
        ("data:image/png;base64,YQ", "NOT_AN_IMAGE"),
        ("data:image/png;base64," + base64.b64encode(bytes(1001)).decode(), "IMAGE_TOO_LARGE"),
        ("data:," + "a" * 1001, "IMAGE_TOO_LARGE"),
        ("data:," + "%41" * 5000, "IMAGE_TOO_LARGE"),
    ],
)
def test_a_picture_inside_the_address_is_held_to_the_same_rules(url, code):
    with pytest.raises(BadImage) as refused:
        Downloads().fetch(url, allowed=(), limit=1000)

    assert refused.value.reason == code
