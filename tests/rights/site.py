"""The whole application, page and all, served twice over one world: without sharing, and with it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
from fastapi import FastAPI

from tests.fix_services import TwoPeopleGate, serving
from tests.light_page import built
from tests.rights.world import World

NOBODY = "nobody"
GRADIO = "/studio/gradio_api"


@dataclass(frozen=True, kw_only=True)
class Site:
    """The served applications; `client` is a browser of somebody's, with their cookie."""

    world: World
    apart: str
    team: str
    app: FastAPI
    team_app: FastAPI
    gate: TwoPeopleGate
    stack: contextlib.ExitStack
    _clients: dict[tuple[str, str], httpx.Client] = field(default_factory=dict)

    def app_for(self, whose: str) -> FastAPI:
        """The application a case is asked of: Gradio numbers the parts of each anew."""
        return self.team_app if whose == "shared" else self.app

    def client(self, who: str, whose: str = "own") -> httpx.Client:
        url = self.team if whose == "shared" else self.apart
        if (who, url) not in self._clients:
            cookies = {} if who == NOBODY else {"who": who}
            opened = httpx.Client(base_url=url, cookies=cookies, timeout=30, trust_env=False)
            self._clients[who, url] = self.stack.enter_context(opened)
        return self._clients[who, url]


@contextlib.contextmanager
def served(world: World) -> Iterator[Site]:
    """Calls that would wait for a portrait answer at once: nobody works here, and the services are stopping."""
    gate = TwoPeopleGate()
    gate.let_in(*world.people.values())
    with contextlib.ExitStack() as stack:
        app, team_app = built(world.apart, gate), built(world.team, gate)
        apart, team = stack.enter_context(serving(app)), stack.enter_context(serving(team_app))
        for url in (apart, team):
            _warm(url)
        world.apart.stopping.set()
        world.team.stopping.set()
        yield Site(
            world=world,
            apart=apart,
            team=team,
            app=app,
            team_app=team_app,
            gate=gate,
            stack=stack.enter_context(contextlib.ExitStack()),
        )


def _warm(url: str) -> None:
    """FastAPI builds its routes at the first request, and hides a warning meanwhile that two threads would not."""
    event = {"data": {}, "component_id": 0, "fn_name": "nothing", "session_hash": "warm"}
    with httpx.Client(base_url=url, cookies={"who": "admin"}, timeout=30, trust_env=False) as client:
        client.get("/nothing")
        client.post(f"{GRADIO}/component_server", json=event)
