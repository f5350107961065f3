"""The table's second room: addresses, events of the page and questions of its scripts (SPEC "HTTP", "Studio").

What a way in does stands in `table.py` by its use case; here stands how a stranger's browser would ask for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum, auto
from types import MappingProxyType
from uuid import uuid4

from tests.emulator.pictures import portrait
from tests.rights.table import (
    CARD,
    CELL,
    EDITORS,
    LOOKERS,
    MAKERS,
    NOBODY,
    TEAM,
    Rule,
    cancels,
    changes,
    copies_it,
    owns,
    reads,
    shares,
)
from tests.rights.world import Work

PNG = portrait("way", 300, 300, "png")
FILE = {"content-type": "application/octet-stream"}
PICTURE = {"content-type": "image/png"}


class For(StrEnum):
    """Whom an address is for, where no role decides."""

    everybody = auto()  # nothing of anybody stands there
    holder = auto()  # of a link that we signed (test_links)
    provider = auto()  # of a signature (tests/contracts/webhook_table.py)
    machine = auto()  # this one, or METRICS_TOKEN (tests/contracts/test_metrics.py)
    page = auto()  # a page: the team; nobody is sent to the sign-in
    part = auto()  # of a page: the team
    nobody = auto()  # what Gradio brings and our pages do not need


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A request: what stands in the address, and what is sent."""

    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Way:
    """An address that a role opens: how it is asked about a row, and who is served."""

    rule: Rule
    ask: Callable[[Work], Ask]
    of_rows: bool = True


def _json(path: str, **body: object) -> Ask:
    sent = {"content-type": "application/json", "prefer": "respond-async", "idempotency-key": str(uuid4())}
    return Ask(path=path, body=json.dumps(body).encode(), headers=sent)


ROUTES: Mapping[str, For | Way] = MappingProxyType({
    "GET /": For.everybody,
    "GET /docs": For.everybody,
    "GET /openapi.json": For.everybody,
    "HEAD /openapi.json": For.everybody,
    "GET /healthz": For.everybody,
    "GET /readyz": For.everybody,
    "GET /favicon.ico": For.everybody,
    "GET /studio-assets/{version}/{name}": For.everybody,
    # the way in and out: a form of our own page, whoever sends it (tests/contracts/test_sign_in.py); not there without one
    "GET /sign-in": For.everybody,
    "POST /sign-in": For.everybody,
    "GET /sign-in/forgotten": For.everybody,  # tests/contracts/test_passwords.py
    "POST /sign-in/forgotten": For.everybody,
    "GET /sign-in/password": For.everybody,
    "POST /sign-in/password": For.everybody,
    "GET /sign-in/files/{version}/{name}": For.everybody,
    "GET /sign-in/oidc": For.everybody,
    "GET /sign-in/oidc/callback": For.everybody,
    "POST /sign-out": For.everybody,
    "POST /sign-out-everywhere": For.everybody,
    "GET /account": For.part,
    "GET /metrics": For.machine,
    "POST /callbacks/{provider}": For.provider,
    "GET /files/{bucket}/{path:path}": For.holder,
    "HEAD /files/{bucket}/{path:path}": For.holder,
    "WS /ws": For.part,  # test_sockets
    "GET /functions/v1/jobs/{job_id}": Way(rule=reads, ask=lambda w: Ask(path=f"/functions/v1/jobs/{w.saved_job}")),
    "POST /functions/v1/character-portrait": Way(
        rule=changes, ask=lambda w: _json("/functions/v1/character-portrait", characterId=str(w.character.id))
    ),
    "POST /functions/v1/fal-image": Way(
        rule=changes,
        ask=lambda w: _json("/functions/v1/fal-image", prompt="an adult pilot", metadata={"character_id": str(w.character.id)}),
    ),
    "POST /functions/v1/character-suggestions": Way(
        rule=copies_it,
        ask=lambda w: _json("/functions/v1/character-suggestions", characterId=str(w.character.id), field="persona"),
    ),
    "GET /references": Way(rule=changes, ask=lambda w: Ask(path="/references", query={"characterId": str(w.character.id)})),
    "POST /references": Way(
        rule=changes,
        ask=lambda w: Ask(
            path="/references", query={"characterId": str(w.character.id), "rightsConfirmed": "true"}, body=PNG, headers=PICTURE
        ),
    ),
    "GET /downloads/portraits/{portrait_id}": Way(rule=reads, ask=lambda w: Ask(path=f"/downloads/portraits/{w.portrait}")),
    "GET /downloads/portraits": Way(rule=reads, ask=lambda w: Ask(path="/downloads/portraits", query={"ids": str(w.portrait)})),
    "POST /recipes": Way(rule=TEAM, ask=lambda _: Ask(path="/recipes", body=PNG, headers=PICTURE), of_rows=False),
    "POST /cards": Way(rule=EDITORS, ask=lambda _: Ask(path="/cards", query={"again": "true"}, body=CARD, headers=FILE), of_rows=False),
    "GET /cards/{character_id}": Way(rule=reads, ask=lambda w: Ask(path=f"/cards/{w.character.id}")),
    "GET /cards/{character_id}/report": Way(rule=reads, ask=lambda w: Ask(path=f"/cards/{w.character.id}/report")),
    # -- pages, and what they need of Gradio; everything else it brings is For.nobody
    "GET /studio/": For.page,
    "HEAD /studio/": For.page,
    "GET /studio/create": For.page,
    "GET /studio/create/": For.page,
    "GET /studio/library": For.page,
    "GET /studio/library/": For.page,
    "GET /studio/attributes": For.page,
    "GET /studio/attributes/": For.page,
    "GET /studio/config": For.part,
    "GET /studio/gradio_api/app_id": For.part,
    "GET /studio/gradio_api/queue/data": For.part,  # test_sockets
    "POST /studio/gradio_api/queue/join": For.part,  # every event: test_handlers
    "POST /studio/gradio_api/component_server": For.part,  # every question: test_handlers
    "POST /studio/gradio_api/component_server/": For.part,
    "GET /studio/theme.css": For.everybody,
    "GET /studio/static/{path:path}": For.everybody,
    "GET /studio/assets/{path:path}": For.everybody,
})  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Press:
    """An event or a question: what a script would send about a row, and who is served."""

    rule: Rule
    send: Callable[[Work], Mapping[str, object]]
    of_rows: bool = True


