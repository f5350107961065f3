"""What every form of the way in shares: the cookie it belongs to, reading it, who sends it, and letting somebody in
(SPEC "Two ways to run"; decision 0038).
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qs

from fastapi import Request, Response
from starlette.responses import HTMLResponse, RedirectResponse

from core import sessions
from core.api import sign_in_page
from core.auth import is_secure
from core.errors import NotFound
from core.services import Services
from core.signing_in import Asker, SignedIn

OIDC: Final = "studio_oidc"
_FORM: Final = "studio_form"
_KNOWN: Final = "studio_known"
_DESK: Final = "studio_desk"
_KNOWN_LASTS: Final = 180 * 86_400
_LONGEST_FORM: Final = 16_384  # bytes
_SLOWEST_FORM: Final = 10.0  # seconds
_AT_ONCE: Final = {"attempts": 8, "messages": 4}  # that Auth is asked about


def refuse_without_sign_in(services: Services) -> None:
    """Raise NotFound where nobody signs in."""
    if not services.settings.has_sign_in:
        raise NotFound("There is nothing at this address.")


def session_of(request: Request, services: Services) -> str | None:
    """The session's cookie, None where there is none."""
    return sessions.cookie_of(request.cookies, is_secure=is_secure(request, services.settings))


def asker_of(request: Request, services: Services) -> Asker:
    """Who sends the form."""
    known = cookie(request, services, _KNOWN)
    address = request.client.host if request.client is not None else ""
    return Asker(address=address, session=session_of(request, services), known=known)


def is_own_form(request: Request, token: str, services: Services) -> bool:
    """True where the form was shown to this browser by a page of ours."""
    bound = cookie(request, services, _FORM)
    return bound is not None and sessions.is_form_token(token, bound, services)


def bound_to(request: Request, services: Services) -> str:
    """What a page's form will belong to: this browser's cookie, which `page` sets, or a fresh one."""
    return cookie(request, services, _FORM) or secrets.token_urlsafe(24)


def page(request: Request, services: Services, html: str, bound: str, *, status: int = 200) -> HTMLResponse:
    """A page whose form belongs to the browser that is shown it (`bound_to`)."""
    answer = HTMLResponse(html, status, headers=sign_in_page.HEADERS)
    put(answer, _FORM, bound, is_secure=is_secure(request, services.settings))
    return answer


def cookie(request: Request, services: Services, name: str) -> str | None:
    """The value of one of our cookies, None where the browser has none of that name."""
    return request.cookies.get(_named(name, is_secure=is_secure(request, services.settings)))


def sealed(words: bytes, services: Services, *, bound_to: bytes) -> str:
    """What only this installation may read again, as a cookie or a field holds it."""
    return urlsafe_b64encode(sessions.seal(words, services, bound_to=bound_to)).decode().rstrip("=")


def unsealed(text: str, services: Services, *, bound_to: bytes) -> bytes | None:
    """What was sealed under that name; None where it was changed, or is nothing of ours."""
    try:
        words = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None
    return sessions.unseal(words, services, bound_to=bound_to)


def _named(name: str, *, is_secure: bool) -> str:
    return f"__Host-{name}" if is_secure else name


def put(
    answer: Response,
    name: str,
    value: str,
    *,
    is_secure: bool,
    lasts: int | None = None,
    for_scripts: bool = False,
) -> None:
    """A cookie of this host alone, which no other site's form sends, and no script reads but where it is for them;
    `lasts` 0 takes it away.
    """
    answer.set_cookie(
        _named(name, is_secure=is_secure),
        value,
        max_age=lasts,
        path="/",
        secure=is_secure,
        httponly=not for_scripts,
        samesite="lax",
    )


async def read(request: Request) -> Callable[[str], str]:
    """A short form of plain fields; what is too long, too slow or of another kind is empty."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        return lambda _name: ""
    try:
        body = await asyncio.wait_for(_short_body(request), _SLOWEST_FORM)
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=20)
    except (TimeoutError, ValueError):
        return lambda _name: ""
    return lambda name: fields.get(name, [""])[0]


async def _short_body(request: Request) -> bytes:
    """Raises ValueError where it is longer than a form is."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LONGEST_FORM:
            raise ValueError("longer than a form is")
    return body


def places(request: Request, *, of: str = "attempts") -> asyncio.Semaphore:
    """Where an attempt waits for one of a few threads: all pages share forty, and Auth may be silent for long. Messages
    have places of their own, so that a slow mail server keeps nobody from signing in.
    """
    state = request.app.state
    if not hasattr(state, "places_to_sign_in"):
        state.places_to_sign_in = {name: asyncio.Semaphore(many) for name, many in _AT_ONCE.items()}
    return state.places_to_sign_in[of]


def let_in(request: Request, services: Services, signed: SignedIn, path: str) -> Response:
    """On to a path of ours, signed in."""
    secure = is_secure(request, services.settings)
    lasts = int(signed.session.expires_at.timestamp() - time.time())
    answer = RedirectResponse(path, 303, headers={"Cache-Control": "no-store"})
    put(answer, sessions.COOKIE, signed.session.value, is_secure=secure, lasts=lasts)
    put(answer, _KNOWN, signed.known, is_secure=secure, lasts=_KNOWN_LASTS)
    put(answer, _FORM, "", is_secure=secure, lasts=0)
    put(answer, OIDC, "", is_secure=secure, lasts=0)
    # Whose drafts the page looks for in this browser: a name that opens nothing, so its script may read it.
    desk = hashlib.sha256(signed.session.person.bytes).hexdigest()[:16]
    put(answer, _DESK, desk, is_secure=secure, lasts=_KNOWN_LASTS, for_scripts=True)
    return answer
