"""Compares every member's state in Redis with what the log says it must be. Exact also while workers run.

Two looks. The first folds the log up to a cut and settles whoever is byte for byte the same. The second takes the others, reads
their states once more, and goes through the log again for their events alone: up to the very fence that was read with the state,
so that a worker that moved on in between makes no difference. Memory is bounded: members are taken in slices.
"""

import hashlib
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import TypeVar

import msgspec
import numpy as np
import redis
import redis.exceptions

from nearline.auditing import differences, member_keys
from nearline.auditing.log_fold import Account, Folded, Log, accounts, fold_slices
from nearline.auditing.log_reader import Span
from nearline.records import Place
from shared import fence as fences
from shared import marks
from shared import state as states
from shared.config import Config
from shared.errors import SnapshotError
from shared.fence import Fence, Position
from shared.state import EMPTY, MemberState
from shared.store import MISSING, StateStore, StoredState

MEMBERS_PER_READ = 500
LISTED = 1000
"""Findings that a report keeps; all are counted."""
WATERMARK_POLL_S = 0.2
T = TypeVar("T")


class Verdict(StrEnum):
    """What became of one member."""

    EQUAL = "equal"  # byte for byte the fold of the log up to the state's own fence, or of the older layout and the same
    CONTAINED = "contained"  # all of the log is in it; what is more, the log cannot know
    WAITING = "waiting"  # equal as far as it goes; records before the cut wait for a worker
    DIFFERING = "differing"
    MISSING = "missing"
    UNKNOWN = "unknown"  # the log has never heard of the member, and has lost nothing


SOUND = frozenset({Verdict.EQUAL, Verdict.CONTAINED})
TO_REPAIR = frozenset({Verdict.DIFFERING, Verdict.MISSING})


@dataclass(frozen=True, slots=True)
class Finding:
    """One member of the second look.

    `there` is what Redis has, None where the key holds something that is no hash. `wanted` is what it ought to have, with
    everything that the log holds by now.
    """

    member_id: str
    verdict: Verdict
    words: str
    there: StoredState | None
    wanted: Folded


class Listed(msgspec.Struct, frozen=True):
    """A finding as a report shows it."""

    member_id: str
    verdict: str
    words: str


class Report(msgspec.Struct, kw_only=True):
    """How an audit went; what `--json` writes. `cut` is topic to the end offset of each partition."""

    cut: dict[str, dict[int, int]]
    members: int = 0
    equal: int = 0
    contained: int = 0
    waiting: int = 0
    differing: int = 0
    missing: int = 0
    unknown: int = 0
    records: int = 0
    seconds: float = 0.0
    findings: list[Listed] = []

    def count(self, verdict: Verdict, members: int = 1) -> None:
        """Add some members."""
        self.members += members
        setattr(self, verdict.value, getattr(self, verdict.value) + members)

    def add(self, finding: Finding) -> None:
        """Count one member, and keep it when it is not as it should be."""
        self.count(finding.verdict)
        if finding.verdict not in SOUND and len(self.findings) < LISTED:
            self.findings.append(Listed(finding.member_id, finding.verdict.value, finding.words))

    @property
    def is_sound(self) -> bool:
        """Whether every member is as the log says."""
        return self.members == self.equal + self.contained


class Bar:
    """What an audit tells of its progress: nothing, unless a command shows it."""

    def expect(self, records: int) -> None:
        """So many offsets more have to be passed."""

    def passed(self, records: int) -> None:
        """So many were."""


