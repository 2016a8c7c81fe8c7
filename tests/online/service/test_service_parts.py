"""The server's pure parts, and what it answers with nothing to answer from."""

import socket
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from starlette.testclient import TestClient

from online.__main__ import main
from online.service.endpoints import read_feedback
from online.service.explanations import explanations
from online.service.live_state import given_feedback, live_state
from online.service.replies import embedded_json
from online.similar import similar_titles
from shared import state
from shared.errors import InputError
from shared.pages.answers import Cell, Page, Row
from shared.pages.serving import Serving
from tests.online.plays import play, thumb
from tests.online.snapshot_builder import NOW_MS, build_snapshot


@pytest.fixture(scope="module")
def serving() -> Serving:
    return Serving(build_snapshot(titles=60, members=1).loaded())


def test_similar_titles_are_the_snapshot_s_neighbours_in_their_order(serving: Serving) -> None:
    found = similar_titles(serving, "t3", 5)
    assert [item.title_id for item in found] == [serving.ids[title] for title in serving.similar_titles[3, :5]]
    assert [item.rank for item in found] == [0, 1, 2, 3, 4]
    assert {item.evidence for item in found} == {f"similar to {serving.names[3]}"}
    shown = similar_titles(serving, "t3", 1000, "US")
    available = serving.available("US")
    expected = [serving.ids[t] for t in serving.similar_titles[3].tolist() if t in range(60) and available[t]]
    assert [item.title_id for item in shown] == expected and len(expected) < 30
    with pytest.raises(InputError, match="no title 'nowhere'"):
        similar_titles(serving, "nowhere", 5)


def test_a_live_state_is_put_into_words(serving: Serving) -> None:
    events = [
        play("t1", 0.5, at_ms=NOW_MS - 60_000),
        play("t2", 0.95, at_ms=NOW_MS - 120_000),
        play("t3", 0.01, at_ms=NOW_MS - 45 * 86_400_000),
        thumb("t4", True),
        thumb("unknown", False),
    ]
    member_state = state.fold(state.EMPTY, events)
    live = live_state(member_state, serving, NOW_MS)
    parts = {part.name: [(entry.title_id, entry.name) for entry in part.entries] for part in live.parts}
    assert parts["In progress"] == [("t1", serving.names[1])]
    assert parts["Finished"] == [("t2", serving.names[2])]
    assert parts["Given up"] == [("t3", serving.names[3])]
    assert parts["Thumbs up"] == [("t4", serving.names[4])]
    assert parts["Thumbs down"] == [("unknown", "unknown")]
    assert live.updated == "50 s ago"
    assert live.tastes[0].long_share == 1.0
    assert given_feedback(member_state) == {"t4": ["thumbs_up"], "unknown": ["thumbs_down"]}
    assert not live_state(state.EMPTY, serving, NOW_MS).is_known


def test_every_cell_is_explained_and_the_explanation_stays_in_its_element() -> None:
    cells = tuple(
        Cell(
            title_id=f"t{rank}",
            name="</script><b>",
            row="top",
            row_index=0,
            rank=rank,
            tier="live",
            score=1.0 - rank / 2,
            evidence="because",
            propensity=0.25,
        )
        for rank in range(3)
    )
    page = Page(
        page_id="p",
        member_id="m",
        at_ms=0,
        device="tv",
        country=None,
        snapshot="v1",
        fence={},
        state_age_ms=1500,
        tier="live",
        rows=(Row(key="top", name="Top", cells=cells),),
        fallbacks=(),
        seconds={},
    )
    explained = explanations(page)
    assert sorted(explained) == ["0-0", "0-1", "0-2"]
    facts = {fact.label: fact for section in explained["0-1"].sections for fact in section.facts}
    assert (facts["score"].value, facts["score"].share) == ("0.5000", 0.5)
    assert facts["chance that it was shown here"].value == "0.25"
    assert facts["snapshot"].value == "v1"
    written = embedded_json(explained)
    assert "<" not in written
    assert msgspec.json.decode(written)["0-0"]["name"] == "</script><b>"


