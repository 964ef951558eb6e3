"""What clients call their requests, by the header X-Request-Id: it is in the answer and in the log lines about it."""

from __future__ import annotations

import re
from typing import Final

HEADER: Final = b"x-request-id"
LONGEST: Final = 128

_USABLE: Final = re.compile(rb"[!-~]{1,128}")


def read_request_id(value: bytes | None) -> str:
    """The id in a header's value; empty if there is none, or one that is not 1 to 128 visible ASCII characters.

    Such a one can't break a log line, and is passed over: no request fails for what it is called.
    """
    if value is None or _USABLE.fullmatch(value) is None:
        return ""
    return value.decode("ascii")


def header_line(request_id: str) -> bytes:
    """The header of an answer, with its end of line."""
    return b"X-Request-Id: %b\r\n" % request_id.encode("ascii")
