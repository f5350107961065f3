"""The people of an installation, over a Supabase project and over our own auth.users: one contract for both."""

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from psycopg.types.json import Jsonb
from typer.testing import CliRunner

from core import cli
from core.db import people
from core.errors import BadRequest, Conflict, NotAllowed, NotFound, SetupFailed, SignInUnavailable
from core.identity.people import PAGE, OurPeople, name_first_admin, open_people
from core.identity.supabase_people import SupabasePeople
from core.settings import Settings
from core.values import PersonId, Role
from tests.supabase.auth_double import AuthDouble

pytest_plugins = ["tests.supabase.fix_people"]

EMAIL = "edda@team.example"
PEOPLE = ((EMAIL, "editor"), ("quinn@team.example", "qa"))


@dataclass
class Known:
    """One register and how a test puts somebody in it."""

    register: object
    db: object
    auth: AuthDouble | None = None

    def add(self, email, app_metadata=None):
        if self.auth is not None:
            return PersonId(UUID(self.auth.person(email, app_metadata=app_metadata or {}).id))
        person = uuid4()
        with self.db.as_service() as conn:
            conn.execute(
                "INSERT INTO auth.users (id, email, raw_app_meta_data) VALUES (%s, %s, %s)",
                (person, email, Jsonb(app_metadata or {})),
            )
        return PersonId(person)

    def metadata(self, person):
        """raw_app_meta_data as the database has it: Supabase's Auth keeps it there too."""
        with self.db.as_service() as conn:
            row = conn.execute("SELECT raw_app_meta_data FROM auth.users WHERE id = %s", [person]).fetchone()
        return row[0]


@pytest.fixture
def ours(nobody_here):
    return Known(OurPeople(nobody_here), nobody_here)


@pytest.fixture
def supabase(nobody_there):
    with AuthDouble(dsn=nobody_there.dsn) as auth:
        register = SupabasePeople(auth.url, auth.secret_key, nobody_there)
        yield Known(register, nobody_there, auth)
        register.close()


@pytest.fixture(params=["ours", "supabase"])
def known(request, ours, supabase):
    return {"ours": ours, "supabase": supabase}[request.param]


# --- over both ----------------------------------------------------------------------------------------------------


def test_everybody_is_shown_page_by_page(known):
    added = {known.add(f"p{number}@team.example") for number in range(PAGE + 3)}

    pages = [known.register.everyone(number) for number in (1, 2, 3)]

    assert [len(page) for page in pages] == [PAGE, 3, 0]
    assert {one.person for page in pages for one in page} == added
    assert pages[0][0].created_at >= pages[1][-1].created_at
    assert all(one.created_at.tzinfo for one in pages[0])


def test_the_team_is_whoever_holds_a_role_of_ours(known):
    known.add("zoe@team.example", {"roles": ["admin", "owner"]})
    known.add("ada@team.example", {"roles": ["editor"]})
    for number, roles in enumerate(([], ["owner"], "admin", {"admin": True}, None, [None])):
        known.add(f"customer{number}@example.org", {"roles": roles})
    known.add("nobody@example.org")

    team = known.register.team()

    assert [(one.email, one.roles) for one in team] == [
        ("ada@team.example", {Role.editor}),
        ("zoe@team.example", {Role.admin}),
    ]


def test_somebody_is_found_by_their_whole_address(known):
    person = known.add(EMAIL, {"roles": ["qa"]})
    known.add(f"fr{EMAIL}")

    found = known.register.find(f"  {EMAIL.upper()} ")

    assert (found.person, found.roles, found.is_banned) == (person, {Role.qa}, False)
    for other in ("edda", "dda@team.example", "%@team.example", "edda@team_example", ""):
        assert known.register.find(other) is None


def test_roles_are_replaced_and_all_else_that_is_kept_stands(known):
    person = known.add(EMAIL, {"roles": ["qa"], "team": "north", "plan": {"seats": 3}})

    known.register.set_roles(person, [Role.admin, Role.editor, Role.admin])

    assert known.register.one(person).roles == {Role.admin, Role.editor}
    kept = known.metadata(person)
    assert (kept["team"], kept["plan"], kept["roles"]) == ("north", {"seats": 3}, ["admin", "editor"])


