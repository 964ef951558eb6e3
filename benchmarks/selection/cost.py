"""What choosing costs: throughput of an ensemble and of feedback, and the CPU of the selection layer."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import requests

from benchmarks.figures import cluster, models
from benchmarks.figures.tables import Cell, Result, Table
from benchmarks.load import Load, generator_name, measure
from benchmarks.selection import apps
from benchmarks.selection.containers import no_op
from benchmarks.selection.pressing import press
from benchmarks.selection.settings import Settings
from clipper_admin import ClipperConnection

FIVE = tuple(f"no-op-{number}" for number in range(5))
TEN = [0.1, 1.2, 2.3, 3.4, 4.5, 5.6, 6.7, 7.8, 8.9, 9.1]
CONNECTIONS = 64
TWO_SINGLES = "two singles"
BANDITS = ("exp3", "thompson")
ADDED_MICROS = 15.0
"""What a bandit of two models may cost a query, over ``single``."""
PAPER_CACHED, PAPER_UNCACHED = 10_929, 6_708
BATCH = 200
ACCEPTED = '"accepted":true'

PAPERS_FOUR: dict[str, Callable[[], models.Predict]] = {
    "forest": models.random_forest,
    "spark-svm": lambda: models.HeavyBatches(models.linear_svm()),
    "linear-svm": models.linear_svm,
    "logistic": models.logistic_regression,
}

REMARKS = """
Load by {generator}, closed loop, on the machine that serves. Rounds take turns (A B A B ...); medians of {rounds}
rounds of {seconds:g} s each, and the lowest and highest.

Throughput: no-op models of ten doubles, cache off, {connections} connections. CPU: user and system seconds of the
query frontend's process, by query; a bandit asks one of its two models, `single` its only one. Two models get the
queries in twice as many batches, which costs the same whoever chose between them: `two singles` is two applications,
each with one of the two models, asked by half of the connections each. Over it is what the selection layer adds.

