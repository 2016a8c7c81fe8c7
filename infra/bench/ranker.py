"""How well the ranker orders titles, on the built-in world, whose truth is known: beside the blend's own scores and popularity.

Models and the snapshot are made from the plays before a moment, examples from pages after it, split by time; the ranker never
sees the newest pages. The world's members choose by taste among what they looked at, and the chance to be looked at is known, so
that what position does to the figures can be taken out.
"""

from collections import defaultdict
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from scipy import sparse, stats

from infra.demo import pages, viewing
from infra.demo.catalogue import COUNTRIES, DAY_MS
from infra.demo.impressions import impressions, sample_pages
from infra.demo.world import World
from offline.interactions import Interactions, id_array
from offline.models import IALS
from offline.models.ranker import RankerModel, RankerSettings
from offline.models.similar import similar_titles
from offline.ranker_examples import ExampleMaker, Examples, MemberLog, Sampling, page_number
from offline.ranker_quality import ndcg, unbiased_gain
from shared.events import Impression, Play
from shared.fold_in import FACTORS_ARRAY, TERMS_ARRAY
from shared.pages.features import FEATURES
from shared.snapshots import Manifest, Snapshot
from shared.titles import Catalogue, Title

LOGGED_DAYS = 12
"""Newest days of the world, whose pages are learned from and judged; the snapshot is made before them."""
HELD_OUT = 0.15
SIMILAR = 50
CANDIDATES = 300
TRENDING_HALF_LIFE_H = 72.0
_EVERY_CELL = Sampling(seen=pages.ROWS * pages.RANKS, other=pages.ROWS * pages.RANKS)

FloatArray = npt.NDArray[np.floating[Any]]


class Figures(NamedTuple):
    """One way to order the cells of held-out pages.

    `ndcg` is against plays as they were, `unbiased_gain` weighs each by the true chance that its place was looked at,
    `true_ndcg` is against the true worth of the titles, `rank_correlation` Spearman's with it, the mean over pages.
    """

    name: str
    ndcg: float
    ndcg_margin: float  # half of the 95 % interval of the mean over pages
    unbiased_gain: float
    true_ndcg: float
    rank_correlation: float


class Report(NamedTuple):
    """The figures, and the chance to be looked at as learned and as it is, (ROWS, RANKS) relative to the first cell."""

    pages: int
    plays: int
    figures: list[Figures]
    learned: FloatArray
    true: FloatArray


def measure(world: World, count: int, settings: RankerSettings | None = None) -> Report:
    """Train on `count` pages of the world's newest days and judge on the newest of them."""
    settings = settings or RankerSettings()
    made_ms = world.end_ms - LOGGED_DAYS * DAY_MS
    examples = _examples(world, snapshot_of(world, made_ms), sample_pages(world, made_ms, count))
    train, validation, held_out = examples.split_by_time(HELD_OUT, HELD_OUT)
    liking, true_examination = _truth(world, held_out)
    replaced = msgspec.structs.replace
    ranker = RankerModel(settings).fit(train, validation)
    blind = RankerModel(replaced(settings, with_position=False)).fit(train, validation)
    weighted = RankerModel(replaced(settings, propensity_limit=10.0)).fit(train, validation)
    ways = {
        "ranker, position fixed": ranker.chances(held_out),
        "ranker, position as logged": ranker.chances(held_out, at_first_cell=False),
        "ranker without position": blind.chances(held_out),
        "ranker, weights 1/propensity": weighted.chances(held_out),
        "the blend's own score": held_out.blend,
        "popularity in the country": held_out.features[:, FEATURES.index("popularity_in_country")],
        "the truth": liking,
    }
    figures = [_judged(name, scores, held_out, liking, true_examination) for name, scores in ways.items()]
    true = world.truth.examination / world.truth.examination[0, 0]
    plays = int(held_out.labels.sum())
    return Report(len(np.unique(held_out.pages)), plays, figures, _learned(ranker, held_out), true)


def table(report: Report) -> str:
    """The figures for a person."""
    lines = [
        f"{report.pages:,} held-out pages, {report.plays:,} plays",
        f"{'':<30}{'NDCG':>16}{'unbiased gain':>15}{'true NDCG':>11}{'Spearman':>10}",
    ]
    for one in report.figures:
        margin = f"{one.ndcg:.4f} ± {one.ndcg_margin:.4f}"
        lines.append(f"{one.name:<30}{margin:>16}{one.unbiased_gain:>15.4f}{one.true_ndcg:>11.4f}{one.rank_correlation:>10.3f}")
    lines.append("looked at, relative to the first cell (learned in odds / true), by row, ranks 1, 2, 4, 10:")
    for learned, true in zip(report.learned, report.true, strict=True):
        lines.append("   ".join(f"{learned[rank]:.2f} / {true[rank]:.2f}" for rank in (0, 1, 3, 9)))
    return "\n".join(lines)


