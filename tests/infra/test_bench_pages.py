"""The bench of pages after a shift of taste, on a small scale."""

import msgspec
import numpy as np
import pytest

from infra.bench.online.shifting import BROWSE, FIGURES, KINDS, KNOWN, NEXT, Size, Stand, judge, prepare, simulate
from infra.bench.online.shifting import _row as row
from infra.demo import pages
from shared.config import Config, DeviceFormat, TrainingConfig

SMALL = Size(members=300, titles=200, plays=9000, sessions=120, seed=3)
CONFIG = Config(training=TrainingConfig(model="ials", factors=16, iterations=4, candidates=60))


@pytest.fixture(scope="module")
def stand() -> Stand:
    return prepare(SMALL, CONFIG)


def test_the_browse_model_is_the_world_s_own() -> None:
    device = DeviceFormat(rows=pages.ROWS, row_length=pages.RANKS, visible_rows=2, visible_cells=3)
    assert BROWSE.on(device).matrix == pytest.approx(pages.examination(), rel=1e-5)


def test_sessions_follow_the_taste_that_members_turned_to(stand: Stand) -> None:
    world, sessions = stand.world, stand.sessions
    assert len(sessions.members) == len(set(sessions.members.tolist())) == SMALL.sessions
    assert [play.at_ms for play in sessions.known[0]] == sorted(play.at_ms for play in sessions.known[0])
    assert all(play.at_ms > world.end_ms for plays in sessions.known for play in plays)
    assert all(len(plays) == KNOWN for plays in sessions.known)
    assert all(len(wanted) <= NEXT for wanted in sessions.wanted)
    again = simulate(world, SMALL)
    assert again.known == sessions.known
    assert again.wanted == sessions.wanted

    def liking(members: np.ndarray) -> float:
        """How much members like what is wanted in the sessions, by the taste that they had before."""
        each = zip(members, sessions.wanted, strict=True)
        return float(np.mean([world.truth.affinity(np.array([m]), np.array(w)).mean() for m, w in each if w]))

    plays = world.plays
    usual = np.einsum(
        "nd,nd->n", world.population.taste_last[plays.member], world.catalogue.vectors[plays.title]
    ).mean()  # what they played before
    assert liking(sessions.members) < 0.6 * usual


def test_three_kinds_of_pages_stand_side_by_side(stand: Stand) -> None:
    report = judge(stand)
    assert tuple(report.figures) == KINDS
    assert report.baseline == "blended"
    assert report.visits == report.members == sum(bool(wanted) for wanted in stand.sessions.wanted)
    for found in report.figures.values():
        assert 0.1 < found["ndcg"].mean < 0.5
    for figure in FIGURES:
        told = row(report, figure)
        ahead = all(report.differences[name][figure].high < 0 for name in KINDS[1:])
        assert told.met == ahead
        assert f"blended {report.figures['blended'][figure].mean:.4f}" in told.figure


def test_precomputed_pages_know_nothing_of_the_session_and_the_others_do(stand: Stand) -> None:
    sessions = stand.sessions
    others = [
        [msgspec.structs.replace(play, title_id=f"t{(int(play.title_id[1:]) + 97) % SMALL.titles}") for play in plays]
        for plays in sessions.known
    ]
    before, after = judge(stand).figures, judge(stand._replace(sessions=sessions._replace(known=others))).figures
    for figure in FIGURES:
        assert after["precomputed"][figure] == before["precomputed"][figure]
    assert after["blended"]["ndcg"] != before["blended"]["ndcg"]
    assert after["live"]["ndcg"] != before["live"]["ndcg"]
