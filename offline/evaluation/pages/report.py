"""Ways to make pages side by side: figures with intervals by member, and paired differences from the first."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Self

import msgspec

from offline.evaluation.bootstrap import Estimate
from offline.evaluation.estimates import of_catalogue, of_members
from offline.evaluation.pages.tally import COVERAGES, FIGURES, Tally
from offline.evaluation.text import FEW_MEMBERS, aligned
from shared.pages.attention import BrowseModel


class PageReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an evaluation of pages found.

    Attributes
    ----------
    protocol : where the visits came from.
    visits, members : how many pages each way made, and for how many members.
    browse : parameters of the browse model that cells are weighted by; `browse_plays` of them say something of it, 0 for none.
    baseline : the way that the others' differences are from.
    figures, differences : by way and figure.
    """

    protocol: str
    visits: int
    members: int
    titles: int
    browse: dict[str, float]
    browse_plays: int
    baseline: str
    figures: dict[str, dict[str, Estimate]]
    differences: dict[str, dict[str, Estimate]]

    @classmethod
    def of(
        cls,
        tallies: Mapping[str, Tally],
        rows: Iterable[str],
        *,
        protocol: str,
        visits: int,
        titles: int,
        browse: BrowseModel,
        browse_plays: int = 0,
        seed: int = 0,
    ) -> Self:
        """Put tallies side by side; the first is the baseline.

        Parameters
        ----------
        rows : keys of the rows that were drafted for anybody.
        """
        baseline = next(iter(tallies))
        values = {name: tally.values for name, tally in tallies.items()}
        keys = frozenset(rows)
        figures, differences = of_members(values, FIGURES, baseline, seed)
        of_all, between = of_catalogue({name: tally.coverages(keys, seed) for name, tally in tallies.items()}, baseline)
        return cls(
            protocol=protocol,
            visits=visits,
            members=len(values[baseline]),
            titles=titles,
            browse=asdict(browse),
            browse_plays=browse_plays,
            baseline=baseline,
            figures={name: {**figures[name], **of_all[name]} for name in tallies},
            differences={name: {**differences[name], **between[name]} for name in tallies},
        )

    def to_json(self) -> bytes:
        """The report as indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    def to_text(self) -> str:
        """The report as a table for people."""
        few = ", too few for the intervals to mean much" if self.members < FEW_MEMBERS else ""
        known = "with its defaults" if self.browse == asdict(BrowseModel()) else "as given"
        source = f"fitted to {self.browse_plays:,} plays" if self.browse_plays else known
        parameters = ", ".join(f"{name} {value:.3g}" for name, value in self.browse.items())
        lines = [
            self.protocol,
            f"{self.visits:,} visits of {self.members:,} members{few}; {self.titles:,} titles",
            f"cells are weighted by the browse model {source}: {parameters}",
            "",
        ]
        table = [["figure", "pages", "mean", "95 % interval", f"over {self.baseline}", "95 % interval"]]
        for figure in (*FIGURES, *COVERAGES):
            ways = [name for name in self.figures if figure in self.figures[name]]
            table += [self._line(figure if name == ways[0] else "", figure, name) for name in ways]
        return "\n".join([*lines, *aligned(table)]) + "\n"

    def _line(self, first: str, figure: str, name: str) -> list[str]:
        found, lift = self.figures[name][figure], self.differences[name].get(figure)
        over = ["", ""]
        if lift is not None and name != self.baseline:
            base = self.figures[self.baseline][figure].mean
            relative = f" ({lift.mean / base:+.1%})" if base > 0 else ""
            over = [f"{lift.mean:+.4f}{relative}", f"{lift.low:+.4f} – {lift.high:+.4f}"]
        return [first, name, f"{found.mean:.4f}", f"{found.low:.4f} – {found.high:.4f}", *over]
