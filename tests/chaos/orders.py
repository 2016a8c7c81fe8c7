"""What a worker under test is told: where to work, when to fail, and which guard to do without. Crosses into its process."""

from dataclasses import dataclass
from typing import Literal

At = Literal["batch", "write", "sent", "written", "counted", "marked", "committed", "resuming", "revoked", "assigned"]
"""A point in the worker's step, in the order in which it is passed.

    batch      a batch is in hand, nothing of it is in Redis
    write      the states are folded (of impressions: the pages are read) and about to be sent
    sent       the states are on their way, no reply has been read
    written    the replies are there, trending has counted nothing, and the watermark is not there
    counted    trending has counted a batch's starts; the watermark is not there
    marked     the watermark is there, Kafka knows nothing
    committed  Kafka has the commit
    resuming   a partition was given to this worker, and it looks up where to start
    revoked, assigned    a rebalance took the partitions away, or gave some
"""

Act = Literal["kill", "kill half way", "stop", "linger", "stall redis", "hold link", "flush scripts", "fail reply", "fail member"]
"""What happens there.

    kill           kill -9 of the worker
    kill half way  the same, with half of the states sent
    stop           SIGSTOP, until somebody continues it
    linger         stay for `number` milliseconds
    stall redis    SIGSTOP to Redis
    hold link      what is sent next is delivered late
    flush scripts  Redis forgets its scripts
    fail reply     one call of the pipeline gets an error
    fail member    one member inside a call does
"""

Guard = Literal[
    "order", "watermark", "lost writes", "look", "placing", "fence", "seen", "once", "gap", "reply", "reload", "version"
]
"""What can be taken out, to show that its test then fails.

    order        the watermark and the commit come before the flush instead of after
    watermark    a worker starts from Kafka's commit alone
    lost writes  a Redis that went back is not noticed by a running worker
    look         nor is it while no records come
    placing      what was fetched before a partition was placed is taken
    fence        a state is written whatever fence is there
    seen         records behind the fence are folded again
    gap          the feedback agent goes past what Faust has dropped
    once         trending counts what it has counted
    reply        an error among the replies is not looked at
    reload       a script that Redis forgot counts as run
    version      a state of a newer layout is taken for none
"""


Of = Literal["plays", "feedback", "impressions"]


@dataclass(frozen=True, slots=True)
class FailPoint:
    """Do something the `call`-th time (from 1) that the worker passes a point with records of one topic.

    Attributes
    ----------
    number : what the act makes of it.
    """

    at: At
    call: int
    act: Act
    number: int = 0
    of: Of = "plays"


@dataclass(frozen=True, slots=True)
class Orders:
    """One life of one worker."""

    config_path: str
    log_path: str
    instance: str
    redis_pid: int
    flag_path: str  # a file that tells the world that a worker lingers, or the link to hold back what is sent next
    fail: tuple[FailPoint, ...] = ()
    without: Guard | None = None
    overlap_seed: int | None = None  # deliver records again, at random
    drop_seed: int | None = None  # let Faust drop feedback that it has fetched, at random
    is_older: bool = False  # write states in the layout of version 1, and refuse newer ones
