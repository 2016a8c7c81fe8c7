"""`python -m offline train`: any model on an interaction file, or the models in use on the lake's plays."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from shared.cli import config_option
from shared.errors import InputError
from shared.whole_files import writable, write_whole

if TYPE_CHECKING:
    from offline.training.record import RunRecord

DEFAULT_MODEL = "blend"
CHECKPOINT, RECORD = "checkpoint", "run.json"
VALIDATION = ("recall@20", "ndcg@20")


def train_command(on_lake: Callable[[str | None, str | None, bool], None]) -> click.Command:
    """Make the command.

    Parameters
    ----------
    on_lake : trains on the lake; given the configuration file, the model (None: the one in use), and whether to train though
        nothing has changed.
    """

    @click.command("train")
    @click.option("--train", "train_path", type=click.Path(path_type=Path), help="Interactions to learn from.")
    @click.option("--model", default=None, help="Name of the model.  [default: blend; on the lake, the one in use]")
    @click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="A setting of the model; may be repeated.")
    @click.option("--to", "folder", type=click.Path(path_type=Path), help="Folder for the model and the record of the run.")
    @click.option("--validation", type=click.Path(path_type=Path), help="Interactions to find, for the record.")
    @click.option("--checkpoint-s", default=30.0, show_default=True, help="Least time between two checkpoints, in seconds.")
    @config_option
    @click.option("--force", is_flag=True, help="On the lake: train even when nothing has changed.")
    def train(
        train_path: Path | None,
        model: str | None,
        assignments: tuple[str, ...],
        folder: Path | None,
        validation: Path | None,
        checkpoint_s: float,
        config_path: str | None,
        force: bool,
    ) -> None:
        """Fit a model on a file of interactions and save it; without a file, on the lake's plays.

        Files are CSV, CSV.gz or Parquet with the columns member_id, title_id and, where known, weight, at_ms, country. The folder
        gets the model and run.json: settings, data, metrics, seconds, memory, device, versions.

        Ctrl-C or a TERM signal ends the run after the pass that it is at; so long, and whatever ends it otherwise, its passes are
        kept in the folder, and the same command goes on from there. A second Ctrl-C ends it at once.
        """
        if train_path is None:
            if assignments or folder is not None or validation is not None:
                raise InputError("--set, --to and --validation go with --train FILE; on the lake, marquee.toml has the settings")
            on_lake(config_path, model, force)
        elif folder is None:
            raise InputError("--to FOLDER is missing; the model and the record of the run are written there")
        else:
            _train_file(train_path, model or DEFAULT_MODEL, assignments, folder, validation, checkpoint_s)

    return train


def _train_file(
    train_path: Path, name: str, assignments: tuple[str, ...], folder: Path, validation_path: Path | None, checkpoint_s: float
) -> None:
    # Loading torch takes seconds, which `--help` and a mistyped option should not wait for.
    from offline.evaluation.asking import parse_assignments
    from offline.evaluation.protocol import prepare
    from offline.interaction_files import read_interactions
    from offline.interactions import Interactions
    from offline.models import create_model
    from offline.progress import shown
    from offline.training.checkpoint import CheckpointFolder
    from offline.training.fitting import StoppedError, fit, subject
    from offline.training.record import Data
    from offline.training.validation import metrics_on

    model = create_model(name, **parse_assignments(assignments))
    interactions = Interactions.from_rows(read_interactions(train_path))
    task = None
    if validation_path is not None:  # where there is nothing to find, that is told before the fit
        validation = Interactions.from_rows(read_interactions(validation_path))
        task = prepare(interactions, validation, None, keep_seen=False)
    data = Data.of(interactions, str(train_path))
    kept = CheckpointFolder(folder / CHECKPOINT, name, subject(model, data.fingerprint), every_s=checkpoint_s)
    with _stopping() as stop, shown(name) as told:
        try:
            record = fit(model, interactions, data, kept, told, stop.asked)
        except StoppedError as stopped:
            click.echo(f"stopped after pass {stopped.number}, which is kept; the same command goes on from there", err=True)
            sys.exit(128 + stop.signal)
    if task is not None:
        found = metrics_on(model, task, VALIDATION)
        record = msgspec.structs.replace(record, metrics={**record.metrics, **found})
    model.save(folder)
    with writable(folder / RECORD, "the record"):
        write_whole(folder / RECORD, record.to_json())
    kept.remove()
    click.echo(_summary(record, folder))


class _Stop:
    """Whether to stop, and the signal that asked for it."""

    def __init__(self) -> None:
        self.asked, self.signal = threading.Event(), 0


@contextmanager
def _stopping() -> Iterator[_Stop]:
    """Take the first Ctrl-C or TERM for a wish to stop at the next pass, and leave a second one its usual effect."""
    stop = _Stop()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(number: int, frame: Any) -> None:
        stop.signal = number
        stop.asked.set()
        click.echo("stopping after this pass; once more stops at once", err=True)
        restore()

    for number in signals:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        restore()


def _summary(record: "RunRecord", folder: Path) -> str:
    data = record.data
    resumed = "" if record.resumed_from is None else f", gone on from pass {record.resumed_from}"
    lines = [
        f"{record.model}: {data.entries:,} interactions of {data.members:,} members and {data.titles:,} titles",
        f"fitted in {record.seconds:.1f} s ({record.cpu_seconds:.1f} CPU-s, at most {record.peak_memory_mb:,.0f} MiB{resumed})",
        *(f"{name} {value:.4f}" for name, value in record.metrics.items()),
        f"saved in {folder}, with {RECORD}",
    ]
    return "\n".join(lines)
