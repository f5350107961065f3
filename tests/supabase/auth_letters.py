"""The messages Auth sends with a link in them: an invitation, and the way to a new password.

As its server keeps them (supabase/auth: mailer, verify.go, recover.go): one of each kind a person, the newest counts, once,
for a while; what the link holds is a hash. Nothing leaves this process: a test reads what would have been sent.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import quote, urlencode

from tests.supabase.auth_people import Account
from tests.supabase.objects import now

INVITE = "invite"
RECOVERY = "recovery"
CHALLENGED = "pkce_"  # begins the hash of a letter whose link brings a code


@dataclass(kw_only=True)
class Letter:
    """One message. `token_hash` opens it; `leads_to` is where its person ends up."""

    account: str
    kind: str
    leads_to: str
    token_hash: str = field(default_factory=lambda: secrets.token_hex(28), repr=False)
    sent_at: datetime = field(default_factory=now)

    def usual_link(self, project: str) -> str:
        """As the project's own template has it: over the project."""
        said = {"token": self.token_hash, "type": self.kind, "redirect_to": self.leads_to}
        return f"{project}/auth/v1/verify?{urlencode(said)}"

    def own_link(self) -> str:
        """As docs/supabase.md has it for a team's own template: straight to the page."""
        return f"{self.leads_to}?{urlencode({'token_hash': self.token_hash, 'type': self.kind})}"


class Letters:
    """What was sent, and which of it still counts."""

    def __init__(self) -> None:
        self.site_url = "http://localhost:3000"  # as a new project has it
        self.allowed: Sequence[str] = ()  # redirect URLs; * stands for anything but a slash, ** for anything
        self.last = 3600.0  # seconds
        self.every = 60.0  # seconds between two for a new password of one person
        self.takes = 0.0  # seconds a mail server takes to accept one
        self.sent: list[Letter] = []
        self.tell: Callable[[Letter], None] = lambda _letter: None
        self._open: dict[str, Letter] = {}

    def clear(self) -> None:
        """As if nothing had been sent or ordered."""
        self.__init__()

    def is_too_soon(self, account: Account) -> bool:
        """True where this person was sent a way to a new password just now."""
        return any(
            one.account == account.id
            and one.kind == RECOVERY
            and now() - one.sent_at < timedelta(seconds=self.every)
            for one in self.sent
        )

    def send(self, account: Account, kind: str, wanted: str | None, *, has_challenge: bool = False) -> Letter:
        """An earlier one of that kind does not count any more. `has_challenge`: its link brings a code (PKCE)."""
        letter = Letter(account=account.id, kind=kind, leads_to=self.leads_to(wanted))
        if has_challenge:
            letter.token_hash = f"{CHALLENGED}{letter.token_hash}"
        self.forget(account, kind)
        self._open[letter.token_hash] = letter
        self.sent.append(letter)
        self.tell(letter)
        return letter

    def take(self, token_hash: str, kind: str) -> Letter | None:
        """The letter, used up; None where none of that kind counts."""
        letter = self._open.get(token_hash)
        if letter is None or letter.kind != kind:
            return None
        del self._open[token_hash]
        return letter if now() - letter.sent_at <= timedelta(seconds=self.last) else None

    def forget(self, account: Account, *kinds: str) -> None:
        """Letters of these kinds do not count any more (all, without any)."""
        self._open = {
            name: one
            for name, one in self._open.items()
            if one.account != account.id or (kinds and one.kind not in kinds)
        }

    def leads_to(self, wanted: str | None) -> str:
        """What is asked for where the project allows it, else its Site URL."""
        if not wanted:
            return self.site_url
        is_allowed = wanted == self.site_url or any(_fits(wanted, pattern) for pattern in self.allowed)
        return wanted if is_allowed else self.site_url


def with_fragment(address: str, **said: object) -> str:
    """The address, with what only a script in the browser reads."""
    return f"{address}#{urlencode({name: str(value) for name, value in said.items()}, quote_via=quote)}"


def _fits(address: str, pattern: str) -> bool:
    parts = (re.escape(part).replace(r"\*", "[^/]*") for part in pattern.split("**"))
    return re.fullmatch(".*".join(parts), address) is not None
