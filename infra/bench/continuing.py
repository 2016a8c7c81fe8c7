"""Fits the model that decides where Continue Watching stands, and measures it on what came after.

Each page of the built-in world is an example for every title that its member had in progress: was it played in that session? The
pages of the first part of the window teach, those of the last part test; between titles of one page the order by last watched is
the rival.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from infra.demo.world import World
from shared.errors import InputError
from shared.pages.begun import BEGUN
from shared.pages.rows import continuing
from shared.state import PLAYED_LIMIT, Played

TRAIN_SHARE = 0.7
RIDGE = 1.0
FloatArray = npt.NDArray[np.float64]


class Examples(NamedTuple):
    """Titles in progress, those of one page side by side."""

    x: FloatArray  # (examples, features)
    is_played: npt.NDArray[np.bool_]  # (examples,)
    page: npt.NDArray[np.int64]  # (examples,)
    at_ms: npt.NDArray[np.int64]  # (examples,): when the page was asked for
    played_ms: npt.NDArray[np.int64]  # (examples,): when the title was last watched

    def where(self, mask: npt.NDArray[np.bool_]) -> "Examples":
        """Some of them."""
        return Examples(self.x[mask], self.is_played[mask], self.page[mask], self.at_ms[mask], self.played_ms[mask])


class Quality(NamedTuple):
    """How well a score tells titles that were continued from others.

    Attributes
    ----------
    auc : over all examples.
    within : of pairs on the same page, the share that is ordered rightly (ties count half).
    row_auc, row_rate, row_chance : does the chance that anything is continued tell the pages where something was; how often that
        was, and the mean chance.
    """

    auc: float
    within: float
    row_auc: float
    row_rate: float
    row_chance: float


class Fit(NamedTuple):
    """What `measure` found: the model, and both orders on the test pages."""

    weights: FloatArray
    bias: float
    train: int
    test: int
    model: Quality
    prior: Quality
    recency: Quality


def measure(members: int, titles: int, plays: int, seed: int) -> Fit:
    """Simulate, fit on the earlier pages, measure on the later ones.

    Raises
    ------
    InputError : in a part of the window nothing was continued, or everything.
    """
    world = World.generate(members=members, titles=titles, plays=plays, seed=seed)
    some = examples(world)
    until_ms = world.start_ms + TRAIN_SHARE * (world.end_ms - world.start_ms)
    is_train = some.at_ms < until_ms
    if any(len(set(some.is_played[part].tolist())) < 2 for part in (is_train, ~is_train)):
        raise InputError(f"the simulated world's {plays} plays are too few to tell what is continued; give it more")
    weights, bias = fit(some.x[is_train], some.is_played[is_train])
    test = some.where(~is_train)
    return Fit(
        weights,
        bias,
        int(is_train.sum()),
        len(test.x),
        quality(test, _logistic(test.x @ weights + bias)),
        quality(test, _logistic(test.x @ continuing.WEIGHTS + continuing.BIAS)),
        quality(test, 1.0 / (1.0 + np.maximum(test.at_ms - test.played_ms, 0) / 3.6e6)),
    )


def examples(world: World) -> Examples:
    """Every title in progress of every page."""
    plays, pages = world.plays, world.impressions
    runtime_ms = np.round(world.catalogue.runtime_s * 1000).astype(np.int64)
    known: dict[int, dict[int, Played]] = {}
    x: list[FloatArray] = []
    labels: list[bool] = []
    page_of: list[int] = []
    at_ms: list[int] = []
    played_ms: list[int] = []
    by_session = np.argsort(plays.session, kind="stable")
    bounds = np.searchsorted(plays.session[by_session], np.arange(len(pages) + 1))
    for page in range(len(pages)):
        member, now_ms = int(pages.member[page]), int(pages.at_ms[page])
        state = known.setdefault(member, {})  # title to its last play, the newest last
        of_session = by_session[bounds[page] : bounds[page + 1]]
        begun = [played for played in reversed(state.values()) if played.is_in_progress][:BEGUN]
        if begun:
            last = next(reversed(state.values()))
            chosen = {f"t{title}" for title in plays.title[of_session].tolist()}
            x.append(np.array([continuing.features(played, last, now_ms) for played in begun]))
            labels += [played.title_id in chosen for played in begun]
            page_of += [page] * len(begun)
            at_ms += [now_ms] * len(begun)
            played_ms += [played.at_ms for played in begun]
        for play in of_session.tolist():
            title = int(plays.title[play])
            state.pop(title, None)
            state[title] = Played(
                int(plays.at_ms[play]),
                str(play),
                f"t{title}",
                str(page),
                "stop",
                round(plays.position_s[play] * 1000),
                int(runtime_ms[title]),
            )
            if len(state) > PLAYED_LIMIT:
                state.pop(next(iter(state)))
    return Examples(
        np.concatenate([np.empty((0, len(continuing.FEATURES))), *x]),
        np.array(labels, dtype=np.bool_),
        np.array(page_of, dtype=np.int64),
        np.array(at_ms, dtype=np.int64),
        np.array(played_ms, dtype=np.int64),
    )


def fit(x: FloatArray, is_played: npt.NDArray[np.bool_]) -> tuple[FloatArray, float]:
    """Logistic regression with a small ridge: the weights (features,) and the bias."""
    sign = np.where(is_played, 1.0, -1.0)  # (examples,)

    def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
        weights, bias = parameters[:-1], parameters[-1]
        margin = sign * (x @ weights + bias)  # (examples,)
        pull = -sign * _logistic(-margin)  # (examples,)
        value = np.logaddexp(0.0, -margin).sum() + 0.5 * RIDGE * weights @ weights
        return float(value), np.append(x.T @ pull + RIDGE * weights, pull.sum())

    found = optimize.minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 2000})
    return found.x[:-1], float(found.x[-1])


def quality(some: Examples, score: FloatArray) -> Quality:
    """Measure scores; larger means more likely to be continued. A row's chance takes them for probabilities."""
    first = np.flatnonzero(np.diff(some.page, prepend=-1))
    any_played = np.logical_or.reduceat(some.is_played, first)
    chance = 1.0 - np.exp(np.add.reduceat(np.log1p(-np.minimum(score, 1 - 1e-9)), first))
    right = total = 0.0
    for page_score, page_played in zip(np.split(score, first[1:]), np.split(some.is_played, first[1:]), strict=True):
        if page_played.any() and not page_played.all():
            difference = page_score[page_played][:, None] - page_score[~page_played][None, :]
            right += (difference > 0).sum() + 0.5 * (difference == 0).sum()
            total += difference.size
    return Quality(
        auc(score, some.is_played), right / total, auc(chance, any_played), float(any_played.mean()), float(chance.mean())
    )


