"""The records of 100 members in one read: beside a bare MGET of the same bytes, and beside Feast's online read."""

from typing import Any

import redis

from infra.bench.online import bare, feast_rival
from infra.bench.online.server import TRANSPORTS, client_core
from infra.bench.online.stage import NAMESPACE, Stage
from infra.bench.online.timing import Latencies, in_turns, latency_row, on_core, ratio_row
from infra.bench.report import Row
from shared import keys
from shared.errors import UnavailableError
from shared.store import StateStore

ENTITIES = 100
COPIED = 2000
"""Members whose bytes are also stored as plain strings, for MGET; each read asks for others of them."""
BARE_RATIO, FEAST_RATIO = 1.3, 40.0
FEAST_CALLS = 300


def measure(stage: Stage) -> list[Row]:
    """Ours and the bare read in turns, then Feast between two runs of ours."""
    rows: list[Row] = []
    ours: Latencies | None = None
    for transport in TRANSPORTS:
        found = _over(stage, transport)
        ours = found["ours"]
        rows += [
            latency_row(f"{transport}: {ENTITIES} members' states in one read", ours, found["trip"]),
            latency_row(f"{transport}: bare MGET of the same bytes", found["bare"], found["trip"]),
            ratio_row("  ÷ bare MGET", ours, found["bare"], BARE_RATIO),
        ]
    assert ours is not None  # over TCP, as Feast reads
    return rows + _beside_feast(stage, ours)


def _over(stage: Stage, transport: str) -> dict[str, Latencies]:
    """Each read asks for other members, so that neither side finds them warm."""
    assert stage.version
    with on_core(client_core()), stage.client(transport) as client:
        known = [asking.member_id for asking in stage.asking]
        members = list(dict.fromkeys(known))[:COPIED]
        _copy(client, members)
        store = StateStore(client, NAMESPACE)

        def asked(number: int) -> list[str]:
            return [members[(number * ENTITIES + place) % len(members)] for place in range(ENTITIES)]

        return in_turns(
            {
                "trip": lambda number: bare.round_trip(client, NAMESPACE),
                "bare": lambda number: client.mget([_copy_key(member) for member in asked(number)]),
                "ours": lambda number: store.read(asked(number)),
            },
            max(200, stage.calls // 5),
            warm_up=50,
        )


def _copy(client: redis.Redis, members: list[str]) -> None:
    """Store the members' states once more, as MGET reads them."""
    pipeline = client.pipeline(transaction=False)
    for member in members:
        pipeline.hget(keys.state(NAMESPACE, member), "s")
    pairs: dict[Any, Any] = {_copy_key(member): blob for member, blob in zip(members, pipeline.execute(), strict=True)}
    client.mset(pairs)


def _copy_key(member: str) -> str:
    return f"{NAMESPACE}-copy:{member}"


def _beside_feast(stage: Stage, ours: Latencies) -> list[Row]:
    what = f"Feast {feast_rival.VERSION}, {feast_rival.FEATURES} features of {ENTITIES} titles in one read, TCP"
    try:
        stage.say("  Feast (installed at first) …")
        with on_core(client_core()):
            feast = feast_rival.measure(stage.server, ENTITIES, min(FEAST_CALLS, stage.calls))
    except UnavailableError as error:
        return [Row(what, f"skipped: {error}")]
    again = _over(stage, "tcp")
    trip, many = again["trip"], feast["many"]
    ratio = many.p50_us / max(ours.p50_us, again["ours"].p50_us)
    cpu_ratio = many.cpu_s / max(ours.cpu_s, again["ours"].cpu_s)
    return [
        latency_row(what, many, trip),
        latency_row("Feast, the same of one title", feast["one"], trip),
        Row(
            "  Feast ÷ ours",
            f"{ratio:.0f} × (CPU {cpu_ratio:.0f} ×)",
            f"≥ {FEAST_RATIO:g} ×",
            ratio >= FEAST_RATIO,
            {"ratio": ratio, "cpu_ratio": cpu_ratio},
        ),
    ]
