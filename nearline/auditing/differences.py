"""Says in words how a member's state differs from what it ought to be: which part, which titles. Pure."""

from collections.abc import Sequence
from typing import Any

import msgspec

from shared.state import MemberState

TITLES_NAMED = 3


def describe(there: MemberState, expected: MemberState) -> str:
    """One clause a part that differs; empty when nothing does."""
    parts = [
        clause
        for field in msgspec.structs.fields(MemberState)
        if (clause := _part(field.name, getattr(there, field.name), getattr(expected, field.name)))
    ]
    return "; ".join(parts)


def _part(name: str, there: Sequence[Any], expected: Sequence[Any]) -> str:
    if there == expected:
        return ""
    ours = {entry.title_id: entry for entry in there}
    theirs = {entry.title_id: entry for entry in expected}
    told = [
        ("lacks", [title for title in theirs if title not in ours]),
        ("has what the log does not:", [title for title in ours if title not in theirs]),
        ("has other values of", [title for title in ours if title in theirs and ours[title] != theirs[title]]),
    ]
    clauses = [f"{what} {_named(titles)}" for what, titles in told if titles]
    return f"{name} {', '.join(clauses) or 'is in another order'}"


def _named(titles: list[str]) -> str:
    more = len(titles) - TITLES_NAMED
    return ", ".join(repr(title) for title in titles[:TITLES_NAMED]) + (f" and {more} more" if more > 0 else "")
