"""The double answers as Auth was recorded to (reference/supabase.md §4), seen through the `supabase` client unchanged;
where the client hides an answer, through plain HTTP.
"""

import time
from datetime import timedelta
from urllib.parse import parse_qsl
from uuid import uuid4

import httpx
import jwt
import pytest
from supabase import ClientOptions, create_client
from supabase_auth.errors import (
    AuthApiError,
    AuthInvalidJwtError,
    AuthRetryableError,
    AuthUnknownError,
    AuthWeakPasswordError,
)

from tests.supabase.auth_double import AuthDouble

EMAIL = "edda@team.example"
PASSWORD = "a long enough password"
SESSION = {"access_token", "token_type", "expires_in", "expires_at", "refresh_token", "user"}
USER = {
    *("id", "aud", "role", "email", "phone", "email_confirmed_at", "confirmed_at", "last_sign_in_at"),
    *("app_metadata", "user_metadata", "identities", "created_at", "updated_at", "is_anonymous"),
}
IDENTITY = {
    *(
        "identity_id",
        "id",
        "user_id",
        "identity_data",
        "provider",
        "last_sign_in_at",
        "created_at",
        "updated_at",
    ),
    "email",
}


@pytest.fixture
def auth():
    with AuthDouble() as running:
        yield running


@pytest.fixture(params=["new errors", "old errors"])
def both(auth, request):
    """Auth with each of the two forms that refusals have."""
    auth.old_errors = request.param == "old errors"
    return auth


@pytest.fixture
def http():
    with httpx.Client(timeout=20, trust_env=False) as client:
        yield client


@pytest.fixture
def client(auth, http):
    """The client as anybody has it; a fresh one each call, as nobody signs in on a shared one."""

    def make(key=auth.publishable_key, **more):
        options = ClientOptions(httpx_client=http, persist_session=False, auto_refresh_token=False, **more)
        return create_client(auth.url, key, options).auth

    return make


@pytest.fixture
def admin(auth, client):
    return client(auth.secret_key).admin


@pytest.fixture
def edda(auth):
    return auth.person(EMAIL, PASSWORD, "editor")


def signed_in(client, email=EMAIL, password=PASSWORD):
    return client().sign_in_with_password({"email": email, "password": password}).session


def refusal(act, *args, kind=AuthApiError):
    """What the client raises, as (status, code)."""
    with pytest.raises(kind) as raised:
        act(*args)
    assert type(raised.value) is kind
    return raised.value.status, raised.value.code


def raw(auth, http, method, path, **more):
    headers = {"apikey": auth.publishable_key} | more.pop("headers", {})
    return http.request(method, f"{auth.url}/auth/v1{path}", headers=headers, **more)


def asked(auth):
    """The last request: method and path, query, its JSON."""
    last = auth.calls[-1]
    return f"{last.method} {last.path}", last.query, last.json()


# --- what works ---------------------------------------------------------------------------------------------------


def test_signing_up_makes_a_person_and_a_session(auth, client):
    found = client().sign_up({"email": EMAIL, "password": PASSWORD, "options": {"data": {"name": "Edda"}}})

    assert found.session.user.email == EMAIL
    assert found.user.user_metadata == {"name": "Edda"}
    path, _, body = asked(auth)
    assert path == "POST /auth/v1/signup"
    assert body["gotrue_meta_security"] == {"captcha_token": None}


def test_signing_up_where_messages_confirm_brings_no_session(auth, client):
    auth.confirms = True

    found = client().sign_up({"email": EMAIL, "password": PASSWORD})

    assert found.session is None
    assert found.user.email_confirmed_at is None
    assert refusal(signed_in, client) == (400, "email_not_confirmed")


