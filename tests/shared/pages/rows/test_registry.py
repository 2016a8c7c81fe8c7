"""Rows by name: what a configuration may list, and what it is told when it cannot."""

import pytest

from shared.errors import ConfigError
from shared.pages.drafts import Draft, RowContext
from shared.pages.rows import DEFAULT_ROWS, ROWS, TEMPLATE, MyList, TopPicks, load_rows
from tests.shared.pages.rows.drafting import context_of, drafted


class StaffPicks:
    """A row that a team adds."""

    def draft(self, context: RowContext) -> list[Draft]:
        return [Draft(key="staff", name="Staff Picks", titles=context.ranking.order[:5])]


class NeedsMore(StaffPicks):
    def __init__(self, titles: list[str]) -> None:
        self.titles = titles


class NoRow:
    pass


def test_rows_stand_in_the_order_in_which_they_are_listed() -> None:
    first, second, own = load_rows(["my-list", "top-picks", f"{__name__}:StaffPicks"])
    assert (type(first), type(second)) == (MyList, TopPicks)
    assert drafted(own, context_of())[0].key == "staff"


def test_the_same_name_goes_on_where_it_stopped() -> None:
    context = context_of(candidates=[1, 2, 3])
    parts = load_rows(["genres*1", "genres*1", "genres"])
    keys = [[draft.key for draft in drafted(part, context)] for part in parts]
    whole = [draft.key for draft in drafted(load_rows(["genres"])[0], context)]
    assert [len(part) for part in keys] == [1, 1, 1]
    assert [key for part in keys for key in part] == whole


def test_no_names_are_the_template_which_has_every_row() -> None:
    assert load_rows(()) is DEFAULT_ROWS
    assert {name.partition("*")[0] for name in TEMPLATE} == set(ROWS)
    assert {type(builder) for builder in DEFAULT_ROWS} == {type(made()) for made in ROWS.values()}


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["top-pics"], "rows_shown names 'top-pics'; known are continue-watching, top-picks, .*genres"),
        (["top-picks*2"], r"rows_shown names 'top-picks\*2'; known are"),
        (["genres*0"], r"rows_shown names 'genres\*0'; known are"),
        (["my-list", "top-picks", "my-list"], "rows_shown names 'my-list' again after all its rows"),
        (["genres", "genres*2"], r"rows_shown names 'genres\*2' again after all its rows"),
        (["my_rows.staff:StaffPicks"], "rows_shown: 'my_rows.staff:StaffPicks' cannot be imported"),
        ([f"{__name__}:NeedsMore"], "cannot be made without arguments .*titles"),
        ([f"{__name__}:NoRow"], r"NoRow' has no method draft\(context\)"),
    ],
)
def test_what_cannot_be_listed(names: list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_rows(names)
