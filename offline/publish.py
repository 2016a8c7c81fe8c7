"""Publishes what the jobs made as one immutable snapshot in Redis, then flips one pointer.

The steps are `start` (the version is written down), `write` (bundle and candidates under the new version's keys), `verify`
(everything is read back and its checksums compared), `complete` (the manifest), `flip` (the pointer) and `retire` (older
versions expire). Nothing that serves is touched before `flip`, so a publish that dies anywhere leaves the old snapshot
serving; what it wrote is found through `gold/published` and cleared by the next one.
"""

import itertools
import time
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import redis
from pyspark.sql import DataFrame

from offline import browse, ranker_store, snapshot_bundle
from offline.jobs import Context, Job
from shared import codecs, keys, store, tables
from shared.config import RedisConfig
from shared.errors import SnapshotError
from shared.lake import ArrowFunction
from shared.snapshots import Manifest, SnapshotStore, new_version

_SOURCES = (*snapshot_bundle.SOURCES, tables.RANKERS)
_KEYS_PER_TRIP = 1000
_CHECKSUM_MODULUS = 1 << 62
_COUNTED = "members LONG, checksum LONG"


def work(context: Context) -> dict[str, str]:
    """Publish a new snapshot for the configured arm."""
    publisher = Publisher(context, context.config.online.arm)
    with store.reachable(context.config.redis):
        publisher.start()
        publisher.write()
        publisher.verify()
        publisher.complete()
        publisher.flip()
        publisher.retire()
    return {
        "version": publisher.version,
        "members": str(publisher.members),
        "titles": str(len(publisher.titles)),
        "ranker": publisher.ranker,
        "browse model": publisher.browse,
    }


class Publisher:
    """One publish. Its steps are called once each, in the order in which they stand here.

    Attributes
    ----------
    version : name of the new snapshot.
    titles : the catalogue, in the order of its indices: ascending title_id.
    members : how many members' candidates were written.
    ranker : which ranker is in it, or why there is none.
    browse : what its browse model rests on.
    """

    def __init__(self, context: Context, arm: str) -> None:
        self._context, self._arm = context, arm
        self._lake = context.lake
        self._sources = {table.name: self._lake.version(table) for table in _SOURCES}
        self._redis = store.connect(context.config.redis)
        self._snapshots = SnapshotStore(self._redis, context.config.redis.namespace)
        self.version = new_version(context.run_id[:6])
        self.titles = snapshot_bundle.titles(self._lake, self._sources)
        self.ranker = "none"
        self.browse = "default"
        self.members = 0
        self._checksum = 0
        self._bundle_checksum = 0

    def start(self) -> None:
        """Write the new version down, so that it can be cleared should this publish die."""
        self._redis.ping()
        self._note("started")

    def write(self) -> None:
        """Write the bundle and every member's candidates."""
        arrays = snapshot_bundle.arrays(self._lake, self._sources, self.titles)
        ranker, self.ranker = ranker_store.published_arrays(self._lake, self._sources[tables.RANKERS.name])
        attention, self.browse = browse.published_arrays(self._lake, self._context.config)
        bundle = codecs.encode_bundle(self.titles, arrays | ranker | attention)
        self._bundle_checksum = codecs.checksum(bundle)
        self._snapshots.write_bundle(self.version, bundle)
        index = {title.title_id: number for number, title in enumerate(self.titles)}
        written = self._candidates().mapInArrow(_writer(self._context.config.redis, self.version, index), _COUNTED)
        self.members, self._checksum = _total(written)

    def verify(self) -> None:
        """Read everything back and compare.

        Raises
        ------
        SnapshotError : something is missing or is not what was written.
        """
        read = self._candidates().select("member_id").mapInArrow(_reader(self._context.config.redis, self.version), _COUNTED)
        members, checksum = _total(read)
        if (members, checksum) != (self.members, self._checksum):
            raise SnapshotError(
                f"snapshot {self.version!r}: {members} candidate lists with checksum {checksum} were read back; "
                f"{self.members} with checksum {self._checksum} were written"
            )

    def complete(self) -> None:
        """Write the manifest and load the shared part as a reader will."""
        self._snapshots.write_manifest(
            Manifest(
                version=self.version,
                created_at_ms=int(time.time() * 1000),
                members=self.members,
                titles=len(self.titles),
                candidates_checksum=self._checksum,
                bundle_checksum=self._bundle_checksum,
                sources=self._sources,
            )
        )
        self._snapshots.load(self.version)

    def flip(self) -> None:
        """Let the arm serve the new version."""
        self._snapshots.flip(self._arm, self.version)
        self._note("published")

    def retire(self) -> None:
        """Let versions expire that are neither served nor kept, those of publishes that died among them.

        A publish that began within `expire_s` may still be at work, for another arm say, and is left alone.
        """
        at_work_since_ms = int(time.time() * 1000) - self._context.config.publish.expire_s * 1000
        notes = self._lake.read(tables.PUBLISHED).orderBy("at_ms", "version").collect()
        state = {note["version"]: note for note in notes}  # the latest note of each version
        pointer_versions = {self.version} | {
            version
            for arm in {note["arm"] for note in notes}
            for version in (self._snapshots.pointer(arm).current, self._snapshots.pointer(arm).previous)
            if version
        }
        published = sorted(version for version, note in state.items() if note["action"] in ("published", "rolled back to"))
        kept = pointer_versions | set(published[-self._context.config.publish.keep :])
        for version, note in state.items():
            is_at_work = note["action"] == "started" and note["at_ms"] > at_work_since_ms
            if version not in kept and note["action"] != "retired" and not is_at_work:
                self._expire(version, note["candidates_version"])
                self._note("retired", version)

    def _expire(self, version: str, candidates_version: int) -> None:
        config = self._context.config
        self._snapshots.retire(version, config.publish.expire_s)
        if self._lake.version(tables.ERASED):  # then earlier versions of the candidates may have lost their files
            _expire_all(self._redis, config.redis.namespace, version, config.publish.expire_s)
            return
        members = self._lake.read(tables.CANDIDATES, candidates_version).select("member_id")
        members.mapInArrow(_expirer(config.redis, version, config.publish.expire_s), _COUNTED).collect()

    def _note(self, action: str, version: str | None = None) -> None:
        note = {
            "version": version or self.version,
            "arm": self._arm,
            "at_ms": int(time.time() * 1000),
            "action": action,
            "candidates_version": self._sources[tables.CANDIDATES.name],
        }
        self._lake.append(self._lake.rows([note], tables.PUBLISHED), tables.PUBLISHED)

    def _candidates(self) -> DataFrame:
        rows = self._lake.read(tables.CANDIDATES, self._sources[tables.CANDIDATES.name])
        return rows.select("member_id", "titles", "scores")


