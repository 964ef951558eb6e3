"""For the tests of models: a function run as a container would run it, and a fixture that gives a running cluster.

In a ``conftest.py``: ``pytest_plugins = ["clipper_admin.testing"]``, then ``clipper_cluster`` is a fixture.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cloudpickle

from clipper.container.outputs import OutputError, encode_outputs
from clipper_admin.connection import ClipperConnection
from clipper_admin.deployers.closure import check_function
from clipper_admin.dry_run import as_container_sees, as_container_value
from clipper_admin.exceptions import ClipperException
from clipper_admin.managers.local import LocalContainerManager
from clipper_admin.names import canonical_input_type


def run_as_container(
    func: Callable[[Any], Any], inputs: Sequence[Any], input_type: str, per_item: bool = False
) -> list[Any]:
    """What an application would answer for each input, without a cluster.

    The function is pickled first, and its outputs become JSON and are read again.

    Args:
        func: the predict function: of a batch, or with ``per_item`` of one input.
        inputs: one batch, as queries hold its inputs.
        input_type: integers, floats, doubles, bytes or strings.
        per_item: as for the deployers.

    Raises:
        ClipperException: an input is not of the type, or the outputs are not one for each input that JSON can hold.
        Exception: whatever the function raises.
    """
    check_function(func)
    try:
        batch = as_container_sees([as_container_value(each, canonical_input_type(input_type)) for each in inputs])
    except (TypeError, ValueError, OverflowError) as error:
        raise ClipperException(f"An input is not of the type {input_type}: {error}") from error
    loaded = cloudpickle.loads(cloudpickle.dumps(func))
    try:
        outcomes = encode_outputs([loaded(each) for each in batch] if per_item else loaded(batch), len(batch))
    except OutputError as error:
        raise ClipperException(str(error)) from None
    for place, outcome in enumerate(outcomes):
        if not outcome.ok:
            raise ClipperException(f"For input {place}: {outcome.data.decode()}")
    return [json.loads(outcome.data) for outcome in outcomes]


def _cluster() -> Iterator[ClipperConnection]:
    """A connection to a cluster of its own, on free ports, that is stopped after the last test."""
    with tempfile.TemporaryDirectory(prefix="clipper-test-") as home:
        connection = ClipperConnection(LocalContainerManager("test", 0, 0, 0, home=Path(home)))
        connection.start_clipper()
        try:
            yield connection
        finally:
            connection.stop_all(graceful=False)


with contextlib.suppress(ImportError):  # the function above is of use without it
    import pytest

    clipper_cluster = pytest.fixture(scope="session", name="clipper_cluster")(_cluster)
