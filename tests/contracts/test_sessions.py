"""Sessions (decision 0038): nobody gets another's, none outlives its end, and one refresh serves everybody who asks."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import UUID

import pytest
from psycopg.rows import dict_row

from core import sessions, signing_in
from core.db import people
from core.db import sessions as session_rows
from core.errors import Conflict, NotAllowed, SignInUnavailable, TooManyAttempts, WrongCredentials
from core.services import Services
from core.signing_in import Asker
from core.values import PersonId, Role
from tests.supabase.auth_double import PASSWORD, AuthDouble
from tests.supabase.auth_people import Account

HERE = Asker(address="192.0.2.7")


@pytest.fixture
def services(team) -> Services:
    return team()


@pytest.fixture
def edda(auth: AuthDouble) -> Account:
    return auth.person("edda@team.example", PASSWORD, "editor", user_metadata={"full_name": "Edda"})


@pytest.fixture
def quinn(auth: AuthDouble) -> Account:
    return auth.person("quinn@team.example", PASSWORD, "qa")


def whose(cookie: str | None, services: Services, **asked: bool) -> UUID | None:
    person = sessions.person_of(cookie, services, **asked)
    return person.id if person is not None else None


def say(services: Services, sql: str) -> None:
    """Move a clock in the database: nobody sleeps here."""
    with services.db.as_service() as conn:
        conn.execute(sql)  # pyright: ignore[reportArgumentType]


def rows(services: Services, sql: str) -> list[dict[str, object]]:
    with services.db.as_service() as conn, conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(sql).fetchall()  # pyright: ignore[reportArgumentType]


def due(services: Services, ago: str = "1 second", *, over: str = "-4 minutes") -> None:
    """The tokens are due since `ago`; their access is over since `over`."""
    say(
        services,
        f"UPDATE studio.sessions SET refresh_at = now() - interval '{ago}', access_ends_at = now() - interval '{over}'",
    )


def why(services: Services) -> list[str]:
    return [
        one["ended_why"]
        for one in rows(services, "SELECT ended_why FROM studio.sessions ORDER BY created_at")
    ]


def asks(auth: AuthDouble) -> int:
    """Requests for tokens, by password or by a refresh token."""
    return sum(many for what, many in auth.counts.items() if what.startswith("POST /token"))


# ---- whose it is -------------------------------------------------------------------------------------------------


def test_a_session_is_its_persons_with_name_and_roles(services, signed_in, edda):
    begun = signed_in(edda, services)

    person = sessions.person_of(begun.value, services)

    assert (str(person.id), person.name, person.roles) == (edda.id, "Edda", {Role.editor})


def test_who_came_may_own_rows_in_a_database_that_is_not_the_projects(services, edda):
    signing_in.with_password(edda.email, PASSWORD, HERE, services)

    with services.db.as_service() as conn:
        conn.execute(
            "INSERT INTO public.characters (user_id, name, description) VALUES (%s, 'Ida', '')", [edda.id]
        )
        (known,) = people.with_roles(conn)
    assert (str(known.id), known.email) == (edda.id, edda.email)
    assert known.last_sign_in_at is not None


def test_one_persons_session_never_serves_another(services, signed_in, edda, quinn):
    of_edda, of_quinn = signed_in(edda, services), signed_in(quinn, services)

    for _ in range(3):
        assert str(whose(of_edda.value, services)) == edda.id
        assert str(whose(of_quinn.value, services)) == quinn.id


@pytest.mark.parametrize("value", [None, "", "x", "x" * 43, "x" * 5000, "ü" * 43, "' OR 1=1 --".ljust(43)])
def test_what_is_no_cookie_of_ours_is_nobody(services, signed_in, edda, value):
    signed_in(edda, services)

    assert whose(value, services) is None


def test_the_hash_in_the_database_is_no_cookie(services, signed_in, edda):
    begun = signed_in(edda, services)
    [row] = rows(services, "SELECT encode(token_hash, 'hex') AS hex FROM studio.sessions")

    assert len(bytes.fromhex(row["hex"])) == 32
    plain = hashlib.sha256(begun.value.encode()).hexdigest()
    assert row["hex"] != plain  # the key of the hash is not in the database
    assert whose(row["hex"][:43], services) is None


def test_neither_cookie_nor_tokens_stand_in_the_database(services, signed_in, edda, auth):
    begun = signed_in(edda, services)
    [told] = rows(services, "SELECT to_jsonb(s)::text AS all, sealed FROM studio.sessions s")
    access, refresh = sessions._opened(told["sealed"], _id(services), services)

    secrets = (begun.value, access, refresh, PASSWORD)
    assert [one for one in secrets if one in told["all"]] == []
    assert [one for one in secrets if one.encode() in told["sealed"]] == []
    assert begun.value not in repr(begun)


def _id(services: Services) -> UUID:
    [row] = rows(services, "SELECT id FROM studio.sessions")
    return row["id"]


def test_tokens_sealed_for_one_session_open_for_no_other(services, signed_in, edda, quinn):
    signed_in(edda, services)
    signed_in(quinn, services)
    first, second = rows(services, "SELECT id, sealed FROM studio.sessions ORDER BY created_at")

    assert sessions._opened(first["sealed"], second["id"], services) is None


def test_a_planted_cookie_never_becomes_a_session(services, edda):
    planted = "A" * 43
    tokens = services.sign_in.sign_in(edda.email, PASSWORD)

    begun = sessions.begin(tokens, services, instead_of=planted)

    assert begun.value != planted
    assert whose(planted, services) is None


def test_signing_in_again_ends_the_session_before(services, edda):
    first = signing_in.with_password(edda.email, PASSWORD, HERE, services)
    second = signing_in.with_password(
        edda.email, PASSWORD, replace(HERE, session=first.session.value), services
    )

    assert whose(first.session.value, services) is None
    assert whose(second.session.value, services) is not None
    assert why(services) == ["replaced", None]


# ---- how it ends -------------------------------------------------------------------------------------------------


def test_a_stolen_cookie_is_worth_nothing_after_signing_out(services, signed_in, edda, auth):
    here, elsewhere = signed_in(edda, services), signed_in(edda, services)

    sessions.end(here.value, services)

    assert whose(here.value, services) is None
    assert whose(elsewhere.value, services) is not None
    assert auth.counts["POST /logout"] == 1
    assert [
        one["sealed"] is None
        for one in rows(services, "SELECT sealed FROM studio.sessions ORDER BY created_at")
    ] == [True, False]


def test_signing_out_everywhere_ends_every_session_of_that_person_alone(services, signed_in, edda, quinn):
    cookies = [signed_in(edda, services).value for _ in range(3)]
    other = signed_in(quinn, services)

    assert sessions.end_all(PersonId(UUID(edda.id)), services) == 3

    assert [whose(cookie, services) for cookie in cookies] == [None] * 3
    assert str(whose(other.value, services)) == quinn.id


def test_signing_out_works_while_auth_is_away(services, signed_in, edda, auth):
    begun = signed_in(edda, services)
    auth.breaks("*")

    sessions.end(begun.value, services)

    assert whose(begun.value, services) is None


def test_a_session_ends_when_its_person_stays_away(services, signed_in, edda):
    begun = signed_in(edda, services)
    say(services, "UPDATE studio.sessions SET last_seen_at = now() - interval '11 hours 59 minutes'")
    assert whose(begun.value, services, is_active=False) is not None

    say(services, "UPDATE studio.sessions SET last_seen_at = now() - interval '12 hours 1 minute'")

    assert whose(begun.value, services) is None


def test_being_here_moves_the_end_and_a_page_that_only_listens_does_not(services, signed_in, edda):
    begun = signed_in(edda, services)
    old = "UPDATE studio.sessions SET last_seen_at = now() - interval '5 hours'"
    age = "SELECT extract(epoch FROM now() - last_seen_at)::int AS seconds FROM studio.sessions"

    say(services, old)
    whose(begun.value, services, is_active=False)
    assert rows(services, age)[0]["seconds"] >= 5 * 3600

    whose(begun.value, services)
    assert rows(services, age)[0]["seconds"] < 60


def test_a_look_at_the_same_minute_writes_nothing(services, signed_in, edda):
    begun = signed_in(edda, services)
    version = "SELECT xmin::text AS version FROM studio.sessions"
    before = rows(services, version)

    for _ in range(5):
        whose(begun.value, services)

    assert rows(services, version) == before


def test_a_session_ends_for_good_whatever_its_person_does(team, signed_in, edda):
    services = team(session_hours=2)
    begun = signed_in(edda, services)
    [row] = rows(services, "SELECT ends_at - created_at AS lasts FROM studio.sessions")
    assert row["lasts"].total_seconds() == 7200

    say(services, "UPDATE studio.sessions SET ends_at = now() - interval '1 second', last_seen_at = now()")

    assert whose(begun.value, services) is None


def test_what_cannot_be_refreshed_lasts_no_longer_than_the_idle_time(services, edda):
    tokens = replace(services.sign_in.sign_in(edda.email, PASSWORD), refresh_token=None)

    begun = sessions.begin(tokens, services, way="oidc")
    say(services, "UPDATE studio.sessions SET access_ends_at = now() - interval '6 hours'")

    assert str(whose(begun.value, services)) == edda.id
    [row] = rows(services, "SELECT ends_at - created_at AS lasts FROM studio.sessions")
    assert row["lasts"].total_seconds() == 12 * 3600


def test_old_rows_are_purged_and_others_stand(services, signed_in, edda, quinn):
    old, fresh = signed_in(edda, services), signed_in(quinn, services)
    sessions.end(old.value, services)
    assert sessions.purge(services) == 0
    say(
        services,
        "UPDATE studio.sessions SET ended_at = now() - interval '31 days' WHERE ended_at IS NOT NULL",
    )
    say(
        services,
        "INSERT INTO studio.sign_in_failures (kind, who, last_at) VALUES ('pair', sha256('x'), now() - interval '2 days')",
    )

    assert sessions.purge(services) == 2

    assert str(whose(fresh.value, services)) == quinn.id


# ---- refreshing --------------------------------------------------------------------------------------------------


def test_tokens_that_are_due_are_refreshed_once_and_bring_the_roles_of_today(services, signed_in, edda, auth):
    begun = signed_in(edda, services)
    edda.app_metadata["roles"] = ["qa", "product"]
    due(services)
    before = asks(auth)

    roles = [sessions.person_of(begun.value, services).roles for _ in range(5)]

    assert roles == [{Role.qa, Role.product}] * 5
    assert asks(auth) - before == 1


@pytest.mark.parametrize("over", ["-4 minutes", "1 hour"])
def test_many_who_ask_at_once_make_one_refresh_and_nobody_is_signed_out(
    services, team, signed_in, edda, auth, over
):
    begun = signed_in(edda, services)
    second = team()  # another process to the database
    auth.reuse_seconds = 0.0
    auth.wait = 0.3
    due(services, over=over)
    before = asks(auth)

    with ThreadPoolExecutor(24) as threads:
        asked = [threads.submit(whose, begun.value, one) for one in (services, second) * 12]
        seen = {str(one.result()) for one in asked}

    assert seen == {edda.id}
    assert asks(auth) - before == 1
    assert why(services) == [None]


ASKER = """
import sys, json
from contextlib import ExitStack
from core.services import open_services
from core.settings import Settings
from core import sessions
from concurrent.futures import ThreadPoolExecutor
said = json.loads(sys.stdin.readline())
with open_services(Settings(_env_file=None, **said["settings"])) as services:
    print("ready", flush=True)
    sys.stdin.readline()
    with ThreadPoolExecutor(8) as threads:
        people = list(threads.map(lambda _: sessions.person_of(said["cookie"], services), range(8)))
    print(json.dumps([str(person.id) if person else None for person in people]), flush=True)
