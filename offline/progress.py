"""Tells how far a long fit is and how long it will still take: a bar on a terminal, now and then a line elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from tqdm import tqdm

from offline.models import Pass, Progress

EVERY_S = 5.0


def fit_progress(label: str, say: Callable[[str], None], every_s: float = EVERY_S) -> Progress:
    """Make what a fit calls after each pass; it says a sentence at most every few seconds, so short fits are silent."""
    last_s = time.monotonic()

    def told(done: Pass) -> None:
        nonlocal last_s
        if done.number == done.passes or time.monotonic() - last_s < every_s:
            return
        last_s = time.monotonic()
        what = f", {done.said}" if done.said else ""
        say(f"{label}: pass {done.number} of {done.passes}{what}; {spell(done.seconds)} so far, about {spell(done.left_s)} left")

    return told


def spell(seconds: float) -> str:
    """A duration for people: 42 s, 3 min 10 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


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
