"""Where trending's counters lie in Redis, and what stands for a page, a viewer and a cell there.

A member's pages and plays are counted in one shard, chosen by the member's id, so that one script can join them. All keys of a
shard begin with its hash tag and lie on one node of a Redis Cluster:

    …:fence              hash    topic/epoch/partition to the offset of the last record counted in this shard
    …:counts:<window>    hash    country/part/kind/title to a count; `#` grows with every change. Lives as long as it counts
    …:seen:<window>      set     pages that have come. Lives as long
    …:page:<page>        string  starts that wait for their page, or the cells of a page not yet taken. Lives for twice `join_s`
    …:starts:<window>    set     viewers of titles in a segment, each counted once. Lives for twice `join_s` after the last

The kinds are `i` for impressions of a cell, `t` for takes, `p` for starts of whatever origin.
"""

import hashlib
import zlib
from dataclasses import dataclass

from shared import keys
from shared.config import Config

IMPRESSIONS, TAKES, STARTS = KINDS = ("i", "t", "p")
CHANGES = b"#"
"""The field of a window's counts that grows with every change."""


@dataclass(frozen=True, slots=True)
class Shards:
    """The keys of all shards. `prefixes` has one beginning a shard."""

    prefixes: tuple[str, ...]

    @staticmethod
    def of(config: Config) -> "Shards":
        """The shards of a configuration."""
        count, window_s = config.trending.shards, config.trending.window_s
        return Shards(tuple(keys.trending_shard(config.redis.namespace, count, window_s, shard) for shard in range(count)))

    def of_member(self, member_id: str) -> int:
        """Which shard counts a member's pages and plays."""
        return zlib.crc32(member_id.encode()) % len(self.prefixes)

    def fence(self, shard: int) -> str:
        """Key of a shard's fence."""
        return f"{self.prefixes[shard]}:fence"

    def counts(self, shard: int, window: int) -> str:
        """Key of what is counted in a window."""
        return f"{self.prefixes[shard]}:counts:{window}"

    def seen(self, shard: int, window: int) -> str:
        """Key of the pages that have come in a window."""
        return f"{self.prefixes[shard]}:seen:{window}"

    def starts(self, shard: int, window: int) -> str:
        """Key of the viewers whose starts were counted in a window."""
        return f"{self.prefixes[shard]}:starts:{window}"

    def page(self, shard: int, page: bytes) -> str:
        """Key of a page that waits for its starts, or that its starts wait for."""
        return f"{self.prefixes[shard]}:page:{page.hex()}"


def page_digest(member_id: str, page_id: str) -> bytes:
    """Stands for a page of a member; 10 bytes, because a million pages must not meet by chance."""
    return hashlib.blake2b(f"{member_id}\0{page_id}".encode(), digest_size=10).digest()


def viewer_digest(member_id: str, title_id: str, segment: str) -> bytes:
    """Stands for a member who starts a title in a segment; 10 bytes. A window can lie in two parts of the day."""
    return hashlib.blake2b(f"{segment}\0{member_id}\0{title_id}".encode(), digest_size=10).digest()


def cell_code(title_id: str) -> int:
    """Stands for a title within one page, as four bytes there: of a page of 240 titles two share a code once in 150,000."""
    return zlib.crc32(title_id.encode())
