"""Every Redis key: build and parse.

    <namespace>:{<member>}:state             hash   state bytes and fence of one member
    <namespace>:{<member>}:cand:<version>    string candidates of one member in one snapshot
    <namespace>:{<member>}:fresh:<version>   hash   candidates of one member retrieved anew in one snapshot, and their fence
    <namespace>:snapshot:<version>:<part>    string manifest, titles
    <namespace>:pointer:<arm>                hash   current and previous version that an arm serves
    <namespace>:epoch:<topic>                hash   Kafka's topic id / partition count to the epoch number given to them
    <namespace>:epoch-starts:<topic>         hash   epoch:partition to the first offset that belongs to the epoch
    <namespace>:starts                       hash   worker instance to how often it was started
    <namespace>:installed                    string version of the lake's member states that was last merged in
    <namespace>:watermark:<topic>            hash   epoch:partition to the next offset whose effects are all in Redis
    <namespace>:watermark:<topic>:{<n>}      hash   a copy of it, in a cluster
    <namespace>:watermark-master:{<n>}       hash   which master has that copy, and what slots it had when it was written
    <namespace>:signals:<topic>:<partition>  sorted set   members to retrieve for, by the offset that asked for it
    <namespace>:trending:<country>:<part>    string what is trending, as published; `all` in the place of a country: everywhere
    <namespace>:trending-lease               string the worker that publishes it
    <namespace>:{trending/<n>/<s>/<i>}:…     what it is counted from in shard i of n, in windows of s seconds; see
                                             nearline/trending/shards.py

All keys of one member share a hash tag, so that they live on one node of a Redis Cluster.
"""

import re
from urllib.parse import quote, unquote

from shared.errors import InputError

STATE_FIELD = b"s"
FENCE_FIELD = b"f"
BLOB_FIELD = b"b"
CURRENT_FIELD = b"current"
PREVIOUS_FIELD = b"previous"

_SAFE = "-_.~!*'()@+,;=$&"


def _tag(member_id: str) -> str:
    """The member as a hash tag. Braces, colons, percent signs and whitespace are percent-encoded."""
    return "{" + (member_id if member_id.isalnum() and member_id.isascii() else quote(member_id, safe=_SAFE)) + "}"


def state(namespace: str, member_id: str) -> str:
    """Key of a member's state hash."""
    return f"{namespace}:{_tag(member_id)}:state"


def candidates(namespace: str, member_id: str, version: str) -> str:
    """Key of a member's candidates in one snapshot."""
    return f"{namespace}:{_tag(member_id)}:cand:{version}"


def fresh(namespace: str, member_id: str, version: str) -> str:
    """Key of the hash of a member's candidates that were retrieved anew in one snapshot."""
    return f"{namespace}:{_tag(member_id)}:fresh:{version}"


def snapshot(namespace: str, version: str, part: str) -> str:
    """Key of one part of a snapshot that all members share."""
    return f"{namespace}:snapshot:{version}:{part}"


def pointer(namespace: str, arm: str) -> str:
    """Key of the hash that says which snapshot an arm serves."""
    return f"{namespace}:pointer:{arm}"


def epoch(namespace: str, topic: str) -> str:
    """Key of the hash that numbers a topic's incarnations."""
    return f"{namespace}:epoch:{topic}"


def epoch_starts(namespace: str, topic: str) -> str:
    """Key of the hash that says where a topic's epochs begin in the partitions that are older than they."""
    return f"{namespace}:epoch-starts:{topic}"


def starts(namespace: str) -> str:
    """Key of the hash that counts the starts of each worker."""
    return f"{namespace}:starts"


def installed(namespace: str) -> str:
    """Key that remembers which version of the lake's member states was last merged into Redis."""
    return f"{namespace}:installed"


def watermark(namespace: str, topic: str, tag: str = "") -> str:
    """Key of the hash of a topic's watermarks, or of its copy under a hash tag in a cluster."""
    return f"{namespace}:watermark:{topic}:{{{tag}}}" if tag else f"{namespace}:watermark:{topic}"


def watermark_master(namespace: str, tag: str) -> str:
    """Key of the hash in which the master that has a copy of the watermarks describes itself."""
    return f"{namespace}:watermark-master:{{{tag}}}"


def trending(namespace: str, country: str | None, part: str) -> str:
    """Key of what is trending in a country (None: everywhere) at a part of the day."""
    return f"{namespace}:trending:{country or 'all'}:{part}"


def trending_lease(namespace: str) -> str:
    """Key that names the worker that publishes what is trending."""
    return f"{namespace}:trending-lease"


def trending_shard(namespace: str, shards: int, window_s: int, shard: int) -> str:
    """How all keys of one shard of trending's counters begin. They share a hash tag, and none is that of a member."""
    return f"{namespace}:{{trending/{shards}/{window_s}/{shard}}}"


def signals(namespace: str, topic: str, partition: int) -> str:
    """Key of the sorted set of members whom records of one partition ask to retrieve for."""
    return f"{namespace}:signals:{topic}:{partition}"


def states_pattern(namespace: str) -> str:
    """What matches the state keys of all members."""
    return f"{_literally(namespace)}:{{*}}:state"


def candidates_pattern(namespace: str, version: str) -> str:
    """What matches all members' candidates in one snapshot."""
    return f"{_literally(namespace)}:{{*}}:cand:{_literally(version)}"


def member_pattern(namespace: str, member_id: str) -> str:
    """What matches every key of one member."""
    return f"{_literally(namespace)}:{_literally(_tag(member_id))}:*"


def signals_pattern(namespace: str) -> str:
    """What matches the sets of members to retrieve for, of all partitions."""
    return f"{_literally(namespace)}:signals:*"


def _literally(text: str) -> str:
    """The text as a pattern of Redis that matches itself only."""
    return re.sub(r"([\[\]*?^\\])", r"\\\1", text)


def member_of(namespace: str, key: str) -> str:
    """The member_id in a member's key.

    Raises
    ------
    InputError : it is not the key of a member in this namespace.
    """
    start = f"{namespace}:{{"
    end = key.find("}:")
    if not key.startswith(start) or end < 0:
        raise InputError(f"{key!r} is not a member's key in namespace {namespace!r}")
    return unquote(key[len(start) : end])
