"""The first and a forgotten password over HTTP: asking for a message, and what its link opens (decision 0045)."""

from __future__ import annotations

import re
import time
from urllib.parse import urlencode

import httpx
import pytest
from structlog.testing import capture_logs

from core import api
from core.api.sign_in_letters import ANSWERED_AFTER
from core.auth import gate_for
from core.identity.people import open_people
from core.values import Role
from tests import secret_scan
from tests.contracts.test_sessions import rows, say
from tests.contracts.test_sign_in import FOREIGN, is_in
from tests.fix_services import serving
from tests.supabase.auth_double import PASSWORD
from tests.supabase.fix_sign_in import House, form_of, housed

NEW = "seven quiet harbour bells"
PAGE = "/sign-in/password"
PUBLIC = "https://studio.team.example"
secret_scan.mark(NEW, "a password")


@pytest.fixture
def house(team, auth):
    with housed(team()) as opened:
        auth.letters.allowed = (f"{opened.url}{PAGE}",)
        yield opened


@pytest.fixture
def edda(auth):
    return auth.person("edda@team.example", PASSWORD, "editor")


def ask(house: House, browser: httpx.Client, email: str, **more: str) -> httpx.Response:
    """Send the form for a message."""
    form = {"form": form_of(browser.get("/sign-in/forgotten")), "email": email, **more}
    return browser.post("/sign-in/forgotten", data=form)


def follow(auth, browser: httpx.Client, letter) -> httpx.Response:
    """A browser opens the usual letter, and its script puts what stands behind the # into the form."""
    secret_scan.mark(letter.token_hash, "the hash of a link")
    answer = browser.get(letter.usual_link(auth.url))
    assert answer.status_code == 303
    return answer


def token_in(answer: httpx.Response) -> str:
    return re.search(r"[#&]access_token=([^&]+)", answer.headers["location"])[1]


def choose(
    browser: httpx.Client, password: str = NEW, again: str | None = None, **fields: str
) -> httpx.Response:
    """Fill in the page of a link and send it."""
    form = {
        "form": form_of(browser.get(PAGE)),
        "password": password,
        "again": password if again is None else again,
    }
    return browser.post(PAGE, data=form | fields)


def letter_in(page: httpx.Response) -> str:
    """What the page's form brings back of its link."""
    return re.search(r"name='letter' value='(sealed\.[^']+)'", page.text)[1]


def letter_for(auth, house: House, account):
    """A message to somebody, whose link leads to our page."""
    return auth.letters.send(account, "recovery", f"{house.url}{PAGE}")


def noted(house: House) -> list[tuple[str, str, object]]:
    return [
        (one["action"], one["row_id"], one["after"])
        for one in rows(house.services, "SELECT action, row_id, after FROM studio.audit_events ORDER BY id")
    ]


# ---- by the usual letter -----------------------------------------------------------------------------------------


def test_a_forgotten_password_is_chosen_anew_and_every_other_session_ends(house: House, edda, auth):
    elsewhere, browser = house.browser(), house.browser()
    house.sign_in(elsewhere, edda.email)
    ask(house, browser, edda.email.upper())
    [letter] = auth.letters.sent
    planted = {"Cookie": f"studio_session={'P' * 43}"}

    token = token_in(follow(auth, browser, letter))
    with capture_logs() as said:
        answer = choose(browser, letter=token)

    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert is_in(browser)
    assert not is_in(elsewhere)
    assert answer.cookies["studio_session"] not in planted["Cookie"]
    assert house.sign_in(house.browser(), edda.email, NEW).status_code == 303
    assert house.sign_in(house.browser(), edda.email).status_code == 401
    assert noted(house) == [
        ("password_message_asked", edda.id, None),
        ("password_chosen", edda.id, {"sessions_ended": 1}),
    ]
    assert [one for one in (token, NEW, letter.token_hash) if one in f"{said}"] == []
    # what the link brought is over at Auth, too
    assert (
        browser.get(
            f"{auth.url}/auth/v1/user",
            headers={"Authorization": f"Bearer {token}", "apikey": auth.publishable_key},
        ).status_code
        == 403
    )


