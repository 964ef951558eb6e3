"""One answer of several models' outputs: the vote for labels, the mean or the median for numbers.

A confidence is the share of the weight of all models asked that agrees with the answer: a model that is missing, or
says what can't be compared, lowers it. Models are weighed by name, in the order in which they were linked; one
without a weight (it was linked or unlinked meanwhile) has the average weight and comes last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import fsum
from typing import Final, Protocol

import msgspec

from clipper.selection.outputs import Numbers, canonical, distance, numbers, shape
from clipper.selection.policy import Combined
from clipper.types import ModelVersion

AGREEING: Final = 0.1
"""Numbers agree within this share of the application's ``loss_scale``."""

Outputs = Mapping[ModelVersion, bytes]


class Combiner(Protocol):
    """Makes one answer. What it gives does not depend on the order in which outputs came."""

    def combine(
        self, weights: Mapping[str, float], outputs: Outputs, missing: Sequence[ModelVersion]
    ) -> Combined | None:
        """The answer of the outputs that have come; None if none of them is good for one."""
        ...

    def agree(self, one: bytes, other: bytes) -> bool:
        """Whether two outputs count as the same."""
        ...


def combiner_for(loss: str, loss_scale: float) -> Combiner:
    """The one whose answer has the least loss, if the weights are how probably each model is right."""
    if loss == "zero_one":
        return Vote()
    return Median(loss_scale) if loss == "absolute" else Mean(loss_scale)


def weigh(weights: Mapping[str, float], models: Iterable[ModelVersion]) -> dict[ModelVersion, float]:
    """The weight of each of these models, in the order of the links."""
    places = {name: place for place, name in enumerate(weights)}
    average = fsum(weights.values()) / len(weights) if weights else 1.0
    ordered = sorted(models, key=lambda model: (places.get(model.name, len(places)), model))
    found = {model: weights.get(model.name, average) for model in ordered}
    return found if any(found.values()) else dict.fromkeys(found, 1.0)


def unanimous(outputs: Outputs) -> bytes | None:
    """The output, if there is only one: the usual case, which needs no reading."""
    texts = list(outputs.values())
    return texts[0] if texts and texts.count(texts[0]) == len(texts) else None


class Vote:
    """The label with the most weight; of labels with the same weight, that of the model which was linked first."""

    __slots__ = ()

    def agree(self, one: bytes, other: bytes) -> bool:
        return one == other or canonical(one) == canonical(other)

    def combine(
        self, weights: Mapping[str, float], outputs: Outputs, missing: Sequence[ModelVersion]
    ) -> Combined | None:
        if not missing and (only := unanimous(outputs)) is not None:
            return Combined(only, 1.0, True, 1.0)
        if not outputs:
            return None
        asked = weigh(weights, {*outputs, *missing})
        voters = _voters(asked, outputs)
        leader = max(voters.values(), key=lambda models: fsum(asked[each] for each in models))
        late = [model for model in asked if model not in outputs]
        total = fsum(asked.values())
        return Combined(
            outputs[leader[0]],
            fsum(asked[each] for each in leader) / total,
            not late or _is_settled(asked, leader, voters, late),
            fsum(asked[each] for each in (*leader, *late)) / total,
        )


def _voters(asked: Iterable[ModelVersion], outputs: Outputs) -> dict[bytes, list[ModelVersion]]:
    """Who says what, in the order of the links."""
    voters: dict[bytes, list[ModelVersion]] = {}
    for model in asked:
        if model in outputs:
            voters.setdefault(canonical(outputs[model]), []).append(model)
    return voters


def _is_settled(
    asked: dict[ModelVersion, float],
    leader: list[ModelVersion],
    voters: dict[bytes, list[ModelVersion]],
    late: list[ModelVersion],
) -> bool:
    """Whether the leader stays ahead even if all that are late say the same: another's label, or a new one."""
    place = list(asked).index
    weight = fsum(asked[each] for each in leader)
    for others in (*voters.values(), []):
        if others is leader:
            continue
        rivals = [*others, *late]
        against = fsum(asked[each] for each in rivals)
        if against > weight or (against == weight and min(map(place, rivals)) < place(leader[0])):
            return False
    return True