def _press(rule: Rule, **send: Callable[[Work], object] | object) -> Press:
    def filled(row: Work) -> dict[str, object]:
        return {name: value(row) if callable(value) else value for name, value in send.items()}

    return Press(rule=rule, send=filled)


def _by_role(rule: Rule, **send: object) -> Press:
    return Press(rule=rule, send=lambda _: send, of_rows=False)


def _character(row: Work) -> str:
    return str(row.character.id)


def _portrait(row: Work) -> str:
    return str(row.portrait)


def _new(_row: Work) -> str:
    return str(uuid4())


def _version(row: Work) -> int:
    return row.character.version


def _of(name: str) -> Callable[[Work], str]:
    return lambda row: str(getattr(row, name))


def _ids(name: str) -> Callable[[Work], list[str]]:
    return lambda row: [str(getattr(row, name))]


def _tile(rule: Rule, action: str, name: str, **more: object) -> Press:
    return _press(rule, action=action, id=_of(name), character=_character, key=_new, **more)


def _scene(rule: Rule, action: str, **more: object) -> Press:
    return _press(rule, action=action, character=_character, scene=_of("scene"), number="1", **more)


EVENTS: Mapping[str, Press] = MappingProxyType({
    "studio.palette.find": _by_role(TEAM, search="alone"),
    "studio.header.find": _by_role(TEAM, search="alone"),
    "studio.page.first": _by_role(TEAM),
    "studio.page.create": _by_role(EDITORS),
    "studio.page.keep": _by_role(EDITORS, changes={"name": "Kept"}),
    "studio.page.open_one": _press(reads, id=_character),
    "studio.page.duplicate": _press(copies_it, id=_character),
    "studio.page.remove": _press(owns, id=_character),
    "studio.page.bring_back": _press(owns, id=_of("gone")),
    "studio.editor.refreshed": _press(reads, id=_character),
    "studio.editor.save": _press(changes, id=_character, changes={"role": "pilot"}, version=_version, number="1"),
    "studio.editor.settle": _press(changes, id=_character, rating="sfw", version=_version),
    "studio.story.read": _press(reads, id=_character),
    "studio.going_public.look": _press(reads, id=_character),
    "studio.going_public.turn": _press(changes, id=_character, public=False),
    "studio.proposing.ask": _press(copies_it, id=_character, key=_new, wanted="persona", fields={}, number="1"),
    "studio.lightbox.look": _press(reads, ids=_ids("portrait"), number=_new),
    "studio.lightbox.look_in": _press(reads, character=_character),
    "studio.lightbox.restore": _press(changes, character=_character, ids=_ids("portrait")),
    "studio.portraits.order": _press(changes, character=_character, ids=_ids("portrait")),
    "studio.portraits.act/primary": _tile(changes, "primary", "portrait"),
    "studio.portraits.act/rate": _tile(reads, "rate", "portrait", stars=5),
    "studio.portraits.act/cancel": _tile(cancels, "cancel", "waiting_job"),
    "studio.portraits.act/dismiss": _tile(changes, "dismiss", "ended_job"),
    "studio.portraits.act/retry": _tile(changes, "retry", "ended_job"),
    "studio.portraits.act/again": _tile(changes, "again", "portrait"),
    "studio.prompt_bar.ask": _press(changes, id=_character),
    "studio.prompt_bar.generate": _press(changes, id=_character, keys=lambda _: [str(uuid4())]),
    "studio.reference.choose": _press(changes, character=_character, id=_portrait, kind="portrait"),
    "studio.reference.remove": _press(changes, character=_character),
    "studio.reference.match": _press(changes, character=_character, on=False),
    "studio.reference.fresh": _press(reads, character=_character),
    "studio.reference.shelf": _press(changes, character=_character),
    "studio.scenes.read": _press(reads, character=_character),
    "studio.scenes.act/save": _scene(changes, "save", values={"scene_name": "New"}),
    "studio.scenes.act/order": _scene(changes, "order", ids=_ids("scene")),
    "studio.scenes.act/preview": _scene(changes, "preview"),
    "studio.scenes.act/generate": _scene(changes, "generate", key=_new),
    "studio.scenes.act/cancel": _scene(cancels, "cancel", job=_of("waiting_job")),
    "studio.scenes.act/dismiss": _scene(changes, "dismiss", job=_of("ended_job")),
    "studio.scenes.act/retry": _scene(changes, "retry", job=_of("ended_job")),
    "studio.scenes.act/delete": _scene(changes, "delete"),
    "studio.scenes.act/restore": _scene(changes, "restore"),
})  # fmt: skip

