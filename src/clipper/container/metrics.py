"""The metrics of a model container: those that a model adds and reports, and the text that Prometheus reads.

``clipper_admin.metrics`` is the door to ``REGISTRY`` for models. Outside of a container it is kept in the process:
nothing is started, nothing is sent.
"""

from __future__ import annotations

import math
import os
import re
import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final, Protocol

DEFAULT_BUCKETS: Final = (5, 10, 20, 35, 50, 75, 100, 150, 200, 250, 300, 400, 500, math.inf)
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
MOST_METRICS: Final = 1000
MOST_BUCKETS: Final = 200
LONGEST_NAME: Final = 200
LONGEST_DESCRIPTION: Final = 1000

_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_OURS: Final = "clipper_"
_KINDS: Final = ("Counter", "Gauge", "Histogram", "Summary")

Sample = tuple[str, str, float]
"""What follows the family's name, the label of its own or an empty text, and the value."""


class MetricError(Exception):
    """A metric can't be added or reported; ``msg`` says which, why, and what to do."""

    def __init__(self, msg: str) -> None:
        super().__init__(msg)
        self.msg = msg


class Instrument(Protocol):
    """What is measured under one name. It keeps numbers, never what was reported: its size does not grow."""

    @property
    def kind(self) -> str: ...

    def report(self, value: float) -> None:
        """Takes up a value; MetricError if it can't be one of this kind."""
        ...

    def samples(self) -> Iterator[Sample]: ...


class Counter:
    kind: Final = "counter"

    def __init__(self) -> None:
        self.value = 0.0

    def report(self, value: float) -> None:
        if not 0 <= value < math.inf:
            raise MetricError(f"a Counter only grows, and can't by {value}: report a number from 0, or use a Gauge")
        self.value += value

    def samples(self) -> Iterator[Sample]:
        yield "", "", self.value


class Gauge:
    kind: Final = "gauge"

    def __init__(self) -> None:
        self.value = 0.0

    def report(self, value: float) -> None:
        self.value = value

    def samples(self) -> Iterator[Sample]:
        yield "", "", self.value


class Summary:
    """Count and sum, from which Prometheus makes means over any time."""

    kind: Final = "summary"

    def __init__(self) -> None:
        self.count = 0
        self.sum = 0.0

    def report(self, value: float) -> None:
        self.sum += _finite(value)
        self.count += 1

    def samples(self) -> Iterator[Sample]:
        yield "_count", "", self.count
        yield "_sum", "", self.sum


class Histogram:
    """``edges`` are the finite upper bounds of its buckets, in order; one without a bound comes after them."""

    kind: Final = "histogram"

    def __init__(self, edges: Sequence[float]) -> None:
        self.edges = tuple(edges)
        self.counts = [0] * (len(self.edges) + 1)
        self.sum = 0.0

    def report(self, value: float) -> None:
        self.counts[bisect_left(self.edges, _finite(value))] += 1
        self.sum += value

    def samples(self) -> Iterator[Sample]:
        """The count is made of the buckets, so that they agree while another thread reports."""
        below = 0
        for edge, count in zip((*self.edges, math.inf), self.counts.copy(), strict=True):
            below += count
            yield "_bucket", f'le="{_number(edge)}"', below
        yield "_count", "", below
        yield "_sum", "", self.sum


