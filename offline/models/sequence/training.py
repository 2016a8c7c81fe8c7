"""Trains the networks: epochs of packed batches, a moving average of the weights, and an end where validation says so.

Each epoch draws all its chances from the seed and its own number, so that going on from a kept epoch needs no more than the
weights and the optimiser's moments.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from offline.models.contract import Arrays, Checkpoint, Pass, Progress
from offline.models.parallel import Workers
from offline.models.sequence.batches import Batch, epoch
from offline.models.sequence.histories import Histories
from offline.models.sequence.holdout import Holdout
from offline.models.sequence.network import Encoder, Titles
from offline.models.sequence.objective import Objective
from offline.models.sequence.settings import SequenceSettings
from shared.errors import ModelError

LEAST_STEPS = 50
"""Steps that an epoch has, where there are rows of plays enough."""

CLIP = 1.0
MOMENTS = (0.9, 0.98)
PART_POSITIONS = 1024
"""Positions that a thread works on at a time. A batch is parted by this, not by threads, so that they change no result."""


@dataclass
class Best:
    """The best epoch so far: its average weights and its metric; `epoch` is 0 before the first."""

    epoch: int = 0
    metric: float = -1.0
    weights: list[torch.Tensor] = field(default_factory=list)


class Training:
    """One run of training, between two epochs.

    Parameters
    ----------
    encoder, titles : freshly made, on the device; trained in place. After `run` they have the weights that are kept.
    holdout : what to validate on; None ends training after all epochs.
    """

    def __init__(
        self,
        settings: SequenceSettings,
        encoder: Encoder,
        titles: Titles,
        objective: Objective,
        histories: Histories,
        holdout: Holdout | None,
    ) -> None:
        self._settings, self._objective = settings, objective
        self._encoder, self._titles = encoder, titles
        self._histories, self._holdout = histories, holdout
        named = {**dict(encoder.named_parameters(prefix="encoder")), **dict(titles.named_parameters(prefix="titles"))}
        self._names, self._weights = list(named), list(named.values())
        self._device = self._weights[0].device
        matrices = [weight for weight in self._weights if weight.dim() > 1]
        others = [weight for weight in self._weights if weight.dim() <= 1]
        self._optimiser = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=settings.learning_rate,
            betas=MOMENTS,
            fused=True,
        )
        self._average = [weight.detach().clone() for weight in self._weights]
        self._best = Best()
        self._step = 0
        plays = len(histories.titles)
        self._batch_positions = max(settings.max_length, min(settings.batch_positions, plays // LEAST_STEPS))
        self._parts = max(1, self._batch_positions // PART_POSITIONS) if self._device.type == "cpu" else 1

    def run(self, progress: Progress | None, checkpoint: Checkpoint | None) -> Best:
        """Train until validation has not improved for long enough, or all epochs are done; returns the epoch that is kept.

        Raises
        ------
        ModelError : the loss is no number any more.
        """
        settings = self._settings
        kept = None if checkpoint is None else checkpoint.latest()
        done = 0
        if kept is not None:
            done = kept[0]
            self._restore(kept[1])
        began = time.perf_counter()
        for number in range(done + 1, settings.epochs + 1):
            if self._holdout is not None and number - 1 - self._best.epoch >= settings.patience:
                break
            loss = self._epoch(number)
            if not np.isfinite(loss):
                raise ModelError(f"sequence: the loss of epoch {number} is {loss}; expected a smaller learning_rate")
            said = self._validate(number, loss)
            if checkpoint is not None:
                checkpoint.keep(number, self._arrays)
            if progress is not None:
                progress(Pass(number, settings.epochs, time.perf_counter() - began, number - done, said))
        self._take(self._best.weights)
        return self._best

    def _epoch(self, number: int) -> float:
        """Train on all plays once; returns the mean loss of a position."""
        random = np.random.default_rng([self._settings.seed, number])
        histories = self._histories.shuffled(random)
        total, positions = 0.0, 0
        with Workers(self._device) as workers:
            for parts in epoch(histories, self._settings.max_length, self._batch_positions, self._parts, random):
                seeds = random.integers(2**62, size=len(parts))
                results: list[tuple[float, tuple[torch.Tensor, ...]]] = [(0.0, ())] * len(parts)
                workers.for_each(self._gradients(parts, seeds.tolist(), results), range(len(parts)))
                count = sum(int((part.targets >= 0).sum()) for part in parts)
                for weight, *gradients in zip(self._weights, *(gradients for _, gradients in results), strict=True):
                    weight.grad = torch.stack(gradients).sum(0).div_(count) if len(gradients) > 1 else gradients[0].div_(count)
                self._update()
                total += sum(loss for loss, _ in results)
                positions += count
        return total / positions

    def _gradients(
        self, parts: list[Batch], seeds: list[int], results: list[tuple[float, tuple[torch.Tensor, ...]]]
    ) -> Callable[[int], None]:
        """The work on one part: puts its loss and gradients into `results`."""

        def work(number: int) -> None:
            random = torch.Generator(self._device).manual_seed(seeds[number])
            loss = self._objective(self._encoder, self._titles, parts[number].to(self._device), random)
            gradients = torch.autograd.grad(loss, self._weights, materialize_grads=True)
            results[number] = (loss.item(), gradients)

        return work

    def _update(self) -> None:
        """One step of the optimiser on the gradients given, and of the average."""
        self._step += 1
        torch.nn.utils.clip_grad_norm_(self._weights, CLIP)
        warm = min(1.0, self._step / max(1, self._settings.warm_up_steps))
        for group in self._optimiser.param_groups:
            group["lr"] = self._settings.learning_rate * warm
        self._optimiser.step()
        # A young average follows closely, or it would be mostly the weights training began with.
        decay = min(self._settings.averaging, (1 + self._step) / (10 + self._step))
        torch._foreach_lerp_(self._average, [weight.detach() for weight in self._weights], 1 - decay)

    def _validate(self, number: int, loss: float) -> str:
        """Judge the average weights, and keep them where they are the best yet; says what was found."""
        said = f"loss {loss:.4f}"
        if self._holdout is None:
            self._best = Best(number, 0.0, self._average)
            return said
        now = [weight.detach().clone() for weight in self._weights]
        self._take(self._average)
        metric = self._holdout.ndcg(self._encoder, self._titles().detach(), self._settings.max_length)
        self._take(now)
        if metric > self._best.metric:
            self._best = Best(number, metric, [weight.clone() for weight in self._average])
        return f"{said}, validation ndcg@10 {metric:.4f}, best {self._best.metric:.4f} after epoch {self._best.epoch}"

    def _take(self, weights: list[torch.Tensor]) -> None:
        with torch.no_grad():
            for weight, taken in zip(self._weights, weights, strict=True):
                weight.copy_(taken)

    def _arrays(self) -> Arrays:
        """All that going on needs."""
        state = self._optimiser.state
        groups: dict[str, list[torch.Tensor]] = {
            "weight": [weight.detach() for weight in self._weights],
            "average": self._average,
            "best": self._best.weights,
            "first": [state[weight]["exp_avg"] for weight in self._weights],
            "second": [state[weight]["exp_avg_sq"] for weight in self._weights],
        }
        arrays = {
            f"{group}.{name}": tensor.cpu().numpy()
            for group, tensors in groups.items()
            for name, tensor in zip(self._names, tensors, strict=True)
        }
        arrays["numbers"] = np.array([self._step, self._best.epoch, self._best.metric], np.float64)
        return arrays

    def _restore(self, arrays: Arrays) -> None:
        """Take back what `_arrays` gave."""

        def group(name: str) -> list[torch.Tensor]:
            return [torch.from_numpy(arrays[f"{name}.{each}"]).to(self._device) for each in self._names]

        step, best_epoch, best_metric = arrays["numbers"].tolist()
        self._take(group("weight"))
        self._average = group("average")
        self._best = Best(int(best_epoch), best_metric, group("best"))
        self._step = int(step)
        for weight, first, second in zip(self._weights, group("first"), group("second"), strict=True):
            state = {"step": torch.tensor(float(step)), "exp_avg": first, "exp_avg_sq": second}
            self._optimiser.state[weight] = state
