"""What a container measures of each batch, under the names that begin with ``clipper_mc_``."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Final

from clipper.container.metrics import Counter, Histogram, Instrument, family_lines

SIZES: Final = tuple(float(1 << doubling) for doubling in range(13))
SECONDS: Final = tuple(0.00001 * 4**step for step in range(5)) + tuple(0.005 * 2**doubling for doubling in range(12))
"""Parsing takes microseconds and a large model seconds: from 10 µs to 10 s."""


class BatchMetrics:
    """Written by the thread that serves, without a lock; read by any other."""

    def __init__(self) -> None:
        self.size = Histogram(SIZES)
        self.receive = Histogram(SECONDS)
        self.parse = Histogram(SECONDS)
        self.handle = Histogram(SECONDS)
        self.end_to_end = Histogram(SECONDS)
        self.errors = 0

    def record(self, size: int, receive: float, parse: float, handle: float, end_to_end: float) -> None:
        """One batch of ``size`` queries and what it took, in seconds."""
        # Not ``report``: this is once for each batch, of numbers that are known to be numbers.
        self.size.counts[bisect_left(SIZES, size)] += 1
        self.size.sum += size
        self.receive.counts[bisect_left(SECONDS, receive)] += 1
        self.receive.sum += receive
        self.parse.counts[bisect_left(SECONDS, parse)] += 1
        self.parse.sum += parse
        self.handle.counts[bisect_left(SECONDS, handle)] += 1
        self.handle.sum += handle
        self.end_to_end.counts[bisect_left(SECONDS, end_to_end)] += 1
        self.end_to_end.sum += end_to_end

    def render(self, labels: Mapping[str, str]) -> str:
        """In the text format of Prometheus, with these labels on each sample."""
        families = self._families()
        return "".join(
            line for name, description, held in families for line in family_lines(name, description, held, labels)
        )

    def _families(self) -> Iterator[tuple[str, str, Instrument]]:
        yield "clipper_mc_batches_total", "Batches answered", _counter(sum(self.size.counts))
        yield "clipper_mc_predictions_total", "Queries answered, errors included", _counter(self.size.sum)
        yield "clipper_mc_errors_total", "Queries answered with an error", _counter(self.errors)
        yield "clipper_mc_batch_size", "Queries in a batch", self.size
        yield "clipper_mc_receive_seconds", "From the first byte of a batch to its last", self.receive
        yield "clipper_mc_parse_seconds", "From a batch to the arrays that the model gets", self.parse
        yield "clipper_mc_handle_seconds", "The model's own time, and that of writing its outputs", self.handle
        yield "clipper_mc_end_to_end_seconds", "From the first byte of a batch to its answer", self.end_to_end


def _counter(value: float) -> Counter:
    made = Counter()
    made.value = value
    return made
