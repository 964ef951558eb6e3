"""A/B and canary splits: fixed shares of the users, or of the queries, for each model.

A user stays with his model: which one, is drawn by weighted rendezvous hashing (Thaler & Ravishankar 1998; with
weights: Schindelhauer & Schomaker 2005). So a change of the shares moves only as many users as it must, and when a
model goes only its own users move.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Mapping, Sequence
from typing import Final

from clipper.selection import answers, odds, params
from clipper.selection.policy import Choice, Combined, Context, Decision
from clipper.types import ModelVersion


class Split:
    """Asks one model, in proportion to the shares ``weights``; without these, all linked models get the same.

    A linked model that ``weights`` does not name gets nothing: if none that it names can be asked, nobody is.
    ``salt`` sets how users fall to models: applications with the same salt have the same users in the same arm.
    """

    __slots__ = ("_salt", "_shares")
    learns: Final = False
    contextual: Final = False

    def __init__(self, *, weights: object = None, salt: object = "") -> None:
        self._shares = None if weights is None else params.shares("weights", weights)
        self._salt = params.text("salt", salt)

    def init(self, models: Sequence[str]) -> list[str]:
        return list(models)

    def relink(self, state: list[str], models: Sequence[str]) -> list[str]:
        return list(models)

    def prior(self, state: list[str]) -> list[str]:
        return state

    def select(
        self, state: list[str], context: Context, models: Sequence[ModelVersion], rng: random.Random
    ) -> Sequence[Choice]:
        shares = self._odds([model.name for model in models])
        if not any(shares):
            return ()
        if not context.user:
            return odds.pick(models, shares, context.draw)
        scores = [
            _score(share, self._salt, context.user, each.name) for share, each in zip(shares, models, strict=True)
        ]
        place = scores.index(min(scores))
        return (Choice(models[place], shares[place] / sum(shares)),)

    def _odds(self, names: Sequence[str]) -> list[float]:
        shares = [1.0] * len(names) if self._shares is None else [self._shares.get(name, 0.0) for name in names]
        return shares

    def ask_more(
        self,
        state: list[str],
        context: Context,
        models: Sequence[ModelVersion],
        outputs: Mapping[ModelVersion, bytes],
    ) -> Sequence[Choice]:
        return ()

    def combine(
        self,
        state: list[str],
        context: Context,
        outputs: Mapping[ModelVersion, bytes],
        missing: Sequence[ModelVersion],
    ) -> Combined | None:
        return answers.first(outputs, missing)

    def observe(
        self, state: list[str], context: Context, decision: Decision, losses: Mapping[ModelVersion, float]
    ) -> list[str]:
        return state

    def weights(self, state: list[str]) -> dict[str, float]:
        return odds.normalised(dict(zip(state, self._odds(state), strict=True)))


def _score(share: float, salt: str, user: str, model: str) -> float:
    """When this model's turn comes for this user: exponentially distributed, so that shares are probabilities."""
    if share == 0.0:
        return math.inf
    parts = [part.encode(errors="surrogatepass") for part in (salt, user, model)]
    # The lengths keep "ab" of "c" from being "a" of "bc".
    text = b"".join(len(part).to_bytes(4, "little") + part for part in parts)
    hashed = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
    return -math.log((hashed + 0.5) / 2.0**64) / share
