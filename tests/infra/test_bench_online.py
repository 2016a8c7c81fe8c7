"""The bench of the request library on a small scale: the invented service, the guard against mixtures, and a whole run."""

from dataclasses import replace

import numpy as np
import pytest

from infra.bench.online import bare, running, timing
from infra.bench.online.marked import MARKS, MarkedWorld, mixture
from infra.bench.online.world import World
from online import Cell, Page, Row
from shared import state
from shared.errors import InputError

SMALL = World(titles=400, members=12, candidates=60, similar=10, played=(20, 40), now_ms=1_790_000_000_000)


def page_of(snapshot: str, cell: Cell) -> Page:
    """A page of one cell."""
    return Page(
        page_id="p",
        member_id="m0",
        at_ms=0,
        device="tv",
        country=None,
        snapshot=snapshot,
        fence={},
        state_age_ms=None,
        tier=cell.tier,
        rows=(Row(key=cell.row, name="Top Picks", cells=(cell,)),),
        fallbacks=(),
        seconds={},
    )


def test_the_invented_service_is_the_same_each_time_and_as_large_as_asked() -> None:
    first, again = list(SMALL.people()), list(replace(SMALL).people())
    assert [state.encode(member.state) for member in first] == [state.encode(member.state) for member in again]
    assert len(first) == 12
    for member in first:
        assert len(set(member.titles.tolist())) == 60
        assert (np.diff(member.scores) <= 0).all()
        assert 20 <= len(member.state.played) <= 40
        played = {int(entry.title_id[1:]) for entry in member.state.played}
        assert not played & set(member.titles.tolist())
        assert member.state == state.merge(member.state)  # ordered and bounded as the reducer would leave it


def test_marked_snapshots_name_the_same_titles_by_other_indices() -> None:
    one, other = (MarkedWorld(SMALL, mark) for mark in MARKS)
    ids = [[title.title_id for title in world.catalogue()] for world in (one, other)]
    assert ids[0] == ids[1][::-1]
    for mine, theirs in zip(one.people(), other.people(), strict=True):
        named = [ids[0][title] for title in mine.titles]
        assert named == [ids[1][title] for title in theirs.titles]
        assert all(int(ids[1][title][1:]) % 2 for title in mine.titles)  # under the wrong indices all are odd
    near, far = one.arrays(), other.arrays()
    assert [ids[0][title] for title in near["similar_titles"][7]] == [ids[1][title] for title in far["similar_titles"][-8]]
    assert [ids[0][title] for title in near["popular/DE"]] == [ids[1][title] for title in far["popular/DE"]]


@pytest.mark.parametrize(
    ("snapshot", "changes", "fault"),
    [
        ("Alpha1", {}, None),
        ("Beta1", {}, "'Alpha Drama' (matches your taste) in a page of Beta1"),
        ("Alpha1", {"evidence": "because you watched Beta Drama"}, "'Alpha Drama' (because you watched Beta Drama)"),
        ("Alpha1", {"title_id": "t7"}, "candidate t7 in a page of Alpha1"),
        ("Alpha1", {"title_id": "t7", "tier": "live"}, None),
    ],
)
def test_a_mixture_is_found(snapshot: str, changes: dict[str, str], fault: str | None) -> None:
    fields = {"title_id": "t8", "tier": "precomputed", "evidence": "matches your taste"} | changes
    cell = Cell(name="Alpha Drama", row="top-picks", row_index=0, rank=0, score=1.0, **fields)  # type: ignore[arg-type]
    found = mixture(page_of(snapshot, cell))
    assert found is None if fault is None else found is not None and found.startswith(fault)


def test_commands_are_asked_again_for_another_member() -> None:
    seen = (("HGET", "b:pointer:default", "current"), ("GET", "b:{m1}:cand:v1"), ("GET", "b:{m12}:cand:v1"))
    assert bare.for_member(seen, "m1", "m7")[1:] == [("GET", "b:{m7}:cand:v1"), ("GET", "b:{m12}:cand:v1")]


def test_calls_are_timed_in_turns_and_each_as_often() -> None:
    made: list[tuple[str, int]] = []
    calls = {name: lambda number, name=name: made.append((name, number)) for name in ("a", "b")}
    found = timing.in_turns(calls, 120, warm_up=3)
    assert [len(one.seconds) for one in found.values()] == [120, 120]
    assert made[:6] == [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1), ("b", 2)]
    assert [name for name, _ in made[6:]] == ["a"] * 50 + ["b"] * 50 + ["a"] * 50 + ["b"] * 50 + ["a"] * 20 + ["b"] * 20


def test_an_unknown_section_is_named() -> None:
    with pytest.raises(InputError, match="--only shelves: there is no such section; expected some of page, "):
        running.Plan(("shelves",))


@pytest.mark.slow
def test_pages_and_lists_are_measured_over_both_transports() -> None:
    said: list[str] = []
    rows, about = running.run(running.Plan(("page", "recommend"), members=300, calls=60), said.append)
    figures = {row.what: row for row in rows}
    for transport in ("socket", "tcp"):
        whole = next(row for what, row in figures.items() if what.startswith(f"{transport}: whole page (20.0 rows"))
        read = next(row for what, row in figures.items() if what.startswith(f"{transport}: bare pipelined read"))
        assert whole.values["p50_us"] > read.values["p50_us"] > 0
        assert whole.met is not None
        assert figures[f"{transport}: recommend(k=20)"].values["calls"] == 60
    assert about["members"] == 300
    assert said[0] == "— page"
