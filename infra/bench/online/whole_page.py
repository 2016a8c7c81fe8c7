"""The whole page: its latency, its share above a bare read of the same bytes, where its time goes, and what each policy costs."""

from collections import defaultdict
from collections.abc import Callable
from statistics import median

import msgspec

from infra.bench.online import bare
from infra.bench.online.server import TRANSPORTS, client_core
from infra.bench.online.stage import NAMESPACE, ROW_LENGTH, ROWS, Stage
from infra.bench.online.timing import in_turns, latency_row, on_core, ratio_row
from infra.bench.report import Row
from online import Page, Recommender
from shared.errors import UnavailableError

P50_MS, P99_MS, BARE_RATIO = 1.5, 4.0, 4.0
FILLED_SHARE = 0.9
"""Of all cells, that the mean page must have for the figures to be about whole pages."""
WARM_UP, LOOKED_AT = 50, 100
LACKING_SHARE = 0.05
"""More pages than this that had to do without something are none to be timed; a busy machine makes a few late."""
FIRST = "m0"


def measure(stage: Stage) -> list[Row]:
    """Both transports in turn."""
    rows: list[Row] = []
    for transport in TRANSPORTS:
        stage.say(f"  whole page over {'a socket' if transport == 'socket' else 'TCP'}")
        rows += _over(stage, transport)
    return rows


def _over(stage: Stage, transport: str) -> list[Row]:
    version, config = stage.version, stage.config(transport)
    encoder = msgspec.json.Encoder()
    with (
        on_core(client_core()),
        Recommender(config) as recommender,
        stage.client(transport) as client,
        bare.raw(stage.server, transport) as raw,
    ):
        page = page_call(recommender, stage)
        about = filled(page, version)
        commands = bare.commands_of(client, lambda: recommender.page(FIRST, country="US"), FIRST)
        asked = [bare.for_member(commands, FIRST, asking.member_id) for asking in stage.asking]
        replies = [bare.pipelined(client, one) for one in asked[:200]]
        stages: dict[str, list[float]] = defaultdict(list)

        def staged(number: int) -> None:
            for name, took_s in page(number).seconds.items():
                stages[name].append(took_s)

        found = in_turns(
            {
                "trip": lambda number: bare.round_trip(client, NAMESPACE),
                "raw": lambda number: raw.ask(asked[number % len(asked)]),
                "bare": lambda number: bare.pipelined(client, asked[number % len(asked)]),
                "page": page,
                "json": lambda number: encoder.encode(page(number)),
                "staged": staged,
            },
            stage.calls,
        )
    trip, pages = found["trip"], found["page"]
    read = f"{len(commands)} commands, {sum(map(bare.size_of, replies)) / len(replies):,.0f} bytes"
    return [
        latency_row(f"{transport}: bare round trip", trip, trip),
        latency_row(f"{transport}: bare pipelined read of the page's keys, redis-py ({read})", found["bare"], trip),
        latency_row(f"{transport}: the same on a raw socket, parsed by hiredis", found["raw"], trip),
        latency_row(f"{transport}: whole page ({about})", pages, trip, P50_MS, P99_MS),
        ratio_row("  ÷ bare pipelined read", pages, found["bare"], BARE_RATIO),
        ratio_row("  ÷ the raw socket", pages, found["raw"]),
        latency_row(f"{transport}: whole page, encoded as JSON", found["json"], trip),
        _stages(stages, transport),
    ]


def page_call(recommender: Recommender, stage: Stage) -> Callable[[int], Page]:
    """Asks for the page of the call's member."""

    def call(number: int) -> Page:
        asking = stage.who(number)
        return recommender.page(asking.member_id, device=asking.device, country=asking.country)

    return call


def filled(page: Callable[[int], Page], version: str) -> str:
    """How full pages are, in words; the first ones, for which a new snapshot still works out what it keeps, left out.

    Raises
    ------
    UnavailableError : they are not whole, or not of this snapshot: what is to be timed is not what would be timed.
    """
    pages = [page(number) for number in range(WARM_UP + LOOKED_AT)][WARM_UP:]
    lacking = [page for page in pages if page.snapshot != version or page.fallbacks]
    if len(lacking) > LACKING_SHARE * len(pages):
        raise UnavailableError(f"a page is of snapshot {lacking[0].snapshot!r} with fallbacks {lacking[0].fallbacks}")
    rows = sum(len(page.rows) for page in pages) / len(pages)
    cells = sum(len(row.cells) for page in pages for row in page.rows) / len(pages)
    if cells < FILLED_SHARE * ROWS * ROW_LENGTH:
        raise UnavailableError(
            f"pages have {rows:.1f} rows and {cells:.0f} cells on the mean; {ROWS} × {ROW_LENGTH} are asked for"
        )
    return f"{rows:.1f} rows, {cells:.0f} cells on the mean"


def _stages(stages: dict[str, list[float]], transport: str) -> Row:
    medians = {name: median(taken) * 1e6 for name, taken in stages.items()}
    figure = " · ".join(f"{name} {us:.0f}" for name, us in medians.items())
    return Row(f"{transport}: median of each stage", f"{figure} µs", values=medians)
