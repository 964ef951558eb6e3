"""Made-up traces of queries: keys whose popularity follows Zipf's law, with and without what disturbs a cache."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.int64]

SCAN = 1000
"""Queries of one scan: a client that walks through inputs nobody else asks for."""


def zipf(keys: int, alpha: float, requests: int, rng: np.random.Generator) -> Keys:
    """``requests`` draws of numbers below ``keys``; k comes with a probability proportional to (k + 1)^-alpha."""
    shares = np.cumsum(np.arange(1, keys + 1, dtype=float) ** -alpha)
    return np.searchsorted(shares, rng.random(requests) * shares[-1]).astype(np.int64)


def disturbed(trace: Keys, keys: int, rng: np.random.Generator) -> Keys:
    """A tenth of the queries become keys that come once, here and there; another tenth become scans of such keys."""
    mixed = trace.copy()
    once = rng.random(len(trace)) < 0.1
    period = 10 * SCAN
    once |= np.arange(len(trace)) % period < SCAN
    mixed[once] = keys + np.arange(once.sum())
    return mixed


def shifting(trace: Keys, keys: int, times: int = 10) -> Keys:
    """Popularity moves on ``times`` - 1 times: what was asked for most is asked for least from then on."""
    stretch = np.arange(len(trace)) * times // len(trace)
    return (trace + stretch * (keys // times)) % keys


def costs(keys: int, rng: np.random.Generator) -> Keys:
    """The size of each key's entry in bytes: lognormal, half of them below 2 KB and one in a hundred above 45 KB."""
    return (320 + rng.lognormal(7.4, 1.4, keys)).astype(np.int64)
