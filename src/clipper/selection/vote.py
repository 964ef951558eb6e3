"""The ensemble that needs no feedback: every linked model is asked, and each has one vote."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from clipper.selection.policy import Choice, Combined
from clipper.types import ModelVersion

LONGEST_READ: Final = 4096
"""Bytes of an output that is read to be compared; a longer one agrees only with the very same text."""
_EXACT: Final = 2.0**53


class MajorityVote:
    """Answers what most models say; of outputs with as many votes, that of the model which was linked first.

    Two outputs are the same if they are the same JSON value: white space, the order of an object's members and the
    way a number is written (``1``, ``1.0``, ``1e0``) make no difference. The confidence is the share of the linked
    models that agree with the answer: one that has not answered in time, or can't, lowers it. The state is the names
    of the linked models; feedback changes nothing.
    """

    def init(self, linked: Sequence[str]) -> tuple[str, ...]:
        return tuple(linked)

    def select(
        self, state: tuple[str, ...], data: bytes, models: Sequence[ModelVersion], rng: random.Random
    ) -> Sequence[Choice]:
        return [Choice(model, 1.0) for model in models]

    def combine(self, state: tuple[str, ...], data: bytes, outputs: Mapping[ModelVersion, bytes]) -> Combined | None:
        if not outputs:
            return None
        # A model may have been unlinked since it was asked: it still has its vote, after the others.
        places = {name: place for place, name in enumerate(dict.fromkeys((*state, *(each.name for each in outputs))))}
        votes: dict[bytes, list[bytes]] = {}
        for model in sorted(outputs, key=lambda each: places[each.name]):
            votes.setdefault(_canonical(outputs[model]), []).append(outputs[model])
        most = max(votes.values(), key=len)
        return Combined(most[0], len(most) / len(places))

    def observe(
        self,
        state: tuple[str, ...],
        data: bytes,
        choices: Sequence[Choice],
        losses: Mapping[ModelVersion, float],
    ) -> tuple[str, ...]:
        return state


def _whole_if_it_is(text: str) -> int | float | str:
    """A number with a fraction or an exponent, as an integer if that is what it is; beyond doubles, its text."""
    number = float(text)
    if abs(number) < _EXACT:
        return int(number) if number.is_integer() else number
    return text if abs(number) == float("inf") else number


_read = msgspec.json.Decoder(float_hook=_whole_if_it_is).decode


def _canonical(output: bytes) -> bytes:
    """One text for all ways to write a JSON value."""
    if len(output) > LONGEST_READ:
        return output
    try:
        return msgspec.json.encode(_read(output), order="deterministic")
    except (msgspec.MsgspecError, RecursionError):
        return output  # nested too deep to be read
