"""The iALS fit over Spark, for interactions that do not fit on one machine; gives what `IALS.fit` gives, but for rounding.

Members and titles are cut into blocks of consecutive indices. What a block's half-step needs lies in files that driver and
tasks share: the block's entries, written once for each side; and factors, a file a block and pass. A half-step is one Spark
job, a task a block: it reads its entries and the factors of the columns that occur in them (from a broadcast where all of
them are small), takes the same step as on one machine, writes its new factors and returns their Gram matrix. Only the sums
of those pass through the driver. After each pass the driver notes it, and an interrupted fit goes on from there.

Memory: a task holds one block's entries twice, and factors of its rows and of the columns that occur; the driver ids, and at
the end all factors, which is the model.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch
from pyspark import TaskContext
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy import sparse

from offline.interactions import Ids, id_array
from offline.models import IALS, IALSSettings, Pass, Progress
from offline.models.alternation import HalfStep
from offline.models.ials import NOTHING, first_factors
from offline.models.least_squares import Penalty, SparseRows, device_of, gram_of, to_numpy
from offline.models.parallel import Workers
from offline.training.shards import Shards
from shared.errors import InputError, ModelError

BLOCK_ENTRIES = 4_000_000  # of one task: 100 MB with what it builds of them
BROADCAST_BYTES = 256_000_000  # factors of one side up to this size are sent to each executor whole

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Side:
    """Members or titles, in blocks of `size` consecutive indices (the last may be shorter)."""

    name: str
    count: int
    size: int
    filled: frozenset[int] = frozenset()  # blocks that have entries; factors of the others are nothing

    @property
    def blocks(self) -> int:
        """How many there are."""
        return -(-self.count // self.size)

    def rows(self, block: int) -> int:
        """How many rows a block has."""
        return min(self.size, self.count - block * self.size)


def fit_on_spark(
    frame: DataFrame,
    settings: IALSSettings,
    url: str,
    *,
    subject: str = "",
    progress: Progress | None = None,
    blocks: int | None = None,
    broadcast_bytes: int = BROADCAST_BYTES,
) -> IALS:
    """Fit iALS to a table of interactions.

    Parameters
    ----------
    frame : `member_id`, `title_id`, `weight`; of several rows of one member and title the greatest weight counts.
    url : a folder of this fit alone that driver and tasks reach. What an interrupted fit left there is gone on from.
        It is removed at the end.
    subject : names the data, such as a table's version; an interrupted fit of another subject is begun anew.
    progress : called after each pass; what it raises ends the fit.
    blocks : into how many each side is cut; by default as many as there are cores, and by `BLOCK_ENTRIES`.
    broadcast_bytes : factors of more are read by each task from the files, as far as it needs them.

    Raises
    ------
    ModelError : no weight is above 0, or the factors overflow. InputError : a weight is not a number of 0 or more.
    """
    shards = Shards(url)
    model = IALS(settings)
    spread = _Spread(frame, model, shards, subject, blocks, broadcast_bytes)
    spread.run(progress)
    model.finish(spread.gather("members"), spread.gather("titles"))
    shards.remove("")
    return model


class _Spread:
    """One fit: what the driver knows of it."""

    def __init__(
        self, frame: DataFrame, model: IALS, shards: Shards, subject: str, blocks: int | None, broadcast_bytes: int
    ) -> None:
        self.spark, self.model, self.shards = frame.sparkSession, model, shards
        self.broadcast_bytes = broadcast_bytes
        entries = _merged(frame).persist()
        positive = F.when(F.col("weight") > 0, F.col("weight"))
        columns = F.max("wrong").alias("wrong"), F.count(positive).alias("entries"), F.avg(positive).alias("mean")
        scales = entries.agg(*columns).collect()[0]
        if scales["wrong"] is not None:
            raise InputError(f"ials: a weight is {scales['wrong']}; expected a number of 0 or more")
        if not scales["entries"]:
            raise ModelError(NOTHING)
        model.member_ids, model.title_ids = (_ids(entries, name) for name in ("member_id", "title_id"))
        cut = blocks or max(self.spark.sparkContext.defaultParallelism, -(-scales["entries"] // BLOCK_ENTRIES))
        self.sides = {
            name: Side(name, len(ids), -(-len(ids) // min(cut, len(ids))))
            for name, ids in (("members", model.member_ids), ("titles", model.title_ids))
        }
        about = [msgspec.to_builtins(model.settings), subject, scales["entries"], cut]  # another cut has other files
        digest = hashlib.sha256(msgspec.json.encode(about, order="sorted")).digest()
        self.digest = np.frombuffer(digest, np.uint8)
        if shards.has("note") and not np.array_equal(shards.read("note")["digest"], self.digest):
            shards.remove("")
        self._lay_out(entries.where("weight > 0"), scales["entries"], scales["mean"])
        entries.unpersist()
        self.penalty = model.penalty

    def _lay_out(self, entries: DataFrame, count: int, mean: float) -> None:
        """Write the entries of each block of either side, and take the scales of the objective."""
        for name, column, ids in (
            ("members", "member_id", self.model.member_ids),
            ("titles", "title_id", self.model.title_ids),
        ):
            index = pa.table({column: pa.array(ids, pa.string()), name: pa.array(np.arange(len(ids)))})
            entries = entries.join(self.spark.createDataFrame(index), column)
        indexed = entries.select("members", "titles", (F.col("weight") / mean).cast("float").alias("weight")).persist()
        popularity = np.zeros(len(self.model.title_ids))
        filled_members = 0
        for name, side in self.sides.items():
            (other,) = self.sides.keys() - {name}
            written = (
                indexed.withColumn("block", F.floor(F.col(name) / side.size).cast("int"))
                .groupBy("block")
                .applyInArrow(_entry_writer(self.shards, side, other), "block INT, filled LONG, totals BINARY")
                .collect()
            )
            self.sides[name] = Side(name, side.count, side.size, frozenset(row["block"] for row in written))
            if name == "members":
                filled_members = sum(row["filled"] for row in written)
                continue
            for row in written:
                totals = np.frombuffer(row["totals"], np.float32)
                popularity[row["block"] * side.size :][: len(totals)] = totals
        indexed.unpersist()
        self.model.scale_to(mean, popularity, count, filled_members)

    def run(self, progress: Progress | None) -> None:
        """Make all passes, from the last one noted."""
        settings, began = self.model.settings, time.perf_counter()
        done, gram = self._latest()
        for iteration in range(done + 1, settings.iterations + 1):
            step = settings.half_step(iteration)
            gram = self._half("members", iteration, step, gram)
            gram = self._half("titles", iteration, step, gram)
            note = {"iteration": np.array([iteration]), "digest": self.digest, "title_gram": gram}
            self.shards.write_whole("note", note)
            for name in self.sides:
                self.shards.remove(_factors(name, iteration - 1))
            if progress is not None:
                progress(Pass(iteration, settings.iterations, time.perf_counter() - began, iteration - done))
        self._half("members", settings.iterations + 1, settings.last_step, gram)

    def _latest(self) -> tuple[int, npt.NDArray[np.float64]]:
        """The last pass noted and the Gram matrix of its titles; the first factors where there is none."""
        if self.shards.has("note"):
            note = self.shards.read("note")
            return int(note["iteration"][0]), note["title_gram"]
        members, titles = first_factors(self.model.settings, len(self.model.member_ids), len(self.model.title_ids))
        for name, factors in (("members", members), ("titles", titles)):
            side = self.sides[name]
            for block in range(side.blocks):
                rows = factors[block * side.size :][: side.rows(block)]
                self.shards.write(f"{_factors(name, 0)}/{block}", {"factors": rows})
        return 0, gram_of(torch.from_numpy(titles)).numpy()

    def _half(self, name: str, iteration: int, step: HalfStep, gram: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Step with one side, given the newest factors of the other; returns the new factors' Gram matrix."""
        (other,) = self.sides.keys() - {name}
        # Titles are stepped with against the members of the same pass, members against the titles of the one before.
        fixed_pass = iteration - 1 if name == "members" else iteration
        fixed_side, width = self.sides[other], self.model.settings.factors
        small = fixed_side.count * width * 4 <= self.broadcast_bytes
        whole = self.spark.sparkContext.broadcast(self._gather(other, fixed_pass)) if small else None
        work = _Half(
            self.shards, self.sides[name], fixed_side, iteration, fixed_pass, step, self.penalty, gram, self.model.settings
        )
        blocks = sorted(self.sides[name].filled)
        numbers = self.spark.range(0, len(blocks), 1, len(blocks))
        rows = numbers.mapInArrow(work.task(blocks, whole), "block INT, gram BINARY").collect()
        if whole is not None:
            whole.destroy()
        total = np.zeros((width, width))
        for row in sorted(rows, key=lambda row: int(row["block"])):
            total += np.frombuffer(row["gram"]).reshape(width, width)
        return total

    def gather(self, name: str) -> FloatArray:
        """The factors of one side at the end, `(rows, factors)`."""
        return self._gather(name, self.model.settings.iterations + (name == "members"))

    def _gather(self, name: str, iteration: int) -> FloatArray:
        side = self.sides[name]
        everything = np.arange(side.count)
        return _read_factors(self.shards, side, iteration, everything, self.model.settings.factors)


