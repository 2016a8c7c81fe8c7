"""Tastes by genre: what was watched lately weighs more, and order and repeats of events change nothing."""

import random

import pytest

from shared.events import Feedback, Play
from shared.state import EMPTY, fold
from shared.tastes import LONG_HALF_LIFE_MS, SHORT_HALF_LIFE_MS, THUMB_WEIGHT, tastes
from tests.shared.test_state import feedback, play

GENRES = {"t1": ("Drama",), "t2": ("Comedy",), "t3": ("Drama", "Comedy")}
NOW_MS = 10 * LONG_HALF_LIFE_MS


def test_a_taste_halves_with_each_half_life() -> None:
    result = tastes(fold(EMPTY, [play("t1", NOW_MS - SHORT_HALF_LIFE_MS, 50.0)]), GENRES, NOW_MS)
    assert result.short == {"Drama": pytest.approx(0.25)}
    old = tastes(fold(EMPTY, [play("t1", NOW_MS - LONG_HALF_LIFE_MS, 95.0)]), GENRES, NOW_MS)
    assert old.long == {"Drama": pytest.approx(0.475)}
    assert old.short["Drama"] < 1e-6


def test_genres_share_a_title_and_thumbs_speak_loudest() -> None:
    state = fold(EMPTY, [play("t3", NOW_MS, 80.0), feedback("thumbs_up", "t1", NOW_MS), feedback("thumbs_down", "t2", NOW_MS)])
    assert tastes(state, GENRES, NOW_MS).long == pytest.approx({"Drama": 0.4 + THUMB_WEIGHT, "Comedy": 0.4 - THUMB_WEIGHT})


def test_a_title_given_up_counts_against_its_genres_and_an_unknown_one_tells_nothing() -> None:
    state = fold(EMPTY, [play("t1", NOW_MS, 2.0), play("unknown", NOW_MS, 90.0)])
    assert tastes(state, GENRES, NOW_MS).short == {"Drama": pytest.approx(-0.25)}


def test_order_and_repeats_give_the_same_tastes_to_the_last_bit() -> None:
    log: list[Play | Feedback] = [play(f"t{1 + n % 3}", NOW_MS - 977 * n, 7.0 * (n % 13)) for n in range(60)]
    expected = tastes(fold(EMPTY, log), GENRES, NOW_MS)
    random.Random(1).shuffle(log)
    assert tastes(fold(EMPTY, log + log[:30]), GENRES, NOW_MS) == expected
