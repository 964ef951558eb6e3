import random
import sys
import textwrap

import pytest

from clipper.errors import BadRequest, ClipperError
from clipper.selection.custom import PolicyError
from clipper.selection.policies import make_policy
from clipper.selection.policy import Choice, Combined, Decision
from tests.clipper.selection.worlds import MODELS, NAMES, A, B, query

FIRST = """
class Policy:
    def __init__(self, place=0):
        self.place = place
    def init(self, models):
        return list(models)
    def select(self, state, context, models, rng):
        return [(models[self.place], 1.0)]
    def combine(self, state, context, outputs, missing):
        return next(((output, 1.0) for output in outputs.values()), None)
    def observe(self, state, context, decision, losses):
        return state
"""


@pytest.fixture
def policy_from(tmp_path, monkeypatch):
    """Makes a policy of a module's text."""
    monkeypatch.syspath_prepend(tmp_path)
    number = iter(range(100))

    def make(text, name="Policy", **params):
        module = f"mine_{tmp_path.name.replace('-', '_')}_{next(number)}"
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(text))
        try:
            return make_policy(f"{module}:{name}", params, "zero_one", 1.0, "doubles")
        finally:
            sys.modules.pop(module, None)

    return make


def changed(**functions):
    """The policy with other functions, each a body of one line."""
    arguments = {"select": "state, context, models, rng", "combine": "state, context, outputs, missing"}
    arguments |= {"observe": "state, context, decision, losses", "init": "models", "weights": "state"}
    arguments |= {"ask_more": "state, context, models, outputs", "relink": "state, models", "prior": "state"}
    return FIRST + "".join(
        f"    def {name}(self, {arguments[name]}):\n        {body}\n" for name, body in functions.items()
    )


def test_four_functions_are_enough(policy_from):
    policy = policy_from(FIRST)
    assert (policy.learns, policy.contextual) == (True, True)
    state = policy.init(NAMES)
    assert policy.select(state, query(), MODELS, random.Random(0)) == [Choice(A, 1.0)]
    assert policy.ask_more(state, query(), MODELS, {}) == ()
    assert policy.combine(state, query(), {A: b"7"}, ()) == Combined(b"7", 1.0, True, 1.0)
    assert policy.combine(state, query(), {A: b"7"}, (B,)) == Combined(b"7", 1.0, False, 1.0)
    assert policy.combine(state, query(), {}, ()) is None
    assert policy.observe(state, query(), Decision((), {}, None, 0.0), {}) == state
    assert policy.relink(state, ("x",)) == ["x"]
    assert policy.prior(state) == state
    assert policy.weights(state) == {}


def test_the_rest_may_be_there(policy_from):
    text = changed(
        ask_more="return [(models[-1], 1.0)]",
        relink="return ['relinked', *models]",
        prior="return ['prior']",
        weights="return {name: 1 / len(state) for name in state}",
    )
    policy = policy_from(text + "    learns = False\n    contextual = False\n", place=1)
    assert (policy.learns, policy.contextual) == (False, False)
    assert policy.select([], query(), MODELS, random.Random(0)) == [Choice(B, 1.0)]
    assert policy.ask_more([], query(), (B,), {}) == [Choice(B, 1.0)]
    assert policy.relink([], ("x",)) == ["relinked", "x"]
    assert policy.prior([]) == ["prior"]
    assert policy.weights(["a", "b"]) == {"a": 0.5, "b": 0.5}