def test_signing_in_brings_the_session_and_the_user_as_recorded(auth, http, edda):
    answer = raw(
        auth, http, "POST", "/token?grant_type=password", json={"email": EMAIL, "password": PASSWORD}
    )

    said = answer.json()
    assert said.keys() == SESSION
    assert said["user"].keys() == USER
    assert said["user"]["identities"][0].keys() == IDENTITY
    assert (said["token_type"], said["expires_in"]) == ("bearer", 3600)
    assert abs(said["expires_at"] - time.time() - 3600) < 5
    assert said["user"]["created_at"].endswith("Z")
    assert said["user"]["app_metadata"] == {"provider": "email", "providers": ["email"], "roles": ["editor"]}


def test_the_client_signs_in_with_the_recorded_request(auth, client, edda):
    session = signed_in(client)

    assert session.user.id == edda.id
    path, query, body = asked(auth)
    assert (path, query) == ("POST /auth/v1/token", {"grant_type": "password"})
    assert body == {
        "email": EMAIL,
        "password": PASSWORD,
        "data": {},
        "gotrue_meta_security": {"captcha_token": None},
    }
    assert auth.calls[-1].headers["x-supabase-api-version"] == "2024-01-01"


def test_an_access_token_carries_the_recorded_claims(auth, client, edda):
    claims = jwt.decode(signed_in(client).access_token, options={"verify_signature": False})

    assert claims.keys() == {
        *(
            "iss",
            "sub",
            "aud",
            "exp",
            "iat",
            "email",
            "phone",
            "app_metadata",
            "user_metadata",
            "role",
            "aal",
        ),
        *("amr", "session_id", "is_anonymous"),
    }
    assert (claims["iss"], claims["sub"], claims["aud"]) == (f"{auth.url}/auth/v1", edda.id, "authenticated")


def test_whoever_is_signed_in_is_told_who_they_are(client, edda):
    assert client().get_user(signed_in(client).access_token).user.id == edda.id


def test_a_refresh_brings_a_new_refresh_token_and_the_roles_of_now(auth, client, edda):
    first = signed_in(client)
    edda.app_metadata["roles"] = ["qa"]

    second = client().refresh_session(first.refresh_token).session

    assert second.refresh_token != first.refresh_token
    assert second.user.app_metadata["roles"] == ["qa"]
    assert asked(auth) == (
        "POST /auth/v1/token",
        {"grant_type": "refresh_token"},
        {"refresh_token": first.refresh_token},
    )


def test_a_refresh_token_is_taken_once_more_for_a_moment_and_brings_the_same_new_one(client, edda):
    first = signed_in(client)

    answers = [client().refresh_session(first.refresh_token).session for _ in range(3)]

    assert len({answer.refresh_token for answer in answers}) == 1


def test_a_refresh_token_used_again_later_ends_the_whole_sign_in(auth, client, edda):
    auth.reuse_seconds = 0
    first = signed_in(client)
    second = client().refresh_session(first.refresh_token).session

    assert refusal(client().refresh_session, first.refresh_token) == (400, "refresh_token_already_used")
    assert refusal(client().refresh_session, second.refresh_token) == (400, "refresh_token_already_used")


def test_one_that_is_older_than_the_last_is_never_taken_again(client, edda):
    first = signed_in(client)
    second = client().refresh_session(first.refresh_token).session
    client().refresh_session(second.refresh_token)

    assert refusal(client().refresh_session, first.refresh_token) == (400, "refresh_token_already_used")


@pytest.mark.parametrize(
    ("scope", "ended"), [("local", {"own"}), ("others", {"other"}), ("global", {"own", "other"})]
)
def test_signing_out_ends_what_its_scope_names(auth, client, edda, scope, ended):
    sessions = {"own": signed_in(client), "other": signed_in(client)}

    client().admin.sign_out(sessions["own"].access_token, scope)

    assert asked(auth)[:2] == ("POST /auth/v1/logout", {"scope": scope})
    for name, session in sessions.items():
        if name in ended:
            assert refusal(client().get_user, session.access_token) == (403, "session_not_found")
            assert refusal(client().refresh_session, session.refresh_token) == (
                400,
                "refresh_token_not_found",
            )
        else:
            assert client().get_user(session.access_token).user.id == edda.id


