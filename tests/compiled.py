"""Ends with an error unless the Clipper that is imported here is the compiled one: ``python -m tests.compiled``."""

from __future__ import annotations

import sys

import clipper.query
from clipper.frontend.numbers import pack_input

if not clipper.query.__file__.endswith(".so") or pack_input.__module__ != "clipper.frontend._numbers":
    sys.exit(f"not compiled: {clipper.query.__file__}, {pack_input!r}")