def auc(score: FloatArray, is_positive: npt.NDArray[np.bool_]) -> float:
    """Area under the ROC curve, by ranks (Mann-Whitney)."""
    ranks = stats.rankdata(score)
    positives = int(is_positive.sum())
    above = ranks[is_positive].sum() - positives * (positives + 1) / 2
    return float(above / (positives * (len(score) - positives)))


def table(found: Fit) -> str:
    """The coefficients and what they are worth, as text."""
    lines = [f"{found.train:,} examples to fit, {found.test:,} to test", ""]
    lines += [f"  {name:<16} {weight:+.3f}" for name, weight in zip(continuing.FEATURES, found.weights, strict=True)]
    lines += [f"  {'bias':<16} {found.bias:+.3f}", "", f"{'':<28}{'AUC':>8}{'in a page':>12}{'row AUC':>10}{'row chance':>12}"]
    for name, of in (("fitted now", found.model), ("the default", found.prior), ("last watched first", found.recency)):
        lines.append(f"{name:<28}{of.auc:>8.3f}{of.within:>12.3f}{of.row_auc:>10.3f}{of.row_chance:>12.3f}")
    lines.append(f"something was continued on {found.model.row_rate:.3f} of the pages")
    return "\n".join(lines)


def _logistic(value: FloatArray) -> FloatArray:
    return 1.0 / (1.0 + np.exp(-value))
