"""The simulated world: the same every time, consistent in itself, and with the properties of real logs that others lean on."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from infra.demo import pages, viewing
from infra.demo.catalogue import COUNTRIES, DAY_MS, UTC_OFFSET_H
from infra.demo.moods import MOODS, RATINGS
from infra.demo.world import World
from offline.layouts import PLAY_SCHEMA, detect
from shared import events
from shared.errors import InputError

SIZES = {"members": 3000, "titles": 600, "plays": 60_000, "days": 28}


@pytest.fixture(scope="module")
def world() -> World:
    return World.generate(**SIZES)


def gini(counts: np.ndarray) -> float:
    ordered = np.sort(counts)
    ranks = np.arange(1, len(ordered) + 1)
    return float(2 * np.dot(ranks, ordered) / (len(ordered) * ordered.sum()) - (len(ordered) + 1) / len(ordered))


def test_the_seed_decides(world: World) -> None:
    small = {"members": 200, "titles": 150, "plays": 2000, "days": 7}
    first, again, other = World.generate(**small), World.generate(**small), World.generate(**small, seed=8)
    assert first.plays_table().equals(again.plays_table())
    assert first.titles_table().equals(again.titles_table())
    assert np.array_equal(first.impressions.title, again.impressions.title)
    assert not first.plays_table().drop_columns("event_id").equals(other.plays_table().drop_columns("event_id"))
    assert not set(first.plays_table()["event_id"].to_pylist()) & set(other.plays_table()["event_id"].to_pylist())


def test_sizes_and_order(world: World) -> None:
    table = world.plays_table()
    assert table.num_rows == SIZES["plays"]
    assert table.schema.equals(PLAY_SCHEMA)
    assert len(table["event_id"].unique()) == SIZES["plays"]
    assert len(set(world.catalogue.names)) == SIZES["titles"]
    at_ms = world.plays.at_ms
    assert np.all(np.diff(at_ms) >= 0)
    assert at_ms[0] >= world.start_ms
    assert at_ms[-1] < world.end_ms
    assert np.all(np.diff(world.impressions.at_ms) >= 0)
    assert len(np.unique(world.plays.member)) > 0.8 * SIZES["members"]
    assert {1, 2, 3} == {len(genres) for genres in world.catalogue.genres}


@pytest.mark.parametrize("changes", [{"titles": 99}, {"titles": 40_000}, {"days": 0}, {"plays": -1}])
def test_sizes_that_cannot_be(changes: dict[str, int]) -> None:
    with pytest.raises(InputError, match="the simulated world has"):
        World.generate(**(SIZES | changes))


def test_moods_follow_what_a_title_is_and_origins_where_it_is_watched(world: World) -> None:
    catalogue = world.catalogue
    told = catalogue.told
    assert all(1 <= len(moods) == len(set(moods)) <= 3 and set(moods) <= set(MOODS) for moods in told.moods)
    has = {mood: np.array([mood in moods for moods in told.moods]) for mood in MOODS}
    alike = (catalogue.vectors @ catalogue.vectors.T)[:, :, None]  # (titles, titles, 1)
    within = np.mean([alike[some][:, some].mean() for some in has.values()])
    assert within > alike.mean() + 0.1
    horror = np.array(["Horror" in genres for genres in catalogue.genres])
    assert has["Chilling"][horror].mean() > 2 * has["Chilling"][~horror].mean()
    level = np.array([RATINGS.index(rating) for rating in told.ratings])
    family = np.array(["Family" in genres for genres in catalogue.genres])
    assert level[family].mean() < level[~family].mean() - 0.5
    made_in_germany = np.array(told.origins) == "DE"
    own = catalogue.log_popularity[COUNTRIES.index("DE")] - catalogue.log_popularity.mean(axis=0)
    assert own[made_in_germany].mean() > own[~made_in_germany].mean() + 0.1


def test_popularity_is_skewed_as_in_real_catalogues(world: World) -> None:
    plays = np.bincount(world.plays.title, minlength=SIZES["titles"])
    assert 0.5 < gini(plays) < 0.85
    assert 0.2 < np.sort(plays)[::-1][: SIZES["titles"] // 20].sum() / plays.sum() < 0.6
    assert gini(np.bincount(world.plays.member, minlength=SIZES["members"])) > 0.4  # members differ in how much they watch


def test_positions_times_and_sources_are_consistent(world: World) -> None:
    plays = world.plays
    runtime_s = world.catalogue.runtime_s[plays.title]
    assert np.all(plays.watched_s > 0)
    assert np.all(plays.watched_s <= plays.position_s)
    assert np.all(plays.position_s <= runtime_s)
    assert np.all((plays.row >= 0) == (plays.source == viewing.FROM_PAGE))
    assert np.all((plays.row >= 0) == (plays.rank >= 0))
    page = world.impressions
    assert np.array_equal(page.member[plays.session], plays.member)
    assert np.all(plays.at_ms - 1000 * plays.watched_s >= page.at_ms[plays.session] - 1)  # it began after the page was shown
    from_page = plays.row >= 0
    shown = page.title[plays.session[from_page], plays.row[from_page], plays.rank[from_page]]
    assert np.array_equal(shown, plays.title[from_page])
    shares = np.bincount(plays.source, minlength=3) / len(plays)
    assert np.all(shares > 0.05)
    assert shares[viewing.FROM_PAGE] > 0.5


def test_nothing_is_played_or_shown_before_its_release_or_where_it_is_not_available(world: World) -> None:
    plays, page, catalogue = world.plays, world.impressions, world.catalogue
    begun_ms = plays.at_ms - 1000 * plays.watched_s
    assert np.all(begun_ms >= catalogue.released_ms[plays.title])
    assert np.all(begun_ms >= world.population.signed_up_ms[plays.member])
    assert catalogue.available[world.population.country[plays.member], plays.title].all()
    assert np.all(page.at_ms[:, None, None] >= catalogue.released_ms[page.title])
    assert catalogue.available[world.population.country[page.member][:, None, None], page.title].all()
    new = catalogue.released_ms > world.start_ms
    assert 3 <= new.sum() < 0.2 * len(new)
    assert np.isin(np.flatnonzero(new), plays.title).mean() > 0.5


def test_a_row_shows_no_title_twice_and_its_propensities_are_the_frequencies() -> None:
    world = World.generate(members=50, titles=150, plays=100, days=2)
    pools = pages.make_pools(world.catalogue, world.population, world.end_ms - DAY_MS, np.random.default_rng(1))
    assert np.all(pools.steps.sum(axis=1) == pages.STEPS)
    member = np.zeros(40_000, dtype=np.int64)
    shown, chance = pages.draw(pools, world.population, member, np.random.default_rng(2))
    for row in range(pages.ROWS):
        assert all(len(set(titles)) == pages.RANKS for titles in shown[:500, row].tolist())
        for rank in (0, 7):
            counts = np.bincount(shown[:, row, rank], minlength=150)
            logged = np.zeros(150)
            logged[shown[:, row, rank]] = chance[:, row, rank] / pages.STEPS
            expected = logged * len(member)
            assert logged.sum() == pytest.approx(1.0, abs=0.01)
            assert np.all(np.abs(counts - expected) < 5 * np.sqrt(expected + 1))


def test_position_bias_shows_in_the_plays(world: World) -> None:
    plays, page = world.plays, world.impressions
    from_page = plays.row >= 0
    cell = plays.row[from_page].astype(int) * pages.RANKS + plays.rank[from_page]
    rate = np.bincount(cell, minlength=pages.ROWS * pages.RANKS).reshape(pages.ROWS, pages.RANKS) / len(page)
    truth = world.truth.examination
    for row in range(pages.ROWS):  # the titles of a row are alike at all its ranks, so what differs is the looking
        assert np.corrcoef(np.log(rate[row]), np.log(truth[row]))[0, 1] > 0.9
        assert rate[row, 0] > 2 * rate[row, -1]
    along = rate.sum(axis=0)
    assert np.all(np.diff(along[:5]) < 0)
    assert np.all(np.diff(truth, axis=0) < 0)
    assert np.all(np.diff(truth, axis=1) < 0)
    assert len(np.unique(plays.session)) < len(page)  # some pages are left without a play


def test_rhythm_of_hours_and_weekdays(world: World) -> None:
    page = world.impressions
    offset_ms = np.array(UTC_OFFSET_H)[world.population.country[page.member]] * 3_600_000
    local_ms = page.at_ms + offset_ms
    hour = (local_ms // 3_600_000 % 24).astype(int)
    by_hour = np.bincount(hour, minlength=24)
    assert 18 <= by_hour.argmax() <= 22
    assert by_hour[20] > 8 * by_hour[4]
    for country in (COUNTRIES.index("US"), COUNTRIES.index("JP")):  # each by its own clock
        assert 18 <= np.bincount(hour[world.population.country[page.member] == country], minlength=24).argmax() <= 22
    by_weekday = np.bincount(((local_ms // DAY_MS + 3) % 7).astype(int), minlength=7)
    assert by_weekday[5] > 1.2 * by_weekday[1]  # four whole weeks


def test_taste_decides_what_is_played_and_finished(world: World) -> None:
    plays, truth = world.plays, world.truth
    pick = np.random.default_rng(3).choice(len(plays), 3000, replace=False)
    affinity = truth.affinity(plays.member[pick].astype(np.int64), np.arange(SIZES["titles"]), 0.5)
    played = affinity[np.arange(3000), plays.title[pick]]
    assert played.mean() > affinity.mean() + 0.15
    finished = plays.position_s[pick] >= 0.9 * world.catalogue.runtime_s[plays.title[pick]]
    order = np.argsort(played)
    assert finished[order[-1000:]].mean() > finished[order[:1000]].mean() + 0.2
    finished = plays.position_s >= 0.95 * world.catalogue.runtime_s[plays.title]
    assert finished.mean() == pytest.approx(truth.finish_probability.mean(), abs=0.01)
    for low, high in ((0.0, 0.3), (0.3, 0.6), (0.6, 1.0)):
        band = (truth.finish_probability >= low) & (truth.finish_probability < high)
        assert finished[band].mean() == pytest.approx(truth.finish_probability[band].mean(), abs=0.03)


def test_members_of_a_taste_group_are_alike_and_tastes_drift(world: World) -> None:
    population, group = world.population, world.truth.taste_group
    likeness = population.taste_first[:800] @ population.taste_first[:800].T
    same = group[:800, None] == group[None, :800]
    np.fill_diagonal(same, False)
    assert likeness[same].mean() > likeness[group[:800, None] != group[None, :800]].mean() + 0.2
    kept = np.einsum("nd,nd->n", population.taste_first, population.taste_last)
    assert 0.7 < kept.mean() < 0.99


def test_films_are_rarely_watched_twice_and_series_are_returned_to(world: World) -> None:
    pairs = Counter(zip(world.plays.member.tolist(), world.plays.title.tolist(), strict=True))
    again = {True: 0, False: 0}
    once = {True: 0, False: 0}
    for (_, title), count in pairs.items():
        series = bool(world.catalogue.is_series[title])
        again[series] += count - 1
        once[series] += count
    assert again[False] / once[False] < 0.06
    assert again[True] / once[True] > 0.3


def test_taste_beats_popularity_in_what_is_watched_next(world: World) -> None:
    """A check that the world can be learnt: the truth ranks held-out plays well above popularity, by NDCG@20."""
    plays, count = world.plays, SIZES["titles"]
    cut = int(0.9 * len(plays))
    seen = np.zeros((SIZES["members"], count), dtype=bool)
    seen[plays.member[:cut], plays.title[:cut]] = True
    held = np.zeros_like(seen)
    held[plays.member[cut:], plays.title[cut:]] = True
    held &= ~seen
    members = np.flatnonzero(held.any(axis=1))
    popularity = np.log1p(np.bincount(plays.title[:cut], minlength=count))

    def ndcg(scores: np.ndarray) -> float:
        top = np.argsort(-np.where(seen[members], -np.inf, scores), axis=1)[:, :20]
        discount = 1 / np.log2(np.arange(2, 22))
        ideal = np.cumsum(discount)[np.minimum(held[members].sum(axis=1), 20) - 1]
        return float(((np.take_along_axis(held[members], top, axis=1) * discount).sum(axis=1) / ideal).mean())

    by_popularity = ndcg(np.broadcast_to(popularity, (len(members), count)))
    by_truth = ndcg(popularity + 7 * world.truth.affinity(members, np.arange(count)))
    assert 0.03 < by_popularity < 0.2
    assert 1.5 < by_truth / by_popularity < 5


def test_written_files_are_read_as_a_layout(world: World, tmp_path: Path) -> None:
    until_ms = world.end_ms - 2 * DAY_MS
    world.write(tmp_path / "new" / "folder", until_ms)
    layout = detect(str(tmp_path / "new" / "folder"))
    titles = layout.titles()
    batches = list(layout.history(titles))
    assert layout.name == "plays"
    assert titles.equals(world.titles_table())
    assert [batch.bad for batch in batches if batch.bad] == []
    earlier = sum(batch.events.num_rows for batch in batches)
    later = sum(1 for _ in world.events_after(until_ms))
    assert earlier + later == SIZES["plays"]
    assert earlier > 0.8 * SIZES["plays"]
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == ["plays.parquet", "titles.parquet"]


def test_events_follow_the_topic_contract(world: World) -> None:
    some = slice(100, 400)
    stops = list(world.play_events(some))
    rows = world.plays_table(some).drop_columns("weight").to_pylist()
    assert [{key: value for key, value in stop.items() if key != "schema"} for stop in stops] == rows
    full = list(world.play_events(some, in_full=True))
    assert [event for event in full if event["kind"] == "stop"] == stops
    assert len({event["event_id"] for event in full}) == len(full)
    watched = Counter[str]()
    last: dict[str, events.Play] = {}
    for event in full:
        play = events.decode_play(json.dumps(event).encode(), event["member_id"].encode())
        name = play.event_id if play.kind == "stop" else play.event_id.rpartition("-")[0]
        assert (play.kind == "start") == (name not in last)
        if name in last:
            assert play.at_ms >= last[name].at_ms
            assert play.position_s >= last[name].position_s
        last[name] = play
        watched[name] += round(play.watched_s * 10)
    assert {name: total / 10 for name, total in watched.items()} == {stop["event_id"]: stop["watched_s"] for stop in stops}
    assert any(event["kind"] == "progress" for event in full)