def snapshot_of(world: World, made_ms: int) -> Snapshot:
    """A snapshot from the world's plays before a moment, as the nightly jobs make it, with iALS alone as the model."""
    titles = [
        Title(row["title_id"], row["name"], tuple(row["genres"]), row["runtime_s"], row["released_ms"], tuple(row["countries"]))
        for row in sorted(world.titles_table().to_pylist(), key=itemgetter("title_id"))
    ]
    index = {title.title_id: number for number, title in enumerate(titles)}
    places = np.array([index[f"t{number}"] for number in range(len(titles))])
    plays = world.plays
    before = plays.at_ms < made_ms
    title, member, at_ms = places[plays.title[before]], plays.member[before], plays.at_ms[before]
    share = np.minimum(1.0, plays.position_s[before] / world.catalogue.runtime_s[plays.title[before]])
    shape = (len(world.population), len(titles))
    histories = sparse.csr_array(sparse.coo_array((share.astype(np.float32), (member, title)), shape=shape))
    histories.sum_duplicates()
    histories.data = np.minimum(histories.data, 2.0).astype(np.float32)
    member_ids = id_array([f"m{number}" for number in range(shape[0])])
    ials = IALS().fit(Interactions(member_ids, id_array([title.title_id for title in titles]), histories))
    near = similar_titles(ials.title_factors, histories, SIMILAR)
    decay = 2.0 ** ((at_ms - made_ms) / (TRENDING_HALF_LIFE_H * 3_600_000))
    arrays: dict[str, npt.NDArray[Any]] = {
        "similar_titles": near.titles,
        "similar_scores": np.where(near.titles >= 0, near.scores, 0).astype(np.float32),
        "popular": _descending(np.bincount(title, minlength=len(titles))),
        "trending": _descending(np.bincount(title, decay, minlength=len(titles))),
        FACTORS_ARRAY: ials.title_factors.astype(np.float32),
        TERMS_ARRAY: np.array(ials.terms, np.float64),
    }
    for number, country in enumerate(COUNTRIES):
        is_here = world.population.country[member] == number
        arrays[f"popular/{country}"] = _descending(np.bincount(title[is_here], minlength=len(titles)))
    manifest = Manifest(
        version=world.name, created_at_ms=made_ms, members=0, titles=len(titles), candidates_checksum=0, bundle_checksum=0
    )
    return Snapshot(manifest, Catalogue(titles), arrays)


def _examples(world: World, snapshot: Snapshot, some: npt.NDArray[np.int64]) -> Examples:
    shown: dict[str, list[Impression]] = defaultdict(list)
    for page in impressions(world, some):
        shown[page.member_id].append(page)
    theirs = np.flatnonzero(np.isin(world.plays.member, world.impressions.member[some]))
    events: dict[str, list[tuple[int, Any]]] = defaultdict(list)
    for row in world.plays_table(theirs).drop_columns("weight").to_pylist():
        events[row["member_id"]].append((row["at_ms"], Play(schema=1, **row)))
    maker = ExampleMaker(snapshot, is_known=False, depth=CANDIDATES, sampling=_EVERY_CELL)
    return Examples.concatenated([maker.examples(MemberLog(shown[one], events[one])) for one in shown])


def _truth(world: World, examples: Examples) -> tuple[FloatArray, FloatArray]:
    """How much each cell's member likes its title then, and how likely the cell was looked at against the first, (n,) each."""
    numbers = {page_number(f"page-{world.name}-{page}"): page for page in range(len(world.impressions))}
    page = np.array([numbers[one] for one in examples.pages.tolist()])
    row, rank = _positions(examples)
    member, title = world.impressions.member[page], world.impressions.title[page, row, rank]
    taste = viewing.taste_at(world.population, member, (examples.at_ms - world.start_ms) / (world.end_ms - world.start_ms))
    examination = world.truth.examination / world.truth.examination[0, 0]
    return np.einsum("nd,nd->n", taste, world.catalogue.vectors[title]), examination[row, rank]


def _judged(name: str, scores: FloatArray, held_out: Examples, liking: FloatArray, examination: FloatArray) -> Figures:
    values = ndcg(held_out, scores, held_out.labels)
    values = values[np.isfinite(values)]
    worth = ndcg(held_out, scores, np.exp(viewing.TASTE * liking))  # as strongly as members choose by it
    starts = np.flatnonzero(np.diff(held_out.pages, prepend=-1))[1:]
    parts = zip(np.split(scores, starts), np.split(liking, starts), strict=True)
    correlations = [stats.spearmanr(ours, true).statistic for ours, true in parts if len(ours) > 2 and np.ptp(ours) > 0]
    return Figures(
        name=name,
        ndcg=float(values.mean()),
        ndcg_margin=float(1.96 * values.std() / np.sqrt(len(values))),
        unbiased_gain=unbiased_gain(held_out, scores, examination),
        true_ndcg=float(np.nanmean(worth)),
        rank_correlation=float(np.mean(correlations)),
    )


def _learned(model: RankerModel, examples: Examples) -> FloatArray:
    row, rank = _positions(examples)
    learned = np.full((pages.ROWS, pages.RANKS), np.nan)
    learned[row, rank] = model.examination(examples)
    return learned


def _positions(examples: Examples) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    row, rank = np.expm1(examples.features[:, -2:]).round().astype(np.int64).T
    return row, rank


def _descending(counts: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    return np.argsort(-counts, kind="stable").astype(np.int32)