def test_an_invited_colleague_chooses_their_first_password_and_is_in(team, auth, house: House):
    settings = team(supabase_secret_key=auth.secret_key, public_url=PUBLIC).settings
    auth.letters.allowed = (f"{PUBLIC}{PAGE}",)
    register = open_people(settings, house.services.db)
    invited = register.invite("nils@team.example", [Role.editor])
    again = register.invite("nils@team.example", [Role.editor])
    register.close()
    browser = house.browser()

    [_, letter] = auth.letters.sent
    back = follow(auth, browser, letter)
    answer = choose(browser, letter=token_in(back))

    assert again.person == invited.person
    assert back.headers["location"].startswith(f"{PUBLIC}{PAGE}#")
    assert "type=invite" in back.headers["location"]
    assert answer.status_code == 303
    assert browser.get("/account").json()["roles"] == ["editor"]


def test_a_token_of_any_other_sign_in_changes_no_password(house: House, edda, auth):
    session = auth._begin(edda)
    ordinary = auth.keys[0].sign(auth._claims(edda, session))
    old = auth.token(edda, amr=[{"method": "otp", "timestamp": int(time.time()) - 4000}])
    foreign = auth.token(
        edda, iss="https://evil.example/auth/v1", amr=[{"method": "otp", "timestamp": int(time.time())}]
    )

    answers = [choose(house.browser(), letter=one) for one in (ordinary, old, foreign, "x.y.z", "sealed.xyz")]

    assert [one.status_code for one in answers] == [401] * 5
    assert all("This link was used already, or is too old." in one.text for one in answers)
    assert auth.counts["PUT /user"] == 0
    assert edda.password == PASSWORD


# ---- by a team's own letter --------------------------------------------------------------------------------------


def test_following_a_link_uses_nothing_up_and_leaves_nothing_in_the_address(house: House, edda, auth):
    letter = letter_for(auth, house, edda)
    browser = house.browser()
    auth.counts.clear()

    for _ in range(3):  # scanners of mail follow links
        answer = browser.get(letter.own_link())

    assert (answer.status_code, answer.headers["location"]) == (303, PAGE)
    assert (answer.headers["referrer-policy"], answer.headers["cache-control"]) == ("no-referrer", "no-store")
    assert letter.token_hash not in f"{answer.headers}{answer.text}"
    assert auth.counts == {}
    page = browser.get(PAGE)
    assert letter.token_hash not in page.text
    assert "id='new-password-form'" in page.text
    assert " hidden>" not in page.text.partition("id='new-password-form'")[2].partition("<input")[0]
    assert choose(browser).status_code == 303
    assert is_in(browser)
    assert [name for name in browser.cookies if name == "studio_letter"] == []


def test_a_password_that_cannot_be_one_uses_no_link_up(house: House, edda, auth):
    letter = letter_for(auth, house, edda)
    browser = house.browser()
    browser.get(letter.own_link())

    short, differ, long = choose(browser, "short"), choose(browser, NEW, "another"), choose(browser, "ö" * 37)

    assert [one.status_code for one in (short, differ, long)] == [400] * 3
    assert "at least 8 characters" in short.text
    assert "The two passwords differ." in differ.text
    assert "72 characters" in long.text
    assert NEW not in differ.text
    assert auth.counts["POST /verify"] == 0
    assert choose(browser).status_code == 303


def test_what_auth_does_not_take_is_said_with_the_way_out_and_can_be_tried_again(house: House, edda, auth):
    letter = letter_for(auth, house, edda)
    auth.known_passwords.add("letmein letmein")
    browser = house.browser()
    browser.get(letter.own_link())

    stolen = choose(browser, "letmein letmein")
    kept = letter_in(stolen)
    same = choose(browser, PASSWORD, letter=kept)
    stranger = choose(house.browser(), letter=kept)
    busy = auth.limits("update_user", retry_after=40) or choose(browser, letter=kept)
    away = auth.bad_gateway("update_user") or choose(browser, letter=kept)
    done = choose(browser, letter=kept)

    assert [one.status_code for one in (stolen, same, stranger, busy, away, done)] == [
        400,
        400,
        401,
        429,
        503,
        303,
    ]
    assert "lists of stolen ones" in stolen.text
    assert "That is the password you have." in same.text
    assert f"value='{edda.email}'" in same.text
    assert (busy.headers["retry-after"], "data-wait='40'" in busy.text) == ("40", True)
    assert "your password was not changed" in away.text
    assert auth.counts["POST /verify"] == 1
    assert is_in(browser)