def rollback(context: Context, arm: str) -> str:
    """Let an arm serve the version it served before; returns that version.

    Raises
    ------
    SnapshotError : there is none, or it has expired.
    """
    snapshots = SnapshotStore(store.connect(context.config.redis), context.config.redis.namespace)
    with store.reachable(context.config.redis):
        version = snapshots.rollback(arm).current
        assert version is not None  # rollback has just set it
        manifest = snapshots.manifest(version)
    note = {
        "version": version,
        "arm": arm,
        "at_ms": int(time.time() * 1000),
        "action": "rolled back to",
        "candidates_version": manifest.sources[tables.CANDIDATES.name],
    }
    context.lake.append(context.lake.rows([note], tables.PUBLISHED), tables.PUBLISHED)
    return version


def _total(counted: DataFrame) -> tuple[int, int]:
    """Sum up what the tasks counted."""
    rows = counted.collect()
    return sum(row["members"] for row in rows), sum(row["checksum"] for row in rows) % _CHECKSUM_MODULUS


def _counted(members: int, checksum: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([{"members": members, "checksum": checksum % _CHECKSUM_MODULUS}])


def _chunks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield from (batch.slice(start, _KEYS_PER_TRIP) for start in range(0, batch.num_rows, _KEYS_PER_TRIP))


def _writer(config: RedisConfig, version: str, index: dict[str, int]) -> ArrowFunction:
    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        client = store.connect(config)
        members = checksum = 0
        for chunk in _chunks(batches):
            pipeline = client.pipeline(transaction=False)
            for member_id, titles, scores in zip(*(chunk[name].to_pylist() for name in chunk.schema.names), strict=True):
                # A title that left the catalogue since the candidates were made has no index in this snapshot.
                known = [(index[title], score) for title, score in zip(titles, scores, strict=True) if title in index]
                numbers, values = zip(*known, strict=True) if known else ((), ())
                blob = codecs.encode_candidates(np.array(numbers, np.int32), np.array(values, np.float32))
                pipeline.set(keys.candidates(config.namespace, member_id, version), blob)
                members, checksum = members + 1, checksum + codecs.checksum(blob)
            pipeline.execute()
        yield _counted(members, checksum)

    return run


def _reader(config: RedisConfig, version: str) -> ArrowFunction:
    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        client = store.connect(config)
        members = checksum = 0
        for chunk in _chunks(batches):
            pipeline = client.pipeline(transaction=False)
            for member_id in chunk["member_id"].to_pylist():
                pipeline.get(keys.candidates(config.namespace, member_id, version))
            for blob in pipeline.execute():
                if blob is not None:
                    codecs.decode_candidates(blob)
                    members, checksum = members + 1, checksum + codecs.checksum(blob)
        yield _counted(members, checksum)

    return run


def _expirer(config: RedisConfig, version: str, expire_s: int) -> ArrowFunction:
    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        client = store.connect(config)
        members = 0
        for chunk in _chunks(batches):
            pipeline = client.pipeline(transaction=False)
            for member_id in chunk["member_id"].to_pylist():
                pipeline.expire(keys.candidates(config.namespace, member_id, version), expire_s)
            members += sum(pipeline.execute())
        yield _counted(members, 0)

    return run


def _expire_all(client: redis.Redis, namespace: str, version: str, expire_s: int) -> None:
    """Let the candidates of every member expire that Redis has of a version; goes through all keys."""
    found = client.scan_iter(match=keys.candidates_pattern(namespace, version), count=_KEYS_PER_TRIP)
    while chunk := list(itertools.islice(found, _KEYS_PER_TRIP)):
        pipeline = client.pipeline(transaction=False)
        for key in chunk:
            pipeline.expire(key, expire_s)
        pipeline.execute()


def is_served(context: Context) -> bool:
    """Whether the version that was published last is still whole and pointed at."""
    config = context.config
    snapshots = SnapshotStore(store.connect(config.redis), config.redis.namespace)
    with store.reachable(config.redis):
        current = snapshots.pointer(config.online.arm).current
        if current is None:
            return False
        try:
            snapshots.manifest(current)
        except (SnapshotError, redis.exceptions.RedisError):
            return False
    return True


JOB = Job(
    name="publish",
    summary="put a new snapshot into Redis, verify it, flip the pointer",
    reads=_SOURCES,
    writes=(),  # whoever rolled back wants the unchanged inputs not published again
    work=work,
    settings=lambda config: [config.redis, config.online.arm],
    is_current=is_served,
)
