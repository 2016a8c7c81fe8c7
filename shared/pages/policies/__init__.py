"""How drafted rows become a page: four policies side by side, chosen by name.

    drafts + PageView → PagePolicy.place → Placed rows → `shared.pages.assembly` makes their cells

`template` keeps the order of the row builders, `alone` sorts the rows by what each is worth by itself, `stagewise` takes for each
next place the row that adds most to those above, and `search` improves that page as a whole: the four approaches of Alvino and
Basilico, "Learning a Personalized Homepage" (Netflix Technology Blog, 2015). The last three look at one objective,
`shared.pages.policies.objective`. A team adds a policy by writing a class with the one method of `PagePolicy`.
"""

from collections.abc import Mapping
from types import MappingProxyType

from shared.errors import ConfigError
from shared.pages.policies.alone import Alone
from shared.pages.policies.search import Search
from shared.pages.policies.stagewise import StageWise
from shared.pages.policies.template import Template
from shared.pages.policies.view import PagePolicy, PageView, Placed, genre_shares

__all__ = ["POLICIES", "PagePolicy", "PageView", "Placed", "genre_shares", "named_policy"]

POLICIES: Mapping[str, PagePolicy] = MappingProxyType(
    {"template": Template(), "alone": Alone(), "stagewise": StageWise(), "search": Search()}
)


def named_policy(name: str) -> PagePolicy:
    """The policy of a name in the configuration or in an experiment's cell.

    Raises
    ------
    ConfigError : there is none of that name; names those that there are.
    """
    policy = POLICIES.get(name)
    if policy is None:
        raise ConfigError(f"page policy {name!r} is unknown; one of {', '.join(POLICIES)} is expected")
    return policy