def test_where_the_older_sessions_could_not_be_ended_the_same_password_once_more_ends_them(
    house: House, edda, auth
):
    elsewhere, browser = house.browser(), house.browser()
    house.sign_in(elsewhere, edda.email)
    browser.get(letter_for(auth, house, edda).own_link())
    kept = letter_in(browser.get(PAGE))
    say(house.services, "ALTER TABLE studio.sessions RENAME TO sessions_away")

    half = choose(browser, letter=kept)
    say(house.services, "ALTER TABLE studio.sessions_away RENAME TO sessions")
    done = choose(browser, letter=letter_in(half))

    assert half.status_code >= 500
    assert "Your new password is set, but the sessions from before could not be ended" in half.text
    assert done.status_code == 303
    assert is_in(browser)
    assert not is_in(elsewhere)
    assert [one[0] for one in noted(house)] == ["password_chosen"]


def test_a_link_followed_later_does_not_take_the_place_of_the_one_on_screen(house: House, edda, auth):
    mallory = auth.person("mallory@team.example", PASSWORD, "editor")
    browser = house.browser()
    browser.get(letter_for(auth, house, edda).own_link())
    on_screen = letter_in(browser.get(PAGE))
    browser.get(letter_for(auth, house, mallory).own_link())

    assert choose(browser, letter=on_screen).status_code == 303

    assert browser.get("/account").json()["name"] == "edda"
    assert house.sign_in(house.browser(), mallory.email).status_code == 303


def test_a_link_that_opens_nothing_leads_to_a_new_message(house: House, edda, auth):
    letter = letter_for(auth, house, edda)
    browser = house.browser()
    browser.get(letter.own_link())
    auth.letters.last = -1.0

    old = choose(browser)
    refused = browser.get(PAGE, params={"error": "access_denied", "error_code": "otp_expired"})
    cut = browser.get(PAGE, params={"token_hash": "abc", "type": "recovery"})

    for page in (old, refused, cut):
        assert page.status_code == 401
        assert "href='/sign-in/forgotten'>Have a new message sent" in page.text
        assert "new-password-form" not in page.text
    assert edda.password == PASSWORD


def test_a_project_that_wants_a_fresher_sign_in_sends_one_to_a_new_message(house: House, edda, auth):
    letter = letter_for(auth, house, edda)
    browser = house.browser()
    token = token_in(follow(auth, browser, letter))
    auth.asks_again = True
    for session in auth.sessions.values():
        session.began_at = session.began_at.replace(year=2020)

    answer = choose(browser, letter=token)

    assert (answer.status_code, edda.password) == (401, PASSWORD)
    assert "Have a new message sent" in answer.text


def test_who_holds_no_role_has_a_new_password_and_is_told_what_to_do(house: House, auth):
    cleo = auth.person("cleo@customers.example", PASSWORD)
    browser = house.browser()
    browser.get(letter_for(auth, house, cleo).own_link())

    answer = choose(browser)

    assert answer.status_code == 403
    assert "Your new password is set. cleo@customers.example is known, but holds no role" in answer.text
    assert cleo.password == NEW
    assert not is_in(browser)
    assert [one[:2] for one in noted(house)] == [("password_chosen", cleo.id)]


def test_guessing_hashes_waits_and_waits_apart_from_the_sign_in(house: House, edda, auth):
    browser = house.browser()
    guess = f"{PAGE}?{urlencode({'token_hash': 'a' * 56, 'type': 'recovery'})}"
    browser.get(guess)
    choose(browser)
    say(
        house.services,
        "UPDATE studio.sign_in_failures SET failures = 99, next_at = now() + interval '40 seconds'",
    )
    auth.counts.clear()

    browser.get(guess)
    answer = choose(browser)

    assert (answer.status_code, auth.counts["POST /verify"]) == (429, 0)
    assert 38 <= int(answer.headers["retry-after"]) <= 41
    assert house.sign_in(house.browser(), edda.email).status_code == 303


# ---- asking for a message ----------------------------------------------------------------------------------------


def test_nobody_learns_who_has_an_account_by_words_or_by_time(house: House, edda, auth, eventually):
    """Nor by a mail server that takes long, or a limit that only known addresses meet."""
    house.sign_in(house.browser(), edda.email)
    auth.letters.takes = 3.5
    answers, took = [], []
    for email in (edda.email, "nobody@team.example", edda.email):
        browser, began = house.browser(), time.monotonic()
        answers.append(ask(house, browser, email))
        took.append(time.monotonic() - began)

    said = [re.sub(r"value='[^']*'", "", one.text) for one in answers]
    assert [one.status_code for one in answers] == [200] * 3
    assert said[0] == said[1] == said[2]
    assert "If this address has an account, a message is on its way." in said[0]
    assert min(took) >= ANSWERED_AFTER
    assert max(took) < 3.4
    assert f"value='{edda.email}'" in answers[0].text
    assert [one.account for one in auth.letters.sent] == [edda.id]
    eventually(lambda: ("password_message_asked", edda.id, None) in noted(house))  # nobody waited for it


