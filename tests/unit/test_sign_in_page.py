"""The way in, without a server: where one may be led, what the page shows of what was typed, and who may listen where."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from starlette.requests import HTTPConnection

from core.api.sign_in import own_path, sign_in_address
from core.api.sign_in_page import (
    HEADERS,
    ForgottenPage,
    NewPasswordPage,
    SignInPage,
    forgotten,
    new_password,
    sign_in,
)
from core.auth import is_own_origin, is_secure, refuse_cross_site
from core.errors import NotAllowed, SetupFailed
from core.guards import refuse_open_door
from core.settings import Settings

ROOT = Path(__file__).parents[2]
HERE = "https://studio.team.example"
PIECES = st.sampled_from(
    ["/", "//", "\\", "%2f", "%5c", "%09", "\t", "\n", "\r", ":", "@", "?", "#", "..", "evil.example", "studio", "é", "%0d%0a", "https:", " "]
)  # fmt: skip


def settings(**values: object) -> Settings:
    return Settings(_env_file=None, **values)


@given(st.lists(PIECES, max_size=8).map("".join) | st.text(max_size=40))
def test_no_address_leads_to_another_site_or_into_a_header(wanted):
    path = own_path(wanted)

    for said in (
        path,
        path.replace("%5C", "\\").replace("%2F", "/").replace("%5c", "\\").replace("%2f", "/"),
    ):
        led = urlsplit(urljoin(f"{HERE}/sign-in", said))
        assert f"{led.scheme}://{led.netloc}" == HERE
    assert path.isascii()
    assert re.search(r"[\x00-\x20\x7f\\]", path) is None


@pytest.mark.parametrize(
    "path", ["/studio/", "/studio/library?q=a%20b&tag=x", "/audit/jobs?status=failed#row-3", "/"]
)
def test_a_path_of_ours_is_kept_as_it_stands(path):
    assert own_path(path) == path


def test_the_sign_in_knows_the_way_back():
    assert (
        sign_in_address("/studio/", "character=1&x=%2F")
        == "/sign-in?next=%2Fstudio%2F%3Fcharacter%3D1%26x%3D%252F"
    )
    assert sign_in_address("//evil.example") == "/sign-in"


NASTY = "'\"><script>alert(1)</script>&\x00\r\n"


def test_what_was_typed_is_shown_as_text_only():
    page = SignInPage(
        form=NASTY, path=NASTY, has_password=True, has_oidc=True, email=NASTY, said=NASTY, is_problem=True
    )

    html = sign_in(page)

    assert "<script>alert" not in html
    assert html.count("&#x27;&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;") == 4
    assert "secret-form" not in repr(
        SignInPage(form="secret-form", path="/", has_password=True, has_oidc=False)
    )


def test_neither_page_of_a_message_shows_what_was_typed_as_more_than_text():
    asked = ForgottenPage(form="f", path=NASTY, email=NASTY, said=NASTY)
    linked = NewPasswordPage(form="f", letter="sealed.of-somebody", email=NASTY, said=NASTY, has_letter=True)

    for html in (forgotten(asked), new_password(linked)):
        assert "<script>alert" not in html
        assert re.findall(r"<script(?! src='/sign-in/files/)| on[a-z]+=| style=", html) == []
    assert "of-somebody" not in repr(linked)


@pytest.mark.parametrize(
    ("letter", "over", "shown"),
    [
        (True, False, {"form", "no-letter", "over"}),
        (False, False, {"form hidden", "noscript", "no-letter", "over"}),  # a script shows one of them
        (False, True, {"another"}),
    ],
)
def test_a_link_that_opens_nothing_shows_the_way_to_another_and_no_fields(letter, over, shown):
    html = new_password(NewPasswordPage(form="f", has_letter=letter, is_over=over, said="Why."))

    found = {
        name
        for name in ("noscript", "no-letter", "over")
        if f"<{name}>" in html or f"id='{name}' hidden" in html
    }
    found |= {"another"} if "Have a new message sent" in html and not found else set()
    if "id='new-password-form'" in html:
        found.add("form hidden" if "Setting it\u2026' hidden>" in html else "form")
    assert found == shown


@pytest.mark.parametrize(("password", "oidc"), [(True, False), (False, True), (True, True)])
def test_only_the_ways_that_are_set_up_are_offered(password, oidc):
    html = sign_in(SignInPage(form="f", path="/studio/?a=b", has_password=password, has_oidc=oidc))

    assert ("id='password'" in html) is password
    assert ("href='/sign-in/forgotten?next=%2Fstudio%2F%3Fa%3Db'" in html) is password
    assert ("href='/sign-in/oidc?next=%2Fstudio%2F%3Fa%3Db'" in html) is oidc
    assert (">or<" in html) is (password and oidc)


def colours(style: str) -> list[dict[str, str]]:
    """Each block's tokens, light first."""
    blocks = re.findall(r"\{([^{}]*--ps-page:[^{}]*)\}", style)
    return [dict(re.findall(r"(--ps-[a-z-]+): ([^;]+);", block)) for block in blocks]


