"""The simulated world's catalogue and members: who and what there is, before anybody watches anything.

Both live in one latent space. Genres are directions in it; a title lies between those of its genres, a taste group between
those that it likes, a member near their group. How much a member likes a title is the inner product of the two.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from infra.demo import names
from infra.demo.moods import Descriptions, describe

DAY_MS = 86_400_000
LATENT = 16  # dimensions
TASTE_GROUPS = 12
COUNTRIES = ("US", "GB", "DE", "FR", "BR", "IN", "JP", "MX")
COUNTRY_SHARES = (0.34, 0.12, 0.12, 0.10, 0.12, 0.10, 0.06, 0.04)
UTC_OFFSET_H = (-6.0, 0.0, 1.0, 1.0, -3.0, 5.5, 9.0, -6.0)
DEVICES = ("tv", "phone", "tablet", "web")
GENRES = tuple(names.GENRES)

_GENRE_SHARES = (9, 6, 6, 12, 8, 7, 16, 5, 6, 4, 6, 3, 5, 8, 7, 9)  # in the order of GENRES
_GENRE_COUNT_SHARES = (0.35, 0.45, 0.20)  # one, two, three
_SERIES_SHARE = 0.35
_NEW_SHARE = 0.06  # released within the window
_RESTRICTED_SHARE = 0.2  # limited to some countries
_ZIPF_EXPONENT = 1.2
_ZIPF_SHIFT = 10.0
_COUNTRY_TASTE = 0.5  # standard deviation of a title's log popularity between countries
_TITLE_SPREAD = 0.8  # of a title around its genres, relative to them
_MEMBER_SPREAD = 0.8  # of a member around their group
_DRIFT = 0.4  # how far tastes move from the first day to the last
_ACTIVITY_SIGMA = 1.0  # of the log-normal activity
_OLD_MEMBERS = 0.75  # signed up before the window

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Catalogue:
    """All titles; index 17 is title id `t17`."""

    names: list[str]
    genres: list[list[str]]
    in_genre: BoolArray  # (titles, genres)
    vectors: FloatArray  # (titles, LATENT), of unit length
    log_popularity: FloatArray  # (countries, titles)
    released_ms: IntArray  # (titles,)
    runtime_s: npt.NDArray[np.float64]  # (titles,)
    is_series: BoolArray  # (titles,): a play is of one episode, and members come back for the next
    available: BoolArray  # (countries, titles)
    told: Descriptions

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Population:
    """All members; index 17 is member id `m17`."""

    group: IntArray  # (members,)
    group_vectors: FloatArray  # (TASTE_GROUPS, LATENT), of unit length
    taste_first: FloatArray  # (members, LATENT), of unit length: on the first day
    taste_last: FloatArray  # (members, LATENT): on the last; in between they drift from one to the other
    favourite_genre: IntArray  # (members,)
    country: IntArray  # (members,)
    activity: npt.NDArray[np.float64]  # (members,): relative number of sessions a day
    signed_up_ms: IntArray  # (members,)
    device_shares: FloatArray  # (members, devices)

    def __len__(self) -> int:
        return len(self.group)


def make_catalogue(
    titles: int, start_ms: int, days: int, genre_vectors: FloatArray, rng: np.random.Generator, moods_rng: np.random.Generator
) -> Catalogue:
    """Invent a catalogue around a window of `days` that begins at `start_ms`; the second source is for what is told of it."""
    shares = np.array(_GENRE_SHARES, dtype=np.float64)
    primary = rng.choice(len(GENRES), size=titles, p=shares / shares.sum())
    likeness = genre_vectors @ genre_vectors.T  # (genres, genres)
    wish = 2.0 * likeness[primary] + np.log(shares) + rng.gumbel(size=(titles, len(GENRES)))  # (titles, genres)
    wish[np.arange(titles), primary] = np.inf
    order = np.argsort(-wish, axis=1)
    counts = rng.choice([1, 2, 3], size=titles, p=_GENRE_COUNT_SHARES)
    weight = np.zeros((titles, len(GENRES)))
    for place in range(3):
        has = counts > place
        weight[np.flatnonzero(has), order[has, place]] = 1.0 / (1 + place)
    vectors = unit(unit(weight @ genre_vectors) + _TITLE_SPREAD * unit(rng.standard_normal((titles, LATENT))))

    popularity = -_ZIPF_EXPONENT * np.log(_ZIPF_SHIFT + rng.permutation(titles))
    released_ms = _releases(titles, start_ms, days, rng)
    is_series = rng.random(titles) < _SERIES_SHARE
    available = rng.random((len(COUNTRIES), titles)) < 0.5
    available[:, rng.random(titles) >= _RESTRICTED_SHARE] = True
    available[rng.integers(len(COUNTRIES), size=titles), np.arange(titles)] = True
    invented = names.invent([GENRES[genre] for genre in primary], rng)
    log_popularity = (popularity + _COUNTRY_TASTE * rng.standard_normal((len(COUNTRIES), titles))).astype(np.float32)
    return Catalogue(
        names=invented,
        genres=[[GENRES[genre] for genre in row[:count]] for row, count in zip(order, counts, strict=True)],
        in_genre=weight > 0,
        vectors=vectors,
        log_popularity=log_popularity,
        released_ms=released_ms,
        runtime_s=_runtimes(is_series, rng),
        is_series=is_series,
        available=available,
        told=describe(vectors, weight > 0, genre_vectors, GENRES, log_popularity, COUNTRIES, moods_rng),
    )


def make_population(members: int, start_ms: int, days: int, genre_vectors: FloatArray, rng: np.random.Generator) -> Population:
    """Invent the members of the same window."""
    liking = rng.dirichlet(np.full(len(GENRES), 0.15), size=TASTE_GROUPS)  # (groups, genres): mostly two or three
    group_vectors = unit(liking @ genre_vectors)
    group = rng.choice(TASTE_GROUPS, size=members, p=rng.dirichlet(np.full(TASTE_GROUPS, 5.0)))
    first = unit(group_vectors[group] + _MEMBER_SPREAD * unit(rng.standard_normal((members, LATENT))))
    last = unit(first + _DRIFT * unit(rng.standard_normal((members, LATENT))))
    signed_up_ms = start_ms + np.where(
        rng.random(members) < _OLD_MEMBERS,
        -rng.exponential(600, members),
        rng.uniform(0, 0.95 * days, members),
    ) * DAY_MS  # fmt: skip
    return Population(
        group=group,
        group_vectors=group_vectors,
        taste_first=first,
        taste_last=last,
        favourite_genre=np.argmax(first @ genre_vectors.T, axis=1),
        country=rng.choice(len(COUNTRIES), size=members, p=COUNTRY_SHARES),
        activity=rng.lognormal(0.0, _ACTIVITY_SIGMA, members),
        signed_up_ms=signed_up_ms.astype(np.int64),
        device_shares=rng.dirichlet((2.0, 1.0, 0.4, 0.6), size=members).astype(np.float32),
    )


def make_genre_vectors(rng: np.random.Generator) -> FloatArray:
    """The direction of each genre, (genres, LATENT)."""
    return unit(rng.standard_normal((len(GENRES), LATENT)))


def unit(vectors: npt.NDArray[np.floating]) -> FloatArray:
    """Each row at unit length."""
    lengths: npt.NDArray[np.floating] = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / lengths, dtype=np.float32)


def _releases(titles: int, start_ms: int, days: int, rng: np.random.Generator) -> IntArray:
    """Release times: most in the years before, some at a midnight (UTC) within the window."""
    age_days = 1 + rng.exponential(2500, titles)  # seven years on average
    age_days = np.where(rng.random(titles) < 0.1, age_days + rng.uniform(0, 15000, titles), age_days)
    new = rng.random(titles) < _NEW_SHARE
    new[: min(titles, 3)] = True  # also in a small world
    age_days[new] = -rng.uniform(0.1, 0.9, int(new.sum())) * days
    day = np.floor(start_ms / DAY_MS - age_days).astype(np.int64)
    return np.asarray(day * DAY_MS)


def _runtimes(is_series: BoolArray, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    count = len(is_series)
    short = rng.uniform(21, 31, count)
    episode = np.where(rng.random(count) < 0.4, short, rng.uniform(40, 60, count))
    film = np.clip(rng.normal(106, 18, count), 75, 200)
    return np.asarray(np.round(np.where(is_series, episode, film)) * 60.0)
