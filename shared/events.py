"""The event types on Kafka's topics: schema version, encoding, and decoding with validation.

Events are JSON objects of schema 1 (see README, "Topics"). Unknown fields are ignored, so that producers may add some; a
missing or ill-typed field raises `EventError` with the reason. The nearline worker and the Spark ingest decode through
the same functions, so both accept and refuse the same bytes.
"""

from typing import Annotated, Any, Literal

import msgspec

from shared.errors import EventError

SCHEMA_VERSION = 1
MAX_EVENT_BYTES = 64 * 1024
"""A play or feedback event longer than this is refused."""

EARLIEST_MS = 0
SECONDS_BELOW_MS = 100_000_000_000
"""Times between zero and this (March 1973 in milliseconds) are taken for seconds by mistake, in events and in files."""
LATEST_MS = 4_102_444_800_000
"""1 January 2100: a later time is a broken clock."""
AHEAD_LIMIT_MS = 24 * 3600 * 1000
"""An event may be so much later than its arrival at Kafka, since devices' clocks differ. One from further ahead would count as
the newest play of its title until its time came."""

PlayKind = Literal["start", "progress", "stop"]
FeedbackKind = Literal["thumbs_up", "thumbs_down", "list_add", "list_remove"]

MAX_ID_LENGTH = 256
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_LENGTH)]
TimeMs = Annotated[int, msgspec.Meta(ge=EARLIEST_MS, lt=LATEST_MS)]
Seconds = Annotated[float, msgspec.Meta(ge=0.0, le=1e7)]
Ordinal = Annotated[int, msgspec.Meta(ge=0, lt=1 << 31)]  # of a row on a page, of a title in a row


class Play(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One report about one title on one device: it began, goes on, or stopped.

    `position_s` is where in the title the member is, `watched_s` how long was watched since the previous report.
    """

    schema: int
    event_id: Id
    member_id: Id
    title_id: Id
    kind: PlayKind
    session_id: Id
    at_ms: TimeMs
    position_s: Seconds
    runtime_s: Seconds
    watched_s: Seconds
    device: str
    country: str
    page_id: str | None = None
    row: str | None = None
    rank: Ordinal | None = None


class Feedback(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A thumb, or a change to the member's own list."""

    schema: int
    event_id: Id
    member_id: Id
    title_id: Id
    kind: FeedbackKind
    at_ms: TimeMs


class Cell(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One title shown at one place of a page; `propensity` is the chance with which it was shown there."""

    row: str
    row_index: Ordinal
    rank: Ordinal
    title_id: Id
    tier: str
    propensity: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class Impression(msgspec.Struct, frozen=True, kw_only=True):
    """One page as it was shown, with everything needed to account for it later."""

    schema: int
    page_id: Id
    member_id: Id
    at_ms: TimeMs
    snapshot: str
    fence: dict[str, str]  # source topic -> "epoch:partition:offset" of the live state used; empty without one
    allocation: dict[str, str]  # test -> cell
    cells: list[Cell]
    country: str | None = None
    device: str | None = None


_PLAYS = msgspec.json.Decoder(Play)
_FEEDBACK = msgspec.json.Decoder(Feedback)
_IMPRESSIONS = msgspec.json.Decoder(Impression)
_ENCODER = msgspec.json.Encoder()
_decode_play = _PLAYS.decode


def encode(event: Play | Feedback | Impression) -> bytes:
    """The event as JSON, UTF-8."""
    return _ENCODER.encode(event)


def decode_play(value: bytes | None, key: bytes | None, arrived_at_ms: int | None = None) -> Play:
    """Read one value of topic `plays`.

    Parameters
    ----------
    value : the record's value; None is a tombstone, which this topic has no use for.
    key : the record's key, which must be the member_id in UTF-8: it decides the partition, and so the order.
    arrived_at_ms : when the record came to Kafka; None where that is not known, as for history brought in files.

    Raises
    ------
    EventError : with the reason, in one sentence.
    """
    try:
        play: Play = _decode_play(value)  # type: ignore[arg-type]
        # Every play passes here, so what is wrong with one is only worked out when something is.
        if (
            play.schema == SCHEMA_VERSION
            and play.runtime_s > 0
            and play.at_ms >= SECONDS_BELOW_MS
            and (arrived_at_ms is None or play.at_ms - arrived_at_ms <= AHEAD_LIMIT_MS)
            and play.member_id.encode() == key
            and len(value) <= MAX_EVENT_BYTES  # type: ignore[arg-type]
        ):
            return play
    except (msgspec.DecodeError, TypeError, UnicodeError, RecursionError):
        pass
    play = _decode(_PLAYS, value, key, arrived_at_ms)
    if play.runtime_s <= 0:
        raise EventError(f"runtime_s is {play.runtime_s}; a title's running time is positive")
    return play


def decode_feedback(value: bytes | None, key: bytes | None, arrived_at_ms: int | None = None) -> Feedback:
    """Read one value of topic `feedback`; see `decode_play`."""
    feedback: Feedback = _decode(_FEEDBACK, value, key, arrived_at_ms)
    return feedback


def decode_impression(value: bytes | None, key: bytes | None, arrived_at_ms: int | None = None) -> Impression:
    """Read one value of topic `impressions`; see `decode_play`."""
    impression: Impression = _decode(_IMPRESSIONS, value, key, arrived_at_ms, limit=1 << 20)
    return impression


def _decode(decoder: Any, value: bytes | None, key: bytes | None, arrived_at_ms: int | None, limit: int = MAX_EVENT_BYTES) -> Any:
    if value is None:
        raise EventError("the record has no value")
    if len(value) > limit:
        raise EventError(f"the record has {len(value)} bytes; at most {limit} are taken")
    try:
        event = decoder.decode(value)
    except msgspec.ValidationError as error:
        raise EventError(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EventError(f"not a JSON object: {error}") from None
    if event.schema != SCHEMA_VERSION:
        raise EventError(f"schema is {event.schema}; this version reads schema {SCHEMA_VERSION}")
    if 0 < event.at_ms < SECONDS_BELOW_MS:
        raise EventError(f"at_ms {event.at_ms} looks like seconds; milliseconds are due")
    if arrived_at_ms is not None and event.at_ms - arrived_at_ms > AHEAD_LIMIT_MS:
        ahead_h = (event.at_ms - arrived_at_ms) / 3_600_000
        raise EventError(f"at_ms {event.at_ms} is {ahead_h:.0f} h after the record came to Kafka: a clock is wrong")
    if key is None:
        raise EventError("the record has no key; its member_id is due")
    if key != event.member_id.encode():
        raise EventError(f"the record's key {key[:64]!r} is not its member_id {event.member_id[:64]!r}")
    return event
