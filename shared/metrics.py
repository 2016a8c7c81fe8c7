"""Prometheus metrics: one way of naming them, and the endpoint that shows them.

Each layer defines its metrics once, in its own `metrics.py`, through these helpers; all names begin with `marquee_<layer>_`.
"""

import json
import threading
from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping, Sequence
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import Counter, Gauge, Histogram, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer

from shared.errors import UnavailableError

LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Durations(Histogram):
    """A histogram that takes many values at once."""

    def observe_all(self, seconds: Sequence[float]) -> None:
        """What `observe` does with each, at a fraction of the cost."""
        if len(seconds) == 1:
            self.observe(seconds[0])
            return
        self._raise_if_not_observable()  # type: ignore[no-untyped-call]
        self._sum.inc(sum(seconds))
        for place, times in Tally(bisect_left(self._upper_bounds, each) for each in seconds).items():
            self._buckets[place].inc(times)


def counter(layer: str, name: str, help_text: str, labels: Sequence[str] = ()) -> Counter:
    """A count that only grows; prometheus adds `_total` to its name."""
    return Counter(f"marquee_{layer}_{name}", help_text, labels)


def gauge(layer: str, name: str, help_text: str, labels: Sequence[str] = ()) -> Gauge:
    """A value that goes up and down."""
    return Gauge(f"marquee_{layer}_{name}", help_text, labels)


def seconds(layer: str, name: str, help_text: str, labels: Sequence[str] = ()) -> Durations:
    """A distribution of durations; `name` should end in `_seconds`."""
    return Durations(f"marquee_{layer}_{name}", help_text, labels, buckets=LATENCY_BUCKETS_S)


def histogram(layer: str, name: str, help_text: str, labels: Sequence[str] = (), *, buckets: Sequence[float]) -> Histogram:
    """A distribution with bucket bounds of its own."""
    return Histogram(f"marquee_{layer}_{name}", help_text, labels, buckets=buckets)


Page = Callable[[], tuple[bool, Mapping[str, object]]]
"""Answers one path: whether all is well (200, else 503), and what to say, as JSON."""


def serve(port: int, pages: Mapping[str, Page] | None = None) -> None:
    """Show this process's metrics on a port, from daemon threads; 0 shows none.

    Parameters
    ----------
    pages : path to what is answered there; every other path shows the metrics.

    Raises
    ------
    UnavailableError : the port is in use.
    """
    if not port:
        return
    try:
        server = make_server("", port, _site(dict(pages or {})), ThreadingWSGIServer, handler_class=_Quiet)
    except OSError as error:
        raise UnavailableError(f"port {port}, configured for metrics, cannot be used: {error}") from None
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()


def _site(pages: dict[str, Page]) -> WSGIApplication:
    shown: WSGIApplication = make_wsgi_app()

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        page = pages.get(environ["PATH_INFO"].rstrip("/"))
        if page is None:
            return shown(environ, start_response)
        is_well, said = page()
        body = json.dumps(said).encode() + b"\n"
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response("200 OK" if is_well else "503 Service Unavailable", headers)
        return [body]

    return answer


class _Quiet(WSGIRequestHandler):
    timeout = 5.0  # a client that connects and sends nothing holds its thread no longer

    def log_message(self, format: str, *arguments: object) -> None:
        """Requests come every few seconds; none is logged."""
