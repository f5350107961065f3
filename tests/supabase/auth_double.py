"""A Supabase Auth on loopback, with faults on demand.

It stands where gateway and Auth stand in a project, and answers as reference/supabase.md §4 records; what that page
takes from the server's source rather than from a recording is played from there too. test_auth_double.py drives it
through the `supabase` client and asserts the answers one by one.

Messages with links are kept and never sent (auth_letters); following such a link works as a browser does it.

Not played, because nothing here asks for it: other ways in than e-mail and password, second factors, captchas,
anonymous people.
"""

from __future__ import annotations

import re
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID, uuid4

import jwt

from tests.emulator.wire import Loss, Reply, Request, json_reply
from tests.supabase.auth_letters import CHALLENGED, INVITE, RECOVERY, Letters, with_fragment
from tests.supabase.auth_people import Account, Rows, SignedIn
from tests.supabase.objects import now
from tests.supabase.running import Closing, Running
from tests.supabase.signing import SECRET, SigningKey, key_set, known_key, new_key
from tests.supabase.storage_double import SECRET_KEY, Fault

PREFIX = "/auth/v1"
PUBLISHABLE_KEY = "sb_publishable_double_0123456789"
VERSION = "2024-01-01"
PASSWORD = "correct horse battery"
SHORTEST_PASSWORD = 6
LONGEST_PASSWORD = 72  # bytes that its hash reads
LINK_GONE = "Email link is invalid or has expired"
REUSE_SECONDS = 10.0  # an exchanged refresh token is taken again that long
NOT_FOUND = "Invalid Refresh Token: Refresh Token Not Found"
ALREADY_USED = "Invalid Refresh Token: Already Used"


