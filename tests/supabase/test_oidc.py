"""Single sign-on: who comes back is believed only as far as the provider signed it, for us, for this very sign-in."""

import base64
import hashlib
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import httpx
import jwt
import pytest
from pydantic import SecretStr, ValidationError

from core.errors import NotAllowed, SessionEnded, SetupFailed, SignInUnavailable
from core.identity.oidc import Oidc, open_oidc, person_id
from core.identity.people import OurPeople
from core.identity.signing_keys import AWAY_INTERVAL
from core.identity.supabase_people import SupabasePeople
from core.settings import Settings
from core.values import Role
from tests.supabase.auth_double import AuthDouble
from tests.supabase.oidc_double import CLIENT, CLIENT_SECRET, OidcDouble
from tests.supabase.signing import known_key

pytest_plugins = ["tests.supabase.fix_people"]

EMAIL = "edda@team.example"
BACK = "https://studio.team.example/sign-in/oidc/callback"


@pytest.fixture
def provider():
    with OidcDouble() as running:
        running.person("edda", EMAIL)
        yield running


@pytest.fixture
def people(nobody_here):
    return OurPeople(nobody_here)


@pytest.fixture
def build(provider, people):
    opened = []

    def make(**values):
        named = {"client_secret": SecretStr(CLIENT_SECRET)} | values
        issuer = named.pop("issuer", provider.url)
        opened.append(Oidc(issuer, CLIENT, named.pop("client_secret"), people, **named))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.fixture
def oidc(build):
    return build()


def come(oidc, provider, **changes):
    """A whole sign-in; `changes` are what somebody else makes of what was begun."""
    begun = oidc.begin(BACK)
    answer = provider.come_back(begun.url)
    assert begun.is_answered_by(answer["state"])
    return oidc.finish(BACK, answer["code"], replace(begun, **changes))


def refresh_of(tokens):
    return tokens.refresh_token.get_secret_value()


# --- the way there ------------------------------------------------------------------------------------------------


