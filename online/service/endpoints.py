"""What programs ask, in JSON. Each answers with a status of 200 or what `faults` says."""

import os
import time
from typing import cast

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from online.service.asking import Asker, new_event_id
from online.service.queries import Viewing, k_of, parameters_of, viewing_of
from online.service.replies import json_reply
from shared import events
from shared.errors import InputError, UnavailableError
from shared.events import Feedback, FeedbackKind


class FeedbackBody(msgspec.Struct, kw_only=True):
    """An event of topic `feedback` as it is posted; the server adds what is left out."""

    member_id: events.Id
    title_id: events.Id
    kind: FeedbackKind
    schema: int = events.SCHEMA_VERSION
    event_id: events.Id | None = None  # a client that may try again gives one, so that the event counts once
    at_ms: events.TimeMs | None = None


_BODY = msgspec.json.Decoder(FeedbackBody)


def asker_of(request: Request) -> Asker:
    """The request library of this process."""
    return cast(Asker, request.app.state.asker)


async def page(request: Request) -> Response:
    """`/page/{member}`: the member's home page, with the `cursor` that `after` takes to go on below it."""
    parameters = parameters_of(request, (*Viewing._fields, "after"))
    viewing, after = viewing_of(parameters), parameters.get("after") or None
    answer = await asker_of(request).page(request.path_params["member"], viewing, is_shown=True, after=after)
    return json_reply(msgspec.structs.asdict(answer) | {"cursor": answer.cursor})


async def recommend(request: Request) -> Response:
    """`/recommend/{member}`: one ranked list."""
    parameters = parameters_of(request, ("k", *Viewing._fields))
    answer = await asker_of(request).recommend(request.path_params["member"], k_of(parameters), viewing_of(parameters))
    return json_reply(answer)


async def similar(request: Request) -> Response:
    """`/similar/{title}`: the titles most like one."""
    parameters = parameters_of(request, ("k", "country"))
    country = parameters.get("country") or None
    return json_reply(asker_of(request).similar(request.path_params["title"], k_of(parameters), country))


async def feedback(request: Request) -> Response:
    """`/feedback`: a thumb or a change to a list, on its way to Kafka when it is answered with 202."""
    # No form of another site can send this type without asking first, and nothing here would say yes.
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "feedback is one JSON object, sent as application/json")
    event = read_feedback(await _body(request), time.time_ns() // 1_000_000)
    if not asker_of(request).take_feedback(event):
        raise UnavailableError("too much feedback waits for Kafka; it was not taken, so try again later")
    return json_reply({"event_id": event.event_id}, status=202)


async def _body(request: Request) -> bytes:
    limit = asker_of(request).config.serve.body_bytes
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > limit:
            raise HTTPException(413, f"the request has more than {limit} bytes")
    return bytes(body)


def read_feedback(body: bytes, now_ms: int) -> Feedback:
    """The event in a body, once it is found to be what the topic's readers take.

    Raises
    ------
    InputError : it is not.
    """
    try:
        said = _BODY.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"the feedback cannot be read: {error}") from None
    event = Feedback(
        schema=said.schema,
        event_id=new_event_id() if said.event_id is None else said.event_id,
        member_id=said.member_id,
        title_id=said.title_id,
        kind=said.kind,
        at_ms=now_ms if said.at_ms is None else said.at_ms,
    )
    return events.decode_feedback(events.encode(event), event.member_id.encode(), now_ms)


async def live(request: Request) -> Response:
    """`/health/live`: the process serves."""
    return json_reply({"live": True})


async def ready(request: Request) -> Response:
    """`/health/ready`: a snapshot is loaded; 503 before."""
    return json_reply({"ready": True, "snapshot": asker_of(request).serving.version})


async def metrics(request: Request) -> Response:
    """`/metrics`: for Prometheus; of all processes together where there are several."""
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