class Auditor:
    """Audits the states of one namespace.

    Parameters
    ----------
    members_per_pass : most members whose states are held at a time.
    """

    def __init__(self, config: Config, client: redis.Redis, log: Log, members_per_pass: int, bar: Bar) -> None:
        self._client, self._namespace = client, config.redis.namespace
        self._store = StateStore(client, self._namespace)
        self._log, self._limit, self._bar = log, members_per_pass, bar
        self._known = array("Q")  # hashes of the members of the log
        self._records = 0
        self.cut = log.spans()

    def wait(self, limit_s: float) -> bool:
        """Wait until the workers have taken in all records before the cut; whether they have."""
        deadline_s = time.monotonic() + limit_s
        while not self._is_reached():
            if time.monotonic() > deadline_s:
                return False
            time.sleep(WATERMARK_POLL_S)
        return True

    def run(self, take: Callable[[list[Finding]], None] = lambda found: None) -> Report:
        """Compare all members.

        Parameters
        ----------
        take : given the findings of the second look, some at a time.
        """
        began_s = time.monotonic()
        ends: dict[str, dict[int, int]] = {}
        for place, span in self.cut.items():
            ends.setdefault(place.topic, {})[place.partition] = span.end
        report = Report(cut=ends)
        for doubtful in _chunked(self._doubtful(report), self._limit):
            found = self.judge(doubtful)
            for finding in found:
                report.add(finding)
            take(found)
        report.records, report.seconds = self._records, round(time.monotonic() - began_s, 3)
        return report

    def judge(self, member_ids: Sequence[str]) -> list[Finding]:
        """Take the second look at some members."""
        watermarks = self._log.watermarks()
        stored = dict(zip(member_ids, self._read(member_ids), strict=True))
        spans = self._log.spans()  # after the states: no sound fence is past it
        read = {member_id: _Reading.of(there, self._log, spans) for member_id, there in stored.items()}
        self._expect(spans)
        found = accounts(
            self._log,
            there={member_id: one.fence for member_id, one in read.items()},
            erased={member_id: erased for member_id, one in read.items() if (erased := marks.erased(one.fence))},
            watermarks=watermarks,
            cut={place: span.end for place, span in self.cut.items()},
            spans=spans,
            progress=self._passed,
        )
        return [self._judge(member_id, one, found[member_id], spans) for member_id, one in read.items()]

    def _doubtful(self, report: Report) -> Iterator[str]:
        """The first look: count whoever is the same, give the others; then the members that only Redis knows."""
        for places in self._log.groups():
            spans = {place: self.cut[place] for place in places}
            self._expect(spans)
            for folded in fold_slices(self._log, spans, self._limit, self._passed):
                self._known.extend(_hash(member_id) for member_id in folded)
                members = iter(folded)
                while chunk := list(islice(members, MEMBERS_PER_READ)):
                    for member_id, there in zip(chunk, self._read(chunk), strict=True):
                        if there is not None and _is_same(there, folded[member_id]):
                            report.count(Verdict.EQUAL)
                        else:
                            yield member_id
        known = np.unique(np.frombuffer(self._known, dtype=np.uint64)) if self._known else np.empty(0, dtype=np.uint64)
        for member_id in member_keys.members_with_state(self._client, self._namespace):
            one = np.uint64(_hash(member_id))
            place = int(np.searchsorted(known, one))
            if place == len(known) or known[place] != one:
                yield member_id

    def _read(self, member_ids: Sequence[str]) -> list[StoredState | None]:
        """States as they are; None for a key that is no hash, which fails the whole script call."""
        try:
            return list(self._store.read(member_ids))
        except redis.exceptions.ResponseError as error:
            if "WRONGTYPE" not in str(error):
                raise
        if len(member_ids) == 1:
            return [None]
        half = len(member_ids) // 2
        return self._read(member_ids[:half]) + self._read(member_ids[half:])

    def _judge(self, member_id: str, one: "_Reading", account: Account, spans: dict[Place, Span]) -> Finding:
        verdict, words = self._verdict(one, account, spans)
        wanted = account.whole()
        if one.state is not None and not self._is_whole(one, account, spans):
            wanted.state = states.encode(states.merge(one.state, wanted.value()))
        wanted.fence = fences.merge(one.fence, wanted.fence)
        return Finding(member_id, verdict, words, one.stored, wanted)

    def _verdict(self, one: "_Reading", account: Account, spans: dict[Place, Span]) -> tuple[Verdict, str]:
        if one.stored == MISSING:
            if account.lost:
                return Verdict.MISSING, f"Redis has no state; the log has {account.lost} events that had been taken in"
            return (Verdict.WAITING if account.waiting else Verdict.EQUAL), f"{account.waiting} records wait for a worker"
        if one.damage or one.state is None:
            return Verdict.DIFFERING, one.damage
        expected = account.due.value()
        if account.lost:
            behind = f"{account.lost} events that had been taken in lie past its fence"
            told = differences.describe(one.state, states.merge(one.state, expected))
            return Verdict.DIFFERING, f"{behind}; {told}" if told else behind
        told = differences.describe(one.state, expected)
        if not told and one.is_exact(account.due):
            return (Verdict.WAITING if account.waiting else Verdict.EQUAL), f"{account.waiting} records wait for a worker"
        if self._is_whole(one, account, spans):
            if not account.due.fence:
                return Verdict.UNKNOWN, "Redis has a state; the log, from which nothing is missing, has no event of the member"
            upper = states.merge(expected, account.late.value())
            if account.is_spread and _has(one.state, expected) and _has(upper, one.state):
                return Verdict.CONTAINED, "the member's events lie in several partitions of one topic"
            return Verdict.DIFFERING, told or "the bytes are not those that the same state is encoded to"
        if _has(one.state, expected):
            return Verdict.CONTAINED, "has more than the log still holds"
        return Verdict.DIFFERING, differences.describe(one.state, states.merge(one.state, expected))

    def _is_whole(self, one: "_Reading", account: Account, spans: dict[Place, Span]) -> bool:
        """Whether the log still has every event that can be in the state; imported history is in no log."""
        if marks.INSTALLED in one.fence or marks.IMPORTED in one.fence:
            return False
        topics = {place.topic for place in spans}
        if any(topic not in topics for topic in marks.topics(one.fence)):
            return False
        numbers = {place.partition for place in account.places} | {at.partition for at in marks.topics(one.fence).values()}
        share_numbers = len(self._log.groups()) > 1
        mine = [place for place in spans if not share_numbers or not numbers or place.partition in numbers]
        return all(self._log.is_whole(place, spans[place]) for place in mine)

    def _is_reached(self) -> bool:
        reached = self._log.watermarks()
        return all(reached[place] >= span.end for place, span in self.cut.items())

    def _expect(self, spans: dict[Place, Span]) -> None:
        self._bar.expect(sum(span.end - span.first for span in spans.values()))

    def _passed(self, records: int) -> None:
        self._records += records
        self._bar.passed(records)


