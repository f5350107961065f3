"""The pages of the way in, as plain HTML: a form that works without a script, and our own files beside it. No input or
output here but those files. Every word of a person is escaped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from html import escape
from pathlib import Path
from typing import Final
from urllib.parse import quote

_FOLDER: Final = Path(__file__).parent / "sign_in_files"
_FONTS: Final = Path(__file__).parents[2] / "static"  # the dashboard's own; Inter, OFL
TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; form-action 'self';"
        " base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}


@dataclass(frozen=True, kw_only=True)
class SignInPage:
    """What the sign-in shows. `is_wrong`: the fields hold what cannot be; `wait`: seconds until the next attempt is taken."""

    form: str = field(repr=False)
    path: str
    has_password: bool
    has_oidc: bool
    email: str = field(default="", repr=False)
    said: str = ""
    is_problem: bool = False
    is_wrong: bool = False
    wait: int = 0


@dataclass(frozen=True, kw_only=True)
class ForgottenPage:
    """What the form for a message shows; fields as in `SignInPage`."""

    form: str = field(repr=False)
    path: str
    email: str = field(default="", repr=False)
    said: str = ""
    is_problem: bool = False
    is_wrong: bool = False
    wait: int = 0


@dataclass(frozen=True, kw_only=True)
class NewPasswordPage:
    """What the page of a link shows. `has_letter`: the server holds the link, in `letter` or a cookie; without it the page's
    script looks behind the #. `is_over`: the link opens nothing any more. `wrong`: the field that holds what cannot be.
    """

    form: str = field(repr=False)
    letter: str = field(default="", repr=False)
    has_letter: bool = False
    is_over: bool = False
    email: str = field(default="", repr=False)
    rule: str = ""
    said: str = ""
    is_problem: bool = False
    wrong: str = ""
    wait: int = 0


@cache
def files() -> Mapping[str, bytes]:
    """Every file the pages ask for, by name."""
    found = [path for path in sorted(_FOLDER.iterdir()) if path.suffix in TYPES]
    return {path.name: path.read_bytes() for path in (*found, *sorted(_FONTS.glob("inter-*.woff2")))}


@cache
def address() -> str:
    """The folder under which the files are served; it changes when one of them does."""
    digest = hashlib.sha256(b"".join(name.encode() + data for name, data in sorted(files().items())))
    return f"/sign-in/files/{digest.hexdigest()[:12]}"


def sign_in(page: SignInPage) -> str:
    """The sign-in: e-mail and password, single sign-on, or both, as they are set up."""
    parts = [
        "<h1>Sign in</h1><p class='lead'>Portrait Studio is for the team.</p>",
        _said(page),
        _password(page) if page.has_password else "",
        "<div class='or'>or</div>" if page.has_password and page.has_oidc else "",
        _oidc(page) if page.has_oidc else "",
    ]
    foot = "No account, or no role yet? Ask an admin of your team."
    return _document("Sign in", "".join(parts), foot)


def forgotten(page: ForgottenPage) -> str:
    """The form that has a message sent."""
    wrong = " aria-invalid='true' aria-describedby='said'" if page.is_wrong else ""
    is_sent = bool(page.said) and not page.is_problem
    parts = (
        "<h1>Forgot your password?</h1><p class='lead'>We send you a message with a link to choose a new one.</p>",
        _said(page),
        f"<form method='post' action='/sign-in/forgotten' data-wait='{page.wait}' data-busy='Asking\u2026'>",
        _hidden("form", page.form),
        _hidden("next", page.path),
        "<div class='field'><label for='email'>E-mail</label>",
        "<input id='email' name='email' type='email' autocomplete='username' autocapitalize='none' spellcheck='false'",
        f" inputmode='email' maxlength='254' required value='{escape(page.email)}'{'' if is_sent else ' autofocus'}{wrong}></div>",
        f"<button id='submit' class='act first'>{'Send it again' if is_sent else 'Send the message'}</button></form>",
        f"<p class='more'><a href='{escape(_back(page.path))}'>Back to the sign-in</a></p>",
    )
    return _document("Forgot your password?", "".join(parts), "No account yet? Ask an admin of your team.")


def new_password(page: NewPasswordPage) -> str:
    """Where the link of a message leads: the form for a new password, or why there is none."""
    parts = (
        "<h1>Choose your password</h1>",
        "" if page.is_over else _LEAD,
        _said(page),
        _ANOTHER if page.is_over else _new_password_form(page),
        "" if page.is_over or page.has_letter else _WITHOUT_SCRIPT,
        "" if page.is_over else _WITHOUT_LETTER,
    )
    return _document("Choose your password", "".join(parts), "Trouble with it? Ask an admin of your team.")


_LEAD: Final = "<p class='lead'>You sign in with it from now on. Everywhere else you are signed out.</p>"
_ANOTHER: Final = "<a class='act first' href='/sign-in/forgotten'>Have a new message sent</a>"
_WITHOUT_SCRIPT: Final = (
    "<noscript><p class='said problem'>The link in your message works once, and only with JavaScript. Allow JavaScript"
    f" for this address, then have a new message sent.</p>{_ANOTHER}</noscript>"
)
# Only a script reads what stands behind the #: it shows the form, or one of these.
_WITHOUT_LETTER: Final = (
    "<div id='no-letter' hidden><p class='said'>Come here by the link in your message: it says whose password is"
    f" chosen.</p>{_ANOTHER}</div>"
    "<div id='over' hidden><p class='said problem' role='alert'>This link was used already, or is too old. Have a new"
    f" message sent, and open the link in the newest one.</p>{_ANOTHER}</div>"
)


def _new_password_form(page: NewPasswordPage) -> str:
    whose = "" if page.email else " hidden"
    return "".join(
        (
            f"<form id='new-password-form' method='post' action='/sign-in/password' data-wait='{page.wait}'",
            f" data-busy='Setting it\u2026'{'' if page.has_letter else ' hidden'}>",
            _hidden("form", page.form),
            _hidden("letter", page.letter),
            f"<div id='whose' class='field'{whose}><label for='email'>E-mail</label>",
            f"<input id='email' name='email' type='email' autocomplete='username' readonly value='{escape(page.email)}'></div>",
            "<div class='field'><label for='password'>New password</label><div class='secret'>",
            f"<input id='password' name='password' {_TYPED_TWICE}{_state(page, 'password', 'rule')} autofocus>",
            "<button id='show' type='button' class='show' aria-pressed='false' aria-controls='password' hidden>Show</button></div>",
            f"<p id='rule' class='note'>{escape(page.rule)}</p>",
            "<p id='caps' class='hint' role='status' hidden>Caps Lock is on.</p></div>",
            "<div class='field'><label for='again'>The same once more</label>",
            f"<input id='again' name='again' {_TYPED_TWICE}{_state(page, 'again')}></div>",
            "<button id='submit' class='act first'>Set the password</button></form>",
        )
    )


_TYPED_TWICE: Final = "type='password' autocomplete='new-password' maxlength='1024' required"


def _state(page: NewPasswordPage, name: str, described: str = "") -> str:
    """Which words describe a field, and whether what stands in it cannot be."""
    is_wrong = page.wrong == name
    told = " ".join(filter(None, ("said" if is_wrong else "", described)))
    return (" aria-invalid='true'" if is_wrong else "") + (f" aria-describedby='{told}'" if told else "")


def _hidden(name: str, value: str) -> str:
    return f"<input type='hidden' name='{name}' value='{escape(value)}'>"


def _back(path: str) -> str:
    return "/sign-in" if path == "/" else f"/sign-in?next={quote(path, safe='')}"


def _forgotten(path: str) -> str:
    return "/sign-in/forgotten" if path == "/" else f"/sign-in/forgotten?next={quote(path, safe='')}"


def _said(page: SignInPage | ForgottenPage | NewPasswordPage) -> str:
    if not page.said:
        return ""
    if page.is_problem:
        return f"<p class='said problem' id='said' role='alert'>{escape(page.said)}</p>"
    return f"<p class='said' id='said' role='status'>{escape(page.said)}</p>"


def _password(page: SignInPage) -> str:
    wrong = " aria-invalid='true' aria-describedby='said'" if page.is_wrong and page.said else ""
    first, second = (" autofocus", "") if not page.email else ("", " autofocus")
    return (
        f"<form method='post' action='/sign-in' data-wait='{page.wait}' data-busy='Signing in\u2026'>"
        f"{_hidden('form', page.form)}{_hidden('next', page.path)}"
        "<div class='field'><label for='email'>E-mail</label>"
        f"<input id='email' name='email' type='email' autocomplete='username' autocapitalize='none' spellcheck='false'"
        f" inputmode='email' maxlength='254' required value='{escape(page.email)}'{first}{wrong}></div>"
        "<div class='field'><label for='password'>Password</label><div class='secret'>"
        f"<input id='password' name='password' type='password' autocomplete='current-password' maxlength='1024' required{second}{wrong}>"
        "<button id='show' type='button' class='show' aria-pressed='false' aria-controls='password' hidden>Show</button></div>"
        "<p id='caps' class='hint' role='status' hidden>Caps Lock is on.</p></div>"
        "<button id='submit' class='act first'>Sign in</button></form>"
        f"<p class='more'><a id='forgotten' href='{escape(_forgotten(page.path))}'>Forgot your password?</a></p>"
    )


def _oidc(page: SignInPage) -> str:
    kind = "second" if page.has_password else "first"
    return f"<a class='act {kind}' href='/sign-in/oidc?next={quote(page.path, safe='')}'>Continue with single sign-on</a>"


def _document(title: str, inside: str, foot: str) -> str:
    base = address()
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1, viewport-fit=cover'>"
        "<meta name='robots' content='noindex'>"
        f"<title>{escape(title)} · Portrait Studio</title><link rel='icon' type='image/svg+xml' href='{base}/mark.svg'>"
        f"<link rel='stylesheet' href='{base}/sign-in.css'><script src='{base}/sign-in.js'></script></head><body><main>"
        f"<div class='brand'><img src='{base}/mark.svg' alt=''>Portrait Studio</div>"
        f"<div class='card'>{inside}</div><p class='foot'>{escape(foot)}</p></main></body></html>"
    )