BODY = {"member_id": "m1", "title_id": "t1", "kind": "thumbs_up"}


def test_feedback_is_completed_and_keeps_what_it_says() -> None:
    event = read_feedback(msgspec.json.encode(BODY), NOW_MS)
    assert (event.schema, event.at_ms, event.member_id, len(event.event_id)) == (1, NOW_MS, "m1", 32)
    said = read_feedback(msgspec.json.encode(BODY | {"event_id": "e1", "at_ms": NOW_MS - 5, "more": [1]}), NOW_MS)
    assert (said.event_id, said.at_ms) == ("e1", NOW_MS - 5)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "applause"}, "Invalid enum value 'applause' - at `$.kind`"),
        ({"member_id": ""}, "length >= 1 - at `$.member_id`"),
        ({"title_id": 7}, "Expected `str`, got `int` - at `$.title_id`"),
        ({"schema": 2}, "schema is 2; this version reads schema 1"),
        ({"at_ms": 1_760_000_000}, "looks like seconds"),
        ({"at_ms": NOW_MS + 48 * 3_600_000}, "a clock is wrong"),
        ({"event_id": "x" * 257}, "length <= 256 - at `$.event_id`"),
    ],
)
def test_feedback_that_the_topic_s_readers_would_refuse_is_refused(change: dict[str, object], says: str) -> None:
    with pytest.raises(InputError) as refused:
        read_feedback(msgspec.json.encode(BODY | change), NOW_MS)
    assert says in str(refused.value)


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{", b"\xff", b'{"member_id":"m"}', b"[" * 2000])
def test_feedback_that_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(InputError):
        read_feedback(body, NOW_MS)


def test_without_a_snapshot_it_lives_and_is_not_ready(lonely: TestClient) -> None:
    assert lonely.get("/health/live").json() == {"live": True}
    for path in ("/health/ready", "/page/m1", "/recommend/m1", "/similar/t1"):
        reply = lonely.get(path)
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "not-ready"), path
    shown = lonely.get("/member?id=m1", headers={"accept": "text/html"})
    assert shown.status_code == 503 and "no snapshot of arm" in shown.text and "<h1>" in shown.text
    assert 'marquee_online_http_requests_total{route="/page/{member:path}",status="503"}' in lonely.get("/metrics").text


def test_feedback_beyond_the_buffer_is_told(lonely: TestClient) -> None:
    codes = [lonely.post("/feedback", json=BODY).status_code for _ in range(4)]
    assert codes == [202, 202, 503, 503]
    # A page of another site can make a browser post this, but not as JSON.
    reply = lonely.post("/feedback", content=msgspec.json.encode(BODY), headers={"content-type": "text/plain"})
    assert reply.status_code == 415


def test_addresses_that_do_not_exist_are_told_and_are_no_labels(lonely: TestClient) -> None:
    assert lonely.get("/nowhere/at/all").json() == {
        "error": {"status": 404, "code": "not-found", "message": "there is nothing at /nowhere/at/all"}
    }
    assert lonely.get("/feedback").json()["error"]["message"] == "/feedback does not take GET"
    assert lonely.get("/static/../app.py").status_code == 404
    assert lonely.get("/static/%2e%2e/app.py").status_code == 404
    assert "nowhere" not in lonely.get("/metrics").text


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_wrong_configuration_is_one_sentence(tmp_path: Path, workers: str) -> None:
    file = tmp_path / "marquee.toml"
    file.write_text('[online]\nexperiments = "nowhere.toml"\n')
    done = CliRunner().invoke(main, ["serve", "--config", str(file), "--port", "0", "--workers", workers])
    assert done.exit_code == 2
    assert done.output == "error: nowhere.toml: no such experiments file\n"


def test_a_used_port_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "marquee.toml"
    file.write_text("")
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
        done = CliRunner().invoke(main, ["serve", "--config", str(file), "--port", str(port)])
    assert done.exit_code == 2
    assert done.output == f"error: 127.0.0.1 port {port} cannot be listened at: Address already in use\n"
