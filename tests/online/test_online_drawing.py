"""Drawing: everything is on the page, nothing is fetched, nothing is executed, and the browser renders it."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online.drawing import draw_change, draw_page, page_differences, text_page
from online.drawing.posters import LOOKS, poster
from online.drawing.scenes import SCENES
from shared.pages.answers import Cell, Fallback, Page, Row

EVIL = "</b></style><script>alert('x')</script>\" onmouseover=\"alert(1)"


def page_of(rows: dict[str, list[str]], names: dict[str, str] | None = None) -> Page:
    """A page of rows, each a list of title ids."""
    return Page(
        page_id="p",
        member_id="m<1>",
        at_ms=0,
        device="tv",
        country="US",
        snapshot="v1",
        fence={},
        state_age_ms=None,
        tier="live",
        rows=tuple(
            Row(
                key=key,
                name=f"Row {key}",
                cells=tuple(
                    Cell(
                        title_id=title,
                        name=(names or {}).get(title, f"Title {title}"),
                        row=key,
                        row_index=index,
                        rank=rank,
                        tier="live",
                        score=0.5,
                        evidence=f"because of {title}",
                        genres=("Drama", "Crime"),
                        runtime_s=5400.0,
                        progress=0.25 if key == "continue-watching" else None,
                    )
                    for rank, title in enumerate(titles)
                ),
            )
            for index, (key, titles) in enumerate(rows.items())
        ),
        fallbacks=(Fallback("redis-slow", "no answer & no <wait>"),),
        seconds={"fetch": 0.001},
    )


BEFORE = page_of({"top": ["a", "b", "c", "d"], "drama": ["e", "f"], "crime": ["g"]})
AFTER = page_of({"because:a": ["x", "f"], "top": ["y", "a", "c", "b"], "drama": ["e"]})


class Reader(HTMLParser):
    """Collects tags, attributes and text, and checks that tags nest."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    return reader


def test_differences_name_what_appeared_moved_and_went() -> None:
    changes = page_differences(BEFORE, AFTER)
    assert changes.rows_appeared == ("because:a",)
    assert changes.rows_gone == ("crime",)
    assert changes.rows_moved == ()
    assert [cell.title_id for cell in changes.new] == ["x", "y"]
    assert [cell.title_id for cell in changes.gone] == ["d", "g"]
    # "y" pushed "a" and "c" along, which is no move; "b" fell behind "c"; "f" changed its row.
    assert sorted(new.title_id for _, new in changes.moved) == ["c", "f"] or sorted(new.title_id for _, new in changes.moved) == [
        "b",
        "f",
    ]
    assert changes.summary() == ["1 row appeared", "1 row gone", "2 titles new", "2 titles moved", "2 titles gone"]
    assert (changes.mark("x"), changes.mark("f"), changes.mark("d"), changes.mark("a")) == ("new", "moved", "gone", None)


pages = st.dictionaries(
    st.sampled_from("ABCDE"), st.lists(st.sampled_from("abcdefghijkl"), unique=True, max_size=6), max_size=5
).map(page_of)


@given(pages, pages)
def test_differences_add_up(before: Page, after: Page) -> None:
    changes = page_differences(before, after)
    ids_before = {cell.title_id for row in before.rows for cell in row.cells}
    ids_after = {cell.title_id for row in after.rows for cell in row.cells}
    assert {cell.title_id for cell in changes.new} == ids_after - ids_before
    assert {cell.title_id for cell in changes.gone} == ids_before - ids_after
    assert {new.title_id for _, new in changes.moved} <= ids_before & ids_after
    assert page_differences(after, after).is_empty


