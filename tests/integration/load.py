"""Clients that ask one query after another, and remember every answer."""

import http.client
import json
import threading
import time
from itertools import count
from typing import NamedTuple

from tests.integration.rest import TIMEOUT

_numbers = count(1)


class Asked(NamedTuple):
    """A query and what became of it: ``status`` is 0, and ``answer`` the error, if the connection broke."""

    value: float
    client: int
    began: float
    ended: float
    status: int
    answer: object


class Load:
    """Clients with a keep-alive connection each, made again when it was closed; all ask inputs nobody asked before.

    The model is expected to answer an input of one number with that number.
    """

    def __init__(self, address, app, clients=4):
        self._address = address
        self._path = f"/{app}/predict"
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(each,)) for each in range(clients)]
        self.asked = []

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join(TIMEOUT)
            assert not thread.is_alive()

    @property
    def answers(self):
        """All that were answered with a 200, in the order of their answers."""
        return [each for each in self.asked if each.status == 200]

    @property
    def broken(self):
        return [each for each in self.asked if each.status == 0]

    def outputs(self):
        """The outputs of the queries, all of which were answered, with the model's output."""
        assert [each for each in self.asked if each.status != 200 or each.answer["default"]] == []
        return [each.answer["output"] for each in self.asked]

    def check(self):
        """No answer is another query's, no two have the same id, and every default says why."""
        for each in self.answers:
            if each.answer["default"]:
                assert each.answer["default_reason"]
                assert each.answer["default_explanation"]
            else:
                assert each.answer["output"] == each.value
        ids = [each.answer["query_id"] for each in self.answers]
        assert len(set(ids)) == len(ids)

    def _run(self, client):
        connection = http.client.HTTPConnection(self._address, timeout=TIMEOUT)
        while not self._stop.is_set():
            value, began = float(next(_numbers)), time.monotonic()
            try:
                connection.request("POST", self._path, json.dumps({"input": [value]}))
                response = connection.getresponse()
                outcome = response.status, json.loads(response.read())
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                outcome = 0, error
                self._stop.wait(0.01)  # nobody listens during a restart
            self.asked.append(Asked(value, client, began, time.monotonic(), *outcome))
        connection.close()