def test_all_roles_can_be_taken(known):
    person = known.add(EMAIL, {"roles": ["qa"]})

    known.register.set_roles(person, [])

    assert known.register.one(person).roles == frozenset()
    assert known.register.team() == []


def test_who_is_banned_is_shown_so_until_they_may_come_again(known):
    person = known.add(EMAIL, {"roles": ["qa"]})

    known.register.ban(person)
    assert known.register.one(person).is_banned
    assert known.register.team()[0].is_banned
    known.register.unban(person)

    assert not known.register.one(person).is_banned
    assert known.register.one(person).roles == {Role.qa}


def test_an_invited_person_is_there_with_their_roles(known):
    invited = known.register.invite(f" {EMAIL.upper()} ", [Role.editor])

    assert (invited.email, invited.roles, invited.last_sign_in_at) == (EMAIL, {Role.editor}, None)
    assert known.register.find(EMAIL).person == invited.person
    with pytest.raises(Conflict):
        known.register.invite(EMAIL, [Role.admin])
    assert known.register.find(EMAIL).roles == {Role.editor}


@pytest.mark.parametrize(
    "email",
    [
        "",
        "edda",
        "@team.example",
        "edda@",
        "edda@team",
        "a b@team.example",
        "a@b@c.example",
        "a\n@b.example",
        "x" * 250 + "@b.example",
    ],
)
def test_nobody_is_invited_without_an_address(known, email):
    with pytest.raises(BadRequest):
        known.register.invite(email, [Role.editor])
    assert known.register.everyone(1) == []


@pytest.mark.parametrize("act", ["one", "set_roles", "ban", "unban"])
def test_an_id_that_is_nobody_s_is_said_to_be_that(known, act):
    more = [[Role.qa]] if act == "set_roles" else []

    with pytest.raises(NotFound):
        getattr(known.register, act)(PersonId(uuid4()), *more)


def test_whoever_comes_in_by_single_sign_on_has_a_row_with_the_roles_their_provider_names(known):
    person = PersonId(uuid4())

    assert known.register.came_in(person, EMAIL, frozenset({Role.editor})) == {Role.editor}
    assert known.register.came_in(person, EMAIL, frozenset({Role.qa})) == {Role.qa}

    assert known.metadata(person)["roles"] == ["qa"]
    assert known.register.find(EMAIL).person == person


def test_where_the_provider_names_no_roles_those_on_record_stand(known):
    person = PersonId(uuid4())
    assert known.register.came_in(person, EMAIL, None) == frozenset()
    known.register.set_roles(person, [Role.product])

    assert known.register.came_in(person, EMAIL, None) == {Role.product}
    assert known.register.came_in(person, EMAIL, frozenset()) == frozenset()


def test_a_banned_person_does_not_come_in(known):
    person = PersonId(uuid4())
    known.register.came_in(person, EMAIL, frozenset({Role.admin}))
    known.register.ban(person)

    with pytest.raises(NotAllowed) as refusal:
        known.register.came_in(person, EMAIL, frozenset({Role.admin}))

    assert refusal.value.reason == "BANNED"


def test_an_address_is_one_account_s_only(known):
    standing = known.add(EMAIL, {"roles": ["admin"]})

    with pytest.raises(NotAllowed) as refusal:
        known.register.came_in(PersonId(uuid4()), EMAIL, frozenset({Role.editor}))

    assert refusal.value.reason == "EMAIL_TAKEN"
    assert known.register.find(EMAIL).person == standing
    assert known.register.find(EMAIL).roles == {Role.admin}


def test_what_others_wrote_beside_the_roles_harms_no_list(known):
    for number, metadata in enumerate(
        ({"last_sign_in_at": "never"}, {"banned": "perhaps"}, {"provider": None}, {"roles": [{"a": 1}]})
    ):
        known.add(f"p{number}@team.example", metadata)

    assert [one.is_banned for one in known.register.everyone(1)] == [False] * 4
    assert known.register.team() == []


