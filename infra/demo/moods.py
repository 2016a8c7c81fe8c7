"""What is told about the invented titles beyond their genres: moods, where they were made, their ratings.

All three come from what a title is: moods and origins have directions in the latent space, so they carry taste that genres do
not, a title made in a country is watched more there, and ratings follow the genres.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MOODS: dict[str, tuple[str, ...]] = {
    "Bittersweet": ("Drama", "Romance"),
    "Chilling": ("Horror", "Mystery"),
    "Dark": ("Horror", "Crime", "Thriller"),
    "Emotional": ("Drama", "History"),
    "Epic": ("History", "Fantasy", "Adventure"),
    "Exciting": ("Action", "Adventure"),
    "Feel-Good": ("Comedy", "Music", "Family"),
    "Gritty": ("Crime", "Drama", "Action"),
    "Heartwarming": ("Family", "Romance", "Animation"),
    "Imaginative": ("Fantasy", "Animation", "Science Fiction"),
    "Inspiring": ("Documentary", "Music", "History"),
    "Investigative": ("Documentary", "Crime"),
    "Mind-Bending": ("Science Fiction", "Mystery"),
    "Quirky": ("Comedy", "Animation"),
    "Romantic": ("Romance", "Drama"),
    "Suspenseful": ("Thriller", "Mystery"),
    "Tense": ("Thriller", "Crime", "Drama"),
    "Thought-Provoking": ("Documentary", "Science Fiction", "Drama"),
    "Witty": ("Comedy", "Romance"),
}
"""Mood to the genres that it is near."""
ORIGIN_SHARES = {
    "US": 38, "GB": 9, "IN": 8, "FR": 7, "JP": 6, "KR": 6, "DE": 5, "ES": 5, "BR": 4, "MX": 3, "IT": 3, "CA": 3, "DK": 2, "SE": 2,
}  # fmt: skip
RATINGS = ("G", "PG", "PG-13", "R")
_GENRE_RATINGS = {
    "Family": 0.3, "Animation": 0.6, "Music": 1.0, "Documentary": 1.2, "Adventure": 1.4, "Comedy": 1.5, "Fantasy": 1.5,
    "Romance": 1.6, "History": 1.8, "Science Fiction": 1.8, "Drama": 2.0, "Mystery": 2.0, "Action": 2.1, "Thriller": 2.4,
    "Crime": 2.5, "Horror": 2.8,
}  # fmt: skip
_MOOD_COUNT_SHARES = (0.3, 0.45, 0.25)  # one, two, three
_MOOD_NOISE = 0.7  # of a mood around its genres, relative to them
_MOOD_STRENGTH = 7.0  # how strongly a title's place decides its moods
_ORIGIN_STRENGTH = 2.0
_HOME_STRENGTH = 1.0
_RATING_SPREAD = 0.5

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Descriptions:
    """Of each title its moods, the most fitting first, the code of the country that made it, and its rating."""

    moods: list[list[str]]
    origins: list[str]
    ratings: list[str]


def describe(
    vectors: FloatArray,
    in_genre: npt.NDArray[np.bool_],
    genre_vectors: FloatArray,
    genres: tuple[str, ...],
    log_popularity: FloatArray,
    countries: tuple[str, ...],
    rng: np.random.Generator,
) -> Descriptions:
    """Describe titles.

    Parameters
    ----------
    vectors : (titles, LATENT), of unit length.
    in_genre : (titles, genres).
    genre_vectors : (genres, LATENT), of unit length.
    log_popularity : (countries, titles).
    """
    count, latent = vectors.shape
    near = np.array([[genre in of_mood for genre in genres] for of_mood in MOODS.values()])  # (moods, genres)
    mood_vectors = _unit(_unit(near @ genre_vectors) + _MOOD_NOISE * _unit(rng.standard_normal((len(MOODS), latent))))
    fit = _MOOD_STRENGTH * vectors @ mood_vectors.T + rng.gumbel(size=(count, len(MOODS)))  # (titles, moods)
    names = np.array(list(MOODS))[np.argsort(-fit, axis=1)]  # (titles, moods)
    counts = rng.choice([1, 2, 3], size=count, p=_MOOD_COUNT_SHARES)

    shares = np.array(list(ORIGIN_SHARES.values()), dtype=np.float64)
    origin_vectors = _unit(rng.standard_normal((len(ORIGIN_SHARES), latent)))
    at_home = np.zeros((len(ORIGIN_SHARES), count))  # (origins, titles): how much more a title is watched there
    own = log_popularity - log_popularity.mean(axis=0)  # (countries, titles)
    for row, origin in enumerate(ORIGIN_SHARES):
        if origin in countries:
            at_home[row] = own[countries.index(origin)]
    wish = np.log(shares)[:, None] + _ORIGIN_STRENGTH * origin_vectors @ vectors.T + _HOME_STRENGTH * at_home
    origins = np.array(list(ORIGIN_SHARES))[np.argmax(wish + rng.gumbel(size=wish.shape), axis=0)]  # (titles,)

    by_genre = np.array([_GENRE_RATINGS[genre] for genre in genres])
    mean = in_genre @ by_genre / in_genre.sum(axis=1)  # (titles,)
    level = np.clip(np.round(mean + _RATING_SPREAD * rng.standard_normal(count)), 0, len(RATINGS) - 1).astype(int)
    return Descriptions(
        moods=[row[:kept].tolist() for row, kept in zip(names, counts.tolist(), strict=True)],
        origins=origins.tolist(),
        ratings=[RATINGS[at] for at in level.tolist()],
    )


def _unit(vectors: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    lengths: npt.NDArray[np.floating] = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / lengths
