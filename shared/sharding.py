"""A Redis Cluster, met as `redis.Redis` meets one server: commands, pipelines, errors and all.

`shared.store.connect` gives such a client for a `redis+cluster://` address. redis-py's own cluster client does most of it. What
differs here: nothing is sent before the first command; every failure is a `redis.RedisError`; and a pipeline takes scripts,
goes to each node in one round trip, all at once, and answers for each command by itself.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import redis
import redis.exceptions
from redis.cluster import ClusterNode, RedisCluster
from redis.commands import CoreCommands
from redis.connection import parse_url
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError, RedisClusterException, TryAgainError
from redis.retry import Retry

from shared.errors import ConfigError

SCHEMES = {"redis+cluster": False, "rediss+cluster": True}
"""How an address of a cluster begins, and whether it is spoken to over TLS."""
DEFAULT_PORT = 6379
PAUSE_S = 0.05
"""Before a node is asked again that said it could not serve a slot just now."""
REFRESH_PAUSE_S = 1.0
"""The least time between two looks at the whole map of slots, after failures."""

OnConnect = Callable[[Any], None]


def is_cluster_url(url: str) -> bool:
    """Whether an address in the configuration is that of a cluster."""
    return urlsplit(url).scheme in SCHEMES


def parse(url: str) -> dict[str, Any]:
    """`redis+cluster://[user@]host[:port][,host[:port]…]` (or `rediss+cluster://`) as arguments of redis-py's `RedisCluster`.

    Naming a few nodes is enough, the others are found. Options may follow as in redis-py's addresses (`?ssl_cert_reqs=none`).

    Raises
    ------
    ConfigError : it is no such address.
    """
    parts = urlsplit(url)
    user, _, hosts = parts.netloc.rpartition("@")
    try:
        if parts.path.strip("/") not in ("", "0"):
            raise ValueError("a cluster has only database 0")
        found = [_parse_node(host) for host in hosts.split(",")]
        first = f"{user}@{hosts.split(',')[0]}" if user else hosts.split(",")[0]
        options: dict[str, Any] = parse_url(urlunsplit(("redis", first, "", parts.query, "")))  # type: ignore[no-untyped-call]
    except ValueError as error:
        raise ConfigError(
            f"[redis] url: {url!r} is not the address of a Redis Cluster, redis+cluster://host:port,host:port ({error})"
        ) from None
    for taken in ("host", "port", "db"):
        options.pop(taken, None)
    if SCHEMES[parts.scheme]:
        options["ssl"] = True
    return options | {"startup_nodes": found}


def _parse_node(host: str) -> ClusterNode:
    parts = urlsplit(f"//{host}")
    if not parts.hostname or parts.username is not None:
        raise ValueError(f"{host!r} is no host:port")
    return ClusterNode(parts.hostname, parts.port or DEFAULT_PORT)  # type: ignore[no-untyped-call]


class ClusterClient:
    """Has the commands of `redis.Redis`, each sent to the node that serves its key. Thread-safe.

    Parameters
    ----------
    options : of redis-py's `RedisCluster`.
    limit_s : how long a pipeline follows slots that move, and waits for a node that does not serve a slot just now.
    """

    def __init__(self, options: dict[str, Any], limit_s: float) -> None:
        self._options = options
        self._limit_s = limit_s
        self._retry: Retry | None = None
        self._on_connect: OnConnect | None = None
        self._cluster: Cluster | None = None
        self._again_s = 0.0
        self._lock = threading.Lock()

    def pipeline(self, transaction: bool = False) -> "Pipeline":
        """Commands to be sent together; a cluster knows no transactions across its nodes."""
        assert not transaction, "a Redis Cluster has no transactions across nodes"
        return Pipeline(self, self._limit_s)

    def cluster(self) -> "Cluster":
        """The connected client.

        Raises
        ------
        redis.ConnectionError : none of the nodes can be reached.
        """
        with self._lock:
            if self._cluster is None:
                if time.monotonic() < self._again_s:  # many threads may ask, one after the other
                    raise redis.exceptions.ConnectionError("no node of the Redis Cluster could be reached just now")
                try:
                    self._cluster = Cluster(retry=self._retry, require_full_coverage=False, **self._options)
                except RedisClusterException as error:
                    self._again_s = time.monotonic() + PAUSE_S
                    raise redis.exceptions.ConnectionError(str(error)) from error
                self._watch(self._cluster)
            return self._cluster

    def watch_connections(self, on_connect: OnConnect) -> None:
        """Call this with every new connection to a node before its first command; present ones are made anew."""
        with self._lock:
            self._on_connect = on_connect
            if self._cluster is not None:
                self._watch(self._cluster)

    def _watch(self, cluster: "Cluster") -> None:
        if self._on_connect is not None:
            cluster.user_on_connect_func = self._on_connect
            cluster.disconnect_connection_pools()  # type: ignore[no-untyped-call]

    def set_retry(self, retry: Retry) -> None:
        """How often single commands are tried again."""
        self._retry = retry
        if self._cluster is not None:
            self._cluster.set_retry(retry)

    def close(self) -> None:
        """Close all connections."""
        if self._cluster is not None:
            self._cluster.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.cluster(), name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def as_cluster(client: object) -> ClusterClient | None:
    """The client if it is one of a cluster."""
    return client if isinstance(client, ClusterClient) else None


def watch_connections(client: redis.Redis, on_connect: OnConnect) -> None:
    """Call this with every new connection of a client, of a cluster or not, before its first command."""
    cluster = as_cluster(client)
    if cluster is not None:
        cluster.watch_connections(on_connect)
        return

    def connected(connection: Any) -> None:
        connection.on_connect()
        on_connect(connection)

    pool = client.connection_pool
    pool.disconnect()
    pool.reset()
    pool.connection_kwargs["redis_connect_func"] = connected


class Cluster(RedisCluster):
    """redis-py's client, whose failures are all `redis.RedisError`, and whose map of slots says when it changed.

    Attributes
    ----------
    version : grows with every change of the map that a pipeline met.
    """

    def __init__(self, **options: Any) -> None:
        self.version = 0
        self._refreshed_s = 0.0
        super().__init__(**options)

    def execute_command(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().execute_command(*arguments, **options)  # type: ignore[no-untyped-call]
        except RedisClusterException as error:
            raise redis.exceptions.ConnectionError(str(error)) from error

    def refresh(self) -> None:
        """Read the map of slots anew.

        Raises
        ------
        redis.ConnectionError : no node can be reached.
        """
        self._refreshed_s = time.monotonic()
        try:
            # It closes the connection that it asks through. So none is kept to a replica, and one that is promoted is connected
            # to anew, which `watch_connections` tells.
            self.nodes_manager.initialize()
        except RedisClusterException as error:
            raise redis.exceptions.ConnectionError(str(error)) from error
        self.version += 1

    def refresh_after_failure(self) -> None:
        """The same if that was not done just now; a failure leaves the old map."""
        if time.monotonic() - self._refreshed_s >= REFRESH_PAUSE_S:
            try:
                self.refresh()
            except redis.exceptions.RedisError:
                return

    def follow(self, moved: MovedError) -> None:
        """Correct the map by one slot."""
        self.nodes_manager.move_slot(moved)
        self.version += 1

    def masters(self) -> dict[ClusterNode, list[int]]:
        """Each node that serves slots, and which."""
        found: dict[ClusterNode, list[int]] = {}
        for slot, nodes in sorted(self.nodes_manager.slots_cache.items()):
            if nodes:
                found.setdefault(nodes[0], []).append(slot)
        return found


@dataclass(slots=True)
class _Command:
    """One command of a pipeline, and how far it has got."""

    arguments: tuple[Any, ...]
    options: dict[str, Any]
    slot: int
    asking: ClusterNode | None = None  # its slot is on the way to this node
    reply: Any = None


class Pipeline(CoreCommands):
    """Commands on keys of any slots. Each has one key, or several of one slot; scripts too.

    A command that meets a moving slot follows it. Whether to try again what a failed connection left open is the caller's to say.
    """

    _event_dispatcher: Any = None  # CoreCommands asks for it, and uses it in no command

    def __init__(self, client: ClusterClient, limit_s: float) -> None:
        self._client = client
        self._limit_s = limit_s
        self._commands: list[_Command] = []

    def __len__(self) -> int:
        return len(self._commands)

    def execute_command(self, *arguments: Any, **options: Any) -> Self:
        """Add a command."""
        name = str(arguments[0]).upper()
        key = arguments[3 if name in ("EVAL", "EVALSHA") else 1]
        self._commands.append(_Command(arguments, options, key_slot(key if isinstance(key, bytes) else str(key).encode())))
        return self

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send everything; the replies in the order of the commands, an exception in the place of one that failed.

        Raises
        ------
        redis.RedisError : no node can be reached; or the first failure, if asked to raise.
        """
        commands, self._commands = self._commands, []
        cluster = self._client.cluster()
        deadline_s = time.monotonic() + self._limit_s
        due = commands
        while due:
            _send(cluster, due)
            due = [command for command in due if _is_due_again(cluster, command)]
            if time.monotonic() > deadline_s:
                for command in due:
                    if not isinstance(command.reply, ClusterDownError):
                        command.reply = redis.exceptions.TimeoutError(
                            f"no time was left to follow a slot that moved: {command.reply}"
                        )
                break
            if any(isinstance(command.reply, TryAgainError | ClusterDownError) for command in due):
                time.sleep(PAUSE_S)
        if any(isinstance(command.reply, redis.exceptions.ConnectionError) for command in commands):
            cluster.refresh_after_failure()
        for command in commands:
            if raise_on_error and isinstance(command.reply, Exception):
                raise command.reply
        return [command.reply for command in commands]


