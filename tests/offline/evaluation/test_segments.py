from typing import Any

import numpy as np
import pytest

from offline.evaluation.protocol import Task, prepare
from offline.evaluation.segments import DAY_MS, KINDS, find_segments, relevant_in
from offline.interactions import Interactions
from shared.errors import InputError

NOW_MS = 1000 * DAY_MS


def world(rows: list[tuple[str, str, int, str | None]], test: list[tuple[str, str]]) -> tuple[Task, Interactions]:
    """Rows of member, title, days ago, country; a test of member and title."""
    members, titles, days, countries = zip(*rows, strict=True)
    train = Interactions.from_columns(members, titles, at_ms=[NOW_MS - day * DAY_MS for day in days], country=countries)
    return prepare(train, Interactions.from_columns(*zip(*test, strict=True)), None, keep_seen=False), train


def named(kind: str, task: Task, train: Interactions) -> dict[str, list[str]]:
    found = find_segments([kind], task, train).get(kind, [])
    return {part.name: task.member_ids[part.members].tolist() for part in found}


ROWS: list[tuple[str, str, int, str | None]] = [
    ("a", "t1", 300, "US"),
    ("a", "t2", 0, "US"),
    ("a", "t3", 200, "US"),
    ("b", "t1", 20, "DE"),
    ("b", "t3", 3, "DE"),
    ("c", "t1", 2, None),
]
TEST = [("a", "t4"), ("b", "t2"), ("c", "t3"), ("d", "t1")]


def test_members_are_told_apart() -> None:
    task, train = world(ROWS, TEST)
    assert named("activity", task, train) == {"no history": ["d"], "1 titles": ["c"], "2 titles": ["b"], "3 titles": ["a"]}
    assert named("age", task, train) == {
        "no history": ["d"],
        "under a week": ["c"],
        "a week to a month": ["b"],
        "over six months": ["a"],
    }
    assert named("country", task, train) == {"DE": ["b"], "US": ["a"], "country not known": ["c", "d"]}


def test_segments_of_members_hold_everybody_once() -> None:
    random = np.random.default_rng(0)
    rows: list[Any] = [
        (f"m{random.integers(80)}", f"t{random.integers(50)}", int(random.integers(400)), f"C{random.integers(15)}")
        for _ in range(900)
    ]
    rows.append(("somebody", "x0", 1, None))
    task, train = world(rows, [(f"m{member}", f"x{member}") for member in range(85)])
    found = find_segments(["activity", "age", "country"], task, train)
    assert list(found) == ["activity", "age", "country"]
    for parts in found.values():
        assert sum(part.members.astype(int) for part in parts).tolist() == [1] * 85
    assert [part.name for part in found["country"]][-2:] == ["other countries", "country not known"]
    sizes = [int(part.members.sum()) for part in found["activity"] if part.name != "no history"]
    assert max(sizes) < 45


def test_new_titles_are_few_played_lately_first_played_or_unknown() -> None:
    rows = [(f"m{member}", "old", 100 + member, None) for member in range(20)]
    rows += [(f"m{member}", "hot", 1, None) for member in range(3)] + [("m0", "rare", 90, None)]
    task, train = world(rows, [("m5", "hot"), ("m6", "rare"), ("m7", "unheard"), ("n", "old")])
    new, established = find_segments(["titles"], task, train)["titles"]
    assert task.member_ids[new.members].tolist() == ["m5", "m6", "m7"]
    assert task.member_ids[established.members].tolist() == ["n"]
    assert relevant_in(task, new).tolist() == [1, 1, 1, 0]


def test_many_lately_make_a_title_no_older() -> None:
    rows = [(f"m{member}", "old", 100 + member, None) for member in range(95)]
    rows += [(f"m{member}", "hot", 1, None) for member in range(8)]
    task, train = world(rows, [("m20", "hot"), ("n", "old")])
    new = find_segments(["titles"], task, train)["titles"][0]
    assert task.member_ids[new.members].tolist() == ["m20"]


def test_kinds_that_tell_nothing_apart_are_left_out() -> None:
    train = Interactions.from_columns([*"aabbc"], [*"xyxyz"])
    task = prepare(train, Interactions.from_columns([*"ab"], [*"zz"]), None, keep_seen=False)
    assert find_segments(list(KINDS), task, train) == {}
    with pytest.raises(InputError, match="unknown segments 'age '; expected some of activity, age, country, titles"):
        find_segments(["age "], task, train)
