"""Finds members' keys in Redis by going through all of them: what is not known to anyone is found too."""

from collections.abc import Iterator

import redis

from shared import keys
from shared.errors import InputError

SCAN_COUNT = 2000
"""Keys that Redis looks at in one step, so that it serves others in between."""


def members_with_state(client: redis.Redis, namespace: str) -> Iterator[str]:
    """Every member that has a state, some possibly twice."""
    for key in client.scan_iter(match=keys.states_pattern(namespace), count=SCAN_COUNT):
        try:
            yield keys.member_of(namespace, key.decode())
        except (InputError, UnicodeDecodeError):  # somebody else's key in our namespace
            continue


def of_member(client: redis.Redis, namespace: str, member_id: str) -> list[str]:
    """Every key of one member."""
    found = client.scan_iter(match=keys.member_pattern(namespace, member_id), count=SCAN_COUNT)
    return sorted({key.decode() for key in found})


def sets_of_members(client: redis.Redis, namespace: str) -> list[str]:
    """The sets that hold members as their elements: those who wait for fresh candidates."""
    found = client.scan_iter(match=keys.signals_pattern(namespace), count=SCAN_COUNT)
    return sorted({key.decode() for key in found})
