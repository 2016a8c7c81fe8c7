"""Rows of the table of interactions, as a task gets them from Spark, made into what a model learns from."""

from collections.abc import Iterable

import pyarrow as pa

from offline.interactions import Interactions
from shared import tables

SCHEMA = pa.schema(
    {"member_id": pa.string(), "title_id": pa.string(), "weight": pa.float32(), "at_ms": pa.int64(), "country": pa.string()}
)


def from_batches(batches: Iterable[pa.RecordBatch]) -> Interactions:
    """Collect rows of the interactions table inside a task.

    Raises
    ------
    InputError : there are none.
    """
    # Spark marks columns that cannot be null; the cast takes either.
    parts = [pa.Table.from_batches([batch]).select(SCHEMA.names).cast(SCHEMA) for batch in batches]
    table = pa.concat_tables(parts) if parts else SCHEMA.empty_table()
    return Interactions.from_columns(
        table["member_id"],
        table["title_id"],
        table["weight"].to_numpy(),
        table["at_ms"].to_numpy(),
        table["country"],
        source=tables.INTERACTIONS.name,
    )
