"""Policies walked through logs: what they learn, what they are given, and what can't be told."""

import random
from collections import deque

import numpy as np
import pytest

from clipper.errors import BadRequest
from clipper.replay import log
from clipper.replay.estimators import doubly_robust, ips, snips
from clipper.replay.evaluation import Settings, Target, evaluate
from clipper.replay.report import warnings
from clipper.selection.losses import loss
from clipper.selection.policies import make_policy
from clipper.selection.policy import Context, Decision
from tests.clipper.replay.logs import doubles, line, of_all, of_one, outputs_of, write

ERRORS = {"a": 0.4, "b": 0.25, "c": 0.1}
EACH = [{"model": f"{name}:1", "propensity": 1.0} for name in "abc"]


@pytest.fixture
def replay(tmp_path):
    """Replays policies, by name or (name, params), in a log of these lines."""

    def run(lines, *targets, **settings):
        path = write(tmp_path / "log.jsonl", lines)
        wanted = [Target(*((each, {}) if isinstance(each, str) else each)) for each in targets]
        return evaluate(log.read(path), wanted, Settings(**settings))

    return run


def refused(replay, lines, policy, **settings):
    with pytest.raises(BadRequest) as raised:
        replay(lines, policy, **settings)
    return raised.value.cause


def direct(lines, name, entries, delay=0):
    """The losses of a policy that is asked and taught itself, where every model's output is known."""
    policy, rng, late, losses = make_policy(name, {}, "zero_one", 1.0, "doubles"), random.Random(0), deque(), []
    state = policy.init(lines[0]["linked"])
    for entry in entries:
        context = Context(b"", "doubles", entry.user, rng.random())
        choices = policy.select(state, context, entry.models, rng)
        outputs = {model: entry.outputs[model] for model, _ in choices}
        combined = policy.combine(state, context, outputs, [])
        losses.append(loss("zero_one", entry.label, combined.output, 1.0))
        of_models = {model: entry.losses[model] for model in outputs}
        late.append((context, Decision(choices, outputs, combined.output, combined.confidence), of_models))
        if len(late) > delay:
            state = policy.observe(state, *late.popleft())
    return losses


@pytest.mark.parametrize("name", ["hedge", "exp4", "exp3", "exp3_ix", "ucb1", "thompson", "epsilon_greedy"])
@pytest.mark.parametrize("delay", [0, 50])
def test_with_full_information_a_replay_is_the_run_itself(replay, tmp_path, name, delay):
    lines = list(of_all(400, ERRORS))
    evaluation = replay(lines, name, delay=delay)
    expected = direct(lines, name, log.read(str(tmp_path / "log.jsonl")), delay)
    terms = evaluation.replays[0].terms
    assert terms.weighted.tolist() == expected
    assert evaluation.full_information
    assert snips(terms) == pytest.approx(ips(terms))
    assert doubly_robust(terms) == pytest.approx(ips(terms))


def test_who_learns_late_errs_more(replay):
    lines = list(of_all(2000, {"a": 0.9, "b": 0.9, "c": 0.05}))
    at_once, late = (ips(replay(lines, "hedge", delay=delay).replays[0].terms).value for delay in (0, 1000))
    assert late > at_once + 0.2


def test_a_policy_learns_from_matching_entries_alone(replay):
    """So that a model is found to be the best by those queries in which the log happens to have asked it."""
    evaluation = replay(of_one(6000, ERRORS), "thompson")
    terms, matched = evaluation.replays[0].terms, evaluation.replays[0].matched
    assert matched == (terms.weights > 0).sum() == pytest.approx(2000, abs=150)
    assert set(terms.weights) == {0.0, 3.0000000000000004} or set(terms.weights) == {0.0, 3.0}
    assert snips(terms).value < 0.16
    assert not evaluation.full_information


@pytest.mark.parametrize("odds", [{"a": 0.5, "b": 0.3, "c": 0.2}, None])
def test_estimates_are_of_the_policy_and_not_of_the_log(replay, odds):
    shares = {"a": 0.1, "b": 0.2, "c": 0.7}
    truth = sum(shares[name] * error for name, error in ERRORS.items())
    evaluation = replay(of_one(6000, ERRORS, odds), ("split", {"weights": shares}), seeds=3)
    terms = evaluation.replays[0].terms
    for estimate in (ips(terms), snips(terms), doubly_robust(terms)):
        assert abs(estimate.value - truth) < 4 * estimate.error
        assert estimate.error < 0.02
    assert evaluation.losses.mean() > truth
    assert warnings(evaluation) == []


