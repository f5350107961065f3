"""Tokens of Supabase Auth: which count, and that nothing a token says of itself makes it count."""

import base64
import hashlib
import hmac
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
import jwt
import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import NotSignedIn, SignInUnavailable
from core.settings import Settings
from core.tokens import LEEWAY, LONGEST, TokenRefused, TokenVerifier, Why
from core.values import Role
from tests.supabase.signing import SECRET, key_set, known_key

A_DAY = 86_400  # seconds: cases are made when tests are gathered, long before some of them run
URL = "https://project.supabase.invalid"
PERSON = "6f1c0a52-0000-4000-8000-00000000000a"
EC, RSA, HMAC = (known_key(algorithm) for algorithm in ("ES256", "RS256", "HS256"))
STRANGER = known_key("ES256", 9)


class Project:
    """The project's JWKS, without a network."""

    def __init__(self):
        self.keys = [EC, RSA]
        self.asked = []
        self.is_away = False
        self.body = None

    def __call__(self, request):
        self.asked.append(str(request.url))
        if self.is_away:
            raise httpx.ConnectError("away", request=request)
        return (
            httpx.Response(200, content=self.body)
            if self.body
            else httpx.Response(200, json=key_set(self.keys))
        )


@pytest.fixture
def project():
    return Project()


@pytest.fixture
def build(project):
    def make(**values):
        named = {"supabase_url": URL, "supabase_jwt_secret": SECRET} | values
        client = httpx.Client(transport=httpx.MockTransport(project))
        return TokenVerifier(Settings(_env_file=None, **named), client)

    return make


@pytest.fixture
def verifier(build):
    return build()


def claims(**changes):
    said = {
        "iss": f"{URL}/auth/v1",
        "sub": PERSON,
        "aud": "authenticated",
        "exp": int(time.time()) + A_DAY,
        "iat": int(time.time()),
        "email": "edda@team.example",
        "role": "authenticated",
        "app_metadata": {"provider": "email", "roles": ["editor", "qa"]},
        "user_metadata": {"full_name": "Edda Team"},
    } | changes
    return {name: value for name, value in said.items() if value is not None}


def why_not(verifier, token):
    with pytest.raises(TokenRefused) as refusal:
        verifier.verify(token)
    return refusal.value.why


