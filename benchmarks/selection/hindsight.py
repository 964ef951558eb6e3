"""The best that one could have done by asking one model at a time, had one known everything beforehand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


def least_loss(losses: npt.NDArray[np.generic], switches: int) -> float:
    """The sum of losses (by query and model) of the best sequence of models that switches so often at most.

    Exact. For each number of switches: the least sum up to a query that ends with a model is this model's own sum
    from somewhere on, after the least sum, with a switch less, up to there.
    """
    totals = np.cumsum(losses, axis=0, dtype=np.float64)
    best = totals
    before = np.vstack([np.zeros(totals.shape[1]), totals[:-1]])
    for _ in range(switches):
        left = np.concatenate([[0.0], best.min(axis=1)[:-1]])  # up to the query before, by any model
        best = totals + np.minimum.accumulate(left[:, None] - before, axis=0)
    return float(best[-1].min())
