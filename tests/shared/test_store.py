"""Member states on a real Redis: many members in one call, each with a reply of its own."""

from collections.abc import Iterator

import pytest
import redis.exceptions

from shared import keys, store
from shared.config import Config
from shared.store import MISSING, StateStore, StateWrite, StoredState

pytestmark = pytest.mark.slow

Open = tuple[StateStore, store.redis.Redis, str]


@pytest.fixture
def states(config: Config) -> Iterator[Open]:
    with store.connect(config.redis) as client:
        yield StateStore(client, config.redis.namespace), client, config.redis.namespace


def first(member: str, blob: bytes = b"state") -> StateWrite:
    return StateWrite(member, b"", b"plays=1:0:5", blob)


def test_more_members_than_one_call_takes_are_written_and_read_in_their_order(states: Open) -> None:
    own, _, _ = states
    members = [f"m{number}" for number in range(2 * store.MEMBERS_PER_CALL + 7)]
    assert own.write([first(member, member.encode()) for member in members]) == [None] * len(members)
    assert own.read([*members, "nobody"]) == [*(StoredState(m.encode(), b"plays=1:0:5") for m in members), MISSING]
    assert own.write([]) == own.read([]) == []


def test_states_larger_than_a_round_trip_all_arrive(states: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    own, _, _ = states
    monkeypatch.setattr(store, "TRIP_BYTES", 25)
    writes = [first(f"m{number}", b"x" * 10 * number) for number in range(1, 7)]
    assert own.write(writes) == [None] * 6
    assert [found.state for found in own.read([write.member_id for write in writes])] == [write.state for write in writes]


def test_a_repeated_write_is_taken_for_done_and_an_outrun_one_learns_what_is_there(states: Open) -> None:
    own, _, _ = states
    own.write([first("a"), first("b")])
    own.write([StateWrite("b", b"plays=1:0:5", b"plays=1:0:9", b"newer")])
    assert own.write([first("a"), first("b"), first("c")]) == [None, StoredState(b"newer", b"plays=1:0:9"), None]


def test_one_member_that_redis_refuses_is_named_and_does_not_stop_the_others(states: Open) -> None:
    own, client, namespace = states
    client.set(keys.state(namespace, "b"), "not a hash")
    with pytest.raises(redis.exceptions.ResponseError, match="the state of member 'b': WRONGTYPE"):
        own.write([first("a"), first("b"), first("c")])
    assert [own.read([member])[0].state for member in ("a", "c")] == [b"state", b"state"]
