"""Queries for which it is known what every model says and what is right, and what a policy makes of them."""

from __future__ import annotations

import functools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.selection.recorded import Labels, Recorded
from clipper.selection.policies import make_policy
from clipper.selection.policy import Choice, Context, Decision, SelectionPolicy, State
from clipper.types import ModelVersion

QUERIES = 20_000
CLASSES = 10
LABELS = tuple(b"%d" % label for label in range(CLASSES))

Bools = npt.NDArray[np.bool_]
Order = Sequence[int]


@dataclass(frozen=True, slots=True)
class Stream:
    """``images`` is what each query is about; ``outputs``, by query and model, has the failures in it."""

    models: tuple[str, ...]
    images: Labels
    outputs: Labels
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def wrong(self) -> Bools:
        """By query and model."""
        return self.outputs != self.labels[:, None]


def failing(queries: int) -> slice:
    """The queries of which a failing model knows nothing: from a quarter to a half of all."""
    return slice(queries // 4, queries // 2)


@functools.lru_cache(8)
def _order(images: int, queries: int, seed: int) -> Labels:
    """Passes over the images, each in an order of its own."""
    rng = np.random.default_rng((seed, 1))
    passes = [rng.permutation(images) for _ in range(-(-queries // images))]
    return np.concatenate(passes)[:queries]


def stream(recorded: Recorded, queries: int, seed: int, fails: Order = ()) -> Stream:
    """The recipe of Fig. 8: the models at these places answer at random for a quarter of the time."""
    images = _order(len(recorded.labels), queries, seed)
    outputs = recorded.outputs[images]
    window = failing(queries)
    rng = np.random.default_rng((seed, 2))
    noise = rng.integers(0, CLASSES, (window.stop - window.start, outputs.shape[1]))
    for place in fails:
        outputs[window, place] = noise[:, place]
    return Stream(recorded.models, images, outputs, recorded.labels[images])


@dataclass(frozen=True, slots=True)
class Rule:
    """A policy as an application has it. ``worst_first``: the order of the links, which a cascade goes by."""

    policy: str
    params: Mapping[str, float] | None = None
    worst_first: bool = False

    def __str__(self) -> str:
        shown = "".join(f", {name} {value:g}" for name, value in (self.params or {}).items())
        return f"{self.policy}{shown}{', worst model first' if self.worst_first else ''}"

    def make(self) -> SelectionPolicy:
        return make_policy(self.policy, self.params or {}, "zero_one", 1.0, "doubles")

    def links(self, recorded: Recorded) -> list[int]:
        return recorded.by_accuracy() if self.worst_first else list(range(len(recorded.models)))


@dataclass(frozen=True, slots=True)
class Played:
    """Which answers were wrong, and how many models a query was put to on average."""

    wrong: Bools
    asked: float


def play(policy: SelectionPolicy, given: Stream, seed: int, links: Order) -> Played:
    """What a query frontend does, without the frontend: select, combine, and the feedback at once."""
    rng = random.Random(seed)
    versions = [ModelVersion(given.models[place], "1") for place in links]
    state = policy.init([version.name for version in versions])
    said = given.outputs[:, links].tolist()
    wrong, asked = bytearray(len(given)), 0
    for number, (says, label) in enumerate(zip(said, given.labels.tolist(), strict=True)):
        context = Context(b"", "doubles", "", rng.random())
        everything = {version: LABELS[output] for version, output in zip(versions, says, strict=True)}
        decision = decide(policy, state, context, everything, rng)
        right = LABELS[label]
        wrong[number] = decision.answer != right
        asked += len(decision.choices)
        losses = {model: float(output != right) for model, output in decision.outputs.items()}
        state = policy.observe(state, context, decision, losses)
    return Played(np.frombuffer(wrong, dtype=np.bool_), asked / len(given))


def decide(
    policy: SelectionPolicy,
    state: State,
    context: Context,
    everything: Mapping[ModelVersion, bytes],
    rng: random.Random,
) -> Decision:
    """The decision about a query to which the models, if they are asked, say ``everything``."""
    choices: Sequence[Choice] = policy.select(state, context, list(everything), rng)
    outputs = {choice.model: everything[choice.model] for choice in choices}
    while len(outputs) < len(everything):
        left = [model for model in everything if model not in outputs]
        more = policy.ask_more(state, context, left, outputs)
        if not more:
            break
        choices = [*choices, *more]
        outputs |= {choice.model: everything[choice.model] for choice in more}
    combined = policy.combine(state, context, outputs, ())
    if combined is None:
        return Decision(choices, outputs, None, 0.0)
    return Decision(choices, outputs, combined.output, combined.confidence)
