"""People: the team with its roles, whoever is found by e-mail, invitations, bans, and signing somebody out everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import streamlit as st

from audit import activity_words, admin, colleagues, look, navigation, tables, words
from audit.admin import Question
from audit.asking import asked, told
from audit.look import badge, say
from audit.services import person, services
from core.admin import people
from core.admin.people import Colleague
from core.audit import activity
from core.audit.activity import Event, Wanted
from core.authority import Action
from core.errors import StudioError
from core.values import Role

_ABOUT = "person_asked_about"
_FOUND = "found_email"
_TABLE = "people"  # of the record
_SHOWN = 20  # changes
_ROLES, _BAN, _UNBAN, _OUT, _INVITE = "set_roles", "ban", "unban", "sign_out", "invite"
_MEANINGS = {
    Role.editor: "Editor: writes characters and makes pictures",
    Role.qa: "QA: sees every job, finds and mends",
    Role.product: "Product: attribute images, reviews, budgets seen",
    Role.admin: "Admin: models, prices, providers, people",
}


def draw() -> None:
    """The whole page."""
    if admin.refuses("People", Action.see_people):
        return
    admin.flash()
    look.head(
        "People",
        "Who may come in and do what. A change counts at once, in open pages too. A customer of the platform has no role "
        "here and sees nothing.",
    )
    if not services().settings.has_sign_in:
        st.info(
            "This installation has no sign-in: there is one local person, who holds every role, on this machine. Set "
            "SUPABASE_URL or OIDC_ISSUER, and this page keeps your team.",
            icon=":material/person:",
        )
        _history()
        return
    _team()
    _finding()
    _history()
    admin.settle(
        {name: lambda _about, name=name: _question(name) for name in (_ROLES, _BAN, _UNBAN, _OUT, _INVITE)}
    )


def _team() -> None:
    try:
        found = people.team(person(), services())
    except StudioError as error:
        told(error)
        return
    st.subheader(f"The team: {len(found)}", anchor=False)
    st.button(
        "Invite somebody", icon=":material/person_add:", key="invite", on_click=admin.ask, args=(_INVITE,)
    )
    for one in found:
        _line(one, "team")
    with st.container(horizontal=True):
        look.as_of(datetime.now(UTC))
        st.space("stretch")
        tables.files(_sheet(found))


def _line(one: Colleague, place: str) -> None:
    key = f"{place}_{one.person.hex}"
    with st.container(horizontal=True, vertical_alignment="center", key=f"person_{key}"):
        st.html(_told(one), width="stretch")
        _deed("Roles", f"roles_{key}", _ROLES, one)
        if one.roles:
            _deed("Sign out", f"out_{key}", _OUT, one)
        if one.person != person().id:
            _deed(
                "Let in again" if one.is_banned else "Ban",
                f"ban_{key}",
                _UNBAN if one.is_banned else _BAN,
                one,
            )


def _deed(label: str, key: str, name: str, one: Colleague) -> None:
    st.button(label, key=key, type="tertiary", on_click=_ask, args=(name, one))


def _ask(name: str, one: Colleague) -> None:
    """Open a question about a person as they stood beside the button."""
    st.session_state[_ABOUT] = one
    admin.ask(name)


def _told(one: Colleague) -> str:
    you = badge("you", "accent") if one.person == person().id else ""
    banned = badge("banned", "bad") if one.is_banned else ""
    roles = _role_words(one.roles)
    came = f"last signed in {words.ago(one.last_sign_in_at)}" if one.last_sign_in_at else "never signed in"
    return (
        f'<div class="ad-row"><b>{say(one.email or "no e-mail address")}{you}{banned}</b><span>{say(roles)}</span>'
        f"<span>{say(came)}; here since {say(words.day(one.created_at))}</span></div>"
    )


def _role_words(roles: frozenset[Role]) -> str:
    return ", ".join(str(role) for role in Role if role in roles) or "no role: may not come in"


def _finding() -> None:
    st.subheader("Somebody without a role", anchor=False)
    with st.form("find_person", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        email = st.text_input(
            "E-mail address, whole", key=_FOUND, max_chars=254, placeholder="ada@example.org"
        )
        st.form_submit_button("Find", icon=":material/search:", key="find")
    if not email.strip():
        return
    try:
        one = people.find(email, person(), services())
    except StudioError as error:
        told(error)
        return
    if one is None:
        st.caption("Nobody has this address. Invite them, and they can come in.")
        return
    _line(one, "found")


def _history() -> None:
    st.subheader("What was changed", anchor=False)
    found = asked(lambda conn: activity.page(conn, Wanted(table=_TABLE), limit=_SHOWN).rows)
    if found is None:
        return
    if not found:
        st.caption("Nothing was changed of anybody yet.")
        return
    known = colleagues.names()
    st.html("".join(_event_words(one, known) for one in found))
    navigation.link("activity", "The whole record: Activity")
    look.as_of(datetime.now(UTC))


def _event_words(event: Event, known: colleagues.Names) -> str:
    whom = _whom(event.row_id, known)
    said = "".join(admin.change_words(change) for change in activity.changes(event))
    why = f"<em>{say(event.why)}</em>" if event.why else ""
    return (
        f'<div class="ad-row ad-event"><b>{say(activity_words.action(event.action))}: {say(whom)}</b>'
        f"<span>{say(words.moment(event.at))}, {say(colleagues.called(event.who, known, nobody='the studio'))}</span>"
        f"{said}{why}</div>"
    )


def _whom(row_id: str | None, known: colleagues.Names) -> str:
    """Whom an event is about, as the page calls them."""
    try:
        return colleagues.called(UUID(row_id or ""), known)
    except ValueError:
        return "somebody"


# -- the questions ----------------------------------------------------------------------------------------------------


def _question(name: str) -> Question | None:
    if name == _INVITE:
        return Question(
            title="Invite somebody",
            yes="Invite",
            asks=_ask_whom,
            act=_invite,
            example="Joins QA on Monday.",
            fields={"invite_email": "", **_ticks("invite", None)},
        )
    one = st.session_state.get(_ABOUT)
    if not isinstance(one, Colleague):
        return None
    return {_ROLES: _about_roles, _BAN: _about_ban, _UNBAN: _about_unban, _OUT: _about_out}[name](one)


def _about_roles(one: Colleague) -> Question:
    is_oneself = one.person == person().id
    admin.seen(one.roles)

    def act(why: str) -> str:
        wanted, seen = _ticked("role", one), admin.seen(one.roles)
        people.set_roles(one.person, wanted, person(), services(), seen=seen, why=why)
        return f"The roles of {one.email} are changed."

    return Question(
        title="Roles",
        yes="Save",
        asks=lambda: _ask_about_roles(one, is_oneself=is_oneself),
        act=act,
        example="Moves to QA.",
        fields=_ticks("role", one),
        look_again=lambda: _roles_now(one),
    )


def _roles_now(one: Colleague) -> str:
    """What a colleague gave this person; from now on the next save is compared with it."""
    now = next((each for each in people.team(person(), services()) if each.person == one.person), None)
    roles = now.roles if now else frozenset[Role]()
    admin.looked_at(roles)
    return f"{_role_words(roles)}."


def _ask_about_roles(one: Colleague, *, is_oneself: bool) -> None:
    _about(one, "What they may do from now on:")
    _ask_roles("role", one, is_oneself=is_oneself)


def _about(one: Colleague, sentence: str) -> None:
    """Whom a question is about; an address is no Markdown and no link."""
    st.html(f'<div class="ad-row"><b>{say(one.email)}</b><span>{say(sentence)}</span></div>')


def _ask_roles(key: str, one: Colleague | None, *, is_oneself: bool = False) -> None:
    for role in Role:
        is_own_admin = is_oneself and role is Role.admin
        st.checkbox(
            _MEANINGS[role],
            key=_tick(key, role, one),
            disabled=is_own_admin,
            help="Nobody takes the admin role from themselves: another admin does it."
            if is_own_admin
            else None,
        )


def _tick(key: str, role: Role, one: Colleague | None) -> str:
    return f"{key}_{role}_{one.person.hex if one else 'new'}"


def _ticks(key: str, one: Colleague | None) -> dict[str, object]:
    """How the boxes of roles begin, by their keys."""
    return {_tick(key, role, one): one is not None and role in one.roles for role in Role}


def _ticked(key: str, one: Colleague | None) -> frozenset[Role]:
    return frozenset(role for role in Role if st.session_state.get(_tick(key, role, one)))


def _about_ban(one: Colleague) -> Question:
    def act(why: str) -> str:
        people.ban(one.person, person(), services(), why=why)
        return f"{one.email} cannot sign in any more."

    return Question(
        title="Ban",
        yes="Ban",
        asks=lambda: _about(
            one, "They are signed out everywhere at once and cannot sign in again. Their work stays."
        ),
        act=act,
        example="Left the company.",
    )


def _about_unban(one: Colleague) -> Question:
    def act(why: str) -> str:
        people.unban(one.person, person(), services(), why=why)
        return f"{one.email} may sign in again."

    return Question(
        title="Let in again",
        yes="Let in",
        asks=lambda: _about(one, "They may sign in again, with the roles they have."),
        act=act,
        example="Is back.",
    )


def _about_out(one: Colleague) -> Question:
    def act(why: str) -> str:
        ended = people.sign_out(one.person, person(), services(), why=why)
        return f"{one.email} is signed out: {ended} {'session' if ended == 1 else 'sessions'} ended."

    return Question(
        title="Sign out everywhere",
        yes="Sign out",
        asks=lambda: _about(one, "Every open session of theirs ends at once. They may sign in again."),
        act=act,
        example="A laptop was lost.",
    )


def _ask_whom() -> None:
    st.text_input("E-mail address", key="invite_email", max_chars=254, placeholder="ada@example.org")
    _ask_roles("invite", None)


def _invite(why: str) -> str:
    email = str(st.session_state.get("invite_email") or "")
    made = people.invite(email, _ticked("invite", None), person(), services(), why=why)
    return f"{made.email} is invited."


def _sheet(found: Sequence[Colleague]) -> tables.Sheet:
    return tables.Sheet(
        name="people",
        columns=("person", "email", "roles", "created_at", "last_sign_in_at", "banned"),
        rows=lambda: [
            (one.person, one.email, sorted(one.roles), one.created_at, one.last_sign_in_at, one.is_banned)
            for one in found
        ],
    )
