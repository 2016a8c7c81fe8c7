"""What others have published about the same kind of request, to stand beside our figures. Not measured here."""

from infra.bench.online.stage import Stage
from infra.bench.report import Row

FIGURES = (
    ("Metarank, one rerank", "10–30 ms", "its doc/performance.md"),
    ("Metarank, memory of a million users", "0.8 GiB", "its doc/performance.md"),
    ("Oryx 2, top-N of 1 M items, 50 features, LSH, 32 cores", "7 ms, 437 a second", "its docs/performance.md"),
    ("Oryx 2, the same without LSH", "28 ms, 70 a second", "its docs/performance.md"),
    ("Feast, one row over REST", "p99 6.92 ms at 480 a second; tuned 4.61 ms at 718", "its tuning post, 2026"),
    ("Feast, 100 rows over REST", "p50 9.48 ms, p99 114 ms", "its tuning post, 2026"),
    ("X, one home timeline", "< 1.5 s, 220 CPU-seconds a run", "engineering post"),
)


def measure(stage: Stage) -> list[Row]:
    """One row a figure, with where it stands."""
    return [Row(f"published: {what}", f"{figure} ({source})", values={"source": source}) for what, figure, source in FIGURES]
