"""A batch's outcomes as one value, and one by one."""

from __future__ import annotations

from collections.abc import Sequence

from clipper.rpc.wire import Outcome, Outcomes


def together(*outcomes: Outcome) -> Outcomes:
    return Outcomes([each.data for each in outcomes], frozenset(n for n, each in enumerate(outcomes) if not each.ok))


def apart(outcomes: Outcomes) -> Sequence[Outcome]:
    return [Outcome(place not in outcomes.errors, text) for place, text in enumerate(outcomes.texts)]
