"""What lies behind a Sketch's figure: sky and place, in flat layers. Units: the picture is 1 high."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from core.providers.sketch_brush import Brush, Colour, Outline, darker, ellipse, fade, lighter, mix, smooth

SKIES: dict[str, tuple[Colour, Colour]] = {
    "day": ((178, 216, 236), (250, 240, 222)),
    "sunset": ((118, 94, 156), (252, 178, 128)),
    "night": ((28, 32, 74), (92, 92, 150)),
}
# Quiet studio walls: a tint above, a lighter one below, and the colour of the disc behind the head.
WALLS: tuple[tuple[Colour, Colour, Colour], ...] = (
    ((246, 214, 190), (252, 236, 220), (240, 176, 148)),
    ((200, 222, 226), (232, 240, 238), (142, 190, 198)),
    ((222, 212, 238), (242, 236, 246), (184, 166, 220)),
    ((214, 228, 206), (240, 244, 230), (164, 198, 150)),
    ((250, 226, 178), (254, 242, 218), (240, 194, 104)),
    ((244, 208, 214), (252, 234, 232), (228, 152, 168)),
)
NIGHT: Colour = (30, 34, 84)
DUSK: Colour = (150, 70, 110)
WOOD: Colour = (150, 106, 80)
SPINES: tuple[Colour, ...] = (
    (184, 84, 76), (78, 122, 140), (222, 178, 104), (96, 132, 104), (238, 222, 196), (120, 92, 136), (206, 128, 92),
)  # fmt: skip
PETALS: tuple[Colour, ...] = (
    (244, 158, 172),
    (250, 214, 120),
    (248, 244, 238),
    (184, 160, 222),
    (240, 134, 110),
)


@dataclass(frozen=True, kw_only=True)
class Scenery:
    """A brush whose unit is the picture's height, how wide the picture is in it, and the hour of the day."""

    brush: Brush
    wide: float
    hour: str
    dice: random.Random

    def tone(self, colour: Colour) -> Colour:
        """`colour` as this hour's light shows it."""
        if self.hour == "night":
            return mix(colour, NIGHT, 0.62)
        return mix(colour, DUSK, 0.28) if self.hour == "sunset" else colour

    def fill(self, outline: Outline, colour: Colour, *, to: Colour | None = None) -> None:
        """A shape in this hour's light."""
        self.brush.fill(outline, self.tone(colour), to=None if to is None else self.tone(to))

    def spread(self, count: int) -> list[float]:
        """`count` places across the picture, each a little off its even spot."""
        step = (self.wide + 0.2) / count
        return [-0.1 + step * (n + self.dice.uniform(0.2, 0.8)) for n in range(count)]


def paint_scenery(brush: Brush, place: str, hour: str, dice: random.Random) -> None:
    """Fill the picture with the place, at that hour. Unknown places become a studio wall."""
    image = brush.image
    scene = Scenery(
        brush=brush.placed(scale=image.height, x=0, y=0),
        wide=image.width / image.height,
        hour=hour,
        dice=dice,
    )
    image.paste(fade(*SKIES[hour], image.size), (0, 0))
    if place in OUTSIDE or (place == "plain" and hour != "day"):
        _paint_lights_of_the_sky(scene)
    PLACES.get(place, _paint_wall)(scene)


def paint_ground(brush: Brush, place: str, hour: str, dice: random.Random) -> None:
    """The same places seen from above, for somebody who lies there."""
    image = brush.image
    scene = Scenery(
        brush=brush.placed(scale=image.height, x=0, y=0),
        wide=image.width / image.height,
        hour=hour,
        dice=dice,
    )
    top, bottom, dots = GROUNDS.get(place, ((232, 214, 226), (246, 234, 232), ((255, 250, 246),)))
    image.paste(fade(scene.tone(top), scene.tone(bottom), image.size), (0, 0))
    for n in range(70):
        x, y, size = dice.uniform(0, scene.wide), dice.uniform(0, 1), dice.uniform(0.01, 0.024)
        if place in MEADOWS:
            scene.fill(
                ellipse(x + size, y + size, size * 1.5, size * 0.5, dice.uniform(0, 180)),
                darker(bottom, 0.12),
            )
        _paint_blossom(scene, x, y, size, dots[n % len(dots)])
    _paint_blanket(scene)


