"""The way in and out over HTTP: cookies, forms, where one is led, and what a call of a program shows instead."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import httpx
import pytest
from starlette.requests import HTTPConnection
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from core import api, sessions
from core.auth import gate_for
from tests.contracts.test_sessions import due, rows, say
from tests.fix_services import serving
from tests.supabase.auth_double import PASSWORD
from tests.supabase.fix_sign_in import House, form_of, housed

EVIL = "https://evil.example"
PUBLIC = "https://studio.team.example"


@pytest.fixture
def edda(auth):
    return auth.person("edda@team.example", PASSWORD, "editor", user_metadata={"full_name": "Edda"})


def cookies_of(answer: httpx.Response) -> dict[str, str]:
    """Each cookie of an answer: its name, and everything that was said of it."""
    said = [one.partition("=") for one in answer.headers.get_list("set-cookie")]
    return {name: rest.partition(";")[2].lower() for name, _, rest in said}


def is_in(client: httpx.Client) -> bool:
    return client.get("/account").status_code == 200


# ---- signing in --------------------------------------------------------------------------------------------------


def test_somebody_signs_in_and_is_led_to_where_they_wanted_to_go(house: House, edda):
    browser = house.browser()

    answer = house.sign_in(browser, edda.email, next="/studio/library?q=a%20b")

    assert (answer.status_code, answer.headers["location"]) == (303, "/studio/library?q=a%20b")
    said = browser.get("/account").json()
    assert (said["name"], said["roles"]) == ("Edda", ["editor"])


def test_who_is_signed_in_is_led_on_from_the_sign_in(house: House, edda):
    browser = house.browser()
    house.sign_in(browser, edda.email)

    answer = browser.get("/sign-in", params={"next": "/studio/create"})

    assert (answer.status_code, answer.headers["location"]) == (303, "/studio/create")


def test_two_people_in_two_browsers_are_two_people(house: House, edda, auth):
    auth.person("quinn@team.example", PASSWORD, "qa")
    one, other = house.browser(), house.browser()
    house.sign_in(one, edda.email)
    house.sign_in(other, "quinn@team.example")

    for _ in range(3):
        assert (one.get("/account").json()["name"], other.get("/account").json()["name"]) == ("Edda", "quinn")


def test_a_wrong_password_and_an_unknown_address_are_answered_alike(house: House, edda, auth):
    browser = house.browser()
    answers, took = [], []
    for email in (edda.email, "nobody@team.example"):
        began = time.monotonic()
        answers.append(house.sign_in(browser, email, "wrong words"))
        took.append(time.monotonic() - began)

    known, unknown = (re.sub(r"value='[^']*'", "", one.text) for one in answers)
    assert known == unknown
    assert [one.status_code for one in answers] == [401, 401]
    assert min(took) >= 0.69
    assert not is_in(browser)


def test_what_was_typed_but_the_password_stays(house: House, edda):
    answer = house.sign_in(house.browser(), edda.email, "wrong words", next="/studio/library")

    assert f"value='{edda.email}'" in answer.text
    assert "value='/studio/library'" in answer.text
    assert "wrong words" not in answer.text
    assert "role='alert'>That e-mail and password do not belong together." in answer.text


@pytest.mark.parametrize(
    ("email", "words"),
    [
        ("cleo@customers.example", "Ask an admin for the editor"),
        ("unconfirmed@team.example", "confirm"),
    ],
)
def test_what_stands_in_the_way_is_said_in_words(house: House, auth, email, words):
    auth.person("cleo@customers.example", PASSWORD)
    auth.person("unconfirmed@team.example", PASSWORD, "editor").confirmed_at = None
    browser = house.browser()

    answer = house.sign_in(browser, email)

    assert words in answer.text
    assert not is_in(browser)


def test_while_auth_is_silent_pages_are_answered(team, auth, eventually):
    """Attempts from many addresses at once, more than pages have threads."""
    services = team()
    trusting = ProxyHeadersMiddleware(api.build(services, gate_for(services)), trusted_hosts="127.0.0.1")
    auth.wait = 6.0
    with serving(trusting) as url, httpx.Client(base_url=url, timeout=60, trust_env=False) as browser:
        page = browser.get("/sign-in")
        form, jar = form_of(page), page.headers["set-cookie"].partition(";")[0]

        def attempt(number: int) -> None:
            said = {"form": form, "email": f"{number}@team.example", "password": "wrong"}
            came = {"Cookie": jar, "Origin": url, "X-Forwarded-For": f"198.51.100.{number}"}
            crowd_client.post("/sign-in", data=said, headers=came)

        many = httpx.Limits(max_connections=60, max_keepalive_connections=0)
        with (
            httpx.Client(base_url=url, timeout=60, limits=many, trust_env=False) as crowd_client,
            ThreadPoolExecutor(60) as crowd,
        ):
            crowd_at_the_door = [crowd.submit(attempt, number) for number in range(60)]
            eventually(lambda: len(auth.calls) >= 8)
            answer = browser.get("/sign-in")
            asked = len(auth.calls)
            auth.wait = 0.0
            for one in crowd_at_the_door:
                one.result()

    assert answer.status_code == 200
    assert asked == 8


def test_auth_being_away_is_said_and_the_password_is_not_judged(house: House, edda, auth):
    browser = house.browser()
    auth.bad_gateway("*")

    answer = house.sign_in(browser, edda.email)

    assert answer.status_code == 503
    assert "Your password was not judged" in answer.text
    assert "aria-invalid" not in answer.text
    assert int(answer.headers["retry-after"]) > 0
    assert house.sign_in(browser, edda.email).status_code == 303


def test_too_many_attempts_say_how_long_to_wait(house: House, edda):
    browser = house.browser()
    house.sign_in(browser, edda.email, "wrong")
    say(
        house.services,
        "UPDATE studio.sign_in_failures SET failures = 9, next_at = now() + interval '40 seconds'",
    )

    answer = house.sign_in(browser, edda.email)

    assert answer.status_code == 429
    wait = int(answer.headers["retry-after"])
    assert 38 <= wait <= 41
    assert f"Wait {wait} seconds" in answer.text
    assert f"data-wait='{wait}'" in answer.text


@pytest.mark.parametrize(
    "form", [{}, {"email": "x" * 300, "password": "y"}, {"email": "a@b.example", "password": "z" * 2000}]
)
def test_a_form_with_too_little_or_too_much_in_it_is_refused_kindly(house: House, auth, form):
    browser = house.browser()
    token = form_of(browser.get("/sign-in"))

    answer = browser.post("/sign-in", data={"form": token, **form})

    assert answer.status_code == 401
    assert "aria-invalid" in answer.text
    assert auth.counts == {}


def test_what_is_no_short_form_is_refused(house: House, auth):
    kind = {"content-type": "application/x-www-form-urlencoded"}
    bodies = (b"x" * 20_000, b"&".join(b"a=1" for _ in range(50)), b"\xff\xfe=\xff", b"")
    browser = house.browser()

    said = [browser.post("/sign-in", content=body, headers=kind) for body in bodies]
    said += [
        browser.post("/sign-in", json={"email": "a", "password": "b"}),
        browser.post("/sign-in", files={"email": b"x"}),
    ]

    assert [one.status_code for one in said] == [403] * 6
    assert auth.counts == {}


def test_the_page_keeps_scripts_frames_and_caches_out(house: House):
    answer = house.browser().get("/sign-in")

    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert (answer.headers["cache-control"], answer.headers["x-frame-options"]) == ("no-store", "DENY")
    assert re.findall(r"<script(?! src=)|<style| style=| on[a-z]+=", answer.text) == []


def test_every_file_the_page_names_is_served_with_its_kind(house: House):
    browser = house.browser()
    page = browser.get("/sign-in").text
    addresses = set(re.findall(r"(?:href|src)='(/sign-in/files/[^']+)'", page))
    style = next(one for one in addresses if one.endswith(".css"))
    fonts = re.findall(r'url\("([^"]+)"\)', browser.get(style).text)

    served = [
        browser.get(one) for one in (*addresses, *(f"{style.rpartition('/')[0]}/{font}" for font in fonts))
    ]

    assert len(served) == 5
    assert {one.status_code for one in served} == {200}
    assert {one.headers["cache-control"] for one in served} == {"public, max-age=31536000, immutable"}
    assert browser.get(f"{style.rpartition('/')[0]}/..%2fsign_in.py").status_code == 404


# ---- cookies -----------------------------------------------------------------------------------------------------


def test_the_cookie_is_for_this_host_and_no_script(house: House, edda):
    answer = house.sign_in(house.browser(), edda.email)

    said = cookies_of(answer)["studio_session"]
    assert "httponly" in said
    assert "samesite=lax" in said
    assert "path=/;" in said
    assert "domain" not in said
    assert "secure" not in said  # plain http, on one's own machine
    assert 604_790 <= int(re.search(r"max-age=(\d+)", said)[1]) <= 604_800


def test_every_sign_in_has_a_fresh_cookie_and_the_planted_one_is_worth_nothing(house: House, edda):
    browser, thief = house.browser(), house.browser()
    planted = {"Cookie": f"studio_session={'P' * 43}"}
    thief.headers.update(planted)
    page = browser.get("/sign-in", headers=planted)
    form = {"form": form_of(page), "email": edda.email, "password": PASSWORD}
    jar = {"Cookie": f"{planted['Cookie']}; studio_form={browser.cookies['studio_form']}"}

    values = {
        house.browser().post("/sign-in", data=form, headers=jar).cookies["studio_session"] for _ in range(3)
    }

    assert len(values - {"P" * 43}) == 3
    assert not is_in(thief)


@pytest.mark.parametrize("said", [{"public_url": PUBLIC}, {}])
def test_behind_tls_every_cookie_is_secure_and_of_this_host_alone(team, edda, said):
    """By PUBLIC_URL, or by what a trusted proxy says."""
    services = team(**said)
    app = api.build(services, gate_for(services))
    trusting = ProxyHeadersMiddleware(app, trusted_hosts="127.0.0.1")
    origin = PUBLIC if said else "https://studio.proxied.example"
    headers = {"Host": origin.partition("//")[2], "Origin": origin, "X-Forwarded-Proto": "https"}
    with serving(trusting) as url, httpx.Client(base_url=url, headers=headers, trust_env=False) as browser:
        page = browser.get("/sign-in")
        jar = page.headers["set-cookie"].partition(";")[0]
        form = {"form": form_of(page), "email": edda.email, "password": PASSWORD}
        answer = browser.post("/sign-in", data=form, headers={"Cookie": jar})
        plain = answer.headers.get_list("set-cookie")[0].partition(";")[0].removeprefix("__Host-")
        tossed = browser.get("/account", headers={"Cookie": plain})
        own = browser.get("/account", headers={"Cookie": f"__Host-{plain}"})

    found = cookies_of(answer)
    assert answer.status_code == 303
    assert set(found) == {f"__Host-studio_{name}" for name in ("session", "known", "form", "oidc", "desk")}
    assert [name for name, rest in found.items() if "httponly" not in rest] == ["__Host-studio_desk"]
    assert [name for name, rest in found.items() if "secure" not in rest or "domain" in rest] == []
    assert (tossed.status_code, own.status_code) == (401, 200)  # a sister host may have written the plain one


def test_nobody_makes_a_cookie_secure_by_a_header_of_their_own(house: House, edda):
    browser = house.browser(**{"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"})

    answer = house.sign_in(browser, edda.email)

    assert "studio_session" in cookies_of(answer)


def test_names_and_paths_add_no_header(house: House, auth):
    nasty = "Edda\r\nSet-Cookie: planted=1\r\n\r\n<script>alert(1)</script>"
    auth.person("edda@team.example", PASSWORD, "editor", user_metadata={"full_name": nasty})
    browser = house.browser()

    answer = house.sign_in(browser, "edda@team.example", next="/studio/\r\nSet-Cookie: planted=1")

    assert answer.headers["location"] == "/"
    assert "planted" not in cookies_of(answer)
    assert "\n" not in browser.get("/account").json()["name"]
    page = browser.post("/sign-in", data={"email": "'><script>alert(1)</script>", "password": "x"})
    assert "<script>alert" not in page.text


# ---- other people's pages ----------------------------------------------------------------------------------------

FOREIGN = (
    {"Origin": EVIL, "Sec-Fetch-Site": "cross-site"},
    {"Origin": "null"},
    {"Origin": "", "Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site"},
)


POSTS = ("/sign-in", "/sign-out", "/sign-out-everywhere", "/references?characterId=x", "/cards")


def test_another_sites_form_does_nothing_with_a_persons_cookie(house: House, edda):
    browser = house.browser()
    house.sign_in(browser, edda.email)
    form = {"form": browser.get("/account").json()["form"], "email": edda.email, "password": PASSWORD}

    said = {
        (path, str(headers)): browser.post(path, data=form, headers=headers).status_code
        for path in POSTS
        for headers in FOREIGN
    }

    assert {case: status for case, status in said.items() if status != 403} == {}
    assert is_in(browser)
    assert len(rows(house.services, "SELECT id FROM studio.sessions")) == 1


@pytest.mark.parametrize("origin", ["https://studio.evil.example", "http://127.0.0.1:1"])
def test_an_origin_that_may_call_functions_may_not_use_a_cookie(team, edda, origin):
    with housed(team(allowed_origins=f"{origin}")) as house:
        browser = house.browser()
        house.sign_in(browser, edda.email)

        answer = browser.post(
            "/cards", content=b"{}", headers={"Origin": origin, "Sec-Fetch-Site": "same-site"}
        )

        assert (answer.status_code, answer.json()["code"]) == (403, "FOREIGN_ORIGIN")


def test_a_sign_in_form_of_another_browser_does_not_count(house: House, edda, auth):
    browser, other = house.browser(), house.browser()
    browser.get("/sign-in")

    for form in ("", "x", form_of(other.get("/sign-in"))):
        answer = browser.post("/sign-in", data={"form": form, "email": edda.email, "password": PASSWORD})

        assert answer.status_code == 403
        assert "grown old" in answer.text
        assert f"value='{edda.email}'" in answer.text
    assert auth.counts == {}


@pytest.mark.parametrize("path", ["/sign-out", "/sign-out-everywhere"])
def test_signing_out_takes_a_form_of_ones_own_page(house: House, edda, auth, path):
    auth.person("quinn@team.example", PASSWORD, "qa")
    browser, other = house.browser(), house.browser()
    house.sign_in(browser, edda.email)
    house.sign_in(other, "quinn@team.example")
    theirs = other.get("/account").json()["form"]

    for form in ({}, {"form": "x"}, {"form": theirs}):
        assert browser.post(path, data=form).status_code == 403
        assert is_in(browser)
    assert browser.get(path).status_code == 405


# ---- out ---------------------------------------------------------------------------------------------------------


def test_signing_out_ends_the_session_and_says_so(house: House, edda):
    browser, thief = house.browser(), house.browser()
    house.sign_in(browser, edda.email)
    thief.cookies.set("studio_session", browser.cookies["studio_session"])
    assert is_in(thief)

    answer = browser.post("/sign-out", data={"form": browser.get("/account").json()["form"]})

    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?signed-out")
    assert "You are signed out." in browser.get(answer.headers["location"]).text
    assert "studio_session" not in browser.cookies
    assert not is_in(thief)


def test_signing_out_everywhere_ends_the_other_browsers_too(house: House, edda, auth):
    auth.person("quinn@team.example", PASSWORD, "qa")
    here, there, colleague = house.browser(), house.browser(), house.browser()
    for browser, email in ((here, edda.email), (there, edda.email), (colleague, "quinn@team.example")):
        house.sign_in(browser, email)

    here.post("/sign-out-everywhere", data={"form": here.get("/account").json()["form"]})

    assert [is_in(one) for one in (here, there, colleague)] == [False, False, True]


def test_signing_out_twice_is_no_error(house: House):
    answer = house.browser().post("/sign-out")

    assert answer.status_code == 303


# ---- where one is led --------------------------------------------------------------------------------------------


AWAY = (
    "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "https:evil.example",
    "javascript:alert(1)", "/%2f/evil.example", "/%5cevil.example", "/%252f/evil.example", "/\tevil.example", "\t//evil.example",
    "/%09/evil.example", "/%0d%0aSet-Cookie:x=1", "evil.example", "/sign-in?next=/x", "/sign-out", "/\u0085/x", "/..//evil.example", "/%2e%2e//evil.example", "",
    "/" + "x" * 3000,
)  # fmt: skip


def test_nobody_is_led_away_from_here(house: House, edda):
    browser = house.browser()
    shown = {one: browser.get(f"/sign-in?next={quote(one, safe='')}").text for one in AWAY}
    assert [one for one, page in shown.items() if "name='next' value='/'" not in page] == []

    form = {"form": form_of(browser.get("/sign-in")), "email": edda.email, "password": PASSWORD}
    jar = {"Cookie": f"studio_form={browser.cookies['studio_form']}"}
    led = {one: house.browser().post("/sign-in", data={**form, "next": one}, headers=jar) for one in AWAY}

    assert {
        one: said.headers.get("location") for one, said in led.items() if said.headers.get("location") != "/"
    } == {}


# ---- programs ----------------------------------------------------------------------------------------------------


def test_a_call_shows_a_token_of_auth_and_no_cookie(house: House, edda, auth):
    browser = house.browser()
    house.sign_in(browser, edda.email)
    path = "/functions/v1/jobs/00000000-0000-4000-8000-00000000dead"
    token = auth.token(edda)

    by_cookie = browser.get(path)
    by_token = house.browser(Authorization=f"Bearer {token}").get(path)
    token_elsewhere = house.browser(Authorization=f"Bearer {token}").get("/account")
    cookie_as_token = house.browser(Authorization=f"Bearer {browser.cookies['studio_session']}").get(path)

    assert (by_cookie.status_code, by_cookie.json()["code"]) == (401, "MISSING_AUTH")
    assert (by_token.status_code, by_token.json()["code"]) == (404, "NOT_FOUND")
    assert token_elsewhere.status_code == 401
    assert cookie_as_token.status_code == 401
    assert cookie_as_token.headers["www-authenticate"] == "Bearer"


def test_no_spelling_of_an_address_lets_a_cookie_call_a_function(house: House, edda):
    browser = house.browser()
    house.sign_in(browser, edda.email)

    spelled = (
        "/functions/v1/jobs/x",
        "/FUNCTIONS/v1/jobs/x",
        "//functions/v1/jobs/x",
        "/functions%2fv1/jobs/x",
    )
    assert {browser.get(path).status_code for path in spelled} <= {401, 404}


# ---- what is asked of the gate --------------------------------------------------------------------------------------


def test_a_page_whose_session_ended_hears_401_and_nothing_changes(house: House, edda):
    browser = house.browser()
    house.sign_in(browser, edda.email)
    say(house.services, "UPDATE studio.sessions SET ended_at = now(), ended_why = 'refused', sealed = NULL")

    answer = browser.get("/account")

    assert (answer.status_code, answer.json()["code"]) == (401, "MISSING_AUTH")


def test_a_socket_keeps_nobody_signed_in(house: House, edda):
    browser = house.browser()
    house.sign_in(browser, edda.email)
    say(house.services, "UPDATE studio.sessions SET last_seen_at = now() - interval '3 hours'")
    gate = gate_for(house.services)
    cookie = f"studio_session={browser.cookies['studio_session']}".encode()
    host = house.url.partition("//")[2].encode()
    scope = {
        "type": "websocket", "path": "/ws", "scheme": "ws", "query_string": b"",
        "headers": [(b"cookie", cookie), (b"host", host), (b"origin", house.url.encode())],
    }  # fmt: skip

    assert gate.person(HTTPConnection(scope)).name == "Edda"
    [row] = rows(
        house.services, "SELECT now() - last_seen_at > interval '2 hours' AS is_old FROM studio.sessions"
    )
    assert row["is_old"]


def test_a_request_refreshes_tokens_that_are_due(house: House, edda):
    browser = house.browser()
    house.sign_in(browser, edda.email)
    edda.app_metadata["roles"] = ["admin"]
    due(house.services)

    assert browser.get("/account").json()["roles"] == ["admin"]


def test_the_wrong_host_is_a_wrong_address_but_for_machines(team, edda):
    with housed(team(public_url=PUBLIC)) as house:
        stranger = house.browser(Host="studio:7860", Origin="http://studio:7860")

        assert stranger.get("/sign-in").json()["code"] == "FOREIGN_HOST"
        assert stranger.get("/healthz").status_code == 200
        assert house.browser(Host="studio.team.example", Origin=PUBLIC).get("/sign-in").status_code == 200


def test_without_a_sign_in_none_of_it_is_there(build):
    services = build()
    with (
        serving(api.build(services, gate_for(services))) as url,
        httpx.Client(base_url=url, trust_env=False) as client,
    ):
        gets = [
            client.get(path)
            for path in (
                "/sign-in",
                "/sign-in/oidc",
                "/sign-in/oidc/callback",
                "/sign-in/files/x/sign-in.css",
            )
        ]
        posts = [client.post(path) for path in ("/sign-in", "/sign-out", "/sign-out-everywhere")]
        services.stopping.set()

    assert {one.status_code for one in (*gets, *posts)} == {404}
    assert not any(one.headers.get("set-cookie") for one in (*gets, *posts))


def test_neither_passwords_nor_cookies_nor_tokens_are_logged(house: House, edda, caplog):
    caplog.set_level("INFO")
    browser = house.browser()
    house.sign_in(browser, edda.email, "a wrong password")
    house.sign_in(browser, edda.email, next="/studio/?character=secret-place")
    cookies = dict(browser.cookies)
    form = browser.get("/account").json()["form"]
    browser.post("/sign-out", data={"form": form})

    said = json.dumps([str(record.__dict__) for record in caplog.records])
    secrets = [*cookies.values(), form, PASSWORD, "a wrong password", edda.email, "secret-place"]
    assert [one for one in secrets if one in said] == []


def test_the_names_of_the_cookies_are_told_to_the_dashboard():
    assert sessions.cookie_of({"studio_session": "x"}, is_secure=False) == "x"
    assert sessions.cookie_of({"studio_session": "x"}, is_secure=True) is None
    assert sessions.cookie_of({"__Host-studio_session": "x"}, is_secure=True) == "x"