def _is_due_again(cluster: Cluster, command: _Command) -> bool:
    reply, command.asking = command.reply, None
    if isinstance(reply, MovedError):
        cluster.follow(reply)
    elif isinstance(reply, AskError):
        node = cluster.get_node(host=reply.host, port=reply.port)  # type: ignore[no-untyped-call]
        command.asking = node or ClusterNode(reply.host, reply.port)  # type: ignore[no-untyped-call]
    elif isinstance(reply, ClusterDownError):
        cluster.refresh_after_failure()
    else:
        return isinstance(reply, TryAgainError)
    return True


def _send(cluster: Cluster, commands: Sequence[_Command]) -> None:
    """One round trip to each node concerned: all are written to before the first is read."""
    shares: dict[ClusterNode, list[_Command]] = {}
    for command in commands:
        try:
            node = command.asking or cluster.nodes_manager.get_node_from_slot(command.slot)
        except RedisClusterException as error:
            command.reply = ClusterDownError(str(error))
            continue
        shares.setdefault(node, []).append(command)
    trips: list[_Trip] = []
    try:
        for node, share in shares.items():
            trips.append(_Trip(cluster.get_redis_connection(node), share))
            trips[-1].write()
        for trip in trips:
            trip.read(at_once=any(other.is_late for other in trips))
    finally:
        for trip in trips:
            trip.end()


