"""One step of learning: a state, and feedback, give the next state. The same wherever and whenever it is done."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from clipper.selection.policy import Choice, Context, Decision, SelectionPolicy, State
from clipper.store.journal import Entry, Feedback, StoredState

log = logging.getLogger(__name__)

SCORES_KEPT: Final = 64
"""Model versions whose losses are added up; of more the first ones go."""


class Score(NamedTuple):
    """How often a model version was scored, and the sum of its losses."""

    times: int
    total: float


class Learned(NamedTuple):
    """What the feedback of one application has taught, or of one of its users.

    ``linked`` are the models that ``state`` is about; ``scores`` are by ``name:version``, with shadows; ``gone`` says
    of everybody's state at which position of the journal models were unlinked.
    """

    state: State
    linked: tuple[str, ...]
    feedbacks: int = 0
    scores: Mapping[str, Score] = {}
    gone: Mapping[str, int] = {}

    def plain(self) -> list[Any]:
        """As it is kept in the store."""
        return [self.state, self.linked, self.feedbacks, self.scores, self.gone]


class Teaching:
    """What feedback on ``app`` teaches: its policy, under its epoch; and the input type of its queries.

    ``failures`` counts what the policy could not learn from.
    """

    __slots__ = ("app", "epoch", "failures", "input_type", "policy")

    def __init__(self, app: str, policy: SelectionPolicy, epoch: int, input_type: str) -> None:
        self.app = app
        self.policy = policy
        self.epoch = epoch
        self.input_type = input_type
        self.failures = 0

    def untaught(self, linked: tuple[str, ...]) -> Learned:
        return Learned(self._safely(lambda: self.policy.init(linked)), linked)

    def kept(self, stored: StoredState | None) -> Learned | None:
        """What was kept, unless it was learned by another policy."""
        if stored is None or stored.epoch != self.epoch or stored.state is None:
            return None
        state, linked, feedbacks, scores, gone = stored.state
        return Learned(state, tuple(linked), feedbacks, {name: Score(*each) for name, each in scores.items()}, gone)

    def first(self, everybody: Learned) -> Learned:
        """Where a user starts."""
        return Learned(self._safely(lambda: self.policy.prior(everybody.state)), everybody.linked)

    def for_links(self, learned: Learned, linked: tuple[str, ...]) -> State:
        """The state to serve from while these models are linked."""
        if learned.state is None:  # there was no policy to begin with, or it failed to
            return self._safely(lambda: self.policy.init(linked))
        if learned.linked == linked:
            return learned.state
        return self._safely(lambda: self.policy.relink(learned.state, linked))

    def without(self, learned: Learned, models: Collection[str]) -> Learned:
        """What is left when these are unlinked: should they come back, they are new."""
        left = tuple([name for name in learned.linked if name not in models])
        if left == learned.linked:
            return learned
        state = self.for_links(learned, left) if left else None
        return Learned(state, left, learned.feedbacks, _without(learned.scores, models), learned.gone)

    def of_user(self, own: Learned, position: int, everybody: Learned) -> Learned:
        """A user's state, as of ``position``, without what was unlinked since."""
        return self.without(own, [name for name, when in everybody.gone.items() if when > position])

    def unlink(self, everybody: Learned, position: int, models: Sequence[str]) -> Learned:
        """Everybody's state once these models are unlinked, at this position of the journal."""
        left = self.without(everybody, models)
        gone = {**everybody.gone, **dict.fromkeys(models, position)}
        while len(gone) > SCORES_KEPT:
            del gone[next(iter(gone))]
        return left._replace(gone=gone, scores=_without(left.scores, models))

    def weights(self, state: State) -> dict[str, float]:
        """How far a state trusts each model."""
        weights: dict[str, float] = self._safely(lambda: self.policy.weights(state), {})
        return weights

    def learn(self, learned: Learned, feedback: Feedback) -> Learned:
        """The next state. A policy that fails to learn from the feedback is as it was; the log tells."""
        decision = feedback.decision
        state = self.for_links(learned, decision.linked)
        if self.policy.learns:
            state = self._observe(state, feedback)
        scores = _add_up(learned.scores, feedback.losses)
        return Learned(state, decision.linked, learned.feedbacks + 1, scores, learned.gone)

    def _observe(self, state: State, feedback: Feedback) -> State:
        decision = feedback.decision
        context = Context(decision.data, self.input_type, decision.user, decision.draw)
        choices = [Choice(model, propensity) for model, propensity in decision.asked]
        models = {str(choice.model): choice.model for choice in choices}
        for shadow in decision.shadows:
            models[str(shadow)] = shadow
        outputs = {models[name]: output for name, output in decision.outputs.items() if name in models}
        losses = {models[name]: loss for name, loss in feedback.losses.items() if name in models}
        decided = Decision(choices, outputs, decision.answer, decision.confidence)
        return self._safely(lambda: self.policy.observe(state, context, decided, losses), state)

    def _safely(self, call: Callable[[], State], otherwise: State = None) -> State:
        """A policy may be a user's own: whatever it does, other applications must not notice."""
        try:
            return call()
        except Exception:
            self.failures += 1
            if self.failures.bit_count() == 1:  # one of many, where all fail
                log.exception("%s: its policy can't learn (failure %d)", self.app, self.failures)
            return otherwise


def rebuild(
    teaching: Teaching,
    decision_of: tuple[str, str],
    linked: tuple[str, ...],
    stored: StoredState | None,
    stored_user: StoredState | None,
    entries: Iterable[Entry],
) -> tuple[Learned, Learned | None]:
    """What an application has learned, and what of one user: kept states brought up to date.

    ``decision_of`` is (application, user or ``""``); ``entries`` all feedback since the checkpoint. Both come back as
    of their last feedback: ``Teaching.for_links`` brings them to the models linked now.
    """
    app, user = decision_of
    everybody = teaching.kept(stored) or teaching.untaught(linked)
    own = teaching.kept(stored_user)
    since, since_user = (each.position if each is not None else 0 for each in (stored, stored_user))
    for position, feedback in entries:
        if feedback.decision.app != app:
            continue
        is_his = bool(user) and feedback.decision.user == user and position > since_user
        if feedback.forget:
            own = None if is_his else own
            if not feedback.decision.user and position > since:
                everybody = teaching.unlink(everybody, position, feedback.decision.linked)
        elif feedback.decision.epoch == teaching.epoch:
            if is_his:
                known = teaching.of_user(own, since_user, everybody) if own is not None else None
                own, since_user = teaching.learn(known or teaching.first(everybody), feedback), position
            everybody = teaching.learn(everybody, feedback) if position > since else everybody
    return everybody, teaching.of_user(own, since_user, everybody) if own is not None else None


def mean_losses(learned: Learned) -> dict[str, tuple[int, float]]:
    """How often each model version was scored, and its mean loss."""
    return {name: (times, total / times) for name, (times, total) in learned.scores.items()}


def _without(scores: Mapping[str, Score], models: Collection[str]) -> Mapping[str, Score]:
    return {name: score for name, score in scores.items() if name.rpartition(":")[0] not in models}


def _add_up(scores: Mapping[str, Score], losses: Mapping[str, float]) -> Mapping[str, Score]:
    added = dict(scores)
    for name, loss in losses.items():
        times, total = added.get(name, (0, 0.0))
        added[name] = Score(times + 1, total + loss)
    while len(added) > SCORES_KEPT:
        del added[next(iter(added))]
    return added
