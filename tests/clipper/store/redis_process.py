"""Redis servers of the tests: on ports of their own, their data in a folder of theirs, ended by their pid."""

import shutil
import socket
import subprocess
import time
from urllib.parse import quote

import pytest
from redis import Redis
from redis.exceptions import RedisError

REDIS_SERVER = shutil.which("redis-server")
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


class RedisProcess:
    """A server on 127.0.0.1 that can be killed, and started again on the same port and data."""

    def __init__(self, folder, *options, password=""):
        if REDIS_SERVER is None:
            pytest.skip("redis-server is not installed here: apt-get install redis-server")
        self.port = free_port()
        self._password = password
        command = [REDIS_SERVER, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
        self._command = [*command, *(["--requirepass", password] if password else []), *options]
        self._log = folder / "redis.log"
        self._process = None
        self.start()

    def address(self, cluster="test", password=None):
        password = self._password if password is None else password
        user = f":{quote(password, safe='')}@" if password else ""
        return f"redis://{user}127.0.0.1:{self.port}/0?cluster={cluster}"

    def client(self):
        return Redis(port=self.port, password=self._password or None, socket_timeout=10)

    def start(self):
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        deadline = time.monotonic() + 30
        while not self._answers():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.01)

    def kill(self):
        self._process.kill()
        self._process.wait(30)

    @property
    def pid(self):
        return self._process.pid

    def _answers(self):
        try:
            with self.client() as client:
                return client.ping()
        except RedisError:
            return False
