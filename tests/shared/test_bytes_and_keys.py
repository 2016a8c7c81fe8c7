"""What goes to Redis: blobs that tell when they are damaged, fences that never move back, keys that can be parsed."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import codecs, fence, keys
from shared.errors import InputError, SnapshotError
from shared.fence import Position
from shared.titles import Catalogue, Title

positions = st.builds(Position, st.integers(1, 3), st.integers(0, 4), st.integers(0, 99))
fences = st.dictionaries(st.sampled_from(["plays", "feedback"]), positions)


@given(st.lists(st.tuples(st.integers(0, 2**31 - 1), st.floats(-1e6, 1e6, width=32)), max_size=50))
def test_candidates_round_trip(pairs: list[tuple[int, float]]) -> None:
    titles = np.array([title for title, _ in pairs], np.int32)
    scores = np.array([score for _, score in pairs], np.float32)
    found_titles, found_scores = codecs.decode_candidates(codecs.encode_candidates(titles, scores))
    assert np.array_equal(found_titles, titles) and np.array_equal(found_scores, scores)


def test_a_bundle_round_trips() -> None:
    titles = [Title("t1", "One", ("Drama",), 60.0, -5, ("US",), "18", ("Tense", "Dark"), "DK"), Title("t2", "Zwei")]
    arrays = {"popular": np.array([1, 0], np.int32), "similar_scores": np.ones((2, 3), np.float32)}
    found_titles, found = codecs.decode_bundle(codecs.encode_bundle(titles, arrays))
    assert found_titles == titles
    assert {name: array.tolist() for name, array in found.items()} == {name: array.tolist() for name, array in arrays.items()}
    assert found["similar_scores"].dtype == np.float32


def test_a_bundle_of_version_1_is_read_without_what_it_did_not_have() -> None:
    arrays = {"popular": ["<i4", [2], np.array([1, 0], "<i4").tobytes()]}
    titles = [["t1", "One", ["Drama"], 60.0, -5, ["US"], "18"], ["t2", "Zwei", [], 5400.0, None, [], None]]
    blob = codecs.seal(1, msgspec.msgpack.encode({"titles": titles, "arrays": arrays}))
    found_titles, found = codecs.decode_bundle(blob)
    assert found_titles == [Title("t1", "One", ("Drama",), 60.0, -5, ("US",), "18"), Title("t2", "Zwei")]
    assert found["popular"].tolist() == [1, 0]


@pytest.mark.parametrize("version", [0, 3])
def test_a_bundle_of_another_version_is_refused(version: int) -> None:
    with pytest.raises(SnapshotError, match=f"a snapshot's bundle has version {version}; this code reads versions 1 to 2"):
        codecs.decode_bundle(codecs.seal(version, b""))


@given(st.binary(max_size=60), st.integers(0, 59), st.integers(1, 255))
def test_one_altered_byte_is_noticed(content: bytes, at: int, change: int) -> None:
    blob = bytearray(
        codecs.encode_candidates(np.frombuffer(content[: len(content) // 4 * 4], "<i4"), np.zeros(len(content) // 4, np.float32))
    )
    blob[at % len(blob)] ^= change
    with pytest.raises(SnapshotError):
        codecs.decode_candidates(bytes(blob))


@pytest.mark.parametrize("blob", [b"", b"\x01", b"\x09" + bytes(20)])
def test_a_short_or_newer_blob_is_refused(blob: bytes) -> None:
    with pytest.raises(SnapshotError):
        codecs.decode_bundle(blob)


@given(fences)
def test_fences_round_trip(one: fence.Fence) -> None:
    assert fence.decode(fence.encode(one)) == one


@given(fences, fences)
def test_merging_fences_keeps_the_later_position_of_each_topic(one: fence.Fence, other: fence.Fence) -> None:
    merged = fence.merge(one, other)
    for side in (one, other):
        for topic, position in side.items():
            assert not merged[topic].is_behind(position)
            assert fence.has_seen(merged, topic, position) or merged[topic].partition != position.partition
    assert fence.merge(other, one) == merged
    assert all(position in (one.get(topic), other.get(topic)) for topic, position in merged.items())


def test_a_new_epoch_is_after_every_offset_of_the_old_one() -> None:
    assert Position(2, 0, 0).is_after(Position(1, 0, 10**9))
    assert not Position(1, 0, 5).is_after(Position(1, 0, 5))
    assert Position(1, 9, 10**9).is_behind(Position(2, 0, 0))


def test_offsets_of_two_partitions_do_not_compare() -> None:
    one, other = Position(1, 0, 5), Position(1, 1, 900)
    assert one.is_after(other)
    assert other.is_after(one)
    assert not one.is_behind(other)


def test_bytes_that_are_no_fence_are_refused() -> None:
    with pytest.raises(SnapshotError, match="is not a fence"):
        fence.decode(b"plays=1:2")


@given(st.text(min_size=1, max_size=30))
def test_every_member_id_comes_back_from_its_key_and_shares_one_hash_tag(member_id: str) -> None:
    state, candidates = keys.state("mq", member_id), keys.candidates("mq", member_id, "v1")
    assert keys.member_of("mq", state) == keys.member_of("mq", candidates) == member_id
    tags = {key[key.index("{") + 1 : key.index("}")] for key in (state, candidates)}
    assert len(tags) == 1 and tags != {""}


def test_a_key_of_somebody_else_is_refused() -> None:
    with pytest.raises(InputError, match="not a member's key in namespace 'mq'"):
        keys.member_of("mq", "other:{m}:state")


def test_the_catalogue_knows_genres_and_countries() -> None:
    catalogue = Catalogue([Title("a", "A", ("Drama",), countries=("US",)), Title("b", "B", ("Drama", "Crime"))])
    assert {genre: found.tolist() for genre, found in catalogue.genres.items()} == {"Crime": [1], "Drama": [0, 1]}
    assert catalogue.available("DE").tolist() == [False, True]
    assert catalogue.available(None).tolist() == [True, True]


ORDER = ("G", "PG", "R")
RATED = Catalogue([Title(rating or "-", "", maturity=rating) for rating in ("G", "R", "PG", None, "18")])


@pytest.mark.parametrize(("limit", "suitable"), [("G", ["G"]), ("PG", ["G", "PG"]), ("R", ["G", "R", "PG"])])
def test_a_maturity_limit_leaves_out_what_is_above_it_and_what_nobody_rated(limit: str, suitable: list[str]) -> None:
    mask = RATED.suitable(limit, ORDER)
    assert [title.title_id for title, is_suitable in zip(RATED.titles, mask, strict=True) if is_suitable] == suitable


@pytest.mark.parametrize(("order", "known"), [(ORDER, "one of G, PG, R is expected"), ((), r"maturity_order names no ratings")])
def test_an_unknown_maturity_limit_is_refused(order: tuple[str, ...], known: str) -> None:
    with pytest.raises(InputError, match=f"maturity is '18'; .*{known}"):
        RATED.suitable("18", order)
