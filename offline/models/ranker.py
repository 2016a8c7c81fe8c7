"""The ranker: a small network that says how likely a member is to play a title that is shown in the first cell of a page.

    logit P(play) = f(features) + g(position)

Titles are played more where they are looked at more. The chance to be looked at is given a shallow tower of its own that sees
nothing but the position and is added to the logit (Zhao et al. 2019, "Recommending what video to watch next", section 4.3; Guo
et al. 2019, "PAL", multiplies two chances instead, which for rare plays is the same). At serving the position is fixed, so the
order of titles is that of f: what they are worth wherever they stand.

`offline.ranker_examples` makes the examples; `shared.pages.ranker` runs what `export` gives.
"""

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import torch
from torch import nn

from offline.models import storage
from offline.models.contract import Arrays, Pass, Progress, Settings, settings_from
from offline.models.parallel import Workers
from offline.ranker_examples import Examples
from shared.errors import InputError, ModelError
from shared.pages.features import FEATURES, POSITION
from shared.pages.ranker import PREFIX, RANKER_FORMAT, name_bytes

NAME = "ranker"
CLIP = 1.0
_CONTENT = len(FEATURES) - len(POSITION)
_NAMES, _MEANS, _SCALES = "features", "means", "scales"


class RankerSettings(Settings, frozen=True):
    """How the network is made and trained."""

    hidden: tuple[int, ...] = (32,)
    position_hidden: int = 8
    with_position: bool = True  # False trains f alone, for comparison
    propensity_limit: float = 1.0  # an example weighs 1 / propensity, at most this; 1: all weigh alike
    epochs: int = 40
    patience: int = 5  # epochs without a better validation loss before training ends
    batch: int = 4096
    learning_rate: float = 4e-3
    weight_decay: float = 1e-2
    seed: int = 7
    device: Literal["auto", "cpu", "cuda"] = "auto"


