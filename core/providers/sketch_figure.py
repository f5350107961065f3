"""A Sketch's person, in passes. Units: the head is 1 high and its middle lies at (0, 0); y grows downwards.

A sketch is flat shapes with one soft shadow each. The same knots serve every pose: a pose is a frame (how near,
how turned) and a few exchanged parts.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.providers import sketch_hair as hair
from core.providers.sketch_brush import (
    Brush,
    Colour,
    Outline,
    Point,
    darker,
    ellipse,
    lighter,
    limb,
    mirrored,
    mix,
    smooth,
    tapered,
)
from core.providers.sketch_words import CLOTH, EYES, HAIR, SKIN, Traits

INK: Colour = (62, 44, 56)
LIP: Colour = (196, 92, 94)
BLUSH: Colour = (240, 128, 118)
# Right half of the face, crown to chin; then the part of it below the cheekbones, by figure.
SKULL: tuple[Point, ...] = ((0.0, -0.53), (0.21, -0.5), (0.355, -0.33), (0.395, -0.08))
JAWS: dict[str, tuple[Point, ...]] = {
    "woman": ((0.375, 0.14), (0.295, 0.33), (0.15, 0.475), (0.045, 0.53)),
    "person": ((0.38, 0.16), (0.315, 0.345), (0.18, 0.475), (0.06, 0.525)),
    "man": ((0.39, 0.17), (0.345, 0.36), (0.225, 0.485), (0.08, 0.535)),
}
SIDE_FACE: tuple[Point, ...] = (
    (0.0, -0.53), (0.19, -0.5), (0.33, -0.38), (0.375, -0.22), (0.365, -0.1), (0.395, 0.0), (0.465, 0.115),
    (0.45, 0.16), (0.4, 0.175), (0.392, 0.21), (0.425, 0.255), (0.405, 0.29), (0.418, 0.325), (0.385, 0.37),
    (0.39, 0.43), (0.34, 0.515), (0.24, 0.525), (0.08, 0.45), (-0.06, 0.33), (-0.16, 0.3), (-0.34, 0.2),
    (-0.44, 0.0), (-0.43, -0.22), (-0.3, -0.43),
)  # fmt: skip
# How far the mouth's corners are lifted.
CORNERS = {"smile": 0.036, "wink": 0.04, "shy": 0.022, "dreamy": 0.024, "sad": -0.03, "stern": -0.008}
SHOULDERS = {"woman": 0.83, "person": 0.92, "man": 1.05}
BUILDS = {"slim": 0.93, "average": 1.0, "strong": 1.07, "broad": 1.16}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One person to draw: the brush placed on the head, the traits, and their colours."""

    brush: Brush
    traits: Traits

    @property
    def skin(self) -> Colour:
        """Of the whole figure, before light and shadow."""
        return SKIN[self.traits.skin]

    @property
    def shadow(self) -> Colour:
        """The skin where light does not reach: warmer, not greyer."""
        return mix(self.skin, (150, 60, 62), 0.34)

    @property
    def hair(self) -> Colour:
        """Of hair and brows."""
        return HAIR[self.traits.hair]

    @property
    def cloth(self) -> Colour:
        """Of the main garment."""
        return CLOTH[self.traits.cloth]

    @property
    def second(self) -> Colour:
        """Of what is worn under or beside it."""
        second = CLOTH[self.traits.second_cloth]
        return second if self.traits.second_cloth != self.traits.cloth else lighter(second, 0.5)

    @property
    def shoulder(self) -> float:
        """Half the shoulders' width."""
        return SHOULDERS[self.traits.figure] * BUILDS[self.traits.build]

    @property
    def waist(self) -> float:
        """Half the waist's width."""
        return self.shoulder * {"woman": 0.62, "person": 0.7, "man": 0.74}[self.traits.figure]

    @property
    def sideways(self) -> bool:
        """Whether the face is seen from its side."""
        return self.traits.pose == "profile"

    @property
    def from_behind(self) -> bool:
        """Whether no face is seen."""
        return self.traits.pose == "back"

    @property
    def face(self) -> list[Point]:
        """The head's outline."""
        if self.sideways:
            return smooth(SIDE_FACE)
        return smooth(mirrored([*SKULL, *JAWS[self.traits.figure]]))


# ---------------------------------------------------------------------------------------------- silhouette


def paint_silhouette(figure: Figure) -> None:
    """What lies behind everything else, and the skin: back hair, seat, neck, ears, head, hands."""
    brush = figure.brush
    if figure.traits.pose == "sitting":
        _paint_armchair(figure)
    if not figure.from_behind:
        _paint_back_hair(figure)
    neck = 0.185 if figure.traits.figure == "man" else 0.15
    lean = -0.1 if figure.sideways else 0.0
    throat = mirrored([(neck, 0.25), (neck, 0.6), (neck + 0.05, 0.74), (0.5, 0.9), (0.4, 1.35)])
    outline = smooth([(x + lean, y) for x, y in throat])
    brush.fill(outline, figure.skin)
    chin = [(x * 0.92, y + 0.13) for x, y in figure.face]
    brush.fill(chin, figure.shadow, alpha=0.62, within=outline)
    if not figure.sideways:
        for side in (-1, 1):
            _paint_ear(figure, side * 0.395)
    brush.fill(figure.face, figure.skin)
    brush.shade(figure.face, figure.shadow, dx=-0.07, dy=-0.035, alpha=0.36)
    if figure.sideways:
        _paint_ear(figure, -0.06)


