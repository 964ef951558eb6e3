"""Queries that a policy answers: with a real executor on a virtual clock."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from clipper.execution.replica import Replica
from clipper.rpc.wire import Outcome
from clipper.types import Application, Model, ModelVersion, Registry
from tests.clipper.house import House

A, B, C = (ModelVersion(name, "1") for name in "abc")


def model(name, registration):
    return Model(name=name, version="1", input_type="doubles", registration=registration)


def registry(policy="majority_vote", shadows=(), links=("a", "b", "c"), **fields):
    application = Application(
        name="app",
        input_type="doubles",
        default_output="-1",
        latency_slo_micros=100_000,
        selection_policy=policy,
        policy_epoch=1,
        **fields,
    )
    return Registry(
        revision=1,
        applications={"app": application},
        models={
            each: Model(name=each.name, version="1", input_type="doubles", registration=n)
            for n, each in enumerate((A, B, C))
        },
        current_versions=dict.fromkeys("abc", "1"),
        links={"app": links},
        shadows={"app": shadows},
    )


class Panel(House):
    """With one replica of each model, that answers when it is told to."""

    def __init__(self, known):
        super().__init__(known)
        self.replicas: dict[str, Replica] = {each.name: self.join(each, n)[0] for n, each in enumerate((A, B, C))}

    def says(self, name, output=b"1", ok=True):
        self.answer(self.replicas[name], Outcome(ok, output), ModelVersion(name, "1"))


def told(panel):
    return [(each.output, each.reason, each.confidence) for each in panel.answers]


def test_all_are_asked_at_once_and_the_answer_comes_when_it_is_decided():
    panel = Panel(registry())
    panel.predict()
    panel.says("b", b"7")
    assert told(panel) == []
    panel.says("c", b"7")
    assert told(panel) == [(b"7", None, pytest.approx(2 / 3))]
    (prediction,) = panel.answers
    assert (prediction.models, prediction.missing) == ((B, C), (A,))
    panel.says("a", b"7")
    assert len(panel.answers) == 1


def test_what_comes_after_the_answer_is_known_to_the_feedback():
    panel = Panel(registry())
    panel.predict()
    for name in "bca":
        panel.says(name, b"7")
    (answer,) = panel.update(0, label=8)
    assert answer.losses == {"a:1": 1.0, "b:1": 1.0, "c:1": 1.0}


def test_those_who_disagree_are_waited_for():
    panel = Panel(registry())
    panel.predict()
    panel.says("a", b"1")
    panel.says("b", b"2")
    assert told(panel) == []
    panel.says("c", b"2")
    assert told(panel) == [(b"2", None, pytest.approx(2 / 3))]


def test_at_the_deadline_it_is_made_of_what_has_come():
    panel = Panel(registry())
    panel.predict()
    panel.says("c", b"3")
    panel.clock.advance(0.101)
    assert told(panel) == [(b"3", None, pytest.approx(1 / 3))]
    assert panel.answers[0].missing == (A, B)


def test_a_model_that_fails_lowers_the_confidence_and_is_not_waited_for():
    panel = Panel(registry())
    panel.predict()
    panel.says("a", b"ValueError", ok=False)
    panel.says("b", b"1")
    panel.says("c", b"2")
    assert told(panel) == [(b"1", None, pytest.approx(1 / 3))]
    assert panel.answers[0].missing == (A,)


def test_if_all_fail_the_default_says_why():
    panel = Panel(registry())
    panel.predict()
    for name in "abc":
        panel.says(name, b"ValueError: no", ok=False)
    assert told(panel) == [(b"-1", "model_error", 1.0)]
    assert panel.answers[0].explanation == "ValueError: no"
    (answer,) = panel.update(0, label=1)
    assert answer.losses == {"a:1": 1.0, "b:1": 1.0, "c:1": 1.0}


def test_below_the_threshold_the_default_is_answered_and_says_by_how_much():
    panel = Panel(registry(confidence_threshold=0.6))
    panel.predict()
    for name, output in zip("abc", (b"1", b"2", b"3"), strict=True):
        panel.says(name, output)
    assert told(panel) == [(b"-1", "low_confidence", pytest.approx(1 / 3))]
    assert "0.333, below the application's threshold of 0.6" in panel.answers[0].explanation
    assert panel.answers[0].models == (A, B, C)


def test_whether_the_threshold_is_reached_is_waited_for_and_no_longer():
    panel = Panel(registry(confidence_threshold=0.7))
    panel.predict()
    panel.says("a", b"1")
    panel.says("b", b"1")
    assert told(panel) == [], "the output is decided, but two of three are not enough"
    panel.says("c", b"1")
    assert told(panel) == [(b"1", None, 1.0)]
    panel.predict(b"y")
    panel.says("a", b"1")
    panel.says("b", b"2")
    assert len(panel.answers) == 1, "the output is not decided"


def test_a_shadow_is_asked_scored_and_never_answered_from():
    panel = Panel(registry("single", shadows=("b",), links=("a",)))
    panel.predict()
    panel.says("b", b"9")
    assert told(panel) == []
    panel.says("a", b"1")
    assert told(panel) == [(b"1", None, 1.0)]
    assert panel.answers[0].models is None, "one model is linked"
    (answer,) = panel.update(0, label=9)
    assert answer.losses == {"a:1": 1.0, "b:1": 0.0}
    assert panel.desk.states.learned("app").scores == {"a:1": (1, 1.0), "b:1": (1, 0.0)}


def test_a_shadow_alone_answers_nothing():
    panel = Panel(registry("single", shadows=("b",), links=("a",)))
    panel.predict()
    panel.says("b", b"9")
    panel.clock.advance(0.101)
    assert told(panel) == [(b"-1", "deadline", 1.0)]


def test_a_slow_shadow_without_output_is_not_scored():
    panel = Panel(registry("single", shadows=("b",), links=("a",)))
    panel.predict()
    panel.says("a", b"1")
    told = panel.update(0, label=1)
    assert told == []
    panel.clock.advance(0.101)
    panel.desk.settle()
    assert told[0].losses == {"a:1": 0.0}


def test_a_cascade_asks_one_more_while_it_is_not_sure():
    panel = Panel(registry("cascade", policy_params={"confidence": 0.6}))
    panel.predict()
    asked = [name for name, replica in panel.replicas.items() if replica.outstanding]
    assert asked == ["a"]
    panel.says("a", b"1")
    panel.executor.flush(panel.clock.now)
    assert told(panel) == []
    assert panel.replicas["b"].outstanding
    for name in "bc":
        panel.says(name, b"1")
        panel.executor.flush(panel.clock.now)
    assert told(panel) == [(b"1", None, 0.5)], "nothing is known of the models yet"
    panel.update(0, label=1)
    panel.predict(b"y")
    panel.says("a", b"1")
    assert told(panel)[1:] == [(b"1", None, pytest.approx(2 / 3))]
    assert not panel.replicas["b"].outstanding


def test_a_cascade_does_not_wait_for_one_that_hangs_until_it_is_too_late():
    panel = Panel(registry("cascade"))
    panel.predict()
    panel.clock.advance(0.034)
    panel.executor.flush(panel.clock.now)
    assert panel.replicas["b"].outstanding
    panel.clock.advance(0.034)
    panel.executor.flush(panel.clock.now)
    panel.says("b", b"1")
    panel.says("c", b"1")
    assert [(each.output, each.missing) for each in panel.answers] == [(b"1", (A,))]


def test_a_split_without_anybody_it_names_asks_nobody(caplog):
    panel = Panel(registry("split", policy_params={"weights": {"elsewhere": 1.0}}))
    panel.predict()
    assert [(each.output, each.reason) for each in panel.answers] == [(b"-1", "no_model")]
    assert "the policy split would ask none of the linked models" in caplog.text


class Broken:
    """Fails in the function of this name."""

    learns = True
    contextual = False

    def __init__(self, function: str) -> None:
        self.function = function

    def init(self, models):
        return self._maybe("init", {})

    def select(self, state, context, models, rng):
        return self._maybe("select", [(each, 1.0) for each in models])

    def combine(self, state, context, outputs, missing):
        for output in outputs.values():
            return self._maybe("combine", (output, 1.0))

    def observe(self, state, context, decision, losses):
        return self._maybe("observe", state)

    def _maybe(self, name, value):
        if name == self.function:
            raise ZeroDivisionError("by design")
        return value


class Exits(Broken):
    def _maybe(self, name, value):
        if name == self.function:
            raise SystemExit(3)
        return value


@pytest.mark.parametrize("function", ["select", "combine", "observe"])
def test_a_policy_that_exits_does_not_take_the_frontend_along(function):
    panel = Panel(registry(f"{__name__}:Exits", policy_params={"function": function}))
    panel.predict()
    for name in "abc" if function != "select" else "":
        panel.says(name, b"1")
    assert len(panel.answers) == 1
    panel.update(0, label=1)


def test_cached_outputs_answer_at_once():
    panel = Panel(registry())
    panel.predict()
    for name in "abc":
        panel.says(name, b"7")
    panel.predict()
    assert [each.output for each in panel.answers] == [b"7", b"7"]
    assert panel.answers[1].confidence >= 2 / 3


def test_a_client_that_leaves_costs_no_work():
    panel = Panel(registry())
    panel.predict(b"busy")
    panel.predict(b"leaves").abandon()
    for name in "abc":
        panel.says(name, b"7")
    assert [each.query_id for each in panel.answers] == [0]
    assert panel.metrics.snapshot().apps["app"].cancelled == 1
    assert panel.processor.open_queries() == 0


@pytest.mark.parametrize("function", ["select", "combine"])
def test_a_policy_that_raises_costs_the_query_its_output_and_says_so(function):
    panel = Panel(registry(f"{__name__}:Broken", policy_params={"function": function}))
    panel.predict()
    if function == "combine":
        panel.says("a", b"1")
    assert [(each.output, each.reason) for each in panel.answers] == [(b"-1", "model_error")]
    assert "failed in " + function in panel.answers[0].explanation
    assert "by design" in panel.answers[0].explanation
    assert panel.processor.open_queries() == 0


def test_a_policy_that_cannot_learn_goes_on_as_it_was_and_the_feedback_counts(caplog):
    panel = Panel(registry(f"{__name__}:Broken", policy_params={"function": "observe"}))
    for number in range(5):
        panel.predict(b"%d" % number)
        for name in "abc":
            panel.says(name, b"1")
        (answer,) = panel.update(number, label=1)
        assert answer.accepted
    assert panel.desk.states.learned("app").feedbacks == 5
    assert caplog.text.count("can't learn") == 3, "failures 1, 2 and 4"


def test_a_policy_without_a_state_to_begin_with_harms_no_other_application():
    broken = registry(f"{__name__}:Broken", policy_params={"function": "init"})
    other = replace(broken.applications["app"], name="other", selection_policy="majority_vote", policy_params={})
    known = replace(broken, applications={**broken.applications, "other": other})
    panel = Panel(replace(known, links={"app": ("a",), "other": ("a", "b")}))
    panel.predict()
    panel.says("a", b"1")
    assert panel.answers[0].reason in (None, "model_error")
    assert panel.processor.catalog.apps["other"].models == (A, B)


def test_a_policy_changed_while_queries_are_in_flight_answers_them_by_the_old_one():
    panel = Panel(registry())
    panel.predict()
    panel.says("a", b"1")
    changed = registry("exp3")
    application = replace(changed.applications["app"], policy_epoch=2)
    panel.processor.apply(replace(changed, revision=2, applications={"app": application}))
    panel.says("b", b"1")
    assert told(panel) == [(b"1", None, pytest.approx(2 / 3))]
    answers = panel.update(0, label=1)
    panel.clock.advance(0.101)
    panel.desk.settle()
    assert answers[0].losses == {"a:1": 0.0, "b:1": 0.0, "c:1": 1.0}
    assert panel.desk.states.learned("app").feedbacks == 1, "the new policy learned of it"