def test_a_split_draws_its_users_anew(replay):
    """By the log's own draw each user's queries would all match, or none."""
    lines = [each | {"user": f"user {each['position']}"} for each in of_one(3000, {"a": 0.5, "b": 0.5}, seed=1)]
    policy = make_policy("split", {}, "zero_one", 1.0, "doubles")
    models = [log.ModelVersion("a", "1"), log.ModelVersion("b", "1")]
    kept = [
        each
        for each in lines
        if policy.select([], Context(b"", "", each["user"], 0.5), models, None)[0].model.name
        == each["asked"][0]["model"][0]
    ]
    assert replay(kept, "split").replays[0].matched == pytest.approx(len(kept) / 2, rel=0.15)
    assert replay(kept, ("split", {"salt": ""})).replays[0].matched == len(kept)


def test_predictions_do_not_peek(replay):
    """With a model that is always wrong, DR's first prediction is still the prior's."""
    terms = replay(of_all(3, {"a": 1.0}), "single").replays[0].terms
    assert terms.robust.tolist() == [1.0] * 3  # q + 1 * (l - q)
    lines = [line(position, linked=["a", "b"], outputs={"a:1": 0}, losses={}) for position in range(1, 4)]
    lines[2]["asked"], lines[2]["outputs"] = [{"model": "b:1", "propensity": 0.5}], {"b:1": 0}
    assert replay(lines, "single").replays[0].terms.robust.tolist() == [0.5 + 2 * 0.5, 1.0 + 2 * 0.0, 1.0]


def test_seeds_are_averaged(replay):
    lines = list(of_one(300, ERRORS))
    one, many = (replay(lines, "split", seeds=seeds).replays[0] for seeds in (1, 20))
    assert many.of_seeds[0] == pytest.approx(one.of_seeds[0])
    assert doubly_robust(many.terms).value == pytest.approx(np.mean(many.of_seeds))
    assert doubly_robust(many.terms).error < doubly_robust(one.terms).error
    assert many.matched == pytest.approx(100, abs=20)


def users_lines(count=2000):
    """Half of the users are served well by ``a`` alone, the others by ``b``."""
    rng = random.Random(3)
    for position in range(1, count + 1):
        user = rng.randrange(10)
        errors = {"a": 0.05, "b": 0.95} if user % 2 else {"a": 0.95, "b": 0.05}
        outputs = {f"{name}:1": output for name, output in outputs_of(rng, errors).items()}
        losses = {name: float(output != 0) for name, output in outputs.items()}
        yield line(
            position, user=f"user {user}", linked=["a", "b"], asked=EACH[:2], outputs=outputs, losses=losses, label=0
        )


def test_each_user_has_a_state(replay):
    own, shared = (ips(replay(users_lines(), "hedge", users=users).replays[0].terms).value for users in (True, False))
    assert own < 0.15
    assert shared > 0.3


def test_users_learn_as_in_the_frontends(replay, tmp_path):
    lines = list(users_lines(200))
    terms = replay(lines, "hedge").replays[0].terms
    policy, rng, users, everybody, losses = (
        make_policy("hedge", {}, "zero_one", 1.0, "doubles"), random.Random(0), {}, None, [],
    )  # fmt: skip
    for entry in log.read(str(tmp_path / "log.jsonl")):
        everybody = everybody or policy.init(["a", "b"])
        context = Context(b"", "doubles", entry.user, rng.random())
        state = users.get(entry.user, everybody)
        combined = policy.combine(state, context, entry.outputs, [])
        losses.append(loss("zero_one", entry.label, combined.output, 1.0))
        decision = Decision(policy.select(state, context, entry.models, rng), entry.outputs, None, 1.0)
        start = users.get(entry.user) or policy.prior(everybody)
        users[entry.user] = policy.observe(start, context, decision, entry.losses)
        everybody = policy.observe(everybody, context, decision, entry.losses)
    assert terms.weighted.tolist() == losses