_CELL = [CELL.category, CELL.value, CELL.style]

QUESTIONS: Mapping[str, Press] = MappingProxyType({
    "studio.queue_panel.read": _by_role(TEAM),
    "studio.queue_panel.cancel": _press(cancels, id=_of("waiting_job")),
    "studio.sharing.read": _press(reads, character=_character),
    "studio.sharing.add": _press(shares, character=_character, email=_of("friend"), may_change=False),
    "studio.sharing.change": _press(shares, character=_character, person=_of("friend_id"), may_change=True),
    "studio.sharing.remove": _press(shares, character=_character, person=_of("friend_id")),
    "studio.sharing.leave": _by_role(TEAM, character=NOBODY),
    "studio.grid_answers.read": _press(reads, character=_character),
    "studio.grid_answers.running": _press(reads, character=_character),
    "studio.grid_answers.every": _press(reads, character=_character),
    "studio.grid_answers.delete": _press(changes, character=_character, ids=_ids("portrait")),
    "studio.grid_answers.restore": _press(changes, character=_character, ids=_ids("portrait")),
    "studio.create_page.open": _press(reads, id=_character),
    "studio.create_page.save": _press(changes, id=_character, values={"name": "New"}, version=_version),
    "studio.create_page.looks": _by_role(TEAM),
    "studio.create_page.unreference": _press(changes, id=_character),
    "studio.create_page.match": _press(changes, id=_character, on=False),
    "studio.create_page.models": _by_role(TEAM),
    "studio.create_page.price": _press(changes, id=_character),
    "studio.create_page.generate": _press(changes, id=_character, key=_new),
    "studio.create_page.portrait": _press(reads, id=_character),
    "studio.create_page.cancel": _press(cancels, id=_character, job=_of("waiting_job")),
    "studio.library_page.page": _by_role(TEAM),
    "studio.library_page.count": _by_role(TEAM),
    "studio.library_page.choices": _by_role(TEAM),
    "studio.library_page.retag": _press(changes, ids=_ids("item"), added=["harbour"]),
    "studio.library_page.delete": _press(changes, ids=_ids("item")),
    "studio.library_page.restore": _press(changes, ids=_ids("item")),
    "studio.attributes_page.read": _by_role(LOOKERS),
    "studio.attributes_page.plan": _by_role(MAKERS, cells=[_CELL]),
    "studio.attributes_page.make": _by_role(MAKERS, cells=[_CELL], run=NOBODY),
    "studio.attributes_page.progress": _by_role(LOOKERS, run=NOBODY),
    "studio.attributes_page.stop": _by_role(MAKERS, run=NOBODY),
    "studio.attributes_page.stop_cell": _by_role(MAKERS, cell=_CELL),
    "studio.attributes_page.review": _by_role(MAKERS, cell=_CELL, verdict="approved", image="x"),
})  # fmt: skip
