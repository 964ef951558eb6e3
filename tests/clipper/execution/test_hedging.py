"""Replicas that are slower than they should be, with a virtual clock."""

from __future__ import annotations

from clipper.execution.hedging import HEDGE_SHARE, HedgeBudget
from clipper.execution.replica import Replica
from clipper.rpc.wire import Outcomes
from tests.clipper.execution.fakes import SUM, RecordingLink, Stage


def join(stage: Stage, replica_id: int) -> tuple[Replica, RecordingLink]:
    """A replica that is given one batch at a time."""
    replica, link = stage.join(replica_id)
    replica.pipeline_seconds = 0.0
    return replica, link


def warm_up(stage: Stage, *ends: tuple, seconds: float = 0.002) -> None:
    """Each replica has answered a few batches in ``seconds``."""
    for number in range(8):
        for replica, link in ends:
            stage.submit(b"warm%d-%d" % (number, replica.replica_id))
            stage.flush()
            stage.answer(replica, link, seconds)


def test_an_overdue_batch_goes_to_the_idle_replica_and_the_first_answer_wins() -> None:
    stage = Stage()
    stuck, stuck_link = join(stage, 0)
    warm_up(stage, (stuck, stuck_link))
    waiter = stage.submit(b"x")
    stage.flush()
    other, other_link = join(stage, 1)
    stage.submit(b"y")
    stage.flush()
    stage.answer(other, other_link)
    late_at = next(iter(stuck.outstanding.values())).late_at
    assert late_at - stage.now < 0.02
    assert min(stage.rings) <= late_at
    stage.now = late_at + 0.001
    stage.executor.ring(stage.now)
    assert other_link.batches[-1][1] == [b"x"]
    stage.answer(other, other_link)
    assert waiter.outputs == [b'"x"']
    stage.answer(stuck, stuck_link)
    assert waiter.outputs == [b'"x"']
    assert stage.metrics.model(*SUM).hedged == 1


def test_a_hedged_query_is_not_worked_on_twice_if_the_first_replica_answers_before_the_second_begins() -> None:
    stage = Stage(batch_size=1)
    slow, slow_link = join(stage, 0)
    busy, busy_link = join(stage, 1)
    waiter = stage.submit(b"x")
    stage.flush()
    stage.submit(b"y")
    stage.flush()
    slow_batch, busy_batch = (next(iter(r.outstanding.values())) for r in (slow, busy))
    assert slow_batch.flights[0].input == b"x"
    stage.now = slow_batch.late_at + 0.0001
    busy.outstanding[next(iter(busy.outstanding))] = busy_batch._replace(late_at=stage.now + 1)
    stage.executor.ring(stage.now)
    assert stage.executor._models[SUM].queue.waiting == 1, "it waits for the busy one"
    stage.answer(slow, slow_link)
    assert waiter.outputs == [b'"x"']
    stage.answer(busy, busy_link)
    assert [inputs for _, inputs, _ in busy_link.batches] == [[b"y"]]


def test_nothing_is_hedged_when_there_is_no_other_replica() -> None:
    stage = Stage()
    join(stage, 0)
    stage.submit(b"x")
    stage.flush()
    assert stage.rings == []


def test_an_overdue_replica_gets_nothing_more_until_it_answers() -> None:
    stage = Stage(batch_size=1)
    stuck, stuck_link = stage.join(0)
    warm_up(stage, (stuck, stuck_link))
    stage.submit(b"x")
    stage.flush()
    assert stuck.free(1, stage.now), "the next batch could wait in its socket"
    stage.now = next(iter(stuck.outstanding.values())).late_at
    assert not stuck.free(1, stage.now)
    _, other_link = stage.join(1)
    stage.submit(b"y")
    stage.flush()
    assert [inputs for _, inputs, _ in other_link.batches] == [[b"y"]]
    stage.answer(stuck, stuck_link)
    assert stuck.free(1, stage.now)


