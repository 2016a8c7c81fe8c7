"""The folders that a user brings, as they are published: the MovieLens layouts and Marquee's own files.

`detect(folder)` says which layout a folder has; the `Layout` then gives the titles as one table and the history as a stream
of play events with the bad lines named. Pure pyarrow and numpy: `offline.importing` runs it inside Spark's tasks, one file each.
"""

from offline.layouts.bad_lines import BadLine, check_limits
from offline.layouts.detection import Layout, detect
from offline.layouts.history import PLAY_SCHEMA, HistoryBatch
from offline.layouts.titles import TITLE_SCHEMA, UNKNOWN_RUNTIME_S

__all__ = [
    "PLAY_SCHEMA",
    "TITLE_SCHEMA",
    "UNKNOWN_RUNTIME_S",
    "BadLine",
    "HistoryBatch",
    "Layout",
    "check_limits",
    "detect",
]
