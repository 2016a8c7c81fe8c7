"""Runs a command as a person does, and holds what it says against what every command promises for bad input."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import QUICK_JVM

ROOT = Path(__file__).parents[2]
LIMIT_S = 250
INCUBATOR = "WARNING: Using incubator modules: jdk.incubator.vector\n"
"""What the JVM itself says when Spark starts; nothing switches it off."""

QUICK_SPARK = f"""
[spark]
master = "local[2]"
shuffle_partitions = 2
settings = {{ "spark.driver.extraJavaOptions" = "{QUICK_JVM}" }}
"""


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one sentence on standard error, without `error: `; anything else there, or another exit code, fails the test."""
        err = self.err.replace(INCUBATOR, "")
        assert (self.code, err.count("\n"), err[:7]) == (2, 1, "error: "), self
        return err.removeprefix("error: ").rstrip("\n")


def run(folder: Path, *arguments: str | Path, environment: Mapping[str, str] | None = None, before: Sequence[str] = ()) -> Ended:
    """Run `python -m ARGUMENTS` in a folder.

    Parameters
    ----------
    environment : None takes this process's own, without a configuration.
    before : words before the command, such as `unshare --mount`.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MARQUEE_CONFIG")}
    done = subprocess.run(
        [*before, sys.executable, "-m", *map(str, arguments)],
        cwd=folder,
        env={**(inherited if environment is None else environment), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def files(folder: Path) -> set[Path]:
    """All that lies below a folder."""
    return set(folder.rglob("*"))
