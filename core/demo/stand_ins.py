"""Providers that the demo world is made with: Sketch draws under another provider's name. Nothing leaves this machine and
nothing is paid; the ledger is filled as the real one would fill it.
"""

from __future__ import annotations

import io
import random
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial

from PIL import Image, ImageChops

from core.errors import StudioError
from core.providers import CancelAnswer
from core.providers.sketch import Sketch
from core.values import Finished, ImageModel, Order, RemoteImage, Running, Size, Ticket

_QUICK = 700  # pixels of the longest side
NAMES = ("fal", "replicate", "novita", "runpod")


@dataclass
class StandIn:
    """`Provider` (core.providers) of another's name.

    `refusal`: how the next requests end, on submission or, with `refuses_late`, when asked about. `is_repacked`: the
    same picture in other bytes, as a provider gives it that packs anew. `billed_usd`: what it names as its bill.
    """

    name: str
    sketch: Sketch
    seconds: float | None = None
    billed_usd: Decimal | None = None
    refusal: StudioError | None = None
    refuses_late: bool = False
    is_repacked: bool = False
    download_hosts: tuple[str, ...] = field(default=())

    def submit(self, order: Order, model: ImageModel) -> Ticket:
        """As `Provider.submit`."""
        if self.refusal is not None and not self.refuses_late:
            raise self.refusal
        drawn = replace(order, size=_drawn(order.size))
        return replace(self.sketch.submit(drawn, model), provider=self.name)

    def poll(self, ticket: Ticket) -> Running | Finished:
        """As `Provider.poll`."""
        if self.refusal is not None:
            raise self.refusal
        state = self.sketch.poll(ticket)
        if isinstance(state, Running):
            return state
        change = (
            _repacked if self.is_repacked else partial(_lit, seed=int(str((ticket.answer or {})["seed"])))
        )
        images = tuple(change(one) for one in state.images)
        return replace(state, images=images, seconds=self.seconds, billed_usd=self.billed_usd)

    def cancel(self, ticket: Ticket) -> CancelAnswer:  # noqa: ARG002
        """As `Provider.cancel`: it always had finished."""
        return CancelAnswer.too_late

    def close(self) -> None:
        """Nothing is held."""


def _drawn(size: Size) -> Size:
    """Large pictures are drawn in half their size: a whole world of them is to be there in seconds."""
    if max(size.width, size.height) <= _QUICK:
        return size
    return Size(width=size.width // 2, height=size.height // 2)


def _lit(image: RemoteImage, seed: int) -> RemoteImage:
    """Light that falls differently on each: drawings of one character would look the same to a perceptual hash."""
    chance = random.Random(seed)  # noqa: S311 - the same seed, the same light
    patches = Image.new("L", (5, 6))
    patches.putdata([chance.randrange(90, 256) for _ in range(30)])
    with Image.open(io.BytesIO(image.data or b"")) as drawn:
        light = patches.resize(drawn.size, Image.Resampling.BICUBIC)
        lit = ImageChops.multiply(drawn.convert("RGB"), Image.merge("RGB", (light, light, light)))
    packed = io.BytesIO()
    lit.save(packed, "PNG", compress_level=1)
    return RemoteImage(data=packed.getvalue())


def _repacked(image: RemoteImage) -> RemoteImage:
    with Image.open(io.BytesIO(image.data or b"")) as drawn:
        packed = io.BytesIO()
        drawn.convert("RGB").save(packed, "JPEG", quality=88)
    return RemoteImage(data=packed.getvalue())
