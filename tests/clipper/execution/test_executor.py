from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper.execution.executor import LONGEST_TURN
from clipper.execution.flight import MAX_TRIES
from clipper.rpc.wire import Outcomes
from clipper.types import ModelVersion
from tests.clipper.execution.fakes import SUM, RecordingWaiter, Stage, settings


def test_a_query_is_sent_to_the_free_replica_and_its_output_comes_back() -> None:
    stage = Stage()
    replica, link = stage.join()
    waiter = stage.submit(b"a")
    assert link.batches == [], "batches are made at the end of the loop's turn"
    assert stage.wakes == 1
    stage.flush()
    assert [inputs for _, inputs, _ in link.batches] == [[b"a"]]
    stage.answer(replica, link)
    assert waiter.outputs == [b'"a"']
    assert waiter.failures == []


def test_queries_of_one_turn_wake_once_and_travel_together_when_the_batch_may_be_large() -> None:
    stage = Stage(batch_size=10)
    _, link = stage.join()
    for data in (b"a", b"b", b"c"):
        stage.submit(data)
    stage.flush()
    assert stage.wakes == 1
    assert [inputs for _, inputs, _ in link.batches] == [[b"a", b"b", b"c"]]


def test_the_budget_told_to_the_replica_is_the_time_until_the_last_deadline() -> None:
    stage = Stage(batch_size=10)
    _, link = stage.join()
    stage.submit(b"a", seconds=0.05)
    stage.submit(b"b", seconds=0.08)
    stage.flush()
    assert link.batches[0][2] == pytest.approx(80_000, abs=2)


def test_identical_queries_in_flight_call_the_model_once_and_later_ones_are_cache_hits() -> None:
    stage = Stage(batch_size=10)
    replica, link = stage.join()
    waiters = [stage.submit(b"same") for _ in range(10)]
    stage.flush()
    assert link.batches[0][1] == [b"same"]
    stage.answer(replica, link)
    late = stage.submit(b"same")
    assert [w.outputs for w in [*waiters, late]] == [[b'"same"']] * 11
    assert len(link.batches) == 1


def test_with_the_cache_off_every_query_reaches_the_model() -> None:
    stage = Stage(cache_bytes=0, batch_size=10)
    replica, link = stage.join()
    waiters = [stage.submit(b"same") for _ in range(3)]
    stage.flush()
    assert link.batches[0][1] == [b"same"] * 3
    stage.answer(replica, link)
    assert [w.outputs for w in waiters] == [[b'"same"']] * 3


def test_two_models_never_share_a_cached_output() -> None:
    stage = Stage()
    other = ModelVersion("other", "1")
    stage.executor.configure({SUM: settings(1), other: settings(2)}, stage.now)
    replica, link = stage.join()
    stage.submit(b"x")
    stage.flush()
    stage.answer(replica, link)
    other_replica, other_link = stage.join(version=other)
    waiter = stage.submit(b"x", version=other)
    stage.flush()
    stage.executor.batch_answered(
        other, other_replica, next(iter(other_replica.outstanding)), Outcomes([b"2"]), stage.now
    )
    assert other_link.batches[0][1] == [b"x"]
    assert waiter.outputs == [b"2"]


def test_a_version_registered_again_never_serves_an_old_output() -> None:
    stage = Stage()
    replica, link = stage.join()
    stage.submit(b"x")
    stage.flush()
    stage.answer(replica, link)
    stage.executor.configure({SUM: settings(registration=9)}, stage.now)
    assert link.closed is not None, "containers of the deleted version are sent away"
    waiter = stage.submit(b"x")
    assert waiter.failures == [("no_replica", "no container of sum:1 is connected")]


def test_without_a_replica_the_failure_comes_at_once() -> None:
    stage = Stage()
    assert stage.submit(b"a").failures[0][0] == "no_replica"
    assert stage.submit(b"a", version=ModelVersion("unheard", "1")).failures[0][0] == "no_replica"


def test_the_batch_of_a_replica_that_dies_goes_to_another() -> None:
    stage = Stage(batch_size=10)
    first, first_link = stage.join(0)
    waiters = [stage.submit(data) for data in (b"a", b"b")]
    stage.flush()
    second, second_link = stage.join(1)
    assert first_link.batches
    assert not second_link.batches
    stage.executor.replica_left(SUM, first, stage.now)
    assert second_link.batches[0][1] == [b"a", b"b"]
    stage.answer(second, second_link)
    assert [w.outputs for w in waiters] == [[b'"a"'], [b'"b"']]


