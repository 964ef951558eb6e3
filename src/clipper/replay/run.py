"""One policy, with one seed, on its way through a log."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from clipper.errors import BadRequest, ClipperError
from clipper.replay.estimators import Averages
from clipper.replay.scoring import WORST, Scored
from clipper.selection.policy import Choice, Context, Decision, SelectionPolicy, State
from clipper.types import ModelVersion


class Outcome(NamedTuple):
    """What an entry adds to the estimates: see ``estimators.Terms``."""

    weight: float
    weighted: float
    robust: float


class States:
    """Everybody's state, and one for each user who has given feedback, which starts from the prior of everybody's.

    The others are answered from everybody's, as the frontends do it.
    """

    def __init__(self, policy: SelectionPolicy, users: bool) -> None:
        self._policy = policy
        self._users = users
        self._kept: dict[str, tuple[State, tuple[str, ...]]] = {}

    def of(self, user: str, names: tuple[str, ...]) -> State:
        """The state that a user ("": one without a name) is answered from while these are the models."""
        key = user if self._users and user in self._kept else ""
        if key not in self._kept:
            return self._policy.init(names)
        state, linked = self._kept[key]
        return state if linked == names else self._policy.relink(state, names)

    def observe(self, names: tuple[str, ...], lesson: Lesson) -> None:
        everybody, user = self.of("", names), lesson.context.user
        if self._users and user:
            start = self.of(user, names) if user in self._kept else self._policy.prior(everybody)
            self._kept[user] = (self._observed(start, lesson), names)
        self._kept[""] = (self._observed(everybody, lesson), names)

    def _observed(self, state: State, lesson: Lesson) -> State:
        return self._policy.observe(state, lesson.context, lesson.decision, lesson.losses)


class Lesson(NamedTuple):
    """Feedback on a decision of the policy's own."""

    context: Context
    decision: Decision
    losses: dict[ModelVersion, float]


class _Pending(NamedTuple):
    due: int
    names: tuple[str, ...]
    lesson: Lesson


class Run:
    """Replays a policy that learns from the entries that match its own choices (Li, Chu, Langford & Wang 2011)."""

    def __init__(self, name: str, policy: SelectionPolicy, seed: int, users: bool, delay: int) -> None:
        self.matched = 0
        self.robust = 0.0
        self.largest_weight = 0.0
        self.wanted: tuple[str, ...] = ()
        self._name = name
        self._policy = policy
        self._rng = random.Random(seed)
        self._states = States(policy, users)
        self._delay = delay
        self._steps = 0
        self._pending: deque[_Pending] = deque()
        self._ensembles = Averages()

    def step(self, scored: Scored, averages: Averages) -> Outcome:
        """Goes through the next entry. ``averages`` are the models' mean losses before it."""
        try:
            outcome = self._step(scored, averages)
        except BadRequest:
            raise
        except Exception as error:  # a policy may be anybody's
            what = error.cause if isinstance(error, ClipperError) else f"{self._name} raised {error!r}"
            raise BadRequest(f"Line {scored.entry.line}: {what}") from error
        self._steps += 1
        self.robust += outcome.robust
        self.largest_weight = max(self.largest_weight, outcome.weight)
        return outcome

    def _step(self, scored: Scored, averages: Averages) -> Outcome:
        self._learn()
        entry, policy = scored.entry, self._policy
        data = scored.data() if policy.contextual else b""
        context = Context(data, entry.input_type, entry.user, self._rng.random())
        state = self._states.of(entry.user, scored.names)
        choices = list(policy.select(state, context, scored.candidates, self._rng))
        predicted, key = self._predicted(choices, averages)
        self._ask_more(scored, state, context, choices)
        weight = self._weight(scored, choices)
        if weight == 0.0:
            return Outcome(0.0, 0.0, predicted)
        loss = self._answer(scored, state, context, choices)
        if key:
            self._ensembles.add(key, loss)
        return Outcome(weight, weight * loss, predicted + weight * (loss - predicted))

    def _learn(self) -> None:
        """Takes in the feedback that has come by now."""
        while self._pending and self._pending[0].due <= self._steps:
            _, names, lesson = self._pending.popleft()
            self._states.observe(names, lesson)

    def _predicted(self, choices: Sequence[Choice], averages: Averages) -> tuple[float, tuple[str, ...]]:
        """The loss to be expected of asking these, and the name under which that of several is learned.

        It goes by what is selected at first alone: what a cascade asks after that depends on what is in the log, and
        a prediction that did so, too, would bias DR.
        """
        if not choices:
            raise BadRequest(f"The policy {self._name} has selected no model")
        if len(choices) == 1:
            return averages.of(choices[0].model.name), ()
        key = tuple([model.name for model, _ in choices])
        return self._ensembles.of(key), key

    def _ask_more(self, scored: Scored, state: State, context: Context, choices: list[Choice]) -> None:
        """Adds to ``choices`` what is asked once their outputs are known, as long as the log has these."""
        outputs, asked = scored.entry.outputs, scored.entry.propensities
        while len(choices) < len(scored.candidates) and all(model in asked for model, _ in choices):
            chosen = [model for model, _ in choices]
            left = [model for model in scored.candidates if model not in chosen]
            known = {model: outputs[model] for model in chosen if model in outputs}
            more = [each for each in self._policy.ask_more(state, context, left, known) if each.model in left]
            if not more:
                return
            choices.extend(more)

    def _weight(self, scored: Scored, choices: Sequence[Choice]) -> float:
        """1 / the probability with which the log asked all of these; 0 if it did not."""
        asked = scored.entry.propensities
        joint = 1.0
        for model, _ in choices:
            if model not in asked:
                self.wanted = self.wanted or tuple(choice.model.name for choice in choices)
                return 0.0
            joint *= asked[model]
        return 1.0 / joint

    def _answer(self, scored: Scored, state: State, context: Context, choices: Sequence[Choice]) -> float:
        """The loss of the policy's answer; its feedback is on its way."""
        self.matched += 1
        given = scored.entry.outputs
        outputs = {model: given[model] for model, _ in choices if model in given}
        missing = [model for model, _ in choices if model not in given]
        combined = self._policy.combine(state, context, outputs, missing)
        answer = None if combined is None else combined.output
        loss = scored.loss_of(self._name, choices, answer) if combined else WORST
        if self._policy.learns:
            decision = Decision(choices, outputs, answer, combined.confidence if combined else 0.0)
            lesson = Lesson(context, decision, scored.losses_of(choices))
            self._pending.append(_Pending(self._steps + 1 + self._delay, scored.names, lesson))
        return loss
