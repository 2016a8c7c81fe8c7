"""A poster for every title, drawn from its name and genres alone: colours, lettering, a scene. It never changes for a title."""

import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from online.drawing.scenes import SCENES


@dataclass(frozen=True, slots=True)
class Look:
    """How one genre looks: two hues in degrees, saturation in percent, a style of lettering, and the scenes it may have."""

    hue: int
    second_hue: int
    saturation: int
    lettering: str
    scenes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Poster:
    """One title's poster: `style` holds CSS variables, `scene` SVG shapes; both are made of numbers and fixed words only."""

    style: str
    lettering: str
    scene: str


LOOKS: dict[str, Look] = {
    "Action": Look(14, 350, 78, "block", ("streaks", "skyline")),
    "Adventure": Look(32, 168, 62, "block", ("peaks", "sunset")),
    "Animation": Look(196, 318, 72, "round", ("bubbles", "peaks")),
    "Children": Look(48, 190, 74, "round", ("bubbles", "confetti")),
    "Comedy": Look(42, 338, 78, "round", ("confetti", "bubbles")),
    "Crime": Look(214, 28, 44, "type", ("blinds", "skyline")),
    "Documentary": Look(158, 96, 34, "plain", ("contours", "waves")),
    "Drama": Look(262, 18, 48, "serif", ("sunset", "waves")),
    "Family": Look(88, 46, 58, "round", ("bubbles", "sunset")),
    "Fantasy": Look(284, 184, 56, "serif", ("moonrise", "peaks")),
    "Film-Noir": Look(220, 210, 10, "type", ("blinds", "skyline")),
    "History": Look(36, 14, 36, "serif", ("contours", "sunset")),
    "Horror": Look(356, 330, 70, "block", ("forest", "tunnel")),
    "Music": Look(304, 44, 66, "wide-letters", ("waves", "confetti")),
    "Mystery": Look(236, 282, 46, "serif", ("tunnel", "moonrise")),
    "Romance": Look(340, 20, 66, "serif", ("rings", "sunset")),
    "Sci-Fi": Look(202, 262, 72, "wide-letters", ("orbits", "tunnel")),
    "Sport": Look(132, 58, 60, "block", ("streaks", "contours")),
    "Thriller": Look(182, 352, 52, "wide-letters", ("tunnel", "skyline")),
    "War": Look(74, 24, 30, "block", ("streaks", "peaks")),
    "Western": Look(26, 8, 58, "type", ("sunset", "peaks")),
}
ALIASES = {"Children's": "Children", "Musical": "Music", "Science Fiction": "Sci-Fi", "Sports": "Sport", "Kids": "Children"}

# Width of a letter relative to its size, by which the lettering is fitted into the poster.
LETTER_WIDTHS = {"block": 0.56, "round": 0.60, "type": 0.62, "plain": 0.58, "serif": 0.52, "wide-letters": 0.92}


def poster(name: str, genres: Sequence[str]) -> Poster:
    """The poster of a title."""
    chance = random.Random(zlib.crc32(f"{name}|{'|'.join(genres)}".encode()))
    look = _look(genres[0] if genres else name, chance)
    other = _look(genres[1], chance) if len(genres) > 1 else look
    hue = (look.hue + chance.uniform(-16, 16)) % 360
    second = ((other.hue if len(genres) > 1 and chance.random() < 0.6 else look.second_hue) + chance.uniform(-16, 16)) % 360
    light = chance.uniform(-4, 5)
    saturation = look.saturation
    style = {
        "sky": _colour(hue, saturation, 30 + light),
        "deep": _colour(second, 0.8 * saturation, 9 + light / 2),
        "glow": _colour(second, min(92, saturation + 22), 62 + light),
        "ink": _colour(hue, min(90, saturation + 10), 78 + light / 2),
        "turn": f"{chance.choice((160, 180, 195, 205))}deg",
        "size": f"{_letter_size(name, look.lettering):.1f}",
    }
    return Poster(
        style=";".join(f"--{name}:{value}" for name, value in style.items()),
        lettering=look.lettering,
        scene=SCENES[chance.choice(look.scenes)](chance),
    )


def _colour(hue: float, saturation: float, light: float) -> str:
    return f"hsl({hue:.0f} {saturation:.0f}% {light:.0f}%)"


def _look(genre: str, chance: random.Random) -> Look:
    known = LOOKS.get(ALIASES.get(genre, genre))
    if known is not None:
        return known
    fixed = random.Random(zlib.crc32(genre.encode()))  # a genre nobody foresaw still has one look
    hue = fixed.randrange(360)
    return Look(
        hue,
        (hue + 140) % 360,
        55,
        fixed.choice(("block", "serif", "wide-letters", "plain")),
        tuple(fixed.sample(list(SCENES), 2)),
    )


def _letter_size(name: str, lettering: str) -> float:
    """Size of the letters in percent of the poster's width, so that the longest word and all lines fit."""
    longest = max((len(word) for word in name.split()), default=1)
    width = LETTER_WIDTHS[lettering]
    # 84 % of the width is there for the longest word; the whole name may fill about three and a half lines.
    all_lines: float = (84 * 50 / (max(len(name), 1) * width)) ** 0.5
    return max(7.0, min(19.0, 84 / (longest * width), all_lines))
