"""Whatever goes wrong with a request, as a status and one sentence: JSON for programs, a page for people."""

import logging
from http import HTTPStatus
from typing import NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from online.service.replies import html_reply, json_reply
from shared.errors import InputError, MarqueeError, UnavailableError

log = logging.getLogger(__name__)


class NotFoundError(InputError):
    """What the address names does not exist."""


class NotReadyError(UnavailableError):
    """No snapshot is loaded yet, so there is nothing to answer from."""


class Fault(NamedTuple):
    """What a client is told. `code` is one of a few fixed words."""

    status: int
    code: str
    message: str


def fault_of(error: Exception) -> Fault:
    """What to say about an error."""
    match error:
        case NotFoundError():
            return Fault(404, "not-found", str(error))
        case InputError():
            return Fault(400, "bad-input", str(error))
        case NotReadyError():
            return Fault(503, "not-ready", str(error))
        case UnavailableError():
            return Fault(503, "unavailable", str(error))
        case MarqueeError():
            return Fault(500, "internal-error", str(error))
        case HTTPException():
            code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
            return Fault(error.status_code, code, error.detail)
        case _:
            return Fault(500, "internal-error", "the request failed; the server's log says why")


async def answer_fault(request: Request, error: Exception) -> Response:
    """The reply to a request that failed. A browser gets a page, everybody else a JSON object."""
    fault = fault_of(error)
    if fault.code == "internal-error":
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    elif isinstance(error, HTTPException) and fault.status == 404:
        fault = fault._replace(message=f"there is nothing at {request.url.path}")
    elif fault.status == 405:
        fault = fault._replace(message=f"{request.url.path} does not take {request.method}")
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if "text/html" in request.headers.get("accept", ""):
        phrase = HTTPStatus(fault.status).phrase
        return html_reply("fault.html", {"fault": fault, "phrase": phrase}, status=fault.status, headers=headers)
    return json_reply({"error": fault._asdict()}, status=fault.status, headers=headers)