def _paint_blanket(scene: Scenery) -> None:
    """A woven blanket and a pillow, turned as the figure lies."""
    weave, stripe = scene.dice.choice((((238, 222, 204), (206, 110, 100)), ((214, 226, 232), (84, 126, 152))))
    cloth = scene.brush.placed(
        scale=scene.brush.scale, x=scene.wide * 0.3 * scene.brush.scale, y=0.34 * scene.brush.scale, angle=-56
    )
    sheet = [(-0.38, -0.3), (0.38, -0.3), (0.38, 1.6), (-0.38, 1.6)]
    cloth.fill([(x + 0.012, y + 0.016) for x, y in sheet], scene.tone(darker(weave, 0.55)), alpha=0.35)
    cloth.fill(sheet, scene.tone(weave))
    for n in range(7):
        at = -0.27 + n * 0.27
        cloth.fill(
            [(-0.38, at), (0.38, at), (0.38, at + 0.035), (-0.38, at + 0.035)],
            scene.tone(mix(weave, stripe, 0.75)),
        )
        x = -0.33 + n * 0.11
        cloth.fill(
            [(x, -0.3), (x + 0.012, -0.3), (x + 0.012, 1.6), (x, 1.6)], scene.tone(mix(weave, stripe, 0.4))
        )
    pillow = smooth(
        [
            (-0.27, -0.2),
            (0, -0.22),
            (0.27, -0.2),
            (0.29, 0),
            (0.27, 0.17),
            (0, 0.18),
            (-0.27, 0.17),
            (-0.29, 0),
        ]
    )
    cloth.fill([(x + 0.008, y + 0.014) for x, y in pillow], scene.tone(darker(weave, 0.5)), alpha=0.4)
    cloth.fill(pillow, scene.tone((252, 246, 240)), to=scene.tone((232, 222, 224)))


def _paint_blossom(scene: Scenery, x: float, y: float, size: float, colour: Colour) -> None:
    for turn in (0, 60, 120):
        scene.fill(ellipse(x, y, size, size * 0.42, turn), colour)
    scene.fill(ellipse(x, y, size * 0.36, size * 0.36), (238, 188, 92))


def _paint_lights_of_the_sky(scene: Scenery) -> None:
    brush, dice = scene.brush, scene.dice
    x = scene.wide * dice.choice((0.18, 0.82))
    if scene.hour == "night":
        for _ in range(60):
            size = dice.uniform(0.0012, 0.0036)
            brush.fill(
                ellipse(dice.uniform(0, scene.wide), dice.uniform(0, 0.7), size, size), (250, 244, 222)
            )
        brush.glow((x, 0.2), 0.26, 0.26, (236, 232, 250), alpha=0.5)
        brush.fill(ellipse(x, 0.2, 0.075, 0.075), (250, 244, 224))
        brush.fill(ellipse(x - 0.02, 0.19, 0.016, 0.016), (232, 224, 206))
        brush.fill(ellipse(x + 0.025, 0.22, 0.011, 0.011), (232, 224, 206))
        return
    low = 0.46 if scene.hour == "sunset" else 0.17
    brush.glow((x, low), 0.42, 0.42, (255, 240, 200), alpha=0.75)
    brush.fill(ellipse(x, low, 0.085, 0.085), (255, 240, 206))
    for height in (0.13, 0.25, 0.33):
        _paint_cloud(scene, dice.uniform(0, scene.wide), height, dice.uniform(0.05, 0.09))