def test_when_the_last_replica_dies_its_queries_fail_at_once() -> None:
    stage = Stage(batch_size=1)
    replica, _ = stage.join()
    waiters = [stage.submit(data) for data in (b"a", b"b", b"c")]
    stage.flush()
    stage.executor.replica_left(SUM, replica, stage.now)
    assert [w.failures[0][0] for w in waiters] == ["no_replica"] * 3


def test_a_query_that_kills_every_replica_is_given_up() -> None:
    stage = Stage(batch_size=1)
    replicas = [stage.join(n)[0] for n in range(MAX_TRIES + 1)]
    waiter = stage.submit(b"poison", seconds=10)
    stage.flush()
    for _ in range(MAX_TRIES):
        killed = next(replica for replica in replicas if replica.outstanding)
        stage.executor.replica_left(SUM, killed, stage.now)
        replicas.remove(killed)
    assert [reason for reason, _ in waiter.failures] == ["model_error"]
    assert "3 containers" in waiter.failures[0][1]
    assert not replicas[0].outstanding


def test_the_neighbours_of_a_query_that_kills_replicas_are_answered() -> None:
    stage = Stage(batch_size=3)
    replicas = [stage.join(n) for n in range(MAX_TRIES + 1)]
    waiters = [stage.submit(data, seconds=10) for data in (b"a", b"poison", b"b")]
    stage.flush()
    for _ in range(100):
        working = next((each for each in replicas if each[0].outstanding), None)
        if working is None:
            break
        if b"poison" in working[1].batches[-1][1]:
            stage.executor.replica_left(SUM, working[0], stage.now)
            replicas.remove(working)
        else:
            stage.answer(*working)
    assert [w.outputs for w in waiters] == [[b'"a"'], [], [b'"b"']]
    assert [reason for reason, _ in waiters[1].failures] == ["model_error"]
    assert len(replicas) == 1


def test_a_batch_that_waited_behind_a_killer_is_never_condemned_with_it() -> None:
    """Of two batches in a replica that died either may be to blame; from then on nothing waits behind them."""
    stage = Stage(batch_size=1)
    ends = [stage.join(number) for number in range(4)]
    for number in range(12):  # they are fast: batches are sent two at a time
        stage.submit(b"%d" % number)
        stage.flush()
        for replica, link in ends:
            while replica.outstanding:
                stage.answer(replica, link)
    poison = stage.submit(b"poison", seconds=10)
    innocent = [stage.submit(b"innocent%d" % number, seconds=10) for number in range(7)]
    stage.flush()
    deaths = 0
    while not poison.failures:
        for replica, link in list(ends):
            while replica.outstanding:
                inputs = [f.input for f in next(iter(replica.outstanding.values())).flights]
                if b"poison" in inputs:
                    deaths += 1
                    ends.remove((replica, link))
                    stage.executor.replica_left(SUM, replica, stage.now)
                else:
                    stage.answer(replica, link)
    for replica, link in ends:
        while replica.outstanding:
            stage.answer(replica, link)
    assert deaths == MAX_TRIES
    assert all(waiter.outputs for waiter in innocent)


def test_a_draining_replica_gets_no_more_batches_but_its_answers_count() -> None:
    stage = Stage(batch_size=1)
    replica, link = stage.join()
    waiter = stage.submit(b"a")
    stage.flush()
    stage.executor.replica_draining(replica)
    stage.submit(b"b")
    stage.flush()
    assert len(link.batches) == 1
    stage.answer(replica, link)
    assert waiter.outputs == [b'"a"']


def test_an_error_of_one_query_is_its_own() -> None:
    stage = Stage(batch_size=10)
    replica, _ = stage.join()
    good, bad = stage.submit(b"good"), stage.submit(b"bad")
    stage.flush()
    outcomes = Outcomes([b"1", b"ValueError: no"], frozenset({1}))
    assert stage.executor.batch_answered(SUM, replica, next(iter(replica.outstanding)), outcomes, stage.now)
    assert good.outputs == [b"1"]
    assert bad.failures == [("model_error", "ValueError: no")]
    again = stage.submit(b"bad")
    assert not again.outputs
    assert not again.failures, "errors are not cached"


@pytest.mark.parametrize("nonsense", [b"", b"NaN", b'1.5,"default":true', b'"\xff"'])
def test_an_output_that_is_no_json_is_an_error_of_its_query_alone(nonsense: bytes) -> None:
    stage = Stage(batch_size=10)
    replica, _ = stage.join()
    good, bad = stage.submit(b"good"), stage.submit(b"bad")
    stage.flush()
    outcomes = Outcomes([b"1", nonsense])
    assert stage.executor.batch_answered(SUM, replica, next(iter(replica.outstanding)), outcomes, stage.now)
    assert good.outputs == [b"1"]
    assert bad.failures == [("model_error", "the container sent an output that is not JSON text")]


