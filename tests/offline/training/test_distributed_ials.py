"""The fit over Spark against the fit on one machine, on a real local session."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame

from offline.interactions import Interactions
from offline.models import IALS, IALSSettings, Pass
from offline.training.distributed_ials import fit_on_spark
from shared.config import SparkConfig
from shared.errors import InputError, ModelError
from shared.lake import session
from tests.builders import random_interactions
from tests.conftest import QUICK_JVM

pytestmark = pytest.mark.slow


@pytest.fixture
def world() -> Interactions:
    """Members of whom some have nothing that teaches."""
    made = random_interactions(90, 70, share=0.1, seed=4)
    made.matrix.data[made.matrix.indptr[3] : made.matrix.indptr[5]] = 0
    return made


def table(world: Interactions, tmp_path: Path, twice: int = 0) -> DataFrame:
    """The interactions as a table; the first rows again with a lesser weight, which must not count."""
    config = SparkConfig(master="local[2]", shuffle_partitions=2, settings={"spark.driver.extraJavaOptions": QUICK_JVM})
    columns = {
        "member_id": world.member_ids[world.entry_members].tolist(),
        "title_id": world.title_ids[world.matrix.indices].tolist(),
        "weight": world.matrix.data.astype(np.float64).tolist(),
    }
    for values in columns.values():
        values += [value * 0.5 if isinstance(value, float) else value for value in values[:twice]]
    return session(config, "tests", str(tmp_path)).createDataFrame(pa.table(columns))


class Interrupted(Exception):
    pass


def test_equals_the_fit_on_one_machine(world: Interactions, tmp_path: Path) -> None:
    frame = table(world, tmp_path, twice=9)
    settings = IALSSettings(factors=12, iterations=1, solver="conjugate", bfloat16=False)
    assert_same(fit_on_spark(frame, settings, str(tmp_path / "fit"), blocks=2), IALS(settings).fit(world))


def test_an_interrupted_fit_goes_on_to_the_same_model_but_not_from_other_data(world: Interactions, tmp_path: Path) -> None:
    settings = IALSSettings(factors=12, iterations=2, solver="exact")
    frame, url = table(world, tmp_path), str(tmp_path / "fit")
    passes: list[Pass] = []

    def interrupt(done: Pass) -> None:
        passes.append(done)
        raise Interrupted

    for subject in ("before", "now"):
        with pytest.raises(Interrupted):
            fit_on_spark(frame, settings, url, subject=subject, progress=interrupt, blocks=3, broadcast_bytes=0)
    found = fit_on_spark(frame, settings, url, subject="now", progress=passes.append, blocks=3, broadcast_bytes=0)
    assert [(each.number, each.fresh) for each in passes] == [(1, 1), (1, 1), (2, 1)]
    assert not Path(url).exists()
    assert_same(found, IALS(settings).fit(world))


def assert_same(found: IALS, expected: IALS) -> None:
    assert found.member_ids.tolist() == expected.member_ids.tolist()
    assert found.title_ids.tolist() == expected.title_ids.tolist()
    np.testing.assert_allclose(found.member_factors, expected.member_factors, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.title_factors, expected.title_factors, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.popularity, expected.popularity, rtol=1e-5)
    np.testing.assert_allclose(found.terms, expected.terms, rtol=1e-6)


def test_bad_weights_are_refused(tmp_path: Path) -> None:
    frame = table(random_interactions(5, 5), tmp_path)
    with pytest.raises(InputError, match=r"a weight is -1.0; expected a number of 0 or more"):
        fit_on_spark(frame.selectExpr("member_id", "title_id", "-1.0D AS weight"), IALSSettings(), str(tmp_path / "fit"))
    with pytest.raises(ModelError, match="above 0"):
        fit_on_spark(frame.selectExpr("member_id", "title_id", "0.0D AS weight"), IALSSettings(), str(tmp_path / "fit"))
