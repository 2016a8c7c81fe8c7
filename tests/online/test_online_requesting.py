"""Arguments that cannot be used are named in one sentence."""

from typing import Any

import pytest

from online.requesting import checked_k, checked_request
from shared.errors import InputError


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"member_id": 42}, "member_id is 42 (int); a string is expected"),
        ({"member_id": None}, "member_id is None"),
        ({"member_id": b"m1"}, "member_id is b'm1' (bytes)"),
        ({"member_id": ""}, "member_id is empty"),
        ({"member_id": "x" * 257}, "member_id has 257 characters"),
        ({"member_id": "\ud800"}, "cannot be written as UTF-8"),
        ({"device": ""}, "device is empty"),
        ({"device": None}, "device is None"),
        ({"country": "USA"}, "country is 'USA'; a code of two letters"),
        ({"country": 1}, "country is 1"),
        ({"country": "ÅÄ"}, "country is 'ÅÄ'"),
        ({"now_ms": -1}, "now_ms is -1"),
        ({"now_ms": 1.5}, "now_ms is 1.5 (float)"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], says: str) -> None:
    good = {"member_id": "m1", "device": "tv", "country": None, "now_ms": None}
    with pytest.raises(InputError) as raised:
        checked_request(**{**good, **arguments})
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("k", "says"), [(0, "k is 0; 1 to 1000"), (1001, "k is 1001"), ("5", "k is '5' (str)"), (True, "k is True")]
)
def test_bad_k_is_named(k: object, says: str) -> None:
    with pytest.raises(InputError) as raised:
        checked_k(k)
    assert says in str(raised.value)


def test_good_arguments_pass() -> None:
    request = checked_request("Zoë{x}:1", "tv", "us", 0)
    assert (request.member_id, request.country, request.now_ms) == ("Zoë{x}:1", "US", 0)
    assert checked_request("m", "tv", None, None).now_ms > 1_700_000_000_000