# --- each one's own -----------------------------------------------------------------------------------------------


def test_an_invitation_without_a_project_is_taken_by_whoever_comes_with_that_address(ours):
    invited = ours.register.invite(EMAIL, [Role.product])
    person = PersonId(uuid4())

    assert ours.register.came_in(person, EMAIL, None) == {Role.product}

    found = ours.register.find(EMAIL)
    assert found.person == person != invited.person
    assert found.last_sign_in_at is not None
    assert len(ours.register.everyone(1)) == 1
    assert "invited" not in ours.metadata(person)


def test_an_address_that_changed_at_the_provider_changes_here(ours):
    person = PersonId(uuid4())
    ours.register.came_in(person, EMAIL, None)
    ours.register.came_in(person, "edda.new@team.example", None)

    assert ours.register.one(person).email == "edda.new@team.example"


def test_a_sign_in_at_the_project_is_shown(supabase):
    person = supabase.add(EMAIL, {"roles": ["qa"]})
    supabase.auth.people[str(person)].last_sign_in_at = datetime.now(UTC)

    assert supabase.register.one(person).last_sign_in_at is not None


def test_beside_a_database_of_ones_own_the_team_is_who_came_or_was_changed_here(nobody_here):
    with (
        AuthDouble() as auth,
        contextlib.closing(SupabasePeople(auth.url, auth.secret_key, nobody_here)) as register,
    ):
        edda, quinn = (PersonId(UUID(auth.person(one, "", role).id)) for one, role in PEOPLE)
        assert register.team() == []

        with nobody_here.as_service() as conn:
            people.mirror(conn, edda, EMAIL, ["editor"], is_banned=False, is_here=True)
        register.set_roles(quinn, [Role.qa, Role.product])
        register.ban(quinn)

        came, banned = register.team()
        assert (came.person, came.roles, came.is_banned) == (edda, {Role.editor}, False)
        assert came.last_sign_in_at is not None
        assert (banned.person, banned.roles, banned.is_banned) == (quinn, {Role.qa, Role.product}, True)
        assert banned.last_sign_in_at is None

        register.unban(quinn)
        assert not register.find("quinn@team.example").is_banned


def test_beside_a_database_of_ones_own_an_account_that_never_came_is_found_and_can_be_the_first_admin(
    nobody_here,
):
    with AuthDouble() as auth:
        edda = PersonId(UUID(auth.person(EMAIL, "").id))
        for number in range(PAGE):
            auth.person(f"p{number}@team.example", "")
        settings = Settings(
            _env_file=None,
            supabase_url=auth.url,
            supabase_publishable_key=auth.publishable_key,
            supabase_secret_key=auth.secret_key,
        )

        named = name_first_admin(EMAIL.upper(), settings, nobody_here)

    assert (named.person, named.roles) == (edda, {Role.admin})
    assert [one.person for one in OurPeople(nobody_here).team()] == [edda]


def test_an_address_that_the_project_gave_to_another_account_leaves_the_older_row(nobody_here):
    before, after = PersonId(uuid4()), PersonId(uuid4())
    with nobody_here.as_service() as conn:
        for person in (before, after):
            people.mirror(conn, person, EMAIL, ["editor"], is_banned=False, is_here=True)

        assert people.by_email(conn, EMAIL).id == after
        assert people.by_id(conn, before).email is None


def test_a_projects_own_accounts_are_never_written_to(nobody_there):
    with nobody_there.as_service() as conn:
        people.mirror(conn, PersonId(uuid4()), EMAIL, ["admin"], is_banned=False, is_here=True)

        assert people.by_email(conn, EMAIL) is None


@pytest.mark.parametrize("act", ["everyone", "one", "set_roles", "invite", "ban"])
def test_a_project_that_is_away_changes_nothing_and_says_so(supabase, act):
    person = supabase.add(EMAIL, {"roles": ["qa"]})
    arguments = {
        "everyone": [1],
        "set_roles": [person, [Role.admin]],
        "invite": ["new@team.example", [Role.admin]],
    }
    supabase.auth.bad_gateway("*")

    with pytest.raises(SignInUnavailable):
        getattr(supabase.register, act)(*arguments.get(act, [person]))

    assert supabase.metadata(person)["roles"] == ["qa"]


