"""An image comes from its registry: what the engine says of it is heard to the end, and its silence has a bound."""

from __future__ import annotations

import queue
import threading
from typing import Any, Final

SILENCE_SECONDS: Final = 120.0
"""An engine that pulls says how far it is several times a second, but nothing while a registry does not answer it."""


def pull(client: Any, tag: str) -> None:
    """Returns when the engine has all of it.

    Raises:
        docker.errors.APIError: why it has not.
    """
    import docker

    said: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(client, tag, said), daemon=True).start()
    while True:
        try:
            step = said.get(timeout=SILENCE_SECONDS)
        except queue.Empty:
            told = f"the engine has said nothing of it for {SILENCE_SECONDS:g} s"
            raise docker.errors.APIError(told, explanation=told) from None
        if step is None:
            return
        if isinstance(step, Exception):
            raise step
        if "error" in step:
            raise docker.errors.APIError(step["error"], explanation=step["error"])


def _listen(client: Any, tag: str, said: queue.SimpleQueue[Any]) -> None:
    try:
        for step in client.api.pull(tag, stream=True, decode=True):
            said.put(step)
        said.put(None)
    except Exception as error:
        said.put(error)