def test_the_browser_is_sent_with_pkce_state_and_nonce_and_no_secret(oidc, provider):
    begun = oidc.begin(BACK)

    asked = dict(parse_qsl(urlsplit(begun.url).query))
    digest = hashlib.sha256(begun.verifier.encode()).digest()
    assert begun.url.startswith(f"{provider.url}/authorize?")
    assert asked == {
        "response_type": "code",
        "client_id": CLIENT,
        "redirect_uri": BACK,
        "scope": "openid email profile offline_access",
        "state": begun.state,
        "nonce": begun.nonce,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    assert begun.verifier not in begun.url
    for secret in (begun.state, begun.nonce, begun.verifier):
        assert len(secret) >= 43
        assert secret not in repr(begun)


def test_every_sign_in_has_secrets_of_its_own(oidc):
    begun = [oidc.begin(BACK) for _ in range(20)]

    assert len({secret for one in begun for secret in (one.state, one.nonce, one.verifier)}) == 60


@pytest.mark.parametrize("state", [None, "", "another", "\udc80"])
def test_an_answer_to_another_sign_in_is_known_as_such(oidc, state):
    assert not oidc.begin(BACK).is_answered_by(state)


def test_an_address_with_a_query_of_its_own_keeps_it(oidc, provider):
    provider.discovery["authorization_endpoint"] = f"{provider.url}/authorize?tenant=north"

    assert f"{provider.url}/authorize?tenant=north&response_type=code&" in oidc.begin(BACK).url


def test_where_nothing_is_given_offline_nothing_is_asked_for_and_no_refresh_token_comes(oidc, provider):
    provider.scopes = ("openid", "email")

    tokens = come(oidc, provider)

    assert "offline_access" not in oidc.begin(BACK).url
    assert tokens.refresh_token is None


# --- the way back -------------------------------------------------------------------------------------------------


def test_whoever_comes_back_has_the_id_of_their_issuer_and_subject(oidc, provider, people):
    tokens = come(oidc, provider)

    assert tokens.identity.person == person_id(provider.url, "edda")
    assert tokens.identity.name == "Edda"
    assert people.one(tokens.identity.person).email == EMAIL
    assert provider.counts["/.well-known/openid-configuration"] == 1
    assert person_id(provider.url, "edda") != person_id("https://other.example", "edda")


def test_an_address_that_moved_to_somebody_else_makes_nobody_that_person(oidc, provider, people):
    edda = come(oidc, provider).identity.person
    people.set_roles(edda, [Role.admin])
    provider.person("eve", EMAIL)

    with pytest.raises(NotAllowed) as refusal:
        come(oidc, provider)

    assert refusal.value.reason == "EMAIL_TAKEN"
    assert people.one(edda).roles == {Role.admin}


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_both_kinds_of_key_are_believed(people, algorithm):
    with OidcDouble(algorithm=algorithm) as provider:
        provider.person("edda", EMAIL)
        oidc = Oidc(provider.url, CLIENT, SecretStr(CLIENT_SECRET), people)
        assert come(oidc, provider).identity.email == EMAIL
        oidc.close()


@pytest.mark.parametrize(
    ("secret", "methods"),
    [
        (CLIENT_SECRET, ("client_secret_basic",)),
        (CLIENT_SECRET, ("client_secret_post",)),
        (CLIENT_SECRET, ()),
        (None, ("none",)),
    ],
)
def test_the_client_proves_itself_as_the_provider_asks(build, provider, secret, methods):
    provider.client_secret, provider.methods = secret, methods or provider.methods
    if not methods:
        provider.discovery["token_endpoint_auth_methods_supported"] = None
    oidc = build(client_secret=SecretStr(secret) if secret else None)

    assert come(oidc, provider).identity.email == EMAIL


def test_a_secret_that_is_wrong_is_an_admin_s_to_mend(build, provider):
    oidc = build(client_secret=SecretStr("another secret"))

    with pytest.raises(SignInUnavailable) as refusal:
        come(oidc, provider)

    assert refusal.value.reason == "SIGN_IN_SETUP"


def test_a_code_counts_once(oidc, provider):
    begun = oidc.begin(BACK)
    code = provider.come_back(begun.url)["code"]
    oidc.finish(BACK, code, begun)

    with pytest.raises(SessionEnded):
        oidc.finish(BACK, code, begun)


def test_a_code_that_was_stolen_is_of_no_use_without_its_verifier(oidc, provider):
    with pytest.raises(SessionEnded):
        come(oidc, provider, verifier="a-guess" * 8)


def test_a_code_that_was_put_into_another_sign_in_is_refused_by_its_nonce(oidc, provider):
    with pytest.raises(NotAllowed) as refusal:
        come(oidc, provider, nonce="another")

    assert refusal.value.reason == "SIGN_IN_REFUSED"


A_DAY = 86_400  # seconds: cases are made when tests are gathered, long before some of them run
WRONG = {
    "another issuer": {"iss": "https://other.example"},
    "no issuer": {"iss": None},
    "another client": {"aud": "another"},
    "no client": {"aud": None},
    "several clients, and nobody named": {"aud": [CLIENT, "another"]},
    "several clients, for another": {"aud": [CLIENT, "another"], "azp": "another"},
    "another party": {"azp": "another"},
    "over": {"exp": int(time.time()) - 60},
    "no end": {"exp": None},
    "made in the future": {"iat": int(time.time()) + A_DAY},
    "no beginning": {"iat": None},
    "not yet": {"nbf": int(time.time()) + A_DAY},
    "no nonce": {"nonce": None},
    "a nonce that is a list": {"nonce": ["x"]},
    "no subject": {"sub": None},
    "an empty subject": {"sub": ""},
    "a subject that is a number": {"sub": 7},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_an_id_token_that_is_not_for_us_now_is_refused_and_leaves_no_row(oidc, provider, people, wrong):
    provider.wrong = wrong

    with pytest.raises(NotAllowed) as refusal:
        come(oidc, provider)

    assert refusal.value.reason == "SIGN_IN_REFUSED"
    assert people.find(EMAIL) is None


def test_a_token_for_several_clients_counts_where_it_names_us(oidc, provider):
    provider.wrong = {"aud": [CLIENT, "another"], "azp": CLIENT}

    assert come(oidc, provider).identity.email == EMAIL


def signed_by(provider, monkeypatch, make):
    """The provider's ID tokens, made by somebody else."""
    true = provider.id_token

    def forged(subject, nonce):
        claims = jwt.decode(true(subject, nonce), options={"verify_signature": False})
        return make(claims, provider.keys[0])

    monkeypatch.setattr(provider, "id_token", forged)


FORGERIES = {
    "nobody": lambda claims, _key: jwt.encode(claims, None, "none"),
    "nobody, under a key's name": lambda claims, key: jwt.encode(
        claims, None, "none", headers={"kid": key.kid}
    ),
    "a stranger": lambda claims, _key: known_key("RS256", 7).sign(claims),
    "a stranger, under a key's name": lambda claims, key: known_key("RS256", 7).sign(claims, kid=key.kid),
    "our own secret": lambda claims, key: jwt.encode(
        claims, CLIENT_SECRET.ljust(32), "HS256", headers={"kid": key.kid}
    ),
    "another kind of key": lambda claims, key: known_key("ES256", 7).sign(claims, kid=key.kid),
    "nothing at all": lambda _claims, _key: "nonsense",
}


@pytest.mark.parametrize("make", FORGERIES.values(), ids=FORGERIES.keys())
def test_an_id_token_that_the_provider_did_not_sign_is_refused(oidc, provider, people, monkeypatch, make):
    signed_by(provider, monkeypatch, make)

    with pytest.raises(NotAllowed) as refusal:
        come(oidc, provider)

    assert refusal.value.reason == "SIGN_IN_REFUSED"
    assert people.everyone(1) == []


@pytest.mark.parametrize(
    "claims",
    [
        {"email_verified": False},
        {"email_verified": None},
        {"email_verified": "false"},
        {"email_verified": 1.5},
        {"email": None},
        {"email": ["x@y"]},
        {"email": "edda"},
    ],
)
def test_an_address_that_is_not_verified_is_nobody_s(oidc, provider, people, claims):
    provider.wrong = claims

    with pytest.raises(NotAllowed) as refusal:
        come(oidc, provider)

    assert refusal.value.reason == "EMAIL_NOT_VERIFIED"
    assert people.everyone(1) == []


@pytest.mark.parametrize(
    ("named", "claims", "roles"),
    [
        ("roles", {"roles": ["editor", "owner"]}, {Role.editor}),
        ("roles", {"roles": "qa"}, {Role.qa}),
        ("groups", {"roles": ["admin"], "groups": ["product"]}, {Role.product}),
        ("realm_access.roles", {"realm_access": {"roles": ["qa"]}}, {Role.qa}),
        ("https://team.example/roles", {"https://team.example/roles": ["admin"]}, {Role.admin}),
        ("roles", {"roles": {"admin": True}}, set()),
        ("roles", {"roles": []}, set()),
        ("roles.admin", {"roles": ["admin"]}, set()),
        ("roles", {"app_metadata": {"roles": ["admin"]}}, set()),
    ],
)
def test_roles_come_from_the_named_claim_and_nowhere_else(build, provider, named, claims, roles):
    provider.people["edda"] |= claims

    assert come(build(roles_claim=named), provider).identity.roles == roles


def test_where_the_claim_is_missing_the_record_decides(oidc, provider, people):
    person = come(oidc, provider).identity.person
    people.set_roles(person, [Role.qa])

    assert come(oidc, provider).identity.roles == {Role.qa}


def test_a_banned_person_does_not_come_in(oidc, provider, people):
    people.ban(come(oidc, provider).identity.person)

    with pytest.raises(NotAllowed) as refusal:
        come(oidc, provider)

    assert refusal.value.reason == "BANNED"


def test_an_invited_address_is_its_person_s_at_the_first_sign_in(oidc, provider, people):
    people.invite(EMAIL, [Role.product])

    assert come(oidc, provider).identity.roles == {Role.product}


# --- afterwards ---------------------------------------------------------------------------------------------------


def test_a_refresh_without_a_new_id_token_is_of_the_person_on_record(oidc, provider, people):
    provider.id_token_at_refresh = False
    tokens = come(oidc, provider)
    people.set_roles(tokens.identity.person, [Role.qa])

    fresh = oidc.refresh(refresh_of(tokens))

    assert (fresh.identity.person, fresh.identity.roles) == (tokens.identity.person, {Role.qa})


def test_a_refresh_token_that_is_not_renewed_goes_on_to_count(oidc, provider):
    provider.rotates = False
    tokens = come(oidc, provider)

    for _ in range(2):
        tokens = oidc.refresh(refresh_of(tokens))

    assert tokens.identity.email == EMAIL


def test_a_refresh_that_names_somebody_else_ends_the_session(oidc, provider, people):
    tokens = come(oidc, provider)
    provider.wrong = {"sub": "eve", "email": "eve@team.example"}

    with pytest.raises(SessionEnded):
        oidc.refresh(refresh_of(tokens))

    assert people.find("eve@team.example") is None


def test_a_refresh_token_is_of_no_use_under_another_person_s_name(oidc, provider):
    edda = refresh_of(come(oidc, provider))
    provider.person("quinn", "quinn@team.example")
    quinn = refresh_of(come(oidc, provider))

    with pytest.raises(SessionEnded):
        oidc.refresh(edda.rpartition(".")[0] + "." + quinn.rpartition(".")[2])


def test_an_id_token_that_cannot_be_believed_at_a_refresh_ends_nothing(oidc, provider):
    tokens = come(oidc, provider)
    provider.wrong = {"aud": "another"}

    with pytest.raises(SignInUnavailable):
        oidc.refresh(refresh_of(tokens))


def test_who_was_erased_here_is_not_made_again_by_a_refresh(oidc, provider, people, nobody_here):
    tokens = come(oidc, provider)
    with nobody_here.as_service() as conn:
        conn.execute("DELETE FROM auth.users WHERE id = %s", [tokens.identity.person])

    with pytest.raises(SessionEnded):
        oidc.refresh(refresh_of(tokens))

    assert people.find(EMAIL) is None


def test_keys_that_were_rotated_are_read_again(oidc, provider):
    come(oidc, provider)
    provider.rotate_keys()
    oidc._keys._asked_at -= 1  # a second later

    assert come(oidc, provider).identity.email == EMAIL
    assert provider.counts["/jwks"] == 2


def test_signing_out_takes_the_token_back_where_the_provider_can(oidc, provider):
    tokens = come(oidc, provider)

    oidc.sign_out(tokens.access_token.get_secret_value(), everywhere=False)
    assert provider.revoked == [tokens.access_token.get_secret_value().rpartition(".")[2]]

    provider.discovery["revocation_endpoint"] = None


# --- a provider that is away, or is none --------------------------------------------------------------------------


def test_a_provider_that_is_away_is_said_to_be_and_is_asked_again(oidc, provider):
    provider.breaks("/.well-known/openid-configuration")
    with pytest.raises(SignInUnavailable):
        oidc.begin(BACK)
    oidc._failed = (oidc._failed[0] - AWAY_INTERVAL, oidc._failed[1])

    provider.breaks("/jwks")
    with pytest.raises(SignInUnavailable):
        come(oidc, provider)
    oidc._keys._asked_at -= 5

    assert come(oidc, provider).identity.email == EMAIL


def test_many_who_come_while_the_provider_is_silent_wait_for_one_question_together(people):
    with socket.create_server(("127.0.0.1", 0), backlog=20) as silent, httpx.Client(timeout=0.5) as client:
        oidc = Oidc(f"http://127.0.0.1:{silent.getsockname()[1]}", CLIENT, None, people, client=client)
        began = time.monotonic()
        with ThreadPoolExecutor(10) as threads:
            asked = [threads.submit(oidc.begin, BACK) for _ in range(10)]
            refused = [type(one.exception()) for one in asked]

        assert refused == [SignInUnavailable] * 10
        assert time.monotonic() - began < 2.5  # one after the other they would take five seconds


@pytest.mark.parametrize(
    "lines",
    [
        {"issuer": "https://other.example"},
        {"issuer": None},
        {"token_endpoint": None},
        {"token_endpoint": "http://login.example.org/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"jwks_uri": "//other.example/jwks"},
        {"jwks_uri": ["https://other.example"]},
    ],
)
def test_a_discovery_document_that_cannot_be_trusted_is_an_admin_s_to_mend(oidc, provider, lines):
    provider.discovery = lines

    with pytest.raises(SignInUnavailable) as refusal:
        oidc.begin(BACK)

    assert refusal.value.reason == "SIGN_IN_SETUP"


@pytest.mark.parametrize(
    "issuer", ["http://login.example.org", "login.example.org", "http://localhost.example.org", "ftp://x"]
)
def test_an_issuer_without_https_is_refused_before_anything_is_sent(people, issuer):
    with pytest.raises(SetupFailed):
        Oidc(issuer, CLIENT, None, people)
    with pytest.raises(ValidationError):
        Settings(_env_file=None, oidc_issuer=issuer)


def test_the_settings_decide_whether_there_is_single_sign_on(provider, nobody_here):
    assert open_oidc(Settings(_env_file=None), nobody_here) is None
    assert open_oidc(Settings(_env_file=None, oidc_issuer=provider.url), nobody_here) is None

    settings = Settings(
        _env_file=None,
        oidc_issuer=provider.url,
        oidc_client_id=CLIENT,
        oidc_client_secret=CLIENT_SECRET,
        oidc_roles_claim="groups",
    )
    provider.people["edda"]["groups"] = ["admin"]
    oidc = open_oidc(settings, nobody_here)

    assert settings.has_sign_in
    assert come(oidc, provider).identity.roles == {Role.admin}
    oidc.close()


def test_beside_a_supabase_project_the_account_is_made_there(provider, nobody_here):
    provider.people["edda"]["roles"] = ["editor"]
    with AuthDouble(dsn=nobody_here.dsn) as auth:
        register = SupabasePeople(auth.url, auth.secret_key, nobody_here)
        oidc = Oidc(provider.url, CLIENT, SecretStr(CLIENT_SECRET), register)

        tokens = come(oidc, provider)

        account = auth.people[str(tokens.identity.person)]
        assert (account.email, account.app_metadata["roles"]) == (EMAIL, ["editor"])
        oidc.close()
        register.close()
