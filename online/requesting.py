"""A request's arguments, checked: what a caller may ask, and one clear sentence for what it may not."""

import time

from shared.errors import InputError
from shared.pages.request import Request

MAX_ID_LENGTH = 256
MAX_K = 1000


def checked_request(member_id: object, device: object, country: object, now_ms: object) -> Request:
    """The request, once its arguments are found to be usable; `now_ms` None is this moment.

    Raises
    ------
    InputError : names the argument, what it was and what was expected.
    """
    return Request(
        member_id=_text("member_id", member_id, MAX_ID_LENGTH),
        device=_text("device", device, 64),
        country=_country(country),
        now_ms=time.time_ns() // 1_000_000 if now_ms is None else _whole("now_ms", now_ms, 0, 1 << 53),
    )


def checked_k(k: object) -> int:
    """How many titles are asked for: 1 to `MAX_K`.

    Raises
    ------
    InputError : it is no whole number, or outside.
    """
    return _whole("k", k, 1, MAX_K)


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


def _country(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or len(value) != 2 or not (value.isascii() and value.isalpha()):
        raise InputError(f"country is {value!r}; a code of two letters such as 'US', or None, is expected")
    return value.upper()


def _whole(name: str, value: object, least: int, most: int) -> int:
    # bool is an int to Python, but nobody who passes True means one.
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"{name} is {value!r} ({type(value).__name__}); a whole number is expected")
    if not least <= value <= most:
        raise InputError(f"{name} is {value}; {least} to {most} is expected")
    return value
