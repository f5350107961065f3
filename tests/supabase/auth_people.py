"""Who a project's Auth knows: people, their sign-ins, and the rows Supabase keeps of them in auth.users."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
from psycopg.types.json import Jsonb

from tests.supabase.objects import moment, now

_PART = re.compile(r"(\d+(?:\.\d+)?)(h|m|s)")
_SECONDS = {"h": 3600, "m": 60, "s": 1}


@dataclass(kw_only=True)
class Account:
    """Somebody with an e-mail and a password."""

    email: str
    password: str = field(default="", repr=False)
    id: str = field(default_factory=lambda: str(uuid4()))
    app_metadata: dict[str, object] = field(default_factory=dict)
    user_metadata: dict[str, object] = field(default_factory=dict)
    role: str = "authenticated"
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)
    confirmed_at: datetime | None = None
    last_sign_in_at: datetime | None = None
    invited_at: datetime | None = None
    banned_until: datetime | None = None

    def __post_init__(self) -> None:
        self.app_metadata = {"provider": "email", "providers": ["email"]} | self.app_metadata

    @property
    def is_banned(self) -> bool:
        return self.banned_until is not None and self.banned_until > now()

    def ban(self, duration: str) -> None:
        """As Go spells a duration (`24h`, `1h30m`), or `none`."""
        if duration == "none":
            self.banned_until = None
            return
        parts = _PART.findall(duration)
        if not parts or "".join(number + unit for number, unit in parts) != duration:
            raise ValueError(duration)
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
        self.banned_until = now() + timedelta(seconds=seconds)

    def merge(self, name: str, changes: object) -> None:
        """Keys of app_metadata or user_metadata: a null takes one away, the others stand."""
        kept = getattr(self, name)
        for key, value in (changes if isinstance(changes, dict) else {}).items():
            kept[key] = value
            if value is None:
                del kept[key]

    def told(self) -> dict[str, object]:
        """As /user and every session show them."""
        times = {
            "email_confirmed_at": self.confirmed_at,
            "confirmed_at": self.confirmed_at,
            "invited_at": self.invited_at,
            "last_sign_in_at": self.last_sign_in_at,
            "banned_until": self.banned_until,
        }
        return {
            "id": self.id,
            "aud": "authenticated",
            "role": self.role,
            "email": self.email,
            "phone": "",
            **{name: moment(when) for name, when in times.items() if when is not None},
            "app_metadata": self.app_metadata,
            "user_metadata": self.user_metadata,
            "identities": [self._identity()],
            "created_at": moment(self.created_at),
            "updated_at": moment(self.updated_at),
            "is_anonymous": False,
        }

    def _identity(self) -> dict[str, object]:
        return {
            "identity_id": self.id,
            "id": self.id,
            "user_id": self.id,
            "identity_data": {
                "email": self.email,
                "email_verified": self.confirmed_at is not None,
                "sub": self.id,
            },
            "provider": "email",
            "last_sign_in_at": moment(self.last_sign_in_at or self.created_at),
            "created_at": moment(self.created_at),
            "updated_at": moment(self.updated_at),
            "email": self.email,
        }


@dataclass(kw_only=True)
class SignedIn:
    """One sign-in of somebody. `used` are refresh tokens that were exchanged, the newest last."""

    account: str
    refresh_token: str
    id: str = field(default_factory=lambda: str(uuid4()))
    began_at: datetime = field(default_factory=now)
    used: list[tuple[str, datetime]] = field(default_factory=list)
    method: str = "password"  # or otp: by a link in a message
    is_revoked: bool = False

    def rotate(self, fresh: str) -> None:
        self.used.append((self.refresh_token, datetime.now(UTC)))
        self.refresh_token = fresh


class Rows:
    """auth.users in a given Postgres, kept as Supabase keeps it; columns that are not there are left out."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def write(self, account: Account) -> None:
        said = {
            "id": account.id,
            "email": account.email,
            "raw_app_meta_data": Jsonb(account.app_metadata),
            "raw_user_meta_data": Jsonb(account.user_metadata),
            "created_at": account.created_at,
            "updated_at": account.updated_at,
            "email_confirmed_at": account.confirmed_at,
            "last_sign_in_at": account.last_sign_in_at,
            "invited_at": account.invited_at,
            "banned_until": account.banned_until,
            "role": account.role,
            "aud": "authenticated",
        }
        with psycopg.connect(self._dsn, autocommit=True) as conn:
            there = conn.execute(
                "SELECT column_name FROM information_schema.columns WHERE (table_schema, table_name) = ('auth', 'users')"
            )
            names = sorted({name for (name,) in there} & said.keys())
            values = ", ".join(f"%({name})s" for name in names)
            changes = ", ".join(f"{name} = excluded.{name}" for name in names if name != "id")
            conn.execute(
                f"INSERT INTO auth.users ({', '.join(names)}) VALUES ({values}) ON CONFLICT (id) DO UPDATE SET {changes}",
                said,
            )

    def delete(self, account: Account) -> None:
        with psycopg.connect(self._dsn, autocommit=True) as conn:
            conn.execute("DELETE FROM auth.users WHERE id = %s", [account.id])