@dataclass(frozen=True, slots=True)
class _Reading:
    """One state as it was read. `state` is None and `damage` says why where the bytes make no sense."""

    stored: StoredState | None
    state: MemberState | None
    fence: Fence
    damage: str

    @staticmethod
    def of(stored: StoredState | None, log: Log, spans: dict[Place, Span]) -> "_Reading":
        if stored is None:
            return _Reading(None, None, {}, "its key holds something else than a hash")
        if stored == MISSING:
            return _Reading(stored, None, {}, "")
        fence: Fence = {}
        state: MemberState | None = None
        damage = "" if stored.state else "a fence without a state"
        try:
            fence = fences.decode(stored.fence)
            state = states.decode(stored.state) if stored.state else None
        except SnapshotError as error:
            damage = str(error)
        past = [topic for topic, at in fence.items() if _is_past(topic, at, log, spans)]
        if past:
            damage = damage or "its fence is past the end of " + ", ".join(f"{topic} ({fence[topic]})" for topic in past)
            fence = {topic: at for topic, at in fence.items() if topic not in past}
        return _Reading(stored, state, fence, damage)

    def is_exact(self, due: Folded) -> bool:
        """Whether the bytes are those of the fold. A state of an older layout has bytes of its own until it is next written."""
        assert self.stored is not None
        return self.stored.state == due.encoded() or self.stored.state[0] < states.STATE_VERSION


def _is_past(topic: str, at: Position, log: Log, spans: dict[Place, Span]) -> bool:
    history = log.epochs.get(topic)
    if history is None or at.epoch < history[-1].number:
        return False
    span = spans.get(Place(topic, at.partition))
    return at.epoch > history[-1].number or span is None or at.offset >= span.end


def _is_same(there: StoredState, folded: Folded) -> bool:
    """Whether state and fence are those of the fold; marks beside the topics are let pass, but for those of an erasure."""
    if there.state != folded.state:
        return False
    if there.fence == fences.encode(folded.fence):
        return True
    try:
        fence = fences.decode(there.fence)
    except SnapshotError:
        return False
    return not marks.erased(fence) and marks.topics(fence) == folded.fence


def _has(greater: MemberState, lesser: MemberState) -> bool:
    return states.merge(greater, lesser) == states.merge(greater, EMPTY)


def _hash(member_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(member_id.encode(), digest_size=8).digest())


def _chunked(items: Iterable[T], limit: int) -> Iterator[list[T]]:
    source = iter(items)
    while chunk := list(islice(source, limit)):
        yield chunk
