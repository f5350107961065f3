"""Sketch: placeholder portraits drawn on this machine, free and without a network.

A drawing is made in passes, spread over `seconds` of the clock, and the passes that are done are its progress.
The receipt holds all that is needed to draw again, so any worker can go on from it: after a crash, or where the
memory of unfinished drawings was given to newer ones.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from core.errors import ProviderRejected, ResultLost
from core.providers import CancelAnswer
from core.providers.sketch_drawing import PASSES, Drawing
from core.values import Finished, ImageModel, JobStage, Order, RemoteImage, Running, Size, Ticket

NAME = "sketch"
LEAST_SIDE = 64  # pixels
MOST_SIDE = 2048
KEPT = 8  # drawings in memory; an unfinished one of 1024 x 1024 takes 12 MB, a finished one 0.2 MB
CANCELLED_KEPT = 1000  # request ids


@dataclass(frozen=True, kw_only=True)
class _Recipe:
    """What a receipt says about its drawing; `started` is seconds since 1970."""

    prompt: str = field(repr=False)
    seed: int
    size: Size
    started: float

    def as_answer(self) -> dict[str, object]:
        """JSON for Ticket.answer; the seed as text, because JSON readers may round it."""
        return {
            "prompt": self.prompt,
            "seed": str(self.seed),
            "width": self.size.width,
            "height": self.size.height,
            "started": self.started,
        }

    @classmethod
    def of(cls, answer: Mapping[str, object] | None) -> _Recipe:
        """Raises ResultLost where the receipt does not hold a drawing."""
        try:
            got = dict(answer or {})
            return cls(
                prompt=str(got["prompt"]),
                seed=int(str(got["seed"])),
                size=_checked_size(int(str(got["width"])), int(str(got["height"]))),
                started=float(str(got["started"])),
            )
        except (KeyError, ValueError) as exc:
            raise ResultLost(
                "The receipt of this Sketch is incomplete. Ask for a new one; it is free."
            ) from exc


class _Work:
    """One drawing, how far it is, and its lock."""

    def __init__(self, recipe: _Recipe) -> None:
        self.lock = threading.Lock()
        self._drawing: Drawing | None = Drawing(recipe.prompt, recipe.seed, recipe.size)
        self.done = 0
        self.png: bytes | None = None

    def advance(self, due: int) -> None:
        """Draw up to `due` passes in all; after the last one only the PNG is kept."""
        while self._drawing is not None and self.done < due:
            self._drawing.next_pass()
            self.done += 1
            if self.done == len(PASSES):
                self.png = self._drawing.png()
                self._drawing = None


class Sketch:
    """`Provider` (core.providers) that needs no key, no network and no money."""

    name = NAME
    download_hosts: tuple[str, ...] = ()

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.time) -> None:
        """`seconds` one drawing takes at least; 0: as fast as this machine draws."""
        self._seconds = seconds
        self._clock = clock
        self._guard = threading.Lock()
        self._works: OrderedDict[str, _Work] = OrderedDict()
        self._cancelled: OrderedDict[str, None] = OrderedDict()

    def submit(self, order: Order, model: ImageModel) -> Ticket:
        """Take the order; the drawing itself is made by the polls.

        Raises ProviderRejected INVALID_INPUT for a size outside 64 to 2048 pixels a side.
        """
        try:
            size = _checked_size(order.size.width, order.size.height)
        except ValueError as exc:
            raise ProviderRejected(
                f"Sketch draws {LEAST_SIDE} to {MOST_SIDE} pixels a side. Choose another size.",
                code="INVALID_INPUT",
            ) from exc
        seed = order.seed if order.seed is not None else secrets.randbelow(2**31)
        recipe = _Recipe(prompt=order.prompt, seed=seed, size=size, started=self._clock())
        return Ticket(
            provider=NAME,
            request_id=f"sketch-{secrets.token_hex(12)}",
            model_key=model.model_key,
            answer=recipe.as_answer(),
        )

    def poll(self, ticket: Ticket) -> Running | Finished:
        """Draw the passes that are due and say how many are done; a ticket of another worker starts anew.

        Raises ProviderRejected CANCELLED, ResultLost (a receipt without a drawing in it).
        """
        recipe = _Recipe.of(ticket.answer)
        work = self._work(ticket.request_id, recipe)
        with work.lock:
            work.advance(self._due(recipe))
            png, done = work.png, work.done
        if png is None:
            return Running(stage=JobStage.drawing, fraction=done / len(PASSES))
        return Finished(
            images=(RemoteImage(data=png),), seed=recipe.seed, seconds=self._clock() - recipe.started
        )

    def cancel(self, ticket: Ticket) -> CancelAnswer:
        """Forget the drawing; polls of it are refused from now on. Nothing was paid, so nothing is lost."""
        with self._guard:
            self._works.pop(ticket.request_id, None)
            self._cancelled[ticket.request_id] = None
            while len(self._cancelled) > CANCELLED_KEPT:
                self._cancelled.popitem(last=False)
        return CancelAnswer.stopped

    def close(self) -> None:
        """Forget the drawings in progress; each can be drawn again from its receipt."""
        with self._guard:
            self._works.clear()

    def _work(self, request_id: str, recipe: _Recipe) -> _Work:
        with self._guard:
            if request_id in self._cancelled:
                raise ProviderRejected("This Sketch was cancelled. Ask for a new one.", code="CANCELLED")
            work = self._works.get(request_id)
            if work is None:
                work = self._works[request_id] = _Work(recipe)
            self._works.move_to_end(request_id)
            while len(self._works) > KEPT:
                self._works.popitem(last=False)
            return work

    def _due(self, recipe: _Recipe) -> int:
        """How many passes the clock allows; a clock that was set back only makes it wait."""
        if self._seconds <= 0:
            return len(PASSES)
        part = (self._clock() - recipe.started) / self._seconds
        return max(0, min(len(PASSES), int(part * len(PASSES))))


def _checked_size(width: int, height: int) -> Size:
    if not (LEAST_SIDE <= width <= MOST_SIDE and LEAST_SIDE <= height <= MOST_SIDE):
        raise ValueError("a side is out of range")
    return Size(width=width, height=height)
