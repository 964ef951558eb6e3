from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from clipper.execution import queue as queue_module
from clipper.execution.flight import Flight
from clipper.execution.queue import DeadlineQueue
from tests.clipper.execution.fakes import RecordingWaiter


def flight(deadline: float, data: bytes = b"x") -> Flight:
    return Flight(data, deadline, 0.0, RecordingWaiter())


def keep(_: Flight) -> bool:
    return False


@given(st.lists(st.floats(0, 1000), max_size=50), st.integers(1, 10))
def test_batches_come_most_urgent_first_and_lose_nothing(deadlines: list[float], most: int) -> None:
    queue = DeadlineQueue()
    for deadline in deadlines:
        queue.push(flight(deadline))
    taken = []
    while queue:
        batch, dropped = queue.take(most, keep)
        assert 0 < len(batch) <= most
        assert not dropped
        taken += [each.deadline for each in batch]
    assert taken == sorted(deadlines)


def test_equal_deadlines_are_first_come_first_served() -> None:
    queue = DeadlineQueue()
    flights = [flight(1.0) for _ in range(20)]
    for each in flights:
        queue.push(each)
    assert queue.take(20, keep)[0] == flights


def test_useless_flights_are_set_aside_and_do_not_count() -> None:
    queue = DeadlineQueue()
    for deadline in (1.0, 2.0, 3.0, 4.0):
        queue.push(flight(deadline))
    batch, dropped = queue.take(1, lambda each: each.deadline < 3)
    assert [each.deadline for each in batch] == [3.0]
    assert [each.deadline for each in dropped] == [1.0, 2.0]
    assert len(queue) == 1


def test_an_empty_queue_gives_an_empty_batch() -> None:
    assert DeadlineQueue().take(5, keep) == ([], [])


def test_a_batch_is_bounded_in_bytes_but_never_empty() -> None:
    queue = DeadlineQueue()
    half = bytes(queue_module.BATCH_BYTES // 2)
    for n in range(3):
        queue.push(flight(float(n), half))
    assert len(queue.take(10, keep)[0]) == 2
    queue.push(flight(0.0, bytes(queue_module.BATCH_BYTES + 1)))
    assert len(queue.take(10, keep)[0]) == 1


def test_the_inputs_that_wait_are_bounded_in_bytes() -> None:
    queue = DeadlineQueue()
    large = flight(1.0, bytes(queue_module.QUEUE_BYTES + 1))
    assert queue.has_room(large), "alone it must be possible"
    queue.push(flight(1.0, bytes(10)))
    assert not queue.has_room(large)
    rest = flight(2.0, bytes(queue_module.QUEUE_BYTES - 10))
    assert queue.has_room(rest)
    queue.push(rest)
    assert not queue.has_room(flight(3.0))
    queue.take(1, keep)
    assert queue.has_room(flight(3.0))
    list(queue.drain())
    assert queue.has_room(large)
