"""The first stage of a request: which cells of which tests the member is in, and the plan that these make."""

from collections.abc import Mapping
from typing import NamedTuple

from online.experiments import NO_EXPERIMENTS, Context, load_experiments
from online.plans import Plan, Plans
from shared.config import Config
from shared.pages.request import Request


class Allocated(NamedTuple):
    """`cells` maps tests to cells, and goes with the page into the log."""

    cells: Mapping[str, str]
    plan: Plan


class Allocator:
    """The experiments of a configuration.

    Raises
    ------
    ConfigError : the file of experiments says something that cannot be.
    """

    def __init__(self, config: Config, plans: Plans) -> None:
        self._plans = plans
        self._experiments = (
            load_experiments(config.online.experiments, plans.known) if config.online.experiments else NO_EXPERIMENTS
        )
        self._is_empty = not self._experiments.tests
        self.waits_for_member = self._experiments.waits_for_member
        for test in self._experiments.tests:
            for cell in test.cells:
                plans.of(cell.changes)

    @property
    def arms(self) -> frozenset[str]:
        """Arms that cells send members to."""
        return self._experiments.arms

    def allocate(self, request: Request, is_known: bool | None = None) -> Allocated:
        """The member's cells at this moment.

        Parameters
        ----------
        is_known : whether anything is known about the member; None before that has been read, when tests for known or for new
            members do not apply yet.
        """
        if self._is_empty:
            return Allocated({}, self._plans.default)
        context = Context(request.now_ms, request.device, request.country, is_known, request.attributes)
        allocation = self._plans.default.stages.allocate(self._experiments, request.member_id, context)
        return Allocated(allocation.cells, self._plans.of(allocation.changes))
