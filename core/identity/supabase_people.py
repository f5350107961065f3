"""The people of a Supabase project, over its Auth admin API with the secret key (reference/supabase.md §4)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import cast

import httpx
from supabase_auth.types import AdminUserAttributes, User

from core.db import Database, people
from core.errors import Conflict, NotFound, SetupFailed
from core.identity import person_of, roles_in
from core.identity.people import (
    PAGE,
    Colleague,
    address_taken,
    banned,
    checked_email,
    found_by_email,
    has_account,
    team_of,
)
from core.identity.project import Project, moment, said_plainly
from core.identity.supabase import LIMITS, TIMEOUT
from core.values import PersonId, Role

LOOKED_THROUGH = 100  # pages
FOR_EVER = "876000h"  # a hundred years: Auth knows no ban without an end


class SupabasePeople:
    """`PeopleRegister` (core.identity.people) of one Supabase project. Nobody ever signs in on its client."""

    def __init__(
        self,
        url: str,
        secret_key: str,
        db: Database,
        client: httpx.Client | None = None,
        *,
        leads_to: str | None = None,
    ) -> None:
        """A `client` that is handed in brings its own timeouts and is closed by whoever made it. `leads_to`: where the
        links of invitations end; None: at the project's Site URL. Raises SetupFailed.
        """
        if secret_key.startswith("sb_publishable_"):
            raise SetupFailed(
                "SUPABASE_SECRET_KEY holds the publishable key, which may not change people. Set the project's secret "
                "key."
            )
        self._http = client or httpx.Client(timeout=TIMEOUT, limits=LIMITS, follow_redirects=False)
        self._owns_client = client is None
        self._project = Project(url, secret_key, self._http)
        self._admin = self._project.client().auth.admin
        self._db = db
        self._leads_to = leads_to

    def __repr__(self) -> str:
        return "SupabasePeople()"

    def everyone(self, page: int) -> list[Colleague]:
        """As `PeopleRegister.everyone`."""
        with said_plainly("list_people"):
            return [_colleague(user) for user in self._admin.list_users(page=max(1, page), per_page=PAGE)]

    def team(self) -> list[Colleague]:
        """As `PeopleRegister.team`."""
        return team_of(self._db)

    def find(self, email: str) -> Colleague | None:
        """As `PeopleRegister.find`: in auth.users, since Auth has no question for one address. Where the database is
        not the project's, whoever is not kept there is looked for page by page, in the newest LOOKED_THROUGH pages.
        """
        found = found_by_email(self._db, email)
        if found is not None or not self._is_beside():
            return found
        wanted = email.strip().lower()
        for number in range(1, LOOKED_THROUGH + 1):
            page = self.everyone(number)
            if found := next((one for one in page if one.email.lower() == wanted), None):
                return found
            if len(page) < PAGE:
                return None
        return None

    def one(self, person: PersonId) -> Colleague:
        """As `PeopleRegister.one`."""
        with said_plainly("look_at_person"):
            return _colleague(self._admin.get_user_by_id(str(person)).user)

    def set_roles(self, person: PersonId, roles: Iterable[Role]) -> None:
        """As `PeopleRegister.set_roles`. Auth merges app_metadata key by key, so the others stand."""
        self._changed("set_roles", person, {"app_metadata": {"roles": sorted(set(roles))}})

    def invite(self, email: str, roles: Iterable[Role]) -> Colleague:
        """As `PeopleRegister.invite`. The project sends the message, and again to who was invited with the same roles and
        never came.
        """
        wanted, given = checked_email(email), frozenset(roles)
        standing = self.find(wanted)
        if standing is not None and (standing.last_sign_in_at is not None or standing.roles != given):
            raise has_account()
        with said_plainly("invite"):
            invited = _colleague(
                self._admin.invite_user_by_email(
                    wanted, {"redirect_to": self._leads_to} if self._leads_to else {}
                ).user
            )
        self.set_roles(invited.person, given)
        return self.one(invited.person)

    def ban(self, person: PersonId) -> None:
        """As `PeopleRegister.ban`."""
        self._changed("ban", person, {"ban_duration": FOR_EVER})

    def unban(self, person: PersonId) -> None:
        """As `PeopleRegister.unban`."""
        self._changed("unban", person, {"ban_duration": "none"})

    def came_in(self, person: PersonId, email: str, roles: frozenset[Role] | None) -> frozenset[Role]:
        """As `PeopleRegister.came_in`: an account of the project with the id that OIDC gives this person."""
        try:
            known = self.one(person)
        except NotFound:
            known = self._made(person, email, roles or frozenset())
        if known.is_banned:
            raise banned()
        if roles is not None and roles != known.roles:
            self.set_roles(person, roles)
            return roles
        return known.roles

    def close(self) -> None:
        """As `PeopleRegister.close`."""
        if self._owns_client:
            self._http.close()

    def _is_beside(self) -> bool:
        """True where the project's people are in another database than ours."""
        with self._db.as_service() as conn:
            return people.is_our_own(conn)

    def _changed(self, deed: str, person: PersonId, changes: AdminUserAttributes) -> None:
        """Where the database is not the project's, what came of it is kept there: `team` and `find` read it."""
        with said_plainly(deed):
            one = _colleague(self._admin.update_user_by_id(str(person), changes).user)
        with self._db.as_service() as conn:
            people.mirror(conn, person, one.email, sorted(one.roles), is_banned=one.is_banned, is_here=False)

    def _made(self, person: PersonId, email: str, roles: frozenset[Role]) -> Colleague:
        try:
            with said_plainly("make_person"):
                made = self._admin.create_user(
                    {
                        "id": str(person),
                        "email": email,
                        "email_confirm": True,
                        "app_metadata": {"roles": sorted(roles)},
                    }
                )
                return _colleague(made.user)
        except Conflict as exc:
            raise address_taken() from exc


def _colleague(user: User) -> Colleague:
    until = moment(user.banned_until)
    return Colleague(
        person=person_of(user.id),
        email=user.email or "",
        roles=roles_in(cast("object", user.app_metadata)),
        created_at=user.created_at,
        last_sign_in_at=user.last_sign_in_at,
        is_banned=until is not None and until > datetime.now(UTC),
    )
