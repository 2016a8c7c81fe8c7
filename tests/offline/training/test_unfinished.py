"""What an unfinished run keeps in the lake: passes that another process goes on from, and lines that the driver says."""

import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from offline.models import Pass, create_model
from offline.models.contract import Arrays
from offline.training import unfinished
from offline.training.unfinished import LakeCheckpoint, followed, write_line
from tests.builders import random_interactions


class Interrupted(Exception):
    pass


@pytest.fixture(autouse=True)
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a node keeps what is local to it."""
    (tmp_path / "node").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "node"))


def checkpoint(folder: Path, subject: str = "the same") -> LakeCheckpoint:
    return LakeCheckpoint(f"file://{folder}/kept", "ials", subject, every_s=0.0)


def latest(folder: Path, subject: str = "the same") -> tuple[int, Arrays] | None:
    with checkpoint(folder, subject) as kept:
        return kept.latest()


def test_a_run_on_another_node_goes_on_and_leaves_nothing(tmp_path: Path) -> None:
    world = random_interactions()
    expected = create_model("ials", factors=8).fit(world).recommend(np.arange(60), 8)

    def interrupt(done: Pass) -> None:
        if done.number == 4:
            raise Interrupted

    with pytest.raises(Interrupted), checkpoint(tmp_path) as kept:
        create_model("ials", factors=8).fit(world, interrupt, kept)
    assert len(list((tmp_path / "kept").iterdir())) == 2  # one file of arrays, and what points to it
    passes: list[Pass] = []
    with checkpoint(tmp_path) as again:
        resumed = create_model("ials", factors=8).fit(world, passes.append, again).recommend(np.arange(60), 8)
        assert passes[0].number == 5
        np.testing.assert_array_equal(resumed.titles, expected.titles)
        again.remove()
        assert not (tmp_path / "kept").exists()
        again.remove()  # nothing left is no mistake
    assert list((tmp_path / "node").iterdir()) == []  # also of the run that failed


def test_of_another_subject_or_damaged_it_counts_as_nothing(tmp_path: Path) -> None:
    with checkpoint(tmp_path) as kept:
        kept.keep(3, lambda: {"some": np.zeros(2)})
    assert (latest(tmp_path) or (0,))[0] == 3
    assert latest(tmp_path, "other data") is None
    [tensors] = (tmp_path / "kept").glob("tensors-*")
    tensors.write_bytes(b"half")
    assert latest(tmp_path) is None


def test_lines_are_said_while_the_run_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfinished, "POLL_S", 0.01)
    url, said = f"file://{tmp_path}/kept", []
    write_line(url, "of an earlier run")

    def wait_for(count: int) -> None:
        deadline = time.monotonic() + 10
        while len(said) < count and time.monotonic() < deadline:
            time.sleep(0.01)

    with followed(url, said.append):
        time.sleep(0.05)
        for number in (1, 2):
            write_line(url, f"ials: pass {number} of 9; about {9 - number} s left")
            wait_for(number)
    assert said == ["  ials: pass 1 of 9; about 8 s left", "  ials: pass 2 of 9; about 7 s left"]