def _paint_cloud(scene: Scenery, x: float, y: float, size: float) -> None:
    tint = (255, 252, 246) if scene.hour == "day" else (255, 206, 178)
    for dx, dy, part in ((-1.0, 0.2, 0.55), (-0.3, -0.1, 0.8), (0.5, 0.0, 0.7), (1.2, 0.22, 0.5)):
        scene.brush.fill(
            ellipse(x + dx * size, y + dy * size, size * part * 1.3, size * part * 0.55), tint, alpha=0.72
        )


def _ridge(scene: Scenery, height: float, swing: float, knots: int) -> Outline:
    step = (scene.wide + 0.4) / knots
    line = [(-0.2 + step * n, height + scene.dice.uniform(-swing, swing)) for n in range(knots + 1)]
    return [*smooth(line, closed=False), (scene.wide + 0.3, 1.2), (-0.3, 1.2)]


def _paint_wall(scene: Scenery) -> None:
    if scene.hour != "day":
        scene.fill(_ridge(scene, 0.78, 0.04, 5), (120, 130, 150), to=(90, 96, 120))
        return
    top, bottom, disc = WALLS[scene.dice.randrange(len(WALLS))]
    scene.brush.image.paste(fade(top, bottom, scene.brush.image.size), (0, 0))
    middle, size = scene.wide / 2, min(scene.wide, 1) * 0.41
    scene.fill(ellipse(middle, 0.46, size, size), disc, to=mix(disc, bottom, 0.55))
    for _ in range(7):
        x, y, dot = (
            scene.dice.uniform(0.04, scene.wide - 0.04),
            scene.dice.uniform(0.05, 0.9),
            scene.dice.uniform(0.006, 0.016),
        )
        scene.fill(ellipse(x, y, dot, dot), lighter(disc, 0.3))
    _paint_leaf(scene, scene.wide * scene.dice.choice((0.1, 0.9)), disc)


def _paint_leaf(scene: Scenery, x: float, colour: Colour) -> None:
    lean = 1 if x < scene.wide / 2 else -1
    for n in range(5):
        y, reach = 0.95 - n * 0.075, 0.085 - n * 0.009
        for side in (1, -1):
            scene.fill(
                ellipse(x + side * reach * 0.8 + lean * n * 0.008, y, reach, 0.02, side * -32),
                darker(colour, 0.12 + 0.03 * n),
            )


def _paint_forest(scene: Scenery) -> None:
    scene.fill(_ridge(scene, 0.52, 0.04, 6), (168, 202, 184), to=(206, 224, 200))
    for layer, (foot, colour) in enumerate(
        ((0.8, (126, 172, 146)), (0.92, (86, 138, 114)), (1.06, (58, 106, 90)))
    ):
        for x in scene.spread(7 - layer):
            _paint_tree(scene, x, foot, scene.dice.uniform(0.42, 0.62) + 0.08 * layer, colour)
        scene.fill(_ridge(scene, foot - 0.05, 0.015, 5), darker(colour, 0.06), to=darker(colour, 0.2))


def _paint_tree(scene: Scenery, x: float, foot: float, height: float, colour: Colour) -> None:
    if scene.dice.random() < 0.5:  # noqa: PLR2004 -- half are firs
        for n in range(3):
            top, half = foot - height + n * height * 0.23, height * (0.13 + 0.055 * n)
            outline = smooth(
                [
                    (x, top),
                    (x + half * 0.55, top + height * 0.2),
                    (x + half, top + height * 0.38),
                    (x, top + height * 0.34),
                    (x - half, top + height * 0.38),
                    (x - half * 0.55, top + height * 0.2),
                ]
            )
            scene.fill(outline, lighter(colour, 0.12 - 0.05 * n))
        return
    scene.fill(
        [
            (x - 0.012, foot - height * 0.6),
            (x + 0.012, foot - height * 0.6),
            (x + 0.02, foot),
            (x - 0.02, foot),
        ],
        darker(WOOD, 0.2),
    )
    scene.fill(
        ellipse(x, foot - height * 0.66, height * 0.24, height * 0.32),
        lighter(colour, 0.1),
        to=darker(colour, 0.06),
    )


