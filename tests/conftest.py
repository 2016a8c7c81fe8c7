"""Fixtures that tests of all packages share: the real local stack, and a configuration of one's own on it."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from infra.local.stack import LocalStack
from infra.local.topics import create_topics, delete_topics, topic_names
from shared.config import Config, KafkaConfig, LakeConfig, RedisConfig, SparkConfig

# Tests end before the optimising compiler has paid for itself; the other one alone has 48 MB for its code by default.
QUICK_JVM = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:ReservedCodeCacheSize=256m"
PARTITIONS = 4  # of a test's own topics: enough to share among workers, few enough to create in an instant


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is not marked slow is fast."""
    for item in items:
        if item.get_closest_marker("slow") is None:
            item.add_marker(pytest.mark.fast)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A real Kafka and Redis for the whole run, started by the first test that asks. A test that harms it heals it."""
    running = LocalStack(tmp_path_factory.mktemp("stack"), partitions=PARTITIONS)
    running.start()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def config(stack: LocalStack, tmp_path: Path) -> Iterator[Config]:
    """A configuration on the stack that no other test shares: own Redis namespace, topics, group and lake."""
    name = f"t{uuid.uuid4().hex[:10]}"
    own = msgspec.structs.replace(
        stack.config,
        redis=RedisConfig(url=stack.redis.url, namespace=name),
        kafka=KafkaConfig(
            bootstrap_servers=stack.kafka.bootstrap_servers,
            partitions=PARTITIONS,
            plays_topic=f"{name}-plays",
            feedback_topic=f"{name}-feedback",
            impressions_topic=f"{name}-impressions",
            dead_letters_topic=f"{name}-dead-letters",
        ),
        lake=LakeConfig(root=str(tmp_path / "lake")),
        spark=SparkConfig(master="local[2]", shuffle_partitions=2, settings={"spark.driver.extraJavaOptions": QUICK_JVM}),
        nearline=msgspec.structs.replace(stack.config.nearline, group=f"{name}-nearline"),
    )
    create_topics(own.kafka)
    yield own
    delete_topics(own.kafka, topic_names(own.kafka))
