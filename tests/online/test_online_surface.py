"""The public surface of `online`: complete, sorted, and light to import."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import online

HEAVY = {"pyspark", "torch", "faust", "pandas", "scipy", "kafka", "aiokafka", "jinja2", "rich", "pyarrow", "delta", "starlette"}


def test_all_is_sorted_and_each_name_is_there() -> None:
    assert online.__all__ == sorted(online.__all__, key=lambda name: (not name.isupper(), name))
    assert all(getattr(online, name) is not None for name in online.__all__)
    assert set(online.__all__) <= set(dir(online))
    with pytest.raises(AttributeError, match="module 'online' has no attribute 'nope'"):
        _ = online.nope


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(online.__file__).read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert imported - {"TYPE_CHECKING", "Any"} == set(online.__all__)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statement", "left_out"),
    [("import online", HEAVY | {"numpy", "redis", "msgspec"}), ("from online import Recommender", HEAVY)],
    ids=["package", "recommender"],
)
def test_import_loads_nothing_heavy(statement: str, left_out: set[str]) -> None:
    script = f"import sys, json; {statement}; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, timeout=60).stdout)
    tops = {name.partition(".")[0] for name in loaded}
    assert "online" in tops
    assert not tops & left_out
