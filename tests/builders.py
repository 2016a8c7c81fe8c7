"""Small worlds that tests of several packages build on."""

from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from offline.interactions import Interactions, id_array

PUBLIC_DATA = Path(__file__).parents[2] / "shared" / "data"


def public_data(name: str) -> Path:
    """A folder or file of the public data sets, which lie beside the project on some machines only; skips without."""
    path = PUBLIC_DATA / name
    if not path.exists():
        pytest.skip(f"the public data set {name} is not on this machine")
    return path


def checkerboard(size: int = 40) -> Interactions:
    """Even members like even titles and odd members odd ones; each has all of them but the one with its own number.

    The right first recommendation for member i, what it has left out, is title i.
    """
    number = np.arange(size)
    liked = (number[:, None] % 2 == number[None, :] % 2) & (number[:, None] != number[None, :])
    return interactions_of(liked.astype(np.float32))


def interactions_of(dense: np.ndarray) -> Interactions:
    """Interactions from a dense `(members, titles)` matrix of weights; members are m000, m001, …, titles t000, …"""
    members, titles = dense.shape
    return Interactions(
        id_array([f"m{i:03}" for i in range(members)]),
        id_array([f"t{i:03}" for i in range(titles)]),
        sparse.csr_array(dense.astype(np.float32)),
    )


def random_interactions(members: int = 60, titles: int = 30, share: float = 0.2, seed: int = 0) -> Interactions:
    """Random weights in (0.5, 1.5] with popular and rare titles, every member and title with one entry at least."""
    random = np.random.default_rng(seed)
    chance = share * 2 * (np.arange(titles) + 1) / titles
    played = random.random((members, titles)) < chance
    played[np.arange(members), random.integers(titles, size=members)] = True
    played[random.integers(members, size=titles), np.arange(titles)] = True
    world = interactions_of(played * (1.5 - random.random((members, titles))))
    at_ms = random.integers(1_600_000_000_000, 1_700_000_000_000, world.matrix.nnz)
    country = id_array(random.choice(["US", "DE"], members).tolist())
    return Interactions(world.member_ids, world.title_ids, world.matrix, at_ms, country)
