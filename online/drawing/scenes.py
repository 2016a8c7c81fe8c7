"""Scenes for posters: each a few vector shapes, different at every call by the chance it is given.

A scene fills a square of `SIDE` with its subject in the middle, so that one drawing serves upright posters, wide cards and the
hero by being cropped. Shapes are painted in the CSS variables `--sky`, `--deep`, `--glow` and `--ink` of the place where the
drawing is used; there is nothing in them but numbers and fixed words.
"""

from collections.abc import Callable, Iterable
from math import cos, pi, sin
from random import Random

SIDE = 300


def _circle(x: float, y: float, radius: float, paint: str, opacity: float) -> str:
    return f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{radius:.1f}" fill="{_colour(paint)}" opacity="{opacity:.2f}"/>'


def _ring(x: float, y: float, radius: float, paint: str, opacity: float, width: float = 1.4) -> str:
    look = f'fill="none" stroke="{_colour(paint)}" stroke-width="{width:.1f}" opacity="{opacity:.2f}"'
    return f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{radius:.0f}" {look}/>'


def _box(x: float, y: float, width: float, height: float, paint: str, opacity: float, turn: float = 0) -> str:
    turned = f' transform="rotate({turn:.0f} {x:.0f} {y:.0f})"' if turn else ""
    place = f'x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}" rx="1.2"'
    return f'<rect {place} fill="{_colour(paint)}" opacity="{opacity:.2f}"{turned}/>'


def _area(points: Iterable[tuple[float, float]], paint: str, opacity: float) -> str:
    return f'<polygon points="{_points(points)}" fill="{_colour(paint)}" opacity="{opacity:.2f}"/>'


def _line(points: Iterable[tuple[float, float]], paint: str, opacity: float, width: float) -> str:
    look = f'fill="none" stroke="{_colour(paint)}" stroke-width="{width:.1f}" opacity="{opacity:.2f}"'
    return f'<polyline points="{_points(points)}" {look}/>'


def _path(shape: str, paint: str, opacity: float) -> str:
    return f'<path d="{shape}" fill="{_colour(paint)}" opacity="{opacity:.2f}"/>'


def _points(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x:.0f},{y:.0f}" for x, y in points)


def _colour(paint: str) -> str:
    return "#fff" if paint == "white" else f"var(--{paint})"


def _ridge(chance: Random, base: float, up: float, down: float, steps: int) -> list[tuple[float, float]]:
    """The outline of hills from edge to edge, closed below."""
    width = SIDE / steps
    crest = [(step * width, base + chance.uniform(-up, down)) for step in range(steps + 1)]
    return [(0, SIDE), *crest, (SIDE, SIDE)]


def _stars(chance: Random, count: int) -> str:
    return "".join(
        _circle(chance.uniform(0, SIDE), chance.uniform(0, SIDE), chance.uniform(0.5, 1.7), "white", chance.uniform(0.3, 0.9))
        for _ in range(count)
    )


def _streaks(chance: Random) -> str:
    lean = chance.choice((-1, 1)) * chance.uniform(50, 110)
    shapes = [_circle(chance.uniform(120, 180), chance.uniform(90, 130), 46, "glow", 0.85)]
    for _ in range(11):
        x, width = chance.uniform(-20, SIDE), chance.uniform(2, 20)
        corners = [(x, SIDE), (x + width, SIDE), (x + width + lean, 0), (x + lean, 0)]
        shapes.append(_area(corners, chance.choice(("glow", "ink", "ink", "deep")), chance.uniform(0.12, 0.5)))
    return "".join(shapes)


def _peaks(chance: Random) -> str:
    shapes = [_circle(chance.uniform(100, 200), chance.uniform(70, 105), chance.uniform(18, 34), "glow", 0.9)]
    for layer, (paint, opacity) in enumerate((("ink", 0.35), ("sky", 0.6), ("sky", 0.9), ("deep", 0.95))):
        shapes.append(_area(_ridge(chance, 120 + 42 * layer, 34, 26, 10), paint, opacity))
    return "".join(shapes)


def _sunset(chance: Random) -> str:
    radius, middle, horizon = chance.uniform(52, 84), chance.uniform(120, 180), chance.uniform(160, 185)
    shapes = [_circle(middle, horizon - 18, radius, "glow", 0.92), _box(0, horizon, SIDE, SIDE, "deep", 0.82)]
    for step in range(7):
        half = radius * (1 - step / 9) * chance.uniform(0.5, 1)
        shapes.append(_box(middle - half, horizon + 8 + step * 12, 2 * half, 3, "glow", 0.6 - step * 0.06))
    return "".join(shapes)


def _bubbles(chance: Random) -> str:
    return "".join(
        _circle(
            chance.uniform(20, 280),
            chance.uniform(10, 240),
            chance.uniform(8, 54),
            chance.choice(("glow", "ink", "sky")),
            chance.uniform(0.25, 0.8),
        )
        for _ in range(13)
    )


def _confetti(chance: Random) -> str:
    x, y, far = chance.uniform(110, 190), 130, 400
    shapes = []
    for ray in range(0, 24, 2):
        here, there = ray * pi / 12, (ray + 1) * pi / 12
        corners = [(x, y), (x + far * cos(here), y + far * sin(here)), (x + far * cos(there), y + far * sin(there))]
        shapes.append(_area(corners, "glow", 0.26))
    for _ in range(26):
        place = chance.uniform(30, 270), chance.uniform(10, 250)
        paint = chance.choice(("glow", "ink", "deep"))
        shapes.append(_box(*place, chance.uniform(4, 14), 5, paint, 0.85, chance.uniform(0, 180)))
    return "".join(shapes)


def _blinds(chance: Random) -> str:
    slant, x = chance.uniform(-40, 40), chance.uniform(130, 170)
    shapes = [
        _area([(0, y), (SIDE, y + slant), (SIDE, y + slant + 9), (0, y + 9)], "glow", max(0.06, 0.62 - abs(y - 120) / 300))
        for y in range(-20, SIDE, 19)
    ]
    figure = f"M{x - 58:.0f} {SIDE} q8 -96 38 -108 q-14 -50 20 -52 q34 2 20 52 q30 12 38 108z"
    hat = f"M{x - 46:.0f} 152 q46 18 92 0 l-18 -8 q-6 -32 -28 -30 q-22 -2 -28 30z"
    return "".join(shapes) + _path(figure, "deep", 0.95) + _path(hat, "deep", 1)


def _contours(chance: Random) -> str:
    x, y = chance.uniform(110, 190), chance.uniform(90, 150)
    lobes, depth, phase = chance.choice((3, 4, 5)), chance.uniform(0.08, 0.2), chance.uniform(0, pi)
    shapes = []
    for ring in range(1, 15):
        outline = []
        for step in range(41):
            angle = step * pi / 20
            radius = ring * 15 * (1 + depth * sin(lobes * angle + phase + ring / 6))
            outline.append((x + radius * cos(angle), y + radius * sin(angle)))
        shapes.append(_line(outline, "ink" if ring % 4 else "glow", 0.75 - ring * 0.035, 1.6))
    return "".join(shapes)


def _waves(chance: Random) -> str:
    shapes = []
    for line in range(15):
        swell, phase = chance.uniform(6, 20), chance.uniform(0, 2 * pi)
        points = [(x, 50 + line * 17 + swell * sin(x / 42 + phase)) for x in range(0, SIDE + 15, 15)]
        shapes.append(_line(points, "ink" if line % 3 else "glow", chance.uniform(0.3, 0.75), chance.uniform(1, 5)))
    return "".join(shapes)


def _skyline(chance: Random) -> str:
    shapes = [_circle(chance.uniform(110, 190), 92, chance.uniform(30, 56), "glow", 0.8)]
    for layer, paint in enumerate(("sky", "deep")):
        x = -10.0
        while x < SIDE:
            width, top = chance.uniform(18, 40), chance.uniform(90, 170) + 36 * layer
            shapes.append(_box(x, top, width, SIDE, paint, 0.92))
            for _ in range(5 * layer):
                window = x + chance.uniform(3, width - 5), top + chance.uniform(8, 70)
                shapes.append(_box(*window, 3, 5, "glow", 0.8))
            x += width + chance.uniform(0, 5)
    return "".join(shapes)


