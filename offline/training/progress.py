"""Shows how far a fit is and how long it will still take: a bar on a terminal, now and then a line elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
from tqdm import tqdm

from offline.evaluation.progress import fit_progress
from offline.models import Pass, Progress


@contextmanager
def shown(label: str) -> Iterator[Progress]:
    """What a fit calls after each pass, told on standard error while the block runs."""
    if not sys.stderr.isatty():
        yield fit_progress(label, lambda line: click.echo(line, err=True))
        return
    with tqdm(desc=label, unit="pass", file=sys.stderr) as bar:

        def told(done: Pass) -> None:
            if bar.total is None:
                bar.reset(done.passes)
                bar.initial = done.number - done.fresh  # passes of an earlier run say nothing about this one's pace
            bar.n = done.number
            bar.set_postfix_str(done.said)

        yield told