def _paint_ear(figure: Figure, x: float) -> None:
    figure.brush.fill(ellipse(x, 0.06, 0.07, 0.115), figure.skin)
    figure.brush.fill(ellipse(x, 0.065, 0.038, 0.07), figure.shadow, alpha=0.5)


def _paint_back_hair(figure: Figure) -> None:
    style, deep = figure.traits.hair_style, darker(figure.hair, 0.22)
    shapes = hair.behind_from_the_side(style) if figure.sideways else hair.behind(style)
    for outline in shapes:
        figure.brush.fill(outline, figure.hair, to=deep)
    if style in {"bun", "curls"}:
        for outline in shapes:
            figure.brush.shade(outline, deep, dx=-0.035, dy=-0.05, alpha=0.5)


def _paint_armchair(figure: Figure) -> None:
    tint = mix(figure.second, (164, 92, 92), 0.45)
    brush = figure.brush
    back = smooth(mirrored([(0.0, 0.4), (0.9, 0.44), (1.42, 0.75), (1.5, 1.8), (1.5, 4.2)]))
    brush.fill(back, lighter(tint, 0.1), to=darker(tint, 0.25))
    brush.shade(back, darker(tint, 0.4), dx=-0.14, dy=0.0, alpha=0.4)
    for x, y in ((-0.85, 1.0), (0.85, 1.0), (-1.0, 1.8), (1.0, 1.8)):
        brush.fill(ellipse(x, y, 0.05, 0.05), darker(tint, 0.3))


# ------------------------------------------------------------------------------------------------ clothing


def paint_clothing(figure: Figure) -> None:
    """Legs, arms, the garment with its own neckline and marks, a scarf."""
    if figure.traits.pose in {"standing", "lying"}:
        _paint_legs(figure)
    _paint_arms(figure)
    body = _body(figure)
    figure.brush.fill(body, figure.cloth, to=darker(figure.cloth, 0.2))
    figure.brush.shade(body, darker(figure.cloth, 0.4), dx=-0.12, dy=-0.02, alpha=0.42)
    if not figure.from_behind:
        MARKS.get(figure.traits.garment, _mark_tee)(figure, body)
    if figure.traits.pose == "sitting":
        _paint_lap(figure)
    if figure.traits.scarf:
        _paint_scarf(figure)


def _body(figure: Figure) -> list[Point]:
    """The garment's outline: as deep a neckline as its kind has, down to the hips or the hem."""
    garment, shoulder, waist = figure.traits.garment, figure.shoulder, figure.waist
    deep = {
        "dress": 1.08,
        "robe": 1.14,
        "tee": 0.98,
        "sweater": 0.84,
        "shirt": 0.98,
        "coat": 1.2,
        "suit": 1.3,
    }.get(garment, 0.94)
    deep = 0.74 if figure.from_behind else deep
    strap = 0.3 if garment != "dress" else 0.4
    lean = -0.08 if figure.sideways else 0.0
    top = [(0.0, deep), (strap * 0.62, deep - 0.09), (strap, 0.79)]
    side = [
        (shoulder * 0.64, 0.875),
        (shoulder * 0.92, 0.99),
        (shoulder * 0.96, 1.2),
        (shoulder * 0.8, 1.62),
        (waist, 2.12),
    ]
    flares = garment in {"dress", "robe"} and figure.traits.pose not in {"sitting", "profile"}
    hem = (
        [(waist * 1.2, 2.8), (waist * 1.9, 4.6), (0.4, 4.7)]
        if flares
        else [(waist * 1.16, 2.7), (waist * 1.18, 3.02), (waist * 1.1, 3.12), (0.3, 3.14)]
    )
    return smooth([(x + lean, y) for x, y in mirrored([*top, *side, *hem])])


def _paint_arms(figure: Figure) -> None:
    brush, out = figure.brush, figure.shoulder
    sleeve = figure.skin if figure.traits.garment == "dress" else darker(figure.cloth, 0.09)
    sitting = figure.traits.pose == "sitting"
    for side in (-1, 1):
        if figure.sideways and side > 0:
            continue
        hip = side > 0 and figure.traits.pose == "standing"
        elbow = (out + (0.26 if hip else 0.0), 1.9)
        wrist = (out * 0.76, 2.42) if hip else ((0.5, 2.82) if sitting else (out * 0.95, 2.75))
        path = [(side * x, y) for x, y in ((out - 0.16, 1.15), elbow, wrist)]
        brush.fill(ellipse(side * wrist[0], wrist[1] + 0.1, 0.105, 0.13), figure.skin)
        tube = limb(path, 0.31, 0.19)
        brush.fill(tube, sleeve)
        brush.shade(tube, darker(sleeve, 0.4), dx=-0.06, dy=0.0, alpha=0.35)
        if figure.traits.garment == "tee":
            brush.fill(limb([path[1], path[2]], 0.25, 0.19), figure.skin)


def _paint_legs(figure: Figure) -> None:
    trousers = mix(figure.second, (66, 72, 104), 0.62)
    bare = figure.traits.garment == "dress"
    for side in (-1, 1):
        tube = limb([(side * 0.27, 2.9), (side * 0.3, 4.4), (side * 0.3, 6.4)], figure.waist * 0.92, 0.3)
        figure.brush.fill(tube, figure.skin if bare else trousers)
        figure.brush.shade(tube, darker(trousers, 0.4), dx=-0.08, dy=0.0, alpha=0.4)


