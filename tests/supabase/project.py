"""python -m tests.supabase.project: a Supabase project on this machine, Auth and Storage under one address.

For tests (`ProjectDouble`), and for people who walk the newcomer's path without an account at Supabase. With
--database-url its people are written into auth.users there, as Supabase would. Nothing outlives it but those rows.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import threading
from uuid import NAMESPACE_URL, uuid5

import psycopg

from tests.emulator.wire import Reply, Request, json_reply
from tests.supabase import auth_double
from tests.supabase.auth_double import PASSWORD, AuthDouble
from tests.supabase.auth_letters import Letter
from tests.supabase.running import Closing, Running
from tests.supabase.storage_double import PREFIX as STORAGE
from tests.supabase.storage_double import StorageDouble

PEOPLE = {
    "edda@team.example": ("editor",),
    "quinn@team.example": ("qa",),
    "petra@team.example": ("product",),
    "adam@team.example": ("admin",),
    "ola@team.example": ("editor", "qa", "product", "admin"),
    "cleo@customers.example": (),
}
HELP = """\
A Supabase project is played on {url} (end it with Ctrl-C).

Put this into .env{database}:
    SUPABASE_URL={url}
    SUPABASE_PUBLISHABLE_KEY={publishable}
    SUPABASE_SECRET_KEY={secret}
{legacy}
Sign in with one of these and the password: {password}
{people}
"""


class ProjectDouble(Closing):
    """Auth and Storage of one project under one `url`; `auth` and `storage` take a test's orders. A context manager."""

    def __init__(self, algorithm: str = "ES256", *, dsn: str | None = None, port: int = 0) -> None:
        self.auth = AuthDouble(algorithm, dsn=dsn, serve=False)
        self.storage = StorageDouble()
        self.storage.claims_of = self._claims
        self._running = Running(self, "project double", port=port)
        self.url = self.auth.url = self._running.url
        self.publishable_key = self.auth.publishable_key
        self.secret_key = self.auth.secret_key

    def people(self) -> None:
        """One person of each role, one with all, and a customer of the platform; their ids are the same every time."""
        for email, roles in PEOPLE.items():
            self.auth.person(email, PASSWORD, *roles, id=str(uuid5(NAMESPACE_URL, email)))

    def refuses_body(self, _request: Request) -> bool:
        return False

    def answer(self, request: Request) -> Reply:
        """As the gateway sends it on."""
        for prefix, service in ((auth_double.PREFIX, self.auth), (STORAGE, self.storage)):
            if request.path.startswith(f"{prefix}/"):
                return service.answer(request)
        return json_reply({"message": "no Route matched with those values"}, status=404)

    def close(self) -> None:
        """Stop answering; safe twice."""
        self._running.close()
        self.storage.close()

    def _claims(self, token: str) -> dict[str, object]:
        if token == self.publishable_key:  # the gateway makes nobody's role of it
            return {"role": "anon"}
        return self.auth.claims_of(token)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.supabase.project", description=__doc__)
    parser.add_argument("--port", type=int, default=9100, help="0 takes a free one")
    parser.add_argument("--algorithm", choices=("ES256", "RS256", "HS256"), default="ES256")
    parser.add_argument("--database-url", help="a migrated Postgres whose auth.users gets the people")
    parser.add_argument("--until-stdin-ends", action="store_true", help="for tests: end with the parent")
    asked = parser.parse_args()
    try:
        project = ProjectDouble(asked.algorithm, dsn=asked.database_url, port=asked.port)
    except OSError as exc:
        parser.exit(1, f"Port {asked.port} cannot be used ({exc.strerror}). Choose another with --port.\n")
    with project:
        try:
            project.people()
        except psycopg.Error:
            parser.exit(
                1, "auth.users of that database cannot be written. Run `python -m core migrate` first.\n"
            )
        print(_told(project, asked.algorithm, asked.database_url), flush=True)
        _hand_out_letters(project)
        _wait(until_stdin_ends=asked.until_stdin_ends)


def _told(project: ProjectDouble, algorithm: str, dsn: str | None) -> str:
    width = max(map(len, PEOPLE))
    return HELP.format(
        url=project.url,
        publishable=project.publishable_key,
        secret=project.secret_key,
        legacy=f"    SUPABASE_JWT_SECRET={project.auth.jwt_secret}\n" if algorithm == "HS256" else "",
        database="" if dsn is not None else ", beside your DATABASE_URL",
        password=PASSWORD,
        people="\n".join(
            f"    {email:<{width}}  {', '.join(roles) or 'no role: a customer'}"
            for email, roles in PEOPLE.items()
        ),
    )


def _hand_out_letters(project: ProjectDouble) -> None:
    """Messages stand in the terminal instead of being sent; their links lead to any address of this machine."""
    letters = project.auth.letters
    letters.allowed = ("http://127.0.0.1:*/**", "http://localhost:*/**")

    def tell(letter: Letter) -> None:
        to = project.auth.people[letter.account].email
        print(f"A message to {to} ({letter.kind}): {letter.usual_link(project.url)}", flush=True)

    letters.tell = tell


def _wait(*, until_stdin_ends: bool) -> None:
    over = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: over.set())
    if until_stdin_ends:
        threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        while not over.wait(3600):
            pass


if __name__ == "__main__":
    main()