@pytest.mark.parametrize("outcomes", [Outcomes([]), Outcomes([b"1", b"1"])])
def test_outcomes_that_do_not_fit_the_batch_are_refused(outcomes: Outcomes) -> None:
    stage = Stage()
    replica, _ = stage.join()
    waiter = stage.submit(b"a")
    stage.flush()
    assert not stage.executor.batch_answered(SUM, replica, next(iter(replica.outstanding)), outcomes, stage.now)
    assert not stage.executor.batch_answered(SUM, replica, 77, Outcomes([b"1"]), stage.now)
    assert not waiter.outputs
    assert not waiter.failures


def test_behind_a_replica_that_hangs_the_queue_keeps_only_what_has_time() -> None:
    stage = Stage(batch_size=1, queue_limit=20)
    stage.join()
    for n in range(200):
        stage.submit(b"%d" % n)
        stage.flush()
        stage.now += 0.01
    assert stage.metrics.model(*SUM).queue_depth() <= 10
    assert not stage.submit(b"new").failures


def test_a_query_equal_to_one_that_hangs_is_sent_to_another_replica() -> None:
    stage = Stage(batch_size=1)
    stage.join(0)
    stage.submit(b"same")
    stage.flush()
    second, second_link = stage.join(1)
    stage.now += 0.2
    waiter = stage.submit(b"same")
    stage.flush()
    assert second_link.batches
    stage.answer(second, second_link)
    assert waiter.outputs == [b'"same"']


def test_a_full_queue_sheds_at_once() -> None:
    stage = Stage(queue_limit=3, batch_size=1)
    stage.join()
    waiters = [stage.submit(b"%d" % n) for n in range(5)]
    assert [bool(w.failures) for w in waiters] == [False, False, False, True, True]
    assert waiters[-1].failures[0][0] == "overload"


def test_queries_that_would_be_late_are_shed_and_those_that_fit_are_served() -> None:
    stage = Stage(batch_size=1)
    replica, link = stage.join()
    for _ in range(20):
        stage.submit(b"%f" % stage.now)
        stage.flush()
        stage.answer(replica, link, seconds=0.03)
    waiters = [stage.submit(b"first")]
    stage.flush()
    waiters += [stage.submit(b"new%d" % n) for n in range(50)]
    shed = [w for w in waiters if w.failures]
    assert {w.failures[0][0] for w in shed} == {"overload"}
    assert len(shed) >= 40, "100 ms hold three batches of 30 ms: most get the default at once"
    for _ in range(3):
        stage.answer(replica, link, seconds=0.03)
    assert sum(bool(w.outputs) for w in waiters) == 3
    assert all(w.outputs or w.failures for w in waiters), "nobody waits for what can't come in time"


def test_a_query_with_time_is_not_refused_because_of_urgent_ones_that_wait() -> None:
    stage = Stage(batch_size=1)
    replica, link = stage.join()
    for _ in range(20):
        stage.submit(b"%f" % stage.now)
        stage.flush()
        stage.answer(replica, link, seconds=0.03)
    stage.submit(b"busy")
    stage.flush()
    urgent = [stage.submit(b"urgent%d" % n) for n in range(3)]
    patient = stage.submit(b"patient", seconds=10.0)
    for _ in range(6):
        if replica.outstanding:
            stage.answer(replica, link, seconds=0.03)
    assert sum(bool(w.outputs) for w in urgent) == 2
    assert patient.outputs


def test_past_capacity_every_answer_is_in_time_and_none_is_wasted() -> None:
    """A query takes 12 to 13 ms, and 20 new ones come halfway: as many are answered as there is time for."""
    stage = Stage(batch_size=1)
    replica, link = stage.join()
    waiters, late = [], 0
    for n in range(500):
        stage.now += 0.006
        waiters += [stage.submit(b"%d %d" % (n, m)) for m in range(20)]
        stage.flush()
        late += sum(flight.deadline < stage.now + 0.006 for b in replica.outstanding.values() for flight in b.flights)
        stage.answer(replica, link, seconds=0.006 + n % 3 * 0.0005)
    answered = sum(bool(each.outputs) for each in waiters)
    assert answered == 500
    assert late <= 5