class RankerNetwork(nn.Module):
    """f and g. Features come in as they are and are scaled here; those that never differed have no effect."""

    means: torch.Tensor
    scales: torch.Tensor

    def __init__(self, settings: RankerSettings, means: torch.Tensor, scales: torch.Tensor) -> None:
        super().__init__()
        widths = (_CONTENT, *settings.hidden)
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(widths):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.content = nn.Sequential(*layers, nn.Linear(widths[-1], 1))
        self.position = nn.Sequential(
            nn.Linear(len(POSITION), settings.position_hidden), nn.ReLU(), nn.Linear(settings.position_hidden, 1, bias=False)
        )
        self.register_buffer("means", means)
        self.register_buffer("scales", scales)

    def forward(self, features: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Logits (n,) of titles shown at some positions.

        Parameters
        ----------
        features : (n, features) as `shared.pages.features` has them; its own positions are not looked at.
        positions : (n, 2) the columns `POSITION`.
        """
        scaled = (features[:, :_CONTENT] - self.means) * self.scales  # (n, content)
        logits: torch.Tensor = self.content(scaled)[:, 0] + self.position_logits(positions)  # (n,)
        return logits

    def position_logits(self, positions: torch.Tensor) -> torch.Tensor:
        """What positions (n, 2) add to the logit against the first cell, (n,)."""
        towers: torch.Tensor = self.position(positions) - self.position(torch.zeros_like(positions[:1]))  # (n, 1)
        return towers[:, 0]

    def at_first_cell(self, features: torch.Tensor) -> torch.Tensor:
        """Logits (n,) at the fixed position of serving."""
        logits: torch.Tensor = self(features, torch.zeros_like(features[:, _CONTENT:]))
        return logits


class RankerModel:
    """A ranker to be fitted, saved, loaded and exported.

    Attributes
    ----------
    network : the fitted network, on the CPU; absent before the fit.
    figures : what the fit says of itself: epochs, and the validation loss of the one that was kept.
    """

    network: RankerNetwork

    def __init__(self, settings: RankerSettings | None = None) -> None:
        self.settings = RankerSettings() if settings is None else settings
        self.figures: dict[str, float] = {}

    def fit(self, train: Examples, validation: Examples, progress: Progress | None = None) -> "RankerModel":
        """Train until the validation loss has not improved for `patience` epochs, and keep the best epoch.

        Raises
        ------
        ModelError : there are no plays or nothing but plays to learn from, or the loss is no number any more.
        """
        for name, examples in (("train on", train), ("validate on", validation)):
            played = int(examples.labels.sum())
            if not 0 < played < len(examples.labels):
                raise ModelError(
                    f"{played} of the {len(examples.labels)} cells to {name} were played; some, and not all, are due"
                )
        device = _device(self.settings.device)
        torch.manual_seed(self.settings.seed)
        means, scales = _scaling(train.features)
        network = RankerNetwork(self.settings, means, scales).to(device)
        with Workers(device):  # one thread: steps are too small to share out
            kept = _Training(self.settings, network, device).run(train, validation, progress)
        network.load_state_dict(kept.weights)
        self.network = network.cpu().eval()
        self.figures = {"epochs": float(kept.epoch), "validation_loss": kept.loss}
        return self

    def chances(self, examples: Examples, at_first_cell: bool = True) -> np.ndarray[Any, np.dtype[np.float32]]:
        """The chance of a play, (n,) float32: in the first cell, or where the titles were shown."""
        features = torch.from_numpy(np.ascontiguousarray(examples.features))  # (n, features)
        with torch.no_grad():
            logits = self.network.at_first_cell(features) if at_first_cell else self.network(features, features[:, _CONTENT:])
        chances: np.ndarray[Any, np.dtype[np.float32]] = torch.sigmoid(logits).numpy()
        return chances

    def examination(self, examples: Examples) -> np.ndarray[Any, np.dtype[np.float32]]:
        """How much likelier a title is played where it was shown than in the first cell, in odds, (n,); 1 without positions."""
        if not self.settings.with_position:
            return np.ones(len(examples.labels), np.float32)
        with torch.no_grad():
            added = self.network.position_logits(torch.from_numpy(np.ascontiguousarray(examples.features[:, _CONTENT:])))
        odds: np.ndarray[Any, np.dtype[np.float32]] = torch.exp(added).numpy()
        return odds

    def export(self) -> Arrays:
        """The arrays for a snapshot's bundle; see `shared.pages.ranker`."""
        network = self.network
        linear = [layer for layer in network.content if isinstance(layer, nn.Linear)]
        weights = [layer.weight.detach().numpy().T.astype(np.float64) for layer in linear]  # (inputs, outputs) each
        biases = [layer.bias.detach().numpy().astype(np.float64) for layer in linear]  # (outputs,) each
        means, scales = network.means.numpy().astype(np.float64), network.scales.numpy().astype(np.float64)
        biases[0] = biases[0] - (means * scales) @ weights[0]
        unused = np.zeros((len(POSITION), weights[0].shape[1]))  # the position is fixed
        weights[0] = np.concatenate([weights[0] * scales[:, None], unused])  # (features, outputs)
        arrays: Arrays = {
            f"{PREFIX}format": np.array([RANKER_FORMAT], np.int32),
            f"{PREFIX}features": name_bytes(FEATURES),
            f"{PREFIX}means": np.concatenate([means, np.zeros(len(POSITION))]).astype(np.float32),
        }
        for number, (weight, bias) in enumerate(zip(weights, biases, strict=True), 1):
            arrays[f"{PREFIX}weights_{number}"] = np.ascontiguousarray(weight, np.float32)
            arrays[f"{PREFIX}bias_{number}"] = bias.astype(np.float32)
        return arrays

    def save(self, folder: str | Path) -> None:
        """Write the ranker to a folder, whole or not at all."""
        arrays = {name: tensor.numpy() for name, tensor in self.network.state_dict().items()}
        settings = msgspec.to_builtins(self.settings)
        storage.write(folder, NAME, settings, {**arrays, _NAMES: name_bytes(FEATURES)})

    @classmethod
    def load(cls, folder: str | Path) -> "RankerModel":
        """Read what `save` wrote.

        Raises
        ------
        ModelError : it is no ranker, damaged, or was trained with other features than this code has.
        """
        manifest, arrays = storage.read(folder)
        if manifest.model != NAME:
            raise ModelError(f"{folder}: holds a {manifest.model!r} model; expected {NAME!r}")
        names = arrays.pop(_NAMES, np.zeros(0, np.uint8)).tobytes().decode().split("\n")
        if tuple(names) != FEATURES:
            other = sorted(set(names) ^ set(FEATURES)) or ["their order"]
            raise ModelError(f"{folder}: the ranker was trained with other features ({', '.join(other)}); train it anew")
        try:
            model = cls(settings_from(RankerSettings, manifest.settings, f"{folder}: the saved settings"))
            blank = torch.zeros(_CONTENT)
            model.network = RankerNetwork(model.settings, blank, blank.clone())
            model.network.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in arrays.items()})
        except (InputError, RuntimeError) as error:
            raise ModelError(f"{folder}: the saved ranker does not fit this version ({error})") from None
        model.network.eval()
        return model


