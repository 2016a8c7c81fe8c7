"""Best-k ranking by factors against the bare product of the same factors, and against FAISS, `implicit` and Spark MLlib.

All run on one thread, in turns, and are told in pairs of member and title a CPU-second. Ours leaves seen titles out, and so
does `implicit`; FAISS and Spark have no way to, and rank all. The bare product is torch's, at the best of some tile shapes.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from implicit.cpu.topk import topk as implicit_topk
from scipy import sparse
from threadpoolctl import threadpool_limits

from infra.bench.models.power_law import generate
from infra.bench.models.spark_topk import SparkRival
from infra.bench.report import Repeated, Row, at_least, ratios, told
from offline.interactions import Interactions, id_array
from offline.models.factor_topk import FactorRanking
from offline.models.ials import IALS, IALSSettings

Say = Callable[[str], None]
FloatArray = npt.NDArray[np.float32]

RIVALS = ("faiss", "implicit", "spark")
TARGETS = {"faiss": 1.4, "implicit": 2.0, "spark": 19.0}
NAMES = {"faiss": "FAISS IndexFlatIP", "implicit": "implicit.cpu.topk", "spark": "Spark recommendForUserSubset"}
TILES = ((256, 1024), (512, 1024), (1024, 512))  # members x titles
MEAN_SEEN = 75
ITERATIONS = 4  # of the fit that gives learnt factors
RIVALS_SHARE = 4  # rivals rank every fourth member: their rate does not depend on how many there are
SPARK_MEMBERS = 2000


class Problem(NamedTuple):
    """Whom to rank for: `(members, factors)`, `(titles, factors)`, and what is left out, `(members, titles)` CSR."""

    what: str
    members: FloatArray
    titles: FloatArray
    seen: sparse.csr_array[np.float32]

    def first(self, members: int) -> "Problem":
        """The same with fewer members."""
        return self._replace(members=self.members[:members], seen=self.seen[:members])


def measure(
    say: Say,
    *,
    members: int = 16_384,
    titles: int = 50_000,
    factors: Sequence[int] = (64, 128),
    k: int = 100,
    rounds: int = 5,
    rivals: Sequence[str] = RIVALS,
) -> list[Row]:
    """Measure every size, with factors drawn at random and with learnt ones.

    Raises
    ------
    UnavailableError : Spark did not start. RuntimeError : a rival ranks otherwise.
    """
    rows: list[Row] = []
    plays = generate(members, titles, MEAN_SEEN * members, held_out=1).train
    with one_thread(), SparkRival("spark" in rivals) as spark:
        for width in factors:
            for problem in (drawn(plays, width), learnt(plays, width, say)):
                say(f"{problem.what}: {members:,} members x {titles:,} titles, best {k}")
                rows += _rows(problem, k, rounds, rivals, spark, say)
    return rows


def drawn(plays: sparse.csr_array[np.float32], factors: int) -> Problem:
    """Normal factors: nothing can be pruned, and what was seen is anywhere in the ranking."""
    random = np.random.default_rng(factors)
    members, titles = (random.standard_normal((count, factors), np.float32) for count in plays.shape)
    return Problem(f"{factors} normal factors", members, titles, plays)


def learnt(plays: sparse.csr_array[np.float32], factors: int, say: Say) -> Problem:
    """Factors of an iALS of generated plays."""
    member_ids, title_ids = (id_array([str(index) for index in range(count)]) for count in plays.shape)
    say(f"fitting iALS with {factors} factors")
    model = IALS(IALSSettings(factors=factors, iterations=ITERATIONS)).fit(Interactions(member_ids, title_ids, plays))
    return Problem(f"{factors} iALS factors", model.member_factors, model.title_factors, plays)


def _rows(problem: Problem, k: int, rounds: int, rivals: Sequence[str], spark: SparkRival, say: Say) -> list[Row]:
    fewer = problem.first(max(1, len(problem.members) // RIVALS_SHARE))
    contenders: dict[str, Callable[[], float]] = {
        "product": lambda: max(product_rate(fewer, tile) for tile in TILES),
        "ours": lambda: our_rate(problem, k),
    }
    if "faiss" in rivals:
        contenders["faiss"] = lambda: faiss_rate(fewer, k)
    if "implicit" in rivals:
        contenders["implicit"] = lambda: implicit_rate(fewer, k)
    if "spark" in rivals:
        spark.prepare(fewer.members[:SPARK_MEMBERS], problem.titles)
        contenders["spark"] = lambda: spark.rate(k)
    check_against_implicit(problem.first(64), k)
    for contender in contenders.values():
        contender()  # once for what is compiled or loaded at first
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name, contender in contenders.items():
            found[name].append(contender())
        say(f"  round {number + 1}: " + ", ".join(f"{name} {rates[-1] / 1e9:.3f}" for name, rates in found.items()))
    share = Repeated(tuple(100 * value for value in ratios(found["ours"], found["product"]).values))
    rows = [
        at_least(f"top-{k}, {problem.what}, share of the product's rate", share, 75, unit="%"),
        told(f"top-{k}, {problem.what}", _billions(found["ours"]), unit="10⁹ pairs a CPU-s", digits=3),
        told(f"the product alone, {problem.what}", _billions(found["product"]), unit="10⁹ pairs a CPU-s", digits=3),
    ]
    for name in rivals:
        what = f"top-{k}, {problem.what}, against {NAMES[name]}"
        rows.append(at_least(what, ratios(found["ours"], found[name]), TARGETS[name], unit="times", digits=1))
        rows.append(told(f"{NAMES[name]}, {problem.what}", _billions(found[name]), unit="10⁹ pairs a CPU-s", digits=3))
    return rows


def _billions(rates: Sequence[float]) -> Repeated:
    return Repeated(tuple(rate / 1e9 for rate in rates))


@contextmanager
def one_thread() -> Iterator[None]:
    """Whatever counts its threads has one, torch too."""
    import faiss

    threads, faiss_threads = torch.get_num_threads(), faiss.omp_get_max_threads()
    with threadpool_limits(1):
        torch.set_num_threads(1)
        faiss.omp_set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            faiss.omp_set_num_threads(faiss_threads)


def _rate(pairs: int, work: Callable[[], object]) -> float:
    """Pairs a CPU-second of this process."""
    began_s = time.process_time()
    work()
    return pairs / (time.process_time() - began_s)


def product_rate(problem: Problem, tile: tuple[int, int]) -> float:
    """The product alone, in tiles that are overwritten."""
    members, titles = torch.from_numpy(problem.members), torch.from_numpy(problem.titles)
    height, width = min(tile[0], len(members)), min(tile[1], len(titles))
    out = torch.empty(height, width)
    starts = [
        (row, column)
        for row in range(0, len(members) - height + 1, height)
        for column in range(0, len(titles) - width + 1, width)
    ]

    def work() -> None:
        for row, column in starts:
            torch.mm(members[row : row + height], titles[column : column + width].T, out=out)

    return _rate(len(starts) * height * width, work)


def our_rate(problem: Problem, k: int) -> float:
    """Ours, the laying out of the titles included."""
    return _rate(
        len(problem.members) * len(problem.titles),
        lambda: FactorRanking(problem.titles).top_k(problem.members, k, problem.seen),
    )


def faiss_rate(problem: Problem, k: int) -> float:
    """FAISS, exact; seen titles are not left out."""
    import faiss

    index = faiss.IndexFlatIP(problem.titles.shape[1])
    index.add(problem.titles)
    return _rate(len(problem.members) * len(problem.titles), lambda: index.search(problem.members, k))


def implicit_rate(problem: Problem, k: int) -> float:
    """`implicit`, seen titles left out."""
    return _rate(len(problem.members) * len(problem.titles), lambda: _implicit(problem, k))


def _implicit(problem: Problem, k: int) -> tuple[npt.NDArray[np.int32], FloatArray]:
    found: tuple[npt.NDArray[np.int32], FloatArray] = implicit_topk(
        problem.titles, problem.members, k, filter_query_items=sparse.csr_matrix(problem.seen), num_threads=1
    )
    return found


def check_against_implicit(problem: Problem, k: int) -> None:
    """Raise `RuntimeError` unless both rank alike, but for rounding."""
    ours = FactorRanking(problem.titles).top_k(problem.members, k, problem.seen)
    require_alike(problem.what, ours.scores, _implicit(problem, k)[1])


def require_alike(what: str, ours: FloatArray, theirs: FloatArray) -> None:
    """Raise `RuntimeError` unless the scores of the best are equal, but for rounding."""
    if not np.allclose(ours, theirs, rtol=1e-4, atol=1e-5):
        raise RuntimeError(f"{what}: implicit's best scores are other ones than ours")
