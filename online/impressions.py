"""What was shown goes to Kafka's topic `impressions`, without the answer waiting for it (`online.sending`)."""

from online import metrics
from online.sending import EventSender, Record
from shared import events
from shared.config import KafkaConfig
from shared.pages.answers import Page


def impression_of(page: Page) -> events.Impression:
    """The event that accounts for a page."""
    return events.Impression(
        schema=events.SCHEMA_VERSION,
        page_id=page.page_id,
        member_id=page.member_id,
        at_ms=page.at_ms,
        snapshot=page.snapshot or "",
        fence=page.fence,
        allocation=page.allocation,
        cells=[
            events.Cell(
                row=cell.row,
                row_index=cell.row_index,
                rank=cell.rank,
                title_id=cell.title_id,
                tier=cell.tier,
                propensity=cell.propensity,
            )
            for row in page.rows
            for cell in row.cells
        ],
        country=page.country,
        device=page.device,
    )


class ImpressionLog(EventSender[Page]):
    """The way of pages to Kafka; the event is made of a page in the background."""

    def __init__(self, config: KafkaConfig, buffer: int) -> None:
        super().__init__(config, config.impressions_topic, buffer, "impressions", metrics.IMPRESSIONS, _record)


def _record(page: Page) -> Record:
    event = impression_of(page)
    return Record(event.member_id.encode(), events.encode(event))
