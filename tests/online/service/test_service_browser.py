"""The pages for people in a real browser: headless Chromium on the server's process, Redis and Kafka."""

import json
import shutil
import uuid
from collections.abc import Iterator
from urllib.parse import quote

import msgspec
import pytest
from kafka import KafkaConsumer
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from infra.local.settings import to_toml
from infra.local.stack import LocalStack
from infra.local.topics import create_topics, delete_topics
from shared import events
from shared.config import Config, ExplorationSettings, OnlineConfig, RedisConfig
from shared.store import connect
from tests.online.plays import play, thumb, write_events
from tests.online.service.conftest import EVIL, now_ms
from tests.online.service.running import serving, wait_ready
from tests.online.snapshot_builder import build_snapshot, write_snapshot

pytestmark = pytest.mark.slow

FOCUS = """(() => {
    const style = getComputedStyle(document.activeElement);
    return [document.activeElement.dataset.cell, style.outlineStyle, parseFloat(style.outlineWidth)];
})()"""
PHONE = {"width": 375, "height": 740}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def shown_config(stack: LocalStack) -> Iterator[Config]:
    """A configuration of this file's own."""
    name = f"t{uuid.uuid4().hex[:10]}"
    kafka = msgspec.structs.replace(stack.config.kafka, feedback_topic=f"{name}-feedback", impressions_topic=f"{name}-shown")
    config = msgspec.structs.replace(
        stack.config,
        redis=RedisConfig(url=stack.redis.url, namespace=name),
        kafka=kafka,
        exploration=ExplorationSettings(kind="none"),  # the page changes for no other reason than what the member did
        online=OnlineConfig(rows=5, row_length=8),  # a browser without a graphics card paints slowly
    )
    create_topics(kafka)
    yield config
    delete_topics(kafka, [kafka.feedback_topic, kafka.impressions_topic])


@pytest.fixture(scope="module")
def address(shown_config: Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server on a snapshot and some members' states."""
    client = connect(shown_config.redis)
    namespace = shown_config.redis.namespace
    write_snapshot(client, namespace, "v1", build_snapshot(members=5))
    for member in ("m1", EVIL):
        begun = play("t2", 0.4, at_ms=now_ms() - 60_000, member_id=member)
        write_events(client, namespace, member, begun, thumb("t9", True, member_id=member))
    client.close()
    file = tmp_path_factory.mktemp("browser") / "marquee.toml"
    file.write_text(to_toml(shown_config))
    with serving(file) as (_, address):
        wait_ready(address)
        yield address


def opened(context: BrowserContext, told: list[str]) -> Page:
    """A tab that writes down what goes wrong in it."""
    page = context.new_page()
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("requestfailed", lambda request: told.append(f"{request.url}: {request.failure}"))
    page.on("dialog", lambda dialog: told.append(dialog.message))
    return page


def wrong(told: list[str]) -> list[str]:
    """What went wrong, without what the browser left off because the next page was asked for."""
    return [line for line in told if not line.endswith("net::ERR_ABORTED")]


def overflow(page: Page) -> list[str]:
    """What stands beyond the right edge of the window, but for what its own shelf scrolls."""
    found: list[str] = page.evaluate(
        """() => [...document.body.querySelectorAll("*")].filter((e) => !e.closest(".shelf > *, svg, .hidden, .hero")
            && e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML.slice(0, 120))"""
    )
    wide: bool = page.evaluate("document.documentElement.scrollWidth > innerWidth")
    return found + (["the whole page"] if wide else [])


def dislike(config: Config, title_id: str) -> None:
    """What the stream worker does with a thumb down of `m1`."""
    client = connect(config.redis)
    write_events(client, config.redis.namespace, "m1", thumb(title_id, False, at_ms=now_ms(), member_id="m1"))
    client.close()


def test_a_person_finds_a_member_and_gives_a_thumb(chromium: Browser, address: str, shown_config: Config) -> None:
    told: list[str] = []
    with chromium.new_context(viewport={"width": 1280, "height": 800}) as context:
        page = opened(context, told)
        page.goto(address)
        page.get_by_label("Member id, or a part of one").fill("m1")
        page.keyboard.press("Enter")
        page.get_by_role("link", name="m1").click()
        page.get_by_role("heading", name="Top Picks for You").wait_for()
        assert page.locator("section.row").count() >= 3
        assert page.locator("#state").inner_text().count("In progress") == 1
        assert "v1" in page.locator("#facts").inner_text()

        # By keyboard alone: one stop a row, the arrows go along it, and what has the focus is seen to have it.
        page.locator(".shelf").nth(1).locator(".open").first.focus()
        page.keyboard.press("ArrowRight")
        focus = page.evaluate(FOCUS)
        assert focus[0] == "1-1" and focus[1] == "solid" and focus[2] >= 3
        shown = json.loads(page.locator("#shown").text_content() or "")["cells"]["1-1"]
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog", name=shown["name"])
        text = dialog.inner_text()
        assert shown["why"] in text and "chance that it was shown here" in text and "v1" in text
        dialog.get_by_role("button", name="Thumbs up").click()
        dialog.get_by_text("Thumbs up taken").wait_for()
        assert dialog.get_by_role("button", name="Thumbs up").get_attribute("aria-pressed") == "true"
        page.keyboard.press("Escape")
        assert not dialog.is_visible()

        page.get_by_label("Country").select_option("US")
        page.wait_for_url("**country=US**")
        dislike(shown_config, shown["title_id"])
        page.get_by_role("link", name="Refresh").click()
        page.get_by_text("Since the page before").wait_for()
        assert shown["name"] in (page.locator(".gone-list").text_content() or "")
        assert overflow(page) == []
    assert wrong(told) == []
    consumer = KafkaConsumer(
        shown_config.kafka.feedback_topic,
        bootstrap_servers=shown_config.kafka.bootstrap_servers,
        auto_offset_reset="earliest",
        consumer_timeout_ms=20_000,
    )
    try:
        record = next(consumer)
    finally:
        consumer.close()
    given = events.decode_feedback(record.value, record.key)
    assert msgspec.to_builtins(given) | {"event_id": "", "at_ms": 0} == {
        "schema": 1,
        "event_id": "",
        "member_id": "m1",
        "title_id": shown["title_id"],
        "kind": "thumbs_up",
        "at_ms": 0,
    }


def test_a_phone_shows_it_whole_and_no_member_s_name_runs(chromium: Browser, address: str) -> None:
    told: list[str] = []
    with chromium.new_context(viewport=PHONE, has_touch=True) as context:  # type: ignore[arg-type]
        page = opened(context, told)
        for path in ("", f"?q={quote(EVIL)}", "member?id=m1", f"member?id={quote(EVIL)}", "member?id=" + "w" * 200):
            page.goto(f"{address}{path}")
            assert overflow(page) == [], path
        page.goto(f"{address}member?id={quote(EVIL)}")
        assert page.get_by_role("heading", level=1).first.inner_text().endswith(EVIL)
        page.locator(".open").first.tap()
        box = page.get_by_role("dialog").bounding_box()
        assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= PHONE["width"]
        for button in page.get_by_role("dialog").get_by_role("button").all():
            size = button.bounding_box()
            assert size is not None and size["height"] >= 34
    assert wrong(told) == []