def test_outputs_may_be_text(policy_from):
    for given, output in (("'cat'", b'"cat"'), ("'7'", b"7"), ("b'[1]'", b"[1]")):
        combined = policy_from(changed(combine=f"return {given}, 0.5")).combine([], query(), {A: b"7"}, ())
        assert combined == Combined(output, 0.5, True, 0.5)
    policy = policy_from(changed(combine="return b'1', 0.5, False, 0.75"))
    assert policy.combine([], query(), {A: b"7"}, ()) == Combined(b"1", 0.5, False, 0.75)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (
            "no_such_package.mine:Policy",
            "there is no module no_such_package. It must be installed where the que",
        ),
        ("clipper.no_such:Policy", r"there is no module clipper\.no_such"),
        ("json:Policy", "the module json has no Policy"),
        ("json:dumps", "is not a class but function: name the class"),
        (
            "json:JSONDecoder",
            r"lacks init, select, combine, observe: a policy has init\(models\), select\(state, ",
        ),
        (":Policy", "is no import path: write it as package.module:Class"),
        ("json:", "is no import path"),
        ("js on:Policy", "is no import path"),
        ("json:Policy.Inner", "is no import path"),
        ("../json:Policy", "is no import path"),
    ],
)
def test_paths_that_lead_nowhere(path, told):
    with pytest.raises(BadRequest, match=told):
        make_policy(path, {}, "zero_one", 1.0, "doubles")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "import no_such_thing",
            "can't be imported: ModuleNotFoundError: No module named 'no_such_thing'. It mu",
        ),
        ("1 / 0", "can't be imported: ZeroDivisionError: division by zero"),
        ("def", "can't be imported: SyntaxError"),
        ("raise SystemExit(3)", "can't be imported: SystemExit: 3"),
        (FIRST.replace("rng", "*, rng"), r"select must take \(self, state, context, models, rng\), in this order"),
        (FIRST.replace(", losses", ""), r"observe must take \(self, state, context, decision, losses\)"),
        (
            changed(weights="pass").replace("weights(self, state)", "weights(self)"),
            r"weights must take \(self, state\)",
        ),
        (
            FIRST.replace("self.place = place", "raise ValueError('place is wrong')"),
            "with no parameters: ValueError: p",
        ),
        (FIRST.replace("place=0", "place"), "can't be made with no parameters: TypeError: .*place"),
    ],
)
def test_modules_that_are_wrong(policy_from, text, told):
    with pytest.raises(BadRequest, match=told):
        policy_from(text)


def test_parameters_that_it_does_not_take(policy_from):
    with pytest.raises(BadRequest, match=r"can't be made with speed: TypeError: .*unexpected keyword"):
        policy_from(FIRST, speed=1)


@pytest.mark.parametrize(
    ("function", "body", "told"),
    [
        ("select", "return []", "select of .* gave no model to ask"),
        ("select", "return None", r"select of .* gave None, not a list of \(model, propensity\)"),
        ("select", "return ['a']", "not a list of"),
        ("select", "return [(('z', '1'), 1.0)]", r"gave .*'z'.* which is not one of the models"),
        ("select", "return [(models[0], 0.0)]", "gave the propensity 0.0: it must be above 0, and 1 at most"),
        ("select", "return [(models[0], float('nan'))]", "gave the propensity nan"),
        ("select", "return [(models[0], 1.0)] * 2", "gave a model twice"),
        ("select", "return 1 / 0", "select of .* raised ZeroDivisionError: division by zero"),
        ("combine", "return b'cat', 1.0", "gave the output b'cat', which is not JSON"),
        ("combine", "return 7, 1.0", "gave an output of type int: give JSON as bytes, or a str"),
        ("combine", "return b'7'", r"gave b'7', not \(output, confidence\) or None"),
        ("combine", "return b'7', 1.5", "gave the confidence 1.5: it must be from 0 to 1"),
        ("combine", "return b'7', float('nan')", "gave the confidence nan"),
        ("combine", "raise KeyError('a')", "combine of .* raised KeyError"),
        ("observe", "return object()", "observe of .* gave a state that can't be kept as MessagePack"),
        ("observe", "raise Exception", "observe of .* raised Exception$"),
        ("init", "return {1: object()}", "init of .* gave a state that can't be kept"),
        ("ask_more", "return [(('z', '1'), 1.0)]", "ask_more of .* gave .* not one of the models"),
        ("weights", "return [1]", r"weights of .* gave \[1\], not a dict"),
    ],
)
def test_what_it_gives_is_looked_at(policy_from, function, body, told):
    policy = policy_from(changed(**{function: body}))
    calls = {
        "init": lambda: policy.init(NAMES),
        "select": lambda: policy.select([], query(), MODELS, random.Random(0)),
        "ask_more": lambda: policy.ask_more([], query(), MODELS, {}),
        "combine": lambda: policy.combine([], query(), {A: b"7"}, ()),
        "observe": lambda: policy.observe([], query(), Decision((), {}, None, 0.0), {}),
        "weights": lambda: policy.weights([]),
    }
    with pytest.raises(PolicyError, match=told) as raised:
        calls[function]()
    assert isinstance(raised.value, ClipperError)
    assert raised.value.status == 500
