"""Replays what was held out in the order of time: at each visit every policy's page, judged by what was played next."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from offline.evaluation.pages import fitted
from offline.evaluation.pages.browse_fit import LEAST_PLAYS, BrowseFit, fit
from offline.evaluation.pages.fitted import Fitted
from offline.evaluation.pages.impressions import read_impressions, showings
from offline.evaluation.pages.making import PageMaker
from offline.evaluation.pages.past import History
from offline.evaluation.pages.relevance import ShownPage, relevance
from offline.evaluation.pages.report import PageReport
from offline.evaluation.pages.tally import Tally
from offline.evaluation.pages.variety import genre_vectors, self_information, variety
from offline.evaluation.pages.visits import Splitting, Visit, visits
from shared.config import Config
from shared.errors import InputError
from shared.events import Play
from shared.pages.attention import BrowseModel
from shared.pages.devices import Devices
from shared.pages.policies import POLICIES, PagePolicy
from shared.pages.request import Request

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """How to evaluate.

    Attributes
    ----------
    test_share : newest share of the plays that is held out.
    members : most members whose visits are replayed, drawn at random.
    """

    test_share: float = 0.2
    members: int = 500
    splitting: Splitting = field(default_factory=Splitting)
    seed: int = 0


class MemberVisits(NamedTuple):
    """One member's visits in the order of time."""

    member_id: str
    visits: list[Visit]


def browse_model(impressions: Path | None, history: History, config: Config, plan: Plan) -> BrowseFit:
    """The browse model fitted to the pages of a file that were shown before the cut; the default one without a file.

    Raises
    ------
    InputError : the file cannot be read, or tells too little.
    """
    if impressions is None:
        return BrowseFit(BrowseModel(), 0, 0.0)
    past, _ = history.cut(plan.test_share)
    end_ms = int(past.at_ms[-1])
    pages = (page for page in read_impressions(impressions) if page.at_ms <= end_ms)
    found = fit(showings(pages, past.plays, Devices(config.page, config.online)))
    if found.plays < LEAST_PLAYS:
        raise InputError(
            f"{impressions}: {found.plays} plays before the cut are of titles that their member was shown at several places; "
            f"at least {LEAST_PLAYS} are due to fit a browse model. Without --impressions the default one is used"
        )
    return found


def evaluate_pages(
    history: History,
    config: Config,
    plan: Plan,
    browse: BrowseFit,
    policies: Mapping[str, PagePolicy] = POLICIES,
    say: Say = print,
) -> PageReport:
    """Fit on the past, replay the rest.

    Candidates are precomputed at the cut, once, and whatever a member did since then is in the state and in the candidates that
    are retrieved anew. What is trending stays as it was at the cut.

    Raises
    ------
    InputError : there is too little to fit on, or nobody came after the cut.
    """
    past, later = history.cut(plan.test_share)
    say(f"fitting on {past.plays.num_rows:,} plays of {len(history.titles):,} titles")
    made = fitted.fit(past, config.training, browse.model)
    drawn = list(draw_visits(past, later, plan))
    count = sum(len(member.visits) for member in drawn)
    if not count:
        raise InputError("nobody played a title for more than a glance after the cut, so there is nothing to judge pages by")
    say(f"making the pages of {count:,} visits of {len(drawn):,} members")
    judge = Judge(made, config, policies)
    for member in drawn:
        judge.replay(member)
    newest = f"the newest {plan.test_share:.0%} of {history.plays.num_rows:,} plays held out and replayed in the order of time"
    return PageReport.of(
        judge.tallies,
        judge.rows,
        protocol=newest,
        visits=count,
        titles=len(history.titles),
        browse=browse.model,
        browse_plays=browse.plays,
        seed=plan.seed,
    )


def draw_visits(past: History, later: History, plan: Plan) -> Iterator[MemberVisits]:
    """The visits after the cut, of some members."""
    members = sorted(set(later.plays["member_id"].to_pylist()))
    if len(members) > plan.members:
        members = sorted(np.random.default_rng(plan.seed).choice(members, plan.members, replace=False).tolist())
    before, after = (by_member(part.of_members(members).events()) for part in (past, later))
    for member_id in members:
        found = list(visits(before.get(member_id, []), after[member_id], plan.splitting))
        if found:
            yield MemberVisits(member_id, found)


class Judge:
    """Makes and judges the pages of one snapshot under several policies.

    Attributes
    ----------
    tallies : by policy.
    rows : keys of all rows that were drafted for anybody.
    """

    def __init__(self, made: Fitted, config: Config, policies: Mapping[str, PagePolicy]) -> None:
        self._made, self._policies = made, policies
        self._maker = PageMaker(made.snapshot, config)
        serving = self._maker.serving
        self._vectors = genre_vectors(serving.genre_titles)  # (titles, genres)
        self._information = self_information(made.members_of, made.members)  # (titles,)
        self.tallies = {name: Tally(serving.count) for name in policies}
        self.rows: set[str] = set()

    def replay(self, member: MemberVisits) -> None:
        """A member's visits one after the other; each policy goes on from its own last page."""
        maker, index = self._maker, self._maker.serving.index
        last: dict[str, ShownPage] = {}
        for visit in member.visits:
            request = Request(member.member_id, visit.device, visit.country, visit.at_ms)
            context = maker.context(maker.facts(visit.state, self._made.candidates.get(member.member_id)), request)
            drafts = maker.drafts(context)
            self.rows.update(draft.key for draft in drafts)
            pages = maker.pages(context, drafts, self._policies, {name: page.keys for name, page in last.items()})
            wanted = {index.get(title_id, -1) for title_id in visit.wanted}
            device = maker.format(visit.device)
            for name, page in pages.items():
                found = relevance(page, wanted, (device.visible_rows, device.visible_cells))
                shown = variety(page, last.get(name), self._vectors, self._information)
                self.tallies[name].add(page, found, shown)
            last = pages
        for tally in self.tallies.values():
            tally.end_member()


def by_member(events: list[Play]) -> dict[str, list[Play]]:
    """Each member's events in their order."""
    ordered = sorted(events, key=attrgetter("member_id"))
    return {member_id: list(own) for member_id, own in groupby(ordered, key=attrgetter("member_id"))}