def _paint_lap(figure: Figure) -> None:
    """Knees towards us, hands on them, and the chair's arms in front of the elbows."""
    brush = figure.brush
    legs = (
        figure.cloth
        if figure.traits.garment in {"dress", "robe"}
        else mix(figure.second, (66, 72, 104), 0.62)
    )
    for side in (-1, 1):
        shin = limb([(side * 0.46, 3.15), (side * 0.42, 4.9)], 0.5, 0.34)
        brush.fill(shin, darker(legs, 0.12), to=darker(legs, 0.3))
        thigh = limb([(side * 0.34, 2.72), (side * 0.47, 3.12)], 0.62, 0.6)
        brush.fill(thigh, legs, to=darker(legs, 0.1))
        brush.shade(thigh, darker(legs, 0.4), dx=-0.07, dy=-0.05, alpha=0.4)
        brush.fill(limb([(side * 0.6, 2.62), (side * 0.46, 2.86)], 0.2, 0.17), darker(figure.cloth, 0.09))
        brush.fill(ellipse(side * 0.43, 2.95, 0.13, 0.11), figure.skin)
    tint = mix(figure.second, (164, 92, 92), 0.45)
    for side in (-1, 1):
        rest = smooth(
            [(side * x, y) for x, y in ((1.02, 2.5), (1.32, 2.28), (1.66, 2.5), (1.68, 4.8), (1.02, 4.8))]
        )
        brush.fill(rest, lighter(tint, 0.16), to=darker(tint, 0.2))


def _paint_scarf(figure: Figure) -> None:
    tint = mix(figure.second, (204, 84, 76), 0.6)
    wrap = smooth(mirrored([(0.0, 0.62), (0.24, 0.6), (0.4, 0.74), (0.36, 0.94), (0.0, 1.02)]))
    figure.brush.fill(limb([(0.16, 0.9), (0.24, 1.3), (0.2, 1.75)], 0.26, 0.3), darker(tint, 0.1))
    figure.brush.fill(wrap, lighter(tint, 0.08), to=darker(tint, 0.12))
    for lift in (0.0, 0.1):
        figure.brush.fill(
            tapered([(-0.33, 0.72 + lift), (0.0, 0.86 + lift), (0.33, 0.72 + lift)], 0.022), darker(tint, 0.3)
        )


def _mark_tee(figure: Figure, body: Outline) -> None:
    figure.brush.fill(
        tapered([(-0.26, 0.8), (-0.14, 0.93), (0, 0.985), (0.14, 0.93), (0.26, 0.8)], 0.06),
        lighter(figure.cloth, 0.3),
        within=body,
    )


def _mark_sweater(figure: Figure, body: Outline) -> None:
    collar = smooth(mirrored([(0.0, 0.5), (0.17, 0.49), (0.24, 0.68), (0.26, 0.86), (0.0, 0.93)]))
    figure.brush.fill(collar, lighter(figure.cloth, 0.1), to=darker(figure.cloth, 0.08))
    for x in (-0.12, -0.04, 0.04, 0.12):
        figure.brush.fill(tapered([(x, 0.54), (x * 1.3, 0.88)], 0.014), darker(figure.cloth, 0.26))
    for x in (-0.34, -0.17, 0.0, 0.17, 0.34):
        figure.brush.fill(
            tapered([(x, 1.1), (x * 0.95, 2.0), (x, 3.0)], 0.03), darker(figure.cloth, 0.16), within=body
        )


def _mark_shirt(figure: Figure, body: Outline) -> None:
    brush, pale = figure.brush, lighter(figure.cloth, 0.28)
    brush.fill(
        [(-0.012, 0.98), (0.012, 0.98), (0.012, 3.2), (-0.012, 3.2)], darker(figure.cloth, 0.24), within=body
    )
    for n in range(5):
        brush.fill(ellipse(0.055, 1.2 + n * 0.34, 0.026, 0.026), pale)
    for side in (-1, 1):
        brush.fill([(side * 0.02, 1.02), (side * 0.2, 0.68), (side * 0.36, 0.82), (side * 0.2, 1.14)], pale)


def _mark_open(figure: Figure, body: Outline) -> None:
    """A coat or a suit: what is worn below shows between two lapels."""
    brush = figure.brush
    under = [(-0.28, 0.76), (0.28, 0.76), (0.2, 1.5), (0.06, 2.3), (-0.06, 2.3), (-0.2, 1.5)]
    neck = [(-0.15, 0.7), (0.15, 0.7), (0.0, 0.95)]
    brush.fill(under, figure.second)
    brush.fill(neck, figure.skin)
    if figure.traits.garment == "suit":
        brush.fill(
            [(-0.055, 0.96), (0.055, 0.96), (0.085, 1.8), (0.0, 2.0), (-0.085, 1.8)],
            darker(figure.cloth, 0.35),
        )
    for side in (-1, 1):
        lapel = [
            (side * x, y)
            for x, y in ((0.19, 0.68), (0.36, 0.82), (0.46, 1.32), (0.32, 1.38), (0.05, 2.32), (0.15, 1.4))
        ]
        brush.fill(lapel, lighter(figure.cloth, 0.16))
    brush.fill(
        [(-0.008, 2.3), (0.008, 2.3), (0.008, 3.3), (-0.008, 3.3)], darker(figure.cloth, 0.4), within=body
    )