class _Kept(msgspec.Struct):
    """The best epoch so far."""

    epoch: int
    loss: float
    weights: dict[str, torch.Tensor]


class _Training:
    def __init__(self, settings: RankerSettings, network: RankerNetwork, device: torch.device) -> None:
        self._settings, self._network, self._device = settings, network, device
        self._optimiser = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
        self._random = torch.Generator().manual_seed(settings.seed)

    def run(self, train: Examples, validation: Examples, progress: Progress | None) -> _Kept:
        settings = self._settings
        data, held_out = self._tensors(train), self._tensors(validation)
        kept = _Kept(0, float("inf"), {})
        began = time.perf_counter()
        for epoch in range(1, settings.epochs + 1):
            self._network.train()
            for rows in self._batches(len(train.labels)):
                loss = self._loss(*(tensor[rows] for tensor in data))
                self._optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(self._network.parameters(), CLIP)
                self._optimiser.step()
            self._network.eval()
            with torch.no_grad():
                validated = float(self._loss(*held_out))
            if not np.isfinite(validated):
                raise ModelError(f"the ranker's loss of epoch {epoch} is {validated}; expected a smaller learning_rate")
            if validated < kept.loss:
                weights = {name: tensor.detach().clone() for name, tensor in self._network.state_dict().items()}
                kept = _Kept(epoch, validated, weights)
            if progress is not None:
                said = f"validation loss {validated:.4f}, best {kept.loss:.4f} after epoch {kept.epoch}"
                progress(Pass(epoch, settings.epochs, time.perf_counter() - began, epoch, said))
            if epoch - kept.epoch >= settings.patience:
                break
        return kept

    def _tensors(self, examples: Examples) -> tuple[torch.Tensor, ...]:
        weights = examples.weights * np.minimum(self._settings.propensity_limit, 1 / np.maximum(examples.propensities, 1e-6))
        arrays = (np.ascontiguousarray(examples.features), examples.labels, weights.astype(np.float32))
        return tuple(torch.from_numpy(array).to(self._device) for array in arrays)

    def _batches(self, count: int) -> Iterator[torch.Tensor]:
        rows = torch.randperm(count, generator=self._random).to(self._device)
        yield from torch.split(rows, self._settings.batch)

    def _loss(self, features: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Weighted mean of the binary cross-entropy."""
        positions = features[:, _CONTENT:]  # (n, 2)
        logits = self._network(features, positions if self._settings.with_position else torch.zeros_like(positions))  # (n,)
        losses = nn.functional.binary_cross_entropy_with_logits(logits, labels, weights, reduction="sum")
        return losses / weights.sum()


def _scaling(features: np.ndarray[Any, np.dtype[np.float32]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Means of the features but the position, (content,), and 1 over their standard deviations; 0 for those that never differ."""
    content = features[:, :_CONTENT].astype(np.float64)
    deviation = content.std(axis=0)
    scales = np.where(deviation > 1e-6, 1 / np.maximum(deviation, 1e-6), 0.0)
    return torch.from_numpy(content.mean(axis=0).astype(np.float32)), torch.from_numpy(scales.astype(np.float32))


def _device(asked: str) -> torch.device:
    if asked == "cuda" and not torch.cuda.is_available():
        raise ModelError("the ranker was asked to train on cuda; this machine has no such device that torch can use")
    return torch.device("cuda" if asked != "cpu" and torch.cuda.is_available() else "cpu")
