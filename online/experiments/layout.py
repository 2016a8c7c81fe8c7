"""Where members stand in a hash space, and which part of it each test or cell has. Pure.

A space is cut into `BUCKETS` buckets of equal size. A member's bucket in the space of a salt is

    bucket = ⌊BUCKETS · u / 2⁶⁴⌋        u = blake2b(salt ‖ 0x00 ‖ member id in UTF-8, 8 bytes), read as little-endian

which is fixed forever: members would change their cells with it. Of the hashes in the standard library this one was among the
fastest here (0.3 µs from a prepared state; SHA-1 0.5, MD5 0.6; CRC-32 takes 0.07 but is linear, so that two salts of it are
not independent).

Who wants a share of a space, but no range of it, takes the free buckets that come first in an order of its own, drawn from its
name (SHAKE-128). So one that grows keeps every bucket that it has, one that is added last takes nothing from the others, and
one that grows before others takes from each of them no more buckets than it gained.
"""

import hashlib
import struct
from collections.abc import Iterable, Sequence
from itertools import islice

BUCKETS = 10_000
"""The finest share is one of them: 0.01 %."""
FREE = -1
"""Owner of a bucket that nobody has."""

Range = tuple[int, int]
"""First bucket, and the one after the last."""


class Space:
    """A salt's hash space."""

    __slots__ = ("_salted",)

    def __init__(self, salt: str) -> None:
        self._salted = hashlib.blake2b(salt.encode() + b"\0", digest_size=8)

    def bucket(self, member: bytes) -> int:
        """Where a member, its id in UTF-8, stands: 0 to `BUCKETS` - 1."""
        salted = self._salted.copy()
        salted.update(member)
        return (int.from_bytes(salted.digest(), "little") * BUCKETS) >> 64


def wanted_order(claimant: str) -> list[int]:
    """All buckets, in the order in which a claimant of this name takes them."""
    drawn = struct.unpack(f"<{BUCKETS}Q", hashlib.shake_128(claimant.encode()).digest(8 * BUCKETS))
    return sorted(range(BUCKETS), key=drawn.__getitem__)


def claim_ranges(owners: list[int], owner: int, ranges: Iterable[Range]) -> int | None:
    """Give an owner its ranges; returns the first bucket that somebody has already, None when there is none."""
    for first, end in ranges:
        for bucket in range(first, end):
            if owners[bucket] != FREE:
                return bucket
            owners[bucket] = owner
    return None


def claim_share(owners: list[int], owner: int, claimant: str, buckets: int) -> None:
    """Give an owner so many free buckets, the most wanted first; there must be as many."""
    if not buckets:
        return
    if owners.count(FREE) == buckets:  # whatever the order
        owners[:] = [owner if of == FREE else of for of in owners]
        return
    free = (bucket for bucket in wanted_order(claimant) if owners[bucket] == FREE)
    for bucket in list(islice(free, buckets)):
        owners[bucket] = owner


def as_ranges(owners: Sequence[int], owner: int) -> list[Range]:
    """What an owner has, as the fewest ranges."""
    found: list[Range] = []
    for bucket, of in enumerate(owners):
        if of != owner:
            continue
        if found and found[-1][1] == bucket:
            found[-1] = (found[-1][0], bucket + 1)
        else:
            found.append((bucket, bucket + 1))
    return found


def equal_parts(count: int) -> list[int]:
    """`BUCKETS` in so many parts that differ by one bucket at most."""
    return [(BUCKETS * (part + 1)) // count - (BUCKETS * part) // count for part in range(count)]
