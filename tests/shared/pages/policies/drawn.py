"""Drafts and views for tests of page policies: by hand, and drawn from a seed with rows that overlap as real ones do."""

from typing import Any

import numpy as np

from shared.config import DeviceFormat, PageConfig
from shared.pages.attention import BrowseModel
from shared.pages.drafts import Draft
from shared.pages.policies import PageView, Placed, genre_shares

PLAIN: dict[str, Any] = {"diversity": 0.0, "repetition": 0.0, "freshness": 0.0, "stability": 0.0}
"""Settings by which a row is worth its relevance alone."""


def draft(key: str, *titles: int, least: int = 1, **more: Any) -> Draft:
    return Draft(key, key.title(), np.array(titles, dtype=np.int32), least=least, **more)


def view(
    scores: list[float] | np.ndarray[Any, Any],
    genres: list[list[int]] | None = None,
    rows: int = 10,
    row_length: int = 10,
    settings: dict[str, Any] | None = None,
    **more: Any,
) -> PageView:
    """A view; `genres` are the titles of each genre, by default one genre has all."""
    mask = np.zeros((1 if genres is None else len(genres), len(scores)), dtype=np.bool_)
    for genre, titles in enumerate([list(range(len(scores)))] if genres is None else genres):
        mask[genre, titles] = True
    device = DeviceFormat(rows=rows, row_length=row_length)
    return PageView(
        scores=np.array(scores, dtype=np.float32),
        genre_shares=genre_shares(mask),
        attention=BrowseModel().on(device),
        rows_limit=rows,
        row_length=row_length,
        settings=PageConfig(**(settings or {})),
        **more,
    )


def random_page(
    seed: int, count: int = 400, rows: int = 8, row_length: int = 15, settings: dict[str, Any] | None = None, **more: Any
) -> tuple[list[Draft], PageView]:
    """Twenty drafts: the best titles of all, of eight genres, near some titles, in progress, and a list that its row owns."""
    rng = np.random.default_rng(seed)
    genres = [np.flatnonzero(rng.random(count) < share) for share in rng.uniform(0.05, 0.4, size=8)]
    liking = np.zeros(count)
    for titles in genres:
        liking[titles] += rng.gamma(0.5)
    scores = (liking + rng.gamma(1.0, 0.5, size=count)) * (rng.random(count) < 0.6)
    order = np.argsort(-scores, kind="stable").astype(np.int32)
    drafts = [draft("continue", *rng.choice(count, 3, replace=False), kind="continue", chance=float(rng.random()))]
    drafts += [draft("top", *order[:40], kind="top")]
    drafts += [draft(f"because:{n}", *rng.permutation(order[:120])[:30], kind="because") for n in range(5)]
    drafts += [draft("list", *rng.choice(count, 6, replace=False), kind="list", owns=True)]
    drafts += [draft(f"genre:{n}", *order[np.isin(order, t)][:40], least=4, kind="genre") for n, t in enumerate(genres)]
    drafts += [draft(f"other:{n}", *rng.permutation(order)[: rng.integers(1, 30)]) for n in range(4)]
    freshness = (rng.random(count) < 0.1).astype(np.float32)
    return drafts, view(scores, [list(t) for t in genres], rows, row_length, settings, freshness=freshness, **more)


def keys(placed: list[Placed]) -> list[str]:
    return [row.draft.key for row in placed]


def shown(row: Placed) -> list[int]:
    found: list[int] = row.draft.titles[row.places].tolist()
    return found
