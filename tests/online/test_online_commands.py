"""`python -m online` as a person uses it."""

import time
from pathlib import Path

import msgspec
import pytest
import redis
from click.testing import CliRunner

from infra.local.ports import free_port
from infra.local.redis_server import RedisServer
from online.__main__ import main
from shared.pages.answers import Page, Recommendation
from shared.pages.explaining import Explanation
from tests.online.plays import play, write_events
from tests.online.snapshot_builder import build_snapshot, write_snapshot


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def config_file(redis_server: RedisServer, namespace: str, tmp_path: Path) -> str:
    file = tmp_path / "marquee.toml"
    file.write_text(f'[redis]\nurl = "{redis_server.url}"\nnamespace = "{namespace}"\n')
    return str(file)


@pytest.mark.slow
def test_page_prints_draws_and_compares(client: redis.Redis, namespace: str, config_file: str, tmp_path: Path) -> None:
    write_snapshot(client, namespace, "v1", build_snapshot())
    kept = tmp_path / "before.json"
    kept.write_text(run("page", "m0", "--config", config_file, "--json"))
    before = msgspec.json.decode(kept.read_bytes(), type=Page)
    assert before.member_id == "m0" and before.rows[0].key == "top-picks"

    write_events(client, namespace, "m0", play("t9", 0.4, at_ms=int(time.time() * 1000) - 60_000))
    drawn = tmp_path / "out" / "page.html"
    text = run("page", "m0", "--config", config_file, "--country", "us", "--html", str(drawn), "--before", str(kept))
    assert "+ Continue Watching" in text and "continue at 36 min" in text and "appeared" in text
    assert drawn.read_text().startswith("<!DOCTYPE html>")
    assert [path.name for path in drawn.parent.iterdir()] == ["page.html"]


@pytest.mark.slow
def test_recommend_prints_a_list(client: redis.Redis, namespace: str, config_file: str) -> None:
    write_snapshot(client, namespace, "v1", build_snapshot())
    assert len(run("recommend", "m0", "-k", "5", "--config", config_file).splitlines()) == 5
    found = msgspec.json.decode(run("recommend", "m0", "-k", "7", "--config", config_file, "--json"), type=list[Recommendation])
    assert [item.rank for item in found] == list(range(7))


def test_redis_away_is_said_and_no_error(tmp_path: Path) -> None:
    file = tmp_path / "marquee.toml"
    file.write_text(f'[redis]\nurl = "redis://127.0.0.1:{free_port()}/0"\n')
    assert "redis-unreachable" in run("page", "m0", "--config", str(file))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("recommend", "m0", "-k", "0"), "k is 0; 1 to 1000 is expected"),
        (("page", "m0", "--country", "USA"), "country is 'USA'"),
        (("page", ""), "member_id is empty"),
        (("page", "m0", "--before", "nowhere.json"), "nowhere.json: no such file"),
        (("page", "m0", "--config", "nowhere.toml"), "nowhere.toml: no such configuration file"),
        (("page", "m0", "--html", "/dev/null/x.html"), "/dev/null/x.html: cannot be written"),
    ],
)
def test_bad_input_is_one_sentence(arguments: tuple[str, ...], says: str, tmp_path: Path) -> None:
    file = tmp_path / "marquee.toml"
    file.write_text(f'[redis]\nurl = "redis://127.0.0.1:{free_port()}/0"\n')
    config = () if "--config" in arguments else ("--config", str(file))
    last = run(*arguments, *config, code=2).splitlines()[-1]  # what comes before it is the log
    assert last.startswith("error: ") and says in last


@pytest.mark.slow
def test_explain_tells_why_every_cell_is_there(client: redis.Redis, namespace: str, config_file: str) -> None:
    write_snapshot(client, namespace, "v1", build_snapshot())
    write_events(client, namespace, "m0", play("t9", 0.95), play("t30", 0.4))
    text = run("explain", "m0", "--config", config_file, "--country", "us", "--cells", "2")
    assert "snapshot   v1 · tier live" in text and "has seen plays 1:0:2" in text and "in no test" in text
    assert "Top Picks for You   [top-picks]" in text and "sources   precomputed" in text and "(--cells)" in text
    only = run("explain", "m0", "--config", config_file, "--row", "top-picks", "--json")
    explained = msgspec.json.decode(only, type=list[Explanation])
    assert {each.row for each in explained} == {"top-picks"} and [each.rank for each in explained] == list(range(len(explained)))
    assert all(each.sources and each.snapshot == "v1" and 0 < each.propensity <= 1 for each in explained)
    assert "has no row 'nope'" in run("explain", "m0", "--config", config_file, "--row", "nope", code=2)