def test_the_palette_is_the_studios():
    of_the_studio = colours((ROOT / "studio/assets/studio.css").read_text())[:2]
    light, dark, by_system = colours((ROOT / "core/api/sign_in_files/sign-in.css").read_text())

    for ours, theirs in zip((light, dark, by_system), (*of_the_studio, of_the_studio[1]), strict=True):
        assert {name: value for name, value in ours.items() if theirs[name] != value} == {}
    assert len(light) > 15


def test_the_page_lets_no_script_but_its_own_file_run():
    policy = dict(part.strip().split(" ", 1) for part in HEADERS["Content-Security-Policy"].split(";"))

    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
    assert (
        re.findall(
            r"<script(?! src='/sign-in/files/)",
            sign_in(SignInPage(form="f", path="/", has_password=True, has_oidc=True)),
        )
        == []
    )


# ---- who is asking ------------------------------------------------------------------------------------------------


def asking(method: str = "POST", scheme: str = "http", **headers: str) -> HTTPConnection:
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    kind = "websocket" if scheme.startswith("ws") else "http"
    return HTTPConnection({"type": kind, "method": method, "scheme": scheme, "path": "/x", "headers": named})


@pytest.mark.parametrize(
    ("scheme", "public", "secure"),
    [
        ("http", None, False),
        ("https", None, True),
        ("wss", None, True),
        ("ws", None, False),
        ("http", "https://x.example", True),
    ],
)
def test_tls_is_known_by_the_scheme_or_by_the_public_address(scheme, public, secure):
    assert is_secure(asking(scheme=scheme), settings(public_url=public)) is secure


@pytest.mark.parametrize(
    ("origin", "scheme", "own"),
    [
        ("http://studio.example", "http", True),
        ("HTTP://STUDIO.EXAMPLE", "http", True),
        ("http://studio.example:81", "http", False),
        ("http://studio.example", "https", False),  # a page that somebody on the line may have written
        ("https://studio.example", "https", True),
        ("https://studio.example.evil.example", "https", False),
        ("null", "https", False),
        ("", "https", False),
        ("https://[", "https", False),
    ],
)
def test_an_origin_is_ours_by_host_and_by_tls(origin, scheme, own):
    assert is_own_origin(origin, asking(scheme=scheme, host="studio.example"), settings()) is own


def test_a_read_may_come_from_anywhere_and_everything_else_from_our_own_pages():
    foreign = {"host": "studio.example", "origin": "http://evil.example"}
    refuse_cross_site(asking("GET", **foreign), settings())
    refuse_cross_site(asking("POST", host="studio.example"), settings())

    for method, scheme in (("POST", "http"), ("DELETE", "http"), ("GET", "ws")):
        with pytest.raises(NotAllowed):
            refuse_cross_site(asking(method, scheme, **foreign), settings())
    for site in ("cross-site", "same-site"):
        with pytest.raises(NotAllowed):
            refuse_cross_site(asking("POST", host="studio.example", sec_fetch_site=site), settings())


# ---- who may listen where -------------------------------------------------------------------------------------------

SUPABASE = {"supabase_url": "http://127.0.0.1:1", "supabase_publishable_key": "sb_publishable_x"}
OIDC = {"oidc_issuer": "https://login.example", "oidc_client_id": "studio"}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "studio.example"])  # noqa: S104
@pytest.mark.parametrize("name", ["STUDIO_HOST", "AUDIT_HOST"])
def test_without_a_sign_in_an_app_does_not_listen_beyond_this_machine(host, name):
    with pytest.raises(SetupFailed) as refused:
        refuse_open_door(settings(), name=name, host=host)

    assert refused.value.sentence.startswith(f"{name} is {host}")
    for words in ("127.0.0.1", "SUPABASE_URL", "OIDC_ISSUER", "ALLOW_NO_SIGN_IN=yes"):
        assert words in refused.value.sentence


@pytest.mark.parametrize("door", [SUPABASE, OIDC, {"allow_no_sign_in": True}])
def test_a_sign_in_is_a_door_and_so_is_a_persons_word(door):
    refuse_open_door(settings(studio_host="0.0.0.0", **door))  # noqa: S104


def test_half_a_sign_in_is_no_door():
    for half in ({"supabase_url": "http://127.0.0.1:1"}, {"oidc_issuer": "https://login.example"}):
        with pytest.raises(SetupFailed):
            refuse_open_door(settings(studio_host="0.0.0.0", **half))  # noqa: S104


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_ones_own_machine_needs_no_door(host):
    refuse_open_door(settings(studio_host=host))


def test_only_proxies_that_are_named_are_believed():
    assert settings(trusted_proxies="172.31.77.2, 10.0.0.0/8,::1").trusted_proxies

    for wrong in ("*", "proxy", "10.0.0.1/8", "10.0.0.0/8,*", "0.0.0"):
        with pytest.raises(ValidationError, match="names addresses or networks"):
            settings(trusted_proxies=wrong)
