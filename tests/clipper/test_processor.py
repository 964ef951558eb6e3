"""The processor with a real executor and a virtual clock: what is answered, when, and why."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from clipper.errors import QueryProcessingError
from clipper.lane import NO_MODELS, TOO_LATE
from clipper.query_ids import QueryIds
from clipper.rpc.wire import Outcome
from clipper.types import Application, Registry
from tests.clipper.house import V1, V2, House, registry


def told(house: House) -> list[tuple[int, bytes, str | None, str]]:
    return [(each.query_id, each.output, each.reason, each.explanation) for each in house.answers]


def test_an_output_is_the_answer_as_soon_as_it_is_there() -> None:
    house = House(registry())
    replica, _ = house.join()
    house.predict()
    assert house.answers == []
    house.answer(replica, Outcome(True, b"6.6"))
    assert told(house) == [(0, b"6.6", None, "")]
    house.clock.advance(1.0)
    assert len(house.answers) == 1, "the deadline says nothing more"


def test_at_the_deadline_the_default_is_answered_and_a_late_output_serves_the_next_query() -> None:
    house = House(registry())
    replica, _ = house.join()
    house.predict()
    house.clock.advance(0.099)
    assert house.answers == []
    house.clock.advance(0.002)
    assert told(house) == [(0, b"-1.0", "deadline", TOO_LATE)]
    house.answer(replica, Outcome(True, b"6.6"))
    assert len(house.answers) == 1
    house.predict()
    assert told(house)[1] == (1, b"6.6", None, "")


def test_one_timer_serves_all_open_queries() -> None:
    house = House(registry())
    house.join()
    for n in range(100):
        house.predict(b"%d" % n)
        house.clock.advance(0.0001)
    assert house.clock.set_timers == 1
    house.clock.advance(1.0)
    assert [answer.reason for answer in house.answers] == ["deadline"] * 100
    assert house.processor.open_queries() == 0
    assert house.clock.set_timers <= 101


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        (registry(links={}), "no_model"),
        (registry(current_versions={}), "no_model"),
        (registry(), "no_replica"),
    ],
)
def test_with_nobody_to_ask_the_default_comes_at_once_with_its_reason(known: Registry, reason: str) -> None:
    house = House(known)
    house.predict()
    assert told(house) == [(0, b"-1.0", reason, NO_MODELS)]


def test_a_model_error_is_told() -> None:
    house = House(registry())
    replica, _ = house.join()
    house.predict()
    house.answer(replica, Outcome(False, b"ValueError: no such word"))
    assert told(house) == [(0, b"-1.0", "model_error", "ValueError: no such word")]


def test_reasons_agree_in_answer_metric_and_log(caplog: pytest.LogCaptureFixture) -> None:
    house = House(registry())
    with caplog.at_level(logging.WARNING):
        house.predict()
        house.predict()
    assert house.answers[0].reason == "no_replica"
    assert house.metrics.app("app").defaults["no_replica"] == 2
    assert [record.getMessage() for record in caplog.records] == [
        "app app: default output for query 0 (no_replica): no container of m:1 is connected"
    ], "the log is bounded: once a second"


def test_a_new_current_version_takes_over_without_a_gap_and_rolls_back() -> None:
    house = House(registry())
    old, _ = house.join(V1)
    new, _ = house.join(V2)
    for current, version, replica in (("1", V1, old), ("2", V2, new), ("1", V1, old)):
        house.processor.apply(registry(current_versions={"m": current}))
        house.predict(current.encode() + b"%d" % len(house.answers))
        house.answer(replica, Outcome(True, current.encode()), version)
    assert [(a.output, a.reason) for a in house.answers] == [(b"1", None), (b"2", None), (b"1", None)]


def test_a_version_can_be_asked_by_name() -> None:
    house = House(registry())
    house.join(V1)
    replica, _ = house.join(V2)
    catalog = house.processor.catalog
    house.predict(models=catalog.versions_of(catalog.apps["app"], "2"))
    house.answer(replica, Outcome(True, b"2"), V2)
    assert house.answers[0].output == b"2"
    with pytest.raises(QueryProcessingError) as refused:
        catalog.versions_of(catalog.apps["app"], "9")
    assert refused.value.cause == "Requested version: 9 does not exist for model: m"


def test_a_version_without_a_link_is_refused() -> None:
    house = House(registry(links={}))
    catalog = house.processor.catalog
    with pytest.raises(QueryProcessingError, match="no model is linked"):
        catalog.versions_of(catalog.apps["app"], "1")


def test_queries_of_an_unregistered_application_are_still_answered() -> None:
    house = House(registry())
    replica, _ = house.join()
    house.predict(b"a")
    house.predict(b"b")
    house.processor.apply(registry(applications={}))
    assert house.processor.catalog.apps == {}
    house.answer(replica, Outcome(True, b"1"))
    house.clock.advance(1)
    assert [answer.reason for answer in house.answers] == [None, "deadline"]


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("-1.0", b"-1.0"),
        ("DEFAULT", b'"DEFAULT"'),
        ("", b'""'),
        (" [1, 2] ", b"[1, 2]"),
        ("nan", b'"nan"'),
        ("1 2", b'"1 2"'),
        ('{"a":1}', b'{"a":1}'),
        ("ü", '"ü"'.encode()),
    ],
)
def test_the_default_output_is_embedded_as_json_if_it_is_json(text: str, fragment: bytes) -> None:
    app = Application(name="app", input_type="doubles", default_output=text, latency_slo_micros=100_000)
    house = House(registry(applications={"app": app}, links={}))
    house.predict()
    assert house.answers[0].output == fragment


def test_query_ids_come_from_blocks_reserved_in_time() -> None:
    asked: list[Callable[[int], None]] = []
    ids = QueryIds(asked.append, 0)
    ids._next = QueryIds.BLOCK // 2 - 2
    ids.take()
    assert not asked
    ids.take()
    assert len(asked) == 1
    ids._next = QueryIds.BLOCK - 2
    asked[0](7 * QueryIds.BLOCK)
    taken = [ids.take() for _ in range(4)]
    assert taken == [QueryIds.BLOCK - 2, QueryIds.BLOCK - 1, 7 * QueryIds.BLOCK, 7 * QueryIds.BLOCK + 1]
    assert len(asked) == 1


def test_ten_thousand_clients_that_leave_leave_nothing_behind() -> None:
    house = House(registry())
    replica, link = house.join()
    house.predict(b"busy")
    for number in range(10_000):
        house.predict(b"%d" % number).abandon()
    metrics = house.metrics.snapshot()
    assert metrics.apps["app"].cancelled == 10_000
    assert metrics.models["m"]["1"].queue_depth == 0
    assert house.processor.open_queries() == 1
    assert house.clock.set_timers == 1, "one timer, for the head"
    house.answer(replica, Outcome(True, b"1"))
    assert len(link.batches) == 2, "busy, and what was sent right behind it before its client left"
    assert [each.output for each in house.answers] == [b"1"]


def test_an_abandoned_query_that_is_being_worked_on_still_serves_those_who_joined_it() -> None:
    house = House(registry())
    replica, _ = house.join()
    first = house.predict(b"x")
    house.predict(b"x")
    first.abandon()
    first.abandon()
    house.answer(replica, Outcome(True, b"7"))
    assert [each.output for each in house.answers] == [b"7"]
    assert house.metrics.snapshot().apps["app"].cancelled == 1


def test_a_query_abandoned_after_its_answer_changes_nothing() -> None:
    house = House(registry())
    replica, _ = house.join()
    query = house.predict()
    house.answer(replica, Outcome(True, b"7"))
    query.abandon()
    assert house.metrics.snapshot().apps["app"].cancelled == 0


def test_a_query_whose_replica_is_stuck_is_answered_by_another_in_time() -> None:
    house = House(registry())
    stuck, _ = house.join()
    house.predict()
    quick, link = house.join(replica_id=1)
    house.clock.advance(0.09)
    assert [inputs for _, inputs, _ in link.batches] == [[b"x"]]
    house.answer(quick, Outcome(True, b"7"))
    assert [each.output for each in house.answers] == [b"7"]
    assert house.metrics.snapshot().models["m"]["1"].hedged == 1
    house.answer(stuck, Outcome(True, b"8"))
    assert len(house.answers) == 1, "the first answer counts"


def test_a_query_that_took_long_to_read_is_answered_at_its_own_deadline() -> None:
    house = House(registry())
    house.join()
    house.predict(b"young")
    app = house.processor.catalog.apps["app"]
    house.processor.predict(app, b"old", house.answers.append, house.clock.now - 0.06, None)
    house.clock.advance(0.0401)
    assert [(each.query_id, each.reason) for each in house.answers] == [(1, "deadline")]
    house.clock.advance(0.06)
    assert [each.query_id for each in house.answers] == [1, 0]
