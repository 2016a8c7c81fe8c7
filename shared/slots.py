"""The slots of a Redis Cluster as numbers and as text. Pure."""

import functools
import itertools
from collections.abc import Sequence

from redis.crc import key_slot

SLOTS = 16_384


def spread_tags(count: int) -> dict[str, int]:
    """So many hash tags to their slots, one in each of as many runs of slots of equal length; always the same ones."""
    found: dict[int, str] = {}
    for tag in map(str, itertools.count()):
        found.setdefault(key_slot(tag.encode()) * count // SLOTS, tag)
        if len(found) == count:
            return {found[run]: key_slot(found[run].encode()) for run in sorted(found)}
    raise AssertionError("counting never ends")


def ranges(slots: Sequence[int]) -> str:
    """Ascending slots as text, `0-5460,9000-9000`."""
    starts = [slot for before, slot in zip((None, *slots), slots, strict=False) if before is None or slot != before + 1]
    ends = [slot for slot, after in zip(slots, (*slots[1:], None), strict=False) if after is None or after != slot + 1]
    return ",".join(f"{first}-{last}" for first, last in zip(starts, ends, strict=True))


@functools.lru_cache(maxsize=256)
def slots_of(text: str) -> frozenset[int]:
    """What `ranges` wrote."""
    parts = (part.split("-") for part in text.split(",") if part)
    return frozenset(slot for first, last in parts for slot in range(int(first), int(last) + 1))
