"""A request's arguments, checked: what a caller may ask, and one clear sentence for what it may not."""

import time
from collections.abc import Mapping, Sequence
from typing import TypedDict

from shared.config import OnlineConfig, PageConfig
from shared.errors import InputError
from shared.pages.devices import Devices
from shared.pages.request import Request

MAX_ID_LENGTH = 256
MAX_K = 1000
MAX_MEMBERS = 10_000


_DEVICES = Devices(PageConfig(), OnlineConfig())


class Asking(TypedDict, total=False):
    """What a caller may say besides the member.

    Attributes
    ----------
    device : what the answer is for; "tv" unless given.
    country : ISO 3166 code; titles not available there are left out. None leaves none out.
    maturity : the highest rating that may be shown, one of `[online] maturity_order`. None shows all.
    now_ms : the moment of the request in Unix milliseconds; None is now.
    attributes : what is known about the member besides, for the rules of experiments.
    previous : row keys of the member's last page, which this one changes no more than it has to ([page] stability).
    """

    device: str
    country: str | None
    maturity: str | None
    now_ms: int | None
    attributes: Mapping[str, str]
    previous: Sequence[str]


def checked_request(
    member_id: object,
    device: object = "tv",
    country: object = None,
    now_ms: object = None,
    *,
    maturity: object = None,
    attributes: object = None,
    previous: object = (),
    devices: Devices = _DEVICES,
    maturity_order: tuple[str, ...] = (),
) -> Request:
    """The request, once its arguments are found to be usable; see `Asking`.

    Raises
    ------
    InputError : names the argument, what it was and what was expected.
    """
    device_name = _text("device", device, 64)
    devices.format(device_name)
    return Request(
        member_id=_text("member_id", member_id, MAX_ID_LENGTH),
        device=device_name,
        country=checked_country(country),
        now_ms=time.time_ns() // 1_000_000 if now_ms is None else _whole("now_ms", now_ms, 0, 1 << 53),
        ratings=_ratings(maturity, maturity_order),
        attributes=_attributes(attributes),
        previous=_keys(previous),
    )


def checked_shown(shown: object) -> int:
    """How many cells of a row were shown.

    Raises
    ------
    InputError : it is no whole number, or below 0.
    """
    return _whole("shown", shown, 0, 1 << 31)


def checked_members(member_ids: object) -> Sequence[str]:
    """The members of one call: at most `MAX_MEMBERS`; each id is checked with its request.

    Raises
    ------
    InputError : it is one string, no sequence, or too long.
    """
    if isinstance(member_ids, str) or not isinstance(member_ids, Sequence):
        raise InputError(f"member_ids is {member_ids!r:.80} ({type(member_ids).__name__}); a sequence of strings is expected")
    if len(member_ids) > MAX_MEMBERS:
        raise InputError(f"member_ids has {len(member_ids)} members; at most {MAX_MEMBERS} are taken in one call")
    return member_ids


def checked_k(k: object) -> int:
    """How many titles are asked for: 1 to `MAX_K`.

    Raises
    ------
    InputError : it is no whole number, or outside.
    """
    return _whole("k", k, 1, MAX_K)


def checked_country(value: object) -> str | None:
    """The code in capitals; None is no country.

    Raises
    ------
    InputError : it is no code of two letters.
    """
    if value is None:
        return None
    if not isinstance(value, str) or len(value) != 2 or not (value.isascii() and value.isalpha()):
        raise InputError(f"country is {value!r}; a code of two letters such as 'US', or None, is expected")
    return value.upper()


def _text(name: str, value: object, limit: int) -> str:
    if not isinstance(value, str):
        raise InputError(f"{name} is {value!r} ({type(value).__name__}); a string is expected")
    if not value:
        raise InputError(f"{name} is empty; 1 to {limit} characters are expected")
    if len(value) > limit:
        raise InputError(f"{name} has {len(value)} characters; 1 to {limit} are expected")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InputError(f"{name} {value!r} cannot be written as UTF-8") from None
    return value


def _whole(name: str, value: object, least: int, most: int) -> int:
    # bool is an int to Python, but nobody who passes True means one.
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"{name} is {value!r} ({type(value).__name__}); a whole number is expected")
    if not least <= value <= most:
        raise InputError(f"{name} is {value}; {least} to {most} is expected")
    return value


def _ratings(maturity: object, order: tuple[str, ...]) -> tuple[str, ...]:
    if maturity is None:
        return ()
    if not isinstance(maturity, str) or maturity not in order:
        known = f"one of {', '.join(order)} is expected" if order else "[online] maturity_order names no ratings"
        raise InputError(f"maturity is {maturity!r}; {known}")
    return order[: order.index(maturity) + 1]


def _attributes(value: object) -> Mapping[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(part, str) for pair in value.items() for part in pair):
        raise InputError(f"attributes is {value!r:.200}; a mapping of strings to strings is expected")
    return value


def _keys(value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(key, str) for key in value):
        raise InputError(f"previous is {value!r:.200}; a sequence of row keys is expected")
    return tuple(value)
