"""What the other experiments are made of; the experiments themselves are run by ``make bench-smoke``."""

import argparse
import asyncio
import json
import shutil
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from benchmarks.figures.fig9 import Ensemble
from benchmarks.selection import __main__ as command
from benchmarks.selection import asking, bandits, cost, fig7, fig9, fig10, groups, pressing, regret, served
from benchmarks.selection import recorded as records
from benchmarks.selection.arms import ERRORS, WORLDS, exp3_bound, exp3_ix_bound, least_regret, ucb1_bound
from benchmarks.selection.containers import RecordedModel
from benchmarks.selection.cost import Sample
from benchmarks.selection.served import Served
from benchmarks.selection.stream import stream
from benchmarks.selection.trials import PARTS


def whole(table):
    """A table whose rows are all as long as its head, as Markdown."""
    assert {len(row) for row in table.rows} == {len(table.head)}
    return table.markdown()


def test_agreeing_models_are_right_more_often():
    mnist = records.mnist()
    found = fig7.ensembles(mnist)
    for answered in found.values():
        confident, share, unsure = fig7.agreement(mnist, answered, 4)
        assert confident < unsure
        assert 0.5 < share < 0.9
    assert (found["hedge"] != mnist.labels).mean() < mnist.errors().min() + 0.01
    assert "majority_vote" in whole(fig7.error_table(mnist, found))
    assert "hedge" in whole(fig7.agreement_table(mnist, found))


def test_a_recorded_model_fails_by_the_number_of_the_query():
    model = RecordedModel([7, 8], fails_from=10, noise=[1, 2])
    assert model([[9.0, 0.0], [10.0, 0.0], [11.0, 1.0], [12.0, 1.0]]) == [7, 1, 2, 8]


def test_the_table_of_what_was_served():
    parts = np.full(PARTS, 0.25)
    shown = whole(served.table("T", [Served("mnist", "hedge", parts, np.stack([parts, parts]), 3, 0.125)], 1_000))
    assert "| hedge | 0.2500 | 0.2500 (0.2500-0.2500) |" in shown
    assert "| 12.5% | 3 |" in shown


def test_losses_that_are_not_the_models_own_are_counted():
    given = stream(records.mnist(), 2, 0)
    right = [dict(zip(["a:1", "b:1"], map(float, each[:2]), strict=True)) for each in given.wrong()]
    assert served.strange(right, ["a", "b"], given) == 0
    assert served.strange([right[0] | {"a:1": 1 - right[0]["a:1"]}, right[1]], ["a", "b"], given) == 0.25


def test_accuracy_of_answers_leaves_defaults_out():
    ours, blocking = Ensemble(10, 19, 0.1, 0.6, 0.25), Ensemble(12, 40, 0, 0.9, 0)
    assert fig9.of_answers(ours) == pytest.approx(0.8)
    assert fig9.mean([ours, blocking]).accuracy == pytest.approx(0.75)
    found = {size: (ours, blocking) for size in fig9.SIZES}
    assert "| 16 | 10.0 / 19.0 | 17.6 / 23.0 | 12.0 / 40.0 | 65.6 / 154 | yes | yes |" in whole(
        fig9.latency_table(found)
    )
    assert "0.800" in whole(fig9.accuracy_table(found))


@pytest.fixture(scope="module")
def population():
    return groups.population()


def test_the_oracle_is_a_lower_bound(population):
    assert population.oracle() < population.general()
    for group in range(len(population.groups)):
        errors = [population.error(group, model) for model in range(len(population.models))]
        assert errors[group] <= min(errors) + 0.03
    for own in (True, False):
        errors = fig10.Play(population, "hedge", own, 0).run(60, fig10.QUERIES)
        assert errors.mean() > population.oracle()


def test_a_state_of_ones_own_helps_where_groups_differ(population):
    own, everybody = (fig10.Play(population, "hedge", own, 0).run(120, fig10.QUERIES) for own in (True, False))
    assert own[8:].mean() < everybody[8:].mean() - 0.05
    found = {"hedge": fig10.Found(np.stack([own] * 2), np.stack([everybody] * 2))}
    assert "hedge, own" in whole(fig10.error_table(population, found))
    assert "general" in whole(fig10.model_table(population))


def test_bounds_are_the_theorems():
    assert ucb1_bound((0.1, 0.5), 10_000) == pytest.approx(8 * 9.2103 / 0.4 + 4.2899 * 0.4, rel=1e-3)
    assert exp3_bound(5, 10_000, 0.05, 1e-12) == pytest.approx(1.6094 / 0.05 + 1_250, rel=1e-3)
    assert exp3_ix_bound(5, 10_000) == pytest.approx(4 * 283.7 + (2 * 176.3 + 1) * 3.689, rel=1e-3)
    assert least_regret(ERRORS, 10_000) < ucb1_bound(ERRORS, 10_000)


