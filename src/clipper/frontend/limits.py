"""What a client may ask of the query frontend's HTTP server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LINGER: Final = 0.1
"""Seconds for which a connection that was in use just now is kept open for one more request when the server ends."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Beyond these the answer is an error, or the connection ends.

    ``header_bytes`` bounds the request line and the headers together (at most 16 KiB beyond it are ever held).
    ``header_seconds`` is the time to send them, and the time a connection may idle between requests;
    ``content_seconds`` the time to send a body, and to read an answer. Times are kept to within a second. At
    ``pipeline`` unanswered requests a connection is read no further until half of them are answered; those that
    the last 16 KiB have brought beyond that are still taken.
    """

    body_bytes: int = 32 * 1024 * 1024
    header_bytes: int = 64 * 1024
    header_seconds: float = 5.0
    content_seconds: float = 300.0
    pipeline: int = 64
    connections: int = 10_000

    @property
    def linger_bytes(self) -> int:
        """How much of what a refused client goes on sending is read, so that it comes to read its answer."""
        return max(2 * self.body_bytes, 1 << 20)