@dataclass(frozen=True)
class _Half:
    """One half-step, as its tasks get it."""

    shards: Shards
    side: Side
    fixed: Side
    iteration: int
    fixed_pass: int
    step: HalfStep
    penalty: Penalty
    gram: npt.NDArray[np.float64]
    settings: IALSSettings

    def task(self, blocks: list[int], whole: Any) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
        """What `mapInArrow` runs over positions in `blocks`; `whole` is the broadcast of the fixed side's factors, or None."""

        def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            context = TaskContext.get()
            torch.set_num_threads(1 if context is None else context.cpus())
            for batch in batches:
                for place in batch["id"].to_pylist():
                    block = blocks[place]
                    gram = self._solve(block, None if whole is None else whole.value)
                    yield pa.RecordBatch.from_pydict(
                        {"block": pa.array([block], pa.int32()), "gram": pa.array([gram.tobytes()], pa.binary())}
                    )

        return run

    def _solve(self, block: int, whole: FloatArray | None) -> npt.NDArray[np.float64]:
        """Write the new factors of a block and return their Gram matrix."""
        entries = self.shards.read(f"entries/{self.side.name}/{block}")
        columns, width = entries["columns"], self.settings.factors
        if whole is None:
            fixed = _read_factors(self.shards, self.fixed, self.fixed_pass, columns, width)
        else:
            fixed = whole[columns]
        before = self.iteration - 1
        current = self.shards.read(f"{_factors(self.side.name, before)}/{block}")["factors"]
        matrix = sparse.csr_array(
            (entries["weight"], entries["index"], entries["start"]), shape=(self.side.rows(block), len(columns))
        )
        device = device_of(self.settings.device)
        with Workers(device) as workers:
            rows = SparseRows(matrix, device, self.fixed.count)
            found = self.step(
                rows,
                torch.from_numpy(fixed).to(device),
                torch.from_numpy(current).to(device),
                self.penalty,
                workers,
                torch.from_numpy(self.gram),
            )
        self.shards.write(f"{_factors(self.side.name, self.iteration)}/{block}", {"factors": to_numpy(found)})
        gram: npt.NDArray[np.float64] = to_numpy(gram_of(found))
        return gram


