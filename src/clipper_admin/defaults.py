"""The settings of a cluster that nobody has given: numbers and texts like others, but known for what they are.

A cluster that is taken up again keeps its own settings in their place. What a user passes counts, even if equal.
"""

from __future__ import annotations

from typing import Final


class Default:
    """Marks a value that stands where nobody gave one."""

    __slots__ = ()


class DefaultNumber(Default, int):
    __slots__ = ()


class DefaultSeconds(Default, float):
    __slots__ = ()


class DefaultText(Default, str):
    __slots__ = ()


HOST: Final = DefaultText("127.0.0.1")
QUERY_PORT: Final = DefaultNumber(1337)
MANAGEMENT_PORT: Final = DefaultNumber(1338)
RPC_PORT: Final = DefaultNumber(7000)
FRONTENDS: Final = DefaultNumber(1)
CACHE_SIZE: Final = DefaultNumber(33_554_432)
REQUEST_TIMEOUT: Final = DefaultSeconds(5)
CONTENT_TIMEOUT: Final = DefaultSeconds(300)
LOG_LEVEL: Final = DefaultText("info")
LOG_FORMAT: Final = DefaultText("text")
