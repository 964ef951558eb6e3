"""Compiles the modules that every query goes through, where a C compiler is at hand: by mypyc, from the same source.

Without one, or with CLIPPER_COMPILE=0, Clipper is installed as it is written and works the same, slower. Editable
installs are never compiled: an edit would have no effect.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from setuptools import Extension, setup

HOT = (
    "feedback",
    "execution/batching",
    "execution/cache",
    "execution/delay",
    "execution/dispatch",
    "execution/executor",
    "execution/flight",
    "execution/hedging",
    "execution/latency",
    "execution/model",
    "execution/outlook",
    "execution/queue",
    "execution/replica",
    "fragments",
    "frontend/api",
    "frontend/codec",
    "frontend/connection",
    "catalog",
    "completion",
    "frontend/exchange",
    "frontend/heads",
    "frontend/predict",
    "frontend/reader",
    "frontend/replicas",
    "frontend/request",
    "frontend/update",
    "histogram",
    "metrics",
    "prediction",
    "decisions",
    "drawn_query",
    "lane",
    "policy_query",
    "processor",
    "query",
    "query_ids",
    "request_ids",
    "rpc/frames",
    "rpc/listener",
    "rpc/wire",
    "selection/answers",
    "selection/combining",
    "selection/exp3",
    "selection/counts",
    "selection/hedge",
    "selection/learning",
    "selection/losses",
    "selection/odds",
    "selection/outputs",
    "selection/states",
    "selection/thompson",
    "sockets",
    "updater",
)


def compiled() -> list[Extension]:
    if os.environ.get("CLIPPER_COMPILE") == "0" or "editable_wheel" in sys.argv:
        return []
    modules = [Extension("clipper.frontend._numbers", ["src/clipper/frontend/_numbers.c"])]
    try:
        from mypyc.build import mypycify

        modules += mypycify([f"src/clipper/{name}.py" for name in HOT], opt_level="3", debug_level="0")
    except (ImportError, SystemExit) as problem:  # mypyc exits where this version of it finds an error
        print(f"not compiled but for a part: {problem}", file=sys.stderr)
    for module in modules:
        module.optional = True
    return modules


os.chdir(Path(__file__).parent)
setup(ext_modules=compiled())