def _moonrise(chance: Random) -> str:
    x, y, radius = chance.uniform(110, 190), chance.uniform(95, 125), chance.uniform(44, 64)
    moon = _circle(x, y, radius * 1.5, "glow", 0.18) + _circle(x, y, radius, "glow", 0.95)
    shadow = _circle(x + radius * 0.38, y - radius * 0.16, radius * 0.86, "sky", 1)
    return _stars(chance, 30) + moon + shadow + _area(_ridge(chance, 205, 26, 18, 12), "deep", 0.95)


def _forest(chance: Random) -> str:
    shapes = [_circle(chance.uniform(130, 170), 128, chance.uniform(46, 74), "glow", 0.8)]
    for layer in range(3):
        for _ in range(6):
            x, width, lean = chance.uniform(-5, 300), chance.uniform(2, 6) + 3 * layer, chance.uniform(-16, 16)
            y, reach = chance.uniform(50, 150), chance.uniform(18, 46)
            trunk = f"M{x:.0f} 300 L{x + lean:.0f} 0 h{width:.0f} L{x + 2 * width:.0f} 300z "
            out, back = f"{reach / 2:.0f} -6 {reach:.0f} -{reach:.0f}", f"-{reach / 3:.0f} {reach * 0.9:.0f} -{reach:.0f}"
            branch = f"M{x + lean / 2:.0f} {y:.0f} q{out} q{back} {reach * 1.2:.0f}z"
            shapes.append(_path(trunk + branch, "deep", 0.45 + 0.24 * layer))
    return "".join(shapes)


def _tunnel(chance: Random) -> str:
    x, y, corners = chance.uniform(125, 175), chance.uniform(105, 140), chance.choice((3, 4, 6, 30))
    twist = chance.uniform(0.04, 0.16)
    shapes = []
    for ring in range(13, 0, -1):
        radius = 7 * ring**1.45
        angles = [2 * pi * corner / corners + ring * twist for corner in range(corners)]
        outline = [(x + radius * cos(angle), y + radius * sin(angle)) for angle in angles]
        shapes.append(_area(outline, ("deep", "sky")[ring % 2] if ring > 2 else "glow", 0.78))
    return "".join(shapes)


def _rings(chance: Random) -> str:
    gap, y = chance.uniform(30, 46), chance.uniform(105, 140)
    shapes = []
    for x, paint in ((150 - gap, "glow"), (150 + gap, "ink")):
        shapes.append(_circle(x, y, 66, paint, 0.62))
        shapes += [_ring(x, y, 66 + ring * 17, paint, 0.6 - ring * 0.12) for ring in range(1, 5)]
    return "".join(shapes)


def _orbits(chance: Random) -> str:
    x, y, radius = chance.uniform(125, 175), chance.uniform(105, 140), chance.uniform(38, 58)
    turn = f'transform="rotate({chance.uniform(-32, 32):.0f} {x:.0f} {y:.0f})"'
    orbits = [
        f'<ellipse cx="{x:.0f}" cy="{y:.0f}" rx="{radius * (1.5 + 0.42 * ring):.0f}" ry="{radius * (0.42 + 0.13 * ring):.0f}" '
        f'fill="none" stroke="var(--ink)" stroke-width="{2.6 - 0.6 * ring:.1f}" opacity="{0.85 - 0.2 * ring:.2f}" {turn}/>'
        for ring in range(4)
    ]
    arc = f"M{x - radius:.0f} {y:.0f} a{radius:.0f} {radius:.0f} 0 0 0 {2 * radius:.0f} 0"
    shade = f"{arc} q-{radius:.0f} {radius * 0.7:.0f} -{2 * radius:.0f} 0z"
    return _stars(chance, 40) + _circle(x, y, radius, "glow", 0.95) + _path(shade, "deep", 0.5) + "".join(orbits)


SCENES: dict[str, Callable[[Random], str]] = {
    "streaks": _streaks,
    "peaks": _peaks,
    "sunset": _sunset,
    "bubbles": _bubbles,
    "confetti": _confetti,
    "blinds": _blinds,
    "contours": _contours,
    "waves": _waves,
    "skyline": _skyline,
    "moonrise": _moonrise,
    "forest": _forest,
    "tunnel": _tunnel,
    "rings": _rings,
    "orbits": _orbits,
}
"""Every scene by its name."""