@pytest.mark.parametrize("name", bandits.NAMES)
def test_every_bandit_learns(name):
    curve, best = regret.run_one(regret.Trial(name, "stationary", 0, 1_500, 0))
    uniform = 1_500 * (np.mean(ERRORS) - min(ERRORS))
    assert 0 < curve[-1] < 0.9 * uniform
    assert best == pytest.approx(curve[-1])


def test_late_feedback_is_given_in_the_order_of_the_pulls(monkeypatch):
    class Counting:
        def __init__(self):
            self.pulls, self.learned = 0, []

        def pull(self):
            self.pulls += 1
            return 0, self.pulls

        def learn(self, pulled, loss):
            self.learned.append((self.pulls, pulled[1]))

    counting = Counting()
    monkeypatch.setattr(bandits, "make", lambda *_: counting)
    regret.run_one(regret.Trial("any", "failing", 100, 400, 0))
    assert counting.learned == [(number + 100, number) for number in range(1, 301)]


def test_the_worlds():
    for make in WORLDS.values():
        means = make(1_000)
        assert means.shape == (1_000, 5)
        assert 0 <= means.min() <= means.max() <= 1
    assert WORLDS["failing"](1_000)[300, 0] == 0.9
    assert WORLDS["drifting"](1_000)[500].argmin() == 2


def test_the_table_of_regret():
    found = regret.measure(bandits.NAMES[:1], 200, 1)
    curves = {(name, world, delay): each for name in bandits.NAMES for (_, world, delay), each in found.items()}
    shown = whole(regret.world_table(curves, "stationary", 200, 20))
    assert all(f"| {name} |" in shown for name in bandits.NAMES)


def test_the_tables_of_the_cost():
    one, two = Sample(10_000.0, 50.0, 0), Sample(9_000.0, 62.0, 1)
    samples = {"single": [one, one], "exp3": [two, two], "thompson": [two, two], "hedge": [two, two]}
    samples |= {cost.TWO_SINGLES: [Sample(10_000.0, 46.0, 0)] * 2}
    assert cost.added(samples, "exp3", "single") == [12.0, 12.0]
    shown = whole(cost.prediction_table(samples))
    assert "12.0 (12.0-12.0); <= 15: yes" in shown
    assert "16.0 (16.0-16.0); <= 15: no" in shown
    feedback = {"by input": [one], "by query id": [two]}
    assert "1.63x" in whole(cost.feedback_table(feedback, feedback))


def test_experiments_are_chosen_by_name():
    assert command.chosen("fig8,regret") == ("fig8", "regret")
    with pytest.raises(argparse.ArgumentTypeError, match="fig11"):
        command.chosen("fig11")


def test_a_run_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(records.VARIABLE, str(tmp_path / "nothing.npz"))
    monkeypatch.setattr(sys, "argv", ["selection", "--quick", "--only", "fig7", "--results", str(tmp_path)])
    command.main()
    assert "CIFAR-10 is missing" in capsys.readouterr().out
    about = json.loads((tmp_path / "selection" / "fig7.json").read_text())["about"]
    assert "river" in about["versions"]
    assert (tmp_path / "selection" / "fig7.svg").exists()


class Parrot(BaseHTTPRequestHandler):
    """Answers a prediction with the input's last number; accepts feedback once for each query."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("/predict"):
            answer = {"query_id": told["input"][0], "output": told["input"][-1], "default": False}
        else:
            answer = {"accepted": told["query_id"] not in self.server.heard, "losses": {}}
            self.server.heard[told["query_id"]] = told["label"]
        body = json.dumps(answer, separators=(",", ":")).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Parrot) as listening:
        listening.heard = {}
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield listening
        listening.shutdown()
        thread.join(10)


def test_each_query_gets_its_feedback(server):
    inputs = [(number, number % 7) for number in range(60)]
    answers = asking.ask(f"http://127.0.0.1:{server.server_port}/app", inputs, [number % 5 for number in range(60)])
    assert answers.outputs == [number % 7 for number in range(60)]
    assert answers.defaults == 0
    assert server.heard == {number: number % 5 for number in range(60)}


def test_feedback_that_is_not_accepted_is_an_error(server):
    with pytest.raises(ExceptionGroup) as caught:
        asking.ask(f"http://127.0.0.1:{server.server_port}/app", [(1, 1), (1, 1)], [0, 0], in_flight=1)
    assert caught.group_contains(ValueError, match="not accepted")


@pytest.mark.parametrize("tool", ["wrk", "ours"])
def test_pressing_counts_good_answers(server, tool, monkeypatch):
    if tool == "wrk" and not shutil.which("wrk"):
        pytest.skip("wrk is not installed")
    if tool == "ours":
        monkeypatch.setattr(shutil, "which", lambda name: None)
        monkeypatch.setattr(pressing.uvloop, "run", asyncio.run)  # pytest sees to its own loop
    bodies = [json.dumps({"query_id": number, "label": 0}).encode() for number in range(3)]
    found = pressing.press(f"http://127.0.0.1:{server.server_port}/app/update", bodies, 1, '"accepted":true', 2)
    assert found.requests > 3
    assert 3 <= found.requests - found.bad <= 6
    assert set(server.heard) == {0, 1, 2}
