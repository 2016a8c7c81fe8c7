"""Makes pages from a snapshot in memory with the functions that serve: blend → rank → rows → page (`online.recommender`)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from offline.evaluation.pages.relevance import ShownPage
from shared import histories
from shared.config import Config, DeviceFormat
from shared.pages.blending import blend
from shared.pages.devices import Devices
from shared.pages.drafts import Draft, RowBuilder, RowContext, draft_rows
from shared.pages.facts import Candidates, Facts
from shared.pages.policies import PagePolicy
from shared.pages.ranking import rank
from shared.pages.request import Request
from shared.pages.rows import load_rows
from shared.pages.serving import Serving
from shared.pages.viewing import view_of
from shared.retrieval import Factors
from shared.snapshots import Snapshot
from shared.state import EMPTY, MemberState

OTHER_DEVICE = "tv"
"""Whose page is judged where the history names a device that nobody knows."""


class PageMaker:
    """One snapshot's pages.

    Parameters
    ----------
    config : formats of the devices, the page's objective, which rows there are, how many candidates are retrieved anew.

    Raises
    ------
    SnapshotError, ConfigError : the snapshot or the configuration cannot be.
    """

    def __init__(self, snapshot: Snapshot, config: Config) -> None:
        self.serving = Serving(snapshot)
        self.config = config
        self._factors = Factors.of(snapshot)
        self._devices = Devices(config.page, config.online)
        self._builders: Sequence[RowBuilder] = load_rows(config.online.rows_shown)

    def format(self, device: str) -> DeviceFormat:
        """The format of a device; that of `OTHER_DEVICE` for one that is not known."""
        return self._devices.format(device if device in self._devices.names else OTHER_DEVICE)

    def facts(self, state: MemberState, candidates: Candidates | None) -> Facts:
        """What is known of a member whose candidates were precomputed; others are retrieved for what they did since."""
        fresh = self.retrieved(state) if state.updated_at_ms >= self.serving.created_at_ms else None
        return Facts(self.serving.version, state, {}, candidates, fresh, histories.seeds(state))

    def retrieved(self, state: MemberState) -> Candidates | None:
        """What the stream workers retrieve for a state; None where it says nothing."""
        if self._factors is None or state == EMPTY:
            return None
        [found] = self._factors.candidates([(state, {})], self.config.retrieval.candidates, 0)
        return Candidates(found.titles, found.scores) if len(found.titles) else None

    def context(self, facts: Facts, request: Request) -> RowContext:
        """Blend and rank."""
        device = self.format(request.device)
        pool = blend(self.serving, facts, request)
        ranking = rank(self.serving, facts, request, pool)
        return RowContext(
            request, self.serving, facts.state, pool, ranking, device.rows, device.row_length, facts.trending, facts.seeds
        )

    def drafts(self, context: RowContext) -> list[Draft]:
        """The rows that a page may have."""
        drafts, _ = draft_rows(self._builders, context)
        return drafts

    def pages(
        self,
        context: RowContext,
        drafts: Sequence[Draft],
        policies: Mapping[str, PagePolicy],
        previous: Mapping[str, tuple[str, ...]],
    ) -> dict[str, ShownPage]:
        """The page of each policy.

        Parameters
        ----------
        previous : by policy, the row keys of its page at the member's last visit.
        """
        view = view_of(context, self.format(context.request.device), self.config.page)
        pages: dict[str, ShownPage] = {}
        for name, policy in policies.items():
            own = replace(view, previous=previous.get(name, ()))
            pages[name] = ShownPage.of(policy.place(drafts, own), own.attention)
        return pages
