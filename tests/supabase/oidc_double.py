"""An OpenID Connect provider on loopback, with faults on demand: discovery, the code flow with PKCE, refresh, revocation.

`come_back` does what a browser and a person would: it follows the address the product made, and returns what the
provider sends back.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

import httpx

from tests.emulator.wire import Loss, Reply, Request, json_reply
from tests.supabase.running import Closing, Running
from tests.supabase.signing import SigningKey, key_set, known_key, new_key
from tests.supabase.storage_double import Fault

CLIENT = "portrait-studio"
CLIENT_SECRET = "s3cret: with/odd=characters&"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What came with the browser, kept under its code."""

    subject: str
    redirect_uri: str
    nonce: str
    challenge: str


@dataclass(kw_only=True)
class OidcDouble(Closing):
    """A running provider; `url` is its issuer. A context manager."""

    algorithm: str = "RS256"
    client_secret: str | None = CLIENT_SECRET
    methods: tuple[str, ...] = ("client_secret_basic", "client_secret_post")
    scopes: tuple[str, ...] = ("openid", "email", "profile", "offline_access")
    people: dict[str, dict[str, object]] = field(default_factory=dict)  # claims by subject
    signed_in: str = ""  # the subject whose browser it is
    wrong: dict[str, object] = field(
        default_factory=dict
    )  # claims that replace the ID token's; None leaves one out
    discovery: dict[str, object] = field(default_factory=dict)  # replaces lines of the discovery document
    id_token_at_refresh: bool = True
    rotates: bool = True  # a refresh brings a new refresh token
    lasts: int = 300  # seconds
    counts: Counter[str] = field(default_factory=Counter)  # requests by path
    revoked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.keys: list[SigningKey] = [known_key(self.algorithm, 1)]
        self._codes: dict[str, Asked] = {}
        self._refresh: dict[str, Asked] = {}
        self._faults: deque[Fault] = deque()
        self._running = Running(self, "oidc double")
        self.url = self._running.url

    def person(self, subject: str, email: str, **claims: object) -> str:
        """Somebody the provider knows, and from now on the one whose browser it is."""
        self.people[subject] = {"email": email, "email_verified": True, "name": subject.title(), **claims}
        self.signed_in = subject
        return subject

    def come_back(self, url: str) -> dict[str, str]:
        """What the provider sends the browser back with."""
        response = httpx.get(url, follow_redirects=False, trust_env=False)
        return dict(parse_qsl(urlsplit(response.headers["location"]).query))

    def fault(self, at: str, *, count: int = 1, **reply: object) -> None:
        """The next `count` answers at a path go wrong."""
        self._faults.extend([Fault(at=at, reply=Reply(**reply))] * count)

    def breaks(self, at: str, *, count: int = 1) -> None:
        self.fault(at, count=count, loss=Loss.reset)

    def rotate_keys(self) -> None:
        """Sign with a fresh key, and show no other."""
        self.keys = [new_key(self.algorithm)]

    def close(self) -> None:
        self._running.close()

    # --- what the server calls

    def refuses_body(self, _request: Request) -> bool:
        return False

    def answer(self, request: Request) -> Reply:
        self.counts[request.path] += 1
        for fault in self._faults:
            if fault.at in {request.path, "*"}:
                self._faults.remove(fault)
                return fault.reply
        acts = {
            "/.well-known/openid-configuration": self._discover,
            "/authorize": self._authorize,
            "/token": self._token,
            "/revoke": self._revoke,
            "/jwks": lambda _: json_reply(key_set(self.keys)),
        }
        act = acts.get(request.path)
        return act(request) if act is not None else Reply(status=404)

    def _discover(self, _request: Request) -> Reply:
        said = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            "revocation_endpoint": f"{self.url}/revoke",
            "token_endpoint_auth_methods_supported": list(self.methods),
            "scopes_supported": list(self.scopes),
        }
        return json_reply(
            {name: value for name, value in (said | self.discovery).items() if value is not None}
        )

    def _authorize(self, request: Request) -> Reply:
        asked = request.query
        code = secrets.token_urlsafe(16)
        self._codes[code] = Asked(
            subject=self.signed_in,
            redirect_uri=asked["redirect_uri"],
            nonce=asked["nonce"],
            challenge=asked["code_challenge"],
        )
        assert asked["code_challenge_method"] == "S256"
        assert asked["client_id"] == CLIENT
        back = urlencode({"code": code, "state": asked["state"]})
        return Reply(status=302, headers={"location": f"{asked['redirect_uri']}?{back}"})

    def _token(self, request: Request) -> Reply:
        form = dict(parse_qsl(request.body.decode()))
        if not self._is_client(request, form):
            return json_reply({"error": "invalid_client"}, status=401)
        if form["grant_type"] == "refresh_token":
            return self._refreshed(form)
        asked = self._codes.pop(form["code"], None)  # a code counts once
        if asked is None or asked.redirect_uri != form.get("redirect_uri"):
            return json_reply({"error": "invalid_grant"}, status=400)
        if _challenge(form.get("code_verifier", "")) != asked.challenge:
            return json_reply({"error": "invalid_grant"}, status=400)
        return self._tokens(asked, with_id_token=True)

    def _refreshed(self, form: dict[str, str]) -> Reply:
        given = form["refresh_token"]
        asked = self._refresh.pop(given, None) if self.rotates else self._refresh.get(given)
        if asked is None or asked.subject not in self.people:
            return json_reply({"error": "invalid_grant"}, status=400)
        # No nonce at a refresh: nobody's browser asked.
        return self._tokens(replace(asked, nonce=""), with_id_token=self.id_token_at_refresh)

    def _tokens(self, asked: Asked, *, with_id_token: bool) -> Reply:
        said: dict[str, object] = {
            "access_token": secrets.token_urlsafe(16),
            "token_type": "Bearer",
            "expires_in": self.lasts,
        }
        if "offline_access" in self.scopes and (self.rotates or asked.nonce):
            said["refresh_token"] = secrets.token_urlsafe(16)
            self._refresh[said["refresh_token"]] = asked
        if with_id_token:
            said["id_token"] = self.id_token(asked.subject, asked.nonce)
        return json_reply(said, headers={"cache-control": "no-store"})

    def id_token(self, subject: str, nonce: str) -> str:
        began = int(time.time())
        claims: dict[str, object] = {
            "iss": self.url,
            "sub": subject,
            "aud": CLIENT,
            "iat": began,
            "exp": began + 300,
            **({"nonce": nonce} if nonce else {}),
            **self.people[subject],
            **self.wrong,
        }
        return self.keys[0].sign({name: value for name, value in claims.items() if value is not None})

    def _revoke(self, request: Request) -> Reply:
        form = dict(parse_qsl(request.body.decode()))
        if not self._is_client(request, form):
            return json_reply({"error": "invalid_client"}, status=401)
        self.revoked.append(form["token"])
        return Reply()

    def _is_client(self, request: Request, form: dict[str, str]) -> bool:
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if kind == "Basic":
            name, _, secret = base64.b64decode(given).decode().partition(":")
            is_known = (unquote_plus(name), unquote_plus(secret)) == (CLIENT, self.client_secret)
            return "client_secret_basic" in self.methods and is_known
        if self.client_secret is not None and "client_secret_post" not in self.methods:
            return False
        return form.get("client_id") == CLIENT and form.get("client_secret") == self.client_secret


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
