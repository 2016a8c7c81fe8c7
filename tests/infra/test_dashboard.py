"""The dashboard asks only for metrics that the layers have."""

import json
import re
from pathlib import Path

from prometheus_client import REGISTRY

import nearline.metrics
import online.metrics
from offline import metrics as offline_metrics

DASHBOARD = Path(__file__).parents[2] / "infra" / "dashboards" / "marquee.json"


def test_every_metric_of_the_dashboard_exists(tmp_path: Path) -> None:
    assert nearline.metrics.EVENTS and online.metrics.REQUESTS  # importing them registers what they count
    kinds = {family.name: family.type for family in REGISTRY.collect()}
    offered = {name + {"counter": "_total", "histogram": "_bucket"}.get(kind, "") for name, kind in kinds.items()}
    offline_metrics.write(str(tmp_path / "m.prom"), "replay", "done", 1.5, 2.0)
    offered |= set(re.findall(r"^(marquee_\w+)\{", (tmp_path / "m-replay.prom").read_text(encoding="utf-8"), re.MULTILINE))
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    asked = {name for panel in panels for target in panel["targets"] for name in re.findall(r"marquee_\w+", target["expr"])}
    assert len(asked) >= 8
    assert asked <= offered
