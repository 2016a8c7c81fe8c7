"""Reads a topic in batches: a consumer of its own beside Faust's, because Faust hands events over one by one.

    getmany → flush → commit, one batch at a time

A batch is acknowledged only after its flush, so a crash repeats it, and the fence drops what is repeated. Nothing is fetched
ahead beyond the consumer's bounded buffers: while Redis is slow, the records wait in Kafka.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from aiokafka.structs import ConsumerRecord

from nearline.reading.expiry import note_expired
from nearline.reading.flushing import Flusher
from nearline.records import Place, Source, Writer
from shared.config import Config
from shared.errors import MarqueeError

FETCH_WAIT_MS = 20
"""How long the broker may hold a fetch open. While one is held, a partition that was just read cannot be asked again."""
FETCH_BYTES = 32 << 20
PARTITION_FETCH_BYTES = 4 << 20
"""Bounds what one fetch brings, and with it the memory that records wait in."""
POLL_MS = 200
PLACING_PAUSE_S = 0.02
LAG_LIMIT_S = 5.0

log = logging.getLogger(__name__)


class BatchReader(ConsumerRebalanceListener):  # type: ignore[misc]
    """Consumes one topic in batches and commits each after its flush.

    Parameters
    ----------
    name : tells this reader's consumer group from those of the worker's other topics.
    writer : brings a batch's effect into Redis.
    instance : a name that stays the same when this worker is started again, so that its partitions wait for it; None lets
        the group share them out anew each time.
    on_assigned : called with the topic and this worker's partitions whenever the group has shared them out.
    """

    def __init__(
        self,
        config: Config,
        name: str,
        source: Source,
        writer: Writer,
        flusher: Flusher,
        *,
        instance: str | None,
        on_assigned: Callable[[str, list[int]], Awaitable[None]],
    ) -> None:
        self._config = config
        self._name = name
        self._source = source
        self._writer = writer
        self._flusher = flusher
        self._instance = instance
        self._on_assigned = on_assigned
        self._consumer: AIOKafkaConsumer | None = None
        self._in_hand = asyncio.Lock()  # held while a batch is flushed, and while partitions change hands
        self._waiting = 0  # records of the batch in hand
        self._next: dict[TopicPartition, int] = {}  # of each partition held, the first offset not yet flushed
        self._generation = 0
        self._failure: MarqueeError | None = None
        self._is_stopping = False

    @property
    def topic(self) -> str:
        """What it reads."""
        return self._source.topic

    async def start(self) -> None:
        """Connect and ask the group for partitions."""
        session_ms = int(self._config.nearline.session_timeout_s * 1000)
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._config.kafka.bootstrap_servers,
            client_id=f"marquee-{self._name}",
            group_id=f"{self._config.nearline.group}-{self._name}",
            group_instance_id=self._instance,
            enable_auto_commit=False,
            auto_offset_reset="none",  # every partition is placed when it is assigned; elsewhere a jump would be a silent loss
            fetch_max_wait_ms=FETCH_WAIT_MS,
            fetch_max_bytes=FETCH_BYTES,
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=session_ms // 4,
            rebalance_timeout_ms=max(session_ms, 30_000),
            metadata_max_age_ms=30_000,
        )
        await self._consumer.start()
        self._consumer.subscribe([self._source.topic], listener=self)

    async def run(self) -> None:
        """Read until `stop` is asked for.

        Raises
        ------
        MarqueeError : the state could not be written; what was not acknowledged will be read again.
        """
        consumer = self._connected()
        while not self._is_stopping:
            generation = self._generation
            try:
                batch = await consumer.getmany(timeout_ms=POLL_MS, max_records=self._config.nearline.batch_events)
            except NoOffsetForPartitionError:  # asked before `on_partitions_assigned` has placed it
                await asyncio.sleep(PLACING_PAUSE_S)
                continue
            except OffsetOutOfRangeError as error:
                raise MarqueeError(
                    f"topic {self._source.topic!r} no longer has the records that were to be read next ({error}); it was "
                    f"created anew, or retention deleted them: start the worker again, and it goes on from what is there"
                ) from error
            if self._failure is not None:
                raise self._failure
            if batch:
                await self._take(batch, generation)

    async def _take(self, batch: dict[TopicPartition, list[ConsumerRecord]], generation: int) -> None:
        async with self._in_hand:
            if generation != self._generation:  # partitions changed hands while these records were on their way
                for partition in batch.keys() & self._next.keys():
                    self._connected().seek(partition, self._next[partition])
                return
            records = [record for partition, found in batch.items() if partition in self._next for record in found]
            if not records:
                return
            self._waiting = len(records)
            try:
                reached = await self._flusher.flush(self._writer, self._source, records)
            finally:
                self._waiting = 0
            offsets = {TopicPartition(place.topic, place.partition): offset for place, offset in reached.items()}
            self._next |= offsets
            await self._commit(offsets)

    async def _commit(self, offsets: dict[TopicPartition, int]) -> None:
        """Acknowledge. A commit that fails only means that records come again, to be dropped by the fence."""
        try:
            await self._connected().commit(offsets)
        except (CommitFailedError, IllegalStateError) as error:
            log.info("commit refused, the group is sharing its partitions anew: %s", error)
        except KafkaError as error:
            log.warning("commit failed, the next one covers it: %s", error)

    async def stop(self) -> None:
        """Let the batch in hand finish, commit it, and leave the group."""
        self._is_stopping = True
        async with self._in_hand:
            pass
        if self._consumer is not None:
            await self._consumer.stop()

    async def lag(self) -> int:
        """Records in this worker's partitions that are not yet in Redis.

        Raises
        ------
        KafkaError, TimeoutError : Kafka does not say.
        """
        consumer = self._connected()
        held = list(self._next)
        if not held:
            return 0
        async with asyncio.timeout(LAG_LIMIT_S):
            ends = await consumer.end_offsets(held)
            try:
                behind = [ends[partition] - await consumer.position(partition) for partition in held]
            except IllegalStateError:  # handed over in between
                behind = []
        return self._waiting + sum(max(0, int(records)) for records in behind)

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Called by the consumer before partitions go elsewhere: waits until nothing of them is in hand."""
        async with self._in_hand:
            self._generation += 1
            self._next.clear()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Called by the consumer with all partitions it now has: starts each from the lower of commit and watermark."""
        async with self._in_hand:
            self._generation += 1
            self._next.clear()
            try:
                await self._place(list(assigned))
            except MarqueeError as error:  # the consumer would log and ignore it
                self._failure = error
                return
            except KafkaError as error:
                self._failure = MarqueeError(f"the partitions of {self._source.topic!r} could not be taken over: {error!r}")
                return
            finally:
                self._generation += 1  # what was fetched meanwhile begins at Kafka's commit: beyond a gap, if Redis lost its tail
        partitions = sorted(partition.partition for partition in assigned)
        log.info("partitions of %s: %s", self._source.topic, partitions)
        await self._on_assigned(self._source.topic, partitions)

    async def _place(self, assigned: list[TopicPartition]) -> None:
        consumer = self._connected()
        if not assigned:
            return
        committed = {Place(at.topic, at.partition): await consumer.committed(at) for at in assigned}
        starts = await self._flusher.resume(committed)
        first = await consumer.beginning_offsets(assigned)
        for at in assigned:
            place = Place(at.topic, at.partition)
            if committed[place] is not None:
                note_expired(place, starts[place], first[at])
            start = max(starts[place], first[at])
            consumer.seek(at, start)
            self._next[at] = start

    def _connected(self) -> AIOKafkaConsumer:
        assert self._consumer is not None, "start() comes first"
        return self._consumer
