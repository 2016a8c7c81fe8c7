"""CPU-seconds that alternating least squares takes to one loss and recall: Marquee, `implicit`, Spark's MLlib, on the same data.

All minimise the same: over observed entries c (1 − s)², over all others s², plus λ (‖x‖² + ‖y‖²), for a score s = x·y. Marquee
writes it as w (1 − s)² over observed entries and α s² over all, which with α = 1 and w = c − 1 is the same up to a factor
for scores κ s, κ = (c − 1) / c, and λ κ: completing the square shows it. So its factors are divided by √κ before their loss.
MLlib multiplies λ by how often a row occurs, which changes nothing in what a pass costs.

What must be reached is what `implicit` has after its default of 15 passes by conjugate gradients. Marquee is run with the
fewest passes that reach it, layout and last step included. The exact rivals are measured for a few passes, and taken to
need as many as Marquee, which favours them: over-relaxation is what saves Marquee some. Recall is of 20, over held-out plays,
and counts as reached within its standard error. Each run is a process of its own with one thread of BLAS; evaluating is not
counted.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from infra.bench.models.power_law import generate
from infra.bench.report import Repeated, Row, at_least, ratios, told

Say = Callable[[str], None]
FloatArray = npt.NDArray[np.float32]

CONFIDENCE = 10.0  # c
REGULARISATION = 1.0  # λ
RIVAL_PASSES = 15  # implicit's default
MOST_PASSES = 25
MEASURED_PASSES = {"implicit-cholesky": 2, "spark": 2}
EVALUATED_MEMBERS = 20_000
TARGETS = {"implicit-cg": 1.5, "implicit-cholesky": 4.0, "spark": 10.0}
RECALL_AT = 20


class Quality(NamedTuple):
    """Loss as `implicit` defines it, and recall, with its standard error."""

    loss: float
    recall: float
    error: float

    def reaches(self, other: "Quality") -> bool:
        """Whether the loss is no greater and the recall no less, as far as it can be told."""
        return self.loss <= other.loss and self.recall >= other.recall - other.error

    def __str__(self) -> str:
        return f"loss {self.loss:,.0f}, recall {self.recall:.4f}"


def measure(
    say: Say,
    members: int = 138_000,
    titles: int = 27_000,
    entries: int = 17_700_000,
    factors: int = 64,
    rivals: Sequence[str] = ("implicit-cg", "implicit-cholesky", "spark"),
    rounds: int = 1,
) -> list[Row]:
    """Run Marquee and its rivals in turns; the conjugate gradients of `implicit` are always run, as they set the goal."""
    with tempfile.TemporaryDirectory(prefix="marquee-als-") as folder:
        say(f"generating {members:,} members × {titles:,} titles with {entries:,} entries")
        plays = generate(members, titles, entries)
        for name, matrix in (("train", plays.train), ("held_out", plays.held_out)):
            sparse.save_npz(Path(folder) / f"{name}.npz", matrix, compressed=False)
        run = _Runner(Path(folder), factors, say)
        goal, theirs = run.rival("implicit-cg", RIVAL_PASSES)
        needed = run.passes_to(goal)
        costs: dict[str, list[float]] = {name: [] for name in rivals}
        costs["implicit-cg"] = [theirs]
        ours: list[float] = []
        for number in range(rounds):
            found, seconds = run.ours(needed)
            ours.append(seconds)
            if not found.reaches(goal):
                say(f"marquee: {needed} passes end at {found}, short of {goal}")
            for name in costs:
                if name == "implicit-cg" and number > 0:
                    costs[name].append(run.rival(name, RIVAL_PASSES)[1])
                elif name != "implicit-cg":
                    costs[name].append(run.an_exact_rival(name, needed))
    size = f"{factors} factors"
    rows = [told(f"iALS, {size}: Marquee to the goal, {needed} passes", Repeated(tuple(ours)), unit="CPU-s", digits=1)]
    for name, seconds_of in costs.items():
        passes = RIVAL_PASSES if name == "implicit-cg" else needed
        rows.append(told(f"iALS, {size}: {name}, {passes} passes", Repeated(tuple(seconds_of)), unit="CPU-s", digits=1))
        faster = ratios(seconds_of, ours)
        rows.append(at_least(f"iALS, {size}: faster than {name}", faster, TARGETS[name], unit="×", digits=1))
    return rows


class _Runner:
    """Starts a process for each run and reads what it found."""

    def __init__(self, folder: Path, factors: int, say: Say) -> None:
        self.folder, self.factors, self.say = folder, factors, say

    def rival(self, name: str, passes: int) -> tuple[Quality, float]:
        """The quality that a rival ends with, and its CPU-seconds."""
        found = self._run(name, passes)
        quality = Quality(found["loss"], found["recall"], found["error"])
        self.say(f"{name}: {passes} passes, {found['cpu_s']:.1f} CPU-s, {quality}")
        return quality, found["cpu_s"]

    def an_exact_rival(self, name: str, needed: int) -> float:
        """CPU-seconds of `needed` passes, from fewer: those of the passes measured beyond the first, and the rest once."""
        found = self._run(name, MEASURED_PASSES[name])
        self.say(f"{name}: {found['pass_cpu_s']:.1f} CPU-s a pass and {found['other_cpu_s']:.1f} beside")
        return float(found["pass_cpu_s"] * needed + found["other_cpu_s"])

    def passes_to(self, goal: Quality) -> int:
        """With how many passes Marquee reaches the goal; prints how it gets there."""
        found = self._run("marquee-curve", MOST_PASSES, goal)
        for point in found["curve"]:
            recall = "" if point["recall"] is None else f", recall {point['recall']:.4f}"
            self.say(f"marquee: pass {point['passes']}, {point['cpu_s']:.1f} CPU-s, loss {point['loss']:,.0f}{recall}")
        return int(found["curve"][-1]["passes"])

    def ours(self, passes: int) -> tuple[Quality, float]:
        """The quality of a whole fit of so many passes, and its CPU-seconds."""
        return self.rival("marquee", passes)

    def _run(self, what: str, passes: int, goal: Quality | None = None) -> Any:
        plan = {"what": what, "folder": str(self.folder), "factors": self.factors, "passes": passes, "goal": goal}
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-m", __name__, json.dumps(plan)], env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        return json.loads(done.stdout.splitlines()[-1])


def _train(folder: Path) -> sparse.csr_matrix[np.float32]:
    return sparse.csr_matrix(sparse.load_npz(folder / "train.npz"))


def _held_out(folder: Path) -> sparse.csr_matrix[np.float32]:
    return sparse.csr_matrix(sparse.load_npz(folder / "held_out.npz"))


def loss_of(train: sparse.csr_matrix[np.float32], members: FloatArray, titles: FloatArray) -> float:
    """The objective over all entries."""
    gram_of_members, gram_of_titles = (np.asarray(side.T @ side, np.float64) for side in (members, titles))
    loss = float((gram_of_members * gram_of_titles).sum())
    owner = np.repeat(np.arange(len(members)), np.diff(train.indptr))
    for start in range(0, train.nnz, 1_000_000):
        part = slice(start, start + 1_000_000)
        score = np.einsum("ij,ij->i", members[owner[part]], titles[train.indices[part]]).astype(np.float64)
        loss += float((CONFIDENCE * (1 - score) ** 2 - score**2).sum())
    return loss + REGULARISATION * float(np.trace(gram_of_members) + np.trace(gram_of_titles))


def recall_of(
    train: sparse.csr_matrix[np.float32], held_out: sparse.csr_matrix[np.float32], members: FloatArray, titles: FloatArray
) -> tuple[float, float]:
    """The share of some members' held-out entries that is among their best titles, and its standard error."""
    import torch

    chosen = np.random.default_rng(0).permutation(len(members))[:EVALUATED_MEMBERS]
    found = wanted = 0
    for start in range(0, len(chosen), 1000):
        rows = chosen[start : start + 1000]
        scores = torch.from_numpy(members[rows] @ titles.T)  # (rows, titles)
        seen = train[rows].tocoo()
        scores[torch.from_numpy(seen.row.astype(np.int64)), torch.from_numpy(seen.col.astype(np.int64))] = -torch.inf
        top = scores.topk(min(RECALL_AT, scores.shape[1]), dim=1).indices.numpy()
        hits = sparse.csr_matrix(
            (np.ones(top.size), top.ravel(), np.arange(0, top.size + 1, top.shape[1])), shape=(len(rows), len(titles))
        )
        found += int(hits.multiply(held_out[rows]).sum())
        wanted += held_out[rows].nnz
    recall = found / wanted
    return recall, (recall * (1 - recall) / wanted) ** 0.5


