"""The first and a forgotten password (SPEC "Two ways to run"; decision 0045): asking for a message of Supabase Auth, and the
page where its link leads. Both apps serve them; where nobody has a password they are not there.

A link's secret never stays in an address: what stands behind the # is taken out by the page's script, and what stands in
the query is moved into a sealed cookie before anything is shown. Only a form uses a link up; following one does not.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, cast

from fastapi import APIRouter, Request, Response
from pydantic import SecretStr
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse

from core import log, passwords, sessions, signing_in
from core.api import sign_in, sign_in_page
from core.api import sign_in_forms as forms
from core.api.asking import Serving, base_address
from core.api.refusals import ask_again
from core.auth import is_secure, refuse_cross_site
from core.errors import BadRequest, NotFound, NotSignedIn, SignInUnavailable, StudioError, TooManyAttempts
from core.identity import LINKS_END_AT, Letter, letter_ended, letters_lead_to
from core.passwords import Opened
from core.services import Services

if TYPE_CHECKING:
    from collections.abc import Callable

FORGOTTEN: Final = f"{sign_in.PATH}/forgotten"
ANSWERED_AFTER: Final = 1.2  # seconds: a known and an unknown address take as long as each other
_MOST_UNDER_WAY: Final = 64  # messages that Auth is being asked for
_LETTER: Final = "studio_letter"
_LETTER_LASTS: Final = 3600  # seconds between following a link and choosing a password
_HASH: Final = re.compile(rf"[A-Za-z0-9_-]{{16,{passwords.LONGEST_HASH}}}")
_SEALED: Final = (
    "sealed."  # begins a link that was opened already; a token of Auth has three parts and no such word
)
_BOUND_TO: Final = b"letter"
_OF_AUTH: Final = frozenset(
    {"token_hash", "type", "code", "error", "error_code"}
)  # what a link's query may hold
_SENT: Final = (
    "If this address has an account, a message is on its way. Open the link in it on this device or any other. Nothing "
    "came within ten minutes? Look among the unwanted mail, then ask an admin of your team."
)
_OLD: Final = "This page had grown old, or your browser keeps no cookies from it. Allow cookies for this address, then try again."
_BUSY: Final = (
    "Very many people ask for a message just now, so yours was not asked for. Try again in a minute."
)
_AWAY: Final = "Sign-in is away just now, so no message could be asked for. Try again in a minute."
_NOT_SET: Final = "Sign-in is away just now, so your password was not changed. Try again in a minute."
_CHOSEN: Final = "Your new password is set."
_HALF: Final = (
    "Your new password is set, but the sessions from before could not be ended: the database does not answer. Set the same "
    "password once more in a minute."
)

_log = log.get(__name__)


def router() -> APIRouter:
    """The routes of a first and a forgotten password, none of which a program calls."""
    found = APIRouter(include_in_schema=False)
    found.add_api_route(FORGOTTEN, _forgotten, methods=["GET"])
    found.add_api_route(FORGOTTEN, _ask, methods=["POST"])
    found.add_api_route(LINKS_END_AT, _follow, methods=["GET"])
    found.add_api_route(LINKS_END_AT, _choose, methods=["POST"])
    return found


# ---- asking for a message ----------------------------------------------------------------------------------------


def _forgotten(request: Request, services: Serving) -> Response:
    """The form for an address."""
    _refuse_without_passwords(services)
    return _asking(request, services, path=sign_in.own_path(request.query_params.get("next")))


async def _ask(request: Request, services: Serving) -> Response:
    """Ask Auth for a message. Answered alike, and after the same time, whether the address has an account or not: Auth is
    not waited for longer, since its mail server takes its time only for those who have.
    """
    began = time.monotonic()
    _refuse_without_passwords(services)
    refuse_cross_site(request, services.settings)
    form = await forms.read(request)
    path, email = sign_in.own_path(form("next")), form("email")
    if not forms.is_own_form(request, form("form"), services):
        return _asking(request, services, path=path, email=email, said=_OLD, status=403)
    try:
        asker = forms.asker_of(request, services)
        wanted = await run_in_threadpool(passwords.ask, email, asker, services)
        asked = _under_way(request, wanted, services)
        await asyncio.sleep(max(0.0, began + ANSWERED_AFTER - time.monotonic()))
        if asked.done():
            asked.result()
    except StudioError as error:
        said = _AWAY if error.reason == SignInUnavailable.code else error.sentence
        return _asking(request, services, path=path, email=email, said=said, error=error)
    return _asking(request, services, path=path, email=wanted, said=_SENT)


def _under_way(request: Request, email: str, services: Services) -> asyncio.Task[None]:
    """The request to Auth, which goes on when nobody waits for it any more. Raises SignInUnavailable where there are too
    many of them.
    """
    state = request.app.state
    if not hasattr(state, "messages_under_way"):
        state.messages_under_way = set()
    under_way = cast("set[asyncio.Task[None]]", state.messages_under_way)
    if len(under_way) >= _MOST_UNDER_WAY:
        raise SignInUnavailable(_BUSY, code="BUSY")
    task = asyncio.create_task(_sent(request, email, _leads_to(request, services), services))
    under_way.add(task)
    task.add_done_callback(under_way.discard)
    task.add_done_callback(_told)
    return task


async def _sent(request: Request, email: str, leads_to: str | None, services: Services) -> None:
    async with forms.places(request, of="messages"):
        await run_in_threadpool(passwords.send, email, leads_to, services)


def _told(task: asyncio.Task[None]) -> None:
    """A refusal that came when the page was shown already is the log's."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        reason = error.reason if isinstance(error, StudioError) else type(error).__name__
        _log.warning("password_message_not_asked", code=reason)