def by_hand(header, payload, signature=b""):
    parts = (json.dumps(header).encode(), json.dumps(payload).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def signature(head, secret):
    signed = hmac.new(secret, head.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(signed).rstrip(b"=").decode()


@pytest.mark.parametrize("key", [EC, RSA, HMAC], ids=lambda key: key.algorithm)
def test_a_token_of_the_project_names_its_person_and_their_roles(verifier, key):
    found = verifier.verify(key.sign(claims()))

    assert str(found.person) == PERSON
    assert (found.email, found.name) == ("edda@team.example", "Edda Team")
    assert found.roles == {Role.editor, Role.qa}


def test_a_legacy_token_needs_no_key_id_and_asks_for_no_keys(verifier, project):
    found = verifier.verify(jwt.encode(claims(), SECRET, "HS256"))

    assert str(found.person) == PERSON
    assert project.asked == []


def test_the_keys_are_asked_for_once(verifier, project):
    for _ in range(20):
        verifier.verify(EC.sign(claims()))

    assert project.asked == [f"{URL}/auth/v1/.well-known/jwks.json"]


@pytest.mark.parametrize("url", [f"{URL}/", f" {URL}", "https://Project.Supabase.invalid", f"{URL}:443/"])
def test_another_spelling_of_the_address_makes_no_other_issuer(build, url):
    assert build(supabase_url=url).verify(EC.sign(claims()))


REFUSED = {
    "another project": ({"iss": "https://other.supabase.invalid/auth/v1"}, Why.issuer),
    "an issuer with more behind it": ({"iss": f"{URL}/auth/v1/"}, Why.issuer),
    "no issuer": ({"iss": None}, Why.missing_claim),
    "another audience": ({"aud": "anon"}, Why.audience),
    "an audience among others": ({"aud": ["authenticated", "anon"]}, Why.audience),
    "no audience": ({"aud": None}, Why.missing_claim),
    "the service": ({"role": "service_role"}, Why.role),
    "nobody": ({"role": "anon"}, Why.role),
    "no role": ({"role": None}, Why.missing_claim),
    "a role in capitals": ({"role": "Authenticated"}, Why.role),
    "roles for a role": ({"role": ["authenticated"]}, Why.role),
    "over": ({"exp": int(time.time()) - LEEWAY - 1}, Why.expired),
    "no end": ({"exp": None}, Why.missing_claim),
    "an end in words": ({"exp": "tomorrow"}, Why.claims),
    "an end that is no number": ({"exp": float("inf")}, Why.claims),
    "not yet": ({"nbf": int(time.time()) + A_DAY}, Why.not_yet),
    "made in the future": ({"iat": int(time.time()) + A_DAY}, Why.not_yet),
    "no person": ({"sub": None}, Why.missing_claim),
    "an empty person": ({"sub": ""}, Why.subject),
    "a person that is a number": ({"sub": 7}, Why.subject),
    "a person that is a name": ({"sub": "edda"}, Why.subject),
    "a person with braces": ({"sub": f"{{{PERSON}}}"}, Why.subject),
    "a person as an address": ({"sub": f"urn:uuid:{PERSON}"}, Why.subject),
}


@pytest.mark.parametrize(("changes", "why"), REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.parametrize("key", [EC, HMAC], ids=lambda key: key.algorithm)
def test_a_signed_token_that_is_not_for_us_is_refused(verifier, key, changes, why):
    assert why_not(verifier, key.sign(claims(**changes))) == why


def test_two_clocks_may_differ_by_some_seconds(verifier):
    assert verifier.verify(
        EC.sign(claims(exp=int(time.time()) - LEEWAY + 3, iat=int(time.time()) + LEEWAY - 3))
    )


FORGED = {
    "none": (by_hand({"alg": "none", "typ": "JWT"}, claims()), Why.algorithm),
    "none with a key's id": (by_hand({"alg": "none", "kid": EC.kid}, claims()), Why.algorithm),
    "None": (by_hand({"alg": "None", "kid": EC.kid}, claims(), b"x"), Why.algorithm),
    "no algorithm": (by_hand({"kid": EC.kid}, claims(), b"x"), Why.algorithm),
    "an algorithm that is a list": (
        by_hand({"alg": ["ES256"], "kid": EC.kid}, claims(), b"x"),
        Why.algorithm,
    ),
    "HS384 with the secret": (jwt.encode(claims(), SECRET.ljust(48, "x"), "HS384"), Why.algorithm),
    "another secret": (jwt.encode(claims(), "another secret, long enough for HS256", "HS256"), Why.signature),
    "an empty signature": (by_hand({"alg": "HS256"}, claims()), Why.signature),
    "a stranger's key": (STRANGER.sign(claims()), Why.unknown_key),
    "a stranger's key under a name of ours": (STRANGER.sign(claims(), kid=EC.kid), Why.signature),
    "no key's name": (by_hand({"alg": "ES256"}, claims(), b"x" * 64), Why.no_key_id),
    "an empty key's name": (EC.sign(claims(), kid=""), Why.no_key_id),
    "a key's name that is a number": (
        by_hand({"alg": "ES256", "kid": 7}, claims(), b"x" * 64),
        Why.unreadable,
    ),
    "RS256 under the name of an EC key": (RSA.sign(claims(), kid=EC.kid), Why.algorithm),
    "ES256 under the name of an RSA key": (EC.sign(claims(), kid=RSA.kid), Why.algorithm),
    "what must be understood and is not": (
        by_hand({"alg": "ES256", "kid": EC.kid, "crit": ["exp"], "exp": 1}, claims(), b"x" * 64),
        Why.unreadable,
    ),
    "a payload beside the token": (
        by_hand({"alg": "ES256", "kid": EC.kid, "crit": ["b64"], "b64": True}, claims(), b"x" * 64),
        Why.critical_header,
    ),
    "a key it brings along": (
        STRANGER.sign(claims(), jwk=STRANGER.public(), jku="https://evil.invalid"),
        Why.unknown_key,
    ),
}


@pytest.mark.parametrize(("token", "why"), FORGED.values(), ids=FORGED.keys())
def test_a_token_that_the_project_did_not_sign_is_refused(verifier, token, why):
    assert why_not(verifier, token) == why


def test_the_public_key_taken_for_a_secret_signs_nothing(build):
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = EC.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for secret in (public, json.dumps(EC.public()).encode()):
        head = by_hand({"alg": "HS256", "kid": EC.kid, "typ": "JWT"}, claims()).rstrip(".")
        token = f"{head}.{signature(head, secret)}"

        assert why_not(build(), token) == Why.signature
        assert why_not(build(supabase_jwt_secret=None), token) == Why.algorithm


def test_without_the_legacy_secret_no_legacy_token_counts(build):
    assert why_not(build(supabase_jwt_secret=None), HMAC.sign(claims())) == Why.algorithm


def test_a_legacy_secret_that_is_too_short_is_none(build):
    token = by_hand({"alg": "HS256"}, claims(), b"x" * 32)

    assert why_not(build(supabase_jwt_secret="short"), token) == Why.signature


def test_without_a_project_no_token_counts(build):
    assert why_not(build(supabase_url=None), EC.sign(claims())) == Why.no_project


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        "a.b.c",
        "é.b.c",
        "x" * (LONGEST + 1),
        by_hand([], {}),
        by_hand(7, 7),
        "[.[.[",
    ],
)
def test_what_is_no_token_is_refused(verifier, token):
    assert why_not(verifier, token) == Why.unreadable


def test_a_header_that_goes_very_deep_is_refused(verifier):
    deep = base64.urlsafe_b64encode(b'{"a":' + b"[" * 5000).rstrip(b"=").decode()

    assert why_not(verifier, f"{deep}.e30.e30") == Why.unreadable


def test_while_the_project_is_away_nobody_is_taken_for_signed_out(verifier, project):
    project.is_away = True
    with pytest.raises(SignInUnavailable):
        verifier.verify(EC.sign(claims()))


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b"null", b"{" * 3000, b'{"keys": "x' + b"x" * 300_000 + b'"}']
)
def test_keys_that_cannot_be_read_are_a_project_that_is_away(verifier, project, body):
    project.body = body
    with pytest.raises(SignInUnavailable):
        verifier.verify(EC.sign(claims()))


