"""What is wrong with what a policy gave, in words; and the made-up queries and feedback that bring it to light."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from clipper.fragments import is_fragment
from clipper.selection.policy import Choice, Combined, Context, Decision, SelectionPolicy, State
from clipper.types import ModelVersion

MODELS: Final = tuple(ModelVersion(name, "1") for name in ("alpha", "beta", "gamma"))
NAMES: Final = tuple(model.name for model in MODELS)


def kept(state: State) -> State:
    """The state as it comes back from the store."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(state))


def text(state: State) -> bytes:
    return msgspec.msgpack.encode(state)


def query(input_type: str, rng: random.Random, user: str = "") -> Context:
    values = [rng.gauss(0.0, 1.0) for _ in range(10)]
    data = {"doubles": struct.pack("<10d", *values), "floats": struct.pack("<10f", *values)}
    return Context(data.get(input_type, b"01234567"), input_type, user, rng.random())


def taught(policy: SelectionPolicy, input_type: str, feedbacks: int, seed: int = 1) -> Iterator[State]:
    """The states that random feedback leads to, each as it would come from the store."""
    rng = random.Random(seed)
    state = kept(policy.init(NAMES))
    for _ in range(feedbacks):
        context = query(input_type, rng)
        decision = decide(policy, state, context, MODELS, rng)
        asked = [choice.model for choice in decision.choices]
        losses = {model: rng.choice((0.0, 1.0, rng.random())) for model in asked}
        state = kept(policy.observe(state, context, decision, losses))
        yield state


def decide(
    policy: SelectionPolicy, state: State, context: Context, models: Sequence[ModelVersion], rng: random.Random
) -> Decision:
    choices = policy.select(state, context, models, rng)
    outputs = {choice.model: b"%d" % rng.randrange(3) for choice in choices if rng.random() < 0.9}
    combined = policy.combine(state, context, outputs, [each.model for each in choices if each.model not in outputs])
    if combined is None:
        return Decision(choices, outputs, None, 0.0)
    return Decision(choices, outputs, combined.output, combined.confidence)


def wrong_choices(name: str, choices: Sequence[Choice], models: Sequence[ModelVersion]) -> Iterable[str]:
    asked = [choice.model for choice in choices]
    if not set(asked) <= set(models):
        yield f"{name} gives models that are not among those it may choose from"
    if len(set(asked)) < len(asked):
        yield f"{name} gives a model twice"
    if not all(0.0 < choice.propensity <= 1.0 for choice in choices):
        yield f"{name} gives a propensity that is not above 0 and 1 at most"


def wrong_answer(
    policy: SelectionPolicy,
    state: State,
    context: Context,
    come: dict[ModelVersion, bytes],
    outputs: dict[ModelVersion, bytes],
) -> Iterable[str]:
    missing = [model for model in outputs if model not in come]
    combined = policy.combine(state, context, come, missing)
    if combined is None:
        return
    if combined != policy.combine(state, context, come, missing):
        yield "combine gives something else for the same outputs"
    yield from _wrong_values(combined)
    final = policy.combine(state, context, outputs, ())
    if combined.settled and final is not None and final.output != combined.output:
        yield "combine says that the answer is settled, and gives another when the rest has come"


def _wrong_values(combined: Combined) -> Iterable[str]:
    if not is_fragment(combined.output):
        yield "combine gives an output that is not JSON"
    if not 0.0 <= combined.confidence <= 1.0:
        yield f"combine gives the confidence {combined.confidence}: it must be from 0 to 1"
    if not combined.confidence - 1e-9 <= combined.ceiling <= 1.0:
        yield "combine gives a ceiling that is below the confidence, or above 1"


def wrong_state(policy: SelectionPolicy, state: State, names: Sequence[str]) -> Iterable[str]:
    if not all(abs(number) < float("inf") for number in _numbers(state)):
        yield "the state has numbers that are not finite"
    weights = policy.weights(state)
    if not weights:
        return  # a policy of a user's own need not tell any
    if set(weights) != set(names):
        yield f"weights are of {', '.join(sorted(weights))}, while these are linked: {', '.join(sorted(names))}"
    if not all(0.0 <= weight <= 1.0 + 1e-9 for weight in weights.values()) or abs(sum(weights.values()) - 1.0) > 1e-6:
        yield "weights are not from 0 to 1, or do not add up to 1"


def _numbers(value: object) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _numbers(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _numbers(each)
