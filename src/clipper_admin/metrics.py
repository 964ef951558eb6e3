"""Metrics of your own, from within a model: they are served to Prometheus beside those of its container.

    import clipper_admin.metrics as metrics

    metrics.add_metric("tokens", "Histogram", "Tokens of an input", buckets=[10, 100, 1000])

    def predict(texts):
        for text in texts:
            metrics.report_metric("tokens", len(text.split()))
        ...

Models find this module in isolated environments, too. In a session metrics are kept in the process, and nothing is
started.
"""

from __future__ import annotations

from collections.abc import Sequence

from clipper.container.metrics import DEFAULT_BUCKETS, REGISTRY, MetricError
from clipper_admin.exceptions import ClipperException

__all__ = ["DEFAULT_BUCKETS", "add_metric", "report_metric"]


def add_metric(name: str, metric_type: str, description: str, buckets: Sequence[float] = DEFAULT_BUCKETS) -> None:
    """Adds a metric, once for the process: adding a name again changes nothing.

    It has the labels ``model``, ``version`` and ``replica``.

    Args:
        name: letters, digits and underscores, no digit first; names that begin with ``clipper_`` are taken. A Counter
            is shown with ``_total`` at its end.
        metric_type: ``Counter``, ``Gauge``, ``Histogram`` or ``Summary`` (a count and a sum).
        description: for people.
        buckets: upper bounds of a Histogram's buckets, each above the one before, in the unit that you report.

    Raises:
        ClipperException: the type or the name can't be, the buckets are not in order, or it is one metric too many.
    """
    try:
        REGISTRY.add(name, metric_type, description, buckets)
    except MetricError as error:
        raise ClipperException(error.msg) from None


def report_metric(name: str, val: float) -> None:
    """Raises a Counter by ``val``, sets a Gauge to it, or takes it up in a Histogram or Summary. Takes microseconds.

    Raises:
        ClipperException: no metric of this name was added, or ``val`` is no number that it can take: a Counter takes
            none below 0, and only a Gauge one that is not finite.
    """
    try:
        REGISTRY.report(name, val)
    except MetricError as error:
        raise ClipperException(error.msg) from None
