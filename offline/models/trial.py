"""What a blend learns its weights on: a share of each member's interactions, held out of what its sources learn from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np

from offline.evaluation import split
from offline.evaluation.ranking import find_hits
from offline.interactions import Int64Array, Interactions
from offline.models.contract import Model
from offline.models.mixing import FloatArray, best_weights, unite
from offline.models.topk import TopK
from shared.errors import ModelError

HeldOut = Literal["random", "newest"]


@dataclass(frozen=True)
class Trial:
    """Interactions in two parts over the same members and titles, and the members to ask for.

    Attributes
    ----------
    train, held_out : entries of weight above 0; each member with something held out has something to train on.
    members : `(asked,)` indices, ascending.
    """

    train: Interactions
    held_out: Interactions
    members: Int64Array

    @classmethod
    def of(cls, interactions: Interactions, how: HeldOut, share: float, members: int, seed: int) -> Self | None:
        """Hold a share of each member's interactions out; None where nobody has enough for one of them.

        Parameters
        ----------
        members : how many to ask for at most, taken at random.

        Raises
        ------
        ModelError : the newest are to be held out, and the times are not given.
        """
        known = interactions.where(interactions.matrix.data > 0)
        if how == "random":
            out = split.random_by_member(known.entry_members, share, seed)
        elif known.at_ms is None:
            raise ModelError("held_out = newest needs the times of the interactions (at_ms), which are not given")
        else:
            out = ~split.earlier_part(known.entry_members, known.at_ms, 1 - share, leave=0)
        asked = np.unique(known.entry_members[out])
        if not asked.size:
            return None
        chosen = np.random.default_rng(seed).permutation(asked)[:members]
        return cls(known.where(~out), known.where(out), np.sort(chosen))

    def ask(self, model: Model[Any], depth: int) -> TopK:
        """What a model that was fitted on `train` has for the members."""
        return model.recommend(self.members, depth, self.train.select(self.members).matrix)

    def weigh(self, lists: Mapping[str, TopK], depth: int, cut: int) -> tuple[FloatArray, dict[str, float]]:
        """The best weights of the sources' lists, and the mean NDCG@`cut` of each source alone and of the "blend"."""
        wanted = self.held_out.select(self.members).matrix
        relevant = np.diff(wanted.indptr).astype(np.int64)

        def of(some: list[TopK]) -> tuple[FloatArray, float]:
            union = unite(some, depth)
            return best_weights(union, find_hits(union.titles, wanted), relevant, cut)

        weights, together = of(list(lists.values()))
        return weights, {**{name: of([one])[1] for name, one in lists.items()}, "blend": together}
