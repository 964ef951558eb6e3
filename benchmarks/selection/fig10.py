"""Fig. 10: users of groups with different best models; the state of each user beside everybody's."""

from __future__ import annotations

import functools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.figures.tables import Cell, Result, Table
from benchmarks.selection.groups import Population, population
from benchmarks.selection.settings import Settings
from benchmarks.selection.stream import LABELS, decide
from benchmarks.selection.trials import Numbers, spread
from benchmarks.selection.workers import share_out
from clipper.selection.learning import Learned, Teaching
from clipper.selection.policies import make_policy
from clipper.selection.policy import Context, Decision
from clipper.store.journal import DecisionRecord, Feedback
from clipper.types import ModelVersion

POLICIES = ("hedge", "thompson", "exp3")
USERS = 240
FEEDBACKS = (0, 1, 2, 4, 8, 16, 32)
QUERIES = FEEDBACKS[-1] + 1
"""Of each user."""
SEEDS, QUICK_SEEDS = 10, 2

PAPER = {0: 0.362, 1: 0.312, 2: 0.312, 4: 0.304, 8: 0.300}
PAPER_ORACLE, PAPER_GENERAL = 0.321, 0.362

REMARKS = """
{users} users in {groups} groups of the same size ({names}); a user's group is known to nobody. Each asks for
{queries} MNIST digits, all users mixed; each query is followed by its label. {models} models: a specialist for each
group, trained on 2,000 digits as that group writes them, and a general one, trained on as many of all groups. Error,
and its standard error over {seeds} seeds, at the query after so many feedbacks of the same user. "Own": each user has
a state, and starts from everybody's at that time, shrunk, as the query frontends do it
(`clipper.selection.learning`). "Everybody's": all queries are answered from one state. The oracle asks the specialist
of the user's group.

What differs: the paper's users are 168 speakers of 8 dialects (TIMIT), its models a static one per dialect (.321, the
oracle here) and one for all (.362). Our groups differ by more than dialects do, so that there is more to win, and to
lose with the wrong specialist.
"""


@dataclass(frozen=True, slots=True)
class Found:
    """Errors by seed and by the number of feedbacks."""

    own: Numbers
    everybody: Numbers


class Play:
    """One policy and one seed. Users take turns at random; each one's feedback comes before his next query."""

    def __init__(self, given: Population, policy: str, own: bool, seed: int) -> None:
        self._given = given
        self._teaching = Teaching("app", make_policy(policy, {}, "zero_one", 1.0, "doubles"), 0, "doubles")
        self._versions = [ModelVersion(name, "1") for name in given.models]
        self._everybody = self._teaching.untaught(given.models)
        self._users: dict[int, Learned] = {}
        self._own = own
        self._rng = random.Random(seed)

    def run(self, users: int, queries: int) -> Numbers:
        """The mean error of the users' first query, their second, and so on."""
        turns = [user for user in range(users) for _ in range(queries)]
        self._rng.shuffle(turns)
        asked, wrong = [0] * users, np.zeros(queries)
        for user in turns:
            wrong[asked[user]] += self._one(user)
            asked[user] += 1
        return wrong / users

    def _one(self, user: int) -> bool:
        """Whether the answer to the user's next query is wrong."""
        given = self._given
        digit = self._rng.randrange(len(given.labels))
        said = given.outputs[user % len(given.groups), digit].tolist()
        outputs = {version: LABELS[output] for version, output in zip(self._versions, said, strict=True)}
        learned = self._everybody
        if self._own:
            learned = self._users.get(user) or self._teaching.first(self._everybody)
        context = Context(b"", "doubles", str(user), self._rng.random())
        decision = decide(self._teaching.policy, learned.state, context, outputs, self._rng)
        feedback = self._feedback(context, decision, LABELS[given.labels[digit]])
        if self._own:
            self._users[user] = self._teaching.learn(learned, feedback)
        self._everybody = self._teaching.learn(self._everybody, feedback)
        return bool(feedback.loss)

    def _feedback(self, context: Context, decision: Decision, label: bytes) -> Feedback:
        record = DecisionRecord(
            0,
            "app",
            context.user,
            0.0,
            0,
            self._given.models,
            tuple((choice.model, choice.propensity) for choice in decision.choices),
            (),
            {str(model): output for model, output in decision.outputs.items()},
            decision.answer,
            decision.confidence,
            context.draw,
        )
        losses = {str(model): float(output != label) for model, output in decision.outputs.items()}
        return Feedback(record, 0.0, label, losses, float(decision.answer != label))


def trial(seed: int, policy: str, own: bool) -> Numbers:
    return Play(population(), policy, own, seed).run(USERS, QUERIES)


def measure(policy: str, seeds: int) -> Found:
    population()  # trained before there are processes that would each do it
    runs = [share_out(functools.partial(trial, policy=policy, own=own), range(seeds)) for own in (True, False)]
    return Found(*map(np.stack, runs))


def run(settings: Settings) -> list[Result]:
    seeds = QUICK_SEEDS if settings.quick else SEEDS
    given = population()
    found = {policy: measure(policy, seeds) for policy in POLICIES}
    remarks = REMARKS.format(
        users=USERS,
        groups=len(given.groups),
        names=", ".join(given.groups),
        queries=QUERIES,
        models=len(given.models),
        seeds=seeds,
    )
    tables = (error_table(given, found), model_table(given))
    return [Result("fig10", "Fig. 10: a state for each user", remarks, tables, _draw(given, found))]


def error_table(given: Population, found: Mapping[str, Found]) -> Table:
    rows: list[list[Cell]] = []
    for policy, each in found.items():
        for name, errors in ((f"{policy}, own", each.own), (f"{policy}, everybody's", each.everybody)):
            rows.append([name, *(_with_spread(errors[:, count]) for count in FEEDBACKS)])
    rows.append(["oracle", *[f"{given.oracle():.3f}"] * len(FEEDBACKS)])
    rows.append(["general model", *[f"{given.general():.3f}"] * len(FEEDBACKS)])
    rows.append(["paper: own, TIMIT", *(f"{PAPER[count]:.3f}" if count in PAPER else None for count in FEEDBACKS)])
    rows.append(["paper: oracle", *[PAPER_ORACLE] * len(FEEDBACKS)])
    rows.append(["paper: general model", *[PAPER_GENERAL] * len(FEEDBACKS)])
    return Table("Error after so many feedbacks", ["", *map(str, FEEDBACKS)], rows)


def _with_spread(values: Numbers) -> str:
    return f"{values.mean():.3f} ± {spread(values):.3f}"


def model_table(given: Population) -> Table:
    rows: Sequence[list[Cell]] = [
        [group, *(f"{given.error(place, model):.3f}" for model in range(len(given.models)))]
        for place, group in enumerate(given.groups)
    ]
    return Table("Error of each model (columns) on each group's digits", ["group", *given.models], rows)


def _draw(given: Population, found: Mapping[str, Found]) -> Any:
    def draw(axes: Any) -> None:
        for policy, each in found.items():
            (line,) = axes.plot(each.own.mean(axis=0), marker="o", label=f"{policy}, own state")
            axes.plot(each.everybody.mean(axis=0), ":", color=line.get_color(), label=f"{policy}, everybody's")
        axes.axhline(given.oracle(), color="gray", linewidth=0.8, label="oracle")
        axes.axhline(given.general(), color="gray", linestyle="--", linewidth=0.8, label="general model")
        axes.set(xlabel="feedbacks of the user", ylabel="error", ylim=(0, None))
        axes.legend(fontsize="small", ncols=2)

    return draw
