"""The one tree of errors. Each knows its HTTP status and its title; ``cause`` says what happened and what to do.

ClipperError
├── BadRequest 400
│   ├── JsonError             the body is not what the endpoint reads
│   └── QueryProcessingError  the query asks for what is not there
├── NotFound 404
├── MethodNotAllowed 405
├── RequestTimeout 408
├── Conflict 409
├── PayloadTooLarge 413
├── UnsupportedMediaType 415
├── HeadersTooLarge 431
├── InternalError 500
├── StoreError 503            the store did not take or give the data
│   └── StoreConflict 409     somebody else committed first
├── Unavailable 503
└── ConfigError               a setting of a server is wrong (at start-up)

``clipper.rpc.wire.WireError`` stands beside the tree, since the wire travels to the model's environment alone: the
other end of a container's connection broke the protocol. It ends that connection and never reaches a client.
"""

from __future__ import annotations

import json


class ClipperError(Exception):
    """Base of all errors Clipper raises on purpose."""

    status = 500
    title = "Internal error"

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause

    def to_json(self) -> bytes:
        """The body every endpoint answers with: ``{"error": title, "cause": cause}``."""
        return json.dumps({"error": self.title, "cause": self.cause}, ensure_ascii=False).encode(
            errors="backslashreplace"
        )


class BadRequest(ClipperError):
    status = 400
    title = "Bad request"


class JsonError(BadRequest):
    title = "Json error"


class QueryProcessingError(BadRequest):
    title = "Query processing error"


class NotFound(ClipperError):
    status = 404
    title = "Not found"


class MethodNotAllowed(ClipperError):
    status = 405
    title = "Method not allowed"


class RequestTimeout(ClipperError):
    status = 408
    title = "Request timeout"


class Conflict(ClipperError):
    status = 409
    title = "Conflict"


class PayloadTooLarge(ClipperError):
    status = 413
    title = "Payload too large"


class UnsupportedMediaType(ClipperError):
    status = 415
    title = "Unsupported media type"


class HeadersTooLarge(ClipperError):
    status = 431
    title = "Request header fields too large"


class InternalError(ClipperError):
    pass


class StoreError(ClipperError):
    status = 503
    title = "Store error"


class StoreConflict(StoreError):
    status = 409
    title = "Store conflict"


class Unavailable(ClipperError):
    status = 503
    title = "Unavailable"


class ConfigError(ClipperError):
    title = "Config error"
