"""The project that is played for the newcomer's path: Auth and Storage under one address, and its command."""

import re
import subprocess
import sys
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import httpx
import pytest
from storage3.exceptions import StorageApiError
from supabase import ClientOptions, create_client

from core.identity.people import Colleague, open_people
from core.settings import Settings
from core.storage.supabase import SupabaseStorage
from core.values import Role
from tests.supabase.auth_double import PASSWORD
from tests.supabase.project import PEOPLE, ProjectDouble

pytest_plugins = ["tests.supabase.fix_people"]

ROOT = Path(__file__).parents[2]
IMAGE = {"content-type": "image/png"}


@pytest.fixture(params=["ES256", "HS256"])
def project(request, nobody_there):
    with ProjectDouble(request.param, dsn=nobody_there.dsn) as running:
        running.people()
        yield running


@pytest.fixture
def http():
    with httpx.Client(timeout=20, trust_env=False) as client:
        yield client


@pytest.fixture
def user(project, http):
    """The storage client of whoever signs in."""

    def make(email):
        options = ClientOptions(httpx_client=http, persist_session=False, auto_refresh_token=False)
        client = create_client(project.url, project.publishable_key, options)
        client.auth.sign_in_with_password({"email": email, "password": PASSWORD})
        return client.storage

    return make


def test_one_address_signs_in_and_keeps_files_under_each_person_s_own_rights(project, user):
    storage = SupabaseStorage(project.url, project.secret_key)
    storage.make_buckets()
    project.storage.policies["user-library"] = {"select", "insert", "update", "delete"}
    edda, quinn = (uuid5(NAMESPACE_URL, f"{name}@team.example") for name in ("edda", "quinn"))
    files = user("edda@team.example").from_("user-library")

    files.upload(f"{edda}/a.png", b"12345", IMAGE)

    assert storage.get("user-library", f"{edda}/a.png") == b"12345"
    assert (
        httpx.get(files.create_signed_url(f"{edda}/a.png", 60)["signedURL"], trust_env=False).content
        == b"12345"
    )
    with pytest.raises(StorageApiError):
        user("quinn@team.example").from_("user-library").download(f"{edda}/a.png")
    with pytest.raises(StorageApiError):
        files.upload(f"{quinn}/a.png", b"12345", IMAGE)
    storage.close()


def test_its_people_stand_in_auth_users_as_supabase_keeps_them(project, nobody_there):
    settings = Settings(_env_file=None, supabase_url=project.url, supabase_secret_key=project.secret_key)
    register = open_people(settings, nobody_there)

    team: list[Colleague] = register.team()

    assert {one.email: one.roles for one in team} == {
        email: set(map(Role, roles)) for email, roles in PEOPLE.items() if roles
    }
    assert register.find("cleo@customers.example").roles == frozenset()
    project.people()  # a second start of the command, on the same database
    assert len(register.everyone(1)) == len(PEOPLE)
    register.close()


def test_what_is_neither_auth_nor_storage_is_nowhere(project):
    assert httpx.get(f"{project.url}/rest/v1/characters", trust_env=False).status_code == 404


def test_the_command_says_what_to_put_into_env_and_who_can_sign_in(nobody_there, http):
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.supabase.project",
            "--port",
            "0",
            "--until-stdin-ends",
            "--database-url",
            nobody_there.dsn,
        ],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as command:
        said = []
        for line in command.stdout:
            said.append(line)
            if "customer" in line:
                break
        settings = dict(re.findall(r"^ +([A-Z_]+)=(\S+)$", "".join(said), re.MULTILINE))
        asked = create_client(
            settings["SUPABASE_URL"],
            settings["SUPABASE_PUBLISHABLE_KEY"],
            ClientOptions(httpx_client=http, auto_refresh_token=False),
        )

        found = asked.auth.sign_in_with_password({"email": "adam@team.example", "password": PASSWORD})
        asked.auth.sign_out()

        command.stdin.close()
        assert command.wait(20) == 0

    assert found.user.app_metadata["roles"] == ["admin"]
    assert settings.keys() == {"SUPABASE_URL", "SUPABASE_PUBLISHABLE_KEY", "SUPABASE_SECRET_KEY"}
    assert PASSWORD in "".join(said)
    with nobody_there.as_service() as conn:
        assert conn.execute("SELECT count(*) FROM auth.users").fetchone() == (len(PEOPLE),)