def test_a_sign_out_of_the_client_that_signed_in_is_answered_with_nothing(auth, http, client, edda):
    mine = client()
    mine.sign_in_with_password({"email": EMAIL, "password": PASSWORD})
    mine.sign_out()

    assert auth.sessions == {}
    token = signed_in(client).access_token
    answer = raw(auth, http, "POST", "/logout?scope=local", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.content) == (204, b"")


# --- keys ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("algorithm", "kind"), [("ES256", "EC"), ("RS256", "RSA")])
def test_public_keys_are_shown_for_ten_minutes_and_claims_are_checked_by_them(http, algorithm, kind):
    with AuthDouble(algorithm) as auth:
        account = auth.person(EMAIL)
        answer = raw(auth, http, "GET", "/.well-known/jwks.json", headers={"apikey": ""})
        mine = create_client(auth.url, auth.publishable_key, ClientOptions(httpx_client=http)).auth

        found = mine.get_claims(auth.token(account))

    assert answer.headers["cache-control"] == "public, max-age=600"
    (key,) = answer.json()["keys"]
    assert (key["kty"], key["alg"], key["use"], key["key_ops"]) == (kind, algorithm, "sig", ["verify"])
    assert not {"d", "p", "q", "k"} & key.keys()
    assert found["claims"]["sub"] == account.id


def test_a_project_with_a_shared_secret_shows_no_key(http):
    with AuthDouble("HS256") as auth:
        account = auth.person(EMAIL)
        mine = create_client(auth.url, auth.publishable_key, ClientOptions(httpx_client=http)).auth

        assert raw(auth, http, "GET", "/.well-known/jwks.json").json() == {"keys": []}
        assert mine.get_claims(auth.token(account))["claims"]["sub"] == account.id
        assert auth.counts["GET /user"] == 1


def test_a_rotated_key_signs_and_the_old_one_is_shown_until_it_is_taken_away(auth, client, edda):
    before = auth.token(edda)
    auth.rotate_keys()
    assert client().get_claims(auth.token(edda))
    assert client().get_claims(before)

    auth.keys = auth.keys[:1]

    with pytest.raises(AuthInvalidJwtError):
        client().get_claims(before)
    assert refusal(client().get_user, before) == (403, "bad_jwt")


# --- refusals -----------------------------------------------------------------------------------------------------


def test_a_wrong_password_and_an_unknown_address_are_refused_in_the_same_words(both, client, http):
    both.person(EMAIL, PASSWORD)
    for body in (
        {"email": EMAIL, "password": "wrong one"},
        {"email": "nobody@team.example", "password": PASSWORD},
    ):
        with pytest.raises(AuthApiError) as raised:
            client().sign_in_with_password(body)

        assert (raised.value.status, raised.value.code) == (400, "invalid_credentials")
        assert raised.value.message == "Invalid login credentials"


def test_a_banned_person_neither_signs_in_nor_refreshes(both, client, admin):
    account = both.person(EMAIL, PASSWORD)
    session = signed_in(client)
    admin.update_user_by_id(account.id, {"ban_duration": "24h"})

    assert refusal(signed_in, client) == (400, "user_banned")
    assert refusal(client().refresh_session, session.refresh_token) == (400, "user_banned")

    admin.update_user_by_id(account.id, {"ban_duration": "none"})
    assert signed_in(client)


def test_an_address_that_is_there_already_cannot_be_signed_up_again(both, client):
    both.person(EMAIL, PASSWORD)

    assert refusal(client().sign_up, {"email": EMAIL, "password": PASSWORD}) == (422, "user_already_exists")


def test_where_messages_confirm_a_second_sign_up_is_answered_with_a_made_up_person(auth, client, edda):
    auth.confirms = True

    found = client().sign_up({"email": EMAIL, "password": PASSWORD})

    assert found.session is None
    assert found.user.id != edda.id


def test_a_weak_password_is_refused_with_its_reasons(both, client):
    with pytest.raises(AuthWeakPasswordError) as raised:
        client().sign_up({"email": EMAIL, "password": "short"})

    assert (raised.value.status, raised.value.code, raised.value.reasons) == (
        422,
        "weak_password",
        ["length"],
    )


