"""Drafts to rows by the fixed template, for tests of what stands around it."""

from collections.abc import Iterable

from shared.config import DeviceFormat, PageConfig
from shared.pages.answers import Row
from shared.pages.assembly import make_rows
from shared.pages.drafts import Draft, RowContext
from shared.pages.policies.template import Template
from shared.pages.viewing import view_of


def assembled(drafts: Iterable[Draft], context: RowContext) -> tuple[Row, ...]:
    device = DeviceFormat(rows=context.rows_limit, row_length=context.row_length)
    placed = Template().place(list(drafts), view_of(context, device, PageConfig()))
    return make_rows(placed, context.serving, context.blend, context.ranking.scores)
