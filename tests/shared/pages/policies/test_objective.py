"""The objective is what its formula says, and the policies rank by it: search, then stage-wise, then rows scored alone."""

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pytest

from shared.pages.drafts import Draft
from shared.pages.policies import POLICIES, PageView, Placed
from shared.pages.policies.objective import ScoredPlacing
from tests.shared.pages.policies.drawn import draft, keys, random_page, view

SEEDS = range(12)


def worth(drafts: Sequence[Draft], seen: PageView, page: Sequence[Placed]) -> float:
    placing = ScoredPlacing(drafts, seen)
    on_page = [placing.index(row.draft.key) for row in page]
    placing.follow(on_page + [at for at in range(len(placing.drafts)) if at not in on_page])
    assert keys(placing.rows) == keys(list(page))
    return placing.worth


def by_the_formula(drafts: Sequence[Draft], seen: PageView, page: Sequence[Placed]) -> float:
    """The objective as its module documents it, one number at a time."""
    settings, attention = seen.settings, seen.attention
    genres = seen.genre_shares.shape[1] - 1
    assert seen.freshness is not None

    def offer(row: Draft, cells: Sequence[int], free: set[int]) -> list[float]:
        found = [0.0] * genres
        for place, title in enumerate(cells[: seen.row_length]):
            value = attention.right[place] * seen.scores[title] * (1 + settings.freshness * seen.freshness[title])
            for genre in range(genres):
                found[genre] += value * seen.genre_shares[title, genre] * (title in free)
        return found

    every = set(range(len(seen.scores)))
    unit = max(sum(offer(row, row.titles.tolist(), every)) for row in drafts)
    last = {key: place for place, key in enumerate(seen.previous)}
    kept = [row.key for row in drafts if row.key in last]
    free, above, opened, total = set(every), [], [1.0] * genres, 0.0
    for place, (row, places) in enumerate(page):
        cells = row.titles[places].tolist()
        offers = [value / unit for value in offer(row, cells, free)]
        gain = sum(
            value * (1 - settings.diversity + settings.diversity * rest) for value, rest in zip(offers, opened, strict=True)
        )
        gain += row.chance or 0.0
        if row.kind:
            gain -= settings.repetition * (1 - 0.5 ** sum(other.kind == row.kind for other in above))
        overtaken = [key for key in kept if last[key] < last.get(row.key, 10**6) and key not in [other.key for other in above]]
        gain -= settings.stability / (1 - settings.stability) * len(overtaken) / len(kept)
        total += attention.down[place] * gain
        opened = [rest * max(0.0, 1 - value) for value, rest in zip(offers, opened, strict=True)]
        above.append(row)
        free -= set() if row.owns else set(cells)
    return total


@pytest.mark.parametrize("seed", SEEDS)
def test_a_page_is_worth_what_the_formula_says(seed: int) -> None:
    drafts, _ = random_page(seed)
    last = [row.key for row in drafts[: 3 + seed]] + ["gone"]
    drafts, seen = random_page(seed, previous=tuple(np.random.default_rng(seed).permutation(last).tolist()))
    for policy in POLICIES.values():
        page = policy.place(drafts, seen)
        assert worth(drafts, seen, page) == pytest.approx(by_the_formula(drafts, seen, page), rel=1e-4, abs=1e-4)


def test_the_more_a_policy_looks_at_the_more_its_pages_are_worth() -> None:
    found: dict[str, list[float]] = {name: [] for name in POLICIES}
    for seed in SEEDS:
        drafts, seen = random_page(seed)
        for name, policy in POLICIES.items():
            found[name].append(worth(drafts, seen, policy.place(drafts, seen)))
    mean = {name: np.mean(values) for name, values in found.items()}
    assert mean["search"] > 1.01 * mean["stagewise"] > 1.01 * mean["alone"] > 1.01 * mean["template"]
    assert all(np.array(found["search"]) >= np.maximum(found["stagewise"], found["alone"]) - 1e-5)


def test_stage_wise_pages_are_worth_what_those_that_look_at_every_draft_at_every_stage_are() -> None:
    ratios = []
    for seed in SEEDS:
        drafts, seen = random_page(seed)
        slow = ScoredPlacing(drafts, seen)
        left = set(range(len(drafts)))
        while not slow.is_full:
            can = {at: places for at in left if (places := slow.places(at)) is not None}
            best = max(can, key=lambda at: slow.gain(at, can[at]))
            slow.gain(best, can[best])
            slow.put(best, can[best])
            left.remove(best)
        ratios.append(worth(drafts, seen, POLICIES["stagewise"].place(drafts, seen)) / worth(drafts, seen, slow.rows))
    assert np.mean(ratios) > 0.98


