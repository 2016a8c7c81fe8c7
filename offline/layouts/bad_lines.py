"""Lines of a user's files that cannot be used: what is kept of one, and when there are too many of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.config import ImportConfig
from shared.errors import InputError

TEXT_CHARACTERS = 500
"""As much of a bad line is kept."""
_NAMED = 3  # bad lines named in the message of `check_limits`


@dataclass(frozen=True, slots=True)
class BadLine:
    """One line that was refused: the file, its 1-based line (Parquet: row) number, the reason, and the line itself."""

    file: str
    line: int
    reason: str
    text: str


def check_limits(
    bad_count: int, total: int, limits: ImportConfig, examples: Sequence[BadLine] = (), finished: bool = True
) -> None:
    """Stop an import that refused too many lines.

    Parameters
    ----------
    bad_count, total : lines refused, and lines read in all, so far.
    limits : how many, and which share of all lines, are put up with.
    examples : some of the refused lines; the first few are named.
    finished : False while lines are still to come; then only the number is judged, since the share is not known yet.

    Raises
    ------
    InputError : more than the limit; names both and the first few lines with their reasons.
    """
    over_count = bad_count > limits.bad_lines_limit
    over_share = finished and bad_count > limits.bad_lines_share * total
    if not over_count and not over_share:
        return
    if over_count:
        limit = f"at most {limits.bad_lines_limit} are put up with (imports.bad_lines_limit)"
    else:
        limit = f"at most {limits.bad_lines_share:.2%} are put up with (imports.bad_lines_share)"
    named = "; ".join(f"{bad.file} line {bad.line}: {bad.reason}" for bad in examples[:_NAMED])
    raise InputError(
        f"{bad_count} of {total} lines cannot be used, {limit}; nothing was imported" + (f"; {named}" if named else "")
    )