def test_shadows_are_candidates_on_request(replay):
    fields = {"linked": ["a"], "asked": EACH[:1], "shadows": ["c:1"]}
    lines = [each | fields for each in of_all(500, {"a": 0.5, "c": 0.05})]
    without, with_shadows = (replay(lines, "hedge", with_shadows=given) for given in (False, True))
    assert ips(without.replays[0].terms).value == pytest.approx(without.losses.mean())
    assert ips(with_shadows.replays[0].terms).value < 0.2
    assert without.full_information
    assert with_shadows.full_information


def test_links_that_change(replay):
    early, late = list(of_all(300, {"a": 0.5, "b": 0.1})), list(of_all(300, {"b": 0.1, "c": 0.5}, seed=1))
    lines = early + [each | {"position": each["position"] + 300} for each in late]
    assert ips(replay(lines, "hedge").replays[0].terms).value < 0.2


def test_a_cascade(replay):
    evaluation = replay(of_all(2000, {"a": 0.02, "b": 0.02, "c": 0.02}), "cascade")
    assert evaluation.replays[0].matched == 2000
    assert ips(evaluation.replays[0].terms).value < 0.03


def test_a_cascade_where_the_log_stops_early(replay):
    """``a`` was asked alone: what would have been asked after it is not known."""
    lines = [each | {"asked": EACH[:1], "linked": ["a", "b"]} for each in of_all(50, {"a": 0.5})]
    assert refused(replay, lines, "cascade").startswith(
        "cascade asks several models a query (here a, b), and no line"
    )


def test_missing_outputs_cost_1(replay):
    lines = [line(n, linked=["a"], asked=EACH[:1], outputs={}, losses={}, answer=None, default=True) for n in (1, 2)]
    evaluation = replay(lines, "single", "hedge")
    assert [ips(each.terms).value for each in evaluation.replays] == [1.0, 1.0]
    assert evaluation.losses.tolist() == [1.0, 1.0]
    assert any("2 answers of the log were the default output" in each for each in warnings(evaluation))


def test_losses_that_were_given(replay):
    lines = [line(n, linked=["a"], asked=EACH[:1], label=None, losses={"a:1": 0.25}, loss=0.25) for n in (1, 2)]
    evaluation = replay(lines, "single", "exp3")
    assert [ips(each.terms).value for each in evaluation.replays] == [0.25, 0.25]
    assert evaluation.losses.tolist() == [0.25, 0.25]


def test_losses_of_numbers(replay):
    lines = [line(1, linked=["a"], asked=EACH[:1], outputs={"a:1": 6.0}, answer=6.0)]
    assert ips(replay(lines, "single", loss="absolute", loss_scale=4.0).replays[0].terms).value == 0.25
    assert ips(replay(lines, "single", loss="squared", loss_scale=4.0).replays[0].terms).value == 0.0625


def test_a_contextual_policy_sees_the_input(replay):
    rng = random.Random(5)
    lines = []
    for position in range(1, 801):
        side = rng.choice((-1.0, 1.0))
        outputs = {"a:1": int(side > 0), "b:1": int(side < 0)}
        losses = {name: float(output != 0) for name, output in outputs.items()}
        fields = {"linked": ["a", "b"], "asked": EACH[:2], "label": 0, "input": doubles(side)}
        lines.append(line(position, outputs=outputs, losses=losses, **fields))
    assert ips(replay(lines, "linucb").replays[0].terms).value < 0.05


def test_lines_that_say_nothing_are_left_out(replay):
    lines = [line(1, asked=[]), line(2, linked=["a"], asked=EACH[:1]), line(3, label=None, losses={}, loss=None)]
    evaluation = replay(lines, "single")
    assert (evaluation.skipped, len(evaluation.losses)) == (2, 1)
    assert any(each.startswith("2 lines are left out") for each in warnings(evaluation))
    assert refused(replay, [lines[0]], "single").startswith("None of the 1 lines of the log can be replayed")


def test_an_ensemble_on_a_log_that_asked_one(replay):
    cause = refused(replay, of_one(20, ERRORS), "hedge")
    assert cause.startswith("hedge asks several models a query (here a, b, c), and no line of the log has asked all")
    assert "Link the other models as shadows" in cause
    assert cause.endswith("and replay with `--with-shadows`")
    assert "--with-shadows" not in refused(replay, of_one(20, ERRORS), "hedge", with_shadows=True)


