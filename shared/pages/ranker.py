"""The trained ranker at serving: a small network's arrays, run over all titles of a request at once. Pure numpy.

`offline.models.ranker` trains the network and writes the arrays, with the scaling of the features and the fixed position already
in the first layer and the last bias; a snapshot's bundle carries them under names that begin with `ranker/`. A page is ranked by
the chance that a title is played in the first cell, so that where titles used to be shown does not count for them.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from shared.errors import SnapshotError
from shared.pages.features import FEATURES
from shared.pages.serving import Scores

RANKER_FORMAT = 1
PREFIX: Final = "ranker/"
LOGIT_LIMIT = 15.0
"""Beyond it a float32 chance would be 0 or 1."""


class Contribution(NamedTuple):
    """What one feature adds to a title's score: `weight` is in units of the logit, against the feature at its mean."""

    feature: str
    value: float
    weight: float


class Ranker:
    """A network of fully connected layers with rectifiers between them. Read by many threads; never changed after it is built.

    Parameters
    ----------
    layers : of each layer the weights (inputs, outputs) and the biases (outputs,), float32; the last has one output.
    means : (features,) of the training examples.
    """

    def __init__(self, layers: list[tuple[Scores, Scores]], means: Scores) -> None:
        self._layers = layers
        self._means = means

    @classmethod
    def of(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> "Ranker | None":
        """From a snapshot's arrays; None when it carries no ranker.

        Raises
        ------
        SnapshotError : the ranker is of a newer format, was trained with other features, or its arrays cannot be.
        """
        own = {name.removeprefix(PREFIX): array for name, array in arrays.items() if name.startswith(PREFIX)}
        if not own:
            return None
        _check_format(own)
        _check_features(own)
        means = _array(own, "means", (len(FEATURES),))
        layers: list[tuple[Scores, Scores]] = []
        inputs = len(FEATURES)
        while f"weights_{len(layers) + 1}" in own:
            number = len(layers) + 1
            weights = own[f"weights_{number}"]
            outputs = weights.shape[1] if weights.ndim == 2 else 0
            layers.append((_array(own, f"weights_{number}", (inputs, outputs)), _array(own, f"bias_{number}", (outputs,))))
            inputs = outputs
        if not layers or inputs != 1:
            raise SnapshotError(f"a snapshot's ranker: its {len(layers)} layers end in {inputs} outputs; expected 1")
        return cls(layers, means)

    def scores(self, features: Scores) -> Scores:
        """The chance that each title is played in the first cell, (n,) float32 within (0, 1); `features` is (n, features)."""
        logits = self._logits(features)
        np.clip(logits, -LOGIT_LIMIT, LOGIT_LIMIT, out=logits)
        np.negative(logits, out=logits)
        np.exp(logits, out=logits)
        logits += np.float32(1.0)
        return np.reciprocal(logits, out=logits)

    def contributions(self, features: Scores) -> list[Contribution]:
        """What each feature adds to the score of one title, (features,), the greatest first by size.

        Each is the logit less the logit with that feature at its mean (occlusion: Zeiler and Fergus 2014). They need not add up.
        """
        rows = np.tile(features, (len(FEATURES) + 1, 1))  # (features + 1, features)
        np.fill_diagonal(rows, self._means)  # the last row stays as it is
        logits = self._logits(rows)
        weights = logits[-1] - logits[:-1]  # (features,)
        order = np.argsort(-np.abs(weights), kind="stable")
        return [Contribution(FEATURES[at], float(features[at]), float(weights[at])) for at in order if weights[at]]

    def _logits(self, features: Scores) -> Scores:
        hidden = features
        for weights, bias in self._layers[:-1]:
            hidden = hidden @ weights  # (n, outputs)
            hidden += bias
            np.maximum(hidden, np.float32(0.0), out=hidden)
        weights, bias = self._layers[-1]
        logits: Scores = hidden @ weights[:, 0]  # (n,)
        logits += bias[0]
        return logits


def name_bytes(names: tuple[str, ...]) -> npt.NDArray[np.uint8]:
    """Names of features as an array, for a bundle."""
    return np.frombuffer("\n".join(names).encode(), dtype=np.uint8)


def _check_format(own: Mapping[str, npt.NDArray[Any]]) -> None:
    found = own.get("format")
    if found is None or found.shape != (1,) or found.dtype.kind not in "iu":
        raise SnapshotError("a snapshot's ranker does not say its format; expected ranker/format, one whole number")
    if found[0] != RANKER_FORMAT:
        raise SnapshotError(f"a snapshot's ranker has format {found[0]}; this code reads format {RANKER_FORMAT}")


def _check_features(own: Mapping[str, npt.NDArray[Any]]) -> None:
    """Raise `SnapshotError` that names the first difference where the ranker was trained with other features."""
    stored = own.get("features")
    names = () if stored is None else tuple(stored.astype(np.uint8).tobytes().decode(errors="replace").split("\n"))
    if names == FEATURES:
        return
    for place in range(max(len(names), len(FEATURES))):
        theirs, ours = (each[place] if place < len(each) else "nothing" for each in (names, FEATURES))
        if theirs != ours:
            raise SnapshotError(
                f"a snapshot's ranker was trained with {theirs!r} as feature {place}; this code has {ours!r} there: train it anew"
            )


def _array(own: Mapping[str, npt.NDArray[Any]], name: str, shape: tuple[int, ...]) -> Scores:
    array = own.get(name)
    if array is None:
        raise SnapshotError(f"a snapshot's ranker lacks the array {PREFIX}{name}")
    if array.shape != shape or array.dtype != np.float32:
        raise SnapshotError(f"{PREFIX}{name} is {array.dtype} of shape {array.shape}; expected float32 of shape {shape}")
    if not np.isfinite(array).all():
        raise SnapshotError(f"{PREFIX}{name} has values that are no numbers")
    return array
