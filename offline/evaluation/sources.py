"""What to evaluate on: files that are split already, or one file that is split here. Called by the command line."""

from pathlib import Path
from typing import NamedTuple

import msgspec

from offline.evaluation.holdout import Plan, save_split, split_rows
from offline.evaluation.leaks import Method, Split, require_no_leak
from offline.interaction_files import read_interactions
from offline.interactions import Interactions
from shared.errors import InputError

METHODS: tuple[Method, ...] = ("time", "leave-one-out", "member", "random")


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line names: `data` with a `split`, or `train` and `test`, perhaps with the `split` they are said to be."""

    data: Path | None = None
    train: Path | None = None
    context: Path | None = None
    test: Path | None = None
    split: Method | None = None
    test_share: float = 0.2
    context_share: float | None = None
    seed: int = 0
    save_split: Path | None = None

    @property
    def named(self) -> bool:
        """Whether any file is named."""
        return any(path is not None for path in (self.data, self.train, self.context, self.test))


class Parts(NamedTuple):
    """What a model learns from, what is known besides when recommending, what is to be found, and how that was held out."""

    train: Interactions
    context: Interactions | None
    test: Interactions
    protocol: str


def read_parts(source: Source) -> Parts:
    """Read the files, and split or check them.

    Raises
    ------
    InputError : files are missing, cannot be read, or leak; options that do not go together.
    """
    _check(source)
    if source.data is not None and source.split is not None:
        plan = Plan(method=source.split, test_share=source.test_share, context_share=source.context_share, seed=source.seed)
        made = split_rows(read_interactions(source.data), plan)
        if source.save_split is not None:
            save_split(made, source.save_split)
        return _indexed(made, f"{source.data.name}, {plan}")
    assert source.train is not None
    assert source.test is not None
    context = None if source.context is None else read_interactions(source.context)
    made = Split(read_interactions(source.train), context, read_interactions(source.test))
    if source.split is not None:
        require_no_leak(made, source.split)
    checked = "split as given" if source.split is None else f"split as given, found to be by {source.split} without leaks"
    return _indexed(made, f"{source.train.name} and {source.test.name}, {checked}")


def _check(source: Source) -> None:
    if source.data is not None:
        if any(path is not None for path in (source.train, source.context, source.test)):
            raise InputError("--data is split here; expected it without --train, --context and --test")
        if source.split is None:
            raise InputError(f"--data needs to be told how to split; expected --split with one of {', '.join(METHODS)}")
        return
    if source.train is None or source.test is None:
        raise InputError("--train and --test go together; name both files, or --data with --split, or none for the lake")
    for option, path in (("--train", source.train), ("--context", source.context)):
        if path is not None and path.resolve() == source.test.resolve():
            raise InputError(f"{option} and --test are the same file, {path}; what is to be found must not be known already")
    if source.save_split is not None:
        raise InputError("--save-split goes with --data; the files given are split already")
    if source.context_share is not None:
        raise InputError("--context-share goes with --data; the files given are split already")


def _indexed(made: Split, protocol: str) -> Parts:
    context = None if made.context is None else Interactions.from_rows(made.context)
    return Parts(Interactions.from_rows(made.train), context, Interactions.from_rows(made.test), protocol)
