"""What the addresses of requests may say, read and checked."""

from collections.abc import Collection
from typing import NamedTuple

from starlette.requests import Request

from online.requesting import MAX_K
from shared.errors import InputError

DEFAULT_K = 20
DEFAULT_DEVICE = "tv"


class Viewing(NamedTuple):
    """How a member looks at a page. Its fields are the keyword arguments of `Recommender.page`, and the names in addresses."""

    device: str = DEFAULT_DEVICE
    country: str | None = None
    maturity: str | None = None


def viewing_of(parameters: dict[str, str]) -> Viewing:
    """How a page is looked at; what is left out or empty, as a form's fields may be, has its default."""
    return Viewing(**{name: parameters[name] for name in Viewing._fields if parameters.get(name)})


def parameters_of(request: Request, known: Collection[str]) -> dict[str, str]:
    """The parameters of an address.

    Raises
    ------
    InputError : one that is not known, or stands there twice.
    """
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in known:
            raise InputError(f"unknown parameter {name!r}; known: {', '.join(known) or 'none'}")
        if name in found:
            raise InputError(f"the parameter {name!r} is given twice")
        found[name] = value
    return found


def k_of(parameters: dict[str, str]) -> int:
    """How many titles are asked for.

    Raises
    ------
    InputError : it is no whole number from 1 to `MAX_K`.
    """
    text = parameters.get("k", str(DEFAULT_K))
    is_whole = text.isascii() and text.isdigit() and len(text) < 10
    if not is_whole or not 1 <= int(text) <= MAX_K:
        raise InputError(f"k is {text!r}; a whole number from 1 to {MAX_K} is expected")
    return int(text)