Feedback, `hedge`: the paper's four kinds of models on MNIST digits (`spark-svm` stands in for PySpark's, see
`benchmarks.figures.models`); the label comes with the input, which was asked for shortly before: with the cache on,
the models' outputs are there, without it the models are asked again. By query id they are there either way. What
differs: the paper's figure is for a window of one observation of its logistic regression over the models' outputs, at
a hit rate of 95.2 %; here a state is learned, and every accepted observation is in the journal on disk before it is
acknowledged.
"""


@dataclass(frozen=True, slots=True)
class Plan:
    seconds: float = 2.0
    rounds: int = 3
    ids: int = 30_000
    """Queries to give feedback on by id, for each round: no more than the frontend has in memory."""


QUICK = Plan(1.0, 1, 4_000)


@dataclass(frozen=True, slots=True)
class Sample:
    """``micros``: CPU of the frontend for each request."""

    rate: float
    micros: float
    bad: int


def of_apps(plan: Plan) -> dict[str, list[Sample]]:
    """Predictions: one model, bandits of two, an ensemble of five, in turns."""
    found: dict[str, list[Sample]] = {}
    probe = json.dumps({"input": TEN}).encode()
    with cluster.cluster() as connection:
        for name in FIVE:
            apps.deploy(connection, name, no_op)
        urls = {
            policy: (apps.serve(connection, f"app-{policy}", FIVE[:count], policy, TEN),) * 2
            for policy, count in (("single", 1), ("exp3", 2), ("thompson", 2), ("hedge", 5))
        }
        urls[TWO_SINGLES] = (urls["single"][0], apps.serve(connection, "app-other", FIVE[1:2], "single", TEN))
        frontends = cluster.processes(connection, "clipper.frontend.server")
        for _ in range(plan.rounds):
            for policy, pair in urls.items():
                before = cluster.cpu_seconds(frontends)
                loads = measure_both(pair, plan.seconds, probe)
                micros = (cluster.cpu_seconds(frontends) - before) / sum(load.requests for load in loads) * 1e6
                bad = sum(load.not_ok + load.broken for load in loads)
                found.setdefault(policy, []).append(Sample(sum(load.rate for load in loads), micros, bad))
    return found


def measure_both(urls: tuple[str, str], seconds: float, body: bytes) -> list[Load]:
    """Each by half of the connections, at the same time."""
    with ThreadPoolExecutor(len(urls)) as pool:
        return list(pool.map(lambda url: measure(f"{url}/predict", CONNECTIONS // 2, seconds, body), urls))


def of_feedback(plan: Plan, cached: bool) -> dict[str, list[Sample]]:
    """Observations by input and by query id, in turns."""
    found: dict[str, list[Sample]] = {}
    data = models.digits()
    digits = [[int(pixel) for pixel in digit] for digit in data.test[: 200 if plan is QUICK else 1_000].tolist()]
    labels = data.test_labels.tolist()
    with cluster.cluster(cache_size=(256 << 20) if cached else 0) as connection:
        for name, make in PAPERS_FOUR.items():
            apps.deploy(connection, name, make())
        url = apps.serve(connection, "digits", tuple(PAPERS_FOUR), "hedge", digits[0])
        by_input = [_body(input=digit, label=label) for digit, label in zip(digits, labels, strict=False)]
        for _ in range(plan.rounds):
            ids = query_ids(url, digits, plan.ids)
            by_id = [_body(query_id=query, label=labels[place % len(digits)]) for place, query in enumerate(ids)]
            for name, bodies in (("by input", by_input), ("by query id", by_id)):
                found.setdefault(name, []).append(_pressed(connection, url, bodies, plan))
    return found


def query_ids(url: str, digits: Sequence[Sequence[float]], count: int) -> list[int]:
    """Asks for the digits again and again, so that there are so many answers to give feedback on."""
    found: list[int] = []
    with requests.Session() as session:
        while len(found) < count:
            start = len(found) % len(digits)
            batch = digits[start : start + BATCH]
            answer = session.post(f"{url}/predict", json={"input_batch": batch}, timeout=60)
            answer.raise_for_status()
            found += [each["query_id"] for each in answer.json()["batch_predictions"]]
    return found[:count]


def _body(**fields: Any) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


def _pressed(connection: ClipperConnection, url: str, bodies: Sequence[bytes], plan: Plan) -> Sample:
    frontends = cluster.processes(connection, "clipper.frontend.server")
    before = cluster.cpu_seconds(frontends)
    pressed = press(f"{url}/update", bodies, plan.seconds, ACCEPTED)
    micros = (cluster.cpu_seconds(frontends) - before) / pressed.requests * 1e6
    return Sample(pressed.rate, micros, pressed.bad)


def added(samples: dict[str, list[Sample]], policy: str, base: str) -> list[float]:
    """Microseconds of CPU over ``base``, round by round."""
    return [one.micros - other.micros for one, other in zip(samples[policy], samples[base], strict=True)]


def run(settings: Settings) -> list[Result]:
    plan = QUICK if settings.quick else Plan()
    predictions = of_apps(plan)
    cached, uncached = of_feedback(plan, cached=True), of_feedback(plan, cached=False)
    remarks = REMARKS.format(
        generator=generator_name(), rounds=plan.rounds, seconds=plan.seconds, connections=CONNECTIONS
    )
    tables = (prediction_table(predictions), feedback_table(cached, uncached))
    return [Result("cost", "What choosing costs", remarks, tables, _draw(predictions))]


def prediction_table(samples: dict[str, list[Sample]]) -> Table:
    rows: list[list[Cell]] = []
    for policy, each in samples.items():
        row: list[Cell] = [policy, _median([one.rate for one in each]), _median([one.micros for one in each])]
        row += [None if policy == "single" else _over(samples, policy, "single", BANDITS)]
        row += [None if policy in ("single", TWO_SINGLES) else _over(samples, policy, TWO_SINGLES, BANDITS)]
        rows.append([*row, sum(one.bad for one in each)])
    head = ["policy", "queries/s", "CPU, us a query", "over single", "over two singles", "defaults, errors"]
    return Table("Predictions: one model; bandits of two; an ensemble of five", head, rows)


def _over(samples: dict[str, list[Sample]], policy: str, base: str, limited: Sequence[str]) -> str:
    more = added(samples, policy, base)
    verdict = f"; <= {ADDED_MICROS:g}: {'yes' if statistics.median(more) <= ADDED_MICROS else 'no'}"
    return _median(more) + (verdict if policy in limited else "")


def feedback_table(cached: dict[str, list[Sample]], uncached: dict[str, list[Sample]]) -> Table:
    rows: list[list[Cell]] = []
    for name in cached:
        rates = [[one.rate for one in each[name]] for each in (cached, uncached)]
        ratio = f"{statistics.median(rates[0]) / statistics.median(rates[1]):.2f}x"
        rows.append([name, _median(rates[0]), _median(rates[1]), ratio, _refused(name, cached, uncached)])
    paper = f"{PAPER_CACHED / PAPER_UNCACHED:.2f}x"
    rows.append(["paper", f"{PAPER_CACHED:,}", f"{PAPER_UNCACHED:,}", paper, None])
    return Table("Feedback: observations/s", ["", "cache on", "cache off", "ratio", "not accepted"], rows)


def _refused(name: str, *found: dict[str, list[Sample]]) -> int:
    return sum(one.bad for each in found for one in each[name])


def _median(values: Sequence[float]) -> str:
    return f"{statistics.median(values):,.1f} ({min(values):,.1f}-{max(values):,.1f})"


def _draw(samples: dict[str, list[Sample]]) -> Any:
    def draw(axes: Any) -> None:
        policies = list(samples)
        axes.bar(policies, [statistics.median(one.micros for one in samples[each]) for each in policies])
        single = statistics.median(one.micros for one in samples["single"])
        axes.axhline(single + ADDED_MICROS, color="gray", linewidth=0.8, label=f"single + {ADDED_MICROS:g} us")
        axes.set_ylabel("CPU of the query frontend, us a query")
        axes.legend()

    return draw
