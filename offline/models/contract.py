"""What every model is: fit, recommend, save, load. `tests/contracts/test_models.py` holds each one to it.

A model works on indices; `member_ids` and `title_ids` say what they mean and are saved with it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, Self, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from offline.interactions import Ids, Interactions
from offline.models import storage
from offline.models.topk import Exclude, TopK
from shared.errors import InputError, ModelError

Members = npt.NDArray[np.integer[Any]]
"""Member indices, `(n,)`; -1 is a member that was not there when the model was fitted."""

Arrays = dict[str, npt.NDArray[Any]]


class Pass(NamedTuple):
    """What a fit tells after each pass over the data.

    `number` counts from 1 to `passes`, the most there will be; `seconds` are since this process began to fit, in which
    `fresh` passes were made (fewer than `number` where a fit was resumed); `said` is what there is to tell, such as a loss.
    """

    number: int
    passes: int
    seconds: float
    fresh: int
    said: str = ""

    @property
    def left_s(self) -> float:
        """Estimate of the seconds left, from the mean of the passes made."""
        return self.seconds / max(1, self.fresh) * (self.passes - self.number)


Progress = Callable[[Pass], None]


class Checkpoint(Protocol):
    """Where a fit keeps what it needs to go on after an interruption; see `offline.training.checkpoint`."""

    def latest(self) -> tuple[int, Arrays] | None:
        """The last pass that was kept and its arrays; None where there is nothing to go on from."""

    def keep(self, number: int, arrays: Callable[[], Arrays]) -> None:
        """Keep the state after a pass. `arrays` is called only when it is time to write."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every model's settings; every field has a default."""


S = TypeVar("S", bound=Settings)


class Model(ABC, Generic[S]):
    """Base of all models.

    Attributes
    ----------
    name : what the model is called on the command line and in a saved folder.
    settings_type : its `Settings`.
    personal : whether what is recommended depends on the member's own history.
    settings : the settings it was made with.
    member_ids, title_ids : the ids of the fit, `(members,)` and `(titles,)`; absent before it.
    """

    name: ClassVar[str]
    personal: ClassVar[bool]
    settings_type: type[S]

    member_ids: Ids
    title_ids: Ids

    def __init__(self, settings: S | None = None) -> None:
        self.settings = self.settings_type() if settings is None else settings

    @abstractmethod
    def fit(self, interactions: Interactions, progress: Progress | None = None, checkpoint: Checkpoint | None = None) -> Self:
        """Learn from interactions; returns the model itself.

        Parameters
        ----------
        progress : called after each pass; what it raises ends the fit.
        checkpoint : where to go on from, and to keep passes in. A fit that goes on gives what an uninterrupted one gives.
            A model that fits in one pass has no use for it.

        Raises
        ------
        ModelError : there is nothing to learn from.
        """

    @abstractmethod
    def recommend(self, members: Members, k: int, exclude: Exclude = None) -> TopK:
        """Rank titles for members of the fit, by index; -1 gets what suits a member nobody knows.

        Parameters
        ----------
        members : `(n,)` indices into `member_ids`, or -1.
        k : titles a member.
        exclude : `(n, titles)` CSR, row i for `members[i]`; stored entries are left out.
        """

    @abstractmethod
    def recommend_from(self, histories: Interactions, k: int, exclude: Exclude = None) -> TopK:
        """Rank titles for histories given now, without fitting again: one row a history, over this model's titles."""

    @abstractmethod
    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        """What was learnt, beside the ids, as named arrays.

        Arrays with a row for each member are named `member_…`: erasing a member takes the row out of them and out of no other.
        """

    @abstractmethod
    def _restore(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        """Take back what `_arrays` gave."""

    def figures(self) -> dict[str, float]:
        """What the fit measured of itself, on interactions that it held out for instance; kept in the record of the run."""
        return {}

    def save(self, folder: str | Path) -> None:
        """Write the model to a folder. Whoever reads meanwhile sees the old model or the new one, whole."""
        self._require_fitted()
        arrays = {
            **self._arrays(),
            **storage.pack_ids("member_ids", self.member_ids),
            **storage.pack_ids("title_ids", self.title_ids),
        }
        storage.write(folder, self.name, msgspec.to_builtins(self.settings), arrays)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read a model that `save` wrote.

        Raises
        ------
        ModelError : nothing is saved there, or it is another model, of another version, incomplete or damaged.
        """
        manifest, arrays = storage.read(folder)
        if manifest.model != cls.name:
            raise ModelError(f"{folder}: holds a {manifest.model!r} model; expected {cls.name!r}")
        try:
            model = cls(msgspec.convert(manifest.settings, cls.settings_type))
        except (msgspec.ValidationError, InputError) as error:
            raise ModelError(f"{folder}: the saved settings do not fit this version of {cls.name!r} ({error})") from None
        try:
            model.member_ids = storage.unpack_ids("member_ids", arrays)
            model.title_ids = storage.unpack_ids("title_ids", arrays)
            model._restore(arrays)
        except KeyError as error:
            raise ModelError(f"{folder}: the saved {cls.name!r} model lacks the array {error}") from None
        return model

    def _require_fitted(self) -> None:
        if not hasattr(self, "title_ids"):
            raise ModelError(f"the {self.name!r} model is not fitted yet; call fit or load first")

    def _checked_members(self, members: Members) -> npt.NDArray[np.int64]:
        self._require_fitted()
        index = np.asarray(members)
        if index.ndim != 1 or (index.size and index.dtype.kind not in "iu"):
            raise InputError(f"members are {index.dtype} of shape {index.shape}; expected one index each")
        checked = index.astype(np.int64)
        wrong = (checked < -1) | (checked >= len(self.member_ids))
        if wrong.any():
            place = int(np.argmax(wrong))
            raise InputError(
                f"members[{place}] is {checked[place]}; expected -1 (unknown) or an index below {len(self.member_ids)}"
            )
        return checked

    def _checked_histories(self, histories: Interactions) -> Interactions:
        self._require_fitted()
        if not np.array_equal(histories.title_ids, self.title_ids):
            raise InputError("the histories are over other titles than the model; use Interactions.on_titles first")
        return histories


def settings_from(settings_type: type[S], values: dict[str, Any], place: str) -> S:
    """Build settings from plain values, numbers may be given as strings; `place` names them in an error.

    Raises
    ------
    InputError : an unknown key, or a value of the wrong kind.
    """
    known = [field.name for field in msgspec.structs.fields(settings_type)]
    for key in values:
        if key not in known:
            raise InputError(f"{place}: unknown setting {key!r}; known settings: {', '.join(known)}")
    for key, value in values.items():
        try:
            msgspec.convert({key: value}, settings_type, strict=False)
        except msgspec.ValidationError as error:
            what = str(error).partition(" - at")[0]
            raise InputError(f"{place}: {key} is {value!r}: {what[0].lower()}{what[1:]}") from None
    return msgspec.convert(values, settings_type, strict=False)
