"""What decides about an answer besides the member's data: experiments, replaced stages, shares of the deadline, and admission."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from infra.local.redis_server import RedisServer
from online import Page, Recommender
from online.admission import Admission, InHand
from online.deadline import STAGES, Allowance, Late, Stopwatch
from shared.config import Config, ExplorationSettings
from shared.errors import ConfigError
from shared.pages.blending import Pool, blend
from shared.pages.drafts import Draft
from shared.pages.facts import Facts
from shared.pages.policies import PageView, Placed
from shared.pages.ranking import Ranking, in_order
from shared.pages.request import Request
from shared.pages.serving import Serving
from tests.online.plays import play, write_events
from tests.online.snapshot_builder import NOW_MS, build_snapshot, online_config, write_snapshot

MODULE = "tests.online.test_online_plans"
kept: list[Page] = []


def upside_down(serving: Serving, facts: Facts, request: Request, pool: Pool) -> Ranking:
    return in_order(pool, 1.0 / (1.0 + pool.scores))


def slow_blend(serving: Serving, facts: Facts, request: Request, depth: int) -> Pool:
    time.sleep(0.3)
    return blend(serving, facts, request, depth)


def broken_blend(serving: Serving, facts: Facts, request: Request, depth: int) -> Pool:
    if not facts.is_nothing:
        raise RuntimeError("a team's own stage")
    return blend(serving, facts, request, depth)


class LastRow:
    def place(self, drafts: Sequence[Draft], view: PageView) -> list[Placed]:
        return [Placed(drafts[-1], _all(drafts[-1])[: view.row_length])]


def _all(draft: Draft) -> Any:
    import numpy as np

    return np.arange(len(draft.titles))


def with_stages(config: Config, **stages: str) -> Config:
    named = {stage: f"{MODULE}:{name}" for stage, name in stages.items()}
    return msgspec.structs.replace(config, online=msgspec.structs.replace(config.online, stages=named))


def first_titles(page: Page) -> list[str]:
    return [cell.title_id for cell in next(row for row in page.rows if row.key == "top-picks").cells]


@pytest.mark.slow
def test_stages_and_policies_are_replaced_by_name(redis_server: RedisServer, client: redis.Redis, namespace: str) -> None:
    write_snapshot(client, namespace, "v1", build_snapshot())
    config = online_config(redis_server.url, namespace)
    with Recommender(config) as recommender:
        usual = recommender.page("m0", now_ms=NOW_MS)
    with Recommender(with_stages(config, rank="upside_down", account="kept.append")) as recommender:
        turned = recommender.page("m0", now_ms=NOW_MS)
    assert first_titles(turned) != first_titles(usual)
    assert kept.pop() is turned and not kept
    own = msgspec.structs.replace(config, page=msgspec.structs.replace(config.page, policy=f"{MODULE}:LastRow"))
    with Recommender(own) as recommender:
        assert len(recommender.page("m0", now_ms=NOW_MS).rows) == 1


@pytest.mark.slow
def test_a_stage_that_fails_or_is_late_costs_the_personal_page_only(
    redis_server: RedisServer, client: redis.Redis, namespace: str
) -> None:
    write_snapshot(client, namespace, "v1", build_snapshot())
    config = online_config(redis_server.url, namespace)
    with Recommender(with_stages(config, blend="broken_blend")) as recommender:
        page = recommender.page("m0", country="US")
        assert (page.tier, page.fallbacks[-1].code) == ("popular_country", "internal-error")
        assert len(recommender.recommend("m0", 9)) == 9
    with Recommender(
        with_stages(online_config(redis_server.url, namespace, deadline_ms=200.0), blend="slow_blend")
    ) as recommender:
        page = recommender.page("m0", country="US")
        assert (page.tier, page.fallbacks[-1].code) == ("popular_country", "late")
        assert "rank would have begun" in page.fallbacks[-1].detail


@pytest.mark.slow
def test_one_request_too_many_is_answered_from_memory(redis_server: RedisServer, client: redis.Redis, namespace: str) -> None:
    write_snapshot(client, namespace, "v1", build_snapshot())
    config = with_stages(online_config(redis_server.url, namespace, concurrency=1), blend="slow_blend")
    with Recommender(config) as recommender:
        slow: list[Page] = []
        thread = threading.Thread(target=lambda: slow.append(recommender.page("m0", country="US")))
        thread.start()
        time.sleep(0.1)
        page = recommender.page("m1", country="US")
        thread.join(30)
    assert (page.tier, [fallback.code for fallback in page.fallbacks]) == ("popular_country", ["overloaded"])
    assert page.rows and slow[0].tier == "precomputed"


@pytest.mark.slow
def test_experiments_change_a_request_and_are_logged_with_the_page(
    redis_server: RedisServer, client: redis.Redis, namespace: str, tmp_path: Path
) -> None:
    write_snapshot(client, namespace, "v1", build_snapshot())
    write_snapshot(client, namespace, "v2", build_snapshot(seed=4), arm="other")
    write_events(client, namespace, "m0", play("t9", 0.95))
    file = tmp_path / "experiments.toml"
    file.write_text(EXPERIMENTS)
    config = online_config(redis_server.url, namespace, experiments=str(file))
    with Recommender(config) as recommender:
        pages = {member: recommender.page(member, now_ms=NOW_MS) for member in ("m0", *(f"m{n}" for n in range(1, 20)))}
    assert {page.allocation["snapshots"] for page in pages.values()} == {"a", "b"}
    for member, page in pages.items():
        assert page.snapshot == {"a": "v1", "b": "v2"}[page.allocation["snapshots"]]
        assert ("known" in page.allocation) == (member in pages)  # each has candidates, so each is known
        assert len(page.rows) <= (3 if page.allocation["known"] == "short" else 12)
    assert {page.allocation["known"] for page in pages.values()} == {"long", "short"}
    with Recommender(config) as recommender:
        stranger = recommender.page("nobody at all", now_ms=NOW_MS)
    assert "known" not in stranger.allocation and "snapshots" in stranger.allocation


EXPERIMENTS = """
[layers.content]
salt = "content"
[layers.look]
salt = "look"