def test_a_thousand_tokens_with_made_up_keys_cost_one_request(verifier, project):
    tokens = [STRANGER.sign(claims(), kid=str(uuid4())) for _ in range(1000)]

    def refused(token):
        with pytest.raises(NotSignedIn):
            verifier.verify(token)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(refused, tokens))

    assert len(project.asked) == 1
    assert verifier.verify(EC.sign(claims()))


@pytest.mark.parametrize(
    ("metadata", "roles"),
    [
        ({"roles": ["editor", "owner", "ADMIN", "", 7, None, ["admin"]]}, {Role.editor}),
        ({"roles": ["admin", "admin"]}, {Role.admin}),
        ({"roles": "admin"}, set()),
        ({"roles": {"admin": True}}, set()),
        ({"roles": None}, set()),
        ({"role": "admin"}, set()),
        (["admin"], set()),
        ("admin", set()),
    ],
)
def test_only_known_words_in_a_list_are_roles(verifier, metadata, roles):
    assert verifier.verify(EC.sign(claims(app_metadata=metadata))).roles == roles


def test_what_people_write_about_themselves_gives_no_role(verifier):
    mine = {"roles": ["admin"], "app_metadata": {"roles": ["admin"]}}

    found = verifier.verify(
        EC.sign(claims(app_metadata=None, user_metadata=mine, roles=["admin"], user_role="admin"))
    )

    assert found.roles == set()


@pytest.mark.parametrize(
    ("metadata", "name"),
    [
        ({"full_name": "  Edda\r\nSet-Cookie: a=b\x00 "}, "Edda Set-Cookie: a=b"),
        ({"full_name": "Ed\u202eda\u200b"}, "Edda"),
        ({"name": "E" * 500}, "E" * 80),
        ({"full_name": "\n\t", "name": "Edda"}, "Edda"),
        ({"full_name": ["Edda"]}, "edda"),
        ("Edda", "edda"),
        (None, "edda"),
    ],
)
def test_a_name_is_one_short_line_whatever_its_person_wrote(verifier, metadata, name):
    assert verifier.verify(EC.sign(claims(user_metadata=metadata))).name == name