def _factors(name: str, iteration: int) -> str:
    return f"{name}-{iteration}"


def _read_factors(shards: Shards, side: Side, iteration: int, wanted: npt.NDArray[np.int64], width: int) -> FloatArray:
    """The factors of some rows of a side, in ascending order, `(wanted, factors)`."""
    factors = np.zeros((len(wanted), width), np.float32)
    edges = np.searchsorted(wanted, np.arange(side.blocks + 1) * side.size)
    for block in range(side.blocks):
        part = slice(edges[block], edges[block + 1])
        if part.start < part.stop and block in side.filled:
            factors[part] = shards.read(f"{_factors(side.name, iteration)}/{block}")["factors"][wanted[part] - block * side.size]
    return factors


def _entry_writer(shards: Shards, side: Side, other: str) -> Callable[[pa.Table], pa.Table]:
    """What writes the entries of one block of a side."""

    def write(table: pa.Table) -> pa.Table:
        row, column = table[side.name].to_numpy(), table[other].to_numpy()
        block = int(row[0]) // side.size
        order = np.lexsort((column, row))
        counts = np.bincount(row - block * side.size, minlength=side.rows(block))
        columns, index = np.unique(column[order], return_inverse=True)
        weight = table["weight"].to_numpy()[order]
        start = np.concatenate([[0], np.cumsum(counts)])
        shards.write(
            f"entries/{side.name}/{block}",
            {"start": start, "index": index.astype(np.int32), "columns": columns, "weight": weight},
        )
        totals = np.bincount(row - block * side.size, table["weight"].to_numpy(), side.rows(block)).astype(np.float32)
        return pa.table(
            {
                "block": pa.array([block], pa.int32()),
                "filled": pa.array([int(np.count_nonzero(counts))], pa.int64()),
                "totals": pa.array([totals.tobytes()], pa.binary()),
            }
        )

    return write


def _merged(frame: DataFrame) -> DataFrame:
    """One row a member and title; `wrong` is a weight that cannot be, or null."""
    weight = F.col("weight").cast("float")
    known = weight.isNotNull() & ~F.isnan(weight) & (weight >= 0) & (weight < float("inf"))
    wrong = F.when(~known, F.coalesce(weight.cast("string"), F.lit("missing")))
    return frame.groupBy("member_id", "title_id").agg(F.max(weight).alias("weight"), F.max(wrong).alias("wrong"))


def _ids(entries: DataFrame, column: str) -> Ids:
    """The distinct ids of a column, sorted."""
    ids = entries.select(column).distinct().toArrow()[column].combine_chunks()
    return id_array(ids.take(pc.sort_indices(ids)).to_pylist())
