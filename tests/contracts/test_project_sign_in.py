"""What the studio relies on in a project's sign-in, asked of the one that is played here; and of a real one where
`make test-supabase URL=…` names it. What is particular to one of our adapters stands in tests/supabase.
"""

from __future__ import annotations

import contextlib
import secrets
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from supabase import ClientOptions, create_client

from core.errors import NotSignedIn, SessionEnded, WrongCredentials
from core.identity import open_sign_in
from core.settings import Settings
from core.storage.supabase import SupabaseStorage
from core.tokens import TokenVerifier
from core.values import Role
from tests.supabase import given
from tests.supabase.project import ProjectDouble

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Desk:
    """A project, with one person in it who is an editor."""

    settings: Settings
    admin: object
    person: str
    email: str
    password: str

    def set_roles(self, *roles):
        self.admin.update_user_by_id(self.person, {"app_metadata": {"roles": list(roles)}})


@pytest.fixture(params=["played", *(["given"] if given.given() else [])])
def desk(request, no_settings_around):
    with contextlib.ExitStack() as stack:
        project = given.given() if request.param == "given" else stack.enter_context(ProjectDouble())
        http = stack.enter_context(httpx.Client(timeout=20, trust_env=request.param == "given"))
        admin = create_client(project.url, project.secret_key, ClientOptions(httpx_client=http)).auth.admin
        email, password = f"{given.OURS}{secrets.token_hex(6)}@example.com", secrets.token_urlsafe(24)
        made = admin.create_user(
            {
                "email": email,
                "password": password,
                "email_confirm": True,
                "app_metadata": {"roles": ["editor"]},
            }
        ).user
        stack.callback(admin.delete_user, made.id)
        settings = Settings(
            _env_file=None,
            supabase_url=project.url,
            supabase_publishable_key=SecretStr(project.publishable_key),
            supabase_secret_key=SecretStr(project.secret_key),
        )
        yield Desk(settings, admin, made.id, email, password)


@pytest.fixture
def sign_in(desk):
    with contextlib.closing(open_sign_in(desk.settings)) as opened:
        yield opened


def test_a_password_brings_tokens_that_are_verified_here(desk, sign_in):
    tokens = sign_in.sign_in(desk.email, desk.password)

    with contextlib.closing(TokenVerifier(desk.settings)) as verifier:
        identity = verifier.verify(tokens.access_token.get_secret_value())
    assert (str(identity.person), identity.email) == (desk.person, desk.email)
    assert identity.roles == tokens.identity.roles == {Role.editor}


def test_a_wrong_password_and_an_unknown_address_are_the_same_refusal(desk, sign_in):
    with pytest.raises(WrongCredentials) as wrong:
        sign_in.sign_in(desk.email, "not the password")
    with pytest.raises(WrongCredentials) as unknown:
        sign_in.sign_in(f"nobody-{desk.email}", desk.password)

    assert wrong.value.sentence == unknown.value.sentence


def test_roles_come_from_the_project_with_the_next_refresh(desk, sign_in):
    tokens = sign_in.sign_in(desk.email, desk.password)
    desk.set_roles("qa", "product")

    later = sign_in.refresh(tokens.refresh_token.get_secret_value())

    assert later.identity.roles == {Role.qa, Role.product}


def test_signing_out_ends_the_refresh(desk, sign_in):
    tokens = sign_in.sign_in(desk.email, desk.password)

    sign_in.sign_out(tokens.access_token.get_secret_value(), everywhere=True)

    with pytest.raises(SessionEnded):
        sign_in.refresh(tokens.refresh_token.get_secret_value())


def test_a_token_that_was_changed_does_not_count(desk, sign_in):
    head, body, signature = (
        sign_in.sign_in(desk.email, desk.password).access_token.get_secret_value().split(".")
    )

    with contextlib.closing(TokenVerifier(desk.settings)) as verifier, pytest.raises(NotSignedIn):
        verifier.verify(f"{head}.{body}.{signature[::-1]}")


# --- make test-supabase ---------------------------------------------------------------------------------------


def asked_of(project, *words, **environment):
    return subprocess.run(
        [sys.executable, "-m", "tests.supabase.real", project.url, *words],
        cwd=ROOT,
        env={
            "PATH": "/usr/bin:/bin",
            "SUPABASE_SECRET_KEY": project.secret_key,
            "SUPABASE_PUBLISHABLE_KEY": project.publishable_key,
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_suites_pass_against_a_project_that_is_named_and_leave_nothing_in_it():
    with ProjectDouble() as project:
        ended = asked_of(project)

        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert "passed" in ended.stdout
        assert project.storage.buckets == {}
        assert project.auth.people == {}


def test_a_project_that_is_in_use_is_refused_and_nothing_in_it_changes():
    with ProjectDouble() as project:
        with contextlib.closing(SupabaseStorage(project.url, project.secret_key)) as storage:
            storage.make_buckets()
            storage.put("user-library", "0f6c/portraits/a/b.png", b"somebody's", "image/png")
        ended = asked_of(project)

        assert ended.returncode == 2
        assert "in use" in ended.stderr
        assert "--even-if-used" in ended.stderr
        assert list(project.storage.buckets["user-library"].objects) == ["0f6c/portraits/a/b.png"]


def test_without_its_keys_nothing_is_asked():
    with ProjectDouble() as project:
        ended = asked_of(project, SUPABASE_SECRET_KEY="")

        assert (ended.returncode, project.storage.calls) == (2, [])
        assert "SUPABASE_SECRET_KEY" in ended.stderr
