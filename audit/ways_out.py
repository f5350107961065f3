"""The forms that sign out, as HTML: on every page of the dashboard, and on the one for who has no role here."""

from __future__ import annotations

from html import escape
from typing import Final

from starlette.requests import HTTPConnection

from core import sessions
from core.auth import is_secure
from core.services import Services

WAYS: Final = {"/sign-out": "Sign out", "/sign-out-everywhere": "Sign out everywhere"}


def forms(conn: HTTPConnection, services: Services) -> str:
    """A form for each way out, with what belongs to the session of `conn`: no other page can send it."""
    cookie = sessions.cookie_of(conn.cookies, is_secure=is_secure(conn, services.settings))
    token = escape(sessions.form_token(cookie or "", services), quote=True)
    return "".join(
        f'<form method="post" action="{path}" target="_self"><input type="hidden" name="form" value="{token}">'
        f'<button type="submit">{words}</button></form>'
        for path, words in WAYS.items()
    )