def test_search_finds_the_best_of_all_orders_when_there_are_few() -> None:
    for seed in range(4):
        drafts, _ = random_page(seed)
        few = drafts[1:9:2]
        _, seen = random_page(seed, rows=3, settings={"evaluations": 200, "diversity": 0.9})
        pages = []
        for order in permutations(few):
            pages.append(worth(few, seen, POLICIES["template"].place(order, seen)))
        assert worth(few, seen, POLICIES["search"].place(few, seen)) == pytest.approx(max(pages), abs=1e-6)


def test_rows_alone_are_sorted_by_what_attention_meets_in_them() -> None:
    drafts = [draft("late", 3, 3, 2, 1), draft("early", 0, 4), draft("low", 5, 6, 7)]
    seen = view([0.9, 0.8, 0.1, 0.1, 0.1, 0.3, 0.2, 0.1], settings={"diversity": 0.0})
    assert keys(POLICIES["alone"].place(drafts, seen)) == ["early", "late", "low"]


def test_the_next_row_is_one_of_other_genres() -> None:
    drafts = [draft("drama", 0, 1), draft("tense drama", 2, 3), draft("comedy", 4, 5)]
    seen = view([1.0, 1.0, 0.9, 0.9, 0.6, 0.6], [[0, 1, 2, 3], [4, 5]])
    assert keys(POLICIES["alone"].place(drafts, seen)) == ["drama", "tense drama", "comedy"]
    assert keys(POLICIES["stagewise"].place(drafts, seen)) == ["drama", "comedy", "tense drama"]


def test_rows_of_one_kind_make_way_for_another_kind() -> None:
    drafts = [draft(f"because:{at}", at, kind="because") for at in range(3)] + [draft("trending", 3, kind="trending")]
    scores = [1.0, 0.95, 0.9, 0.87]
    for repetition, order in ((0.0, [0, 1, 2, 3]), (0.1, [0, 1, 3, 2]), (0.3, [0, 3, 1, 2])):
        page = POLICIES["stagewise"].place(drafts, view(scores, settings={"diversity": 0.0, "repetition": repetition}))
        assert keys(page) == [drafts[at].key for at in order]


def test_the_chance_that_the_member_goes_on_decides_where_continue_watching_is() -> None:
    for name in ("alone", "stagewise", "search"):
        places = []
        for chance in (None, 0.02, 0.6, 1.0):
            rows = [draft("continue", 9, kind="continue", chance=chance), *(draft(f"row{at}", at) for at in range(4))]
            page = POLICIES[name].place(rows, view([0.8, 0.6, 0.4, 0.2, 0, 0, 0, 0, 0, 0], settings={"diversity": 0.0}))
            places.append(keys(page).index("continue"))
        assert places[:2] == [4, 4] and places[2] == 2 and places[3] in (0, 1)


def test_new_titles_lift_their_row() -> None:
    drafts, fresh = [draft("old", 0), draft("new", 1)], np.array([0.0, 1.0], dtype=np.float32)
    for weight, first in ((0.0, "old"), (0.1, "old"), (0.5, "new")):
        seen = view([1.0, 0.8], settings={"freshness": weight}, freshness=fresh)
        assert keys(POLICIES["stagewise"].place(drafts, seen))[0] == first


def test_a_row_that_lost_its_titles_to_the_rows_above_comes_later() -> None:
    drafts = [draft("top", 0, 1, 2, 5), draft("same", 0, 1, 2, 6), draft("other", 3, 4)]
    seen = view([1.0, 0.9, 0.9, 0.4, 0.4, 0.2, 0.1], settings={"diversity": 0.0})
    assert keys(POLICIES["alone"].place(drafts, seen)) == ["top", "same", "other"]
    assert keys(POLICIES["stagewise"].place(drafts, seen)) == ["top", "other", "same"]


def test_titles_without_a_genre_count_as_one_genre() -> None:
    shares = view([0.0] * 3, [[0], [0, 1]]).genre_shares
    assert shares.tolist() == [[0.5, 0.5, 0.0, 1.0], [0.0, 1.0, 0.0, 1.0], [0.0, 0.0, 1.0, 1.0]]