[tests.snapshots]
layer = "content"
share = 1.0
[tests.snapshots.cells.a]
[tests.snapshots.cells.b]
changes.arm = "other"

[tests.known]
layer = "look"
share = 1.0
rules.members = "known"
[tests.known.cells.long]
[tests.known.cells.short]
changes.settings.rows = 3
changes.rows = ["top-picks", "genres*2"]
"""


@pytest.mark.parametrize(
    ("online", "says"),
    [
        ({"stages": {"rank": "nowhere:rank"}}, "[online.stages] rank: 'nowhere:rank' cannot be imported"),
        ({"stages": {"rank": "rank"}}, "is not written package.module:name"),
        ({"stages": {"cook": "a:b"}}, "unknown stage 'cook'; allocate, fetch, blend, rank, rows, page, account"),
        ({"deadline_shares": {"fetch": 0.9}}, "add up to"),
        ({"deadline_shares": {"cook": 0.1}}, "unknown stage 'cook'"),
        ({"rows_shown": ("nope",)}, "rows_shown names 'nope'"),
        ({"experiments": "/nowhere/experiments.toml"}, "no such experiments file"),
    ],
)
def test_a_configuration_that_cannot_be_is_told_at_once(online: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as error:
        Recommender(online_config("redis://127.0.0.1:1/0", "x", **online))
    assert says in str(error.value)


def test_unknown_policies_are_told() -> None:
    config = online_config("redis://127.0.0.1:1/0", "x")
    with pytest.raises(ConfigError, match="page policy 'nope' is unknown; one of template, alone, stagewise, search"):
        Recommender(msgspec.structs.replace(config, page=msgspec.structs.replace(config.page, policy="nope")))


def test_stages_begin_within_the_shares_before_them() -> None:
    allowance = Allowance(100.0, {"fetch": 0.5})
    assert list(allowance.begin_s) == list(STAGES)
    assert allowance.fetch_until_s == pytest.approx(0.052)
    assert allowance.begin_s["account"] <= 0.1
    watch = Stopwatch(allowance)
    watch.began_s -= 0.065
    watch.lap("fetch")
    with pytest.raises(Late, match="blend would have begun"):
        watch.may_begin("blend")
    watch.may_begin("rank")


def test_admission_gives_its_slots_back() -> None:
    admission = Admission(1)
    first, second, third = InHand(), InHand(), InHand()
    with admission.taken([first]), admission.taken([second]):
        pass
    with admission.taken([third]):
        pass
    assert (first.refused, third.refused) == ("", "")
    assert "1 requests are in hand" in second.refused


def test_exploration_is_on_unless_it_is_switched_off() -> None:
    assert Config().exploration == ExplorationSettings(kind="epsilon")
