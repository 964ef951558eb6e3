"""Between the socket and the endpoints: bodies are bounded, hosts checked, and every error becomes JSON."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clipper.errors import (
    BadRequest,
    ClipperError,
    InternalError,
    JsonError,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    RequestTimeout,
)

logger: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Edge:
    """The outermost ASGI application: gives ``app`` whole bodies of at most ``body_limit`` bytes.

    A body must arrive within ``body_timeout`` seconds. What ``app`` does not catch is logged and answered with 500.
    """

    app: ASGIApp
    body_limit: int
    body_timeout: float

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            check_host(scope)
            body = await self._read_body(receive)
            if body is not None:
                await self.app(scope, _replay(body, receive), send)
        except ClipperError as error:
            await to_response(error)(scope, receive, send)
        except Exception:
            logger.exception("a bug came up answering %s %s", scope["method"], ascii(scope["path"]))
            bug = InternalError("this is a bug of Clipper: the log of the management frontend has its traceback")
            await to_response(bug)(scope, receive, send)

    async def _read_body(self, receive: Receive) -> bytes | None:
        """None if the client went away."""
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self.body_timeout):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    chunks.append(message.get("body", b""))
                    size += len(chunks[-1])
                    if size > self.body_limit:
                        raise PayloadTooLarge(f"the body is larger than {self.body_limit} bytes: send a smaller one")
                    if not message.get("more_body"):
                        return b"".join(chunks)
        except TimeoutError:
            raise RequestTimeout(f"the body did not arrive within {self.body_timeout:g} s: send it again") from None


def _replay(body: bytes, receive: Receive) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


def check_host(scope: Scope) -> None:
    """Refuses browsers that reached a loopback address under another name.

    A web page may have its own name resolve to 127.0.0.1 to get at what listens there (DNS rebinding); it can't do
    that to a number or to localhost.

    Raises:
        BadRequest: such a name is in the Host header.
    """
    local_address, _ = scope.get("server") or ("", None)
    host = Headers(scope=scope).get("host", "")
    name = re.sub(r":\d*$", "", host).strip("[]")
    if not name or name == "localhost" or _parse_address(name) is not None:
        return
    address = _parse_address(local_address)
    if address is not None and address.is_loopback:
        raise BadRequest(f"the Host header names {host!a}: on this machine, ask localhost or {local_address}")


def _parse_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def to_response(error: ClipperError, headers: Mapping[str, str] | None = None) -> Response:
    return Response(error.to_json(), error.status, headers, media_type="application/json")


async def answer_clipper_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ClipperError)
    return to_response(error)


async def answer_http_exception(request: Request, error: Exception) -> Response:
    """What the framework refuses: unknown paths, methods, and bodies that are no JSON at all."""
    assert isinstance(error, HTTPException)
    path = request.url.path
    if error.status_code == NotFound.status:
        return to_response(NotFound(f"there is no {path}: /openapi.json lists the endpoints"))
    if error.status_code == MethodNotAllowed.status:
        allowed = (error.headers or {}).get("Allow", "another method")
        return to_response(
            MethodNotAllowed(f"{request.method} does not go with {path}: use {allowed}"), error.headers
        )
    return to_response(_json_error(request, "the body can't be read as JSON in UTF-8"))


async def answer_validation_error(request: Request, error: Exception) -> Response:
    """A body that is no JSON, or not of the shape that the endpoint reads; or such a query string."""
    assert isinstance(error, RequestValidationError)
    if all(problem["loc"][0] == "query" for problem in error.errors()):
        return to_response(BadRequest(f"the query string: {'; '.join(map(_explain, error.errors()))}"))
    return to_response(_json_error(request, "; ".join(map(_explain, error.errors()))))


def _json_error(request: Request, detail: str) -> JsonError:
    body_type = typing.get_type_hints(request.scope["endpoint"])["body"]
    return JsonError(f"Error parsing JSON: {detail}. Expected JSON schema: {describe_body(body_type)}")


def _explain(problem: Mapping[str, Any]) -> str:
    kind, place = problem["type"], problem["loc"][1:]
    if kind == "json_invalid":
        return f"{problem['ctx']['error']} at character {place[0]}"
    if not place:
        return "the body must be a JSON object, sent with Content-Type: application/json"
    field = _name_place(place)
    if kind == "missing":
        return f"field '{field}' is missing"
    if kind == "extra_forbidden":
        return f"field '{field}' is unknown"
    return f"field '{field}': {problem['msg']}"


def _name_place(place: Sequence[str | int]) -> str:
    return str(place[0]) + "".join(f"[{each}]" for each in place[1:] if isinstance(each, int))


def describe_body(body_type: type[BaseModel]) -> str:
    """The fields of a body and their types, in the way of the original's messages."""
    schema = body_type.model_json_schema()
    required = schema.get("required", ())
    fields = [
        f'   "{name}" := {_name_type(field)}{"" if name in required else " (optional)"},\n'
        for name, field in schema["properties"].items()
    ]
    return f"\n  {{\n{''.join(fields)}  }}\n"


def _name_type(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " | ".join(map(_name_type, schema["anyOf"]))
    if schema["type"] == "array":
        return f"[{_name_type(schema['items'])}]"
    return str(schema["type"])