class _Trip:
    """One round trip to one node. A connection whose replies were not all read is closed.

    Attributes
    ----------
    is_late : the node let its time run out.
    """

    def __init__(self, node: redis.Redis, commands: Sequence[_Command]) -> None:
        self._node = node
        self._commands = commands
        self._connection: Any = None
        self._is_whole = True
        self.is_late = False

    def write(self) -> None:
        try:
            self._connection = self._node.connection_pool.get_connection()
            self._is_whole = False
            lines = (
                line
                for command in self._commands
                for line in ((("ASKING",), command.arguments) if command.asking else (command.arguments,))
            )
            self._connection.send_packed_command(self._connection.pack_commands(lines))
        except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError) as error:
            self._fail(self._commands, error)

    def read(self, at_once: bool) -> None:
        """Read all replies. `at_once`: time has run out already, so they are there or are not waited for."""
        if self._is_whole:
            return
        for number, command in enumerate(self._commands):
            try:
                if at_once and number == 0 and not self._connection.can_read(timeout=0):
                    raise redis.exceptions.TimeoutError("no time was left after another node's")
                if command.asking:
                    with contextlib.suppress(redis.exceptions.ResponseError):  # then the command itself is refused too
                        self._connection.read_response()
                name = command.arguments[0]
                command.reply = self._node.parse_response(self._connection, name, **command.options)  # type: ignore[no-untyped-call]
            except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError) as error:
                self._fail(self._commands[number:], error)
                return
            except redis.exceptions.ResponseError as error:
                command.reply = error
        self._is_whole = True

    def end(self) -> None:
        if self._connection is None:
            return
        if not self._is_whole:
            self._connection.disconnect()
        self._node.connection_pool.release(self._connection)

    def _fail(self, commands: Iterable[_Command], error: Exception) -> None:
        self.is_late = isinstance(error, redis.exceptions.TimeoutError)
        for command in commands:
            command.reply = error
        if self._connection is not None:
            self._connection.disconnect()
        self._is_whole = True