def _quality(folder: Path, members: FloatArray, titles: FloatArray) -> Quality:
    train = _train(folder)
    return Quality(loss_of(train, members, titles), *recall_of(train, _held_out(folder), members, titles))


def _marquee(folder: Path, factors: int, passes: int, goal: Quality | None) -> dict[str, Any]:
    from offline.interactions import Interactions, id_array
    from offline.models import IALS, IALSSettings

    train = sparse.csr_array(_train(folder))
    watched = np.count_nonzero(np.bincount(train.indices, minlength=train.shape[1]))
    cells = int(np.count_nonzero(np.diff(train.indptr))) * int(watched)
    kappa, weight = (CONFIDENCE - 1) / CONFIDENCE, CONFIDENCE - 1
    settings = IALSSettings(
        factors=factors,
        iterations=passes,
        unobserved_pull=cells / train.nnz / weight,  # α = 1 / w
        regularisation=REGULARISATION * kappa / weight,
        regularisation_exponent=0.0,
    )
    IALS(IALSSettings(factors=factors, iterations=2)).fit(
        Interactions(id_array(["m"]), id_array(["t"]), sparse.csr_array(np.ones((1, 1), np.float32)))
    )  # compiles, or loads what was compiled
    ids = [id_array([str(i) for i in range(n)]) for n in train.shape]
    curve: list[dict[str, Any]] = []
    clock = _Clock()

    class Watched:
        """Evaluates each pass; ends the fit where the goal is reached."""

        def latest(self) -> None:
            return None

        def keep(self, number: int, arrays: Callable[[], dict[str, npt.NDArray[Any]]]) -> None:
            clock.stop()
            state = arrays()
            # The members of a pass were stepped with before its titles: the last step of a fit is what comes after.
            factors = [np.asarray(state[name] / kappa**0.5, np.float32) for name in ("member_factors", "title_factors")]
            assert goal is not None
            loss = loss_of(_train(folder), *factors)
            # Recall costs more than the pass, and says nothing before the loss is there.
            recall = recall_of(_train(folder), _held_out(folder), *factors) if loss <= goal.loss else None
            curve.append(
                {"passes": number, "cpu_s": clock.seconds, "loss": loss, "recall": None if recall is None else recall[0]}
            )
            if recall is not None and Quality(loss, *recall).reaches(goal):
                raise _ReachedError
            clock.start()

    model = IALS(settings)
    clock.start()
    try:
        model.fit(Interactions(ids[0], ids[1], train), checkpoint=None if goal is None else Watched())
    except _ReachedError:
        return {"curve": curve}
    clock.stop()
    if goal is not None:
        return {"curve": curve}
    return {
        "cpu_s": clock.seconds,
        **_quality(folder, model.member_factors / np.float32(kappa**0.5), model.title_factors / np.float32(kappa**0.5))._asdict(),
    }