def test_a_policy_that_selects_what_was_never_asked(replay):
    cause = refused(replay, of_one(20, ERRORS, {"a": 0.0, "b": 0.5, "c": 0.5}), "single")
    assert cause.startswith("single selects a, which no line of the log has asked")


def test_an_ensemble_without_a_label(replay):
    cause = refused(replay, [line(asked=EACH, outputs={"a:1": 1}, label=None)], "majority_vote")
    assert cause.startswith("Line 1 has a loss and no label: what majority_vote makes of several models' outputs")


def test_a_model_without_a_loss(replay):
    fields = {"linked": ["a", "b"], "asked": EACH[:2], "outputs": {"a:1": 1, "b:1": 1}, "losses": {"b:1": 0.0}}
    cause = refused(replay, [line(label=None, **fields)], "single")
    assert cause == "Line 1 has neither a label nor a loss of a:1"


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ({}, "Line 1 has no input, by which the policy decides"),
        ({"input": "?"}, "Line 1: the input is not base64"),
        ({"input": "AAAA"}, "Line 1: linucb raised ValueError"),
        ({"input_type": "strings"}, "The selection policy 'linucb': inputs of the type strings"),
    ],
)
def test_contextual_policies_need_inputs(replay, fields, cause):
    assert refused(replay, [line(**fields)], "linucb").startswith(cause)


def test_policies_that_there_are_not(replay):
    assert refused(replay, [line()], "best").startswith("Unknown selection policy 'best': choose one of single, ")
    assert refused(replay, [line()], ("hedge", {"speed": 1})).startswith("The selection policy 'hedge' has no param")


def test_losses_that_there_are_not(replay):
    assert refused(replay, [line()], "single", loss="log").startswith(
        "There is no loss 'log': it must be one of zero"
    )
    cause = refused(replay, [line(label="seven")], "single", loss="absolute")
    assert cause == "Line 1: the label is no number, which the loss absolute needs: use `--loss zero_one`"


class Raising:
    learns = False
    contextual = False

    def init(self, models):
        return None

    def select(self, state, context, models, rng):
        raise RuntimeError("no")

    def combine(self, state, context, outputs, missing):
        return None

    def observe(self, state, context, decision, losses):
        return state


def test_a_policy_that_raises(replay):
    name = f"{__name__}:Raising"
    cause = refused(replay, [line()], name)
    assert cause == f"Line 1: select of the selection policy '{name}' raised RuntimeError: no"


def test_few_effective_queries_are_warned_of(replay):
    found = warnings(replay(of_one(60, ERRORS), "split"))
    assert len(found) == 1
    assert found[0].startswith("split: the log tells as much as ")


def test_weights_that_can_not_be_right_are_warned_of(replay):
    lines = [each | {"asked": [each["asked"][0] | {"propensity": 0.9}]} for each in of_one(2000, ERRORS)]
    assert any("the weights are 0.3" in each for each in warnings(replay(lines, "split")))


def test_several_models_drawn_are_warned_of(replay):
    asked = [{"model": "a:1", "propensity": 0.5}, {"model": "b:1", "propensity": 0.25}]
    lines = [line(n, linked=["a", "b"], asked=asked, outputs={"a:1": 7, "b:1": 7}) for n in range(1, 9)]
    evaluation = replay(lines, "majority_vote")
    assert evaluation.replays[0].largest_weight == 8.0
    assert any("8 lines have asked several models with propensities below 1" in each for each in warnings(evaluation))


class Stubborn:
    """Stays with the model that it happened to ask first."""

    contextual = False

    def init(self, models):
        return None

    def select(self, state, context, models, rng):
        return [(next((each for each in models if each.name == state), None) or rng.choice(models), 1.0)]

    def combine(self, state, context, outputs, missing):
        return (*outputs.values(), 1.0)

    def observe(self, state, context, decision, losses):
        return decision.choices[0].model.name


def test_seeds_that_disagree_are_warned_of(replay):
    lines = list(of_all(1000, {"a": 0.5, "b": 0.1}))
    evaluation = replay(lines, f"{__name__}:Stubborn", "hedge", seeds=8)
    assert min(evaluation.replays[0].of_seeds) < 0.2 < 0.4 < max(evaluation.replays[0].of_seeds)
    found = warnings(evaluation)
    assert len(found) == 1
    assert "Stubborn: the seeds differ by more than the intervals say (DR from 0." in found[0]