class Refused(Exception):
    """One of Auth's refusals; `more` stands beside code and message."""

    def __init__(self, status: int, code: str, message: str, **more: object) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.more = more


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Whose request it is: the service, or somebody with the sign-in their token names."""

    account: Account | None = None
    session: SignedIn | None = None
    is_service: bool = False


class AuthDouble(Closing):
    """A running Auth; `url` is the project's address. A context manager.

    `dsn`: a Postgres whose auth.users is kept as Supabase keeps it. With `serve` False it only answers (`answer`), and
    whoever serves it sets `url`.
    """

    def __init__(self, algorithm: str = "ES256", *, dsn: str | None = None, serve: bool = True) -> None:
        self.secret_key = SECRET_KEY
        self.publishable_key = PUBLISHABLE_KEY
        self.jwt_secret = SECRET
        self.people: dict[str, Account] = {}
        self.sessions: dict[str, SignedIn] = {}
        self.keys: list[SigningKey] = [known_key(algorithm)]  # the first one signs
        self.lasts = 3600  # seconds an access token counts
        self.reuse_seconds = REUSE_SECONDS
        self.confirms = False  # whether a sign-up waits for the link in a message
        self.takes_sign_ups = True
        self.asks_again = False  # whether a password is changed only by a sign-in of the last day
        self.known_passwords: set[str] = set()  # leaked ones, where a project looks for them
        self.letters = Letters()
        self.old_errors = False  # the errors' form before codes were words
        self.wait = 0.0  # seconds before each answer
        self.counts: Counter[str] = Counter()  # requests by method and path below /auth/v1
        self.calls: list[Request] = []
        self._rows = Rows(dsn) if dsn is not None else None
        self._faults: deque[Fault] = deque()
        self._running = Running(self, "auth double") if serve else None
        self.url = self._running.url if self._running is not None else ""

    # --- what a test says to it

    def person(self, email: str, password: str = PASSWORD, *roles: str, **details: object) -> Account:
        """Somebody whose e-mail is confirmed; `roles` go into app_metadata."""
        account = Account(email=email.lower(), password=password, confirmed_at=now(), **details)
        if roles:
            account.app_metadata["roles"] = list(roles)
        return self._keep(account)

    def forget(self, account: Account) -> None:
        """Delete somebody, with their sign-ins."""
        del self.people[account.id]
        self._end(lambda session: session.account == account.id)
        if self._rows is not None:
            self._rows.delete(account)

    def token(self, account: Account, *, key: SigningKey | None = None, **claims: object) -> str:
        """An access token outside any request; a claim of None is left out."""
        session = self._begin(account)
        said = {**self._claims(account, session), **claims}
        return (key or self.keys[0]).sign({name: value for name, value in said.items() if value is not None})

    def rotate_keys(self, algorithm: str | None = None, *, keep: bool = True) -> SigningKey:
        """Sign with a fresh key from now on; the old ones are shown until `keep` is False."""
        fresh = new_key(algorithm or self.keys[0].algorithm)
        self.keys = [fresh, *(self.keys if keep else [])]
        return fresh

    def fault(self, at: str, *, count: int = 1, **details: object) -> None:
        """The next `count` answers of an operation (`*`: of any) go wrong, see `Fault`."""
        self._faults.extend([Fault(at=at, **details)] * count)

    def limits(self, at: str, *, count: int = 1, retry_after: int | None = None) -> None:
        """Too many requests, as Auth itself says it."""
        said = {"retry-after": str(retry_after)} if retry_after is not None else {}
        refusal = Refused(429, "over_request_rate_limit", "Request rate limit reached")
        reply = self._refusal(refusal, is_new=not self.old_errors)
        self.fault(at, count=count, reply=replace(reply, headers=reply.headers | said))

    def bad_gateway(self, at: str, *, count: int = 1, status: int = 502) -> None:
        """A gateway's own page."""
        page = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
        self.fault(
            at, count=count, reply=Reply(status=status, body=page, headers={"content-type": "text/html"})
        )

    def breaks(self, at: str, *, count: int = 1, done: bool = False) -> None:
        """The connection is reset instead of an answer."""
        self.fault(at, count=count, reply=Reply(loss=Loss.reset), done=done)

    def close(self) -> None:
        """Stop answering; safe twice."""
        if self._running is not None:
            self._running.close()

    # --- what the server calls

    def refuses_body(self, _request: Request) -> bool:
        return False

    def answer(self, request: Request) -> Reply:
        path = request.path.removeprefix(PREFIX)
        self.counts[f"{request.method} {path}"] += 1
        self.calls.append(request)
        operation, act, parts = self._meant(request, path)
        fault = self._due(operation)
        if fault is not None and not fault.done:
            return replace(fault.reply, wait=max(fault.reply.wait, self.wait))
        reply = self._acted(request, act, parts)
        if fault is not None:
            reply = fault.reply
        return replace(reply, wait=max(reply.wait, self.wait))

    def _acted(self, request: Request, act: Callable[..., Reply], parts: tuple[str, ...]) -> Reply:
        is_new = request.headers.get("x-supabase-api-version") == VERSION and not self.old_errors
        try:
            if act not in (self._jwks, self._follow):  # what browsers and verifiers ask has no key
                self._look_at_key(request)
            reply = act(request, *parts)
        except Refused as refused:
            return self._refusal(refused, is_new=is_new)
        return replace(reply, headers=reply.headers | _version(is_new=is_new))

    def _refusal(self, refused: Refused, *, is_new: bool) -> Reply:
        if isinstance(refused, _Gateway):
            return json_reply({"message": refused.message, **refused.more}, status=refused.status)
        if is_new:
            said = {"code": refused.code, "message": refused.message}
        else:
            said = {"code": refused.status, "error_code": refused.code, "msg": refused.message}
        return json_reply(said | refused.more, status=refused.status, headers=_version(is_new=is_new))

    def _due(self, operation: str) -> Fault | None:
        for fault in self._faults:
            if fault.at in {operation, "*"}:
                self._faults.remove(fault)
                return fault
        return None

    def _meant(self, request: Request, path: str) -> tuple[str, Callable[..., Reply], tuple[str, ...]]:
        for method, pattern, operation in ROUTES:
            if method == request.method and (found := re.fullmatch(pattern, path)):
                return operation, getattr(self, f"_{operation}"), found.groups()
        return "nothing", self._nothing, ()

    def _nothing(self, _request: Request) -> Reply:
        return Reply(status=404, body=b"404 page not found\n", headers={"content-type": "text/plain"})

    def _look_at_key(self, request: Request) -> None:
        """The gateway in front: it knows two keys, and says so in words of its own."""
        given = request.headers.get("apikey", "")
        if given not in {self.publishable_key, self.secret_key}:
            raise _Gateway(given)

    # --- people themselves

    def _sign_up(self, request: Request) -> Reply:
        said = _body(request)
        email, password = _email(said), str(said.get("password") or "")
        if not self.takes_sign_ups:
            raise Refused(422, "signup_disabled", "Signups not allowed for this instance")
        self._refuse_weak(password)
        standing = self._by_email(email)
        if standing is not None and not self.confirms:
            raise Refused(422, "user_already_exists", "User already registered")
        if standing is not None:  # nobody is to learn who has an account
            return json_reply(Account(email=email, user_metadata=dict(said.get("data") or {})).told())
        account = Account(email=email, password=password, user_metadata=dict(said.get("data") or {}))
        account.confirmed_at = None if self.confirms else now()
        self._keep(account)
        return json_reply(account.told()) if self.confirms else self._session(account)

    def _token(self, request: Request) -> Reply:
        kind = request.query.get("grant_type")
        if kind == "password":
            return self._by_password(_body(request))
        if kind == "refresh_token":
            return self._refresh(_body(request))
        raise Refused(400, "unsupported_grant_type", "unsupported_grant_type")

    def _by_password(self, said: dict[str, object]) -> Reply:
        account = self._by_email(_email(said))
        if account is None:
            raise Refused(400, "invalid_credentials", "Invalid login credentials")
        if account.is_banned:
            raise Refused(400, "user_banned", "User is banned")
        if not account.password or not secrets.compare_digest(
            account.password.encode(), str(said.get("password") or "").encode()
        ):
            raise Refused(400, "invalid_credentials", "Invalid login credentials")
        if account.confirmed_at is None:
            raise Refused(400, "email_not_confirmed", "Email not confirmed")
        return self._session(account)

    def _refresh(self, said: dict[str, object]) -> Reply:
        given = said.get("refresh_token")
        if not isinstance(given, str) or not given:
            raise Refused(400, "validation_failed", "refresh_token required")
        session = self._session_of(given)
        account = self.people[session.account]
        if account.is_banned:
            raise Refused(400, "user_banned", "Invalid Refresh Token: User Banned")
        if session.is_revoked:
            raise Refused(400, "refresh_token_already_used", ALREADY_USED)
        if given == session.refresh_token:
            session.rotate(secrets.token_urlsafe(9))
        elif not self._may_be_used_again(session, given):
            session.is_revoked = True
            raise Refused(400, "refresh_token_already_used", ALREADY_USED)
        return self._told(account, session)

    def _session_of(self, refresh_token: str) -> SignedIn:
        for session in self.sessions.values():
            if refresh_token in {session.refresh_token, *(token for token, _ in session.used)}:
                return session
        raise Refused(400, "refresh_token_not_found", NOT_FOUND)

    def _may_be_used_again(self, session: SignedIn, given: str) -> bool:
        """The one before the newest, for some seconds: a client whose answer was lost, or who asked twice."""
        token, when = session.used[-1]
        return token == given and now() - when <= timedelta(seconds=self.reuse_seconds)

    def _user(self, request: Request) -> Reply:
        return json_reply(self._person(request).account.told())

    def _update_user(self, request: Request) -> Reply:
        caller, said = self._person(request), _body(request)
        account = caller.account
        if said.get("password") is not None:
            self._change_password(caller, str(said["password"]))
        account.merge("user_metadata", said.get("data"))
        return json_reply(self._keep(account).told())

    def _change_password(self, caller: Caller, password: str) -> None:
        """Every other sign-in of theirs ends, and no message opens anything any more."""
        account, own = caller.account, caller.session
        self._refuse_weak(password)
        if self.asks_again and now() - own.began_at > timedelta(days=1):
            raise Refused(400, "reauthentication_needed", "Password update requires reauthentication")
        if account.password == password:
            raise Refused(422, "same_password", "New password should be different from the old password.")
        account.password = password
        self.letters.forget(account)
        self._end(lambda session: session.account == account.id and session.id != own.id)

    def _refuse_weak(self, password: str) -> None:
        reasons = [] if len(password) >= SHORTEST_PASSWORD else ["length"]
        reasons += ["pwned"] if password in self.known_passwords else []
        if reasons:
            why = f"Password should be at least {SHORTEST_PASSWORD} characters."
            if "length" not in reasons:
                why = "Password is known to be weak and easy to guess, please choose a different one."
            raise Refused(422, "weak_password", why, weak_password={"reasons": reasons})
        if len(password.encode()) > LONGEST_PASSWORD:
            raise Refused(400, "validation_failed", "Password cannot be longer than 72 characters")

    # --- messages with a link

    def _recover(self, request: Request) -> Reply:
        """Whoever has no account is answered like everybody else; a mail server only takes time for those who have."""
        said = _body(request)
        account = self._by_email(_email(said))
        if account is None:
            return json_reply({})
        if self.letters.is_too_soon(account):
            why = f"For security purposes, you can only request this after {self.letters.every:.0f} seconds."
            raise Refused(429, "over_email_send_rate_limit", why)
        back, challenge = request.query.get("redirect_to"), said.get("code_challenge")
        self.letters.send(account, RECOVERY, back, has_challenge=bool(challenge))
        return replace(json_reply({}), wait=self.letters.takes)

    def _follow(self, request: Request) -> Reply:
        """A browser opens the usual link: the letter is used up, and what it opens stands behind the #."""
        back = self.letters.leads_to(request.query.get("redirect_to"))
        kind = request.query.get("type", "")
        try:
            account, session = self._opened(request.query.get("token", ""), kind)
        except Refused as refused:
            why = {"error_code": refused.code, "error_description": refused.message, "sb": ""}
            return _see_other(with_fragment(back, error="access_denied", **why))
        if request.query.get("token", "").startswith(CHALLENGED):
            return _see_other(f"{back}?code={uuid4()}")
        claims = self._claims(account, session)
        said = {
            "access_token": self.keys[0].sign(claims),
            "expires_at": claims["exp"],
            "expires_in": self.lasts,
            "refresh_token": session.refresh_token,
            "sb": "",
            "token_type": "bearer",
            "type": kind,
        }
        return _see_other(with_fragment(back, **said))

    def _verify(self, request: Request) -> Reply:
        said = _body(request)
        kind, token_hash = said.get("type"), said.get("token_hash")
        if not isinstance(kind, str) or not kind:
            raise Refused(400, "validation_failed", "Verify requires a verification type")
        if not isinstance(token_hash, str) or not token_hash:
            raise Refused(400, "validation_failed", "Verify requires either a token or a token hash")
        return self._told(*self._opened(token_hash, kind))

    def _opened(self, token_hash: str, kind: str) -> tuple[Account, SignedIn]:
        """A sign-in by a letter. Who was invited has a password of chance from then on, and a confirmed address."""
        if kind not in (INVITE, RECOVERY):
            raise Refused(400, "validation_failed", "Invalid email verification type")
        letter = self.letters.take(token_hash, kind)
        account = self.people.get(letter.account) if letter is not None else None
        if account is None:
            raise Refused(403, "otp_expired", LINK_GONE)
        if account.is_banned:
            raise Refused(403, "user_banned", "User is banned")
        if not account.password and account.invited_at is not None and kind == INVITE:
            account.password = secrets.token_urlsafe(48)
        account.confirmed_at = account.confirmed_at or now()
        account.last_sign_in_at = now()
        return self._keep(account), self._begin(account, "otp")

    def _logout(self, request: Request) -> Reply:
        caller, scope = self._person(request), request.query.get("scope", "global")
        if scope not in {"global", "local", "others"}:
            raise Refused(400, "validation_failed", f"Unsupported logout scope {scope!r}")
        own, mine = caller.session.id, caller.account.id
        if scope == "local":
            self._end(lambda session: session.id == own)
        else:
            spared = own if scope == "others" else ""
            self._end(lambda session: session.account == mine and session.id != spared)
        return Reply(status=204)

    def _jwks(self, _request: Request) -> Reply:
        return json_reply(key_set(self.keys), headers={"cache-control": "public, max-age=600"})

    def _health(self, _request: Request) -> Reply:
        return json_reply(
            {"version": "double", "name": "GoTrue", "description": "GoTrue is a user registration API"}
        )

    # --- people as the service sees them

    def _list_users(self, request: Request) -> Reply:
        self._must_be_service(request)
        number, size = int(request.query.get("page") or 1), int(request.query.get("per_page") or 50)
        found = sorted(self.people.values(), key=lambda one: (one.created_at, one.id), reverse=True)
        shown = found[(number - 1) * size : number * size]
        return json_reply(
            {"users": [one.told() for one in shown], "aud": "authenticated"},
            headers={"x-total-count": str(len(found))},
        )

    def _create_user(self, request: Request) -> Reply:
        self._must_be_service(request)
        said = _body(request)
        if self._by_email(_email(said)) is not None:
            raise Refused(422, "email_exists", "A user with this email address has already been registered")
        account = Account(email=_email(said), id=str(said.get("id") or uuid4()))
        self._change(account, said)
        return json_reply(self._keep(account).told())

    def _get_user(self, request: Request, person: str) -> Reply:
        self._must_be_service(request)
        return json_reply(self._account(person).told())

    def _put_user(self, request: Request, person: str) -> Reply:
        self._must_be_service(request)
        account = self._account(person)
        self._change(account, _body(request))
        return json_reply(self._keep(account).told())

    def _delete_user(self, request: Request, person: str) -> Reply:
        self._must_be_service(request)
        self.forget(self._account(person))
        return json_reply({})

    def _invite(self, request: Request) -> Reply:
        self._must_be_service(request)
        said = _body(request)
        account = self._by_email(_email(said))
        if account is not None and account.confirmed_at is not None:
            raise Refused(422, "email_exists", "A user with this email address has already been registered")
        if account is None:
            account = Account(email=_email(said), user_metadata=dict(said.get("data") or {}))
        account.invited_at = now()
        self._keep(account)
        self.letters.send(account, INVITE, request.query.get("redirect_to"))
        return json_reply(account.told())

    def _change(self, account: Account, said: dict[str, object]) -> None:
        if said.get("password") is not None:
            self._refuse_weak(str(said["password"]))
            account.password = str(said["password"])
        if said.get("email") is not None:
            account.email = _email(said)
        if said.get("email_confirm"):
            account.confirmed_at = account.confirmed_at or now()
        if said.get("ban_duration") is not None:
            try:
                account.ban(str(said["ban_duration"]))
            except ValueError as exc:
                why = "invalid format for ban duration: time: invalid duration"
                raise Refused(400, "validation_failed", why) from exc
        account.role = str(said.get("role") or account.role)
        account.merge("app_metadata", said.get("app_metadata"))
        account.merge("user_metadata", said.get("user_metadata"))

    # --- who asks

    def _must_be_service(self, request: Request) -> None:
        token = _bearer(request)
        if token == self.secret_key:
            return
        if token == self.publishable_key or self._read(token).get("role") != "service_role":
            raise Refused(403, "not_admin", "User not allowed")

    def _person(self, request: Request) -> Caller:
        token = _bearer(request)
        if token in {self.publishable_key, self.secret_key}:  # the gateway makes a role of it, and no person
            raise Refused(403, "bad_jwt", "invalid claim: missing sub claim")
        claims = self._read(token)
        account = self.people.get(str(claims.get("sub")))
        if account is None:
            raise Refused(403, "user_not_found", "User from sub claim in JWT does not exist")
        session = self.sessions.get(str(claims.get("session_id")))
        if session is None or session.is_revoked:
            raise Refused(403, "session_not_found", "Session from session_id claim in JWT does not exist")
        return Caller(account=account, session=session)

    def claims_of(self, token: str) -> dict[str, object]:
        """What a token of this project says, as every service of the project reads it. Raises jwt's errors."""
        kid = jwt.get_unverified_header(token).get("kid")
        key = next((key for key in self.keys if key.kid == kid), None)
        if key is None:
            raise jwt.InvalidTokenError("no such key")
        public = key.private if key.algorithm == "HS256" else key.private.public_key()
        return jwt.decode(token, public, algorithms=[key.algorithm], audience="authenticated")

    def _read(self, token: str) -> dict[str, object]:
        try:
            return self.claims_of(token)
        except jwt.PyJWTError as exc:
            why = "invalid JWT: unable to parse or verify signature, token is unverifiable"
            raise Refused(403, "bad_jwt", why) from exc

    def _account(self, person: str) -> Account:
        try:
            found = self.people.get(str(UUID(person)))
        except ValueError as exc:
            raise Refused(404, "validation_failed", "user_id must be an UUID") from exc
        if found is None:
            raise Refused(404, "user_not_found", "User not found")
        return found

    def _by_email(self, email: str) -> Account | None:
        return next((one for one in self.people.values() if one.email == email), None)

    def _keep(self, account: Account) -> Account:
        account.updated_at = now()
        self.people[account.id] = account
        if self._rows is not None:
            self._rows.write(account)
        return account

    # --- sessions

    def _session(self, account: Account) -> Reply:
        account.last_sign_in_at = now()
        self._keep(account)
        return self._told(account, self._begin(account))

    def _begin(self, account: Account, method: str = "password") -> SignedIn:
        session = SignedIn(account=account.id, refresh_token=secrets.token_urlsafe(9), method=method)
        self.sessions[session.id] = session
        return session

    def _end(self, ends: Callable[[SignedIn], bool]) -> None:
        self.sessions = {name: one for name, one in self.sessions.items() if not ends(one)}

    def _told(self, account: Account, session: SignedIn) -> Reply:
        claims = self._claims(account, session)
        return json_reply(
            {
                "access_token": self.keys[0].sign(claims),
                "token_type": "bearer",
                "expires_in": self.lasts,
                "expires_at": claims["exp"],
                "refresh_token": session.refresh_token,
                "user": account.told(),
            }
        )

    def _claims(self, account: Account, session: SignedIn) -> dict[str, object]:
        began = int(time.time())
        return {
            "iss": f"{self.url}{PREFIX}",
            "sub": account.id,
            "aud": "authenticated",
            "exp": began + self.lasts,
            "iat": began,
            "email": account.email,
            "phone": "",
            "app_metadata": account.app_metadata,
            "user_metadata": account.user_metadata,
            "role": account.role,
            "aal": "aal1",
            "amr": [{"method": session.method, "timestamp": int(session.began_at.timestamp())}],
            "session_id": session.id,
            "is_anonymous": False,
        }