def test_asking_waits_longer_and_longer_and_keeps_nobody_from_signing_in(house: House, edda, auth):
    ask(house, house.browser(), edda.email)
    say(
        house.services,
        "UPDATE studio.sign_in_failures SET failures = 99, next_at = now() + interval '40 seconds'",
    )
    auth.counts.clear()

    answer = ask(house, house.browser(), edda.email)

    assert (answer.status_code, auth.counts["POST /recover"]) == (429, 0)
    assert "Wait" in answer.text
    assert "data-wait='" in answer.text
    assert house.sign_in(house.browser(), edda.email).status_code == 303


def test_auth_being_away_is_said_and_what_is_no_address_is_not_sent(house: House, auth):
    auth.breaks("recover")

    away = ask(house, house.browser(), "edda@team.example")
    wrong = ask(house, house.browser(), "<b>edda")

    assert (away.status_code, wrong.status_code) == (503, 400)
    assert "no message could be asked for" in away.text
    assert "aria-invalid='true'" in wrong.text
    assert "value='&lt;b&gt;edda'" in wrong.text
    assert auth.counts["POST /recover"] == 1


@pytest.mark.parametrize(
    ("said", "host", "leads_to"),
    [
        ({"public_url": PUBLIC}, "studio.team.example", f"{PUBLIC}{PAGE}"),
        ({}, "localhost:7860", f"http://localhost:7860{PAGE}"),
        ({}, "evil.example", f"http://127.0.0.1:7860{PAGE}"),  # where the studio listens
        ({"studio_host": "0.0.0.0"}, "evil.example", "http://localhost:3000"),  # noqa: S104 - the project's Site URL
    ],
)
def test_a_message_leads_to_our_own_address_and_never_where_a_header_says(
    team, edda, auth, said, host, leads_to
):
    services = team(**said)
    auth.letters.allowed = ("http*://**",)
    origin = said.get("public_url") or f"http://{host}"
    headers = {"Host": host, "Origin": origin}
    with (
        serving(api.build(services, gate_for(services))) as url,
        httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=20) as browser,
    ):
        page = browser.get("/sign-in/forgotten")
        jar = {"Cookie": page.headers["set-cookie"].partition(";")[0]}
        answer = browser.post(
            "/sign-in/forgotten", data={"form": form_of(page), "email": edda.email}, headers=jar
        )

    assert answer.status_code == 200
    assert [one.leads_to for one in auth.letters.sent] == [leads_to]


# ---- what holds for all of them ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/sign-in/forgotten", PAGE])
def test_another_sites_form_asks_for_nothing_and_sets_nothing(house: House, edda, auth, path):
    browser = house.browser()
    form = {"form": form_of(browser.get(path)), "email": edda.email, "password": NEW, "again": NEW}

    answers = [browser.post(path, data=form, headers=foreign) for foreign in FOREIGN]
    answers.append(browser.post(path, data=form | {"form": "x"}))

    assert {one.status_code for one in answers} == {403}
    assert auth.counts == {}


@pytest.mark.parametrize("path", ["/sign-in/forgotten", PAGE])
def test_the_pages_keep_frames_caches_and_other_sites_out(house: House, path):
    headers = house.browser().get(path).headers

    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert (headers["cache-control"], headers["x-frame-options"]) == ("no-store", "DENY")
    assert headers["referrer-policy"] == "same-origin"  # no page's address holds a secret


def test_where_nobody_has_a_password_nobody_forgets_one(build, auth):
    services = build(oidc_issuer="https://login.example", oidc_client_id="studio")

    with housed(services) as opened:
        browser = opened.browser()
        answers = [
            getattr(browser, verb)(path) for path in ("/sign-in/forgotten", PAGE) for verb in ("get", "post")
        ]
        page = browser.get("/sign-in").text

    assert [one.status_code for one in answers] == [404] * 4
    assert "forgotten" not in page