class Mean:
    """The weighted mean of numbers, or of lists of numbers of one length, element by element."""

    __slots__ = ("_tolerance",)

    def __init__(self, loss_scale: float) -> None:
        self._tolerance = AGREEING * loss_scale

    def agree(self, one: bytes, other: bytes) -> bool:
        return _are_near(one, other, self._tolerance)

    def combine(
        self, weights: Mapping[str, float], outputs: Outputs, missing: Sequence[ModelVersion]
    ) -> Combined | None:
        return _combine_numbers(False, self._tolerance, weights, outputs, missing)


class Median:
    """The weighted median of numbers, or of lists of numbers of one length, element by element."""

    __slots__ = ("_tolerance",)

    def __init__(self, loss_scale: float) -> None:
        self._tolerance = AGREEING * loss_scale

    def agree(self, one: bytes, other: bytes) -> bool:
        return _are_near(one, other, self._tolerance)

    def combine(
        self, weights: Mapping[str, float], outputs: Outputs, missing: Sequence[ModelVersion]
    ) -> Combined | None:
        return _combine_numbers(True, self._tolerance, weights, outputs, missing)


def _are_near(one: bytes, other: bytes, tolerance: float) -> bool:
    if one == other:
        return True
    a, b = numbers(one), numbers(other)
    return a is not None and b is not None and shape(a) == shape(b) and distance(a, b) <= tolerance


def _combine_numbers(
    median: bool,
    tolerance: float,
    weights: Mapping[str, float],
    outputs: Outputs,
    missing: Sequence[ModelVersion],
) -> Combined | None:
    only = unanimous(outputs)
    if only is not None and not missing:
        return Combined(only, 1.0, True, 1.0)
    asked = weigh(weights, {*outputs, *missing})
    values = _of_one_shape(asked, outputs)
    if not values:
        return None
    answer = _middle(median, list(values.values()), [asked[model] for model in values])
    total = fsum(asked.values())
    near = fsum(asked[model] for model, value in values.items() if distance(value, answer) <= tolerance)
    late = fsum(asked[model] for model in asked if model not in outputs)
    said = next((outputs[model] for model, value in values.items() if value == answer), None)
    # Written as the first model that says just this wrote it, so that whole numbers stay whole.
    return Combined(
        msgspec.json.encode(answer) if said is None else said, near / total, late == 0.0, (near + late) / total
    )


def _of_one_shape(asked: dict[ModelVersion, float], outputs: Outputs) -> dict[ModelVersion, Numbers]:
    """The outputs that are numbers; if some are lists of another length, those of the shape with the most weight."""
    values = {model: numbers(outputs[model]) for model in asked if model in outputs}
    shapes: dict[int, dict[ModelVersion, Numbers]] = {}
    for model, value in values.items():
        if value is not None:
            shapes.setdefault(shape(value), {})[model] = value
    return max(shapes.values(), key=lambda group: fsum(asked[model] for model in group), default={})


def _middle(median: bool, values: list[Numbers], weights: list[float]) -> Numbers:
    if not any(weights):
        weights = [1.0] * len(weights)
    middle = _median if median else _mean
    flat = [value for value in values if not isinstance(value, list)]
    if flat:
        return middle(flat, weights)
    columns = zip(*(value for value in values if isinstance(value, list)), strict=True)
    return [middle(list(column), weights) for column in columns]


def _mean(values: list[float], weights: list[float]) -> float:
    if values.count(values[0]) == len(values):
        return values[0]  # what all say is the mean, to the last digit
    total = fsum(weights)
    return fsum(value * (weight / total) for value, weight in zip(values, weights, strict=True))


def _median(values: list[float], weights: list[float]) -> float:
    """The value with half of the weight on either side; halfway between two, if each of them has it."""
    ranked = sorted(zip(values, weights, strict=True))
    half = fsum(weights) / 2
    below = 0.0
    for place, (value, weight) in enumerate(ranked):
        below += weight
        if below == half:
            return value / 2 + ranked[place + 1][0] / 2
        if below > half:
            return value
    return ranked[-1][0]
