"""The way in and out (SPEC "Two ways to run"): a page and its forms, single sign-on, and who one is. The same routes serve
the studio and the dashboard; where no sign-in is configured they are not there.

A form counts only from a page of ours: the browser names our own origin, and the form carries what belongs to a cookie
that another site cannot read.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote, urlsplit

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse

from core import log, sessions, signing_in
from core.api import sign_in_forms as forms
from core.api import sign_in_page
from core.api.asking import Asking, Serving, base_address
from core.api.refusals import ask_again
from core.api.sign_in_page import SignInPage
from core.auth import is_secure, refuse_cross_site
from core.errors import (
    NotAllowed,
    NotFound,
    SignInUnavailable,
    StudioError,
    TooManyAttempts,
    WrongCredentials,
)
from core.services import Services

if TYPE_CHECKING:
    from core.identity.oidc import Begun, Oidc

PATH: Final = "/sign-in"
_CALLBACK: Final = f"{PATH}/oidc/callback"
_WAYS: Final = (PATH, "/sign-out")  # never where somebody is led after signing in
_LONGEST_PATH: Final = 2_000
_REFUSED_AFTER: Final = 0.7  # seconds: a wrong password and an unknown address take as long as each other
_OIDC_LASTS: Final = 600
_FOREVER: Final = "public, max-age=31536000, immutable"
_SIGNED_OUT: Final = "You are signed out."
_OLD: Final = "This page had grown old, or your browser keeps no cookies from it. Allow cookies for this address, then sign in again."
_NOT_FINISHED: Final = "Single sign-on was not finished. Try again."
_AWAY: Final = (
    "Sign-in is away just now, so nobody can be let in. Your password was not judged; try again in a minute."
)

_log = log.get(__name__)


def router() -> APIRouter:
    """The routes of signing in and out, none of which a program calls."""
    found = APIRouter(include_in_schema=False)
    found.add_api_route(PATH, _page, methods=["GET"])
    found.add_api_route(PATH, _with_password, methods=["POST"])
    found.add_api_route("/sign-out", _sign_out, methods=["POST"])
    found.add_api_route("/sign-out-everywhere", _sign_out_everywhere, methods=["POST"])
    found.add_api_route(f"{PATH}/oidc", _to_oidc, methods=["GET"])
    found.add_api_route(_CALLBACK, _from_oidc, methods=["GET"])
    found.add_api_route(f"{PATH}/files/{{version}}/{{name}}", _file, methods=["GET"])
    found.add_api_route("/account", _account, methods=["GET"])
    return found


def own_path(wanted: str | None) -> str:
    r"""Where somebody is led after signing in: a path of our own, `/` for anything else.

    Browsers read `//host`, `/\\host` and what stands behind a control character as another site; so would a proxy that
    decodes what is encoded.
    """
    if not wanted or len(wanted) > _LONGEST_PATH:
        return "/"
    for said in (wanted, unquote(wanted), unquote(unquote(wanted))):
        if not said.startswith("/") or said.startswith("//") or "\\" in said or _has_control(said):
            return "/"
    try:
        parts = urlsplit(wanted)
    except ValueError:
        return "/"
    if parts.scheme or parts.netloc or "//" in unquote(parts.path) or parts.path.startswith(_WAYS):
        return "/"
    return quote(wanted, safe="/?#[]@!$&'()*+,;=:%-._~")


def sign_in_address(conn_path: str, query: str = "") -> str:
    """The sign-in that leads back to that path of ours."""
    wanted = own_path(conn_path + (f"?{query}" if query else ""))
    return PATH if wanted == "/" else f"{PATH}?next={quote(wanted, safe='')}"


# ---- the page and its form ---------------------------------------------------------------------------------------


def _page(request: Request, services: Serving) -> Response:
    """The sign-in, or on to where one wanted to go for whoever is signed in."""
    forms.refuse_without_sign_in(services)
    path = own_path(request.query_params.get("next"))
    said = _SIGNED_OUT if "signed-out" in request.query_params else ""
    if (
        not said
        and sessions.person_of(forms.session_of(request, services), services, is_active=False) is not None
    ):
        return RedirectResponse(path, 303, headers={"Cache-Control": "no-store"})
    return shown(request, services, path=path, said=said)


async def _with_password(request: Request, services: Serving) -> Response:
    """Sign in by e-mail and password. What is refused for its password takes as long whoever it was."""
    began = time.monotonic()
    forms.refuse_without_sign_in(services)
    refuse_cross_site(request, services.settings)
    form = await forms.read(request)
    path, email = own_path(form("next")), form("email")
    if not forms.is_own_form(request, form("form"), services):
        return shown(request, services, path=path, email=email, said=_OLD, status=403)
    asker = forms.asker_of(request, services)
    try:
        async with forms.places(request):
            signed = await run_in_threadpool(
                signing_in.with_password, email, form("password"), asker, services
            )
    except WrongCredentials as error:
        await asyncio.sleep(max(0.0, began + _REFUSED_AFTER - time.monotonic()))
        return refused(request, services, error, path=path, email=email)
    except StudioError as error:
        return refused(request, services, error, path=path, email=email)
    return forms.let_in(request, services, signed, path)


def refused(request: Request, services: Services, error: StudioError, *, path: str, email: str) -> Response:
    """The sign-in again, with why nobody was let in."""
    wait = round(error.retry_after or 0) if isinstance(error, TooManyAttempts) else 0
    said = (
        _AWAY if isinstance(error, SignInUnavailable) and email else error.sentence
    )  # single sign-on says its own
    answer = shown(request, services, path=path, email=email, said=said, status=error.status, wait=wait)
    answer.headers.update(ask_again(error.status, after=wait or None))
    return answer


def shown(
    request: Request,
    services: Services,
    *,
    path: str,
    email: str = "",
    said: str = "",
    status: int = 200,
    wait: int = 0,
) -> HTMLResponse:
    """The page, with a form that belongs to this browser."""
    bound_to = forms.bound_to(request, services)
    page = SignInPage(
        form=sessions.form_token(bound_to, services),
        path=path,
        has_password=services.settings.has_supabase_auth,
        has_oidc=services.settings.has_oidc,
        email=email[: signing_in.LONGEST_EMAIL],
        said=said,
        is_problem=status != 200,  # noqa: PLR2004 -- all is well
        is_wrong=status == WrongCredentials.status,
        wait=wait,
    )
    return forms.page(request, services, sign_in_page.sign_in(page), bound_to, status=status)


def _file(name: str, version: str, services: Serving) -> Response:
    """A style, script, font or picture of the page."""
    forms.refuse_without_sign_in(services)
    data = sign_in_page.files().get(name)
    if data is None:
        raise NotFound("There is nothing at this address.")
    caching = _FOREVER if sign_in_page.address().endswith(f"/{version}") else "no-cache"
    headers = {"Cache-Control": caching, "X-Content-Type-Options": "nosniff"}
    return Response(data, media_type=sign_in_page.TYPES[PurePosixPath(name).suffix], headers=headers)


# ---- out ---------------------------------------------------------------------------------------------------------


async def _sign_out(request: Request, services: Serving) -> Response:
    """End this session."""
    cookie = await _own_session(request, services)
    await run_in_threadpool(sessions.end, cookie, services)
    return _gone(request, services)


async def _sign_out_everywhere(request: Request, services: Serving) -> Response:
    """End every session of whoever asks."""
    cookie = await _own_session(request, services)
    await run_in_threadpool(sessions.end_everywhere, cookie, services)
    return _gone(request, services)


async def _own_session(request: Request, services: Services) -> str | None:
    """The cookie of a form that one of our pages sent. Raises NotAllowed for any other's; None where there is no session."""
    forms.refuse_without_sign_in(services)
    refuse_cross_site(request, services.settings)
    form = await forms.read(request)
    cookie = forms.session_of(request, services)
    if cookie is not None and not sessions.is_form_token(form("form"), cookie, services):
        raise NotAllowed("This page had grown old. Reload it, then sign out again.", code="FOREIGN_FORM")
    return cookie


