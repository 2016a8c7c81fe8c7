"""What `evaluate` and `compare` are asked for, read from their options. Light: nothing here loads torch or Spark."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from shared.errors import InputError

if TYPE_CHECKING:
    from offline.evaluation.report import Report
    from offline.evaluation.sources import Source

DEFAULT_METRICS = "recall@20,ndcg@20,coverage@20"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for, beside the files. `models` maps a label to the name of a model and its settings."""

    models: dict[str, tuple[str, dict[str, str]]]
    metrics: tuple[str, ...]
    segments: tuple[str, ...] = ()
    keep_seen: bool = False
    titles: Path | None = None
    baseline: str | None = None  # label of the model that differences are from; None: popularity
    config_path: str | None = None


FromLake = Callable[[Request], "Report"]


def _path(*names: str, text: str) -> Callable[..., Any]:
    return click.option(*names, type=click.Path(path_type=Path), default=None, help=text)


_OPTIONS = (
    _path("--train", text="Interactions to fit on. Default: the lake's plays."),
    _path("--context", text="History known when recommending, not trained on."),
    _path("--test", text="Interactions to find."),
    _path("--data", text="Interactions to split here, instead of --train and --test."),
    click.option(
        "--split",
        type=click.Choice(["time", "leave-one-out", "member", "random"]),
        default=None,
        help="How to split --data; with --train and --test, what they are checked for leaks as.",
    ),
    click.option(
        "--test-share",
        type=float,
        default=0.2,
        show_default=True,
        help="Share held out of --data: of all rows (time), of the members (member), of each member's titles (random).",
    ),
    click.option(
        "--context-share",
        type=float,
        default=None,
        help="Of each member's rows held out by time or member, the earlier share known when recommending.  "
        "[default: 0 by time, 0.8 by member]",
    ),
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of splits at random."),
    _path("--save-split", text="Also write the split to this folder, as files for --train, --context and --test."),
    click.option("--metrics", default=DEFAULT_METRICS, show_default=True, help="Metrics with their cuts; see above."),
    _path("--titles", text="Titles with genres (title_id, genres), for genre-diversity and calibration."),
    click.option("--segments", default=None, help="Also look at segments: some of activity,age,country,titles, or all."),
    click.option("--keep-seen", is_flag=True, help="Rank what a member has already seen, too."),
    _path("--json", text="Also write the report to this file."),
    click.option("--config", metavar="FILE", default=None, help="Configuration file, for the lake."),
)


def input_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that `evaluate` and `compare` share."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def read_source(options: dict[str, Any]) -> "Source":
    """The files that the options name.

    Raises
    ------
    InputError : a share that cannot be.
    """
    from offline.evaluation.sources import Source

    for name in ("test_share", "context_share"):
        share = options[name]
        if share is not None and not (0 < share < 1 or (name == "context_share" and share == 0)):
            raise InputError(f"--{name.replace('_', '-')} is {share}; expected between 0 and 1")
    return Source(**{name: options[name] for name in Source.__struct_fields__})


def read_request(options: dict[str, Any], models: dict[str, tuple[str, dict[str, str]]], baseline: str | None) -> Request:
    """What the options ask for."""
    kinds = options["segments"]
    chosen = ("activity", "age", "country", "titles") if kinds == "all" else tuple(kinds.split(",")) if kinds else ()
    return Request(
        models=models,
        metrics=tuple(options["metrics"].split(",")),
        segments=chosen,
        keep_seen=options["keep_seen"],
        titles=options["titles"],
        baseline=baseline,
        config_path=options["config"],
    )


def parse_assignments(assignments: Sequence[str], option: str = "--set") -> dict[str, str]:
    """Read `key=value` pairs.

    Raises
    ------
    InputError : one of them has no "=", or a key comes twice.
    """
    settings: dict[str, str] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key:
            raise InputError(f"{option} {assignment}: expected key=value")
        if key in settings:
            raise InputError(f"{option} {assignment}: {key} is set twice")
        settings[key] = value
    return settings


def parse_models(texts: Sequence[str]) -> dict[str, tuple[str, dict[str, str]]]:
    """Read `NAME[:key=value,…]`; a model is labelled by its name where no other has it, else by the whole text.

    Raises
    ------
    InputError : the same model and settings twice, or a setting without "=".
    """
    names = [text.partition(":")[0] for text in texts]
    found: dict[str, tuple[str, dict[str, str]]] = {}
    for text, name in zip(texts, names, strict=True):
        label = name if names.count(name) == 1 else text
        if label in found:
            raise InputError(f"--model {text} is given twice")
        assignments = [part for part in text.partition(":")[2].split(",") if part]
        found[label] = name, parse_assignments(assignments, f"--model {text}:")
    return found


def answer(request: Request, source: "Source", from_lake: FromLake | None) -> "Report":
    """Evaluate on the files, or on the lake where none is named.

    Raises
    ------
    InputError : what is asked for cannot be done; see `evaluate_models`.
    """
    if not source.named:
        if from_lake is None:
            raise InputError("no files to evaluate on; expected --train FILE --test FILE, or --data FILE --split METHOD")
        _require_lake_options(request, source)
        return from_lake(request)
    # Loading torch takes seconds, which `--help` and a mistyped option should not wait for.
    from offline.evaluation.floors import FLOOR
    from offline.evaluation.genres import read_genres
    from offline.evaluation.report import evaluate_models
    from offline.evaluation.sources import read_parts
    from offline.models import create_model

    models = {label: create_model(name, **settings) for label, (name, settings) in request.models.items()}
    genres = None if request.titles is None else read_genres(request.titles)
    parts = read_parts(source)
    return evaluate_models(
        parts.train,
        parts.test,
        models,
        request.metrics,
        parts.context,
        request.keep_seen,
        genres=genres,
        segments=request.segments,
        baseline=request.baseline or FLOOR,
        protocol=parts.protocol,
        progress=lambda sentence: click.echo(sentence, err=True),
    )


def _require_lake_options(request: Request, source: "Source") -> None:
    """Refuse options that say nothing where the lake is evaluated on, which has its own split and titles."""
    given = {"--split": source.split, "--context-share": source.context_share, "--save-split": source.save_split}
    for option, value in {**given, "--titles": request.titles}.items():
        if value is not None:
            raise InputError(f"{option} goes with files; none is named, and the lake is split by time and has its own titles")
