"""Fresh candidates: blobs that tell when they are damaged, and writes that never put older ones in the place of newer."""

import uuid
from collections.abc import Iterator

import numpy as np
import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.local.stack import LocalStack
from shared import fence as fences
from shared import fresh, keys, store
from shared.config import RedisConfig
from shared.errors import SnapshotError
from shared.fence import Fence, Position
from shared.fresh import FreshCandidates, FreshStore, FreshWrite
from shared.histories import Seed

NAMESPACE = f"t{uuid.uuid4().hex[:10]}"
positions = st.builds(Position, st.integers(1, 2), st.integers(0, 1), st.integers(0, 3))
fences_of_two = st.dictionaries(st.sampled_from(["plays", "feedback", "#installed"]), positions)


def candidates(fence: Fence, mark: int = 0) -> FreshCandidates:
    titles, scores = np.array([3, 1, 2], np.int32), np.array([0.5, 0.25, -1.0], np.float32)
    return FreshCandidates("v1", fence, mark, titles, scores, (Seed("t1", 0.9), Seed("t2", 0.5)))


def test_a_blob_round_trips() -> None:
    there = candidates({"plays": Position(1, 2, 3)}, mark=7)
    found = fresh.decode(fresh.encode(there))
    assert (found.version, found.fence, found.made_at_ms, found.seeds) == ("v1", there.fence, 7, there.seeds)
    assert np.array_equal(found.titles, there.titles) and np.array_equal(found.scores, there.scores)
    assert (found.titles.dtype, found.scores.dtype) == (np.int32, np.float32)


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_one_altered_byte_is_noticed(at: int, change: int) -> None:
    blob = bytearray(fresh.encode(candidates({"plays": Position(1, 0, 9)})))
    blob[at % len(blob)] ^= change
    with pytest.raises(SnapshotError):
        fresh.decode(bytes(blob))


@pytest.mark.parametrize("blob", [b"", b"\x01\x02", b"\x09" + bytes(20)])
def test_a_short_or_newer_blob_is_refused(blob: bytes) -> None:
    with pytest.raises(SnapshotError):
        fresh.decode(blob)


@pytest.fixture(scope="module")
def client(stack: LocalStack) -> Iterator[redis.Redis]:
    with store.connect(RedisConfig(url=stack.redis.url)) as client:
        yield client


def write(client: redis.Redis, member_id: str, fence: Fence, mark: int, version: str = "v1") -> str:
    blob = fresh.encode(candidates(fence, mark))
    (outcome,) = FreshStore(client, NAMESPACE, 60).write(version, [FreshWrite(member_id, fences.encode(fence), blob)])
    return outcome


def mark_of(client: redis.Redis, member_id: str, version: str = "v1") -> int | None:
    found = FreshStore(client, NAMESPACE, 60).read(version, member_id)
    return None if found is None else found.made_at_ms


def member(client: redis.Redis) -> str:
    """A member that has a state."""
    member_id = uuid.uuid4().hex
    client.hset(keys.state(NAMESPACE, member_id), "s", b"state")
    return member_id


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(fences_of_two, fences_of_two)
def test_only_what_is_surely_older_is_refused(client: redis.Redis, first: Fence, second: Fence) -> None:
    member_id = member(client)
    assert write(client, member_id, first, 1) == "written"
    is_older = any(topic not in second or second[topic].is_behind(at) for topic, at in first.items())
    assert write(client, member_id, second, 2) == ("overtaken" if is_older else "written")
    assert mark_of(client, member_id) == (1 if is_older else 2)
    client.delete(keys.state(NAMESPACE, member_id), keys.fresh(NAMESPACE, member_id, "v1"))


@pytest.mark.slow
def test_a_late_writer_does_not_replace_newer_candidates(client: redis.Redis) -> None:
    member_id = member(client)
    older, newer = {"plays": Position(1, 0, 4)}, {"plays": Position(1, 0, 5)}
    assert [write(client, member_id, newer, 5), write(client, member_id, older, 4)] == ["written", "overtaken"]
    assert mark_of(client, member_id) == 5
    assert write(client, member_id, older, 4, version="v2") == "written"  # another snapshot's candidates are others
    assert (mark_of(client, member_id, "v1"), mark_of(client, member_id, "v2")) == (5, 4)
    assert 0 < client.ttl(keys.fresh(NAMESPACE, member_id, "v1")) <= 60


@pytest.mark.slow
def test_nothing_is_written_for_a_member_who_was_erased(client: redis.Redis) -> None:
    assert write(client, "erased", {"plays": Position(1, 0, 4)}, 1) == "gone"
    assert not client.exists(keys.fresh(NAMESPACE, "erased", "v1"))


@pytest.mark.slow
def test_what_is_no_candidates_is_replaced_and_a_batch_goes_through(client: redis.Redis) -> None:
    members = [member(client) for _ in range(5)]
    client.set(keys.fresh(NAMESPACE, members[1], "v1"), b"a string")
    client.hset(keys.fresh(NAMESPACE, members[2], "v1"), "f", b"nonsense")
    fence: Fence = {"plays": Position(1, 0, 4)}
    writes = [FreshWrite(member_id, fences.encode(fence), fresh.encode(candidates(fence, 3))) for member_id in members]
    assert FreshStore(client, NAMESPACE, 60).write("v1", writes) == ["written"] * 5
    assert {mark_of(client, member_id) for member_id in members} == {3}
