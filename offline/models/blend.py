"""Several models as one: their candidates put together, with weights learned on interactions held out of the training data.

A fit has two rounds: every source learns from all but a share of each member's interactions, and weights are sought that find
that share best; then every source learns from everything, and the weights stay.
"""

import functools
import itertools
import time
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, NamedTuple, Self, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from offline.interactions import Interactions, id_array
from offline.models.contract import Arrays, Checkpoint, Members, Model, Pass, Progress, Settings, settings_from
from offline.models.mixing import FloatArray, mix, unite
from offline.models.registry import REGISTRY, kind_of
from offline.models.sources import auto_sources
from offline.models.storage import pack_ids, unpack_ids
from offline.models.topk import Exclude, TopK
from offline.models.trial import HeldOut, Trial
from shared.errors import InputError, ModelError

M = TypeVar("M", bound=Model[Any])

MEMBERS_AT_ONCE = 2048
_INNER = "inner/"
_INNER_NUMBER = "inner_number"


class BlendSettings(Settings, frozen=True):
    """What to blend, and what to learn the weights on."""

    sources: str = "auto"  # names of models, as ials+ease; auto: what suits the data and the machine
    parts: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)  # settings of the sources, by their names
    depth: Annotated[int, msgspec.Meta(ge=1)] = 300  # titles that each source names for a member
    held_out: HeldOut = "random"  # of each member's interactions, what the weights are learned on
    validation_share: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.1
    validation_members: Annotated[int, msgspec.Meta(ge=1)] = 4000  # at most; taken at random where there are more
    cut: Annotated[int, msgspec.Meta(ge=1)] = 20  # the weights make NDCG at this cut greatest
    seed: int = 7


class Blended(NamedTuple):
    """A ranking, and what the sources said.

    Attributes
    ----------
    scores : of the ranking's titles each source's own score, `(n, k)`, NaN where the source does not name the title.
    lists : the first k titles of each source.
    """

    top: TopK
    scores: dict[str, FloatArray]
    lists: dict[str, TopK]