def test_a_token_that_is_bad_over_signed_out_or_of_somebody_deleted_is_told_apart(both, client):
    account = both.person(EMAIL, PASSWORD)
    get = client().get_user

    assert refusal(get, "no.to.ken") == (403, "bad_jwt")
    assert refusal(get, both.token(account, exp=int(time.time()) - 5)) == (403, "bad_jwt")
    assert refusal(get, both.token(account, session_id=str(uuid4()))) == (403, "session_not_found")
    token = both.token(account)
    both.forget(account)
    assert refusal(get, token) == (403, "user_not_found")


def test_nobody_is_told_who_they_are(auth, http):
    answer = raw(auth, http, "GET", "/user", headers={"X-Supabase-Api-Version": "2024-01-01"})

    assert (answer.status_code, answer.json()["code"]) == (401, "no_authorization")


def test_refusals_have_two_forms_and_the_newer_is_for_who_asks_for_it(auth, http):
    body = {"email": EMAIL, "password": "x"}
    new = raw(
        auth,
        http,
        "POST",
        "/token?grant_type=password",
        json=body,
        headers={"X-Supabase-Api-Version": "2024-01-01"},
    )
    old = raw(auth, http, "POST", "/token?grant_type=password", json=body)

    assert new.headers["x-supabase-api-version"] == "2024-01-01"
    assert new.json() == {"code": "invalid_credentials", "message": "Invalid login credentials"}
    assert "x-supabase-api-version" not in old.headers
    assert old.json() == {
        "code": 400,
        "error_code": "invalid_credentials",
        "msg": "Invalid login credentials",
    }


def test_a_refresh_token_that_is_none_is_refused(both, client, http):
    assert refusal(client().refresh_session, "made-up") == (400, "refresh_token_not_found")
    empty = raw(both, http, "POST", "/token?grant_type=refresh_token", json={"refresh_token": ""})
    assert (empty.status_code, empty.json()["error_code"]) == (400, "validation_failed")


def test_too_many_requests_are_refused_with_their_code_and_a_wait(both, client):
    both.person(EMAIL, PASSWORD)
    both.limits("token", retry_after=7)

    with pytest.raises(AuthApiError) as raised:
        signed_in(client)

    assert (raised.value.status, raised.value.code) == (429, "over_request_rate_limit")
    assert raised.value.__cause__.response.headers["retry-after"] == "7"
    assert signed_in(client)


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_gateway_that_fails_may_be_asked_again(auth, client, edda, status):
    auth.bad_gateway("token", status=status)

    assert refusal(signed_in, client, kind=AuthRetryableError) == (status, None)
    assert signed_in(client)


def test_a_broken_connection_and_a_slow_answer_may_be_asked_again(auth, edda):
    auth.breaks("token")
    with httpx.Client(timeout=0.3, trust_env=False) as hasty:
        mine = create_client(auth.url, auth.publishable_key, ClientOptions(httpx_client=hasty)).auth
        asked = {"email": EMAIL, "password": PASSWORD}

        assert refusal(mine.sign_in_with_password, asked, kind=AuthRetryableError) == (0, None)
        auth.wait = 0.6
        assert refusal(mine.sign_in_with_password, asked, kind=AuthRetryableError) == (0, None)


def test_a_page_instead_of_json_is_nothing_the_client_knows(auth, client, edda):
    auth.bad_gateway("token", status=500)

    with pytest.raises(AuthUnknownError):
        signed_in(client)


@pytest.mark.parametrize("key", ["", "sb_publishable_of_another_project"])
def test_without_one_of_the_project_s_keys_the_gateway_refuses(auth, http, key):
    answer = raw(auth, http, "POST", "/token?grant_type=password", headers={"apikey": key}, json={})

    assert answer.status_code == 401
    assert answer.json().keys() == {"message", "hint"}


