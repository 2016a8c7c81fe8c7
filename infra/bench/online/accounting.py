"""What it costs to account for pages: the same pages with their impressions sent to a Kafka of the run's own, and without."""

import msgspec
import psutil
from prometheus_client import REGISTRY

from infra.bench.online import bare
from infra.bench.online.server import client_core, server_core
from infra.bench.online.stage import NAMESPACE, Stage
from infra.bench.online.timing import Latencies, in_turns, latency_row, on_core, ratio_row
from infra.bench.online.whole_page import filled, page_call
from infra.bench.report import Row
from infra.local.kafka_broker import KafkaBroker
from infra.local.ports import free_port
from infra.local.topics import create_topics
from online import Recommender
from shared.config import Config, KafkaConfig

OUTCOMES = ("sent", "dropped", "failed")


def measure(stage: Stage) -> list[Row]:
    """One after the other: impressions are sent from a thread, which would reach into the turns of the pages without."""
    port, controller_port = free_port(), free_port()
    kafka = KafkaConfig(bootstrap_servers=f"127.0.0.1:{port}", partitions=4)
    broker = KafkaBroker(stage.folder / "kafka", stage.folder / "kafka.log", port, controller_port, kafka.partitions)
    stage.say("  starting Kafka …")
    broker.start()
    try:
        for thread in psutil.Process(broker.pid).threads():
            psutil.Process(thread.id).cpu_affinity([server_core()])
        create_topics(kafka)
        silent = msgspec.structs.replace(stage.config(), kafka=kafka)
        found = {
            "without": _pages(stage, silent),
            "with": _pages(stage, stage.replace(silent, log_impressions=True)),
        }
    finally:
        broker.kill()
    outcomes = ", ".join(f"{_counted(outcome):,.0f} {outcome}" for outcome in OUTCOMES)
    with stage.client() as client, on_core(client_core()):
        trip = in_turns({"trip": lambda number: bare.round_trip(client, NAMESPACE)}, 1000)["trip"]
    return [
        latency_row("whole page, no impressions logged", found["without"], trip),
        latency_row(f"whole page, impressions sent to Kafka from a thread beside it ({outcomes})", found["with"], trip),
        ratio_row("  ÷ without", found["with"], found["without"]),
    ]


def _pages(stage: Stage, config: Config) -> Latencies:
    version = stage.version
    with on_core(client_core()), Recommender(config) as recommender:
        page = page_call(recommender, stage)
        filled(page, version)
        return in_turns({"page": page}, stage.calls)["page"]


def _counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("marquee_online_impressions_total", {"outcome": outcome}) or 0.0
