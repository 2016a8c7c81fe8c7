"""Importing the shared package and the online library loads nothing heavy."""

import subprocess
import sys

import pytest

HEAVY = ("pyspark", "torch", "faust", "pandas", "scipy", "jinja2", "kafka")


@pytest.mark.parametrize("modules", ["shared.events, shared.state, shared.store, shared.snapshots, shared.config", "online"])
def test_nothing_heavy_is_loaded(modules: str) -> None:
    check = f"import sys, {modules}; print([name for name in {HEAVY!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout.strip() == "[]"