class _ReachedError(Exception):
    """The goal is reached."""


class _Clock:
    """CPU-seconds of this process between starts and stops."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def start(self) -> None:
        self._since = time.process_time()

    def stop(self) -> None:
        self.seconds += time.process_time() - self._since


def _implicit(folder: Path, factors: int, passes: int, conjugate: bool) -> dict[str, Any]:
    from implicit.cpu.als import AlternatingLeastSquares

    train = _train(folder)
    model = AlternatingLeastSquares(
        factors=factors,
        regularization=REGULARISATION,
        alpha=CONFIDENCE,
        use_cg=conjugate,
        iterations=passes,
        random_state=1,
    )
    at: list[float] = []
    began = time.process_time()
    model.fit(train, show_progress=False, callback=lambda *_: at.append(time.process_time()))
    seconds = time.process_time() - began
    found = _quality(folder, model.user_factors, model.item_factors)._asdict() if conjugate else {}
    a_pass = (at[-1] - at[0]) / max(1, passes - 1)
    return {"cpu_s": seconds, "pass_cpu_s": a_pass, "other_cpu_s": seconds - passes * a_pass, **found}


def _spark(folder: Path, factors: int, passes: int) -> dict[str, Any]:
    import psutil
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyspark.ml.recommendation import ALS

    from shared.config import SparkConfig
    from shared.lake import session

    train = _train(folder).tocoo()
    columns = {"user": train.row.astype(np.int32), "item": train.col.astype(np.int32), "rating": train.data}
    pq.write_table(pa.table(columns), folder / "train.parquet")
    spark = session(SparkConfig(master="local[2]", driver_memory="8g"), "bench", str(folder))
    rows = spark.read.parquet(str(folder / "train.parquet")).repartition(2).cache()
    rows.count()
    (jvm,) = [child for child in psutil.Process().children(recursive=True) if child.name().startswith("java")]
    seconds = []
    for number in (1, passes):
        before = jvm.cpu_times()
        als = ALS(
            rank=factors,
            maxIter=number,
            implicitPrefs=True,
            alpha=CONFIDENCE - 1,
            regParam=REGULARISATION,
            userCol="user",
            itemCol="item",
            ratingCol="rating",
            seed=1,
        )
        als.fit(rows).userFactors.count()
        after = jvm.cpu_times()
        seconds.append(after.user + after.system - before.user - before.system)
    spark.stop()
    a_pass = (seconds[1] - seconds[0]) / (passes - 1)
    return {"pass_cpu_s": a_pass, "other_cpu_s": max(0.0, seconds[1] - passes * a_pass)}


def _main(plan: dict[str, Any]) -> dict[str, Any]:
    folder, factors, passes = Path(plan["folder"]), plan["factors"], plan["passes"]
    if plan["what"] == "spark":
        return _spark(folder, factors, passes)
    if plan["what"].startswith("marquee"):
        return _marquee(folder, factors, passes, None if plan["goal"] is None else Quality(*plan["goal"]))
    return _implicit(folder, factors, passes, conjugate=plan["what"] == "implicit-cg")


if __name__ == "__main__":
    print(json.dumps(_main(json.loads(sys.argv[1]))))
