"""The people of this installation, for the admin page: who there is, with which roles, and who may not come in.

Where there is a Supabase project they are asked of and changed through its Auth admin API, with the secret key; else
they are the rows of our own auth.users, made when somebody signs in through OIDC or is invited.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from core.db import Database, activity, people
from core.db.people import Row
from core.errors import BadRequest, Conflict, NotAllowed, NotFound, SetupFailed
from core.identity import letters_lead_to, roles_in
from core.settings import Settings
from core.values import PersonId, Role

PAGE = 50  # people
LONGEST_EMAIL = 254  # characters


@dataclass(frozen=True, kw_only=True)
class Colleague:
    """Somebody with an account; `last_sign_in_at` is None where they never came."""

    person: PersonId
    email: str
    roles: frozenset[Role]
    created_at: datetime
    last_sign_in_at: datetime | None
    is_banned: bool


class PeopleRegister(Protocol):
    """Everybody with an account. Every method may be called from any thread; who may call it is the caller's rule.

    Errors of all: SignInUnavailable, TooManyAttempts, DatabaseUnavailable.
    """

    def everyone(self, page: int) -> list[Colleague]:
        """Page 1, 2, …: up to PAGE people, the newest first; an empty page is behind the last. Customers are among them."""
        ...

    def team(self) -> list[Colleague]:
        """Those who hold a role, by e-mail."""
        ...

    def find(self, email: str) -> Colleague | None:
        """Whoever has this e-mail address, whole; capitals do not matter."""
        ...

    def one(self, person: PersonId) -> Colleague:
        """Raises NotFound."""
        ...

    def set_roles(self, person: PersonId, roles: Iterable[Role]) -> None:
        """Replace their roles; all else that is kept about them stands. Raises NotFound."""
        ...

    def invite(self, email: str, roles: Iterable[Role]) -> Colleague:
        """Make an account that its person can take. Raises BadRequest (no address), Conflict (there is one, unless its
        person never came, was to have these same roles, and can be sent the message again).
        """
        ...

    def ban(self, person: PersonId) -> None:
        """They cannot sign in or refresh any more; open sessions are the caller's to end. Raises NotFound."""
        ...

    def unban(self, person: PersonId) -> None:
        """They may sign in again. Raises NotFound."""
        ...

    def came_in(self, person: PersonId, email: str, roles: frozenset[Role] | None) -> frozenset[Role]:
        """Note that somebody signed in through OIDC, with the roles their provider names (None: it names none, and
        those on record stand). Returns what they hold. Raises NotAllowed (banned; their address is another's).
        """
        ...

    def close(self) -> None:
        """Let go of its connections."""
        ...


def open_people(settings: Settings, db: Database) -> PeopleRegister:
    """The register of this installation. Raises SetupFailed where there is a project, but no secret key."""
    if settings.supabase_url is None:
        return OurPeople(db)
    if settings.supabase_secret_key is None:
        raise SetupFailed(
            "SUPABASE_SECRET_KEY is not set, so nobody's roles can be changed here. Set the project's secret key."
        )
    from core.identity.supabase_people import SupabasePeople  # noqa: PLC0415 - as open_sign_in

    return SupabasePeople(
        settings.supabase_url,
        settings.supabase_secret_key.get_secret_value(),
        db,
        leads_to=letters_lead_to(settings),
    )


def name_first_admin(email: str, settings: Settings, db: Database) -> Colleague:
    """Give the admin role to whoever has this address; from then on an admin gives roles. Recorded, with the id only.

    Where nobody has the address yet, they are invited. Raises Conflict `ADMIN_THERE` where somebody is an admin and may
    come in, BadRequest (no address), SetupFailed (nobody signs in here), SignInUnavailable.
    """
    if not settings.has_sign_in:
        raise SetupFailed("Nobody signs in here: you are the one local person, and an admin already.")
    with closing(open_people(settings, db)) as register:
        if any(Role.admin in one.roles and not one.is_banned for one in register.team()):
            raise Conflict(
                "There is an admin already. Ask them: they give roles on the dashboard's page People.",
                code="ADMIN_THERE",
            )
        known = register.find(checked_email(email)) or register.invite(email, [])
        roles = known.roles | {Role.admin}
        with db.as_service() as conn:
            activity.note(
                conn,
                "first_admin_named",
                "auth.users",
                str(known.person),
                before={"roles": sorted(known.roles)},
                after={"roles": sorted(roles)},
                why="python -m core first-admin",
            )
        register.set_roles(known.person, roles)
        return replace(known, roles=roles)


