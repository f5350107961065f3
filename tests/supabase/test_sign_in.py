"""What every way of signing in keeps to, over both providers; then what is Supabase's own."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import structlog
from pydantic import SecretStr

from core.errors import (
    NotSignedIn,
    SessionEnded,
    SetupFailed,
    SignInUnavailable,
    StudioError,
    TooManyAttempts,
    WrongCredentials,
)
from core.identity import open_sign_in, renewing
from core.identity.oidc import Oidc
from core.identity.people import OurPeople
from core.identity.supabase import SupabaseSignIn
from core.settings import Settings
from core.tokens import TokenVerifier
from core.values import Role
from tests.emulator.wire import Reply
from tests.supabase.auth_double import AuthDouble
from tests.supabase.oidc_double import CLIENT, CLIENT_SECRET, OidcDouble

pytest_plugins = ["tests.supabase.fix_people"]

EMAIL = "edda@team.example"
PASSWORD = "a long enough password"
BACK = "http://127.0.0.1:7860/sign-in/oidc/callback"


@dataclass
class BySupabase:
    auth: AuthDouble
    renews: SupabaseSignIn

    def come(self, email=EMAIL, *roles):
        if self.auth._by_email(email) is None:
            self.auth.person(email, PASSWORD, *roles)
        return self.renews.sign_in(email, PASSWORD)

    def set_roles(self, *roles):
        self.auth._by_email(EMAIL).app_metadata["roles"] = list(roles)

    def ban(self):
        self.auth._by_email(EMAIL).ban("24h")

    def forget(self):
        self.auth.forget(self.auth._by_email(EMAIL))

    def fails(self, kind):
        if kind == "breaks":
            self.auth.breaks("*")
        elif kind == "limits":
            self.auth.limits("*")
        else:
            self.auth.fault("*", reply=FAULTS[kind])


@dataclass
class ByOidc:
    provider: OidcDouble
    renews: Oidc
    people: OurPeople

    def come(self, email=EMAIL, *roles):
        if email not in self.provider.people:
            self.provider.person(email, email, roles=list(roles))
        self.provider.signed_in = email
        begun = self.renews.begin(BACK)
        return self.renews.finish(BACK, self.provider.come_back(begun.url)["code"], begun)

    def set_roles(self, *roles):
        self.provider.people[EMAIL]["roles"] = list(roles)

    def ban(self):
        self.people.ban(self.people.find(EMAIL).person)

    def forget(self):
        del self.provider.people[EMAIL]

    def fails(self, kind):
        path = {"/token", "/revoke"}
        for one in path:
            if kind == "breaks":
                self.provider.breaks(one)
            elif kind == "limits":
                self.provider.fault(one, status=429)
            else:
                self.provider.fault(one, **FAULTS[kind].__dict__)


FAULTS = {
    "bad gateway": Reply(status=502, body=b"<html>502</html>", headers={"content-type": "text/html"}),
    "error page": Reply(status=500, body=b"<html>500</html>", headers={"content-type": "text/html"}),
    "page for an answer": Reply(body=b"<html>hello</html>", headers={"content-type": "text/html"}),
    "empty object": Reply(body=b"{}", headers={"content-type": "application/json"}),
    "list": Reply(body=b"[]", headers={"content-type": "application/json"}),
    "redirect": Reply(status=302, headers={"location": "http://127.0.0.1:9/"}),
}


@pytest.fixture(params=["supabase", "oidc"])
def way(request, by_supabase, by_oidc):
    """One way of signing in, with a provider on loopback behind it."""
    return {"supabase": by_supabase, "oidc": by_oidc}[request.param]


@pytest.fixture
def by_supabase():
    with AuthDouble() as auth:
        sign_in = SupabaseSignIn(auth.url, auth.publishable_key)
        yield BySupabase(auth, sign_in)
        sign_in.close()


@pytest.fixture
def by_oidc(nobody_here):
    with OidcDouble() as provider:
        people = OurPeople(nobody_here)
        oidc = Oidc(provider.url, CLIENT, SecretStr(CLIENT_SECRET), people)
        yield ByOidc(provider, oidc, people)
        oidc.close()


def refresh_of(tokens):
    return tokens.refresh_token.get_secret_value()


def access_of(tokens):
    return tokens.access_token.get_secret_value()


# --- over both ----------------------------------------------------------------------------------------------------


def test_signing_in_names_the_person_and_their_roles(way):
    tokens = way.come(EMAIL, "editor", "qa", "owner")

    assert tokens.identity.email == EMAIL
    assert tokens.identity.roles == {Role.editor, Role.qa}
    assert tokens.identity.name
    assert tokens.expires_at.tzinfo is not None
    assert timedelta(0) < tokens.expires_at - datetime.now(UTC) <= timedelta(hours=1)


def test_the_same_person_is_the_same_every_time_and_nobody_else(way):
    first, again, other = way.come(), way.come(), way.come("quinn@team.example")

    assert first.identity.person == again.identity.person != other.identity.person


def test_whoever_has_no_role_is_known_and_may_nothing(way):
    assert way.come().identity.roles == frozenset()


def test_a_refresh_is_of_the_same_person_with_the_roles_of_now(way):
    before = way.come(EMAIL, "editor")
    way.set_roles("product")

    after = way.renews.refresh(refresh_of(before))

    assert after.identity.person == before.identity.person
    assert after.identity.roles == {Role.product}
    assert access_of(after) != access_of(before)
    assert way.renews.refresh(refresh_of(after)).identity == after.identity


@pytest.mark.parametrize(
    "token", ["", "made-up", "oidc.", "oidc.x.y", "oidc.6f1c0a52-0000-4000-8000-00000000000a.x"]
)
def test_a_refresh_token_that_is_none_ends_the_session(way, token):
    with pytest.raises(SessionEnded):
        way.renews.refresh(token)


def test_who_is_banned_or_gone_is_signed_out_at_the_next_refresh(way):
    tokens = way.come()
    way.ban()
    with pytest.raises(SessionEnded):
        way.renews.refresh(refresh_of(tokens))


def test_who_was_deleted_is_signed_out_at_the_next_refresh(way):
    tokens = way.come()
    way.forget()
    with pytest.raises(SessionEnded):
        way.renews.refresh(refresh_of(tokens))


@pytest.mark.parametrize("everywhere", [False, True])
def test_signing_out_twice_is_no_error(way, everywhere):
    tokens = way.come()

    for _ in range(2):
        way.renews.sign_out(access_of(tokens), everywhere=everywhere)


@pytest.mark.parametrize("kind", ["breaks", "bad gateway", "error page"])
def test_a_provider_that_does_not_answer_ends_nothing_and_is_asked_again(way, kind):
    tokens = way.come()
    way.fails(kind)
    with pytest.raises(SignInUnavailable):
        way.renews.refresh(refresh_of(tokens))

    assert way.renews.refresh(refresh_of(tokens)).identity == tokens.identity


@pytest.mark.parametrize("kind", ["page for an answer", "empty object", "list", "redirect"])
def test_an_answer_that_cannot_be_used_is_nobody_s_sign_in_and_ends_none(way, kind):
    tokens = way.come()
    way.fails(kind)

    with pytest.raises(SignInUnavailable):
        way.renews.refresh(refresh_of(tokens))


@pytest.mark.parametrize("kind", ["breaks", "bad gateway"])
def test_a_sign_out_that_was_not_heard_says_so(way, kind):
    tokens = way.come()
    way.fails(kind)

    with pytest.raises(SignInUnavailable):
        way.renews.sign_out(access_of(tokens), everywhere=True)


def test_too_many_requests_are_said_to_be_that(way):
    tokens = way.come()
    way.fails("limits")

    with pytest.raises(TooManyAttempts) as refusal:
        way.renews.refresh(refresh_of(tokens))

    assert refusal.value.status == 429


def test_nothing_secret_stands_in_a_repr_a_log_or_an_error(way):
    secrets = {PASSWORD, CLIENT_SECRET, "sb_publishable_double_0123456789"}
    said = []
    with structlog.testing.capture_logs() as lines:
        tokens = way.come()
        secrets |= {access_of(tokens), refresh_of(tokens), refresh_of(tokens).rpartition(".")[2]}
        said += [repr(tokens), str(tokens), repr(way.renews), repr(vars(way.renews))]
        for kind in ("breaks", "limits", *FAULTS):
            way.fails(kind)
            try:
                way.renews.refresh(refresh_of(tokens))
            except StudioError as error:
                said += [repr(error), str(error), error.sentence]
    said.append(str(lines))

    assert [text for text in said for secret in secrets if secret in text] == []


def test_people_who_sign_in_at_once_are_never_taken_for_each_other(by_supabase):
    emails = [f"p{number}@team.example" for number in range(8)]
    for email in emails:
        by_supabase.come(email)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda email: by_supabase.renews.sign_in(email, PASSWORD), emails * 3))

    assert [tokens.identity.email for tokens in found] == emails * 3


def test_each_token_finds_whoever_renews_it(by_supabase, by_oidc):
    ours, theirs = by_supabase.come(), by_oidc.come()

    for tokens, way in ((ours, by_supabase), (theirs, by_oidc)):
        for token in (refresh_of(tokens), access_of(tokens)):
            assert renewing(token, by_supabase.renews, by_oidc.renews) is way.renews


# --- Supabase's own -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("old_errors", [False, True])
def test_a_wrong_password_and_a_banned_or_unknown_person_read_the_same(by_supabase, old_errors):
    auth = by_supabase.auth
    auth.old_errors = old_errors
    auth.person(EMAIL, PASSWORD)
    auth.person("banned@team.example", PASSWORD).ban("24h")
    said = set()
    for email, password in (
        (EMAIL, "another"),
        ("nobody@team.example", PASSWORD),
        ("banned@team.example", PASSWORD),
        ("no address", PASSWORD),
    ):
        with pytest.raises(WrongCredentials) as refusal:
            by_supabase.renews.sign_in(email, password)
        said.add((str(refusal.value), refusal.value.reason, refusal.value.status))

    assert len(said) == 1


@pytest.mark.parametrize(("email", "password"), [("", PASSWORD), ("  ", PASSWORD), (EMAIL, "")])
def test_nothing_entered_is_not_sent(by_supabase, email, password):
    with pytest.raises(WrongCredentials):
        by_supabase.renews.sign_in(email, password)

    assert by_supabase.auth.counts == {}


def test_an_address_that_is_not_confirmed_is_told_to_its_owner_only(by_supabase):
    by_supabase.auth.person(EMAIL, PASSWORD).confirmed_at = None

    with pytest.raises(WrongCredentials) as right:
        by_supabase.renews.sign_in(EMAIL, PASSWORD)
    with pytest.raises(WrongCredentials) as wrong:
        by_supabase.renews.sign_in(EMAIL, "another")

    assert (right.value.reason, wrong.value.reason) == ("EMAIL_NOT_CONFIRMED", "WRONG_CREDENTIALS")


def test_a_wait_that_is_asked_for_is_handed_on(by_supabase):
    by_supabase.auth.limits("token", retry_after=40)

    with pytest.raises(TooManyAttempts) as refusal:
        by_supabase.renews.sign_in(EMAIL, PASSWORD)

    assert refusal.value.retry_after == 40


def test_a_refresh_token_that_somebody_used_before_ends_the_session(by_supabase):
    by_supabase.auth.reuse_seconds = 0
    tokens = by_supabase.come()
    by_supabase.renews.refresh(refresh_of(tokens))

    with pytest.raises(SessionEnded):
        by_supabase.renews.refresh(refresh_of(tokens))


@pytest.mark.parametrize(("everywhere", "left"), [(False, 1), (True, 0)])
def test_signing_out_ends_one_sign_in_or_all(by_supabase, everywhere, left):
    first = by_supabase.come()
    by_supabase.come()

    by_supabase.renews.sign_out(access_of(first), everywhere=everywhere)

    assert len(by_supabase.auth.sessions) == left


def test_an_access_that_is_over_takes_nothing_back_and_says_so(by_supabase):
    by_supabase.auth.lasts = -5
    tokens = by_supabase.come()

    with pytest.raises(SessionEnded) as refusal:
        by_supabase.renews.sign_out(access_of(tokens), everywhere=True)

    assert refusal.value.reason == "ACCESS_ENDED"
    assert by_supabase.auth.sessions


def test_a_key_the_project_does_not_know_is_an_admin_s_to_mend(by_supabase):
    stranger = SupabaseSignIn(by_supabase.auth.url, "sb_publishable_of_another_project")

    with pytest.raises(SignInUnavailable) as refusal:
        stranger.sign_in(EMAIL, PASSWORD)

    assert refusal.value.reason == "SIGN_IN_SETUP"
    stranger.close()


def test_one_sign_in_costs_one_request(by_supabase):
    by_supabase.come()

    assert by_supabase.auth.counts == {"POST /token": 1}


def test_what_was_signed_in_is_what_the_token_says(by_supabase):
    auth = by_supabase.auth
    tokens = by_supabase.come(EMAIL, "admin")

    verifier = TokenVerifier(Settings(_env_file=None, supabase_url=auth.url))

    assert verifier.verify(access_of(tokens)) == tokens.identity
    verifier.close()


def test_a_key_that_was_rotated_is_believed_and_one_that_was_taken_away_is_not(by_supabase):
    auth = by_supabase.auth
    account = auth.person(EMAIL)
    stolen = auth.token(account)
    auth.rotate_keys(keep=False)
    verifier = TokenVerifier(Settings(_env_file=None, supabase_url=auth.url))

    assert verifier.verify(auth.token(account))
    with pytest.raises(NotSignedIn):
        verifier.verify(stolen)
    assert auth.counts == {"GET /.well-known/jwks.json": 1}
    verifier.close()


def test_the_secret_key_signs_nobody_in():
    with pytest.raises(SetupFailed):
        SupabaseSignIn("https://project.supabase.invalid", "sb_secret_0123")


@pytest.mark.parametrize(
    "url", ["project.supabase.co", "ftp://x", "https://", "https://a:b@x", "https://x?y=1"]
)
def test_an_address_that_is_no_project_is_said_at_once(url):
    with pytest.raises(SetupFailed) as refusal:
        SupabaseSignIn(url, "sb_publishable_x")

    assert "SUPABASE_URL" in str(refusal.value)


def test_without_a_project_nobody_signs_in_by_password():
    assert open_sign_in(Settings(_env_file=None)) is None
    assert open_sign_in(Settings(_env_file=None, supabase_url="https://project.supabase.invalid")) is None


def test_a_client_that_is_handed_in_is_not_closed():
    with httpx.Client() as client:
        SupabaseSignIn("https://project.supabase.invalid", "sb_publishable_x", client).close()

        assert not client.is_closed
