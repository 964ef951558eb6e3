"""Ports on the engine's machine, which others may take between the moment they are chosen and that of the start."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final

from clipper_admin.managers.docker_engine import Engine
from clipper_admin.managers.docker_errors import PortTaken
from clipper_admin.managers.docker_parts import Part
from clipper_admin.managers.ports import preferred_port

TRIES: Final = 10


class Ports:
    """Those of the containers that are started together: none twice. ``reserved``: for those that ask by ``own``."""

    def __init__(self, engine: Engine, reserved: Collection[int] = ()) -> None:
        self._engine = engine
        self._reserved = set(reserved)
        self._taken: set[int] = set()

    def choose(self, wished: int, own: bool = False) -> int:
        """``wished``, or another if that is taken or 0. ``own``: what is wished is among the reserved."""
        reserved = self._reserved - {wished} if own else self._reserved
        port = preferred_port("127.0.0.1", wished, self._taken | reserved)
        self._taken.add(port)
        return port

    def start(self, make: Callable[..., Part], *chosen: int) -> Any:
        """Starts what ``make`` makes of the ports; with other ones if somebody has taken one of them meanwhile.

        Raises:
            PortTaken: so it went ``TRIES`` times.
        """
        for _ in range(TRIES - 1):
            try:
                return self._engine.start(make(*chosen))
            except PortTaken:
                chosen = tuple(self.choose(0) for _ in chosen)
        return self._engine.start(make(*chosen))
