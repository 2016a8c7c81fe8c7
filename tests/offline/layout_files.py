"""Folders as users bring them, and what is read from them: for the tests of layouts."""

from pathlib import Path

import pyarrow as pa

from offline.layouts import PLAY_SCHEMA, BadLine, Layout, detect

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
TITLES = (
    "title_id,name,genres,released_ms,runtime_s,countries\nt1,One,Drama|War,0,1800,US|DE\nt2,Two,,,,\nt3,Three,Comedy,-5,60.5,\n"
)
AT_MS = 1_700_000_000_000


def write(folder: Path, **files_by_name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files_by_name.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8", newline="")
    return folder


def interactions(folder: Path, text: str) -> Path:
    return write(folder, titles__csv=TITLES, interactions__csv="member_id,title_id,at_ms,weight\n" + text)


def read(folder: Path) -> tuple[Layout, pa.Table, pa.Table, list[BadLine]]:
    layout = detect(str(folder))
    titles = layout.titles()
    batches = list(layout.history(titles))
    events = pa.Table.from_batches([batch.events for batch in batches], PLAY_SCHEMA)
    return layout, titles, events, [bad for batch in batches for bad in batch.bad]


def play(**changes: object) -> dict[str, object]:
    event: dict[str, object] = {
        "event_id": "e1",
        "member_id": "m1",
        "title_id": "t1",
        "kind": "stop",
        "session_id": "s1",
        "at_ms": AT_MS,
        "position_s": 900.0,
        "runtime_s": 1800.0,
        "watched_s": 850.0,
        "device": "tv",
        "country": "DE",
        "page_id": "p1",
        "row": "popular",
        "rank": 3,
        "weight": None,
    }
    return event | changes