class Registry:
    """The metrics that a model adds, by name. Its methods may be called from any thread, and in forked processes."""

    def __init__(self) -> None:
        self.labels: Mapping[str, str] = {}
        """What is put to each sample: which container this is."""
        self._instruments: dict[str, Instrument] = {}
        self._families: dict[str, tuple[str, Instrument]] = {}
        self._taken: set[str] = set()
        self._renew()
        os.register_at_fork(after_in_child=self._renew)

    def add(self, name: str, metric_type: str, description: str, buckets: Iterable[float] = DEFAULT_BUCKETS) -> None:
        """As ``clipper_admin.metrics.add_metric``; raises MetricError."""
        with self._lock:
            if isinstance(name, str) and name in self._instruments:
                return
            instrument = _make(name, metric_type, buckets)
            family = f"{name}_total" if instrument.kind == "counter" and not name.endswith("_total") else name
            samples = {family} | {family + suffix for suffix, _, _ in instrument.samples()}
            if clash := sorted(samples & self._taken):
                raise MetricError(
                    f"metric {name} would be shown as {clash[0]}, and another one is: rename one of them"
                )
            if len(self._instruments) >= MOST_METRICS:
                raise MetricError(f"metric {name} is one too many: a model has {MOST_METRICS} at most")
            self._taken |= samples
            self._families[family] = (str(description)[:LONGEST_DESCRIPTION], instrument)
            self._instruments[name] = instrument

    def report(self, name: str, value: float) -> None:
        """As ``clipper_admin.metrics.report_metric``; raises MetricError."""
        instrument = self._instruments.get(name)
        if instrument is None:
            raise MetricError(f"{name} has not been added. Add it with add_metric before you report it")
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            raise MetricError(f"{name} was reported as {_shown(value)}, which is no number: report a float") from None
        try:
            with self._lock:
                instrument.report(number)
        except MetricError as error:
            raise MetricError(f"{name} was reported as {number}: {error}") from None

    def render(self) -> str:
        """All of them in the text format of Prometheus, version 0.0.4."""
        with self._lock:
            lines = [
                line
                for family, (description, instrument) in self._families.items()
                for line in family_lines(family, description, instrument, self.labels)
            ]
        return "".join(lines)

    def _renew(self) -> None:
        """The lock may have been held by a thread that a forked process does not have."""
        self._lock = threading.Lock()


REGISTRY: Final = Registry()


def family_lines(name: str, description: str, instrument: Instrument, labels: Mapping[str, str]) -> Iterator[str]:
    """The lines of one metric in the text format of Prometheus."""
    shown = ",".join(f'{label}="{_escaped(value)}"' for label, value in labels.items())
    yield f"# HELP {name} {_escaped_line(description)}\n# TYPE {name} {instrument.kind}\n"
    for suffix, own, value in instrument.samples():
        both = ",".join(filter(None, (shown, own)))
        yield f"{name}{suffix}{{{both}}} {_number(value)}\n" if both else f"{name}{suffix} {_number(value)}\n"


def _make(name: str, metric_type: str, buckets: Iterable[float]) -> Instrument:
    if metric_type not in _KINDS:
        raise MetricError(f"Metric type needs to be one of {list(_KINDS)}: {name} is to be {_shown(metric_type)}")
    _check_name(name)
    match metric_type:
        case "Counter":
            return Counter()
        case "Gauge":
            return Gauge()
        case "Summary":
            return Summary()
    return Histogram(_edges(name, buckets))


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise MetricError(
            f"{_shown(name)} can't be the name of a metric: take letters, digits and underscores, no digit first, "
            f"{LONGEST_NAME} characters at most"
        )
    if name.startswith(_OURS):
        raise MetricError(f"{name} can't be the name of a metric: {_OURS} is Clipper's own, take another beginning")


def _edges(name: str, buckets: Iterable[float]) -> list[float]:
    try:
        edges = [float(each) for each in buckets]
    except (TypeError, ValueError, OverflowError):
        raise MetricError(f"the buckets of {name} are {_shown(buckets)}: give a list of numbers") from None
    if edges and edges[-1] == math.inf:
        edges.pop()
    if not edges or not all(map(math.isfinite, edges)) or any(a >= b for a, b in pairwise(edges)):
        raise MetricError(
            f"the buckets of {name} are {_shown(buckets)}: give upper bounds, each above the one before"
        )
    if len(edges) > MOST_BUCKETS:
        raise MetricError(f"metric {name} has {len(edges)} buckets: {MOST_BUCKETS} are the most, take fewer")
    return edges


def _finite(value: float) -> float:
    """One NaN or infinity would be the sum for ever."""
    if not math.isfinite(value):
        raise MetricError("it can't be added up: leave out what is not finite, or use a Gauge")
    return value


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else text[:100] + "..."


def _number(value: float) -> str:
    if math.isfinite(value):
        return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def _escaped_line(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _escaped(text: str) -> str:
    return _escaped_line(text).replace('"', r"\"")
