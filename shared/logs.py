"""Structured logs: one JSON object a line on standard error, or plain text where a person is watching."""

import logging
import sys

from pythonjsonlogger.json import JsonFormatter


def configure(level: str = "INFO", as_json: bool | None = None) -> None:
    """Send all logs to standard error; JSON unless standard error is a terminal (or as told)."""
    handler = logging.StreamHandler(sys.stderr)
    if as_json if as_json is not None else not sys.stderr.isatty():
        handler.setFormatter(
            JsonFormatter(
                "{asctime}{levelname}{name}{message}",
                style="{",
                rename_fields={"asctime": "at", "levelname": "level", "name": "logger"},
            )
        )
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname).1s %(name)s  %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("py4j", "aiokafka"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # kafka-python logs each attempt to connect as an error; what comes of it is raised, and said once by who called.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