def used(method, ago=0):
    """One line of the claim `amr`; made while a test runs."""
    return {"method": method, "timestamp": int(time.time()) - ago}


@pytest.mark.parametrize("methods", [[("otp",)], [("totp",), ("invite", 3500)], [("recovery", -5)]])
def test_a_link_of_a_message_opens_the_way_to_a_new_password(verifier, methods):
    token = EC.sign(claims(amr=[used(*one) for one in methods]))

    assert verifier.verify_letter(token).email == "edda@team.example"


@pytest.mark.parametrize(
    "methods",
    [
        None,
        [],
        "otp",
        ["otp"],
        [None],
        [("password",)],
        [("oauth",), ("totp",)],
        [("otp", 3700)],
        [("otp", -60)],
        [(["otp"],)],
        [{"method": "otp"}],
        [{"method": "otp", "timestamp": "now"}],
    ],
)
def test_no_other_sign_in_does(verifier, methods):
    if isinstance(methods, list):
        methods = [used(*one) if isinstance(one, tuple) else one for one in methods]
    token = EC.sign(claims(amr=methods))

    with structlog.testing.capture_logs() as said, pytest.raises(TokenRefused) as refused:
        verifier.verify_letter(token)

    assert (refused.value.why, [one["why"] for one in said]) == (Why.no_letter, [Why.no_letter])
    assert verifier.verify(token).person


def test_the_log_says_why_and_never_the_token(verifier):
    token = EC.sign(claims(aud="other"))
    with structlog.testing.capture_logs() as lines:
        why_not(verifier, token)

    assert [(line["event"], line["why"]) for line in lines] == [("token_refused", "audience")]
    assert token.rpartition(".")[2] not in str(lines)


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
WORDS = st.sampled_from(["roles", "admin", "editor", "authenticated", PERSON])
JSON = (
    PLAIN
    | WORDS
    | st.lists(PLAIN | WORDS, max_size=3)
    | st.dictionaries(WORDS, PLAIN | st.lists(WORDS), max_size=3)
)
NAMES = st.sampled_from(
    ["iss", "sub", "aud", "exp", "nbf", "iat", "role", "email", "app_metadata", "user_metadata", "jti"]
)
PATIENT = settings(
    max_examples=2000 if os.environ.get("SOAK") else 40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@PATIENT
@given(changes=st.dictionaries(NAMES, JSON, max_size=4))
def test_whatever_a_signed_token_says_it_is_refused_in_words_or_names_its_own_person(verifier, changes):
    payload = claims() | changes
    head = by_hand({"alg": "HS256", "typ": "JWT"}, payload).rstrip(".")
    token = f"{head}.{signature(head, SECRET.encode())}"
    try:
        found = verifier.verify(token)
    except TokenRefused:
        return
    assert payload["iss"] == f"{URL}/auth/v1"
    assert (payload["aud"], payload["role"]) == ("authenticated", "authenticated")
    assert str(found.person) == payload["sub"].lower()
    metadata = payload["app_metadata"]
    listed = metadata.get("roles", []) if isinstance(metadata, dict) else []
    assert found.roles <= set(Role)
    assert all(role in listed for role in found.roles)
    assert found.name.isprintable()


@PATIENT
@given(
    header=st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "jku", "x5c"]), JSON)
)
def test_whatever_a_header_says_an_unsigned_token_never_counts(verifier, header):
    with pytest.raises((TokenRefused, SignInUnavailable)):
        verifier.verify(by_hand(header, claims(), b"x" * 64))


@PATIENT
@given(data=st.data())
def test_a_token_with_one_character_changed_never_counts(verifier, data):
    token = EC.sign(claims())
    place = data.draw(st.integers(0, len(token) - 1))
    char = data.draw(st.sampled_from("ABCDEFGHIJKLMNOPabcdefghij0123456789-_."))
    changed = token[:place] + char + token[place + 1 :]
    if changed == token:
        return
    with pytest.raises(TokenRefused):
        verifier.verify(changed)


@PATIENT
@given(text=st.text(max_size=200))
def test_any_text_at_all_is_refused_in_words(verifier, text):
    with pytest.raises(TokenRefused):
        verifier.verify(text)
