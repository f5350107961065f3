"""People as an admin keeps them: roles, invitations, bans, signing somebody out everywhere (SPEC "People").

Roles live where people sign in, with Supabase Auth or in our own auth.users, which compare nothing: changes go one at a
time and are compared here. Each is recorded before it is asked for, with ids and never with an address; one that failed
is recorded too. A change counts at once in open sessions.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable, Mapping

from core import sessions
from core.authority import Action, permit
from core.db import admin
from core.errors import BadRequest, Conflict, StudioError
from core.identity.people import Colleague, PeopleRegister, open_people
from core.services import Services
from core.values import Person, PersonId, Role

__all__ = ["Colleague"]

_LONGEST_WHY = 500


def team(person: Person, services: Services) -> list[Colleague]:
    """Those who hold a role, by e-mail. Raises NotAllowed (needs admin), SetupFailed."""
    permit(person, Action.see_people)
    with _register(services) as register:
        return register.team()


def find(email: str, person: Person, services: Services) -> Colleague | None:
    """Whoever has this e-mail address, with a role or without; None where nobody has.

    Raises NotAllowed (needs admin), SetupFailed, SignInUnavailable.
    """
    permit(person, Action.see_people)
    with _register(services) as register:
        return register.find(email)


def set_roles(
    who: PersonId,
    roles: Iterable[Role],
    person: Person,
    services: Services,
    *,
    seen: frozenset[Role],
    why: str,
) -> None:
    """Give somebody these roles instead of those that the admin saw; recorded; their open sessions have them at once.

    Raises NotAllowed (needs admin), NotFound, BadRequest (why), Conflict `CHANGED_MEANWHILE` or `ONESELF`: nobody takes
    the admin role from themselves, so that one admin is always left.
    """
    permit(person, Action.change_people)
    wanted = frozenset(roles)
    if who == person.id and Role.admin not in wanted:
        raise _oneself("Nobody takes the admin role from themselves. Ask another admin to do it.")
    with _changing(person, services, why) as register:
        now = register.one(who)
        if now.roles != seen:
            raise Conflict(
                "A colleague changed these roles meanwhile, so yours were not written. Look at what stands there now, and "
                "change them again.",
                code="CHANGED_MEANWHILE",
            )
        if now.roles == wanted:
            return

        def act() -> None:
            register.set_roles(who, wanted)
            sessions.roles_changed(who, wanted, services)

        _recorded(
            "person_roles_set", who, person, services, why, act,
            before={"roles": _words(now.roles)}, after={"roles": _words(wanted)},
        )  # fmt: skip


def invite(email: str, roles: Iterable[Role], person: Person, services: Services, *, why: str) -> Colleague:
    """Make an account that its person can take, with these roles; recorded.

    Raises NotAllowed (needs admin), BadRequest (email, roles, why), Conflict (there is one), SignInUnavailable.
    """
    permit(person, Action.change_people)
    wanted = frozenset(roles)
    if not wanted:
        raise BadRequest("Choose at least one role: without one nobody may come in.", field="roles")
    with _changing(person, services, why) as register:
        made = register.invite(email, wanted)
        _note("person_invited", made.person, person, services, why, after={"roles": _words(wanted)})
    return made


def ban(who: PersonId, person: Person, services: Services, *, why: str) -> None:
    """Nobody signs in as this person any more, and their open sessions end; recorded. Their work stays.

    Raises NotAllowed (needs admin), NotFound, BadRequest (why), Conflict `ONESELF`.
    """
    permit(person, Action.change_people)
    if who == person.id:
        raise _oneself("Nobody locks themselves out. Ask another admin to do it.")
    with _changing(person, services, why) as register:
        if register.one(who).is_banned:
            return

        def act() -> None:
            register.ban(who)
            sessions.end_all(who, services)

        _recorded(
            "person_banned", who, person, services, why, act, before={"banned": False}, after={"banned": True}
        )


def unban(who: PersonId, person: Person, services: Services, *, why: str) -> None:
    """Let somebody sign in again; recorded. Raises NotAllowed (needs admin), NotFound, BadRequest (why)."""
    permit(person, Action.change_people)
    with _changing(person, services, why) as register:
        if not register.one(who).is_banned:
            return
        _recorded(
            "person_unbanned", who, person, services, why, lambda: register.unban(who),
            before={"banned": True}, after={"banned": False},
        )  # fmt: skip


def sign_out(who: PersonId, person: Person, services: Services, *, why: str) -> int:
    """End every open session of somebody; recorded; how many there were. They may sign in again.

    Raises NotAllowed (needs admin), BadRequest (why).
    """
    permit(person, Action.change_people)
    _refuse_without_reason(why)
    ended = sessions.end_all(who, services)
    _note("person_signed_out", who, person, services, why, after={"sessions": ended})
    return ended


@contextlib.contextmanager
def _register(services: Services) -> Generator[PeopleRegister]:
    with contextlib.closing(open_people(services.settings, services.db)) as register:
        yield register


@contextlib.contextmanager
def _changing(person: Person, services: Services, why: str) -> Generator[PeopleRegister]:
    """The register while nobody else changes people; whoever asks is an admin there, now, too: of two admins who take
    the role from each other, the second is refused.
    """
    _refuse_without_reason(why)
    with _register(services) as register, admin.one_at_a_time(services.db):
        asks = register.one(person.id)
        if Role.admin not in asks.roles or asks.is_banned:
            raise Conflict(
                "You are no admin any more: a colleague changed that meanwhile. Reload the page.",
                code="CHANGED_MEANWHILE",
            )
        yield register


def _recorded(
    action: str,
    who: PersonId,
    person: Person,
    services: Services,
    why: str,
    act: Callable[[], None],
    *,
    before: Mapping[str, object],
    after: Mapping[str, object],
) -> None:
    _note(action, who, person, services, why, before=before, after=after)
    try:
        act()
    except StudioError as error:
        _note("person_change_failed", who, person, services, error.reason, before=after, after=before)
        raise


def _note(
    action: str,
    who: PersonId,
    person: Person,
    services: Services,
    why: str,
    *,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> None:
    with services.db.as_user(person) as conn:
        admin.note_person_change(conn, action, who, before=before, after=after, why=why)


def _words(roles: Iterable[Role]) -> list[str]:
    return sorted(str(role) for role in roles)


def _oneself(sentence: str) -> Conflict:
    return Conflict(sentence, code="ONESELF")


def _refuse_without_reason(why: str) -> None:
    if not 1 <= len(why.strip()) <= _LONGEST_WHY:
        raise BadRequest(
            f"Say why, in at most {_LONGEST_WHY} characters: the record keeps it beside the change.",
            field="why",
        )
