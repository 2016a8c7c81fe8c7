"""Shelves of a request: the liked ones first, and on each the member's order with the popular rest behind it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.pages.micro_genres import micro_genres
from shared.pages.rows import GenreRows, MicroGenreRows
from shared.pages.serving import Serving
from shared.pages.shelves import HEAD, LEAST, ROW_LENGTHS, SAME_PART, SCARCE_ROWS, VOTERS, ShelfView, Shelves
from shared.titles import Title
from tests.online.plays import thumb
from tests.online.snapshot_builder import NOW_MS, build_snapshot
from tests.shared.pages.rows.drafting import context_of, drafted, served


def titles_like(genre: str, tag: str, origin: str) -> list[int]:
    catalogue = served().snapshot.catalogue
    return [
        at
        for at, title in enumerate(catalogue.titles)
        if (genre in title.genres, tag in title.tags, title.origin) == (True, True, origin)
    ]


def shelves_on(title: Title, shelves: Shelves) -> set[str]:
    keys = {f"genre:{genre}" for genre in title.genres} | {each.key for each in micro_genres(title)}
    return keys & set(shelves.keys)


@pytest.mark.parametrize(("genre", "tag", "origin", "name"), [
    ("Drama", "Tense", "DK", "Tense Dramas from Denmark"), ("Comedy", "Dark", "US", "Dark Comedies from the United States"),
])  # fmt: skip
def test_a_member_who_likes_one_kind_gets_it_as_the_first_micro_genre(genre: str, tag: str, origin: str, name: str) -> None:
    context = context_of(candidates=titles_like(genre, tag, origin))
    drafts = drafted(MicroGenreRows(), context)
    assert drafts[0].name == name
    liked = titles_like(genre, tag, origin)
    assert drafts[0].titles[: len(liked)].tolist() == [title for title in context.ranking.order.tolist() if title in liked]
    assert drafted(GenreRows(), context)[0].name == genre


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 239), max_size=60, unique=True), st.integers(1, 20), st.integers(1, 12))
def test_the_shelves_equal_the_slow_definition(candidates: list[int], row_length: int, rows: int) -> None:
    context = context_of([thumb("t8", False)], candidates=candidates, country="US")
    shelves, ranking, serving = Shelves.of(context.serving), context.ranking, context.serving
    view = ShelfView(shelves, ranking, rows, row_length)
    catalogue = serving.snapshot.catalogue
    on = {title: shelves_on(catalogue[title], shelves) for title in range(serving.count)}
    head = ranking.order[:HEAD].tolist()
    for shelf in (*view.genres, *view.micro_genres):
        popular = [title for title in serving.popular_order(None).tolist() if shelf.key in on[title]][: ROW_LENGTHS * row_length]
        expected = [title for title in head if shelf.key in on[title]]
        expected += [title for title in popular if ranking.is_open[title] and title not in head]
        assert shelf.titles.tolist() == expected[: ROW_LENGTHS * row_length]
    liking = dict.fromkeys(shelves.keys, 0.0)
    for place, title in enumerate(head[:VOTERS]):
        for key in on[title]:
            liking[key] += float(ranking.scores[title]) / np.sqrt(place + 1)
    sizes = {key: sum(key in keys for keys in on.values()) for key in shelves.keys}
    expected_liking = [liking[key] / np.sqrt(sizes[key]) for key in shelves.keys]
    assert view.liking[:-1] == pytest.approx(expected_liking, abs=1e-5)
    assert [shelf.key for shelf in view.genres] == [
        f"genre:{serving.genres[at]}" for at in np.argsort(-view.liking[: len(serving.genres)], kind="stable")[: len(view.genres)]
    ]
    assert len(view.genres) + len(view.micro_genres) <= rows
    assert view.fit(np.array([5, 6], dtype=np.int32)) == pytest.approx(
        [sum(expected_liking[shelves.keys.index(key)] for key in on[title]) for title in (5, 6)], abs=1e-4
    )


def test_micro_genres_of_a_page_differ_from_each_other() -> None:
    context = context_of(candidates=titles_like("Drama", "Tense", "DK"), rows_limit=24)
    parts = [set(draft.key.removeprefix("micro:").split("/")) - {"-"} for draft in drafted(MicroGenreRows(), context)]
    assert len(parts) >= 3
    for at, one in enumerate(parts):
        for other in parts[:at]:
            assert len(one & other) < 2
    for part in set().union(*parts):
        assert sum(part in one for one in parts) <= SAME_PART


def test_a_micro_genre_that_could_not_fill_a_row_has_none() -> None:
    shelves = Shelves.of(served())
    sizes = dict(zip(shelves.keys, shelves.sizes.tolist(), strict=True))
    small = "micro:Tense/Drama/DK"
    assert SCARCE_ROWS * 8 <= sizes[small] < SCARCE_ROWS * 20
    place = shelves.keys.index(small) - shelves.genres
    wanted = [float(shelves.fullness(length)[place]) for length in (5, 8, 20)]
    assert wanted[0] == 1.0 and 0.0 < wanted[1] < 1.0 and wanted[2] == 0.0
    liked = titles_like("Drama", "Tense", "DK")
    assert small in {draft.key for draft in drafted(MicroGenreRows(), context_of(candidates=liked, row_length=8))}
    assert all(size >= LEAST for key, size in sizes.items() if key.startswith("micro:"))


def test_a_catalogue_without_tags_and_origins_has_genres_alone() -> None:
    plain = [Title(f"t{number}", "", ("Drama",) if number % 2 else ("Comedy",)) for number in range(60)]
    serving = Serving(build_snapshot(plain, members=0, similar=5).loaded())
    context = context_of(on=serving, candidates=[1, 3, 5])
    assert drafted(MicroGenreRows(), context) == []
    assert [draft.name for draft in drafted(GenreRows(), context)] == ["Drama", "Comedy"]


def test_nothing_is_on_the_shelves_of_an_empty_catalogue() -> None:
    serving = Serving(build_snapshot(0, members=0).loaded())
    context = context_of(on=serving, now_ms=NOW_MS)
    assert drafted(GenreRows(), context) == drafted(MicroGenreRows(), context) == []
