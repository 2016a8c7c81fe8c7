"""`recommend`: its latency, and how many a core answers, one by one and for many members in one call."""

from collections.abc import Callable

from infra.bench.online import bare
from infra.bench.online.server import TRANSPORTS, client_core
from infra.bench.online.stage import NAMESPACE, Stage
from infra.bench.online.timing import Latencies, in_turns, latency_row, on_core, ratio_row
from infra.bench.report import Row
from online import Recommender

K = 20
P50_MS, P99_MS = 0.5, 2.0
PER_S, MANY_PER_S = 2000.0, 5000.0
MANY = 100
"""Members asked for in one call."""
FIRST = "m0"


def measure(stage: Stage) -> list[Row]:
    """Both transports in turn."""
    rows: list[Row] = []
    for transport in TRANSPORTS:
        stage.say(f"  recommend over {'a socket' if transport == 'socket' else 'TCP'}")
        rows += _over(stage, transport)
    return rows


def _over(stage: Stage, transport: str) -> list[Row]:
    assert stage.version
    with on_core(client_core()), Recommender(stage.config(transport)) as recommender, stage.client(transport) as client:

        def one(number: int) -> object:
            asking = stage.who(number)
            return recommender.recommend(asking.member_id, K, device=asking.device, country=asking.country)

        commands = bare.commands_of(client, lambda: recommender.recommend(FIRST, K), FIRST)
        asked = [bare.for_member(commands, FIRST, asking.member_id) for asking in stage.asking]
        found = in_turns(
            {
                "trip": lambda number: bare.round_trip(client, NAMESPACE),
                "bare": lambda number: bare.pipelined(client, asked[number % len(asked)]),
                "one": one,
            },
            stage.calls,
        )
        many = in_turns({"many": _many(recommender, stage)}, max(20, stage.calls // MANY), warm_up=5)["many"]
    trip, ones = found["trip"], found["one"]
    return [
        latency_row(f"{transport}: bare round trip", trip, trip),
        latency_row(f"{transport}: recommend(k={K})", ones, trip, P50_MS, P99_MS),
        ratio_row("  ÷ bare pipelined read of its keys", ones, found["bare"]),
        _rate(f"{transport}: recommend(k={K}) one by one", ones, 1, PER_S),
        _rate(f"{transport}: recommend_many, {MANY} members in one call", many, MANY, MANY_PER_S),
    ]


def _many(recommender: Recommender, stage: Stage) -> Callable[[int], object]:
    def call(number: int) -> object:
        members = [stage.who(number * MANY + place).member_id for place in range(MANY)]
        return recommender.recommend_many(members, K)

    return call


def _rate(what: str, found: Latencies, members: int, least: float) -> Row:
    """Members a CPU-second of this process: what a core does that is never idle, as it is under several threads."""
    per_cpu_s, per_s = members * found.per_cpu_s, members * found.per_s
    figure = f"{per_cpu_s:,.0f} members a CPU-second; {per_s:,.0f} a second from one thread, which waits for Redis"
    return Row(what, figure, f"≥ {least:,.0f} a second a core", per_cpu_s >= least, {"per_cpu_s": per_cpu_s, "per_s": per_s})