def _mark_hoodie(figure: Figure, body: Outline) -> None:
    brush = figure.brush
    hood = smooth(mirrored([(0.0, 1.02), (0.2, 0.92), (0.3, 0.62), (0.46, 0.66), (0.52, 0.9), (0.3, 1.12)]))
    brush.fill(hood, lighter(figure.cloth, 0.14), to=darker(figure.cloth, 0.06))
    for side in (-1, 1):
        brush.fill(limb([(side * 0.15, 1.02), (side * 0.17, 1.5)], 0.028, 0.028), lighter(figure.cloth, 0.6))
    pocket = smooth([(-0.4, 2.3), (0.4, 2.3), (0.5, 2.85), (-0.5, 2.85)])
    brush.fill(pocket, darker(figure.cloth, 0.14), within=body)


def _mark_stripes(figure: Figure, body: Outline) -> None:
    for n in range(9):
        y = 1.02 + n * 0.27
        band = tapered([(-1.3, y - 0.04), (0, y + 0.06), (1.3, y - 0.04)], 0.12)
        figure.brush.fill(band, figure.second, within=body)
    _mark_tee(figure, body)


def _mark_dress(figure: Figure, body: Outline) -> None:
    waist = [(-1.1, 2.08), (1.1, 2.08), (1.1, 2.22), (-1.1, 2.22)]
    figure.brush.fill(waist, lighter(figure.cloth, 0.3), within=body)
    for x in (-0.5, -0.22, 0.12, 0.4):
        figure.brush.fill(
            tapered([(x, 2.3), (x * 1.5, 3.4), (x * 1.9, 4.6)], 0.06), darker(figure.cloth, 0.24), within=body
        )
    for n in range(9):
        x = -0.32 + n * 0.08
        figure.brush.fill(
            ellipse(x, 0.93 + 0.17 * (1 - (x / 0.34) ** 2), 0.02, 0.02), lighter(figure.cloth, 0.6)
        )


def _mark_robe(figure: Figure, body: Outline) -> None:
    brush = figure.brush
    for side, tint in ((1, figure.second), (-1, lighter(figure.second, 0.2))):
        band = [(side * 0.2, 0.66), (side * 0.34, 0.78), (side * -0.12, 1.95), (side * -0.3, 1.95)]
        brush.fill(band, tint)
    sash = [(-1.2, 1.88), (1.2, 1.88), (1.2, 2.24), (-1.2, 2.24)]
    brush.fill(sash, mix(figure.second, figure.cloth, 0.3), within=body)


def _mark_armour(figure: Figure, body: Outline) -> None:
    brush, steel = figure.brush, mix(figure.cloth, (190, 198, 212), 0.55)
    brush.fill(body, lighter(steel, 0.2), to=darker(steel, 0.35))
    brush.fill(tapered([(0, 1.0), (0, 2.6)], 0.05), lighter(steel, 0.7))
    for side in (-1, 1):
        plate = ellipse(side * figure.shoulder * 0.92, 1.14, 0.32, 0.27, side * 24)
        brush.fill(plate, lighter(steel, 0.35), to=darker(steel, 0.2))
        brush.shade(plate, darker(steel, 0.5), dx=-0.05, dy=-0.06, alpha=0.5)
    brush.fill(ellipse(0, 1.32, 0.085, 0.1), (222, 172, 86))


MARKS = {
    "tee": _mark_tee,
    "sweater": _mark_sweater,
    "shirt": _mark_shirt,
    "coat": _mark_open,
    "suit": _mark_open,
    "hoodie": _mark_hoodie,
    "stripes": _mark_stripes,
    "dress": _mark_dress,
    "robe": _mark_robe,
    "armour": _mark_armour,
}


# ---------------------------------------------------------------------------------------------------- face


def paint_face(figure: Figure) -> None:
    """Eyes, brows, nose, mouth, and what the skin tells; nothing where the figure is seen from behind."""
    if figure.from_behind:
        return
    _paint_cheeks(figure)
    if figure.traits.beard:
        _paint_beard(figure)
    for side in (1,) if figure.sideways else (-1, 1):
        _paint_eye(figure, side)
        _paint_brow(figure, side)
    _paint_nose(figure)
    _paint_mouth(figure)


def _eye_x(figure: Figure, side: int) -> float:
    return 0.235 if figure.sideways else side * 0.168


def _paint_cheeks(figure: Figure) -> None:
    brush, strength = figure.brush, 0.75 if figure.traits.expression in {"shy", "laugh"} else 0.42
    spots = (0.2,) if figure.sideways else (-0.235, 0.235)
    for x in spots:
        brush.glow((x, 0.2), 0.15, 0.11, mix(BLUSH, figure.skin, 0.15), alpha=strength, within=figure.face)
    if figure.traits.freckles:
        tint = darker(mix(figure.skin, (170, 88, 56), 0.5), 0.06)
        for n, (dx, dy) in enumerate(
            ((-0.08, 0), (-0.03, 0.04), (0.02, -0.01), (0.065, 0.03), (-0.06, 0.06), (0.03, 0.065))
        ):
            for x in spots:
                brush.fill(ellipse(x + dx, 0.165 + dy, 0.011, 0.009 + 0.002 * (n % 2)), tint)
    if figure.traits.age != "young" and not figure.sideways:
        for side in (-1, 1):
            brush.fill(
                tapered([(side * 0.2, 0.23), (side * 0.235, 0.31), (side * 0.22, 0.37)], 0.012), figure.shadow
            )
            brush.fill(
                tapered([(side * 0.13, 0.125), (side * 0.18, 0.14), (side * 0.23, 0.12)], 0.01), figure.shadow
            )
    if figure.traits.age == "old" and not figure.sideways:
        for lift in (0.0, 0.05):
            brush.fill(
                tapered([(-0.14, -0.27 - lift), (0, -0.285 - lift), (0.14, -0.27 - lift)], 0.01),
                figure.shadow,
            )


