"""Made-up applications for policies to prove themselves in."""

import random
import struct

import msgspec

from clipper.selection.policies import make_policy
from clipper.selection.policy import Context, Decision
from clipper.types import ModelVersion

A, B, C = MODELS = tuple(ModelVersion(name, "1") for name in "abc")
NAMES = tuple("abc")
NUMBERS = struct.pack("<3d", 1.0, 2.0, 3.0)


def policy_of(name, loss="zero_one", input_type="doubles", **params):
    return make_policy(name, params, loss, 1.0, input_type)


def query(draw=0.5, user="", data=NUMBERS, input_type="doubles"):
    return Context(data, input_type, user, draw)


def kept(state):
    """As it comes back from the store."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(state))


def asked(policy, state, context, outputs, models=MODELS):
    """The decision about a query that the models, if they are asked, answer with these outputs."""
    choices = list(policy.select(state, context, models, random.Random(0)))
    said = {choice.model: outputs[choice.model] for choice in choices if choice.model in outputs}
    while more := policy.ask_more(state, context, left_of(models, choices), said):
        choices += more
        said |= {choice.model: outputs[choice.model] for choice in more if choice.model in outputs}
    combined = policy.combine(state, context, said, [each.model for each in choices if each.model not in said])
    answer, confidence = (None, 0.0) if combined is None else combined[:2]
    return Decision(choices, said, answer, confidence)


def left_of(models, choices):
    taken = [choice.model for choice in choices]
    return [model for model in models if model not in taken]


def serve(policy, errors, queries, seed=0, delay=0, state=None, labels=10, context_of=None):
    """The mean error of the answers where ``errors(query)`` is how often each model is wrong, and the last state.

    Feedback comes ``delay`` queries late.
    """
    rng = random.Random(seed)
    state = policy.init(NAMES) if state is None else state
    waiting, wrong = [], 0
    for number in range(queries):
        context = query(rng.random()) if context_of is None else context_of(number, rng)
        label = rng.randrange(labels)
        outputs = {
            model: b"%d" % (label if rng.random() >= error else (label + rng.randrange(1, labels)) % labels)
            for model, error in zip(MODELS, errors(number), strict=True)
        }
        decision = asked(policy, state, context, outputs)
        right = b"%d" % label
        wrong += decision.answer != right
        losses = {choice.model: float(decision.outputs.get(choice.model) != right) for choice in decision.choices}
        waiting.append((context, decision, losses))
        if len(waiting) > delay:
            state = policy.observe(state, *waiting.pop(0))
    return wrong / queries, state
