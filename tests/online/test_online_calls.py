"""One request, however it is asked: in a thread, in an event loop, for many members at once, in a forked child."""

import asyncio
import os
import threading
import time
from collections.abc import Iterator

import pytest
import redis

from infra.local.redis_server import RedisServer
from online import Page, Recommender
from shared import state
from shared.errors import InputError, UnavailableError
from tests.online.plays import play, write_events
from tests.online.snapshot_builder import NOW_MS, build_snapshot, online_config, write_snapshot

pytestmark = pytest.mark.slow

MEMBERS = [f"m{number}" for number in range(20)]


@pytest.fixture
def recommender(redis_server: RedisServer, client: redis.Redis, namespace: str) -> Iterator[Recommender]:
    write_snapshot(client, namespace, "v1", build_snapshot())
    for number, member in enumerate(MEMBERS):
        write_events(client, namespace, member, play(f"t{number}", 0.95), play(f"t{number + 40}", 0.4))
    with Recommender(online_config(redis_server.url, namespace)) as recommender:
        yield recommender


def cells(page: Page) -> list[tuple[str, str]]:
    return [(cell.row, cell.title_id) for row in page.rows for cell in row.cells]


def test_many_members_in_one_call_get_what_each_would_get_alone(recommender: Recommender) -> None:
    together = recommender.pages(MEMBERS, country="US", now_ms=NOW_MS)
    assert [page.member_id for page in together] == MEMBERS
    assert [cells(page) for page in together] == [cells(recommender.page(m, country="US", now_ms=NOW_MS)) for m in MEMBERS]
    lists = recommender.recommend_many(MEMBERS, 7, now_ms=NOW_MS)
    assert lists == [recommender.recommend(member, 7, now_ms=NOW_MS) for member in MEMBERS]
    assert recommender.pages([]) == []
    with pytest.raises(InputError, match="a sequence of strings is expected"):
        recommender.pages("m1")
    with pytest.raises(InputError, match="member_id is 7"):
        recommender.recommend_many(["m1", 7])  # type: ignore[list-item]


def test_many_records_come_in_one_read(recommender: Recommender) -> None:
    records = recommender.records([*MEMBERS, "nobody"])
    assert [record.member_id for record in records] == [*MEMBERS, "nobody"]
    for number, record in enumerate(records[:-1]):
        assert {played.title_id for played in record.state.played} == {f"t{number}", f"t{number + 40}"}
    assert records[0].fence["plays"].offset == 2
    assert (records[-1].state, records[-1].fence) == (state.EMPTY, {})
    with pytest.raises(UnavailableError, match="the records of 1 members could not be read"):
        Recommender(online_config("redis://127.0.0.1:1/0", "x")).records(["m1"])


def test_event_loops_get_the_same(recommender: Recommender) -> None:
    expected = [cells(recommender.page(member, country="US", now_ms=NOW_MS)) for member in MEMBERS]
    expected_list = recommender.recommend("m3", 7, now_ms=NOW_MS)

    async def ask() -> None:
        pages = await asyncio.gather(*(recommender.page_async(m, country="US", now_ms=NOW_MS) for m in MEMBERS))
        assert [cells(page) for page in pages] == expected
        assert all(page.fallbacks == () for page in pages)
        assert await recommender.recommend_async("m3", 7, now_ms=NOW_MS) == expected_list
        await recommender.close_async()

    asyncio.run(ask())


def test_threads_get_their_own_answers(recommender: Recommender) -> None:
    expected = {member: cells(recommender.page(member, now_ms=NOW_MS)) for member in MEMBERS}
    wrong: list[str] = []

    def ask(start: int) -> None:
        for step in range(30):
            member = MEMBERS[(start + step) % len(MEMBERS)]
            if cells(recommender.page(member, now_ms=NOW_MS)) != expected[member]:
                wrong.append(member)

    threads = [threading.Thread(target=ask, args=(start,)) for start in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


def test_a_forked_child_has_connections_and_threads_of_its_own(
    recommender: Recommender, client: redis.Redis, namespace: str
) -> None:
    before = cells(recommender.page("m1", now_ms=NOW_MS))
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        status = b"?"
        try:
            same = cells(recommender.page("m1", now_ms=NOW_MS)) == before
            os.write(tell, b"=" if same else b"!")
            for _ in range(100):  # it learns of a new snapshot by itself
                if recommender.page("m1", now_ms=NOW_MS).snapshot == "v2":
                    status = b"2"
                    break
                time.sleep(0.1)
        finally:
            os.write(tell, status)
            os._exit(0)
    os.close(tell)
    assert os.read(told, 1) == b"="
    assert cells(recommender.page("m1", now_ms=NOW_MS)) == before
    write_snapshot(client, namespace, "v2", build_snapshot(seed=5))
    assert os.read(told, 1) == b"2"
    os.waitpid(child, 0)
    os.close(told)
