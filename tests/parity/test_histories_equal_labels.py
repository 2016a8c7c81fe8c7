"""A title weighs the same whether the log says so offline or the member's state says so live."""

import msgspec
import pytest

from offline import labels
from shared import histories, state
from shared.config import Config
from tests.offline.pipeline import context, play_rows, plays

pytestmark = pytest.mark.slow


def test_weights_of_the_state_are_those_of_the_log_where_each_title_was_one_session(config: Config) -> None:
    lake = context(config).lake
    latest = {(play.member_id, play.title_id): play for play in plays(1500)}.values()
    made = [msgspec.structs.replace(play, session_id=f"s-{play.title_id}") for play in latest]
    offline: dict[str, dict[str, float]] = {}
    for row in labels.interactions(play_rows(lake, made)).collect():
        if row["weight"] > 0:
            offline.setdefault(row["member_id"], {})[row["title_id"]] = row["weight"]
    live = {
        member_id: histories.weights(state.fold(state.EMPTY, [play for play in made if play.member_id == member_id]))
        for member_id in offline
    }
    assert len(offline) == 30
    assert live == {member_id: pytest.approx(weights, abs=1e-3) for member_id, weights in offline.items()}
