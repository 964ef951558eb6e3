"""The shortcut for the usual predict body, where it was compiled (``_numbers.c``)."""

from __future__ import annotations

try:
    from clipper.frontend._numbers import pack_input
except ImportError:

    def pack_input(body: bytes, code: str, /) -> bytes | None:
        """The numbers of ``{"input": [numbers]}`` as bytes, by a code of ``struct``: d, f or i.

        None for any other body, and where this is not compiled: then the ordinary decoder reads it.
        """
        return None


__all__ = ["pack_input"]
