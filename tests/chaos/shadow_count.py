"""Counts applied events beside the state, so that doubling shows.

The state itself is a join semilattice: an event folded twice leaves no trace in it. Any effect that is no such lattice (a
counter) would be doubled. So the write script is given a shadow: wherever it sets a member's state, it also adds, in the
same atomic step, how many of the batch's records lie behind the fence that the writer had read. Under a sound fence each
member's count ends as the number of its readable records; a write lost lowers it, a write applied twice raises it.
"""

import hashlib
import json
import threading
from collections.abc import Sequence
from typing import Any

from redis.client import Pipeline, Redis

from nearline.records import Record, Source
from shared import fence as fences
from shared import keys
from shared.errors import EventError
from shared.fence import Position
from shared.store import StateStore, StateWrite

PRELUDE = """
local shadow = cjson.decode(table.remove(ARGV))
local server, sets = redis, 0
local function shadowed(run)
  return function(command, key, ...)
    if command == 'HSET' and shadow.counts[key] then
      sets = sets + 1
      if sets == shadow.fail then return {err = 'ERR the member was refused'} end
      local done = run(command, key, ...)
      if shadow.counts[key] > 0 then
        server.call('HINCRBY', string.gsub(key, ':state$', ':applied'), shadow.topic, shadow.counts[key])
      end
      return done
    end
    if shadow.open and shadow.befores[key] then
      local found = run(command, key, ...)
      if command == 'HGET' and ({...})[1] == 'f' then return shadow.befores[key] end
      return found
    end
    return run(command, key, ...)
  end
end
local redis = setmetatable({call = shadowed(redis.call), pcall = shadowed(redis.pcall)}, {__index = redis})
"""
FAILED_REPLY = "return redis.error_reply('ERR the call was refused')"


class ShadowCount:
    """Adds the shadow to every script that `StateStore.write` runs in this process."""

    def __init__(self, *, is_fence_open: bool) -> None:
        self._is_fence_open = is_fence_open  # whether the script is shown the fence that it is to find, whatever is there
        self._local = threading.local()
        self._shas: dict[str, str] = {}  # of a script to that of the script with its shadow
        self.failing_member = 0  # the how many-th state of the next call is refused; 0: none
        self.failing_reply = False  # the next call gets an error

    def install(self) -> None:
        """Patch redis-py's commands and the state store. Once a process."""
        for client in (Redis, Pipeline):
            self._patch_commands(client)
        original = StateStore.write

        def write(store: StateStore, writes: Sequence[StateWrite]) -> Any:
            batch = getattr(self._local, "batch", None)
            if batch is None:
                return original(store, writes)
            self._local.shadow = self._describe(store, batch, writes)
            try:
                return original(store, writes)
            finally:
                self._local.shadow = None

        StateStore.write = write  # type: ignore[method-assign]

    def begin(self, source: Source, records: Sequence[Record]) -> None:
        """A batch is in hand on this thread."""
        found: dict[str, list[Position]] = {}
        for record in records:
            try:
                event = source.decode(record.value, record.key, record.timestamp)
            except EventError:
                continue
            found.setdefault(event.member_id, []).append(Position(source.epoch, record.partition, record.offset))
        self._local.batch = (source.topic, found)

    def end(self) -> None:
        """The batch is done."""
        self._local.batch = None

    def _describe(
        self, store: StateStore, batch: tuple[str, dict[str, list[Position]]], writes: Sequence[StateWrite]
    ) -> dict[str, Any]:
        topic, places = batch
        counts: dict[str, int] = {}
        befores: dict[str, str] = {}
        for write in writes:
            before = fences.decode(write.fence_before)
            fresh = [at for at in places.get(write.member_id, ()) if not fences.has_seen(before, topic, at)]
            key = keys.state(store._namespace, write.member_id)
            counts[key], befores[key] = len(fresh), write.fence_before.decode()
        return {"topic": topic, "counts": counts, "befores": befores, "open": self._is_fence_open}

    def _patch_commands(self, client: Any) -> None:
        original = client.execute_command

        def execute_command(this: Any, *arguments: Any, **options: Any) -> Any:
            shadow = getattr(self._local, "shadow", None)
            if shadow is None:
                return original(this, *arguments, **options)
            return original(this, *self._shadowed(shadow, arguments), **options)

        client.execute_command = execute_command

    def _shadowed(self, shadow: dict[str, Any], command: tuple[Any, ...]) -> tuple[Any, ...]:
        name = command[0]
        if name == "SCRIPT LOAD":
            text = PRELUDE + command[1]
            self._shas[_sha(command[1])] = _sha(text)
            return (name, text)
        if name not in ("EVAL", "EVALSHA"):
            return command
        if self.failing_reply:
            self.failing_reply = False
            return ("EVAL", FAILED_REPLY, 0)
        script = PRELUDE + command[1] if name == "EVAL" else self._shas.get(command[1], "0" * 40)
        told = json.dumps({**shadow, "fail": self.failing_member})
        self.failing_member = 0
        return (name, script, *command[2:], told)


def _sha(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()
