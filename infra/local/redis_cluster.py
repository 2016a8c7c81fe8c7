"""A real Redis Cluster of masters as child processes, each with its own append-only log; its slots can be moved."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis

from infra.local import ports
from infra.local.process import wait_until
from infra.local.redis_server import RedisServer, Sync
from shared.errors import UnavailableError
from shared.slots import SLOTS

BUS = 10_000
"""Each node listens for the others on its port plus this; Redis 6.2 has no setting for it."""
NODE_TIMEOUT_MS = 1500
FORM_LIMIT_S = 30.0
STOP_LIMIT_S = 5.0
MIGRATE_LIMIT_MS = 5000

SETTINGS = f"""\
cluster-enabled yes
cluster-config-file nodes.conf
cluster-node-timeout {NODE_TIMEOUT_MS}
cluster-require-full-coverage no
"""
"""While a node is away the members on the others are served."""


class ClusterNode(RedisServer):
    """One master of the cluster. Started again, it is the same node with the slots it had."""

    def prepare(self) -> None:
        super().prepare()
        with self._file.open("a", encoding="utf-8") as handle:
            handle.write(SETTINGS)

    @contextlib.contextmanager
    def client(self) -> Iterator[redis.Redis]:
        """A connection to this node alone."""
        with redis.Redis(port=self.port, password=self.password, socket_timeout=10.0) as client:
            yield client

    def tell(self, *command: Any) -> Any:
        """Send one command to this node alone; numbers, bytes and lists as Redis gives them."""
        with self.client() as client:
            return client.execute_command(*command)  # type: ignore[no-untyped-call]

    def cluster_id(self) -> str:
        """The name by which the nodes know each other."""
        return str(self.tell("CLUSTER MYID"), "ascii")


class LocalRedisCluster:
    """Masters on 127.0.0.1 that share the slots evenly, without replicas.

    Parameters
    ----------
    folder : holds what each node keeps.
    sync : see `RedisServer`.
    """

    def __init__(self, folder: Path, nodes: int = 3, password: str | None = None, *, sync: Sync = "everysec") -> None:
        self._folder = folder
        self._password = password
        self._sync = sync
        self.nodes: list[ClusterNode] = []
        for _ in range(nodes):
            self._add()

    def _add(self) -> ClusterNode:
        taken = frozenset(node.port for node in self.nodes)
        port = ports.free_port(taken)
        while port + BUS >= ports.HIGH or not ports.is_free(port + BUS):
            port = ports.free_port(taken)
        name = f"node-{len(self.nodes)}"
        node = ClusterNode(self._folder / name, self._folder / f"{name}.log", port, self._password, sync=self._sync)
        node.stop_limit_s = STOP_LIMIT_S  # one that writes its log anew, just made a replica, does not heed the signal
        self.nodes.append(node)
        return node

    @property
    def url(self) -> str:
        """What [redis] url takes."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def start(self) -> None:
        """Start the nodes and form the cluster.

        Raises
        ------
        UnavailableError : a node does not start, or they do not agree within `FORM_LIMIT_S`.
        """
        try:
            for node in self.nodes:
                node.start()
            self._form()
        except BaseException:
            self.stop()
            raise

    def add_node(self) -> ClusterNode:
        """Start one more node and let it join, without slots.

        Raises
        ------
        UnavailableError : as `start`.
        """
        node = self._add()
        node.start()
        node.tell("CLUSTER MEET", "127.0.0.1", self.nodes[0].port)
        self.wait_agreed()
        return node

    def stop(self) -> None:
        """End all nodes."""
        for node in self.nodes:
            node.request_stop()
        for node in self.nodes:
            node.wait_stopped()

    def owner(self, slot: int) -> ClusterNode:
        """The node that serves a slot, as the first one that runs sees it."""
        asked = next(node for node in self.nodes if node.is_running)
        for first, last, (_, port, *_), *_ in asked.tell("CLUSTER SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == port)
        raise UnavailableError(f"no node serves slot {slot}")

    def move_slot(self, slot: int, target: ClusterNode, *, keys_per_step: int = 100, pause_s: float = 0.0) -> int:
        """Move a slot with all its keys as `redis-cli --cluster reshard` does, while clients go on; how many keys moved.

        Parameters
        ----------
        pause_s : after each step, so that clients meet a slot that is half here and half there.
        """
        source = self.owner(slot)
        source_id, target_id = source.cluster_id(), target.cluster_id()
        target.tell("CLUSTER SETSLOT", slot, "IMPORTING", source_id)
        source.tell("CLUSTER SETSLOT", slot, "MIGRATING", target_id)
        moved = 0
        time.sleep(pause_s)
        with source.client() as client:
            while found := client.execute_command("CLUSTER GETKEYSINSLOT", slot, keys_per_step):  # type: ignore[no-untyped-call]
                client.migrate("127.0.0.1", target.port, found, 0, MIGRATE_LIMIT_MS, auth=target.password)
                moved += len(found)
                time.sleep(pause_s)
        target.tell("CLUSTER SETSLOT", slot, "NODE", target_id)
        for node in self.nodes:
            if node is not target and node.is_running:
                with contextlib.suppress(redis.ResponseError):  # a node without slots turns into a replica
                    node.tell("CLUSTER SETSLOT", slot, "NODE", target_id)
        return moved

    def wait_agreed(self, limit_s: float = FORM_LIMIT_S) -> None:
        """Wait until all nodes that run see a whole cluster.

        Raises
        ------
        UnavailableError : they do not within the limit.
        """

        def agreed() -> bool:
            views = [node.tell("CLUSTER INFO") for node in self.nodes if node.is_running]
            whole = {"cluster_state": "ok", "cluster_slots_ok": str(SLOTS), "cluster_known_nodes": str(len(self.nodes))}
            return all(view.items() >= whole.items() for view in views)

        if not wait_until(agreed, limit_s):
            raise UnavailableError(
                f"the nodes of the Redis Cluster did not agree within {limit_s:g} s; see {self.nodes[0].folder}"
            )

    def _form(self) -> None:
        for number, node in enumerate(self.nodes):
            first, last = number * SLOTS // len(self.nodes), (number + 1) * SLOTS // len(self.nodes) - 1
            node.tell("CLUSTER SET-CONFIG-EPOCH", number + 1)
            node.tell("CLUSTER ADDSLOTS", *range(first, last + 1))
        for node in self.nodes[1:]:
            node.tell("CLUSTER MEET", "127.0.0.1", self.nodes[0].port)
        self.wait_agreed()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
