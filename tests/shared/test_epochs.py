"""The numbering of a topic's incarnations, on a real Redis."""

import pytest

from shared import epochs, keys, store
from shared.config import Config
from shared.epochs import Epoch


def test_a_record_is_of_the_newest_epoch_that_had_begun_at_its_offset() -> None:
    history = [Epoch(3, 2), Epoch(4, 4, {0: 10, 1: 0}), Epoch(6, 8, {0: 15, 1: 20, 2: 5, 3: 0})]
    places = {(0, 9): 3, (0, 10): 4, (0, 15): 6, (1, 0): 4, (2, 4): 4, (2, 5): 6, (3, 0): 6, (7, 0): 6}
    assert {place: epochs.epoch_at(history, *place) for place in places} == places


@pytest.mark.slow
def test_epochs_are_numbered_once_and_growth_begins_one(config: Config) -> None:
    space = config.redis.namespace
    with store.connect(config.redis) as client:
        assert [epochs.number(client, space, "plays", "first", 4) for _ in range(2)] == [1, 1]
        drained = {0: 10, 1: 0, 2: 7, 3: 5}
        assert epochs.begin(client, space, "plays", "first", 12, drained) == 2  # and Kafka refused
        assert epochs.begin(client, space, "plays", "first", 6, drained) == 2
        assert epochs.begin(client, space, "plays", "first", 6, drained | {0: 11}) == 2
        assert epochs.number(client, space, "plays", "first", 6) == 2
        assert epochs.history(client, space, "plays", "first") == [Epoch(1, 4), Epoch(2, 6, drained | {0: 11})]
        assert client.hget(keys.watermark(space, "plays"), "2:0") == b"11"
        assert epochs.number(client, space, "plays", "created anew", 6) == 3
        assert epochs.history(client, space, "plays", "created anew") == [Epoch(3, 6)]
        assert epochs.number(client, space, "feedback", "first", 4, floor=8) == 9


@pytest.mark.slow
def test_a_topic_that_grew_by_other_means_goes_on_from_its_watermarks(config: Config) -> None:
    space = config.redis.namespace
    with store.connect(config.redis) as client:
        epochs.number(client, space, "plays", "first", 3)
        client.hset(keys.watermark(space, "plays"), mapping={"1:0": 40, "1:2": 7})
        assert [epochs.number(client, space, "plays", "first", 5) for _ in range(2)] == [2, 2]
        client.hset(keys.watermark(space, "plays"), "2:0", 45)
        assert epochs.number(client, space, "plays", "first", 5) == 2
        assert epochs.history(client, space, "plays", "first") == [Epoch(1, 3), Epoch(2, 5, {0: 40, 1: 0, 2: 7})]
        assert client.hget(keys.watermark(space, "plays"), "2:0") == b"45"
        assert epochs.number(client, space, "plays", "first", 9) == 3
        assert epochs.history(client, space, "plays", "first")[-1].starts == {0: 45, 1: 0, 2: 7, 3: 0, 4: 0}


@pytest.mark.slow
def test_a_number_given_by_version_0_1_is_kept(config: Config) -> None:
    with store.connect(config.redis) as client:
        client.hset(keys.epoch(config.redis.namespace, "plays"), "an id", 5)
        assert epochs.number(client, config.redis.namespace, "plays", "an id", 4) == 5
        assert epochs.history(client, config.redis.namespace, "plays", "an id") == [Epoch(5, 4)]