def _leads_to(request: Request, services: Services) -> str | None:
    """Where the message's link is to end: below PUBLIC_URL, else on this very machine. A Host that somebody else may have
    written leads nobody's message anywhere: then the project's Site URL decides.
    """
    if not services.settings.public_url and _is_this_machine(request.url.hostname or ""):
        return base_address(request) + LINKS_END_AT
    return letters_lead_to(services.settings)


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _asking(
    request: Request,
    services: Services,
    *,
    path: str,
    email: str = "",
    said: str = "",
    status: int = 200,
    error: StudioError | None = None,
) -> Response:
    status = error.status if error is not None else status
    bound = forms.bound_to(request, services)
    wait = _wait(error)
    html = sign_in_page.forgotten(
        sign_in_page.ForgottenPage(
            form=sessions.form_token(bound, services),
            path=path,
            email=email[: signing_in.LONGEST_EMAIL],
            said=said,
            is_problem=status != 200,  # noqa: PLR2004 -- all is well
            is_wrong=isinstance(error, BadRequest),
            wait=wait,
        )
    )
    answer = forms.page(request, services, html, bound, status=status)
    answer.headers.update(ask_again(status, after=wait or None))
    return answer


# ---- where a link leads ------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Held:
    """What somebody's form or browser holds of a link: one that is to be opened, or what came of opening it."""

    letter: Letter = Letter.recovery
    token_hash: str = field(default="", repr=False)
    access_token: str = field(default="", repr=False)
    email: str = field(default="", repr=False)
    is_set: bool = False  # Auth has the new password; the older sessions still stand


def _follow(request: Request, services: Serving) -> Response:
    """The page for a new password. What a link's query holds goes into a cookie first, and out of the address."""
    _refuse_without_passwords(services)
    asked = request.query_params
    held = _in_query(asked.get("type", ""), asked.get("token_hash", ""))
    if held is not None:
        headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
        answer = RedirectResponse(LINKS_END_AT, 303, headers=headers)
        _keep(answer, request, services, held)
        return answer
    if _OF_AUTH & set(asked):  # a link that Auth refuses, or one that was cut
        return _choosing(request, services, None, error=letter_ended())
    return _choosing(request, services, _in_cookie(request, services))


async def _choose(request: Request, services: Serving) -> Response:
    """Set the new password, then on to the studio, signed in. A link is used up only where the password may be one."""
    _refuse_without_passwords(services)
    refuse_cross_site(request, services.settings)
    form = await forms.read(request)
    held = _in_field(form("letter"), form("email"), request, services) or _in_cookie(request, services)
    if not forms.is_own_form(request, form("form"), services):
        return _choosing(request, services, held, said=_OLD, status=403)
    try:
        passwords.check(form("password"), form("again"))
        async with forms.places(request):
            return await run_in_threadpool(_set, request, services, held, form)
    except StudioError as error:
        return _choosing(request, services, held, error=error)


def _set(request: Request, services: Services, held: _Held | None, form: Callable[[str], str]) -> Response:
    """Raises what says that the link was not opened; everything after that is answered here."""
    if held is None:
        raise letter_ended()
    asker = forms.asker_of(request, services)
    if held.token_hash:
        opened = passwords.open_letter(held.letter, held.token_hash, asker, services)
    else:
        opened = passwords.opened_by(SecretStr(held.access_token), services)
    try:
        passwords.choose(opened, form("password"), services, is_again=held.is_set)
    except StudioError as error:
        return _without_cookie(_choosing(request, services, _opened(held, opened), error=error), request)
    try:
        passwords.end_others(opened, services)
    except StudioError as error:
        half = replace(_opened(held, opened), is_set=True)
        return _without_cookie(_choosing(request, services, half, said=_HALF, error=error), request)
    try:
        signed = passwords.come_in(opened, form("password"), asker, services)
    except StudioError as error:
        return _without_cookie(_not_in(request, services, error, opened), request)
    return _without_cookie(forms.let_in(request, services, signed, "/"), request)


