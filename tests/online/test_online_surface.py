"""The public surface of `online`: complete, sorted, and light to import."""

import json
import subprocess
import sys
import types

import pytest

import online

HEAVY = ("pyspark", "torch", "faust", "pandas", "scipy", "kafka", "aiokafka", "jinja2", "rich", "pyarrow", "delta")


def test_all_is_sorted_and_complete() -> None:
    assert online.__all__ == sorted(online.__all__, key=lambda name: (not name.isupper(), name))
    public = {
        name for name, value in vars(online).items() if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert set(online.__all__) == public


@pytest.mark.slow
def test_import_loads_nothing_heavy() -> None:
    script = "import sys, json, online; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, timeout=60).stdout)
    tops = {name.partition(".")[0] for name in loaded}
    assert "online" in tops
    assert not tops & set(HEAVY)
