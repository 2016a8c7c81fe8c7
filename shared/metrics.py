"""Prometheus metrics: one way of naming them, and the endpoint that shows them.

Each layer defines its metrics once, in its own `metrics.py`, through these helpers; all names begin with `marquee_<layer>_`.
"""

from collections.abc import Sequence

from prometheus_client import Counter, Gauge, Histogram, start_http_server

from shared.errors import UnavailableError

LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def counter(layer: str, name: str, help_text: str, labels: Sequence[str] = ()) -> Counter:
    """A count that only grows; prometheus adds `_total` to its name."""
    return Counter(f"marquee_{layer}_{name}", help_text, labels)


def gauge(layer: str, name: str, help_text: str, labels: Sequence[str] = ()) -> Gauge:
    """A value that goes up and down."""
    return Gauge(f"marquee_{layer}_{name}", help_text, labels)


def seconds(layer: str, name: str, help_text: str, labels: Sequence[str] = ()) -> Histogram:
    """A distribution of durations; `name` should end in `_seconds`."""
    return Histogram(f"marquee_{layer}_{name}", help_text, labels, buckets=LATENCY_BUCKETS_S)


def serve(port: int) -> None:
    """Show this process's metrics on a port, from a daemon thread; 0 shows none.

    Raises
    ------
    UnavailableError : the port is in use.
    """
    if port:
        try:
            start_http_server(port)
        except OSError as error:
            raise UnavailableError(f"port {port}, configured for metrics, cannot be used: {error}") from None
