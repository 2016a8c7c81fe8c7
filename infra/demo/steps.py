"""Prints the demo's steps as they go, each with its time, and the table of all of them at the end."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table


@dataclass
class Steps:
    """The steps of one run. A step's line of facts is what `facts` was told while it ran."""

    console: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True))
    done: list[tuple[str, float, str]] = field(default_factory=list)
    _facts: list[str] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time what runs inside, show that it runs, and print how long it took."""
        self._facts = []
        began_s = time.monotonic()
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True) as progress:
            progress.add_task(f"{name} …", total=None)
            yield
        self.record(name, time.monotonic() - began_s, "; ".join(self._facts))

    def facts(self, text: str) -> None:
        """Something worth telling about the running step."""
        self._facts.append(text)

    def record(self, name: str, seconds: float, facts: str = "") -> None:
        """Print a step that is done."""
        self.done.append((name, seconds, facts))
        self.console.print(f"[green]✓[/] {name:<44} [bold]{seconds:6.1f} s[/]  [dim]{facts}[/]")

    def print(self, text: str) -> None:
        """Print lines as they are, however wide the terminal."""
        self.console.print(text, markup=False)

    def table(self) -> Table:
        """All steps with their times."""
        table = Table(title="What ran", title_justify="left")
        table.add_column("step")
        table.add_column("seconds", justify="right")
        table.add_column("what it did", style="dim")
        for name, seconds, facts in self.done:
            table.add_row(name, f"{seconds:.1f}", facts)
        return table