def _paint_eye(figure: Figure, side: int) -> None:
    brush, mood = figure.brush, figure.traits.expression
    x, narrow = _eye_x(figure, side), 0.7 if figure.sideways else 1.0
    lash = darker(INK, 0.2)
    if mood in {"dreamy", "laugh"} or (mood == "wink" and side > 0):
        bow = -0.05 if mood != "dreamy" else 0.045
        brush.fill(tapered([(x - 0.095, 0.055), (x, 0.055 + bow), (x + 0.095, 0.055)], 0.036), lash)
        return
    tall = {"surprised": 0.088, "stern": 0.054}.get(mood, 0.068)
    ball = smooth(
        [(x - 0.098 * narrow, 0.06), (x, 0.052 - tall), (x + 0.098 * narrow, 0.05), (x, 0.052 + tall * 0.84)]
    )
    brush.fill(ball, (252, 249, 246))
    iris, look = EYES[figure.traits.eyes], 0.03 if figure.sideways else 0.0
    brush.fill(ellipse(x + look, 0.052, 0.059 * narrow, 0.064), darker(iris, 0.3), within=ball)
    brush.fill(ellipse(x + look, 0.062, 0.046 * narrow, 0.048), lighter(iris, 0.18), within=ball)
    brush.fill(ellipse(x + look, 0.052, 0.029 * narrow, 0.031), (34, 24, 34), within=ball)
    brush.fill(ellipse(x + look - 0.022, 0.026, 0.017, 0.018), (255, 255, 255))
    weight = 0.034 if figure.traits.figure != "man" else 0.022
    outer = 0.124 if figure.traits.figure == "woman" else 0.108
    lid = [(x - side * 0.096, 0.058), (x, 0.045 - tall), (x + side * outer * narrow, 0.03)]
    brush.fill(tapered(lid, weight), lash)
    brush.fill(tapered([(px, py - 0.036) for px, py in lid], 0.009), figure.shadow)


def _paint_brow(figure: Figure, side: int) -> None:
    x, mood = _eye_x(figure, side), figure.traits.expression
    tint = darker(figure.hair, 0.3)
    inner, outer = {
        "stern": (0.045, -0.035),
        "sad": (-0.05, 0.03),
        "surprised": (-0.05, -0.045),
        "shy": (-0.03, 0.0),
    }.get(mood, (0.0, 0.0))
    thick = 0.046 if figure.traits.figure == "man" else 0.032
    facing = 1 if figure.sideways else side
    path = [
        (x - facing * 0.1, -0.105 + inner),
        (x, -0.142 + (inner + outer) / 2),
        (x + facing * 0.115, -0.095 + outer),
    ]
    figure.brush.fill(tapered(path, thick), tint)


def _paint_nose(figure: Figure) -> None:
    if figure.sideways:
        figure.brush.fill(tapered([(0.375, 0.15), (0.4, 0.125), (0.415, 0.145)], 0.014), figure.shadow)
        return
    figure.brush.fill(
        tapered([(0.02, 0.09), (0.045, 0.17), (0.028, 0.212), (-0.03, 0.215)], 0.02), figure.shadow
    )
    figure.brush.glow((-0.012, 0.16), 0.03, 0.06, lighter(figure.skin, 0.6), alpha=0.6)


def _paint_mouth(figure: Figure) -> None:
    brush, mood = figure.brush, figure.traits.expression
    x, half = (0.36, 0.06) if figure.sideways else (0.0, 0.115)
    lip = mix(LIP, figure.skin, 0.1 if figure.traits.figure == "woman" else 0.4)
    if mood == "laugh":
        _paint_laugh(brush, x, half)
        return
    if mood == "surprised":
        brush.fill(ellipse(x, 0.35, 0.04, 0.05), (138, 58, 66))
        return
    bow = CORNERS.get(mood, 0.008)
    dip = 0.337 + bow * 0.55
    if not figure.sideways:
        upper = [
            (x - half * 0.72, 0.337),
            (x - 0.03, 0.312),
            (x, 0.32),
            (x + 0.03, 0.312),
            (x + half * 0.72, 0.337),
        ]
        brush.fill(smooth([*upper, (x, 0.384 + bow * 0.5)]), lip)
    line = [(x - half, 0.335 - bow), (x - half * 0.4, dip), (x + half * 0.4, dip), (x + half, 0.335 - bow)]
    brush.fill(tapered(line, 0.02), darker(lip, 0.42))