"""


def test_two_processes_make_one_refresh(services, signed_in, edda, auth, dsn, tmp_path):
    begun = signed_in(edda, services)
    auth.reuse_seconds = 0.0
    auth.wait = 0.3
    settings = {
        "database_url": dsn,
        "studio_home": str(tmp_path),
        "supabase_url": auth.url,
        "supabase_publishable_key": auth.publishable_key,
        "log_level": "ERROR",
    }
    said = json.dumps({"cookie": begun.value, "settings": settings})
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    askers = [
        subprocess.Popen(
            [sys.executable, "-c", ASKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(2)
    ]
    try:
        for asker in askers:
            asker.stdin.write(f"{said}\n")
            asker.stdin.flush()
        assert [asker.stdout.readline().strip() for asker in askers] == ["ready", "ready"]
        due(services, over="1 hour")
        before = asks(auth)
        for asker in askers:
            asker.stdin.write("\n")
            asker.stdin.flush()
        people = [one for asker in askers for one in json.loads(asker.stdout.readline())]
    finally:
        for asker in askers:
            asker.stdin.close()
            asker.wait(20)
            asker.stdout.close()

    assert people == [edda.id] * 16
    assert asks(auth) - before == 1


def test_who_is_banned_is_out_at_the_next_refresh(services, signed_in, edda):
    begun = signed_in(edda, services)
    edda.ban("24h")
    due(services)

    assert whose(begun.value, services) is None
    assert why(services) == ["refused"]


def test_who_is_deleted_is_out_at_the_next_refresh(services, signed_in, edda, auth):
    begun = signed_in(edda, services)
    auth.forget(edda)
    due(services)

    assert whose(begun.value, services) is None
    assert why(services) == ["refused"]


def test_auth_being_away_signs_nobody_out_for_some_hours(services, signed_in, edda, auth):
    begun = signed_in(edda, services)
    due(services, over="3 hours 59 minutes")
    auth.bad_gateway("*")
    before = asks(auth)

    assert [str(whose(begun.value, services)) for _ in range(4)] == [edda.id] * 4
    assert asks(auth) - before == 1  # and it is not asked by everybody meanwhile

    due(services, over="3 hours 59 minutes")
    assert str(whose(begun.value, services)) == edda.id  # Auth is back
    assert rows(services, "SELECT access_ends_at > now() AS is_fresh FROM studio.sessions")[0]["is_fresh"]


def test_auth_being_away_for_long_ends_the_session(services, signed_in, edda, auth):
    begun = signed_in(edda, services)
    due(services, over="4 hours 1 minute")
    auth.bad_gateway("*")

    assert whose(begun.value, services) is None
    assert why(services) == ["auth_away"]


def test_a_refresh_whose_process_died_is_made_by_the_next(services, signed_in, edda, auth):
    begun = signed_in(edda, services)
    due(services)
    say(
        services,
        "UPDATE studio.sessions SET lease = gen_random_uuid(), lease_ends_at = now() + interval '20 seconds'",
    )
    before = asks(auth)
    assert str(whose(begun.value, services)) == edda.id
    assert asks(auth) == before

    say(services, "UPDATE studio.sessions SET lease_ends_at = now() - interval '1 second'")

    assert str(whose(begun.value, services)) == edda.id
    assert asks(auth) - before == 1


def test_another_secret_ends_every_session_at_once(team, signed_in, edda):
    services = team(files_secret="a secret of forty characters, or nearly so")
    begun = signed_in(edda, services)
    changed = team(files_secret="another secret of forty characters, or so")

    assert str(whose(begun.value, services)) == edda.id
    assert whose(begun.value, changed) is None


def test_another_secret_opens_no_tokens(team, signed_in, edda):
    services = team(files_secret="a secret of forty characters, or nearly so")
    signed_in(edda, services)
    [told] = rows(services, "SELECT sealed FROM studio.sessions")

    assert sessions._opened(told["sealed"], _id(services), services) is not None
    changed = team(files_secret="another secret of forty characters, or so")
    assert sessions._opened(told["sealed"], _id(services), changed) is None


def test_roles_that_an_admin_changed_count_at_once(services, signed_in, edda, quinn):
    mine, theirs = signed_in(edda, services), signed_in(quinn, services)

    assert sessions.roles_changed(PersonId(UUID(edda.id)), [Role.admin], services) == 1

    assert sessions.person_of(mine.value, services).roles == {Role.admin}
    assert sessions.person_of(theirs.value, services).roles == {Role.qa}


def test_a_refresh_that_began_before_does_not_undo_them(services, signed_in, edda, auth):
    begun = signed_in(edda, services)
    due(services)
    auth.wait = 0.5
    asked = threading.Thread(target=whose, args=(begun.value, services))
    asked.start()
    _until(lambda: rows(services, "SELECT lease FROM studio.sessions")[0]["lease"] is not None)

    sessions.roles_changed(PersonId(UUID(edda.id)), [], services)
    asked.join(10)

    assert sessions.person_of(begun.value, services).roles == frozenset()


def _until(holds) -> None:
    ends = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.01)


# ---- what is ended while somebody signs in ------------------------------------------------------------------------


class Meanwhile:
    """Auth, and what happens after it has answered a sign-in and before anybody heard."""

    def __init__(self, auth, act) -> None:
        self._auth, self._act = auth, act

    def __getattr__(self, name):
        return getattr(self._auth, name)

    def sign_in(self, email, password):
        tokens = self._auth.sign_in(email, password)
        self._act()
        return tokens


def standing(services: Services) -> list[UUID]:
    return [
        one["person"] for one in rows(services, "SELECT person FROM studio.sessions WHERE ended_at IS NULL")
    ]


@pytest.mark.parametrize(
    "act",
    [
        sessions.end_all,
        lambda who, services: sessions.roles_changed(who, [Role.qa], services),
    ],
    ids=["a ban, or signing out everywhere", "other roles"],
)
def test_what_auth_answered_before_a_ban_or_other_roles_becomes_no_session(
    services, edda, quinn, auth, signed_in, act
):
    who, other = PersonId(UUID(edda.id)), signed_in(quinn, services)
    slow = replace(services, sign_in=Meanwhile(services.sign_in, lambda: act(who, services)))

    with pytest.raises(Conflict) as refused:
        signing_in.with_password(edda.email, PASSWORD, HERE, slow)

    assert refused.value.reason == "ENDED_MEANWHILE"
    assert standing(services) == [whose(other.value, services)]  # nobody else's sign-in is in the way
    assert auth.counts["POST /logout"] == 1  # the tokens that nobody uses
    again = signing_in.with_password(edda.email, PASSWORD, HERE, services)
    assert whose(again.session.value, services) == who


def test_a_session_that_begins_in_the_middle_of_ending_them_all_is_ended_too(services, edda):
    who = PersonId(UUID(edda.id))
    tokens, asked_at = services.sign_in.sign_in(edda.email, PASSWORD), sessions.asked_now(services)

    with ThreadPoolExecutor(1) as threads:
        with services.db.as_service() as conn:
            session_rows.end_of_person(conn, who, "signed_out_everywhere")
            begun = threads.submit(sessions.begin, tokens, services, asked_at=asked_at)
            _until(lambda: rows(services, "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))
        with pytest.raises(Conflict):
            begun.result(timeout=10)

    assert standing(services) == []


def test_a_sign_in_over_an_open_session_holds_nothing_while_it_waits_for_its_turn(services, edda, signed_in):
    """Whoever ends all of them takes the turn first and the rows after it: the other way round, one of the two would be
    thrown away.
    """
    old = signed_in(edda, services)
    tokens = services.sign_in.sign_in(edda.email, PASSWORD)

    with ThreadPoolExecutor(1) as threads:
        with services.db.as_service() as conn:
            conn.execute("SET LOCAL statement_timeout = '5s'")
            session_rows._one_after_the_other(conn, PersonId(UUID(edda.id)))
            begun = threads.submit(sessions.begin, tokens, services, instead_of=old.value)
            _until(lambda: rows(services, "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))
            session_rows.end_of_person(conn, PersonId(UUID(edda.id)), "signed_out_everywhere")
        begun.result(timeout=10)

    assert len(standing(services)) == 1


def test_nothing_secret_is_logged_from_sign_in_to_sign_out(services, edda, caplog):
    caplog.set_level("DEBUG")
    signed = signing_in.with_password(edda.email, PASSWORD, HERE, services)
    cookie = signed.session.value
    [row] = rows(services, "SELECT sealed FROM studio.sessions")
    tokens = sessions._opened(row["sealed"], _id(services), services)
    due(services)
    whose(cookie, services)
    sessions.end(cookie, services)
    with pytest.raises(WrongCredentials):
        signing_in.with_password(edda.email, "a wrong password", HERE, services)

    said = "\n".join(str(record.__dict__) for record in caplog.records)
    assert "session_begun" in said
    assert [
        one
        for one in (cookie, signed.known, *tokens, PASSWORD, "a wrong password", edda.email)
        if one in said
    ] == []


# ---- guessing ----------------------------------------------------------------------------------------------------


def guess(
    services: Services,
    email: str,
    *,
    at: str = "198.51.100.1",
    known: str | None = None,
    password: str = "no",  # noqa: S107 -- a wrong one
) -> float:
    """Seconds that somebody has to wait, 0 where the guess was judged (and wrong)."""
    try:
        signing_in.with_password(email, password, Asker(address=at, known=known), services)
    except TooManyAttempts as error:
        return error.retry_after or 0
    except WrongCredentials:
        return 0
    return -1


def test_guessing_waits_longer_and_longer_and_asks_auth_no_more(services, edda, auth):
    assert [guess(services, edda.email) for _ in range(5)] == [0] * 5
    assert guess(services, edda.email) == 0  # the sixth is judged, and the next waits
    before = asks(auth)

    waits = []
    for _ in range(4):
        waits.append(guess(services, edda.email))
        say(services, "UPDATE studio.sign_in_failures SET next_at = now()")
        assert guess(services, edda.email) == 0

    assert waits[0] in {1, 2}
    assert waits == sorted(waits)
    assert waits[-1] >= 8
    assert asks(auth) - before == 4


def test_no_wait_is_longer_than_five_minutes(services, edda):
    for _ in range(40):
        say(services, "UPDATE studio.sign_in_failures SET next_at = now()")
        guess(services, edda.email)

    assert 250 < guess(services, edda.email) <= 301


def test_many_guesses_at_once_are_many(services, edda, auth):
    with ThreadPoolExecutor(20) as threads:
        waits = list(threads.map(lambda _: guess(services, edda.email), range(40)))

    assert sum(1 for wait in waits if wait == 0) <= 8
    assert asks(auth) <= 8


def test_the_right_password_has_to_wait_too(services, edda):
    for _ in range(7):
        guess(services, edda.email)

    assert guess(services, edda.email, password=PASSWORD) > 0


def test_whoever_guesses_a_colleagues_password_does_not_lock_them_out(services, edda):
    known = signing_in.with_password(edda.email, PASSWORD, HERE, services).known
    for number in range(60):  # from everywhere, the colleague's own house among it
        guess(services, edda.email, at=f"198.51.100.{number}")
        guess(services, edda.email, at=HERE.address)

    assert guess(services, edda.email, at="203.0.113.9") <= 31  # elsewhere: half a minute at most
    assert guess(services, edda.email, at=HERE.address, known=known, password=PASSWORD) == -1


def test_a_browser_that_is_known_to_one_account_is_a_stranger_to_another(services, edda, quinn):
    known = signing_in.with_password(edda.email, PASSWORD, HERE, services).known
    for _ in range(7):
        guess(services, quinn.email, known=known)

    assert guess(services, quinn.email) > 0
    assert guess(services, quinn.email, known=known) > 0


@pytest.mark.parametrize("known", ["", "x", "AAAA", "ü", "A" * 3000])
def test_a_made_up_mark_of_a_known_browser_is_none(services, edda, known):
    for _ in range(7):
        guess(services, edda.email, known=known)

    assert guess(services, edda.email) > 0


def test_one_address_that_tries_many_accounts_waits(services, auth):
    waits = [guess(services, f"person-{number}@team.example") for number in range(34)]

    assert waits[:30] == [0] * 30
    assert waits[-1] > 0


def test_an_ipv6_network_is_one_address(services, edda):
    for number in range(7):
        guess(services, edda.email, at=f"2001:db8:1:2::{number:x}")

    assert guess(services, edda.email, at="2001:db8:1:2:ffff::1") > 0
    assert guess(services, edda.email, at="2001:db8:1:3::1") == 0


def test_spelling_an_address_otherwise_is_no_new_account(services, edda):
    for email in ("Edda@Team.example", " edda@team.example", "EDDA@TEAM.EXAMPLE", *[edda.email] * 4):
        guess(services, email)

    assert guess(services, edda.email) > 0


def test_the_count_begins_anew_after_a_quarter_of_an_hour(services, edda):
    for _ in range(7):
        guess(services, edda.email)
    say(
        services,
        "UPDATE studio.sign_in_failures SET last_at = now() - interval '16 minutes', next_at = now()",
    )

    assert [guess(services, edda.email) for _ in range(5)] == [0] * 5


def test_the_right_password_forgives_what_was_mistyped_there(services, edda):
    for _ in range(5):
        guess(services, edda.email, at=HERE.address)
    assert guess(services, edda.email, at=HERE.address, password=PASSWORD) == -1

    assert [guess(services, edda.email, at=HERE.address) for _ in range(5)] == [0] * 5


def test_what_auth_never_judged_counts_for_nothing(services, edda, auth):
    for _ in range(8):
        auth.breaks("*")
        with pytest.raises(SignInUnavailable):
            signing_in.with_password(edda.email, PASSWORD, HERE, services)

    assert guess(services, edda.email, at=HERE.address, password=PASSWORD) == -1


def test_neither_address_nor_e_mail_stands_in_the_counts(services, edda):
    guess(services, edda.email)
    [told] = rows(services, "SELECT string_agg(f::text, ' ') AS all FROM studio.sign_in_failures f")

    plain = (hashlib.sha256(word.encode()).hexdigest() for word in (edda.email, "198.51.100.1"))
    assert [word for word in (edda.email, "198.51.100.1", *plain) if word in told["all"]] == []


def test_who_has_no_role_gets_no_session_and_is_told_what_to_do(services, auth):
    cleo = auth.person("cleo@customers.example", PASSWORD)

    with pytest.raises(NotAllowed, match="Ask an admin") as refused:
        signing_in.with_password(cleo.email, PASSWORD, HERE, services)

    assert refused.value.reason == "NO_ROLE"
    assert rows(services, "SELECT id FROM studio.sessions") == []
    assert auth.counts["POST /logout"] == 1  # nor does anything of it stay at Auth
