"""What each page policy costs: the same whole page under each of them, in turns."""

from collections.abc import Callable
from contextlib import ExitStack

import msgspec

from infra.bench.online import bare
from infra.bench.online.server import client_core
from infra.bench.online.stage import NAMESPACE, Stage
from infra.bench.online.timing import in_turns, latency_row, on_core, ratio_row
from infra.bench.online.whole_page import filled, page_call
from infra.bench.report import Row
from online import Recommender

POLICIES = ("template", "alone", "stagewise", "search")


def measure(stage: Stage) -> list[Row]:
    """Over the socket alone: what a policy costs does not depend on how bytes come."""
    version, config = stage.version, stage.config()
    with on_core(client_core()), ExitStack() as opened, stage.client() as client:
        calls: dict[str, Callable[[int], object]] = {"trip": lambda number: bare.round_trip(client, NAMESPACE)}
        about: dict[str, str] = {}
        for policy in POLICIES:
            chosen = msgspec.structs.replace(config, page=msgspec.structs.replace(config.page, policy=policy))
            calls[policy] = call = page_call(opened.enter_context(Recommender(chosen)), stage)
            about[policy] = filled(call, version)
        found = in_turns(calls, stage.calls // 2)
    rows: list[Row] = []
    for policy in POLICIES:
        rows.append(latency_row(f"policy {policy} ({about[policy]})", found[policy], found["trip"]))
        if policy != POLICIES[0]:
            rows.append(ratio_row(f"  ÷ {POLICIES[0]}", found[policy], found[POLICIES[0]]))
    return rows