def test_requests_are_counted_by_their_path(auth, client, edda):
    signed_in(client)
    signed_in(client)

    assert auth.counts == {"POST /token": 2}


# --- people as the service sees them ------------------------------------------------------------------------------


def test_the_service_makes_lists_changes_and_deletes_people(auth, admin):
    made = admin.create_user(
        {
            "email": EMAIL,
            "password": PASSWORD,
            "email_confirm": True,
            "app_metadata": {"roles": ["editor"], "team": "north"},
        }
    ).user

    assert [one.id for one in admin.list_users(page=1, per_page=50)] == [made.id]
    assert asked(auth)[:2] == ("GET /auth/v1/admin/users", {"page": "1", "per_page": "50"})
    changed = admin.update_user_by_id(made.id, {"app_metadata": {"roles": ["qa"]}}).user
    assert changed.app_metadata == {
        "provider": "email",
        "providers": ["email"],
        "roles": ["qa"],
        "team": "north",
    }
    gone = admin.update_user_by_id(made.id, {"app_metadata": {"team": None}}).user
    assert "team" not in gone.app_metadata
    assert admin.get_user_by_id(made.id).user.app_metadata["roles"] == ["qa"]
    admin.delete_user(made.id)
    assert refusal(admin.get_user_by_id, made.id) == (404, "user_not_found")


def test_an_id_can_be_chosen_and_an_address_is_somebody_s_only(auth, admin, edda):
    chosen = str(uuid4())

    assert admin.create_user({"email": "new@team.example", "id": chosen}).user.id == chosen
    assert refusal(admin.create_user, {"email": EMAIL}) == (422, "email_exists")
    assert refusal(admin.invite_user_by_email, EMAIL) == (422, "email_exists")


def test_people_are_listed_in_pages_that_say_how_many_there_are(auth, admin, http):
    for number in range(7):
        auth.person(f"p{number}@team.example")

    pages = [admin.list_users(page=page, per_page=3) for page in (1, 2, 3, 4)]

    assert [len(page) for page in pages] == [3, 3, 1, 0]
    assert len({one.id for page in pages for one in page}) == 7
    headers = {"Authorization": f"Bearer {auth.secret_key}"}
    assert raw(auth, http, "GET", "/admin/users", headers=headers).headers["x-total-count"] == "7"


def test_an_invited_person_is_there_and_cannot_sign_in_yet(auth, admin, client):
    invited = admin.invite_user_by_email("new@team.example").user

    assert invited.invited_at is not None
    assert invited.email_confirmed_at is None
    assert refusal(signed_in, client, "new@team.example") == (400, "invalid_credentials")


def test_a_ban_has_an_end_and_is_shown(admin, edda):
    banned = admin.update_user_by_id(edda.id, {"ban_duration": "876000h"}).user

    assert banned.banned_until.startswith("2")
    assert refusal(admin.update_user_by_id, edda.id, {"ban_duration": "for ever"}) == (
        400,
        "validation_failed",
    )


def test_only_the_service_sees_people(auth, client, edda):
    mine = signed_in(client)
    as_edda = client().admin
    as_edda._headers["Authorization"] = f"Bearer {mine.access_token}"

    assert refusal(as_edda.list_users) == (403, "not_admin")
    assert refusal(client().admin.list_users) == (403, "not_admin")


# --- messages with a link ------------------------------------------------------------------------------------------

BACK = "http://127.0.0.1:7860/sign-in/password"


def fragment_of(auth, http, letter):
    """What stands behind the # once the link of Auth's own template was followed."""
    answer = http.get(letter.usual_link(auth.url))
    address, _, said = answer.headers["location"].partition("#")
    return answer.status_code, address, dict(parse_qsl(said, keep_blank_values=True))


