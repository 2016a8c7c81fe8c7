"""Judges what a run left behind against the plain fold of its log."""

import time
from collections import Counter
from dataclasses import dataclass

from kafka import KafkaConsumer, TopicPartition

from nearline.dead_letters import letters as dead_letters
from shared import keys, store
from shared.config import Config
from tests.chaos.history import Expected, History
from tests.nearline.trending_log import counts_in_redis

READ_LIMIT_S = 20.0


@dataclass(frozen=True)
class Verdict:
    """Events of a run whose effect is missing, or is there more than once, and where the first of them are."""

    lost: int
    doubled: int
    details: tuple[str, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Nothing lost, nothing doubled."""
        return self.lost == 0 and self.doubled == 0


def judge(config: Config, history: History) -> Verdict:
    """Compare each member's state byte for byte, its shadow count, what trending has counted, and the dead letters.

    A state that differs although its count is right counts as one event lost.
    """
    expected = history.judge()
    lost, doubled, details = 0, 0, []
    with store.connect(config.redis) as client:
        members = sorted(expected.states)
        stored = store.StateStore(client, config.redis.namespace).read(members)
        for member, there in zip(members, stored, strict=True):
            key = applied_key(config.redis.namespace, member)
            applied = Counter({name.decode(): int(count) for name, count in client.hgetall(key).items()})
            missing = (expected.counts[member] - applied).total()
            doubled += (surplus := (applied - expected.counts[member]).total())
            differs = there.state != expected.states[member]
            lost += max(missing, int(differs))
            if missing or surplus or differs:
                told = "differs" if differs else "equal"
                details.append(f"{member}: applied {dict(applied)}, due {dict(expected.counts[member])}, state {told}")
        counted = counts_in_redis(client, config)
        lost += (missing := (expected.trending - counted).total())
        doubled += (surplus := (counted - expected.trending).total())
        if missing or surplus:
            details.append(f"trending: {missing} counts too few, {surplus} too many")
    silent = _without_letter(config, expected)
    details += [f"no dead letter for {topic}/{partition}@{offset}" for topic, partition, offset in sorted(silent)]
    return Verdict(lost + len(silent), doubled, tuple(details))


def applied_key(namespace: str, member: str) -> str:
    """Where the shadow counts of a member are."""
    return keys.state(namespace, member).removesuffix(":state") + ":applied"


def _without_letter(config: Config, expected: Expected) -> set[tuple[str, int, int]]:
    """Unreadable records of which the dead-letter topic says nothing. (It may name one twice: its coordinates tell.)"""
    silent = set(expected.unreadable)
    if not silent:
        return silent
    topic = config.kafka.dead_letters_topic
    reader = KafkaConsumer(bootstrap_servers=config.kafka.bootstrap_servers, enable_auto_commit=False)
    try:
        partitions = [TopicPartition(topic, number) for number in range(config.kafka.partitions)]
        reader.assign(partitions)
        reader.seek_to_beginning(*partitions)
        ends = reader.end_offsets(partitions)
        deadline_s = time.monotonic() + READ_LIMIT_S
        while any(reader.position(at) < ends[at] for at in partitions) and time.monotonic() < deadline_s:
            for records in reader.poll(timeout_ms=200).values():
                for letter in (dead_letters.decode(record.value) for record in records):
                    silent.discard((letter.topic, letter.partition, letter.offset))
        return silent
    finally:
        reader.close()
