"""Spark MLlib's ranking by ALS factors, timed in CPU-seconds of its JVM."""

import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

FloatArray = npt.NDArray[np.float32]


class SparkRival:
    """A local Spark of one core, for as long as the `with` lasts; `wanted` false: nothing is started."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self._model: Any = None

    def __enter__(self) -> Self:
        if self._wanted:
            from pyspark.sql import SparkSession

            self._folder = Path(tempfile.mkdtemp(prefix="marquee-bench-"))
            self._spark = (
                SparkSession.builder.master("local[1]")
                .config("spark.ui.enabled", "false")
                .config("spark.driver.memory", "2g")
                .config("spark.sql.shuffle.partitions", "1")
                .config("spark.local.dir", str(self._folder))
                .getOrCreate()
            )
            gateway: Any = self._spark.sparkContext._gateway
            self._jvm = psutil.Process(gateway.proc.pid)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._wanted:
            self._spark.stop()
            shutil.rmtree(self._folder, ignore_errors=True)

    def prepare(self, members: FloatArray, titles: FloatArray) -> None:
        """Give Spark the factors, as a saved ALS model, which is how it takes them from elsewhere."""
        from pyspark.ml.recommendation import ALSModel

        folder = Path(tempfile.mkdtemp(dir=self._folder))
        about = {
            "class": "org.apache.spark.ml.recommendation.ALSModel",
            "timestamp": int(time.time() * 1000),
            "sparkVersion": self._spark.version,
            "uid": "ALS_bench",
            "paramMap": {"userCol": "user", "itemCol": "item"},
            "defaultParamMap": {"predictionCol": "prediction", "coldStartStrategy": "nan", "blockSize": 4096},
            "rank": titles.shape[1],
        }
        (folder / "metadata").mkdir()
        (folder / "metadata" / "part-00000").write_text(json.dumps(about) + "\n", encoding="utf-8")
        for name, vectors in (("userFactors", members), ("itemFactors", titles)):
            (folder / name).mkdir()
            features = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1]).cast(pa.list_(pa.float32()))
            table = pa.table({"id": pa.array(np.arange(len(vectors), dtype=np.int32)), "features": features})
            pq.write_table(table, folder / name / "part-00000.parquet")
        self._model = ALSModel.load(str(folder))
        self._members = self._spark.range(len(members)).selectExpr("cast(id as int) user").cache()
        self._members.count()
        self._pairs = len(members) * len(titles)

    def rate(self, k: int) -> float:
        """Pairs a CPU-second of the JVM."""
        began_s = self._cpu_s()
        self._model.recommendForUserSubset(self._members, k).write.format("noop").mode("overwrite").save()
        return self._pairs / (self._cpu_s() - began_s)

    def _cpu_s(self) -> float:
        """CPU-seconds of the JVM and of what it started."""
        times = [process.cpu_times() for process in [self._jvm, *self._jvm.children(recursive=True)]]
        return sum(spent.user + spent.system for spent in times)
