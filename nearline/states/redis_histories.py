"""Notices that a Redis may have lost what it had, before anything is read from it or written to it again.

Each new connection is asked which life of which server it has reached, before its first command: `run_id` is new whenever a
server is started, `master_replid2` whenever a replica is promoted. All that goes over one connection reaches one process, so a
worker only ever works with a Redis that it has looked into.
"""

import re
import uuid
from typing import Any

import redis
import redis.exceptions

from shared import sharding
from shared.errors import UnavailableError

_FIELD = re.compile(r"^(run_id|master_replid2):(\w+)", re.MULTILINE)


class RestartedError(UnavailableError, redis.exceptions.ConnectionError):
    """A Redis was started again, or another took its place, while the worker was writing. The batch has to be repeated."""


class RedisHistories:
    """The history of each server that a client talks to. Called from one thread at a time.

    Parameters
    ----------
    client : its connections are watched from now on; one such object a client.

    Attributes
    ----------
    known : address of a server to the history that its newest connection has met.
    is_changed : whether a history was met that nobody has looked into; at first, that is all of them.
    """

    def __init__(self, client: redis.Redis) -> None:
        self.is_changed = True
        self.known: dict[str, str] = {}
        self._is_accepting = True
        sharding.watch_connections(client, self._met)

    def accept(self) -> None:
        """Take every history met from now on for granted, until `accepted`: the caller looks into what is there."""
        self._is_accepting = True

    def accepted(self) -> None:
        """From now on a connection to another history than those met is refused."""
        self._is_accepting = self.is_changed = False

    def refuse(self, what: str) -> RestartedError:
        """The error to raise when something else shows that a server is not the one that was looked into."""
        self.is_changed = True
        return RestartedError(f"{what}; the batch is written again once it is known what Redis has kept")

    def _met(self, connection: Any) -> None:
        connection.send_command("INFO")
        told = dict(_FIELD.findall(connection.read_response().decode()))
        # One that does not tell may have been started again each time.
        history = f"{told['run_id']}:{told.get('master_replid2', '')}" if "run_id" in told else uuid.uuid4().hex
        server = getattr(connection, "path", None) or f"{connection.host}:{connection.port}"
        if not self._is_accepting and self.known.get(server) != history:
            connection.disconnect()
            raise self.refuse(f"the Redis at {server} was started again or is a new master")
        self.known[server] = history
