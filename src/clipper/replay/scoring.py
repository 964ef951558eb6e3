"""How well the models of a log's entry did, and any answer made of their outputs."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from clipper.errors import BadRequest
from clipper.replay.log import Entry
from clipper.selection.losses import LOSSES, loss
from clipper.selection.outputs import numbers
from clipper.selection.policy import Choice
from clipper.types import ModelVersion

WORST: Final = 1.0
"""The loss of an output that did not come, and of an answer that none was made for: the default output's."""


class Scorer:
    """Losses by label where there is one, of the kind that is asked for; else those that the log has."""

    def __init__(self, kind: str, scale: float) -> None:
        if kind not in LOSSES:
            raise BadRequest(f"There is no loss {kind!r}: it must be one of {', '.join(LOSSES)}")
        self.kind = kind
        self.scale = scale

    def scored(self, entry: Entry, with_shadows: bool) -> Scored:
        if self.kind != "zero_one" and entry.label is not None and numbers(entry.label) is None:
            raise BadRequest(
                f"Line {entry.line}: the label is no number, which the loss {self.kind} needs: use `--loss zero_one`"
            )
        candidates = tuple(dict.fromkeys((*entry.models, *entry.shadows))) if with_shadows else entry.models
        return Scored(entry, candidates, self)

    def loss(self, label: bytes, output: bytes) -> float:
        return loss(self.kind, label, output, self.scale)


class Scored:
    """An entry, the models that can be selected, and the losses of those asked, as far as they are known."""

    __slots__ = ("_scorer", "candidates", "entry", "losses", "names")

    def __init__(self, entry: Entry, candidates: tuple[ModelVersion, ...], scorer: Scorer) -> None:
        self.entry = entry
        self.candidates = candidates
        self.names = _names(candidates)
        self._scorer = scorer
        self.losses = self._losses()

    def _losses(self) -> dict[ModelVersion, float]:
        entry, losses = self.entry, {}
        for model in entry.propensities:
            output = entry.outputs.get(model)
            if output is None:
                losses[model] = WORST
            elif entry.label is not None:
                losses[model] = self._scorer.loss(entry.label, output)
            elif model in entry.losses:
                losses[model] = entry.losses[model]
        return losses

    def answered(self) -> float:
        """The loss of what was really answered."""
        entry = self.entry
        if entry.answer is None:
            return WORST
        if entry.label is not None:
            return self._scorer.loss(entry.label, entry.answer)
        if entry.loss is None:
            raise BadRequest(f"Line {entry.line} has neither a label nor a loss of its answer")
        return entry.loss

    def loss_of(self, policy: str, choices: Sequence[Choice], answer: bytes | None) -> float:
        """The loss of what ``policy`` would have answered, having asked these; of None, the default output."""
        entry = self.entry
        if answer is None:
            return WORST
        if entry.label is not None:
            return self._scorer.loss(entry.label, answer)
        if len(choices) > 1:
            raise BadRequest(
                f"Line {entry.line} has a loss and no label: what {policy} makes of several models' outputs can't be "
                "scored. Send labels as feedback, or replay a policy that asks one model"
            )
        return self.losses_of(choices)[choices[0].model]

    def losses_of(self, choices: Sequence[Choice]) -> dict[ModelVersion, float]:
        """The losses of the models asked, which a policy learns from."""
        try:
            return {model: self.losses[model] for model, _ in choices}
        except KeyError as error:
            raise BadRequest(f"Line {self.entry.line} has neither a label nor a loss of {error.args[0]}") from None

    def data(self) -> bytes:
        """The input, for a policy that wants to see it."""
        entry = self.entry
        if entry.input is None:
            raise BadRequest(
                f"Line {entry.line} has no input, by which the policy decides: a log has inputs from the time when "
                "its application has such a policy (linucb) itself. Replay one that does without; a policy of your "
                "own that does, says so with `contextual = False`"
            )
        try:
            return base64.b64decode(entry.input, validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadRequest(f"Line {entry.line}: the input is not base64 ({error})") from None


@lru_cache(maxsize=256)
def _names(models: tuple[ModelVersion, ...]) -> tuple[str, ...]:
    return tuple(model.name for model in models)
