"""Whether a policy keeps the contract of ``clipper.selection.policy``: for those who write their own.

``python -m clipper.selection.conformance mypkg.mine:Policy '{"param": 1}'`` prints what is wrong; its exit code is 0
if nothing is. It is no proof, but shows what goes wrong with some thousand made-up queries.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from clipper.errors import BadRequest, ClipperError
from clipper.selection.losses import LOSSES
from clipper.selection.policies import make_policy
from clipper.selection.policy import Choice, Decision, SelectionPolicy, State
from clipper.selection.violations import (
    MODELS,
    NAMES,
    decide,
    kept,
    query,
    taught,
    text,
    wrong_answer,
    wrong_choices,
    wrong_state,
)
from clipper.types import ModelVersion

NEW: Final = ModelVersion("newcomer-7f3a", "1")
"""Its name is looked for in states that should have no trace of it."""

FEEDBACKS: Final = 1000
_DRAWS: Final = 2000
_SURE: Final = 0.05
"""How far the share of a model may be from its propensity, over so many draws: more than four deviations."""


def check_policy(policy: SelectionPolicy, input_type: str = "doubles") -> list[str]:
    """What breaks the contract, in words; empty if nothing was found."""
    found: list[str] = []
    for check in CHECKS:
        try:
            found += check(policy, input_type)
        except (Exception, SystemExit) as error:
            doing = check.__name__.removeprefix("_check_").replace("_", " ")
            told = error.cause if isinstance(error, ClipperError) else f"{type(error).__name__}: {error}"
            found.append(f"{doing}: {told}")
    return list(dict.fromkeys(found))


def _states(policy: SelectionPolicy, input_type: str) -> list[State]:
    """One without feedback, one with a little, one with more."""
    later = list(taught(policy, input_type, 60))
    return [kept(policy.init(NAMES)), later[4], later[-1]]


def _check_init(policy: SelectionPolicy, input_type: str) -> Iterable[str]:
    state = policy.init(NAMES)
    if text(state) != text(policy.init(NAMES)):
        yield "init gives another state each time"
    if text(kept(state)) != text(state):
        yield "the state of init is another after MessagePack: make it of dicts by str, lists, str, bytes and numbers"
    policy.weights(kept(policy.init(())))


def _check_select(policy: SelectionPolicy, input_type: str) -> Iterable[str]:
    rng = random.Random(2)
    for state in _states(policy, input_type):
        before = text(state)
        for user in ("", "somebody"):
            context = query(input_type, rng, user)
            choices = policy.select(state, context, MODELS, random.Random(5))
            yield from wrong_choices("select", choices, MODELS)
            if not choices:
                yield "select gives no model to ask"
            if list(choices) != list(policy.select(state, context, MODELS, random.Random(5))):
                yield "select gives something else for the same state, query and rng: draw from these two only"
            yield from wrong_choices("select", policy.select(state, context, MODELS[1:2], rng), MODELS[1:2])
            yield from wrong_choices("select", policy.select(state, context, (*MODELS, NEW), rng), (*MODELS, NEW))
        if text(state) != before:
            yield "select changes the state in place"


def _check_propensities(policy: SelectionPolicy, input_type: str) -> Iterable[str]:
    """Each model must be chosen as often as its propensity says, over many draws of the same query."""
    rng = random.Random(3)
    for state in _states(policy, input_type):
        context = query(input_type, rng)
        times: dict[ModelVersion, list[float]] = {}
        for draw in range(_DRAWS):
            spread = context._replace(draw=(draw + 0.5) / _DRAWS)
            for model, propensity in policy.select(state, spread, MODELS, rng):
                times.setdefault(model, []).append(propensity)
        for model, stated in times.items():
            share, mean = len(stated) / _DRAWS, sum(stated) / len(stated)
            if abs(share - mean) > _SURE:
                yield f"select chooses {model.name} with a probability near {share:.2f} and gives {mean:.2f}"


def _check_combine(policy: SelectionPolicy, input_type: str) -> Iterable[str]:
    rng = random.Random(4)
    for state in _states(policy, input_type):
        before = text(state)
        context = query(input_type, rng)
        if (
            policy.combine(state, context, {}, ()) is not None
            or policy.combine(state, context, {}, MODELS) is not None
        ):
            yield "combine gives an answer though no model has answered: give None"
        for _ in range(50):
            asked = [choice.model for choice in policy.select(state, context, MODELS, rng)]
            outputs = {model: b"%d" % rng.randrange(3) for model in asked}
            come = rng.sample(asked, rng.randint(1, len(asked)))
            yield from wrong_answer(policy, state, context, {model: outputs[model] for model in come}, outputs)
        if text(state) != before:
            yield "combine changes the state in place"


def _check_ask_more(policy: SelectionPolicy, input_type: str) -> Iterable[str]:
    rng = random.Random(6)
    for state in _states(policy, input_type):
        context = query(input_type, rng)
        asked = [choice.model for choice in policy.select(state, context, MODELS, rng)]
        left = [model for model in MODELS if model not in asked]
        for outputs in ({}, {model: b"1" for model in asked}):
            yield from wrong_choices("ask_more", policy.ask_more(state, context, left, outputs), left)
        if policy.ask_more(state, context, (), dict.fromkeys(MODELS, b"1")):
            yield "ask_more gives models though all have been asked"


def _check_observe(policy: SelectionPolicy, input_type: str) -> Iterable[str]:
    rng = random.Random(7)
    for state in _states(policy, input_type):
        context = query(input_type, rng)
        decision = decide(policy, state, context, MODELS, rng)
        losses = {choice.model: 1.0 for choice in decision.choices}
        before = text(state)
        after = policy.observe(state, context, decision, losses)
        if text(state) != before:
            yield "observe changes the state in place: give a new one"
        if text(policy.observe(kept(state), context, decision, losses)) != text(after):
            yield "observe gives something else for the same state and feedback"
        if not policy.learns and text(after) != before:
            yield "observe changes the state though learns is False"


def _check_strange_feedback(policy: SelectionPolicy, input_type: str) -> Iterable[str]:
    """Models come and go between a decision and its feedback, and feedback may tell nothing."""
    rng = random.Random(8)
    for state in _states(policy, input_type):
        context = query(input_type, rng)
        gone = Decision((Choice(NEW, 0.5),), {NEW: b"1"}, b"1", 1.0)
        failed = Decision([Choice(model, 1.0) for model in MODELS], {}, None, 0.0)
        for decision, losses in (
            (gone, {NEW: 1.0}),
            (gone, {}),
            (failed, dict.fromkeys(MODELS, 1.0)),
            (failed, {MODELS[0]: 0.5, NEW: 0.0}),
            (Decision((), {}, None, 0.0), {}),
        ):
            after = kept(policy.observe(state, context, decision, losses))
            yield from wrong_state(policy, after, NAMES)
            if NEW.name.encode() in text(after):
                yield "observe takes up a model that is not linked"


def _check_long_feedback(policy: SelectionPolicy, input_type: str) -> Iterable[str]:
    for state in taught(policy, input_type, FEEDBACKS):
        yield from wrong_state(policy, state, NAMES)


def _check_relink(policy: SelectionPolicy, input_type: str) -> Iterable[str]:
    rng = random.Random(9)
    for state in _states(policy, input_type):
        before = text(state)
        more = kept(policy.relink(state, (*NAMES, NEW.name)))
        yield from wrong_state(policy, more, (*NAMES, NEW.name))
        context = query(input_type, rng)
        decision = decide(policy, more, context, (*MODELS, NEW), rng)
        more = kept(policy.observe(more, context, decision, {choice.model: 0.0 for choice in decision.choices}))
        fewer = kept(policy.relink(more, NAMES[1:]))
        yield from wrong_state(policy, fewer, NAMES[1:])
        if any(name.encode() in text(fewer) for name in (NEW.name, NAMES[0])):
            yield "relink leaves a trace of a model that is no longer linked"
        yield from wrong_state(policy, kept(policy.relink(kept(policy.relink(fewer, ())), NAMES)), NAMES)
        if text(state) != before:
            yield "relink changes the state in place"


def _check_prior(policy: SelectionPolicy, input_type: str) -> Iterable[str]:
    for state in _states(policy, input_type):
        before = text(state)
        yield from wrong_state(policy, kept(policy.prior(state)), NAMES)
        if text(state) != before:
            yield "prior changes the state in place"


CHECKS: Final[tuple[Callable[[SelectionPolicy, str], Iterable[str]], ...]] = (
    _check_init,
    _check_select,
    _check_propensities,
    _check_combine,
    _check_ask_more,
    _check_observe,
    _check_strange_feedback,
    _check_long_feedback,
    _check_relink,
    _check_prior,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; gives its exit code."""
    parser = argparse.ArgumentParser(prog="python -m clipper.selection.conformance", description=__doc__)
    parser.add_argument("policy", help="package.module:Class, or the name of a policy of Clipper's own")
    parser.add_argument("params", nargs="?", default="{}", help="its parameters, a JSON object")
    parser.add_argument("--loss", choices=LOSSES, default="zero_one")
    parser.add_argument("--input-type", default="doubles")
    given = parser.parse_args(arguments)
    try:
        policy = make_policy(given.policy, _params(given.params), given.loss, 1.0, given.input_type)
        found = check_policy(policy, given.input_type)
    except BadRequest as error:
        found = [error.cause]
    for each in found:
        sys.stdout.write(f"{each}\n")
    sys.stdout.write(f"{given.policy}: {f'{len(found)} found' if found else 'keeps the contract'}\n")
    return 1 if found else 0


def _params(text: str) -> dict[str, object]:
    try:
        params = json.loads(text)
    except ValueError as error:
        raise BadRequest(f"The parameters are not JSON: {error}") from None
    if not isinstance(params, dict):
        raise BadRequest("The parameters are not a JSON object: write them as '{\"param\": 1}'")
    return params


if __name__ == "__main__":
    sys.exit(main())
