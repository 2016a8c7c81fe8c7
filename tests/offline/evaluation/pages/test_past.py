from pathlib import Path

import numpy as np
import pytest

from offline.evaluation.pages.past import History
from shared.errors import InputError

TITLES = "title_id,name,genres,released_ms,runtime_s\nb,B,Drama|Crime,1000,100\na,A,,,100\nc,C,Drama,2000,100\n"
HEADER = "event_id,member_id,title_id,kind,session_id,at_ms,position_s,runtime_s,watched_s,device,country\n"
START_MS = 1_700_000_000_000


def plays(*rows: tuple[str, str, str, float]) -> str:
    """Member, title, session and share watched of each, an hour apart."""
    return HEADER + "".join(
        f"e{at},{member},{title},stop,{session},{START_MS + at * 3_600_000},{share * 100},100,1,tv,US\n"
        for at, (member, title, session, share) in enumerate(rows)
    )


def folder(path: Path, **files: str) -> str:
    for name, text in files.items():
        (path / f"{name}.csv").write_text(text)
    return str(path)


def test_weights_are_those_of_the_nightly_labels(tmp_path: Path) -> None:
    rows = [
        ("m", "a", "s", 0.2), ("m", "a", "s", 0.6), ("m", "a", "t", 1.0), ("m", "b", "s", 0.01), ("n", "b", "s", 0.5),
        ("n", "c", "s", 1.0), ("n", "c", "t", 1.0), ("n", "c", "u", 1.0),
    ]  # fmt: skip
    history = History.read(folder(tmp_path, titles=TITLES, plays=plays(*rows)))
    assert [title.title_id for title in history.titles] == ["a", "b", "c"]
    assert history.titles[1].genres == ("Drama", "Crime")
    found = history.interactions()
    assert found.matrix.toarray() == pytest.approx(np.array([[1.6, 0, 0], [0, 0.5, 2.0]]))
    assert found.matrix.nnz == 4  # the glance is known as seen
    assert found.at_ms is not None
    assert found.at_ms.tolist() == [START_MS + at * 3_600_000 for at in (2, 3, 4, 7)]


def test_ratings_weigh_by_their_mean(tmp_path: Path) -> None:
    text = f"member_id,title_id,at_ms,weight\nm,a,{START_MS},4\nm,b,{START_MS + 1},1\nn,a,{START_MS + 2},4\n"
    history = History.read(folder(tmp_path, titles=TITLES, interactions=text))
    assert history.interactions().matrix.toarray() == pytest.approx(np.array([[4 / 3, 1 / 3], [4 / 3, 0]]))


def test_the_cut_leaves_equal_times_together(tmp_path: Path) -> None:
    text = "member_id,title_id,at_ms\n" + "".join(f"m{at},a,{START_MS + min(at, 7)}\n" for at in range(10))
    history = History.read(folder(tmp_path, titles=TITLES, interactions=text))
    past, later = history.cut(0.1)
    assert (past.plays.num_rows, later.plays.num_rows) == (7, 3)
    assert past.at_ms.max() < later.at_ms.min()
    assert later.of_members(["m9", "m2"]).plays["member_id"].to_pylist() == ["m9"]


def test_a_history_of_one_moment_cannot_be_split(tmp_path: Path) -> None:
    text = "member_id,title_id,at_ms\n" + "".join(f"m{at},a,{START_MS}\n" for at in range(10))
    history = History.read(folder(tmp_path, titles=TITLES, interactions=text))
    with pytest.raises(InputError, match="10 plays cannot be split by time"):
        history.cut(0.2)


def test_a_play_told_twice_counts_once_and_bad_lines_are_refused(tmp_path: Path) -> None:
    twice = plays(("m", "a", "s", 0.5), ("m", "b", "s", 0.5))
    history = History.read(folder(tmp_path, titles=TITLES, plays=twice + twice.splitlines()[1] + "\n"))
    assert history.plays.num_rows == 2
    with pytest.raises(InputError, match=r"1 of 2 lines cannot be used.*plays.csv line 3.*'q'"):
        History.read(folder(tmp_path, titles=TITLES, plays=plays(("m", "a", "s", 0.5), ("m", "q", "s", 0.5))))
