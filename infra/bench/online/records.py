"""The records of 100 members in one read: beside a bare MGET of the same bytes, and beside Feast's online read.

Two kinds of members: those of the world with long histories, and light ones whose state has as many values as Feast is asked for
features. Feast's answer is typed values, so beside it ours are decoded, too.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import redis

from infra.bench.online import bare, feast_rival
from infra.bench.online.server import TRANSPORTS, client_core
from infra.bench.online.stage import NAMESPACE, Stage
from infra.bench.online.timing import Latencies, in_turns, latency_row, on_core, ratio_row
from infra.bench.report import Row
from online import Recommender
from shared import fence as fences
from shared import keys, state
from shared.errors import UnavailableError
from shared.fence import Position
from shared.state import MemberState, Played

ENTITIES = 100
MEMBERS = 2000
"""They take turns; each read asks for others of them."""
LIGHT = "light"
"""The namespace of the light members."""
LIGHT_PLAYS = 3
"""Of seven values each, which makes Feast's 20 and one."""
BARE_RATIO, FEAST_RATIO = 1.3, 40.0
FEAST_CALLS = 300

KINDS = {NAMESPACE: "long histories", LIGHT: f"{LIGHT_PLAYS * 7} values each"}


def measure(stage: Stage) -> list[Row]:
    """Ours and the bare read in turns, over both transports, then Feast with ours before and after it."""
    assert stage.version
    rows: list[Row] = []
    with stage.client() as client:
        _install_light(client, stage)
        members = {namespace: _copy(client, namespace, stage) for namespace in KINDS}
    for transport in TRANSPORTS:
        for namespace, kind in KINDS.items():
            found = _turns(stage, transport, namespace, members[namespace])
            rows += [
                latency_row(f"{transport}: bare MGET, {ENTITIES} × {kind}", found["bare"], found["trip"]),
                latency_row(f"{transport}: records of {ENTITIES} members, {kind}", found["ours"], found["trip"]),
                ratio_row("  ÷ bare MGET of the same bytes", found["ours"], found["bare"], BARE_RATIO),
                latency_row(f"{transport}: the same, every state decoded", found["decoded"], found["trip"]),
            ]
    return rows + _beside_feast(stage, members[LIGHT])


def _turns(stage: Stage, transport: str, namespace: str, members: Sequence[str]) -> dict[str, Latencies]:
    config = stage.config(transport)
    config = msgspec.structs.replace(config, redis=msgspec.structs.replace(config.redis, namespace=namespace))
    with on_core(client_core()), stage.client(transport) as client, Recommender(config) as recommender:

        def asked(number: int) -> list[str]:
            return [members[(number * ENTITIES + place) % len(members)] for place in range(ENTITIES)]

        calls: dict[str, Callable[[int], object]] = {
            "trip": lambda number: bare.round_trip(client, namespace),
            "bare": lambda number: client.mget([_copy_key(namespace, member) for member in asked(number)]),
            "ours": lambda number: recommender.records(asked(number)),
            "decoded": lambda number: [record.state for record in recommender.records(asked(number))],
        }
        return in_turns(calls, max(200, stage.calls // 5), warm_up=50)


def _install_light(client: redis.Redis, stage: Stage) -> None:
    """Members who have hardly begun."""
    random, config = np.random.default_rng(9), stage.config()
    pipeline = client.pipeline(transaction=False)
    for number in range(MEMBERS):
        played = tuple(_play(number, nth, int(random.integers(stage.world.titles)), stage) for nth in range(LIGHT_PLAYS))
        fence = fences.encode({config.kafka.plays_topic: Position(1, 0, number)})
        pairs: list[Any] = [keys.STATE_FIELD, state.encode(MemberState(played=played)), keys.FENCE_FIELD, fence]
        pipeline.hset(keys.state(LIGHT, f"m{number}"), items=pairs)
    pipeline.execute()


def _play(member: int, nth: int, title: int, stage: Stage) -> Played:
    at_ms = stage.world.now_ms - (LIGHT_PLAYS - nth) * 3_600_000
    event, session = f"{member:08x}-{nth:04x}-4c7e-8f2a-{at_ms:012x}", f"{member:08x}-5e55-4a0b-9c1d-{at_ms:012x}"
    return Played(at_ms, event, f"t{title}", session, "stop", 1_800_000, 5_400_000)


def _copy(client: redis.Redis, namespace: str, stage: Stage) -> list[str]:
    """Store some members' states and fences once more as plain strings, which MGET reads; those members."""
    members = [f"m{number}" for number in range(min(MEMBERS, stage.world.members if namespace == NAMESPACE else MEMBERS))]
    pipeline = client.pipeline(transaction=False)
    for member in members:
        pipeline.hmget(keys.state(namespace, member), [keys.STATE_FIELD, keys.FENCE_FIELD])
    parts = pipeline.execute()
    copies: dict[Any, Any] = {_copy_key(namespace, member): b"".join(part) for member, part in zip(members, parts, strict=True)}
    client.mset(copies)
    return members


def _copy_key(namespace: str, member: str) -> str:
    return f"{namespace}-copy:{member}"


def _beside_feast(stage: Stage, members: Sequence[str]) -> list[Row]:
    what = f"Feast {feast_rival.VERSION}, {feast_rival.FEATURES} features of {ENTITIES} titles in one read, TCP"
    before = _turns(stage, "tcp", LIGHT, members)["decoded"]
    try:
        stage.say("  Feast (installed at first) …")
        with on_core(client_core()):
            feast = feast_rival.measure(stage.server, ENTITIES, min(FEAST_CALLS, stage.calls))
    except UnavailableError as error:
        return [Row(what, f"skipped: {error}")]
    found = _turns(stage, "tcp", LIGHT, members)
    after, many = found["decoded"], feast["many"]
    ratio = many.p50_us / max(before.p50_us, after.p50_us)
    cpu_ratio = many.cpu_s / max(before.cpu_s, after.cpu_s)
    return [
        latency_row(what, many, found["trip"]),
        latency_row("Feast, the same of one title", feast["one"], found["trip"]),
        Row(
            f"  Feast ÷ our {KINDS[LIGHT]}, decoded",
            f"{ratio:.0f} × (CPU {cpu_ratio:.0f} ×)",
            f"≥ {FEAST_RATIO:g} ×",
            ratio >= FEAST_RATIO,
            {"ratio": ratio, "cpu_ratio": cpu_ratio},
        ),
    ]
