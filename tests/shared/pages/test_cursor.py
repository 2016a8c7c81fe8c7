"""Pages go on downwards and to the right without repeats, by text that tells when it was damaged."""

import base64
from dataclasses import fields, replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import codecs
from shared.errors import InputError
from shared.pages import cursor
from shared.pages.cursor import Cursor, more_places
from shared.pages.policies import POLICIES
from tests.shared.pages.policies.drawn import draft, keys, random_page, shown

indices = st.lists(st.integers(0, 2**31 - 1) | st.integers(0, 300), unique=True, max_size=60)
cursors = st.builds(
    lambda titles, rows, **more: Cursor(rows=tuple(rows), titles=np.array(sorted(titles), dtype=np.int32), **more),
    titles=indices,
    rows=st.lists(st.text(max_size=20), max_size=5),
    page_id=st.text(max_size=40),
    snapshot=st.text(max_size=20),
    seed=st.integers(0, 2**63 - 1),
    now_ms=st.integers(0, 2**53),
)
START = Cursor("p1", "v1", seed=7, now_ms=1000)


@given(cursors)
def test_it_round_trips_as_url_safe_text(some: Cursor) -> None:
    text = cursor.encode(some)
    assert text.replace("-", "").replace("_", "").isalnum()
    back = cursor.decode(text)
    for field in fields(Cursor):
        assert np.array_equal(getattr(back, field.name), getattr(some, field.name)), field.name


@given(st.integers(0, 10_000), st.integers(1, 255), st.booleans())
def test_damage_is_noticed(at: int, change: int, is_cut: bool) -> None:
    text = cursor.encode(replace(START, rows=("top", "genre:1"), titles=np.arange(0, 900, 7, dtype=np.int32)))
    sealed = bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    at %= len(sealed)
    if is_cut:
        del sealed[at:]
    else:
        sealed[at] ^= change
    with pytest.raises(InputError, match="the cursor"):
        cursor.decode(base64.urlsafe_b64encode(bytes(sealed)).rstrip(b"=").decode())


def sealed(*fields: object) -> str:
    """A cursor made up, with a checksum that fits."""
    return base64.urlsafe_b64encode(codecs.seal(1, msgspec.msgpack.encode(fields))).decode()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the cursor is not text of 1 to 65536 characters"),
        ("A" * 70_000, "the cursor is not text of 1 to 65536 characters"),
        (None, "the cursor is not text"),
        ("né", "the cursor cannot be read"),
        ("a!b", "the cursor cannot be read"),
        ("AAAA", "the cursor: 3 bytes are too few"),
        (base64.urlsafe_b64encode(codecs.seal(9, b"")).decode(), "the cursor has version 9; this code reads version 1"),
        (sealed("p", "v"), "the cursor cannot be read"),
        (sealed("p", "v", -1, 0, [], b""), "the cursor cannot be read"),
        (sealed("p", "v", 0, 0, [], b"\x85"), "the cursor cannot be read: the last title is cut short"),
        (sealed("p", "v", 0, 0, [], b"\x85" * 6 + b"\x01"), "the cursor cannot be read: a title has more than five bytes"),
        (sealed("p", "v", 0, 0, [], b"\xff" * 4 + b"\x7f"), "more than any snapshot has"),
    ],
)
def test_what_is_no_cursor_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        cursor.decode(text.rstrip("=") if text else text)


def test_a_cursor_of_a_greater_snapshot_is_refused() -> None:
    some = replace(START, titles=np.array([5, 10], dtype=np.int32))
    assert some.is_taken(11).nonzero()[0].tolist() == [5, 10]
    with pytest.raises(InputError, match="the cursor names title 10 of snapshot 'v1', which has 10"):
        some.is_taken(10)


def test_a_title_takes_a_byte_or_two() -> None:
    drawn = np.sort(np.random.default_rng(0).choice(100_000, 800, replace=False)).astype(np.int32)
    empty, full = cursor.encode(START), cursor.encode(replace(START, titles=drawn))
    assert len(full) - len(empty) < 800 * 2 * 4 / 3


@pytest.mark.parametrize("name", POLICIES)
def test_a_page_goes_on_downwards_without_repeats(name: str) -> None:
    drafts, seen = random_page(5, rows=4, row_length=6, settings={"evaluations": 5})
    at, rows, titles = START, [], []
    for _ in range(4):
        if at.rows:
            seen = replace(seen, taken=at.is_taken(len(seen.scores)), shown_rows=frozenset(at.rows))
        page = POLICIES[name].place(drafts, seen)
        rows += keys(page)
        titles += [title for row in page if not row.draft.owns for title in shown(row)]
        at = cursor.decode(cursor.encode(at.after(page)))
    assert len(rows) >= 15 and len(set(rows)) == len(rows) and at.rows == tuple(rows)
    assert len(set(titles)) == len(titles) and sorted(titles) == at.titles.tolist()


def test_a_row_goes_on_to_the_right_without_repeats() -> None:
    drafts, seen = random_page(6, rows=6, row_length=5)
    page = [row for row in POLICIES["stagewise"].place(drafts, seen) if not row.draft.owns]
    at, found = START.after(page), [title for row in page for title in shown(row)]
    first = len(found)
    for row in page:
        count = len(row.places)
        while len(places := more_places(row.draft, at.is_taken(len(seen.scores)), count, 5)):
            count += len(places)
            at = at.right_of(row.draft, places)
            found += row.draft.titles[places].tolist()
    assert len(found) == len(set(found)) > first + 50
    assert set(found) == {title for row in page for title in row.draft.titles.tolist()}


def test_a_row_that_owns_its_titles_goes_on_by_its_own_order() -> None:
    mine = draft("list", 4, 4, 2, 0, 1, 3, owns=True)
    everything = np.ones(5, dtype=np.bool_)
    assert mine.titles[more_places(mine, everything, 2, 2)].tolist() == [0, 1]
    assert mine.titles[more_places(mine, everything, 4, 2)].tolist() == [3]
    assert START.right_of(mine, np.array([3, 4])).titles.tolist() == []
