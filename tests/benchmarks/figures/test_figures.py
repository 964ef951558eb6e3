"""The parts of the figures that need no cluster; the figures themselves are run by ``make bench-smoke``."""

from __future__ import annotations

import http.server
import json
import threading

import numpy as np
import pytest

from benchmarks.figures import asking, cluster, fig9, models, scaling, tables
from benchmarks.figures.asking import Reply
from benchmarks.figures.cluster import Counts
from benchmarks.figures.fig3 import Curve, measure
from benchmarks.figures.scaling import Cost, Costs, Simulation
from benchmarks.figures.tables import Result, Table

QUICK = Cost(2e-6, 50e-6)
RUN = {"date": "2026-01-01", "machine": "m", "cores": 2, "python": "3", "quick": True}


def test_a_result_is_written_in_three_forms(tmp_path):
    table = Table("Numbers", ["what", "how much"], [["a", 1234.5], ["b", None], ["c", 0.01234], ["d", "12 / 3"]])
    result = Result("fig", "A figure", "Remarks.", (table,), lambda axes: axes.plot([1, 2], [3, 4]))
    tables.publish(result, tmp_path, RUN)

    assert "| a | 1,234 |\n| b | - |\n| c | 0.0123 |\n| d | 12 / 3 |" in (tmp_path / "fig.md").read_text()
    assert json.loads((tmp_path / "fig.json").read_text())["tables"][0]["rows"][1] == ["b", None]
    assert (tmp_path / "fig.svg").read_text().lstrip().startswith("<?xml")


def test_the_same_picture_is_the_same_file(tmp_path):
    for name in ("one", "two"):
        tables.publish(Result("f", "T", "R", (), lambda axes: axes.plot([1, 2], [3, 4])), tmp_path / name, RUN)
    assert (tmp_path / "one" / "f.svg").read_bytes() == (tmp_path / "two" / "f.svg").read_bytes()


def test_the_line_of_a_curve():
    sizes = [1, 2, 4, 8, 16, 32]
    seconds = [0.001 + 0.0005 * size for size in sizes]
    slope, intercept = Curve(sizes, seconds, seconds).line()
    assert (slope, intercept) == (pytest.approx(0.0005), pytest.approx(0.001))


@pytest.mark.parametrize(("seconds", "largest"), [(0.0005, 1), (0.001, 1), (0.003, 6), (0.004, 8), (1.0, 16)])
def test_the_largest_batch_within_an_objective(seconds, largest):
    curve = Curve([1, 4, 8, 16], [0, 0, 0, 0], [0.001, 0.002, 0.004, 0.008])
    assert curve.largest_within(seconds) == largest


def test_a_model_is_measured_through_the_container():
    curve = measure(models.no_op, 0.01)
    assert curve.sizes[0] == 1
    assert len(curve.sizes) == len(curve.medians) == len(curve.p99s)
    assert all(0 < median <= p99 for median, p99 in zip(curve.medians, curve.p99s, strict=True))


def test_bodies_are_short_where_they_can_be():
    assert cluster.as_json(np.array([0.0, 255.0, 0.5])) == b'{"input":[0,255,0.5]}'


def test_counts_are_of_the_time_between():
    before, after = Counts(10, 20, 1, 9), Counts(14, 40, 96, 14)
    assert after.mean_batch(before) == 5
    assert after.hit_ratio(before) == 0.95
    assert after.mean_batch(after) == after.hit_ratio(after) == 0


def simulated(frontends, replicas, container=QUICK, **options):
    return Simulation(Costs(Cost(20e-6, 50e-6), container), frontends, replicas, **options).run(5_000)


def test_a_simulated_frontend_does_no_more_than_its_core_can():
    one = simulated(1, 1)
    assert one.rate < 1 / 20e-6
    assert one.rate > 0.8 / (20e-6 + 50e-6 / one.batch)


def test_simulated_frontends_scale_while_the_replica_can_follow():
    assert simulated(4, 1).rate / simulated(1, 1).rate == pytest.approx(4, rel=0.2)


def test_a_simulated_model_that_is_slow_scales_with_its_replicas():
    slow = Cost(500e-6, 0)
    rates = [simulated(1, replicas, container=slow, largest=8).rate for replicas in (1, 2, 4)]
    assert rates == pytest.approx([2_000, 4_000, 8_000], rel=0.1)


def test_simulated_frontends_that_prefer_the_same_replica_crowd_it():
    slow = Cost(20e-6, 0)
    together, apart = (simulated(4, 4, container=slow, apart=each).rate for each in (False, True))
    assert together < 1.1 / 20e-6  # what one replica can do
    assert apart == pytest.approx(4 / (20e-6 + 20e-6), rel=0.1)  # each has one, and they work in turns


def test_costs_are_found_from_runs_of_different_batches():
    counted = np.array([[1000.0, 500.0], [1000.0, 100.0], [1000.0, 30.0]])
    cost = scaling._fit(counted, counted @ np.array([20e-6, 60e-6]))
    assert (cost.query, cost.batch) == (pytest.approx(20e-6), pytest.approx(60e-6))


def test_a_straggler_is_missing_and_a_default_is_wrong():
    replies = [
        Reply(0, 0.010, {"default": False, "output": 7, "models": ["a:1", "b:1"]}),
        Reply(1, 0.020, {"default": False, "output": 3, "models": ["a:1"]}),
        Reply(1, 0.020, {"default": True, "output": -1, "models": []}),
        Reply(0, 0.010, {"default": False, "output": 8, "models": ["a:1", "b:1"]}),
    ]
    found = fig9.summary(replies, [7, 3], linked=2)
    assert (found.missing, found.accuracy, found.defaults) == (pytest.approx(3 / 8), 0.5, 0.25)
    assert found.mean == pytest.approx(15)


class Parrot(http.server.BaseHTTPRequestHandler):
    """Answers every POST with its body."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Parrot) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}/"
        listening.shutdown()
        thread.join(10)


def test_every_query_is_answered_and_answers_are_kept(server):
    bodies = [b'{"n": %d}' % n for n in range(5)]
    replies = asking.ask(server, bodies, rate=400, seconds=0.25)
    assert len(replies) > 20
    assert [reply.number for reply in replies] == [n % 5 for n in range(len(replies))]
    assert all(reply.answer == {"n": reply.number} and 0 < reply.seconds < 5 for reply in replies)


def test_nobody_there_is_an_error():
    with pytest.raises(OSError, match=r"[Cc]onnect"):
        asking.ask("http://127.0.0.1:9/", [b"{}"], rate=100, seconds=0.1)