def _paint_sea(scene: Scenery) -> None:
    scene.fill(
        [(-0.1, 0.56), (scene.wide + 0.1, 0.56), (scene.wide + 0.1, 1.1), (-0.1, 1.1)],
        (96, 172, 190),
        to=(52, 122, 156),
    )
    for _ in range(26):
        x, y = scene.dice.uniform(0, scene.wide), scene.dice.uniform(0.58, 0.84)
        scene.fill(ellipse(x, y, 0.02 + (y - 0.5) * 0.16, 0.0026), (196, 228, 228))
    scene.fill(_ridge(scene, 0.875, 0.012, 5), (250, 246, 238))
    scene.fill(_ridge(scene, 0.895, 0.012, 5), (240, 214, 170), to=(226, 190, 140))
    _paint_boat(scene, scene.wide * scene.dice.choice((0.14, 0.86)))


def _paint_boat(scene: Scenery, x: float) -> None:
    scene.fill([(x, 0.45), (x, 0.556), (x + 0.06, 0.556)], (252, 246, 236))
    scene.fill([(x - 0.006, 0.47), (x - 0.006, 0.556), (x - 0.045, 0.556)], (240, 200, 176))
    scene.fill([(x - 0.06, 0.562), (x + 0.075, 0.562), (x + 0.05, 0.588), (x - 0.04, 0.588)], (190, 92, 80))


def _paint_city(scene: Scenery) -> None:
    for layer, colour in enumerate(((188, 196, 214), (142, 152, 184), (98, 106, 146))):
        for x in scene.spread(8 - layer):
            half, top = scene.dice.uniform(0.045, 0.085), scene.dice.uniform(0.28, 0.5) + 0.13 * layer
            shade = mix(colour, (224, 168, 150), scene.dice.uniform(0, 0.3))
            scene.fill(
                [(x - half, top), (x + half, top), (x + half, 1.1), (x - half, 1.1)],
                shade,
                to=lighter(shade, 0.3),
            )
            _paint_windows(scene, x, top, half)


def _paint_windows(scene: Scenery, x: float, top: float, half: float) -> None:
    lit: Colour = (255, 226, 150) if scene.hour != "day" else (246, 250, 250)
    for row in range(12):
        for column in (-1, 0, 1):
            if scene.dice.random() < 0.45:  # noqa: PLR2004 -- not everybody is at home
                left, high = x + column * half * 0.56 - 0.008, top + 0.03 + row * 0.045
                scene.brush.fill(
                    [(left, high), (left + 0.016, high), (left + 0.016, high + 0.022), (left, high + 0.022)],
                    lit,
                )


def _paint_mountains(scene: Scenery) -> None:
    _paint_peaks(scene, snow=scene.dice.random() < 0.8)  # noqa: PLR2004 -- mostly white tops
    scene.fill(_ridge(scene, 0.76, 0.03, 5), (136, 176, 132), to=(98, 146, 112))
    scene.fill(_ridge(scene, 0.9, 0.02, 4), (92, 142, 104), to=(66, 112, 88))


def _paint_peaks(scene: Scenery, *, snow: bool) -> None:
    for layer, colour in enumerate(((168, 178, 206), (124, 136, 174))):
        for x in scene.spread(4):
            top, half = 0.3 + 0.12 * layer + scene.dice.uniform(0, 0.1), scene.dice.uniform(0.24, 0.34)
            foot = 0.95
            scene.fill([(x, top), (x + half, foot), (x - half, foot)], colour, to=lighter(colour, 0.3))
            scene.fill([(x, top), (x + half, foot), (x + half * 0.2, foot)], darker(colour, 0.16))
            if snow:
                down = top + (foot - top) * 0.2
                reach = half * 0.2
                scene.fill(
                    [
                        (x, top),
                        (x + reach, down),
                        (x + reach * 0.4, down - 0.02),
                        (x, down + 0.015),
                        (x - reach * 0.5, down - 0.02),
                        (x - reach, down),
                    ],
                    (250, 250, 252),
                )


