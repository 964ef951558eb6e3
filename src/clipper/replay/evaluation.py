"""Walks policies through a log: what each would have selected, what came of it, and what it learns from that."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from clipper.errors import BadRequest
from clipper.replay.estimators import Averages, Terms, Values
from clipper.replay.log import Entry
from clipper.replay.run import Run
from clipper.replay.scoring import Scored, Scorer
from clipper.selection.policies import make_policy
from clipper.selection.policy import SelectionPolicy

Progress = Callable[[int], None]
"""Is told how many entries have been gone through."""


@dataclass(frozen=True, slots=True)
class Target:
    """A policy to evaluate: its name, and the parameters it is made with."""

    name: str
    params: dict[str, object]


@dataclass(frozen=True, slots=True)
class Settings:
    """How a log is replayed.

    ``with_shadows``: shadow models can be selected, too; ``users``: each user has a state of his own; ``seeds``: how
    often each policy is replayed, with other draws; ``delay``: how many entries later it learns of each.
    """

    loss: str = "zero_one"
    loss_scale: float = 1.0
    with_shadows: bool = False
    users: bool = True
    seeds: int = 1
    delay: int = 0


class Replay:
    """One policy in the log, once for each seed."""

    def __init__(self, target: Target, settings: Settings, input_type: str) -> None:
        self.target = target
        self.terms = Terms()
        self._runs = [
            Run(target.name, _made(target, seed, settings, input_type), seed, settings.users, settings.delay)
            for seed in range(settings.seeds)
        ]

    def step(self, scored: Scored, averages: Averages) -> None:
        """Goes through the next entry."""
        weight = weighted = robust = 0.0
        for run in self._runs:
            outcome = run.step(scored, averages)
            weight += outcome.weight
            weighted += outcome.weighted
            robust += outcome.robust
        count = len(self._runs)
        self.terms.add(weight / count, weighted / count, robust / count)

    @property
    def matched(self) -> float:
        """How many entries the log could answer, on average over the seeds."""
        return sum(run.matched for run in self._runs) / len(self._runs)

    @property
    def largest_weight(self) -> float:
        return max(run.largest_weight for run in self._runs)

    @property
    def of_seeds(self) -> list[float]:
        """The doubly robust estimate of each seed."""
        return [run.robust / len(self.terms.weights) for run in self._runs]

    def check(self, with_shadows: bool) -> None:
        """BadRequest, with the way out, if the log has nothing to say about the policy."""
        if self.matched == 0:
            raise BadRequest(_nothing_matches(self.target.name, self._runs[0].wanted, with_shadows))


def _nothing_matches(policy: str, wanted: Sequence[str], with_shadows: bool) -> str:
    option = "" if with_shadows else ", and replay with `--with-shadows`"
    names = ", ".join(wanted)
    if len(wanted) > 1:
        return (
            f"{policy} asks several models a query (here {names}), and no line of the log has asked all of them: its "
            "policy seems to ask one. Link the other models as shadows: then the log holds their outputs, too. "
            f"Export it again after some time{option}"
        )
    return (
        f"{policy} selects {names}, which no line of the log has asked: what would have come of it is not known. Try "
        "every model now and then (policy epsilon_greedy, for one), or link this one as a shadow. Export the log "
        f"again after some time{option}"
    )


def _made(target: Target, seed: int, settings: Settings, input_type: str) -> SelectionPolicy:
    """The policy. A split draws users of its own: by the log's draw, each user would match always or never."""
    salt: dict[str, object] = {"salt": f"replay {seed}"} if target.name == "split" else {}
    return make_policy(target.name, salt | target.params, settings.loss, settings.loss_scale, input_type)


class Evaluation:
    """A log and the policies replayed in it. ``losses`` are those of what was really answered."""

    def __init__(self, targets: Sequence[Target], settings: Settings) -> None:
        self.settings = settings
        self.app = ""
        self.skipped = self.defaults = self.joint = 0
        self.full_information = True
        self.replays: list[Replay] = []
        self._targets = targets
        self._scorer = Scorer(settings.loss, settings.loss_scale)
        self._averages = Averages()
        self._losses = array("d")

    @property
    def losses(self) -> Values:
        return np.array(self._losses)

    def step(self, entry: Entry) -> None:
        """Goes through the next entry; one that says nothing about any model is only counted, as skipped."""
        if not entry.scorable:
            self.skipped += 1
            return
        if not self.replays:
            self.app = entry.app
            self.replays = [Replay(target, self.settings, entry.input_type) for target in self._targets]
        scored = self._scorer.scored(entry, self.settings.with_shadows)
        self._note(scored)
        for replay in self.replays:
            replay.step(scored, self._averages)
        for model, loss in scored.losses.items():  # afterwards: a prediction must not know what it predicts
            self._averages.add(model.name, loss)

    def _note(self, scored: Scored) -> None:
        entry = scored.entry
        self._losses.append(scored.answered())
        self.defaults += entry.answer is None
        unsure = sum(each < 1.0 for each in entry.propensities.values())
        self.joint += unsure > 1
        if self.full_information:
            self.full_information = not unsure and all(model in entry.propensities for model in scored.candidates)

    def finish(self) -> None:
        if not self.replays:
            raise BadRequest(
                f"None of the {self.skipped} lines of the log can be replayed: each lacks a model that was asked, or "
                "a label or loss"
            )
        for replay in self.replays:
            replay.check(self.settings.with_shadows)


def evaluate(
    entries: Iterable[Entry], targets: Sequence[Target], settings: Settings, progress: Progress = lambda count: None
) -> Evaluation:
    """Replays each target in the log. BadRequest if that can't be done, naming the line where it is one's fault."""
    evaluation = Evaluation(targets, settings)
    for count, entry in enumerate(entries, 1):
        evaluation.step(entry)
        progress(count)
    evaluation.finish()
    return evaluation