def test_when_the_replica_of_a_hedged_query_dies_the_copy_goes_on() -> None:
    stage = Stage()
    stuck, _ = join(stage, 0)
    waiter = stage.submit(b"x")
    stage.flush()
    other, link = join(stage, 1)
    stage.now = next(iter(stuck.outstanding.values())).late_at + 0.0001
    stage.executor.ring(stage.now)
    assert len(link.batches) == 1
    stage.executor.replica_left(SUM, stuck, stage.now)
    assert len(link.batches) == 1, "it is not sent a third time"
    stage.answer(other, link)
    assert waiter.outputs == [b'"x"']
    assert stage.executor._models[SUM]._in_flight == 0


def test_a_model_error_of_either_replica_fails_the_query_once() -> None:
    stage = Stage()
    stuck, _ = join(stage, 0)
    waiter = stage.submit(b"x")
    stage.flush()
    other, _ = join(stage, 1)
    stage.now = next(iter(stuck.outstanding.values())).late_at + 0.0001
    stage.executor.ring(stage.now)
    for replica in (other, stuck):
        batch_id = next(iter(replica.outstanding))
        assert stage.executor.batch_answered(SUM, replica, batch_id, Outcomes([b"no"], frozenset({0})), stage.now)
    assert waiter.failures == [("model_error", "no")]


def test_the_budget_bounds_the_share_that_is_sent_twice() -> None:
    budget = HedgeBudget()
    spent = 0
    for _ in range(10_000):
        budget.earn(1)
        spent += budget.spend()
    assert spent <= 10_000 * HEDGE_SHARE + 16
    assert spent >= 10_000 * HEDGE_SHARE


def test_alarms_that_were_overtaken_do_not_multiply() -> None:
    stage = Stage(batch_size=1)
    ends = [join(stage, 0), join(stage, 1)]
    for number in range(200):
        stage.submit(b"%d" % number)
        stage.flush()
        stage.executor._models[SUM]._alarm(stage.now + 0.0005)  # an earlier one, as a delayed batch sets it
        stage.now += 0.002
        due = [when for when in stage.rings if when <= stage.now]
        stage.rings = [when for when in stage.rings if when > stage.now]
        for when in sorted(due):
            stage.executor.ring(max(when, stage.now))
        for replica, link in ends:
            while replica.outstanding:
                stage.answer(replica, link, 0.0001)
    assert len(stage.rings) < 60, "those of the last tenth of a second, and not one for each of all"


def test_a_query_whose_replica_died_is_not_given_to_two_others_at_once() -> None:
    """It may kill them both."""
    stage = Stage()
    dying, dying_link = join(stage, 0)
    warm_up(stage, (dying, dying_link))
    waiter = stage.submit(b"poison")
    stage.flush()
    others = [join(stage, number) for number in (1, 2)]
    stage.executor.replica_left(SUM, dying, stage.now)
    (second,) = (replica for replica, _ in others if replica.outstanding)
    (batch,) = second.outstanding.values()
    stage.now = batch.late_at + 0.001
    stage.executor.ring(stage.now)
    assert [inputs for _, link in others for _, inputs, _ in link.batches] == [[b"poison"]]
    assert waiter.failures == []


def test_an_answer_that_comes_while_its_copy_waits_is_never_lost() -> None:
    """Not even if there is no time left to send the copy."""
    stage = Stage(batch_size=1)
    ends = [join(stage, number) for number in (0, 1)]
    warm_up(stage, *ends, seconds=0.02)
    slow_waiter = stage.submit(b"slow")
    stage.flush()
    stage.submit(b"busy")
    stage.flush()
    (slow,) = (each for each, link in ends if link.batches[-1][1] == [b"slow"])
    (slow_batch,) = slow.outstanding.values()
    stage.now = slow_batch.late_at + 0.0001
    for replica, _ in ends:
        if replica is not slow:
            batch_id, batch = next(iter(replica.outstanding.items()))
            replica.outstanding[batch_id] = batch._replace(late_at=stage.now + 1)
    stage.executor.ring(stage.now)
    assert stage.executor._models[SUM].queue.waiting == 1, "the copy waits for the busy one"
    stage.now = slow_batch.flights[0].deadline - 0.005
    (batch_id,) = slow.outstanding
    assert stage.executor.batch_answered(SUM, slow, batch_id, Outcomes([b"42"]), stage.now)
    assert (slow_waiter.outputs, slow_waiter.failures) == ([b"42"], [])
