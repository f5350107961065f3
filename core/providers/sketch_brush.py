"""Smooth flat shapes on a Pillow image: curves through points, soft fills, glows, tapered strokes.

A brush works in its own units: `placed` says where they lie on the picture, so the same figure can be drawn
near, far, mirrored or lying. Angles are degrees, clockwise; colours are RGB from 0 to 255.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from PIL import Image, ImageChops, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]
Outline = Sequence[Point]
STEPS = 10  # points of a curve between two knots
ROUND = 64  # points of an ellipse


def mix(one: Colour, other: Colour, part: float) -> Colour:
    """`part` of the way from `one` to `other`."""
    r, g, b = (round(a + (z - a) * part) for a, z in zip(one, other, strict=True))
    return r, g, b


def lighter(colour: Colour, part: float = 0.25) -> Colour:
    """Towards a warm white."""
    return mix(colour, (255, 248, 236), part)


def darker(colour: Colour, part: float = 0.25) -> Colour:
    """Towards a cool dark violet, which keeps shadows alive."""
    return mix(colour, (40, 24, 62), part)


def ellipse(x: float, y: float, rx: float, ry: float, turn: float = 0) -> list[Point]:
    """An ellipse around (x, y), turned by `turn` degrees."""
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    around = ((rx * _COS[n], ry * _SIN[n]) for n in range(ROUND))
    return [(x + u * cos - v * sin, y + u * sin + v * cos) for u, v in around]


_COS = [math.cos(2 * math.pi * n / ROUND) for n in range(ROUND)]
_SIN = [math.sin(2 * math.pi * n / ROUND) for n in range(ROUND)]


def smooth(knots: Outline, *, closed: bool = True) -> list[Point]:
    """A curve through every knot (Catmull-Rom)."""
    count = len(knots)
    out: list[Point] = []
    for n in range(count if closed else count - 1):
        if closed:
            before, start, end, after = (knots[(n + k) % count] for k in (-1, 0, 1, 2))
        else:
            before, start, end, after = (knots[min(max(n + k, 0), count - 1)] for k in (-1, 0, 1, 2))
        out += [_between(before, start, end, after, step / STEPS) for step in range(STEPS)]
    return out if closed else [*out, knots[-1]]


def _between(before: Point, start: Point, end: Point, after: Point, t: float) -> Point:
    x, y = (
        0.5
        * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t * t + (3 * b - a - 3 * c + d) * t * t * t)
        for a, b, c, d in zip(before, start, end, after, strict=True)
    )
    return x, y


def mirrored(right: Outline) -> list[Point]:
    """A shape from its right half, given from top to bottom: the left half is its mirror image."""
    return [*right, *((-x, y) for x, y in reversed(right) if x)]  # a point in the middle stands once


def limb(points: Outline, start: float, end: float) -> list[Point]:
    """A round-ended tube along `points`, `start` thick at one end and `end` at the other."""
    path = smooth(points, closed=False)
    last = len(path) - 1
    sides: tuple[list[Point], list[Point]] = ([], [])
    for n, (x, y) in enumerate(path):
        (ax, ay), (bx, by) = path[max(n - 1, 0)], path[min(n + 1, last)]
        long = math.hypot(bx - ax, by - ay) or 1.0
        half = (start + (end - start) * n / last) / 2
        nx, ny = -(by - ay) / long * half, (bx - ax) / long * half
        sides[0].append((x + nx, y + ny))
        sides[1].append((x - nx, y - ny))
    return [
        *sides[0],
        *_cap(path[-2], path[-1], end / 2),
        *reversed(sides[1]),
        *_cap(path[1], path[0], start / 2),
    ]


def _cap(before: Point, tip: Point, radius: float) -> list[Point]:
    angle = math.atan2(tip[1] - before[1], tip[0] - before[0])
    turns = (angle + math.pi / 2 - math.pi * n / 10 for n in range(1, 10))
    return [(tip[0] + radius * math.cos(a), tip[1] + radius * math.sin(a)) for a in turns]


def tapered(points: Outline, width: float) -> list[Point]:
    """A brush stroke along `points`: thin at both ends, `width` in its middle."""
    path = smooth(points, closed=False)
    last = len(path) - 1
    sides: tuple[list[Point], list[Point]] = ([], [])
    for n, (x, y) in enumerate(path):
        (ax, ay), (bx, by) = path[max(n - 1, 0)], path[min(n + 1, last)]
        long = math.hypot(bx - ax, by - ay) or 1.0
        half = width / 2 * (0.12 + 0.88 * math.sin(math.pi * n / last))
        sides[0].append((x - (by - ay) / long * half, y + (bx - ax) / long * half))
        sides[1].append((x + (by - ay) / long * half, y - (bx - ax) / long * half))
    return [*sides[0], *reversed(sides[1])]


@lru_cache(maxsize=1)
def _soft_disc() -> Image.Image:
    """White in the middle, fading smoothly to black at the rim."""
    disc = Image.radial_gradient("L").resize((128, 128))
    return disc.point([round(255 * max(0.0, 1 - level / 180) ** 2) for level in range(256)])


@dataclass(frozen=True, kw_only=True)
class Brush:
    """Draws on `image`. One unit is `scale` pixels; (x, y) pixels is where the units begin."""

    image: Image.Image
    scale: float = 1.0
    x: float = 0.0
    y: float = 0.0
    angle: float = 0.0

    def placed(self, *, scale: float, x: float, y: float, angle: float = 0.0) -> Brush:
        """The same picture with other units."""
        return replace(self, scale=scale, x=x, y=y, angle=angle)

    def fill(
        self,
        outline: Outline,
        colour: Colour,
        *,
        to: Colour | None = None,
        alpha: float = 1.0,
        within: Outline | None = None,
    ) -> None:
        """A flat shape, or one that fades to the colour `to` at its foot; `within` cuts it to another shape."""
        points = self._pixels(outline)
        if to is None and alpha >= 1 and within is None:
            ImageDraw.Draw(self.image).polygon(points, fill=colour)
            return
        box = self._box(points)
        if box is None:
            return
        mask = _mask(points, box)
        if within is not None:
            mask = ImageChops.multiply(mask, _mask(self._pixels(within), box))
        self._lay(mask, box, colour, to, alpha)

    def shade(self, outline: Outline, colour: Colour, *, dx: float, dy: float, alpha: float = 0.5) -> None:
        """A crescent inside the shape, on the side away from (dx, dy) units: one soft shadow, one light."""
        points = self._pixels(outline)
        box = self._box(points)
        if box is None:
            return
        lit = self._pixels([(x + dx, y + dy) for x, y in outline])
        self._lay(ImageChops.subtract(_mask(points, box), _mask(lit, box)), box, colour, None, alpha)

    def glow(
        self, at: Point, rx: float, ry: float, colour: Colour, *, alpha: float, within: Outline | None = None
    ) -> None:
        """A soft round light or blush."""
        cx, cy = self._pixels([at])[0]
        wide, high = max(2, round(2 * rx * self.scale)), max(2, round(2 * ry * self.scale))
        box = (round(cx - wide / 2), round(cy - high / 2))
        mask = _soft_disc().resize((wide, high), Image.Resampling.BILINEAR)
        if within is not None:
            whole = (*box, box[0] + wide, box[1] + high)
            mask = ImageChops.multiply(mask, _mask(self._pixels(within), whole))
        self.image.paste(colour, box, mask.point([round(level * alpha) for level in range(256)]))

    def _lay(
        self,
        mask: Image.Image,
        box: tuple[int, int, int, int],
        colour: Colour,
        to: Colour | None,
        alpha: float,
    ) -> None:
        if alpha < 1:
            mask = mask.point([round(level * alpha) for level in range(256)])
        if to is None:
            self.image.paste(colour, box, mask)
        else:
            self.image.paste(fade(colour, to, mask.size), box, mask)

    def _pixels(self, outline: Outline) -> list[Point]:
        cos, sin = (
            math.cos(math.radians(self.angle)) * self.scale,
            math.sin(math.radians(self.angle)) * self.scale,
        )
        return [(self.x + u * cos - v * sin, self.y + u * sin + v * cos) for u, v in outline]

    def _box(self, points: Outline) -> tuple[int, int, int, int] | None:
        """The part of the picture that `points` reach, None where that is nothing."""
        left, top = (
            max(0, math.floor(min(x for x, _ in points))),
            max(0, math.floor(min(y for _, y in points))),
        )
        right = min(self.image.width, math.ceil(max(x for x, _ in points)) + 1)
        bottom = min(self.image.height, math.ceil(max(y for _, y in points)) + 1)
        return (left, top, right, bottom) if left < right and top < bottom else None


def _mask(points: Outline, box: tuple[int, int, int, int]) -> Image.Image:
    mask = Image.new("L", (box[2] - box[0], box[3] - box[1]))
    ImageDraw.Draw(mask).polygon([(x - box[0], y - box[1]) for x, y in points], fill=255)
    return mask


def fade(top: Colour, bottom: Colour, size: tuple[int, int]) -> Image.Image:
    """A picture of `size` that goes from `top` to `bottom`."""
    strip = Image.new("RGB", (1, 32))
    strip.putdata([mix(top, bottom, n / 31) for n in range(32)])
    return strip.resize(size, Image.Resampling.BILINEAR)