class Blend(Model[BlendSettings]):
    """A weighted sum of other models' standardised scores, see `offline.models.mixing`.

    Attributes
    ----------
    sources : the fitted models by name.
    weights : `(sources,)` float32, 0 or more, in all 1; all alike where nothing could be held out.
    validation : each source's mean NDCG on what was held out, and the blend's; empty where nothing could be.
    """

    name: ClassVar[str] = "blend"
    personal: ClassVar[bool] = True
    settings_type = BlendSettings

    sources: dict[str, Model[Any]]
    weights: FloatArray
    validation: dict[str, float]

    def __init__(self, settings: BlendSettings | None = None) -> None:
        super().__init__(settings)
        named = [] if self.settings.sources == "auto" else _names(self.settings.sources)
        for name in {*named, *self.settings.parts}:
            self.create_source(name)  # a mistake is told before anything is fitted

    def fit(self, interactions: Interactions, progress: Progress | None = None, checkpoint: Checkpoint | None = None) -> Self:
        """Learn weights, then fit every source on everything; a pass is one source's fit. See `Model.fit`."""
        if not (interactions.matrix.data > 0).any():
            raise ModelError("blend: no interaction has a weight above 0, so there is nothing to learn from")
        wanted = self.settings.sources
        names = auto_sources(interactions, self.settings.parts) if wanted == "auto" else _names(wanted)
        trial = self._trial(interactions) if len(names) > 1 else None
        rounds = [(trial, name) for name in names] if trial is not None else []
        steps: list[tuple[Trial | None, str]] = [*rounds, *((None, name) for name in names)]
        done, state = (0, {}) if checkpoint is None else checkpoint.latest() or (0, {})
        inner = _inner_state(state)
        state = {key: array for key, array in state.items() if not key.startswith("inner")}
        began, first = time.perf_counter(), done
        for number, (on, name) in itertools.islice(enumerate(steps, 1), done, None):
            part = self.create_source(name)
            keeper = None if checkpoint is None else _Inner(checkpoint, number - 1, state, inner)
            part.fit(interactions if on is None else on.train, checkpoint=keeper)
            inner = None
            if on is None:
                state |= _prefixed(f"whole/{name}/", part._arrays())
            else:
                state |= _prefixed(f"trial/{name}/", on.ask(part, self.settings.depth)._asdict())
            if checkpoint is not None:
                checkpoint.keep(number, functools.partial(dict, state))
            if progress is not None:
                what = f"{name} on {'everything' if on is None else 'all but what is held out'}"
                progress(Pass(number, len(steps), time.perf_counter() - began, number - first, what))
        self.member_ids, self.title_ids = interactions.member_ids, interactions.title_ids
        self.sources = {name: self._restored(name, _without_prefix(f"whole/{name}/", state)) for name in names}
        self.weights, self.validation = np.full(len(names), 1 / len(names), np.float32), {}
        if trial is not None:
            lists = {name: TopK(**_without_prefix(f"trial/{name}/", state)) for name in names}
            self.weights, self.validation = trial.weigh(lists, self.settings.depth, self.settings.cut)
        return self

    @classmethod
    def of_one(cls, settings: BlendSettings, source: Model[Any]) -> Self:
        """A blend of one model that is fitted already."""
        blend = cls(settings)
        blend.member_ids, blend.title_ids = source.member_ids, source.title_ids
        blend.sources, blend.weights, blend.validation = {source.name: source}, np.ones(1, np.float32), {}
        return blend

    def recommend(self, members: Members, k: int, exclude: Exclude = None) -> TopK:
        """Rank by the weighted sum; see `Model.recommend`."""
        return self.recommend_with_sources(members, k, exclude).top

    def recommend_with_sources(self, members: Members, k: int, exclude: Exclude = None) -> Blended:
        """Rank as `recommend` does, and tell what each source said of the titles."""
        index = self._checked_members(members)
        depth = self._depth(k)
        self._check_shape(exclude, len(index))
        parts = [
            self._mixed([source.recommend(index[rows], depth, _rows(exclude, rows)) for source in self.sources.values()], k)
            for rows in _blocks(len(index))
        ]
        return self._joined(parts, k)

    def recommend_from(self, histories: Interactions, k: int, exclude: Exclude = None) -> TopK:
        """Rank for histories given now; see `Model.recommend_from`."""
        histories = self._checked_histories(histories)
        depth = self._depth(k)
        self._check_shape(exclude, len(histories.member_ids))
        parts = []
        for rows in _blocks(len(histories.member_ids)):
            some = histories.select(np.arange(rows.start, rows.stop))
            lists = [source.recommend_from(some, depth, _rows(exclude, rows)) for source in self.sources.values()]
            parts.append(self._mixed(lists, k))
        return self._joined(parts, k).top

    def figures(self) -> dict[str, float]:
        """Each source's weight, and its mean NDCG on what was held out beside the blend's."""
        found = {f"ndcg@{self.settings.cut} of {name}": value for name, value in self.validation.items()}
        return {f"weight of {name}": float(weight) for name, weight in zip(self.sources, self.weights, strict=True)} | found

    def _depth(self, k: int) -> int:
        if k < 1:
            raise InputError(f"k is {k}; expected at least 1")
        return min(max(k, self.settings.depth), max(k, len(self.title_ids)))

    def _check_shape(self, exclude: Exclude, members: int) -> None:
        expected = (members, len(self.title_ids))
        if exclude is not None and exclude.shape != expected:
            raise InputError(f"exclude is {exclude.shape}; expected a row a member and a column a title, {expected}")

    def _mixed(self, lists: Sequence[TopK], k: int) -> Blended:
        top, scores = mix(unite(lists, self.settings.depth), self.weights, k)
        firsts = [TopK(one.titles[:, :k], one.scores[:, :k]) for one in lists]
        return Blended(top, dict(zip(self.sources, scores, strict=True)), dict(zip(self.sources, firsts, strict=True)))

    def _joined(self, parts: Sequence[Blended], k: int) -> Blended:
        nothing = TopK(np.empty((0, k), np.int32), np.empty((0, k), np.float32))
        nobody = Blended(nothing, dict.fromkeys(self.sources, nothing.scores), dict.fromkeys(self.sources, nothing))
        parts = [nobody, *parts]
        return Blended(
            _together([part.top for part in parts]),
            {name: np.concatenate([part.scores[name] for part in parts]) for name in self.sources},
            {name: _together([part.lists[name] for part in parts]) for name in self.sources},
        )

    def _trial(self, interactions: Interactions) -> Trial | None:
        settings = self.settings
        return Trial.of(interactions, settings.held_out, settings.validation_share, settings.validation_members, settings.seed)

    def create_source(self, name: str) -> Model[Any]:
        """A source of a name with its settings, not fitted.

        Raises
        ------
        InputError : there is no such model, it is a blend itself, or a setting is wrong.
        """
        if name == self.name:
            raise InputError("a blend cannot be a source of a blend")
        kind = kind_of(name)
        return kind(
            settings_from(kind.settings_type, self.settings.parts.get(name, {}), f"model {name!r}, a source of the blend")
        )

    def _restored(self, name: str, arrays: Arrays) -> Model[Any]:
        source = self.create_source(name)
        source.member_ids, source.title_ids = self.member_ids, self.title_ids
        source._restore(arrays)
        return source

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        arrays: Arrays = {}
        for name, source in self.sources.items():
            arrays |= _prefixed(f"{name}/", source._arrays())
        figures = [self.validation.get(name, np.nan) for name in (*self.sources, self.name)]
        return {
            **arrays,
            **pack_ids("sources", id_array(list(self.sources))),
            "weights": self.weights,
            "validation": np.array(figures),
        }

    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        names = unpack_ids("sources", arrays).tolist()
        if unknown := [name for name in names if name not in REGISTRY]:
            raise ModelError(f"a saved blend has a source {unknown[0]!r} that this version does not know")
        self.weights = arrays["weights"]
        figures = dict(zip([*names, self.name], arrays["validation"].tolist(), strict=True))
        self.validation = {name: figure for name, figure in figures.items() if not np.isnan(figure)}
        self.sources = {name: self._restored(name, _without_prefix(f"{name}/", arrays)) for name in names}