def test_a_key_that_may_not_change_people_is_an_admin_s_to_mend(supabase):
    person = supabase.add(EMAIL)
    stranger = SupabasePeople(supabase.auth.url, "sb_secret_of_another", supabase.db)

    for act in (lambda: stranger.one(person), lambda: stranger.everyone(1)):
        with pytest.raises(SignInUnavailable) as refusal:
            act()
        assert refusal.value.reason == "SIGN_IN_SETUP"
        assert "sb_secret" not in f"{refusal.value} {refusal.value!r} {stranger!r} {vars(stranger)!r}"
    stranger.close()


def settings_of(known):
    if known.auth is None:
        return Settings(_env_file=None, oidc_issuer="https://login.example.org", oidc_client_id="studio")
    return Settings(
        _env_file=None,
        supabase_url=known.auth.url,
        supabase_publishable_key=known.auth.publishable_key,
        supabase_secret_key=known.auth.secret_key,
    )


def test_the_first_admin_is_named_from_outside_once_and_it_is_recorded(known):
    person = known.add(EMAIL, {"roles": ["qa"]})

    named = name_first_admin(EMAIL.upper(), settings_of(known), known.db)

    assert (named.person, named.roles) == (person, {Role.qa, Role.admin})
    assert known.register.one(person).roles == {Role.qa, Role.admin}
    with known.db.as_service() as conn:
        (noted,) = conn.execute(
            "SELECT after FROM studio.audit_events WHERE action = 'first_admin_named' AND row_id = %s",
            [str(person)],
        ).fetchall()
    assert noted[0] == {"roles": ["admin", "qa"]}
    other = known.add("other@team.example")
    with pytest.raises(Conflict) as refusal:
        name_first_admin("other@team.example", settings_of(known), known.db)
    assert refusal.value.reason == "ADMIN_THERE"
    assert known.register.one(other).roles == frozenset()


def test_where_the_only_admin_is_banned_another_is_named_and_who_never_came_is_invited(known):
    known.register.ban(known.add(EMAIL, {"roles": ["admin"]}))

    named = name_first_admin("new@team.example", settings_of(known), known.db)

    assert known.register.find("new@team.example").roles == {Role.admin} == named.roles


def test_where_nobody_signs_in_there_is_no_first_admin(nobody_here):
    with pytest.raises(SetupFailed):
        name_first_admin(EMAIL, Settings(_env_file=None), nobody_here)


def test_the_command_names_the_first_admin_and_says_why_it_does_not(ours, monkeypatch, tmp_path):
    for name, value in {
        "DATABASE_URL": ours.db.dsn,
        "STUDIO_HOME": str(tmp_path),
        "OIDC_ISSUER": "https://login.example.org",
        "OIDC_CLIENT_ID": "studio",
    }.items():
        monkeypatch.setenv(name, value)
    person = ours.add(EMAIL)

    first = CliRunner().invoke(cli.app, ["first-admin", EMAIL])
    second = CliRunner().invoke(cli.app, ["first-admin", "other@team.example"])

    assert first.exit_code == 0, first.output
    assert f"{EMAIL} is an admin." in first.output
    assert ours.register.one(person).roles == {Role.admin}
    assert second.exit_code == 1
    assert "There is an admin already." in second.output


def test_the_settings_decide_whose_register_it_is(nobody_here):
    project = {"supabase_url": "https://project.supabase.invalid"}

    assert isinstance(open_people(Settings(_env_file=None), nobody_here), OurPeople)
    with pytest.raises(SetupFailed):
        open_people(Settings(_env_file=None, **project), nobody_here)
    with pytest.raises(SetupFailed):
        open_people(Settings(_env_file=None, **project, supabase_secret_key="sb_publishable_x"), nobody_here)
    opened = open_people(Settings(_env_file=None, **project, supabase_secret_key="sb_secret_x"), nobody_here)
    assert isinstance(opened, SupabasePeople)
    opened.close()
