"""Fig. 8 once more, through the real thing: predict and update over HTTP, models in containers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.figures import cluster
from benchmarks.figures.tables import Cell, Result, Table
from benchmarks.selection import apps, asking
from benchmarks.selection import recorded as records
from benchmarks.selection.asking import Answers
from benchmarks.selection.containers import RecordedModel
from benchmarks.selection.recorded import Recorded
from benchmarks.selection.settings import Settings
from benchmarks.selection.stream import QUERIES, Rule, Stream, failing, play, stream
from benchmarks.selection.trials import PARTS, Numbers, in_parts
from clipper_admin import ClipperConnection

POLICIES = ("exp3", "exp4", "hedge")
QUICK_QUERIES = 1_000
SEED = 0
PURE_SEEDS = 5

REMARKS = """
The recipe of Fig. 8, {queries:,} queries of {titles}: one application for each policy in a real cluster (one query
frontend, five containers that answer what was recorded; the best one at random from a quarter to a half of the
queries), cache off. Over HTTP, {in_flight} connections: the label of a query is sent by its query id as soon as the
answer is there, and the next query when the label is acknowledged. "Pure code" is the same stream of queries without
the servers, the mean and the lowest and highest of {seeds} draws: Exp3 and Exp4 draw, `hedge` does not.

What differs between the two: here, with {in_flight} queries under way, feedback is up to {late} queries late, and an
ensemble answers as soon as no output that is missing can change the answer. "Strange" losses are not those of
what the model says: feedback waits for the models that have not answered, so there should be none.
"""


@dataclass(frozen=True, slots=True)
class Served:
    """What one policy did: errors in each part of the run, over HTTP and, by seed, in pure code.

    ``strange``: the share of all losses that are not what the model's recorded output has.
    """

    data: str
    policy: str
    parts: Numbers
    pure: Numbers
    defaults: int
    strange: float


def deploy(connection: ClipperConnection, recorded: Recorded, given: Stream) -> list[str]:
    """A container for each model; the best one fails as it does in the stream."""
    window = failing(len(given))
    names = []
    for place, model in enumerate(recorded.models):
        fails = place == recorded.best()
        noise = given.outputs[window, place].tolist() if fails else ()
        names.append(f"{recorded.name}-{model}")
        outputs = recorded.outputs[:, place].tolist()
        apps.deploy(connection, names[-1], RecordedModel(outputs, window.start, noise))
    return names


def ask(connection: ClipperConnection, app: str, models: Sequence[str], policy: str, given: Stream) -> Answers:
    url = apps.serve(connection, app, models, policy, (0.0, 0.0))
    inputs = [(float(number), float(image)) for number, image in enumerate(given.images.tolist())]
    return asking.ask(url, inputs, given.labels.tolist())


def measure(connection: ClipperConnection, recorded: Recorded, queries: int) -> list[Served]:
    given = stream(recorded, queries, SEED, (recorded.best(),))
    models = deploy(connection, recorded, given)
    found = []
    for policy in POLICIES:
        answers = ask(connection, f"{recorded.name}-{policy}", models, policy, given)
        wrong = np.array([output != label for output, label in zip(answers.outputs, given.labels, strict=True)])
        beside, odd = pure(recorded, policy, given), strange(answers.losses, models, given)
        found.append(Served(recorded.name, policy, in_parts(wrong), beside, answers.defaults, odd))
    return found


def strange(losses: Sequence[Mapping[str, float]], models: Sequence[str], given: Stream) -> float:
    """The share of losses that are not those of the models' outputs: of models that had not answered yet, say."""
    places = {f"{model}:1": place for place, model in enumerate(models)}
    wrong = given.wrong()
    same = [wrong[query, places[name]] == loss for query, told in enumerate(losses) for name, loss in told.items()]
    return 1 - float(np.mean(same))


def pure(recorded: Recorded, policy: str, given: Stream) -> Numbers:
    rule = Rule(policy)
    played = [play(rule.make(), given, seed, rule.links(recorded)) for seed in range(PURE_SEEDS)]
    return np.stack([in_parts(each.wrong) for each in played])


def run(settings: Settings) -> list[Result]:
    queries = QUICK_QUERIES if settings.quick else QUERIES
    data = records.all_of(settings.data)[-1 if settings.quick else 0 :]
    with cluster.cluster() as connection:
        found = [each for recorded in data for each in measure(connection, recorded, queries)]
    remarks = REMARKS.format(
        queries=queries,
        titles=" and of ".join(each.title for each in data),
        in_flight=asking.IN_FLIGHT,
        late=asking.IN_FLIGHT - 1,
        seeds=PURE_SEEDS,
    )
    remarks += records.what_is_missing(settings.data)
    tables = tuple(table(each.title, [one for one in found if one.data == each.name], queries) for each in data)
    shown = [each for each in found if each.data == data[0].name]
    return [Result("served", "Fig. 8, served over HTTP", remarks, tables, _draw(shown, queries))]


def table(title: str, found: Sequence[Served], queries: int) -> Table:
    rows: list[list[Cell]] = []
    for each in found:
        row: list[Cell] = [each.policy]
        for share in (0.25, 0.5, 1.0):
            until = round(share * PARTS)
            pure = each.pure[:, :until].mean(axis=1)
            row += [f"{each.parts[:until].mean():.4f}", f"{pure.mean():.4f} ({pure.min():.4f}-{pure.max():.4f})"]
        rows.append([*row, f"{each.strange:.1%}", each.defaults])
    head = ["policy"]
    for at in (queries // 4, queries // 2, queries):
        head += [f"served, at {at:,}", "pure code"]
    return Table(f"{title}: cumulative error", [*head, "strange losses", "defaults"], rows)


def _draw(found: Sequence[Served], queries: int) -> Any:
    def draw(axes: Any) -> None:
        at = (np.arange(PARTS) + 0.5) * queries / PARTS
        for each in found:
            (line,) = axes.plot(at, each.parts, marker=".", label=f"{each.policy}, served")
            axes.plot(at, each.pure.mean(axis=0), "--", color=line.get_color(), label=f"{each.policy}, pure code")
        window = failing(queries)
        axes.axvspan(window.start, window.stop, color="gray", alpha=0.15)
        axes.set(xlabel="query", ylabel=f"error in each {queries // PARTS:,} queries", ylim=(0, None))
        axes.legend(fontsize="small")

    return draw
