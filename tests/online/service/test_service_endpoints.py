"""Each endpoint on a real Redis: what it answers, and one sentence for what it refuses."""

import html

import msgspec
import pytest
import redis
from starlette.testclient import TestClient

from shared.pages.answers import Page, Recommendation
from tests.online.plays import thumb, write_events
from tests.online.service.conftest import EVIL, now_ms

pytestmark = pytest.mark.slow


def test_pages_and_lists_are_the_library_s(asking: TestClient) -> None:
    page = msgspec.json.decode(asking.get("/page/m1?device=phone&country=us").content, type=Page)
    assert (page.member_id, page.device, page.country, page.snapshot) == ("m1", "phone", "US", "v1")
    assert page.tier == "live" and "t7" not in {cell.title_id for row in page.rows for cell in row.cells}
    top = msgspec.json.decode(asking.get("/recommend/m1?k=7").content, type=list[Recommendation])
    assert [item.rank for item in top] == list(range(7)) and "t7" not in {item.title_id for item in top}
    near = msgspec.json.decode(asking.get("/similar/t3?k=4").content, type=list[Recommendation])
    assert len(near) == 4 and near[0].score >= near[3].score
    assert asking.get("/health/ready").json() == {"ready": True, "snapshot": "v1"}
    assert 'marquee_online_requests_total{call="page",tier="live"}' in asking.get("/metrics").text


def test_a_page_goes_on_below_without_repeats(asking: TestClient) -> None:
    above = asking.get("/page/m1").json()
    below = asking.get("/page/m1", params={"after": above["cursor"]}).json()
    shown = [{cell["title_id"] for row in page["rows"] for cell in row["cells"]} for page in (above, below)]
    assert shown[1] and not shown[0] & shown[1]
    reply = asking.get("/member", params={"id": "m1", "after": above["cursor"]})
    names = [html.escape(row["name"]) for row in below["rows"]]
    assert reply.status_code == 200 and all(name in reply.text for name in names) and 'class="hero' not in reply.text
    assert asking.get("/page/m1?after=nonsense").status_code == 400


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/page/m1?country=USA", 400, "country is 'USA'; a code of two letters such as 'US', or None, is expected"),
        ("/page/m1?colour=red", 400, "unknown parameter 'colour'; known: device, country, maturity, after"),
        ("/page/m1?device=tv&device=web", 400, "the parameter 'device' is given twice"),
        ("/page/", 400, "member_id is empty; 1 to 256 characters are expected"),
        ("/page/" + "m" * 257, 400, "member_id has 257 characters; 1 to 256 are expected"),
        ("/recommend/m1?k=0", 400, "k is '0'; a whole number from 1 to 1000 is expected"),
        ("/recommend/m1?k=1001", 400, "k is '1001'; a whole number from 1 to 1000 is expected"),
        ("/recommend/m1?k=ten", 400, "k is 'ten'; a whole number from 1 to 1000 is expected"),
        ("/recommend/m1?k=" + "9" * 5000, 400, "a whole number from 1 to 1000 is expected"),
        ("/similar/nowhere", 404, "snapshot 'v1' has no title 'nowhere'"),
        ("/similar/t3?country=1", 400, "country is '1'"),
        ("/similar/t3?device=tv", 400, "unknown parameter 'device'; known: k, country"),
        ("/member", 400, "the parameter 'id' is missing; it names the member"),
        ("/?q=" + "q" * 257, 400, "at most 256"),
    ],
)
def test_bad_input_is_one_sentence(asking: TestClient, path: str, status: int, says: str) -> None:
    reply = asking.get(path)
    error = reply.json()["error"]
    assert (reply.status_code, error["status"]) == (status, status)
    assert says in error["message"]


def test_feedback_is_taken_and_bounded(asking: TestClient) -> None:
    good = {"member_id": "m1", "title_id": "t1", "kind": "list_add", "event_id": "e7"}
    reply = asking.post("/feedback", json=good)
    assert (reply.status_code, reply.json()) == (202, {"event_id": "e7"})
    assert asking.post("/feedback", json=good | {"kind": "like"}).status_code == 400
    for large in (b" " * 3000, (b" " for _ in range(3000))):  # with its length told, and without
        reply = asking.post("/feedback", content=large, headers={"content-type": "application/json"})
        assert (reply.status_code, reply.json()["error"]["code"]) == (413, "request-entity-too-large")


def test_pages_for_people_escape_what_members_are_called(asking: TestClient) -> None:
    browser = {"accept": "text/html"}
    browse = asking.get("/", params={"q": EVIL}, headers=browser)
    assert browse.status_code == 200
    reply = asking.get("/member", params={"id": EVIL, "device": "tv"}, headers=browser)
    assert reply.status_code == 200
    for text in (browse.text, reply.text):
        assert "<script>alert" not in text and "&lt;script&gt;alert(&#39;x&#39;)" in text
    fault = asking.get("/member", params={"id": "m1", "country": EVIL}, headers=browser)
    assert fault.status_code == 400 and "<script>alert" not in fault.text
    assert "script-src 'self'" in reply.headers["content-security-policy"]
    assert reply.headers["cache-control"] == "no-store"


def test_members_are_found_by_a_part_of_their_id(asking: TestClient) -> None:
    every = asking.get("/").text
    assert all(f'href="/member?id=m{number}"' in every for number in range(8))
    found = asking.get("/?q=m1").text
    assert 'href="/member?id=m1"' in found and 'href="/member?id=m2"' not in found
    stranger = asking.get("/?q=stranger").text
    assert 'href="/member?id=stranger"' in stranger and "no live state under this id" in stranger


def test_a_refreshed_page_shows_what_changed(asking: TestClient, client: redis.Redis, namespace: str) -> None:
    before = asking.get("/page/m3").json()
    first = asking.get("/member?id=m3").text
    since = first.partition("since=")[2].partition('"')[0]
    assert "Since the page before" not in first
    assert "nothing changed" in asking.get(f"/member?id=m3&since={since}").text
    disliked = before["rows"][0]["cells"][1]
    write_events(client, namespace, "m3", thumb(disliked["title_id"], False, at_ms=now_ms(), member_id="m3"))
    after = asking.get(f"/member?id=m3&since={since}").text
    assert "Since the page before" in after and "title gone" in after.replace("titles", "title")
    gone = after.partition("No longer on this page")[2].partition("</p>")[0]
    assert html.escape(disliked["name"], quote=False) in gone
    assert "Since the page before" not in asking.get(f"/member?id=m4&since={since}").text


def test_redis_gone_is_a_page_from_what_is_popular(asking: TestClient, client: redis.Redis, namespace: str) -> None:
    client.config_set("maxclients", 1)  # whoever connects anew is turned away
    try:
        client.client_kill_filter(_type="normal", skipme=True)
        page = msgspec.json.decode(asking.get("/page/m1").content, type=Page)
        assert page.tier == "popular" and {fallback.code for fallback in page.fallbacks} & {"redis-unreachable", "redis-slow"}
        shown = asking.get("/member?id=m1")
        assert shown.status_code == 200 and "Nothing is known live" in shown.text
        assert '<p class="fallback"><b>redis-' in shown.text
        assert asking.get("/").json()["error"]["code"] == "unavailable"
    finally:
        client.config_set("maxclients", 10_000)
