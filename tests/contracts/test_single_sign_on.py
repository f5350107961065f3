"""Single sign-on from button to session: only the browser that began comes in, once, with its own way back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from core import sessions
from core.identity.oidc import open_oidc
from core.services import open_tokens
from tests.contracts.test_sessions import due, rows, say
from tests.fix_services import Build
from tests.supabase.fix_sign_in import House, housed
from tests.supabase.oidc_double import CLIENT, CLIENT_SECRET, OidcDouble


@pytest.fixture
def provider() -> Iterator[OidcDouble]:
    with OidcDouble() as double:
        double.person("edda", "edda@team.example", roles=["editor"])
        yield double


@pytest.fixture
def house(build: Build, provider: OidcDouble) -> Iterator[House]:
    plain = build(oidc_issuer=provider.url, oidc_client_id=CLIENT, oidc_client_secret=CLIENT_SECRET)
    with contextlib.ExitStack() as stack:
        oidc, tokens = open_oidc(plain.settings, plain.db), open_tokens(plain.settings)
        for one in (oidc, tokens):
            stack.callback(one.close)
        yield stack.enter_context(housed(replace(plain, oidc=oidc, tokens=tokens)))


def come_back(browser: httpx.Client, provider: OidcDouble, wanted: str = "/studio/library") -> dict[str, str]:
    """Press the button, sign in there; what the provider sends the browser back with."""
    sent = browser.get("/sign-in/oidc", params={"next": wanted})
    assert sent.status_code == 303
    return provider.come_back(sent.headers["location"])


def is_in(browser: httpx.Client) -> bool:
    return browser.get("/account").status_code == 200


def test_somebody_comes_in_and_is_led_to_where_they_wanted_to_go(house: House, provider):
    browser = house.browser()

    answer = browser.get("/sign-in/oidc/callback", params=come_back(browser, provider))

    assert (answer.status_code, answer.headers["location"]) == (303, "/studio/library")
    said = browser.get("/account").json()
    assert (said["name"], said["roles"]) == ("Edda", ["editor"])


def test_who_is_signed_out_everywhere_on_the_way_back_is_not_let_in(house: House, provider, monkeypatch):
    """As an admin does with a ban, between the provider's answer and the session."""
    browser, again = house.browser(), house.browser()
    browser.get("/sign-in/oidc/callback", params=come_back(browser, provider))
    who = sessions.person_of(browser.cookies[sessions.COOKIE], house.services).id
    oidc = house.services.oidc
    finish = oidc.finish

    def finish_and_end(*given):
        tokens = finish(*given)
        sessions.end_all(who, house.services)
        return tokens

    monkeypatch.setattr(oidc, "finish", finish_and_end)
    answer = again.get("/sign-in/oidc/callback", params=come_back(again, provider))

    assert answer.status_code == 409
    assert "signed out everywhere" in answer.text
    assert not is_in(again)
    assert not is_in(browser)


def test_the_sign_in_offers_single_sign_on_alone(house: House):
    page = house.browser().get("/sign-in", params={"next": "/studio/create"}).text

    assert "href='/sign-in/oidc?next=%2Fstudio%2Fcreate'" in page
    assert "Password" not in page


def test_a_way_back_that_another_browser_began_leads_nowhere(house: House, provider):
    browser, victim = house.browser(), house.browser()
    theirs = come_back(browser, provider)

    for wrong in (
        theirs,
        {**theirs, "state": ""},
        {**theirs, "state": "x"},
        {"code": "x"},
        {"error": "access_denied"},
        {},
    ):
        assert victim.get("/sign-in/oidc/callback", params=wrong).status_code == 403
    come_back(victim, provider)  # has begun one of its own
    assert victim.get("/sign-in/oidc/callback", params=theirs).status_code == 403

    assert not is_in(victim)
    assert provider.counts["/token"] == 0
    assert rows(house.services, "SELECT id FROM studio.sessions") == []


def test_a_code_counts_once_and_its_cookie_is_gone(house: House, provider):
    browser = house.browser()
    back = come_back(browser, provider)
    kept = {"Cookie": f"studio_oidc={browser.cookies['studio_oidc']}"}
    browser.get("/sign-in/oidc/callback", params=back)

    again = house.browser().get("/sign-in/oidc/callback", params=back, headers=kept)

    assert "studio_oidc" not in browser.cookies
    assert again.status_code in {401, 403, 503}
    assert len(rows(house.services, "SELECT id FROM studio.sessions")) == 1


def test_what_waits_for_the_way_back_is_sealed(house: House, provider):
    browser = house.browser()
    sent = browser.get("/sign-in/oidc")
    state = httpx.URL(sent.headers["location"]).params["state"]
    kept = browser.cookies["studio_oidc"]

    assert state not in kept
    browser.cookies.set(
        "studio_oidc",
        kept[:-4] + ("AAAA" if not kept.endswith("AAAA") else "BBBB"),
        domain="127.0.0.1",
        path="/",
    )
    assert browser.get("/sign-in/oidc/callback", params={"code": "x", "state": state}).status_code == 403


def test_nobody_is_led_away_from_here(house: House, provider):
    browser = house.browser()

    answer = browser.get("/sign-in/oidc/callback", params=come_back(browser, provider, "//evil.example"))

    assert answer.headers["location"] == "/"


def test_who_has_no_role_and_whose_address_is_not_verified_are_told(house: House, provider):
    provider.person("cleo", "cleo@customers.example", roles=[])
    without_role = house.browser()
    said = without_role.get("/sign-in/oidc/callback", params=come_back(without_role, provider))
    provider.person("mallory", "mallory@team.example", roles=["admin"], email_verified=False)
    unverified = house.browser()
    refused = unverified.get("/sign-in/oidc/callback", params=come_back(unverified, provider))

    assert (said.status_code, "Ask an admin" in said.text) == (403, True)
    assert refused.status_code == 403
    assert not is_in(without_role)
    assert not is_in(unverified)


def test_a_provider_that_is_away_is_said(house: House, provider):
    provider.breaks("*", count=3)

    answer = house.browser().get("/sign-in/oidc")

    assert answer.status_code == 503
    assert "role='alert'" in answer.text


def test_its_tokens_are_refreshed_and_taken_back_like_any(house: House, provider):
    browser = house.browser()
    browser.get("/sign-in/oidc/callback", params=come_back(browser, provider))
    provider.people["edda"]["roles"] = ["qa"]
    due(house.services)

    assert browser.get("/account").json()["roles"] == ["qa"]
    sessions.end(browser.cookies["studio_session"], house.services)
    assert not is_in(browser)
    assert provider.revoked != []


def test_without_offline_access_a_session_lasts_a_days_work(house: House, provider):
    provider.scopes = ("openid", "email", "profile")
    browser = house.browser()
    browser.get("/sign-in/oidc/callback", params=come_back(browser, provider))
    say(house.services, "UPDATE studio.sessions SET access_ends_at = now() - interval '5 hours'")

    assert is_in(browser)
    [row] = rows(
        house.services, "SELECT ends_at <= created_at + interval '12 hours' AS is_short FROM studio.sessions"
    )
    assert row["is_short"]
