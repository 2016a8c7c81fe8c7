"""What every request passes through: a limit on its time, the headers that keep a page for people safe, and the accounts."""

import asyncio
import time

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from online import metrics
from online.service.faults import answer_fault
from shared.errors import UnavailableError

SAFE_HEADERS = {
    # Posters are coloured by style attributes of numbers and fixed words (`online.drawing.posters`); nothing else is inline.
    "Content-Security-Policy": "default-src 'none'; style-src-elem 'self'; style-src-attr 'unsafe-inline'; script-src 'self'; "
    "connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",  # addresses name members
    "X-Content-Type-Options": "nosniff",
}


class Limits:
    """ASGI middleware around all routes.

    Parameters
    ----------
    limit_s : from the first byte of a request's header being read to the beginning of the reply.
    """

    def __init__(self, app: ASGIApp, limit_s: float) -> None:
        self._app = app
        self._limit_s = limit_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began_s = time.perf_counter()
        status = 500

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in SAFE_HEADERS.items():
                    headers[name] = value
            await send(message)

        try:
            async with asyncio.timeout(self._limit_s):
                await self._app(scope, receive, send_on)
        except TimeoutError:
            if status != 500:  # the reply has begun: all that is left is to break it off
                raise
            late = UnavailableError(f"the request was not answered within {self._limit_s:g} s")
            reply = await answer_fault(Request(scope), late)
            await reply(scope, receive, send_on)
        finally:
            # Only the routes of the application are labels: addresses that clients make up are not.
            route = getattr(scope.get("route"), "path", "none")
            metrics.HTTP.labels(route, status).inc()
            metrics.HTTP_SECONDS.labels(route).observe(time.perf_counter() - began_s)