def _paint_snow(scene: Scenery) -> None:
    _paint_peaks(scene, snow=True)
    for x in scene.spread(6):
        _paint_tree(scene, x, 0.88, scene.dice.uniform(0.24, 0.4), (150, 178, 186))
    scene.fill(_ridge(scene, 0.8, 0.025, 5), (240, 246, 250), to=(214, 228, 240))
    for _ in range(70):
        size = scene.dice.uniform(0.002, 0.006)
        scene.brush.fill(
            ellipse(scene.dice.uniform(0, scene.wide), scene.dice.uniform(0, 1), size, size), (255, 255, 255)
        )


def _paint_desert(scene: Scenery) -> None:
    for height, colour in ((0.6, (238, 196, 140)), (0.72, (226, 170, 112)), (0.86, (206, 142, 92))):
        scene.fill(_ridge(scene, height, 0.05, 4), lighter(colour, 0.15), to=darker(colour, 0.05))
    x = scene.wide * scene.dice.choice((0.12, 0.88))
    for dx, top, foot in ((0.0, 0.44, 0.82), (-0.055, 0.54, 0.66), (0.055, 0.5, 0.62)):
        scene.fill(
            smooth(
                [
                    (x + dx - 0.02, foot),
                    (x + dx - 0.02, top),
                    (x + dx, top - 0.03),
                    (x + dx + 0.02, top),
                    (x + dx + 0.02, foot),
                ]
            ),
            (98, 146, 112),
        )
    scene.fill(ellipse(x, 0.655, 0.075, 0.02), (98, 146, 112))


def _paint_library(scene: Scenery) -> None:
    scene.brush.image.paste(
        fade(scene.tone((122, 84, 70)), scene.tone((94, 62, 58)), scene.brush.image.size), (0, 0)
    )
    for shelf in range(5):
        foot, x = 0.19 + 0.215 * shelf, 0.02
        while x < scene.wide:
            thick, high = scene.dice.uniform(0.018, 0.036), scene.dice.uniform(0.11, 0.165)
            colour = SPINES[scene.dice.randrange(len(SPINES))]
            scene.fill(
                [(x, foot - high), (x + thick - 0.003, foot - high), (x + thick - 0.003, foot), (x, foot)],
                mix(colour, WOOD, 0.25),
            )
            scene.fill(
                [
                    (x, foot - high * 0.8),
                    (x + thick - 0.003, foot - high * 0.8),
                    (x + thick - 0.003, foot - high * 0.72),
                    (x, foot - high * 0.72),
                ],
                lighter(colour, 0.3),
            )
            x += thick + (0.05 if scene.dice.random() < 0.06 else 0)  # noqa: PLR2004 -- a gap now and then
        scene.fill([(0, foot), (scene.wide, foot), (scene.wide, foot + 0.02), (0, foot + 0.02)], WOOD)
    scene.brush.glow((scene.wide * 0.5, 0.4), 0.6, 0.6, (255, 214, 150), alpha=0.42)


def _paint_room(scene: Scenery) -> None:
    scene.brush.image.paste(
        fade(scene.tone((238, 214, 190)), scene.tone((226, 190, 164)), scene.brush.image.size), (0, 0)
    )
    left = scene.wide * 0.62
    right, sky = left + 0.34, SKIES[scene.hour]
    scene.fill(
        [(left - 0.02, 0.08), (right + 0.02, 0.08), (right + 0.02, 0.6), (left - 0.02, 0.6)], (250, 244, 232)
    )
    scene.brush.fill([(left, 0.1), (right, 0.1), (right, 0.58), (left, 0.58)], sky[0], to=sky[1])
    scene.fill(
        [(left + 0.16, 0.1), (left + 0.172, 0.1), (left + 0.172, 0.58), (left + 0.16, 0.58)], (250, 244, 232)
    )
    scene.fill([(left, 0.32), (right, 0.32), (right, 0.332), (left, 0.332)], (250, 244, 232))
    for dx, high in ((0.12, 0.2), (0.3, 0.13)):
        x = scene.wide * dx
        scene.fill([(x - 0.002, 0), (x + 0.002, 0), (x + 0.002, high), (x - 0.002, high)], (92, 74, 70))
        scene.fill(
            [(x - 0.022, high), (x + 0.022, high), (x + 0.06, high + 0.06), (x - 0.06, high + 0.06)],
            (86, 132, 130),
        )
        scene.brush.glow((x, high + 0.08), 0.2, 0.2, (255, 232, 170), alpha=0.65)
    scene.fill(
        [(-0.1, 0.86), (scene.wide + 0.1, 0.86), (scene.wide + 0.1, 1.1), (-0.1, 1.1)],
        WOOD,
        to=darker(WOOD, 0.2),
    )
    _paint_leaf(scene, scene.wide * 0.08, (120, 164, 124))


