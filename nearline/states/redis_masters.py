"""What the masters of a Redis Cluster are at one moment: their slots, and the history of their data."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import redis.exceptions

from shared.sharding import Cluster

UPTIME_STEP_S = 1.0
"""Redis tells in whole seconds how long it has run."""


@dataclass(frozen=True, slots=True)
class Master:
    """A node that serves slots.

    Attributes
    ----------
    node : its id, which it keeps when it is started again.
    history : see `nearline.states.redis_histories`.
    data, data_before : names of its data (`master_replid`); the one before is that of the master whose place it took.
    started_s : when its process began, or somewhat later, on this process's monotonic clock.
    """

    address: str
    node: str
    history: str
    data: str
    data_before: str
    started_s: float
    slots: frozenset[int]


def find_masters(cluster: Cluster, histories: Mapping[str, str]) -> dict[str, Master]:
    """Address to master, by the map of slots that the client has.

    Parameters
    ----------
    histories : address to the history that connections to it have met; looked up once there is one.

    Raises
    ------
    redis.RedisError : one does not answer.
    """
    found: dict[str, Master] = {}
    for node, slots in cluster.masters().items():
        client = cluster.get_redis_connection(node)
        node_id = client.execute_command("CLUSTER MYID")  # type: ignore[no-untyped-call]
        told = client.info()
        if told["role"] != "master":
            raise redis.exceptions.ClusterDownError(f"{node.name} is no longer a master")
        found[node.name] = Master(
            address=node.name,
            node=node_id.decode() if isinstance(node_id, bytes) else str(node_id),
            history=histories[node.name],
            data=str(told.get("master_replid", "")),
            data_before=str(told.get("master_replid2", "")),
            started_s=time.monotonic() - float(told["uptime_in_seconds"]) + UPTIME_STEP_S,
            slots=frozenset(slots),
        )
    return found
