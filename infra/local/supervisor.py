"""The daemon that `python -m infra.local up` leaves behind: it runs the stack until it is told to stop.

It restarts nothing: a server that ends by itself is reported, in its log and by `status`, and stays down until the
next `up`.
"""

import logging
import signal
import sys
import threading
from pathlib import Path

import click

from infra.local.stack import LocalStack
from shared import logs
from shared.errors import MarqueeError

POLL_S = 0.5

logger = logging.getLogger(__name__)


@click.command()
@click.option("--root", type=click.Path(path_type=Path), required=True)
@click.option("--kafka-port", type=int, default=None)
@click.option("--redis-port", type=int, default=None)
@click.option("--partitions", type=int, required=True)
def main(root: Path, kafka_port: int | None, redis_port: int | None, partitions: int) -> None:
    """Run the stack in ROOT until SIGTERM or SIGINT."""
    logs.configure("INFO", as_json=True)
    told_to_stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told_to_stop.set())
    stack = LocalStack(root, kafka_port=kafka_port, redis_port=redis_port, partitions=partitions, is_daemon=True)
    try:
        stack.start()
    except MarqueeError as error:
        logger.error("%s", error)
        sys.exit(2)
    logger.info("up: Redis at %s, Kafka at %s", stack.redis.url, stack.kafka.bootstrap_servers)
    reported: list[str] = []
    while not told_to_stop.wait(POLL_S):
        reports = stack.reports() if len(reported) < 2 else reported
        for report in reports:
            if report not in reported:
                logger.error("%s", report)
        reported = reports
    stack.stop()
    logger.info("stopped")


if __name__ == "__main__":
    main()