def test_a_link_of_the_usual_letter_leads_back_with_a_sign_in_behind_the_hash_once(auth, client, http, edda):
    auth.letters.allowed = ("http://127.0.0.1:*/**",)
    client(flow_type="implicit").reset_password_for_email(EMAIL, {"redirect_to": BACK})
    [letter] = auth.letters.sent

    status, address, said = fragment_of(auth, http, letter)
    again = fragment_of(auth, http, letter)

    assert (status, address, said["type"], said["token_type"]) == (303, BACK, "recovery", "bearer")
    assert auth.claims_of(said["access_token"])["amr"][0]["method"] == "otp"
    gone = {"error": "access_denied", "error_code": "otp_expired", "sb": ""}
    assert (again[1], again[2].pop("error_description")) == (BACK, "Email link is invalid or has expired")
    assert again[2] == gone


def test_a_letter_leads_nowhere_the_project_does_not_allow(auth, admin, http):
    admin.invite_user_by_email("new@team.example", {"redirect_to": "https://evil.example/sign-in/password"})

    assert [one.leads_to for one in auth.letters.sent] == ["http://localhost:3000"]


def test_a_letter_that_was_asked_for_with_a_challenge_brings_a_code_that_only_the_asker_can_use(
    auth, client, http, edda
):
    auth.letters.allowed = (BACK,)
    with_challenge = ClientOptions(httpx_client=http, persist_session=False, flow_type="pkce")
    create_client(auth.url, auth.publishable_key, with_challenge).auth.reset_password_for_email(
        EMAIL, {"redirect_to": BACK}
    )
    [letter] = auth.letters.sent

    status, address, said = fragment_of(auth, http, letter)

    assert (status, said) == (303, {})
    assert address.startswith(f"{BACK}?code=")


def test_a_hash_opens_what_it_was_made_for_and_nothing_else(auth, admin, client):
    admin.invite_user_by_email("new@team.example")
    [letter] = auth.letters.sent
    wrong = {"type": "recovery", "token_hash": letter.token_hash}

    assert refusal(client().verify_otp, wrong) == (403, "otp_expired")
    opened = client().verify_otp({"type": "invite", "token_hash": letter.token_hash})
    assert opened.user.email_confirmed_at is not None
    assert refusal(client().verify_otp, wrong | {"type": "invite"}) == (403, "otp_expired")
    assert refusal(admin.invite_user_by_email, "new@team.example") == (422, "email_exists")


def test_a_letter_counts_for_a_while_and_the_newest_alone(auth, admin, client, http):
    for _ in range(2):
        admin.invite_user_by_email("new@team.example")
    older, newer = auth.letters.sent

    assert fragment_of(auth, http, older)[2]["error_code"] == "otp_expired"
    auth.letters.last = -1.0
    assert fragment_of(auth, http, newer)[2]["error_code"] == "otp_expired"


def test_a_way_to_a_new_password_is_sent_to_who_is_there_and_not_twice_at_once(both, client, edda):
    reset = client().reset_password_for_email

    assert reset("nobody@team.example") is reset(EMAIL) is None
    assert refusal(reset, EMAIL) == (429, "over_email_send_rate_limit")
    assert [one.account for one in both.letters.sent] == [edda.id]


def test_a_new_password_is_another_one_and_ends_every_other_sign_in(auth, client, edda):
    signed_in(client)
    mine = client()
    mine.sign_in_with_password({"email": EMAIL, "password": PASSWORD})
    change = mine.update_user

    assert refusal(change, {"password": PASSWORD}) == (422, "same_password")
    auth.known_passwords.add("letmein letmein")
    with pytest.raises(AuthWeakPasswordError) as weak:
        change({"password": "letmein letmein"})
    assert weak.value.reasons == ["pwned"]
    assert refusal(change, {"password": "x" * 73}) == (400, "validation_failed")
    change({"password": "another long password"})
    assert len(auth.sessions) == 1


def test_a_project_may_ask_for_a_fresher_sign_in(auth, client, edda):
    mine = client()
    mine.sign_in_with_password({"email": EMAIL, "password": PASSWORD})
    auth.asks_again = True
    for session in auth.sessions.values():
        session.began_at -= timedelta(days=2)

    assert refusal(mine.update_user, {"password": "another long password"}) == (
        400,
        "reauthentication_needed",
    )
