"""The protocols that the event loop calls are plain classes, to be compiled, but with all that is called."""

from __future__ import annotations

import asyncio

import pytest

from clipper.frontend.connection import Connection
from clipper.rpc.listener import ContainerConnection


@pytest.mark.parametrize("kind", [Connection, ContainerConnection])
def test_a_protocol_has_every_callback(kind: type) -> None:
    wanted = {name for name in dir(asyncio.Protocol) if not name.startswith("_")}
    assert wanted <= set(dir(kind))