def _paint_laugh(brush: Brush, x: float, half: float) -> None:
    corners = [(x - half, 0.31), (x, 0.322), (x + half, 0.31)]
    grin = smooth([*corners, (x + half * 0.6, 0.39), (x, 0.415), (x - half * 0.6, 0.39)])
    brush.fill(grin, (128, 46, 58))
    brush.fill(smooth([*corners, (x, 0.352)]), (255, 252, 248), within=grin)
    brush.fill(ellipse(x, 0.415, half * 0.6, 0.035), (226, 116, 118), within=grin)


def _paint_beard(figure: Figure) -> None:
    tint = darker(figure.hair, 0.08)
    if figure.sideways:
        outline = [
            (-0.04, 0.12),
            (0.1, 0.26),
            (0.3, 0.23),
            (0.42, 0.22),
            (0.42, 0.6),
            (0.1, 0.66),
            (-0.14, 0.4),
        ]
    else:
        outline = mirrored(
            [
                (0.0, 0.255),
                (0.13, 0.245),
                (0.25, 0.24),
                (0.36, 0.02),
                (0.44, 0.05),
                (0.38, 0.42),
                (0.2, 0.6),
                (0.0, 0.64),
            ]
        )
    brush = figure.brush
    beard = smooth(outline)
    brush.fill(
        beard, tint, to=darker(tint, 0.2), alpha=0.96, within=beard if not figure.sideways else figure.face
    )


# ---------------------------------------------------------------------------------------------------- hair


def paint_hair(figure: Figure) -> None:
    """The hair in front: cap, parting or fringe, shine, and what falls over the shoulders."""
    style, brush = figure.traits.hair_style, figure.brush
    if style == "bald":
        brush.glow((-0.14, -0.36), 0.16, 0.1, lighter(figure.skin, 0.7), alpha=0.7, within=figure.face)
        return
    if figure.from_behind:
        _paint_hair_from_behind(figure)
        return
    cap = hair.side_cap(style) if figure.sideways else hair.cap(style)
    if style == "curls":
        _paint_curls(figure)
    else:
        brush.fill(cap, lighter(figure.hair, 0.06), to=darker(figure.hair, 0.1))
        brush.shade(cap, darker(figure.hair, 0.35), dx=-0.05, dy=-0.03, alpha=0.35)
        _paint_shine(figure, cap)
    if style == "long" and not figure.sideways:
        _paint_locks(figure)
    if style == "braid":
        _paint_braid(figure)


def _paint_shine(figure: Figure, cap: Outline) -> None:
    gloss = lighter(figure.hair, 0.42)
    lift = -0.03 if figure.sideways else 0.0
    for height, width, reach in ((-0.52, 0.05, 0.28), (-0.465, 0.022, 0.31)):
        path = [(-reach + lift, height + 0.13), (lift, height), (reach * 0.75 + lift, height + 0.1)]
        figure.brush.fill(tapered(path, width), gloss, alpha=0.55, within=cap)


def _paint_curls(figure: Figure) -> None:
    spots = (
        ((0.22, -0.42), (0.02, -0.52), (-0.2, -0.5), (-0.38, -0.34), (-0.4, -0.1), (-0.36, 0.12))
        if figure.sideways
        else (
            (-0.38, -0.12),
            (-0.34, -0.34),
            (-0.17, -0.46),
            (0.03, -0.5),
            (0.22, -0.44),
            (0.36, -0.3),
            (0.4, -0.08),
        )
    )
    for n, spot in enumerate(spots):
        _paint_curl(figure, spot, n)


def _paint_curl(figure: Figure, at: Point, n: int) -> None:
    (x, y), brush = at, figure.brush
    curl = ellipse(x, y, 0.16, 0.153)
    brush.fill(curl, lighter(figure.hair, 0.05 + 0.05 * (n % 2)))
    brush.shade(curl, darker(figure.hair, 0.35), dx=-0.03, dy=-0.04, alpha=0.45)
    gleam = tapered([(x - 0.08, y - 0.03), (x - 0.02, y - 0.085), (x + 0.06, y - 0.06)], 0.02)
    brush.fill(gleam, lighter(figure.hair, 0.42), alpha=0.6)


def _paint_locks(figure: Figure) -> None:
    for side in (-1, 1):
        lock = smooth([(side * x, y) for x, y in hair.LOCK])
        figure.brush.fill(lock, lighter(figure.hair, 0.05), to=darker(figure.hair, 0.12))
        figure.brush.shade(lock, darker(figure.hair, 0.35), dx=-0.04, dy=0.0, alpha=0.4)
        figure.brush.fill(
            tapered([(side * 0.45, 0.3), (side * 0.43, 0.8), (side * 0.5, 1.3)], 0.024),
            lighter(figure.hair, 0.35),
            alpha=0.6,
        )


def _paint_braid(figure: Figure) -> None:
    start = -0.42 if figure.sideways else 0.42
    for n in range(8):
        x, y, size = (
            start + 0.035 * (n % 2) + (0.012 * n if start > 0 else -0.02 * n),
            0.42 + n * 0.15,
            0.135 - n * 0.007,
        )
        knot = ellipse(x, y, size, size * 0.76, 24 if n % 2 else -24)
        figure.brush.fill(knot, lighter(figure.hair, 0.08 * (n % 2)))
        figure.brush.shade(knot, darker(figure.hair, 0.4), dx=-0.025, dy=-0.03, alpha=0.5)
    figure.brush.fill(
        ellipse(start + (0.1 if start > 0 else -0.16), 1.6, 0.07, 0.06), mix(figure.second, LIP, 0.6)
    )