def _not_in(request: Request, services: Services, error: StudioError, opened: Opened) -> Response:
    """The password is set, and its person is not let in: the sign-in says both."""
    said = "Sign in with it in a minute." if isinstance(error, SignInUnavailable) else error.sentence
    answer = sign_in.shown(
        request,
        services,
        path="/",
        email=opened.identity.email,
        said=f"{_CHOSEN} {said}",
        status=error.status,
        wait=_wait(error),
    )
    answer.headers.update(ask_again(error.status, after=_wait(error) or None))
    return answer


def _choosing(
    request: Request,
    services: Services,
    held: _Held | None,
    *,
    said: str = "",
    status: int = 200,
    error: StudioError | None = None,
) -> Response:
    """The page: with its form where a link is held, else with what a script finds behind the #."""
    if isinstance(error, NotSignedIn):
        held = None
    status = error.status if error is not None else status
    bound, wait = forms.bound_to(request, services), _wait(error)
    html = sign_in_page.new_password(
        sign_in_page.NewPasswordPage(
            form=sessions.form_token(bound, services),
            letter=_as_field(held, bound, services),
            has_letter=held is not None,
            is_over=isinstance(error, NotSignedIn),
            email=held.email if held is not None else "",
            rule=passwords.RULE,
            said=said or _sentence(error),
            is_problem=status != 200,  # noqa: PLR2004 -- all is well
            wrong=error.field or "" if isinstance(error, BadRequest) else "",
            wait=wait,
        )
    )
    answer = forms.page(request, services, html, bound, status=status)
    answer.headers.update(ask_again(status, after=wait or None))
    return _without_cookie(answer, request) if isinstance(error, NotSignedIn) else answer


def _sentence(error: StudioError | None) -> str:
    if error is None:
        return ""
    return _NOT_SET if error.reason == SignInUnavailable.code else error.sentence


def _wait(error: StudioError | None) -> int:
    return round(error.retry_after or 0) if isinstance(error, TooManyAttempts) else 0


# ---- what is held of a link --------------------------------------------------------------------------------------


def _in_query(kind: str, token_hash: str) -> _Held | None:
    """As a team's own template writes it: `?token_hash=…&type=invite`."""
    if kind not in set(Letter) or _HASH.fullmatch(token_hash) is None:
        return None
    return _Held(letter=Letter(kind), token_hash=token_hash)


def _keep(answer: Response, request: Request, services: Services, held: _Held) -> None:
    words = json.dumps([held.letter, held.token_hash, int(time.time())]).encode()
    kept = forms.sealed(words, services, bound_to=_BOUND_TO)
    forms.put(answer, _LETTER, kept, is_secure=is_secure(request, services.settings), lasts=_LETTER_LASTS)


def _in_cookie(request: Request, services: Services) -> _Held | None:
    """The link that this browser followed within the hour."""
    kept = forms.cookie(request, services, _LETTER)
    words = forms.unsealed(kept, services, bound_to=_BOUND_TO) if kept else None
    if words is None:
        return None
    kind, token_hash, since = json.loads(words)
    return _Held(letter=Letter(kind), token_hash=token_hash) if since > time.time() - _LETTER_LASTS else None


def _without_cookie(answer: Response, request: Request) -> Response:
    services: Services = request.app.state.services
    forms.put(answer, _LETTER, "", is_secure=is_secure(request, services.settings), lasts=0)
    return answer


def _opened(held: _Held, opened: Opened) -> _Held:
    access = opened.access_token.get_secret_value()
    return _Held(letter=held.letter, access_token=access, email=opened.identity.email, is_set=held.is_set)


def _as_field(held: _Held | None, bound: str, services: Services) -> str:
    """A link, or what came of opening it, for the form to bring back: sealed, and of use to this browser alone. A link
    that is followed later does not take the place of the one whose form stands there.
    """
    if held is None:
        return ""
    words = json.dumps([held.letter, held.token_hash, held.access_token, held.email, held.is_set]).encode()
    return _SEALED + forms.sealed(words, services, bound_to=_BOUND_TO + bound.encode())


def _in_field(text: str, email: str, request: Request, services: Services) -> _Held | None:
    """What `_as_field` wrote, or the access token that the page's script found behind the #, with the address that it
    showed there.
    """
    if not text:
        return None
    if not text.startswith(_SEALED):
        return _Held(access_token=text, email=email[: signing_in.LONGEST_EMAIL])
    bound = forms.bound_to(request, services).encode()
    words = forms.unsealed(text.removeprefix(_SEALED), services, bound_to=_BOUND_TO + bound)
    if words is None:
        return None
    letter, token_hash, access, email, is_set = json.loads(words)
    return _Held(
        letter=Letter(letter), token_hash=token_hash, access_token=access, email=email, is_set=is_set
    )


def _refuse_without_passwords(services: Services) -> None:
    """Raises NotFound: with single sign-on alone there is no password to choose."""
    if not services.settings.has_supabase_auth:
        raise NotFound("There is nothing at this address.")
