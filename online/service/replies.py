"""Replies as they go out: JSON by msgspec, HTML by the templates beside this module and those of the drawing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from starlette.responses import Response

from online.drawing.as_html import environment

TEMPLATES = Path(__file__).with_name("templates")

_ENCODER = msgspec.json.Encoder()


def json_reply(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A value as JSON."""
    return Response(_ENCODER.encode(value), status, headers, "application/json")


def html_reply(template: str, values: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A rendered template. It is about one member at one moment, so nothing keeps it."""
    text = environment(TEMPLATES).get_template(template).render(values)
    return Response(text, status, {"Cache-Control": "no-store", **(headers or {})}, "text/html; charset=utf-8")


def embedded_json(value: object) -> str:
    """A value as JSON that can stand inside a `<script type="application/json">`: it cannot end the element."""
    return _ENCODER.encode(value).decode().replace("<", "\\u003c")
