"""Outlines of a Sketch's hair, by style, in head units (see sketch_figure). Knots only, nothing is drawn here."""

from __future__ import annotations

from core.providers.sketch_brush import Point, ellipse, mirrored, smooth

Knots = tuple[Point, ...]
CAPS: dict[str, Knots] = {
    "short": (
        (-0.415, 0.02), (-0.455, -0.22), (-0.38, -0.5), (-0.12, -0.66), (0.2, -0.64), (0.42, -0.48), (0.46, -0.2),
        (0.415, 0.02), (0.375, -0.1), (0.33, -0.25), (0.12, -0.31), (-0.1, -0.24), (-0.28, -0.29), (-0.37, -0.12),
    ),
    "bob": (
        (-0.44, 0.5), (-0.53, 0.1), (-0.48, -0.34), (-0.24, -0.6), (0.1, -0.635), (0.4, -0.47), (0.53, 0.0),
        (0.44, 0.5), (0.35, 0.3), (0.36, -0.04), (0.3, -0.16), (0.1, -0.19), (-0.1, -0.19), (-0.3, -0.16),
        (-0.36, -0.04), (-0.35, 0.3),
    ),
    "long": (
        (-0.41, 0.3), (-0.475, -0.16), (-0.4, -0.48), (-0.12, -0.635), (0.2, -0.61), (0.43, -0.43), (0.475, -0.14),
        (0.41, 0.3), (0.375, 0.0), (0.34, -0.18), (0.16, -0.34), (-0.1, -0.43), (-0.2, -0.32), (-0.34, -0.16),
        (-0.375, 0.0),
    ),
    "swept": (
        (-0.41, 0.06), (-0.475, -0.16), (-0.4, -0.48), (-0.12, -0.635), (0.2, -0.61), (0.43, -0.43), (0.475, -0.14),
        (0.41, 0.06), (0.375, 0.0), (0.34, -0.18), (0.16, -0.34), (-0.1, -0.43), (-0.2, -0.32), (-0.34, -0.16),
        (-0.375, 0.0),
    ),
}  # fmt: skip
# Right halves, from the crown down: they are mirrored.
FALLS: dict[str, Knots] = {
    "long": ((0.0, -0.62), (0.4, -0.46), (0.54, -0.1), (0.55, 0.4), (0.66, 1.22), (0.58, 1.75), (0.24, 1.85)),
    "braid": (
        (0.0, -0.62),
        (0.4, -0.46),
        (0.54, -0.1),
        (0.55, 0.4),
        (0.66, 0.52),
        (0.58, 0.75),
        (0.24, 0.85),
    ),
    "bob": ((0.0, -0.62), (0.4, -0.47), (0.54, -0.12), (0.55, 0.3), (0.5, 0.6), (0.22, 0.63)),
}
TAIL: Knots = (
    (0.1, -0.5), (0.5, -0.62), (0.78, -0.3), (0.74, 0.3), (0.86, 0.85), (0.6, 0.7), (0.52, 0.2), (0.5, -0.2),
    (0.3, -0.4),
)  # fmt: skip
# x, y and radius.
CLOUD = (
    (-0.46, -0.3, 0.27), (0.46, -0.3, 0.27), (-0.56, 0.02, 0.27), (0.56, 0.02, 0.27), (-0.52, 0.34, 0.25),
    (0.52, 0.34, 0.25), (0.0, -0.42, 0.36),
)  # fmt: skip
SIDE_FALLS: dict[str, Knots] = {
    "long": (
        (0.05, -0.62), (-0.36, -0.5), (-0.56, -0.1), (-0.58, 0.5), (-0.72, 1.2), (-0.5, 1.6), (-0.14, 1.47),
        (-0.12, 0.3),
    ),
    "braid": (
        (0.05, -0.62), (-0.36, -0.5), (-0.56, -0.1), (-0.58, 0.4), (-0.66, 0.5), (-0.5, 0.6), (-0.14, 0.55),
        (-0.12, 0.3),
    ),
    "bob": (
        (0.05, -0.62), (-0.36, -0.5), (-0.56, -0.1), (-0.54, 0.4), (-0.36, 0.6), (-0.06, 0.54), (0.0, 0.1),
    ),
    "ponytail": (
        (-0.36, -0.36), (-0.66, -0.42), (-0.86, -0.05), (-0.78, 0.5), (-0.9, 0.95), (-0.6, 0.7), (-0.56, 0.2),
        (-0.46, -0.1),
    ),
}  # fmt: skip
SIDE_CLOUD = (
    (-0.1, -0.5, 0.3),
    (-0.4, -0.4, 0.29),
    (-0.56, -0.1, 0.28),
    (-0.52, 0.22, 0.26),
    (-0.3, 0.42, 0.2),
)
LOCK: Knots = (
    (0.4, -0.1), (0.5, 0.2), (0.5, 0.62), (0.6, 1.02), (0.5, 1.5), (0.32, 1.66), (0.36, 1.1), (0.35, 0.6),
    (0.39, 0.25),
)  # fmt: skip
FROM_BEHIND_ENDS = {"long": 1.5, "bob": 0.56, "braid": 0.36, "curls": 0.42}  # how far down it reaches
FROM_BEHIND_WIDE = {"long": 0.62, "bob": 0.56, "curls": 0.56}  # half its width there
TAIL_FROM_BEHIND: Knots = ((-0.1, -0.3), (0.1, -0.3), (0.26, 0.4), (0.14, 1.1), (-0.08, 1.16), (-0.24, 0.4))


