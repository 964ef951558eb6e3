"""Bandits that can be asked for an arm and told its loss: our policies, and those of river."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from river import bandit, proba

from benchmarks.selection.stream import Rule
from clipper.selection.policy import Context, Decision
from clipper.types import ModelVersion


class Bandit(Protocol):
    def pull(self) -> tuple[int, Any]:
        """An arm, and what ``learn`` wants to know of the pull."""
        ...

    def learn(self, pulled: tuple[int, Any], loss: float) -> None: ...


class Ours:
    """A policy; each pull keeps its decision, with the propensity of that time."""

    def __init__(self, rule: Rule, arms: int, seed: int) -> None:
        self._policy = rule.make()
        self._versions = [ModelVersion(str(arm), "1") for arm in range(arms)]
        self._state = self._policy.init([version.name for version in self._versions])
        self._rng = random.Random(seed)

    def pull(self) -> tuple[int, Any]:
        context = Context(b"", "doubles", "", self._rng.random())
        choices = self._policy.select(self._state, context, self._versions, self._rng)
        return int(choices[0].model.name), (context, choices)

    def learn(self, pulled: tuple[int, Any], loss: float) -> None:
        arm, (context, choices) = pulled
        version = self._versions[arm]
        decision = Decision(choices, {version: b"0"}, b"0", 1.0)
        self._state = self._policy.observe(self._state, context, decision, {version: loss})


class Theirs:
    """One of river's, told rewards: 1 - loss."""

    def __init__(self, policy: bandit.base.Policy, arms: int) -> None:
        self._policy = policy
        self._arms = list(range(arms))

    def pull(self) -> tuple[int, Any]:
        return self._policy.pull(self._arms), None

    def learn(self, pulled: tuple[int, Any], loss: float) -> None:
        reward = 1 - loss
        if isinstance(self._policy, bandit.ThompsonSampling):
            reward = bool(reward)  # its Beta distribution counts events
        self._policy.update(pulled[0], reward)


OURS: Sequence[Rule] = (
    Rule("epsilon_greedy"),
    Rule("ucb1"),
    Rule("ucb1", {"exploration": 1.0}),
    Rule("thompson"),
    Rule("thompson", {"discount": 0.998}),
    Rule("exp3"),
    Rule("exp3", {"eta": 0.008}),
    Rule("exp3_ix"),
    Rule("exp3_ix", {"scale": 1.0}),
)
RIVER: Mapping[str, Callable[[int], bandit.base.Policy]] = {
    "river EpsilonGreedy, 0.05": lambda seed: bandit.EpsilonGreedy(0.05, seed=seed),
    "river UCB, 1": lambda seed: bandit.UCB(1.0, seed=seed),
    "river UCB, 0.5": lambda seed: bandit.UCB(0.5, seed=seed),
    "river ThompsonSampling": lambda seed: bandit.ThompsonSampling(proba.Beta(), seed=seed),
    "river Exp3, 0.05": lambda seed: bandit.Exp3(0.05, seed=seed),
}
NAMES = (*map(str, OURS), *RIVER)


def make(name: str, arms: int, seed: int) -> Bandit:
    if name in RIVER:
        return Theirs(RIVER[name](seed), arms)
    return Ours(next(rule for rule in OURS if str(rule) == name), arms, seed)
