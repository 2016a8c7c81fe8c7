"""The stages of a request as functions of one shape each, which a configuration or a cell of a test can replace by name.

    allocate(experiments, member_id, context) -> Allocation
    fetch(question, replies)                  -> Facts          what Redis answered, read; the waiting is not replaced
    blend(serving, facts, request, depth)     -> Pool
    rank(serving, facts, request, pool)       -> Ranking
    rows(builders, context)                   -> drafts, and what failed
    page(policy, drafts, view)                -> placed rows
    account(page)                             -> None           instead of the impression to Kafka; must not wait

A replacement is named `package.module:function`; it is called with exactly these arguments and gives back the same types.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from online.experiments import Allocation, Context, Experiments, allocate
from online.fetching import Question, answer
from shared.dotted import load_object
from shared.errors import ConfigError
from shared.pages.answers import Fallback, Page
from shared.pages.blending import Pool, blend
from shared.pages.drafts import Draft, RowBuilder, RowContext, draft_rows
from shared.pages.facts import Facts
from shared.pages.policies.view import PagePolicy, PageView, Placed
from shared.pages.ranking import Ranking, rank
from shared.pages.request import Request
from shared.pages.serving import Serving


def place(policy: PagePolicy, drafts: Sequence[Draft], view: PageView) -> list[Placed]:
    """The page as a policy makes it."""
    return policy.place(drafts, view)


@dataclass(frozen=True)
class Stages:
    """What each stage of a request does; None for `account` is the impression to Kafka."""

    allocate: Callable[[Experiments, str, Context], Allocation] = allocate
    fetch: Callable[[Question, Sequence[Any]], Facts] = answer
    blend: Callable[[Serving, Facts, Request, int], Pool] = blend
    rank: Callable[[Serving, Facts, Request, Pool], Ranking] = rank
    rows: Callable[[Iterable[RowBuilder], RowContext], tuple[list[Draft], tuple[Fallback, ...]]] = draft_rows
    page: Callable[[PagePolicy, Sequence[Draft], PageView], list[Placed]] = place
    account: Callable[[Page], None] | None = None


def load_stages(paths: dict[str, str]) -> Stages:
    """The stages with some of them replaced.

    Parameters
    ----------
    paths : stage to `module:function`.

    Raises
    ------
    ConfigError : a stage that there is not, or something that cannot be imported or called.
    """
    known = [field.name for field in fields(Stages)]
    for stage in paths:
        if stage not in known:
            raise ConfigError(f"[online.stages] has an unknown stage {stage!r}; {', '.join(known)} can be replaced")
    return Stages(**{stage: load_object(path, f"[online.stages] {stage}") for stage, path in paths.items()})
