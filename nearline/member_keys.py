"""Finds members' keys in Redis by going through all of them: what is not known to anyone is found too."""

import re
from collections.abc import Iterator

import redis

from shared import keys
from shared.errors import InputError

SCAN_COUNT = 2000
"""Keys that Redis looks at in one step, so that it serves others in between."""


def members_with_state(client: redis.Redis, namespace: str) -> Iterator[str]:
    """Every member that has a state, some possibly twice."""
    for key in client.scan_iter(match=f"{_escaped(namespace)}:{{*}}:state", count=SCAN_COUNT):
        try:
            yield keys.member_of(namespace, key.decode())
        except (InputError, UnicodeDecodeError):  # somebody else's key in our namespace
            continue


def of_member(client: redis.Redis, namespace: str, member_id: str) -> list[str]:
    """Every key of one member."""
    prefix = keys.state(namespace, member_id).removesuffix("state")
    return sorted({key.decode() for key in client.scan_iter(match=f"{_escaped(prefix)}*", count=SCAN_COUNT)})


def _escaped(text: str) -> str:
    """The text as a pattern of Redis that matches itself only."""
    return re.sub(r"([\[\]*?^\\])", r"\\\1", text)