def _paint_hair_from_behind(figure: Figure) -> None:
    style, brush = figure.traits.hair_style, figure.brush
    fall = hair.seen_from_behind(style)
    for side in (-1, 1) if style in {"short", "bun", "ponytail"} else ():
        _paint_ear(figure, side * 0.41)
    brush.fill(fall, lighter(figure.hair, 0.08), to=darker(figure.hair, 0.2))
    brush.shade(fall, darker(figure.hair, 0.4), dx=-0.07, dy=0.0, alpha=0.45)
    ends = hair.FROM_BEHIND_ENDS.get(style, 0.32)
    for x in (-0.32, -0.24, -0.12, -0.03, 0.1, 0.2, 0.31):
        strand = tapered([(x * 0.3, -0.54), (x, -0.14), (x * 0.86, ends * 0.4), (x * 1.2, ends)], 0.034)
        tint = lighter(figure.hair, 0.3) if x < 0 else darker(figure.hair, 0.3)
        brush.fill(strand, tint, alpha=0.45, within=fall)
    if style in {"bun", "ponytail"}:
        _paint_knot_from_behind(figure)
    if style == "curls":
        for n in range(14):
            _paint_curl(figure, (-0.42 + 0.21 * (n % 5), -0.42 + 0.3 * (n // 5)), n)


def _paint_knot_from_behind(figure: Figure) -> None:
    bun = figure.traits.hair_style == "bun"
    knot = ellipse(0, -0.34, 0.24, 0.22) if bun else smooth(hair.TAIL_FROM_BEHIND)
    figure.brush.fill(knot, lighter(figure.hair, 0.14), to=darker(figure.hair, 0.16))
    figure.brush.shade(knot, darker(figure.hair, 0.4), dx=-0.05, dy=-0.04, alpha=0.5)
    figure.brush.fill(ellipse(0, -0.16 if bun else -0.3, 0.13, 0.045), mix(figure.second, LIP, 0.6))


# ------------------------------------------------------------------------------------------------- details


def paint_details(figure: Figure) -> None:
    """Glasses, earrings, a flower, a hat."""
    if figure.traits.glasses != "none" and not figure.from_behind:
        _paint_glasses(figure)
    if figure.traits.earrings:
        for x in (-0.06,) if figure.sideways else (-0.415, 0.415):
            figure.brush.fill(ellipse(x, 0.25, 0.05, 0.06), (230, 184, 92))
            figure.brush.fill(
                ellipse(x, 0.245, 0.03, 0.038), figure.skin if figure.sideways else darker(figure.hair, 0.2)
            )
    if figure.traits.flower:
        _paint_flower(figure, (-0.3, -0.38))
    HATS.get(figure.traits.hat, _paint_no_hat)(figure)


def _paint_glasses(figure: Figure) -> None:
    brush = figure.brush
    dark = figure.traits.glasses == "dark"
    frame = (46, 40, 52) if dark else (120, 78, 62)
    for side in (1,) if figure.sideways else (-1, 1):
        x = _eye_x(figure, side) + (0.02 if figure.sideways else 0)
        wide = 0.105 if figure.sideways else 0.142
        ring = ellipse(x, 0.06, wide, 0.135)
        if dark:
            brush.fill(ring, (58, 50, 70), to=(122, 96, 120))
        else:
            brush.fill(ring, (255, 255, 255), alpha=0.14)
        brush.fill(
            [*ring, ring[0], *reversed([*ellipse(x, 0.06, wide - 0.019, 0.116), (x + wide - 0.019, 0.06)])],
            frame,
        )
        brush.fill(tapered([(x - 0.06, 0.0), (x - 0.01, -0.035)], 0.02), (255, 255, 255), alpha=0.8)
    if figure.sideways:
        brush.fill(limb([(0.15, 0.03), (-0.04, 0.02)], 0.022, 0.022), frame)
        return
    brush.fill(tapered([(-0.03, 0.05), (0, 0.03), (0.03, 0.05)], 0.03), frame)
    for side in (-1, 1):
        brush.fill(limb([(side * 0.305, 0.04), (side * 0.39, 0.02)], 0.024, 0.02), frame)


def _paint_flower(figure: Figure, at: Point) -> None:
    x, y = at
    for n in range(5):
        petal_x, petal_y = ((0, -0.09), (0.086, -0.028), (0.053, 0.073), (-0.053, 0.073), (-0.086, -0.028))[n]
        figure.brush.fill(
            ellipse(x + petal_x, y + petal_y, 0.075, 0.07), mix((248, 180, 190), (255, 250, 244), 0.14 * n)
        )
    figure.brush.fill(ellipse(x, y, 0.05, 0.05), (246, 198, 96))


def _paint_no_hat(_figure: Figure) -> None:
    return


def _hat_tint(figure: Figure) -> Colour:
    return mix(figure.cloth, figure.second, 0.25)


def _paint_straw(figure: Figure) -> None:
    straw: Colour = (232, 198, 132)
    crown = smooth(mirrored([(0.0, -0.9), (0.26, -0.86), (0.37, -0.6), (0.41, -0.36), (0.0, -0.28)]))
    brim = ellipse(0, -0.36, 0.86, 0.19)
    figure.brush.fill(brim, darker(straw, 0.14))
    figure.brush.fill(ellipse(0, -0.385, 0.86, 0.17), straw, to=darker(straw, 0.06))
    figure.brush.fill(crown, lighter(straw, 0.12), to=darker(straw, 0.06))
    band = smooth(
        mirrored([(0.0, -0.43), (0.3, -0.47), (0.395, -0.49), (0.41, -0.38), (0.3, -0.34), (0.0, -0.3)])
    )
    figure.brush.fill(band, _hat_tint(figure))


def _paint_beanie(figure: Figure) -> None:
    tint = _hat_tint(figure)
    dome = smooth(mirrored([(0.0, -0.8), (0.28, -0.74), (0.45, -0.5), (0.49, -0.24), (0.0, -0.2)]))
    figure.brush.fill(ellipse(0, -0.84, 0.13, 0.12), lighter(tint, 0.5))
    figure.brush.fill(dome, lighter(tint, 0.06), to=darker(tint, 0.1))
    figure.brush.fill(
        smooth(
            mirrored([(0.0, -0.43), (0.36, -0.42), (0.5, -0.36), (0.5, -0.2), (0.36, -0.18), (0.0, -0.22)])
        ),
        lighter(tint, 0.2),
    )
    for x in (-0.36, -0.24, -0.12, 0.0, 0.12, 0.24, 0.36):
        figure.brush.fill(tapered([(x, -0.42), (x, -0.21)], 0.02), darker(tint, 0.1))


def _paint_cap(figure: Figure) -> None:
    tint, reach = _hat_tint(figure), 0.26 if figure.sideways else 0.0
    dome = smooth(mirrored([(0.0, -0.72), (0.26, -0.68), (0.44, -0.46), (0.46, -0.26), (0.0, -0.26)]))
    figure.brush.fill(dome, lighter(tint, 0.08), to=darker(tint, 0.08))
    figure.brush.fill(tapered([(0, -0.71), (0.02, -0.28)], 0.02), darker(tint, 0.25))
    figure.brush.fill(
        smooth(
            [
                (reach - 0.46, -0.3),
                (reach, -0.38),
                (reach + 0.46, -0.3),
                (reach + 0.36, -0.19),
                (reach, -0.22),
                (reach - 0.36, -0.19),
            ]
        ),
        darker(tint, 0.16),
    )


def _paint_beret(figure: Figure) -> None:
    tint = _hat_tint(figure)
    beret = smooth(
        [
            (-0.5, -0.36),
            (-0.52, -0.56),
            (-0.2, -0.74),
            (0.25, -0.74),
            (0.62, -0.6),
            (0.6, -0.42),
            (0.3, -0.38),
            (-0.1, -0.36),
        ]
    )
    figure.brush.fill(tapered([(0.06, -0.7), (0.1, -0.84)], 0.06), tint)
    figure.brush.fill(beret, lighter(tint, 0.1), to=darker(tint, 0.12))
    figure.brush.shade(beret, darker(tint, 0.4), dx=-0.06, dy=-0.05, alpha=0.4)


def _paint_crown(figure: Figure) -> None:
    gold: Colour = (234, 188, 90)
    points = [
        (-0.34, -0.46),
        (-0.4, -0.78),
        (-0.2, -0.62),
        (0.0, -0.88),
        (0.2, -0.62),
        (0.4, -0.78),
        (0.34, -0.46),
        (0.0, -0.41),
    ]
    figure.brush.fill(points, lighter(gold, 0.3), to=darker(gold, 0.12))
    for x, y, tint in (
        (-0.4, -0.8, (224, 108, 112)),
        (0.0, -0.9, (112, 168, 216)),
        (0.4, -0.8, (224, 108, 112)),
        (0.0, -0.53, (120, 186, 140)),
    ):
        figure.brush.fill(ellipse(x, y, 0.045, 0.045), tint)


def _paint_witch_hat(figure: Figure) -> None:
    tint = darker(_hat_tint(figure), 0.3)
    cone = smooth(
        [
            (-0.4, -0.42),
            (-0.26, -0.8),
            (-0.02, -1.16),
            (0.2, -1.24),
            (0.12, -1.08),
            (0.26, -0.78),
            (0.4, -0.42),
            (0.0, -0.34),
        ]
    )
    figure.brush.fill(ellipse(0, -0.4, 0.82, 0.17), darker(tint, 0.1))
    figure.brush.fill(cone, lighter(tint, 0.14), to=tint)
    figure.brush.fill(
        smooth(mirrored([(0.0, -0.5), (0.34, -0.56), (0.4, -0.44), (0.0, -0.35)])), (222, 166, 92)
    )


def _paint_top_hat(figure: Figure) -> None:
    tint = darker(_hat_tint(figure), 0.35)
    figure.brush.fill(ellipse(0, -0.42, 0.66, 0.12), tint)
    figure.brush.fill(
        [(-0.36, -1.0), (0.36, -1.0), (0.38, -0.42), (-0.38, -0.42)], lighter(tint, 0.14), to=tint
    )
    figure.brush.fill(ellipse(0, -1.0, 0.36, 0.05), lighter(tint, 0.24))
    figure.brush.fill([(-0.377, -0.56), (0.377, -0.56), (0.38, -0.42), (-0.38, -0.42)], figure.second)


HATS = {
    "straw": _paint_straw,
    "beanie": _paint_beanie,
    "cap": _paint_cap,
    "beret": _paint_beret,
    "crown": _paint_crown,
    "witch": _paint_witch_hat,
    "top": _paint_top_hat,
}
