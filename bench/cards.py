"""A thousand character cards in one go, sent as the page sends them: how long it takes, and what others notice."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx
from PIL import Image

from bench.figures import Figure, p95
from bench.world import ROOT, TRAITS, answers, environment, free_port, home, process, settings, wait_until
from core import characters
from core.auth import LOCAL_PERSON
from core.cards import files
from core.services import open_services

CARDS = 1000
BROKEN_EVERY = 100
AT_ONCE = 3  # as studio/components/card_desk has it
SIZE = (512, 768)
PER_CARD = 100  # ms on two cores; DESIGN has no figure for it
HEADERS = {"Content-Type": "application/octet-stream"}


def measure() -> list[Figure]:
    """Seconds for all of them beside making as many characters by hand, and answers to others meanwhile."""
    cards = _cards()
    with home() as folder:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        with process(
            str(ROOT / "studio_app.py"), env=environment(folder, studio_port=port), cwd=folder
        ) as studio:
            wait_until(lambda: answers(f"{url}/healthz"), "the studio", studio)
            with open_services(settings(folder)) as services:
                begun = time.perf_counter()
                for _ in cards:
                    characters.create(LOCAL_PERSON, services, TRAITS)
                by_hand = time.perf_counter() - begun
            taken, meanwhile = _import(url, cards)
    pictured = sum(data.startswith(b"\x89PNG") for data in cards)
    return [
        Figure(
            what=f"{CARDS:,} character cards in one go",
            measured=taken,
            unit="s",
            budget=CARDS * PER_CARD / 1000,
            floor=by_hand,
            note=f"{AT_ONCE} at once, {pictured} with pictures, {CARDS // BROKEN_EVERY} broken; floor: as many made empty",
        ),
        Figure(
            what="a card's report for somebody else meanwhile, p95",
            measured=p95(meanwhile),
            unit="ms",
            note=f"of {len(meanwhile)}",
        ),
    ]


def _cards() -> list[bytes]:
    """Half JSON, half PNG with a picture, some broken."""
    picture = io.BytesIO()
    Image.merge("RGB", [Image.effect_noise(SIZE, 20 + 10 * band) for band in range(3)]).save(picture, "PNG")
    return [_card(number, picture.getvalue()) for number in range(CARDS)]


def _card(number: int, picture: bytes) -> bytes:
    if number % BROKEN_EVERY == BROKEN_EVERY - 1:
        return b"not a card"
    entry = {
        "keys": ["gull"],
        "content": "Gulls know the tide.",
        "extensions": {},
        "enabled": True,
        "insertion_order": 1,
    }
    data = {
        "name": f"Keeper {number}",
        "description": "A retired lighthouse keeper who repairs music boxes. " * 20,
        "first_mes": "*looks up* You made it before the storm.",
        "alternate_greetings": ["The kettle is on.", "Mind the third step."],
        "tags": ["lighthouse", "calm"],
        "character_book": {"extensions": {}, "entries": [entry]},
    }  # fmt: skip
    raw = json.dumps({"spec": "chara_card_v3", "spec_version": "3.0", "data": data}).encode()
    return raw if number % 2 else files.as_png(files.read(raw, "").card, picture)


def _import(url: str, cards: Sequence[bytes]) -> tuple[float, list[float]]:
    """Seconds for all, and milliseconds of another person's question every now and then."""
    over = threading.Event()
    meanwhile: list[float] = []
    with httpx.Client(base_url=url, trust_env=False, timeout=120) as client:
        first = client.post("/cards", content=_card(CARDS + 1, b""), headers=HEADERS)
        report = f"/cards/{first.json()['characterId']}/report"
        asking = threading.Thread(target=_ask, args=(client, report, over, meanwhile))
        asking.start()
        begun = time.perf_counter()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            statuses = list(pool.map(lambda data: _send(client, data), cards))
        taken = time.perf_counter() - begun
        over.set()
        asking.join()
    broken = CARDS // BROKEN_EVERY
    if (statuses.count(201), statuses.count(400)) != (CARDS - broken, broken):
        raise RuntimeError(f"Of {CARDS} cards {statuses.count(201)} came in; {CARDS - broken} should have.")
    return taken, meanwhile


def _send(client: httpx.Client, data: bytes) -> int:
    words = {"fileName": "card.json", "rightsConfirmed": "true"}
    return client.post("/cards", params=words, content=data, headers=HEADERS).status_code


def _ask(client: httpx.Client, path: str, over: threading.Event, taken: list[float]) -> None:
    while not over.wait(0.1):
        begun = time.perf_counter()
        client.get(path).raise_for_status()
        taken.append((time.perf_counter() - begun) * 1000)
