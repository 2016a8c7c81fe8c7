"""Invented catalogues for tests of the online layer: names that read like titles, genres, and tastes that explain them."""

import numpy as np
import numpy.typing as npt

from shared.titles import Title

WORDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "Action": (("Burning", "Last", "Iron", "Zero", "Broken", "Double"), ("Convoy", "Verdict", "Runway", "Protocol", "Harbour")),
    "Adventure": (("Far", "Lost", "Golden", "Northern", "Hidden"), ("Latitude", "Caravan", "Archipelago", "Passage", "Summit")),
    "Animation": (("Paper", "Little", "Clockwork", "Marmalade"), ("Dragon", "Owl Academy", "Lighthouse", "Parade", "Fox")),
    "Comedy": (("My Mother's", "Almost", "Accidental", "Extra", "Second-Best"), ("Wedding", "Landlord", "Tuesday", "Manager")),
    "Crime": (("Cold", "Borrowed", "Blind", "Seven", "Harbour"), ("Alibi", "Ledger", "Informant", "Street", "Confession")),
    "Documentary": (("Inside the", "The Secret", "A Year of", "Deep"), ("Glacier", "Orchestra", "Kitchen", "Reef", "Archive")),
    "Drama": (
        ("The Quiet", "A Distant", "Winter", "The Salt", "What Remains of the"),
        ("House", "Orchard", "River", "Daughters"),
    ),
    "Fantasy": (("The Ember", "Moon", "The Hollow", "Thorn and"), ("Crown", "Oath", "Kingdom", "Witchlight", "Raven")),
    "Horror": (("The Pale", "Beneath", "Do Not", "The Ninth"), ("Cellar", "Listen", "Guest", "Hour", "Nursery")),
    "Romance": (("Letters to", "Once in", "Falling for", "Before"), ("Lisbon", "Sunday", "Marguerite", "Midnight", "Anyone")),
    "Sci-Fi": (("Orbit", "Parallel", "The Silent", "Neon"), ("Nine", "Station", "Horizon", "Archive", "Meridian")),
    "Thriller": (("The Second", "No Safe", "Vanishing", "A Perfect"), ("Witness", "Floor", "Point", "Stranger", "Signal")),
}
COUNTRIES = ("US", "GB", "DE", "BR", "IN")


def invented_titles(count: int, seed: int = 0) -> list[Title]:
    """So many titles, each with one to three genres; one in twelve only for some countries."""
    random = np.random.default_rng(seed)
    genres = list(WORDS)
    titles: list[Title] = []
    used: dict[str, int] = {}
    for number in range(count):
        picked = [genres[index] for index in random.choice(len(genres), size=random.integers(1, 4), replace=False)]
        first, second = WORDS[picked[0]]
        name = f"{random.choice(first)} {random.choice(second)}"
        used[name] = used.get(name, 0) + 1
        numeral = ["", ": Returning", ": The Long Night", ": Homecoming", " Forever", ": Origins"]
        name += numeral[used[name] - 1] if used[name] <= len(numeral) else f" {used[name]}"
        only = tuple(sorted(random.choice(COUNTRIES, size=2, replace=False).tolist())) if random.random() < 1 / 12 else ()
        titles.append(
            Title(
                f"t{number}",
                name,
                genres=tuple(picked),
                runtime_s=float(random.integers(75, 160) * 60),
                released_ms=1_000 * int(random.integers(1_000_000_000, 1_760_000_000)),
                countries=only,
                maturity=None,
            )
        )
    return titles


def genre_vectors(titles: list[Title], random: np.random.Generator, noise: float = 0.35) -> npt.NDArray[np.float32]:
    """Unit vectors (titles, genres) float32 that are near for titles of the same genres."""
    genres = list(WORDS)
    vectors = noise * random.standard_normal((len(titles), len(genres)))
    for row, title in enumerate(titles):
        for genre in title.genres:
            vectors[row, genres.index(genre)] += 1.0
    unit: npt.NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit
