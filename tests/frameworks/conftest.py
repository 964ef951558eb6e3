"""One cluster for the tests of a module's deployers, and what they assert of each."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from clipper_admin import ClipperConnection, LocalContainerManager

SIZES = (1, 2, 7, 64, 256)


@pytest.fixture(scope="module")
def clipper(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    connection = ClipperConnection(LocalContainerManager("c", 0, 0, 0, home=home, deploy_timeout=120))
    connection.start_clipper(cache_size=0)
    try:
        yield connection
    finally:
        connection.stop_all()


Serve = Callable[..., str]


@pytest.fixture
def serve(clipper: ClipperConnection) -> Serve:
    """Registers an application for a model, links them; its name."""

    def make(model: str, input_type: str = "doubles") -> str:
        clipper.register_application(model, input_type, "-1", 60_000_000)
        clipper.link_model_to_app(model, model)
        return model

    return make


def outputs(clipper: ClipperConnection, app: str, batch: Sequence[Any]) -> list[Any]:
    """The outputs for a batch, none of which is the default."""
    answers = clipper.predict_batch(app, batch)
    assert [each for each in answers if each["default"]] == []
    return [each["output"] for each in answers]


def assert_same_answers(
    clipper: ClipperConnection, app: str, inputs: Any, expected: Sequence[Any], tolerance: float = 0.0
) -> None:
    """What is served equals what the model says here: one by one, in batches of 1 to 256, after a restart."""
    inputs = [each.tolist() if isinstance(each, np.ndarray) else each for each in inputs]
    expected = [each.tolist() if isinstance(each, np.ndarray | np.generic) else each for each in expected]
    for place in range(3):
        _assert_equal([clipper.predict(app, inputs[place])["output"]], expected[place : place + 1], tolerance)
    for size in SIZES:
        batch = [inputs[place % len(inputs)] for place in range(size)]
        _assert_equal(
            outputs(clipper, app, batch), [expected[place % len(inputs)] for place in range(size)], tolerance
        )
    clipper.set_num_replicas(app, 0)
    clipper.set_num_replicas(app, 1)
    _assert_equal(outputs(clipper, app, inputs[:5]), expected[:5], tolerance)


def assert_nothing_left(clipper: ClipperConnection, name: str) -> None:
    """Of a deploy that failed."""
    assert f"{name}:1" not in clipper.get_all_models()
    assert name not in clipper.get_all_apps()
    assert clipper.cm.get_num_replicas(name, "1") == 0


def _assert_equal(found: Sequence[Any], expected: Sequence[Any], tolerance: float) -> None:
    if tolerance:
        np.testing.assert_allclose(np.array(found, float), np.array(expected, float), rtol=tolerance, atol=tolerance)
    else:
        assert json.loads(json.dumps(found)) == json.loads(json.dumps(expected))
