"""A Sketch, pass by pass: the same person and picture every time for the same seed, prompt and size."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from core.providers.sketch_brush import Brush, lighter
from core.providers.sketch_figure import (
    Figure,
    paint_clothing,
    paint_details,
    paint_face,
    paint_hair,
    paint_silhouette,
)
from core.providers.sketch_scenery import paint_ground, paint_scenery
from core.providers.sketch_words import CLOTH, Traits, likeness, read_traits
from core.values import Size

MARK = "SKETCH · placeholder"
FINEST = 1536  # pixels: up to this side everything is drawn at twice its size and halved, which smooths edges
PASSES = ("background", "silhouette", "clothing", "face", "hair", "details", "light")
LIGHTS = {"day": ((255, 246, 222), 0.3), "sunset": ((255, 170, 104), 0.5), "night": ((150, 160, 236), 0.34)}
# The hour's colour over everything, so that figure and place stand in one light.
VEILS = {"night": ((40, 46, 110), 0.09), "sunset": ((236, 120, 92), 0.1)}


@dataclass(frozen=True, kw_only=True)
class _Frame:
    """How near the figure is and where its head lies: parts of the picture's height, width and short side."""

    near: float
    x: float = 0.5
    y: float = 0.44
    angle: float = 0.0


FRAMES = {
    "portrait": _Frame(near=0.36, y=0.44),
    "profile": _Frame(near=0.38, x=0.47, y=0.44),
    "back": _Frame(near=0.36, y=0.44),
    "close-up": _Frame(near=0.62, y=0.5),
    "standing": _Frame(near=0.225, y=0.24),
    "sitting": _Frame(near=0.205, y=0.25),
    "lying": _Frame(near=0.27, x=0.3, y=0.34, angle=-56),
}


class Drawing:
    """One picture in the making. Not for two threads at once: the provider holds a lock a drawing."""

    def __init__(self, prompt: str, seed: int, size: Size) -> None:
        who = random.Random(f"{seed}/{likeness(prompt)}")  # noqa: S311 -- a likeness, not a secret
        self._traits = read_traits(prompt, who)
        self._dice = random.Random(f"{seed}/{size}")  # noqa: S311 -- where trees stand
        self._size = size
        self._finer = 2 if max(size.width, size.height) <= FINEST else 1
        self._image = Image.new("RGB", (size.width * self._finer, size.height * self._finer))
        self.done = 0

    @property
    def traits(self) -> Traits:
        """What of the prompt is drawn."""
        return self._traits

    def next_pass(self) -> None:
        """Draw one more of PASSES."""
        getattr(self, f"_draw_{PASSES[self.done]}")()
        self.done += 1

    def png(self) -> bytes:
        """The picture as PNG, in the size that was asked for, saying in its metadata too what it is."""
        note = PngImagePlugin.PngInfo()
        note.add_text("Software", "Portrait Studio Sketch (placeholder, drawn without a model)")
        out = io.BytesIO()
        self._image.save(out, "PNG", compress_level=1, pnginfo=note)
        return out.getvalue()

    def _figure(self) -> Figure:
        frame, (width, height) = FRAMES[self._traits.pose], self._image.size
        brush = Brush(image=self._image).placed(
            scale=frame.near * min(height, width * 1.3),
            x=frame.x * width,
            y=frame.y * height,
            angle=frame.angle,
        )
        return Figure(brush=brush, traits=self._traits)

    def _draw_background(self) -> None:
        paint = paint_ground if self._traits.pose == "lying" else paint_scenery
        brush = Brush(image=self._image)
        paint(brush, self._traits.place, self._traits.hour, self._dice)

    def _draw_silhouette(self) -> None:
        paint_silhouette(self._figure())

    def _draw_clothing(self) -> None:
        paint_clothing(self._figure())

    def _draw_face(self) -> None:
        paint_face(self._figure())

    def _draw_hair(self) -> None:
        paint_hair(self._figure())

    def _draw_details(self) -> None:
        paint_details(self._figure())

    def _draw_light(self) -> None:
        if self._finer > 1:
            self._image = self._image.reduce(self._finer)
        width, height = self._image.size
        if self._traits.hour in VEILS:
            veil, thick = VEILS[self._traits.hour]
            self._image = Image.blend(self._image, Image.new("RGB", self._image.size, veil), thick)
        colour, strength = LIGHTS[self._traits.hour]
        brush = Brush(image=self._image, scale=min(width, height))
        brush.glow((0.12 * width / brush.scale, 0.06), 0.75, 0.6, colour, alpha=strength)
        self._sign()

    def _sign(self) -> None:
        """The visible mark: nobody shall take a Sketch for a finished portrait."""
        tall = max(9, round(min(self._image.size) * 0.021))
        font = ImageFont.load_default(size=tall)
        draw = ImageDraw.Draw(self._image, "RGBA")
        left, top, right, bottom = draw.textbbox((0, 0), MARK, font=font)
        pad = tall * 0.7
        x, y = self._image.width - (right - left) - 2.4 * pad, self._image.height - (bottom - top) - 2.2 * pad
        plate = (x - pad, y - 0.7 * pad, x + right - left + pad, y + bottom - top + 0.7 * pad)
        draw.rounded_rectangle(plate, radius=tall, fill=(40, 30, 52, 150))
        draw.text((x - left, y - top), MARK, font=font, fill=(*lighter(CLOTH["white"], 0.5), 235))