def _paint_garden(scene: Scenery) -> None:
    scene.fill(_ridge(scene, 0.56, 0.05, 6), (176, 208, 160), to=(150, 192, 140))
    for x in scene.spread(7):
        scene.fill(ellipse(x, 0.68, 0.13, 0.12), (128, 176, 124), to=(96, 148, 106))
    scene.fill(_ridge(scene, 0.74, 0.02, 5), (120, 172, 116), to=(86, 142, 98))
    for n in range(64):
        y = scene.dice.uniform(0.62, 1)
        _paint_blossom(
            scene, scene.dice.uniform(0, scene.wide), y, 0.008 + (y - 0.6) * 0.042, PETALS[n % len(PETALS)]
        )


def _paint_space(scene: Scenery) -> None:
    image, dice = scene.brush.image, scene.dice
    image.paste(fade((24, 20, 58), (84, 48, 118), image.size), (0, 0))
    for colour in ((196, 92, 168), (84, 124, 214), (104, 204, 208)):
        scene.brush.glow((dice.uniform(0, scene.wide), dice.uniform(0.1, 0.9)), 0.5, 0.3, colour, alpha=0.5)
    for _ in range(110):
        size = dice.uniform(0.001, 0.0036)
        scene.brush.fill(
            ellipse(dice.uniform(0, scene.wide), dice.uniform(0, 1), size, size), (252, 248, 236)
        )
    x = scene.wide * dice.choice((0.17, 0.83))
    scene.brush.fill(ellipse(x, 0.24, 0.1, 0.1), (240, 176, 130), to=(176, 92, 120))
    scene.brush.fill(ellipse(x, 0.24, 0.17, 0.02, -16), (248, 220, 190), alpha=0.85)


PLACES: Mapping[str, Callable[[Scenery], None]] = {
    "plain": _paint_wall,
    "forest": _paint_forest,
    "sea": _paint_sea,
    "city": _paint_city,
    "mountains": _paint_mountains,
    "snow": _paint_snow,
    "desert": _paint_desert,
    "library": _paint_library,
    "room": _paint_room,
    "garden": _paint_garden,
    "space": _paint_space,
}
OUTSIDE = frozenset({"forest", "sea", "city", "mountains", "snow", "desert", "garden"})
MEADOWS = frozenset({"forest", "garden", "mountains"})
GROUNDS: Mapping[str, tuple[Colour, Colour, tuple[Colour, ...]]] = {
    "forest": ((110, 156, 112), (78, 128, 96), PETALS[1:3]),
    "garden": ((142, 188, 124), (104, 158, 104), PETALS),
    "mountains": ((134, 178, 126), (100, 150, 104), PETALS[2:4]),
    "sea": ((244, 220, 178), (230, 196, 148), ((250, 240, 222),)),
    "desert": ((240, 202, 150), (222, 166, 110), ((248, 226, 190),)),
    "snow": ((240, 246, 250), (214, 228, 242), ((255, 255, 255),)),
    "space": ((44, 34, 92), (96, 58, 132), ((252, 248, 236),)),
}