def _gone(request: Request, services: Services) -> Response:
    answer = RedirectResponse(f"{PATH}?signed-out", 303, headers={"Cache-Control": "no-store"})
    forms.put(answer, sessions.COOKIE, "", is_secure=is_secure(request, services.settings), lasts=0)
    return answer


def _account(request: Request, person: Asking, services: Serving) -> Response:
    """Who one is, for the menu of a page: name, roles, and what its forms carry."""
    form = sessions.form_token(forms.session_of(request, services) or "", services)
    body = {"name": person.name, "roles": sorted(person.roles), "form": form}
    return JSONResponse(body, headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"})


# ---- single sign-on ----------------------------------------------------------------------------------------------


def _to_oidc(request: Request, services: Serving) -> Response:
    """On to the provider; what belongs to the way back waits in a sealed cookie of ten minutes."""
    oidc = _oidc(services)
    path = own_path(request.query_params.get("next"))
    try:
        begun = oidc.begin(base_address(request) + _CALLBACK)
    except StudioError as error:
        return refused(request, services, error, path=path, email="")
    kept = json.dumps([begun.state, begun.nonce, begun.verifier, path, int(time.time())]).encode()
    answer = RedirectResponse(begun.url, 303, headers={"Cache-Control": "no-store"})
    forms.put(
        answer,
        forms.OIDC,
        forms.sealed(kept, services, bound_to=b"oidc"),
        is_secure=is_secure(request, services.settings),
        lasts=_OIDC_LASTS,
    )
    return answer


def _from_oidc(request: Request, services: Serving) -> Response:
    """Back from the provider. A way back that this browser did not begin leads nowhere."""
    oidc = _oidc(services)
    began = _begun(request, services)
    code, state = request.query_params.get("code"), request.query_params.get("state")
    if began is None or not code or not began[0].is_answered_by(state):
        _log.info("oidc_not_finished", has_begun=began is not None, has_code=bool(code))
        path = began[1] if began is not None else "/"
        return shown(request, services, path=path, said=_NOT_FINISHED, status=403)
    asker = forms.asker_of(request, services)
    try:
        asked_at = sessions.asked_now(services)
        tokens = oidc.finish(base_address(request) + _CALLBACK, code, began[0])
        signed = signing_in.begun(tokens, asker, services, way="oidc", asked_at=asked_at)
    except StudioError as error:
        return refused(request, services, error, path=began[1], email="")
    return forms.let_in(request, services, signed, began[1])


def _begun(request: Request, services: Services) -> tuple[Begun, str] | None:
    """What this browser began no longer than ten minutes ago, and where it wanted to go."""
    from core.identity.oidc import Begun  # noqa: PLC0415 - its packages are for those who sign in

    words = forms.unsealed(forms.cookie(request, services, forms.OIDC) or "", services, bound_to=b"oidc")
    if words is None:
        return None
    state, nonce, verifier, path, since = json.loads(words)
    if since < time.time() - _OIDC_LASTS:
        return None
    return Begun(url="", state=state, nonce=nonce, verifier=verifier), own_path(path)


def _oidc(services: Services) -> Oidc:
    """Raises NotFound where no provider is configured."""
    if services.oidc is None:
        raise NotFound("There is nothing at this address.")
    return services.oidc


def _has_control(said: str) -> bool:
    return any(ord(sign) < 32 or 127 <= ord(sign) < 160 for sign in said)  # noqa: PLR2004 -- ASCII's and Latin-1's controls