def cap(style: str) -> list[Point]:
    """Crown and hairline from the front: swept from a parting; short hair stands higher, a bob has a fringe."""
    return smooth(CAPS.get(style, CAPS["swept"]))


def side_cap(style: str) -> list[Point]:
    """Crown and hairline from the side, the face to the right."""
    low = {"short": 0.16, "bun": 0.1, "ponytail": 0.1}.get(style, 0.3)
    outer = [
        (0.39, -0.2),
        (0.34, -0.42),
        (0.1, -0.62),
        (-0.2, -0.6),
        (-0.44, -0.4),
        (-0.53, -0.08),
        (-0.46, low),
    ]
    inner = [(-0.2, low + 0.02), (-0.13, -0.04), (0.02, -0.08), (0.1, 0.02), (0.16, -0.16), (0.28, -0.27)]
    return smooth([*outer, *inner])


def behind(style: str) -> list[list[Point]]:
    """What is seen of the hair behind a face."""
    if style in FALLS:
        return [smooth(mirrored(FALLS[style]))]
    if style == "curls":
        return [ellipse(x, y, radius, radius) for x, y, radius in CLOUD]
    if style == "ponytail":
        return [smooth(TAIL)]
    return [ellipse(0.03, -0.72, 0.23, 0.21)] if style == "bun" else []


def behind_from_the_side(style: str) -> list[list[Point]]:
    """The same, the face to the right."""
    if style in SIDE_FALLS:
        return [smooth(SIDE_FALLS[style])]
    if style == "curls":
        return [ellipse(x, y, radius, radius) for x, y, radius in SIDE_CLOUD]
    return [ellipse(-0.46, -0.34, 0.21, 0.2)] if style == "bun" else []


def seen_from_behind(style: str) -> list[Point]:
    """The whole hair of somebody who looks away."""
    ends, wide = FROM_BEHIND_ENDS.get(style, 0.32), FROM_BEHIND_WIDE.get(style, 0.42)
    crown = [(0.0, -0.61), (0.31, -0.51), (0.45, -0.24), (0.455, 0.08)]
    fall = [(wide * 0.86, ends * 0.42), (wide, ends * 0.74), (wide * 0.8, ends), (wide * 0.4, ends - 0.04)]
    return smooth(mirrored([*crown, *fall, (0.0, ends + 0.12)]))
