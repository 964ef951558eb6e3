"""``clipper_admin.metrics`` and ``clipper_admin.logs`` for models in environments without ``clipper_admin``.

Where the real ones are installed they are imported, as ever, and use the same registry.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Final

from clipper.container.metrics import DEFAULT_BUCKETS, REGISTRY, MetricError
from clipper.container.request_ids import CURRENT


def stand_in() -> None:
    """From now on ``import clipper_admin.metrics`` works, and ``.logs``, whatever is installed."""
    if not any(isinstance(each, _Finder) for each in sys.meta_path):
        sys.meta_path.append(_Finder())


def add_metric(name: str, metric_type: str, description: str, buckets: Sequence[float] = DEFAULT_BUCKETS) -> None:
    REGISTRY.add(name, metric_type, description, buckets)


def report_metric(name: str, val: float) -> None:
    REGISTRY.report(name, val)


_NAMES: Final[dict[str, dict[str, Callable[..., object]]]] = {
    "clipper_admin": {"ClipperException": MetricError},
    "clipper_admin.exceptions": {"ClipperException": MetricError},
    "clipper_admin.logs": {"request_ids": CURRENT.request_ids},
    "clipper_admin.metrics": {"add_metric": add_metric, "report_metric": report_metric},
}


class _Finder(MetaPathFinder, Loader):
    """Comes last, so that it is asked for what nobody else has."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _NAMES:
            return None
        return ModuleSpec(fullname, self, origin=__name__, is_package=fullname == "clipper_admin")

    def create_module(self, spec: ModuleSpec) -> None:
        """As usual."""

    def exec_module(self, module: ModuleType) -> None:
        vars(module).update(_NAMES[module.__name__])