class OurPeople:
    """`PeopleRegister` over our own auth.users."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def everyone(self, page: int) -> list[Colleague]:
        """As `PeopleRegister.everyone`."""
        with self._db.as_service() as conn:
            return [colleague(row) for row in people.page(conn, page, size=PAGE)]

    def team(self) -> list[Colleague]:
        """As `PeopleRegister.team`."""
        return team_of(self._db)

    def find(self, email: str) -> Colleague | None:
        """As `PeopleRegister.find`."""
        return found_by_email(self._db, email)

    def one(self, person: PersonId) -> Colleague:
        """As `PeopleRegister.one`."""
        with self._db.as_service() as conn:
            row = people.by_id(conn, person)
        if row is None:
            raise nobody()
        return colleague(row)

    def set_roles(self, person: PersonId, roles: Iterable[Role]) -> None:
        """As `PeopleRegister.set_roles`."""
        with self._db.as_service() as conn:
            _must_be_there(people.note(conn, person, {"roles": sorted(set(roles))}))

    def invite(self, email: str, roles: Iterable[Role]) -> Colleague:
        """As `PeopleRegister.invite`. No message is sent: whoever signs in with this address, verified, takes it."""
        wanted = checked_email(email)
        with self._db.as_service() as conn:
            row = people.insert_invited(conn, wanted, sorted(set(roles)))
        if row is None:
            raise has_account()
        return colleague(row)

    def ban(self, person: PersonId) -> None:
        """As `PeopleRegister.ban`."""
        with self._db.as_service() as conn:
            _must_be_there(people.note(conn, person, {"banned": True}))

    def unban(self, person: PersonId) -> None:
        """As `PeopleRegister.unban`."""
        with self._db.as_service() as conn:
            _must_be_there(people.note(conn, person, {"banned": False}))

    def came_in(self, person: PersonId, email: str, roles: frozenset[Role] | None) -> frozenset[Role]:
        """As `PeopleRegister.came_in`. An invitation to this address becomes theirs, with its roles."""
        with self._db.as_service() as conn:
            people.take_invitation(conn, person, email)
            before = people.by_id(conn, person)
            if before is not None and before.is_banned:
                raise banned()
            if not people.came_in(conn, person, email, sorted(roles) if roles is not None else None):
                raise address_taken()
            after = people.by_id(conn, person)
        return roles_in(after.app_metadata) if after is not None else frozenset()

    def close(self) -> None:
        """As `PeopleRegister.close`: the pool is not its own."""


def team_of(db: Database) -> list[Colleague]:
    """Those who hold a role, by e-mail, as the rows of auth.users say: Auth can only list everybody, customers too."""
    with db.as_service() as conn:
        found = [colleague(row) for row in people.with_roles(conn)]
    return [one for one in found if one.roles]


def found_by_email(db: Database, email: str) -> Colleague | None:
    """Whoever has this address, as auth.users says; capitals do not matter."""
    with db.as_service() as conn:
        row = people.by_email(conn, email.strip())
    return colleague(row) if row is not None else None


def colleague(row: Row) -> Colleague:
    """A row of auth.users, as Supabase or we write it."""
    return Colleague(
        person=row.id,
        email=row.email or "",
        roles=roles_in(row.app_metadata),
        created_at=row.created_at,
        last_sign_in_at=row.last_sign_in_at,
        is_banned=row.is_banned,
    )


def checked_email(email: str) -> str:
    """The address in small letters. Raises BadRequest where it can be none."""
    wanted = email.strip().lower()
    name, at, host = wanted.partition("@")
    is_one = name and at and "." in host and host.isascii() and wanted.isprintable() and " " not in wanted
    if not is_one or "@" in host or len(wanted) > LONGEST_EMAIL:
        raise BadRequest("That is no e-mail address. Write it whole, such as ada@example.org.", field="email")
    return wanted


def has_account() -> Conflict:
    """What is said where somebody is invited who is here."""
    return Conflict("Somebody with this e-mail address is here already. Find them, and give them roles.")


def nobody() -> NotFound:
    """What is said where an id belongs to nobody."""
    return NotFound("There is no such person any more. Reload the page.")


def banned() -> NotAllowed:
    """What is said to somebody who may not come in any more."""
    return NotAllowed("Your account was closed here. Ask an admin to open it again.", code="BANNED")


def address_taken() -> NotAllowed:
    """What is said to somebody whose verified address is on record for another account."""
    return NotAllowed(
        "Your e-mail address belongs to another account here. Sign in with that one, or ask an admin.",
        code="EMAIL_TAKEN",
    )


def _must_be_there(changed: bool) -> None:
    if not changed:
        raise nobody()