class _Gateway(Refused):
    """What stands in front of Auth refuses a request without one of the project's keys."""

    def __init__(self, given: str) -> None:
        message = "Invalid API key" if given else "No API key found in request"
        hint = "Double check your API key." if given else "No `apikey` request header or url param was found."
        super().__init__(401, "", message, hint=hint)


ROUTES = (
    ("POST", "/signup", "sign_up"),
    ("POST", "/token", "token"),
    ("GET", "/user", "user"),
    ("PUT", "/user", "update_user"),
    ("POST", "/logout", "logout"),
    ("POST", "/recover", "recover"),
    ("GET", "/verify", "follow"),
    ("POST", "/verify", "verify"),
    ("GET", "/health", "health"),
    ("GET", r"/\.well-known/jwks\.json", "jwks"),
    ("POST", "/invite", "invite"),
    ("GET", "/admin/users", "list_users"),
    ("POST", "/admin/users", "create_user"),
    ("GET", "/admin/users/([^/]+)", "get_user"),
    ("PUT", "/admin/users/([^/]+)", "put_user"),
    ("DELETE", "/admin/users/([^/]+)", "delete_user"),
)


def _version(*, is_new: bool) -> dict[str, str]:
    return {"x-supabase-api-version": VERSION} if is_new else {}


def _body(request: Request) -> dict[str, object]:
    said = request.json()
    if not isinstance(said, dict):
        raise Refused(400, "bad_json", "Could not parse request body as JSON")
    return said


def _email(said: dict[str, object]) -> str:
    email = str(said.get("email") or "").strip().lower()
    if not email:
        raise Refused(400, "validation_failed", "missing email or phone")
    if "@" not in email:
        raise Refused(400, "validation_failed", "Unable to validate email address: invalid format")
    return email


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Refused(401, "no_authorization", "This endpoint requires a valid Bearer token")
    return token


def _see_other(address: str) -> Reply:
    return Reply(status=303, headers={"location": address})