class _Inner:
    """The checkpoint of one source's fit, kept inside the blend's: with what is done already."""

    def __init__(self, outer: Checkpoint, done: int, state: Arrays, kept: tuple[int, Arrays] | None) -> None:
        self._outer, self._done, self._state, self._kept = outer, done, state, kept

    def latest(self) -> tuple[int, Arrays] | None:
        return self._kept

    def keep(self, number: int, arrays: Any) -> None:
        self._outer.keep(
            self._done, lambda: {**self._state, **_prefixed(_INNER, arrays()), _INNER_NUMBER: np.array([number], np.int64)}
        )


def _inner_state(state: Arrays) -> tuple[int, Arrays] | None:
    return (int(state[_INNER_NUMBER][0]), _without_prefix(_INNER, state)) if _INNER_NUMBER in state else None


def _names(sources: str) -> list[str]:
    names = [name.strip() for name in sources.replace("+", ",").split(",") if name.strip()]
    if not names or len(set(names)) < len(names):
        raise InputError(f"blend: sources is {sources!r}; expected names of models, each once, with + or commas between")
    return names


def _rows(exclude: Exclude, rows: slice) -> Exclude:
    return None if exclude is None else exclude[rows]


def _blocks(members: int) -> list[slice]:
    return [slice(start, min(start + MEMBERS_AT_ONCE, members)) for start in range(0, members, MEMBERS_AT_ONCE)]


def _together(parts: Sequence[TopK]) -> TopK:
    return TopK(np.concatenate([part.titles for part in parts]), np.concatenate([part.scores for part in parts]))


def _prefixed(prefix: str, arrays: Arrays) -> Arrays:
    return {prefix + name: array for name, array in arrays.items()}


def _without_prefix(prefix: str, arrays: Arrays) -> Arrays:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def part_of(model: Model[Any], kind: type[M]) -> M | None:
    """The model itself or the source of a blend that is of a kind, such as the iALS whose factors others need."""
    parts = [model, *(model.sources.values() if isinstance(model, Blend) else ())]
    return next((part for part in parts if isinstance(part, kind)), None)
