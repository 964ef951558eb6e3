"""A Prometheus of one's own: on a free port, its data in a folder, ended by its process id."""

import json
import re
import shutil
import socket
import subprocess
from urllib.parse import quote

from tests.clipper_admin.managers.polling import eventually
from tests.integration.rest import send

PROGRAM = shutil.which("prometheus")
PATIENCE = 30.0


class Prometheus:
    def __init__(self, folder, config):
        (folder / "prometheus.yml").write_text(config)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self._log = folder / "prometheus.log"
        options = {
            "config.file": folder / "prometheus.yml",
            "storage.tsdb.path": folder / "data",
            "web.listen-address": self.address,
            "log.level": "warn",
        }
        with self._log.open("wb") as log:
            command = [PROGRAM, *(f"--{name}={value}" for name, value in options.items())]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        eventually(self._is_ready, PATIENCE)

    def _is_ready(self):
        assert self._process.poll() is None, self._log.read_text()
        try:
            return send(self.address, "GET", "/-/ready").status == 200
        except OSError:
            return False

    def close(self):
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def ask(self, query):
        """The series of the answer to a query: labels and value."""
        answer = send(self.address, "GET", f"/api/v1/query?query={quote(query)}").json()
        assert answer["status"] == "success", (query, answer)
        return [(each["metric"], float(each["value"][1])) for each in answer["data"]["result"]]

    def await_values(self, query, *values):
        """Until the answer's values, in order, are these; nothing is what a query without a series gives."""
        try:
            eventually(lambda: sorted(value for _, value in self.ask(query)) == sorted(values), PATIENCE)
        except AssertionError:
            raise AssertionError(f"{query} is {self.ask(query)} and not {values}") from None

    def await_data(self, query):
        """Until a series has a number; the series."""
        return eventually(lambda: [each for each in self.ask(query) if each[1] == each[1]], PATIENCE)


def expressions(dashboard):
    """The title of each panel and its queries, as Grafana would send them with everything chosen."""
    for panel in json.loads(dashboard)["panels"]:
        for target in panel.get("targets", ()):
            query = target["expr"].replace("$__rate_interval", "30s")
            query = re.sub(r"\$(app|model)\b", ".*", query)
            assert "$" not in query, query
            yield panel["title"], query
