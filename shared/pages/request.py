"""Who asks for a page or a list, from where and when."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks, from where and when.

    Attributes
    ----------
    country : ISO 3166 code in capitals; None for unknown.
    ratings : the ratings that may be shown, the mildest first; none of them where all may.
    previous : row keys of the member's last page, from top to bottom.
    attributes : what the caller knows about the member, such as the plan; experiments have rules on them.
    """

    member_id: str
    device: str
    country: str | None
    now_ms: int
    ratings: tuple[str, ...] = ()
    previous: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
