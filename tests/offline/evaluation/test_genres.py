import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from offline.evaluation.genres import calibration, genre_shares, read_genres
from offline.interactions import Interactions, id_array
from shared.errors import InputError

GENRES = {"a": ["Drama"], "b": ["Drama", "Comedy"], "c": ["Comedy"], "d": []}
TITLES = id_array(["a", "b", "c", "d", "e"])


def test_shares_of_a_title_sum_to_one() -> None:
    shares = genre_shares(GENRES, TITLES).toarray()  # Comedy, Drama
    assert shares.tolist() == [[0, 1], [0.5, 0.5], [1, 0], [0, 0], [0, 0]]


def test_calibration_is_steck_s_divergence() -> None:
    histories = Interactions.from_columns([*"mmmno"], [*"aabcd"], weight=[1, 1, 1, 1, 1]).on_titles(TITLES).matrix
    lists = np.array([[2, 1], [2, -1], [0, 1]], np.int32)
    found = calibration(lists, histories, genre_shares(GENRES, TITLES))
    p, q = np.array([0.25, 0.75]), np.array([0.75, 0.25])
    smoothed = 0.99 * q + 0.01 * p
    assert found[0] == pytest.approx(float((p * np.log(p / smoothed)).sum()))
    assert found[1] == pytest.approx(0.0, abs=1e-12)  # in the proportions of its history
    assert np.isnan(found[2])  # a history without genres


def test_a_list_without_the_history_s_genre_is_as_far_as_can_be() -> None:
    histories = Interactions.from_columns(["m"], ["a"]).on_titles(TITLES).matrix
    found = calibration(np.array([[2]], np.int32), histories, genre_shares(GENRES, TITLES))
    assert found[0] == pytest.approx(math.log(100))


def test_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "titles.csv").write_text("title_id,name,genres\n1,One,Drama|Comedy\n2,Two,\n")
    assert read_genres(tmp_path / "titles.csv") == {"1": ["Drama", "Comedy"], "2": []}
    table = pa.table({"title_id": ["1", "2"], "genres": [["Drama"], None]})
    pyarrow.parquet.write_table(table, tmp_path / "titles.parquet")
    assert read_genres(tmp_path / "titles.parquet") == {"1": ["Drama"], "2": []}


def test_bad_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "titles.csv").write_text("title_id,name\n1,One\n")
    with pytest.raises(InputError, match="there is no column 'genres'; expected title_id and genres, found title_id, name"):
        read_genres(tmp_path / "titles.csv")
    with pytest.raises(InputError, match="no such file; expected titles as"):
        read_genres(tmp_path / "missing.csv")


def test_titles_without_any_genre_are_refused() -> None:
    with pytest.raises(InputError, match="none of the 5 titles"):
        genre_shares({"x": ["Drama"]}, TITLES)
