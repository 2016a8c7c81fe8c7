"""A generated data set that is hard in the ways real ones are: power laws in members and titles, tastes that can be learnt.

Each taste is a distribution over all titles: a common power law in popularity times a lognormal liking of its own. Each
member mixes a few tastes and draws titles from the mixture, none twice. So the matrix has low rank but for the noise of
drawing, and what is held out can be foretold from the rest, as far as tastes go. Used by the speed benches.
"""

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from scipy import sparse

TASTES = 96
TASTES_OF_A_MEMBER = 4
LIKING_SPREAD = 1.6  # standard deviation of the logarithm of a taste's liking of a title
POPULARITY_EXPONENT = 1.4
POPULARITY_PLATEAU = 200.0  # titles at the head that are about equally popular
ACTIVITY_SPREAD = 1.05  # standard deviation of the logarithm of how much members watch


class Plays(NamedTuple):
    """`train` and `held_out`, each `(members, titles)` CSR float32 of ones, with no entry in both."""

    train: sparse.csr_array[np.float32]
    held_out: sparse.csr_array[np.float32]


def generate(members: int, titles: int, entries: int, *, held_out: int = 5, seed: int = 1) -> Plays:
    """Draw `entries` plays for training, and `held_out` more of each member to be foretold."""
    random = np.random.default_rng(seed)
    popularity = (np.arange(titles) + POPULARITY_PLATEAU) ** -POPULARITY_EXPONENT  # (titles,)
    liking = np.exp(LIKING_SPREAD * random.standard_normal((TASTES, titles))) * popularity  # (tastes, titles)
    chance = np.cumsum(liking, axis=1)
    chance /= chance[:, -1:]
    tastes = random.integers(0, TASTES, (members, TASTES_OF_A_MEMBER))
    share = np.cumsum(random.dirichlet(np.full(TASTES_OF_A_MEMBER, 0.7), members), axis=1)  # (members, tastes of one)
    watched = _counts(random, members, titles - held_out, entries) + held_out  # (members,)
    start = np.concatenate([[0], np.cumsum(watched)])
    drawn = _draw(chance, tastes, share, start, seed)  # (entries + held out,)
    # Titles come in the order of drawing, in which the likely ones are early; what is held out must be any of them.
    order = np.lexsort((random.random(len(drawn)), np.repeat(np.arange(members), watched)))
    drawn = drawn[order]
    place = np.arange(len(drawn)) - np.repeat(start[:-1], watched)
    train = place >= held_out
    return Plays(_matrix(drawn[train], watched - held_out, titles), _matrix(drawn[~train], np.full(members, held_out), titles))


def _counts(random: np.random.Generator, members: int, most: int, entries: int) -> npt.NDArray[np.int64]:
    """How much each member watches, `(members,)`: lognormal, at least 1, `entries` in all."""
    activity = np.exp(ACTIVITY_SPREAD * random.standard_normal(members))
    counts: npt.NDArray[np.int64] = np.clip(activity * (entries / activity.sum()), 1, most // 2).astype(np.int64)
    while (missing := entries - int(counts.sum())) != 0:
        room = np.flatnonzero(counts < most // 2 if missing > 0 else counts > 1)
        if not room.size:
            raise ValueError(f"{entries} entries do not fit {members} members of at most {most // 2} titles each")
        chosen = random.choice(room, min(abs(missing), room.size), replace=False)
        counts[chosen] += np.sign(missing)
    return counts


def _matrix(titles: npt.NDArray[np.int32], counts: npt.NDArray[np.int64], width: int) -> sparse.csr_array[np.float32]:
    start = np.concatenate([[0], np.cumsum(counts)])
    matrix = sparse.csr_array((np.ones(len(titles), np.float32), titles, start), shape=(len(counts), width))
    matrix.sort_indices()
    return matrix


@numba.njit(cache=True)
def _draw(chance, tastes, share, start, seed):  # type: ignore[no-untyped-def]  # compiled
    """Titles of all members one after the other, `(start[-1],)` int32, no title twice for one member."""
    np.random.seed(seed)
    members, width = len(start) - 1, chance.shape[1]
    drawn = np.empty(start[-1], np.int32)
    last_of = np.full(width, -1, np.int32)  # the last member who drew a title
    for member in range(members):
        place, tries = start[member], 0
        while place < start[member + 1]:
            taste = tastes[member, np.searchsorted(share[member, :-1], np.random.random(), side="right")]
            title = np.searchsorted(chance[taste, :-1], np.random.random(), side="right")
            tries += 1
            if tries > 20 * (start[member + 1] - start[member]):  # the tastes are used up
                title = np.random.randint(width)
            if last_of[title] != member:
                last_of[title] = member
                drawn[place] = title
                place += 1
    return drawn
