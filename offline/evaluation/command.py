"""`python -m offline evaluate`: any model on interaction files, or on the lake where no files are named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from shared.errors import InputError


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asks for, beside the files."""

    model: str
    settings: dict[str, str]
    metrics: tuple[str, ...]
    keep_seen: bool
    json_path: Path | None
    config_path: str | None


def evaluate_command(from_lake: Callable[[Request], Any] | None = None) -> click.Command:
    """Make the command.

    Parameters
    ----------
    from_lake : evaluates on the lake's newest plays, split by time, and returns a `Report`; called where no files are
        named.
    """

    @click.command("evaluate")
    @click.option(
        "--train", "train_path", type=click.Path(path_type=Path), help="Interactions to fit on. Default: the lake's plays."
    )
    @click.option(
        "--context", "context_path", type=click.Path(path_type=Path), help="History known when recommending, not trained on."
    )
    @click.option("--test", "test_path", type=click.Path(path_type=Path), help="Interactions to find.")
    @click.option("--model", default="ials", show_default=True, help="Name of the model.")
    @click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="A setting of the model; may be repeated.")
    @click.option("--metrics", default="recall@20,ndcg@20,coverage@20", show_default=True, help="Metrics with their cuts.")
    @click.option("--keep-seen", is_flag=True, help="Rank what a member has already seen, too.")
    @click.option("--json", "json_path", type=click.Path(path_type=Path), help="Also write the report to this file.")
    @click.option("--config", "config_path", metavar="FILE", help="Configuration file, for the lake.")
    def evaluate(
        train_path: Path | None,
        context_path: Path | None,
        test_path: Path | None,
        model: str,
        assignments: tuple[str, ...],
        metrics: str,
        keep_seen: bool,
        json_path: Path | None,
        config_path: str | None,
    ) -> None:
        """Rank all titles for the members of a test set and print how well the model finds their titles, beside popularity.

        Files are CSV, CSV.gz or Parquet with the columns member_id, title_id and, where known, weight, at_ms, country.
        Without files, the lake's plays are split by time.
        """
        request = Request(
            model=model,
            settings=parse_assignments(assignments),
            metrics=tuple(metrics.split(",")),
            keep_seen=keep_seen,
            json_path=json_path,
            config_path=config_path,
        )
        if train_path is not None and test_path is not None:
            report = _evaluate_files(request, train_path, context_path, test_path)
        elif train_path is not None or test_path is not None or context_path is not None:
            raise InputError("--train and --test go together; name both files, or neither to evaluate on the lake")
        elif from_lake is None:
            raise InputError("no files to evaluate on; expected --train FILE --test FILE")
        else:
            report = from_lake(request)
        click.echo(report.to_text(), nl=False)
        if json_path is not None:
            write_json(json_path, report.to_json())

    return evaluate


def parse_assignments(assignments: tuple[str, ...]) -> dict[str, str]:
    """Read `key=value` pairs.

    Raises
    ------
    InputError : one of them has no "=", or a key comes twice.
    """
    settings: dict[str, str] = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key:
            raise InputError(f"--set {assignment}: expected key=value")
        if key in settings:
            raise InputError(f"--set {assignment}: {key} is set twice")
        settings[key] = value
    return settings


def write_json(path: Path, content: bytes) -> None:
    """Write a report whole or not at all."""
    temporary = path.with_name(f".{path.name}.partial")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"{path}: the report cannot be written ({error.strerror})") from None


def _evaluate_files(request: Request, train_path: Path, context_path: Path | None, test_path: Path) -> Any:
    # Loading torch takes seconds, which `--help` and a mistyped option should not wait for.
    from offline.evaluation.report import evaluate_models
    from offline.interaction_files import read_interactions
    from offline.interactions import Interactions
    from offline.models import create_model

    model = create_model(request.model, **request.settings)
    train = Interactions.from_rows(read_interactions(train_path))
    context = None if context_path is None else Interactions.from_rows(read_interactions(context_path))
    test = Interactions.from_rows(read_interactions(test_path))
    return evaluate_models(
        train,
        test,
        {request.model: model},
        request.metrics,
        context,
        request.keep_seen,
        progress=lambda sentence: click.echo(sentence, err=True),
    )
