"""Routes, limits and faults put together: one ASGI application, for `server` or for any other ASGI server."""

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from online.service import endpoints, people
from online.service.asking import Asker
from online.service.faults import answer_fault
from online.service.limits import Limits
from shared import config as configuration
from shared import logs
from shared.config import Config
from shared.errors import MarqueeError

LOG_LEVEL = "MARQUEE_LOG_LEVEL"
STATIC = Path(__file__).with_name("static")

FOR_PROGRAMS = [
    Route("/page/{member:path}", endpoints.page),
    Route("/recommend/{member:path}", endpoints.recommend),
    Route("/similar/{title:path}", endpoints.similar),
    Route("/feedback", endpoints.feedback, methods=["POST"]),
    Route("/health/live", endpoints.live),
    Route("/health/ready", endpoints.ready),
    Route("/metrics", endpoints.metrics),
]
FOR_PEOPLE = [
    Route("/", people.browse),
    Route("/member", people.member),
    Route("/static/page.css", people.page_style),
    Mount("/static", StaticFiles(directory=STATIC), name="static"),
]


def create_app(config: Config, opened: Asker | None = None) -> Starlette:
    """The application.

    Parameters
    ----------
    opened : the request library; None opens it when the application starts. It is closed when that stops.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        asker = opened if opened is not None else await anyio.to_thread.run_sync(Asker, config)
        app.state.asker = asker
        app.state.recent = people.RecentPages()
        try:
            yield
        finally:
            await asker.close()

    return Starlette(
        routes=FOR_PROGRAMS + FOR_PEOPLE if config.serve.people_pages else FOR_PROGRAMS,
        middleware=[Middleware(Limits, config.serve.limit_s), Middleware(GZipMiddleware, minimum_size=4096, compresslevel=4)],
        exception_handlers={MarqueeError: answer_fault, HTTPException: answer_fault, Exception: answer_fault},
        lifespan=lifespan,
    )


def from_environment() -> Starlette:
    """The application as one of several processes makes it, from what `server` left in the environment."""
    logs.configure(os.environ.get(LOG_LEVEL, "WARNING"))
    return create_app(configuration.load())