def test_a_slow_first_batch_does_not_silence_the_replica() -> None:
    stage = Stage(batch_size=1)
    replica, link = stage.join()
    stage.submit(b"warm up", seconds=60)
    stage.flush()
    stage.answer(replica, link, seconds=5.0)
    for n in range(30):
        stage.submit(b"%d" % n)
        stage.flush()
        assert replica.outstanding, f"query {n} was not even tried"
        stage.answer(replica, link, seconds=0.001)
    waiters = [stage.submit(b"burst%d" % n) for n in range(3)]
    assert not any(w.failures for w in waiters)


def test_what_the_container_says_it_worked_counts_but_not_for_more_than_was_seen() -> None:
    stage = Stage(batch_size=1)
    replica, _ = stage.join()
    for seen, said, taken in ((0.05, 0.002, 0.002), (0.002, 0.5, 0.002), (0.002, 0.0, 0.002)):
        stage.submit(b"%f" % stage.now)
        stage.flush()
        stage.now += seen
        batch_id = next(iter(replica.outstanding))
        outcome = Outcomes([b"1"])
        assert stage.executor.batch_answered(SUM, replica, batch_id, outcome, stage.now, said)
        assert replica.latency.predict(1) == pytest.approx(taken)


def test_a_deleted_version_fails_what_it_had() -> None:
    stage = Stage(batch_size=1)
    _, link = stage.join()
    waiters = [stage.submit(b"a"), stage.submit(b"b")]
    stage.flush()
    stage.executor.configure({}, stage.now)
    assert [w.failures[0][0] for w in waiters] == ["no_model"] * 2
    assert link.closed == "sum:1 was deleted"


def test_containers_may_come_before_their_version_is_registered() -> None:
    stage = Stage()
    early = ModelVersion("early", "1")
    _, link = stage.join(version=early)
    stage.executor.configure({SUM: settings(), early: settings(2)}, stage.now)
    stage.submit(b"a", version=early)
    stage.flush()
    assert len(link.batches) == 1


def test_containers_of_another_input_type_are_sent_away_when_the_version_is_registered() -> None:
    stage = Stage()
    early = ModelVersion("early", "1")
    _, link = stage.join(version=early)
    ints = settings(2).__class__(registration=2, input_type="integers", batch_size=-1, slo=0.1)
    stage.executor.configure({early: ints}, stage.now)
    assert link.closed == "early:1 takes integers, it doubles"


@given(
    st.lists(st.sampled_from(["submit", "join", "leave", "answer", "tick", "flush"]), max_size=60), st.integers(0, 3)
)
def test_every_query_hears_exactly_once(steps: list[str], batch_size: int) -> None:
    """Whatever happens in whatever order, no waiter is forgotten or told twice."""
    stage = Stage(batch_size=batch_size or -1)
    waiters: list[RecordingWaiter] = []
    alive = []
    for number, step in enumerate(steps):
        if step == "submit":
            waiters.append(stage.submit(b"%d" % (number % 7)))
        elif step == "join":
            alive.append(stage.join(number))
        elif step == "leave" and alive:
            replica, _ = alive.pop(0)
            stage.executor.replica_left(SUM, replica, stage.now)
        elif step == "answer":
            for replica, link in alive:
                if replica.outstanding:
                    assert stage.answer(replica, link)
        elif step == "tick":
            stage.now += 0.04
        else:
            stage.flush()
    stage.flush()
    for replica, _ in alive:
        stage.executor.replica_left(SUM, replica, stage.now)
    assert all(len(w.outputs) + len(w.failures) == 1 for w in waiters)


def test_a_long_turn_sends_what_is_there_already():
    stage = Stage()
    _, link = stage.join()
    stage.submit(b"a")
    stage.submit(b"b")
    assert not link.batches
    stage.now += 2 * LONGEST_TURN
    stage.submit(b"c")
    _, inputs, _ = link.batches[0]
    assert inputs == [b"a"]  # a batch of one at first; the others follow


@pytest.mark.parametrize("batches_before", [[], [1]], ids=["at first", "after a batch of one"])
def test_a_long_turn_does_not_send_less_than_the_fixed_batch_size(batches_before):
    stage = Stage(batch_size=3)
    replica, link = stage.join()
    for _ in batches_before:
        stage.submit(b"before")
        stage.flush()
        stage.answer(replica, link)
    link.batches.clear()
    for each in b"abcdefgh":
        stage.now += 2 * LONGEST_TURN
        stage.submit(bytes([each]), seconds=10.0)
        for _ in list(replica.outstanding):
            stage.answer(replica, link)
    stage.flush()
    assert [inputs for _, inputs, _ in link.batches] == [[b"a", b"b", b"c"], [b"d", b"e", b"f"], [b"g", b"h"]]
