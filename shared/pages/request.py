"""Who asks for a page or a list, from where and when."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks, from where and when. `country` is an ISO 3166 code in capitals or None for unknown."""

    member_id: str
    device: str
    country: str | None
    now_ms: int