def test_a_page_is_drawn_whole_and_alone() -> None:
    page = page_of({"continue-watching": ["a", "b"], "top": ["c", "d"], "trending": [f"t{n}" for n in range(12)]})
    html = draw_page(page)
    reader = read(html)
    text = " ".join(reader.text)
    for row in page.rows:
        assert row.name in text
        for cell in row.cells:
            assert cell.name in text and cell.evidence in html
    assert "m<1>" in text and "no answer & no <wait>" in text
    assert html.count('style="width:25.0%"') == 2
    tags = {tag for tag, _ in reader.tags}
    assert not tags & {"script", "link", "img", "iframe", "object", "base", "form"}
    assert not re.search(r"https?:|//[a-z]|url\(|@import", html)
    ids = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in reader.tags:
        assert (attributes.get("href") or "#").startswith("#")


def test_user_data_is_escaped_everywhere() -> None:
    names = {"a": EVIL, "b": "x" * 400, "c": "", "d": "السلام 東京 🎬\x00\x1b[31m"}
    before = page_of({"top": ["a", "b"], EVIL: ["c"]}, names)
    after = page_of({EVIL: ["d", "a"]}, names)
    for html in (draw_page(after, before=before, headline=EVIL), draw_change(before, after, EVIL)):
        reader = read(html)
        assert "script" not in {tag for tag, _ in reader.tags}
        assert not any(name.startswith("on") for _, attributes in reader.tags for name in attributes)
        assert EVIL in "".join(reader.text)
    assert "\x1b[31m" not in text_page(after, before, colours=False)


def test_a_change_marks_both_pages() -> None:
    html = draw_change(BEFORE, AFTER, "Maria just watched A & B · page changed after 84 ms")
    read(html)
    assert "Maria just watched A &amp; B · page changed after 84 ms" in html
    assert html.count('<em class="badge new">new</em>') == 2
    assert html.count('<em class="badge new">new row</em>') == 1
    assert html.count('<em class="badge gone">gone</em>') == 2
    assert html.count('<em class="badge gone">row gone</em>') == 1
    assert 'class="badge moved">from Row drama</em>' in html
    assert "1 row appeared" in html and "2 titles new" in html


def test_an_empty_page_says_why() -> None:
    empty = msgspec.structs.replace(page_of({}), tier="empty")
    assert "Nothing to show" in draw_page(empty)
    assert "redis-slow" in text_page(empty)


def test_text_marks_what_changed() -> None:
    lines = text_page(AFTER, BEFORE).splitlines()
    assert any(line.startswith("+ Row because:a") for line in lines)
    assert any(line.startswith("  + Title x") for line in lines)
    assert any(line.startswith("  ~ Title f") for line in lines)
    assert any(line.startswith("  - Title d") for line in lines)
    assert any("2 titles new" in line for line in lines)


@given(st.text(max_size=60), st.lists(st.text(max_size=20), max_size=3))
def test_a_poster_is_made_of_safe_characters_and_always_the_same(name: str, genres: list[str]) -> None:
    drawn = poster(name, genres)
    assert drawn == poster(name, genres)
    assert re.fullmatch(r"[-a-z0-9:;()%. #]+", drawn.style)
    assert re.fullmatch(r"[-A-Za-z0-9<>/=\"., ()#]+", drawn.scene)


def test_every_look_and_scene_draws() -> None:
    assert {scene for look in LOOKS.values() for scene in look.scenes} == set(SCENES)
    scenes = {poster(f"Name {number}", [genre]).scene for genre in LOOKS for number in range(4)}
    assert len(scenes) == 4 * len(LOOKS)


@pytest.mark.slow
def test_a_browser_renders_it(tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium on the PATH")
    page = tmp_path / "change.html"
    page.write_text(draw_change(BEFORE, AFTER, "changed"), encoding="utf-8")
    common = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    shot = tmp_path / "page.png"
    subprocess.run([*common, f"--screenshot={shot}", page.as_uri()], capture_output=True, timeout=120, check=True)
    assert shot.stat().st_size > 20_000  # a blank page compresses to less
    dom = subprocess.run([*common, "--dump-dom", page.as_uri()], capture_output=True, timeout=120, check=True, text=True)
    assert dom.stdout.count("<article") == 14
