"""A cluster without a container manager: a Redis, two query frontends, a management frontend and one container."""

import os
import subprocess
import sys
from contextlib import ExitStack

import cloudpickle

from clipper_admin.packaging import write_runtime
from tests.clipper.store.redis_process import DURABLE, RedisProcess, free_port
from tests.clipper_admin.managers.polling import eventually
from tests.integration.processes import is_ready
from tests.integration.rest import post, send

MODEL = "m"


def first_of(xs):
    return [str(float(x[0])) for x in xs]


first_of.__module__ = "__main__"  # by value, without this module


class RedisCluster:
    """``addresses`` are those of the query frontends. All processes end with ``close``."""

    def __init__(self, folder):
        self._folder = folder
        self._processes = {}
        self._ports = [(free_port(), free_port()) for _ in range(2)]
        self.addresses = [f"127.0.0.1:{query}" for query, _ in self._ports]
        self._management = free_port()
        self.admin_address = f"127.0.0.1:{self._management}"
        with ExitStack() as started:
            self._stack = started
            self.redis = RedisProcess(folder, *DURABLE)
            started.callback(self.redis.kill)
            self.start_management()
            self.start_frontend(0)
            self.start_frontend(1)
            eventually(lambda: all(map(is_ready, [self.admin_address, *self.addresses])), timeout=30)
            self._start_container()
            self._stack = started.pop_all()

    def start_management(self):
        self._run("management", "-m", "clipper.management.frontend", f"--management-port={self._management}")

    def start_frontend(self, number):
        query, rpc = self._ports[number]
        options = [f"--query-port={query}", f"--rpc-port={rpc}", f"--frontend=frontend-{number}"]
        self._run(f"frontend-{number}", "-m", "clipper.frontend.server", *options)

    def process(self, program):
        return self._processes[program]

    def admin(self, path, **body):
        answer = post(self.admin_address, f"/admin/{path}", body)
        assert answer.status == 200, answer
        return answer

    def serve(self, app, policy="hedge"):
        """An application that the container answers, through either frontend, with the input's first number."""
        fields = {"input_type": "doubles", "default_output": "none", "latency_slo_micros": 20_000_000}
        self.admin("add_app", name=app, selection_policy=policy, **fields)
        self.admin("add_model_links", app_name=app, model_names=[MODEL])
        for address in self.addresses:
            eventually(lambda address=address: self._answers(address, app))
        return app

    def readiness(self, address):
        """What a frontend says of its store and of its journal, which are both in Redis."""
        answer = send(address, "GET", "/health/ready")
        assert answer.status == 200, answer
        return answer.json()

    def log(self, program):
        return (self._folder / f"{program}.log").read_text()

    def close(self):
        self._stack.close()

    def _answers(self, address, app):
        answer = post(address, f"/{app}/predict", {"input": [1.0]})
        return answer.status == 200 and not answer.json()["default"]

    def _start_container(self):
        data = self._folder / "model"
        data.mkdir()
        (data / "func.pkl").write_bytes(cloudpickle.dumps(first_of))
        settings = {
            "CLIPPER_MODEL_NAME": MODEL,
            "CLIPPER_MODEL_VERSION": "1",
            "CLIPPER_MODEL_PATH": str(data),
            "CLIPPER_ADDRESS": ",".join(f"tcp:127.0.0.1:{rpc}" for _, rpc in self._ports),
        }
        self._run("container", str(write_runtime(self._folder / "runtime.pyz")), **settings)
        self.register_model()

    def register_model(self):
        model = {"model_name": MODEL, "model_version": "1", "input_type": "doubles", "labels": [], "batch_size": -1}
        self.admin("add_model", **model, container_name="none", model_data_path="none")

    def _run(self, program, *command, **environment):
        if program != "container":
            environment["CLIPPER_STORE"] = self.redis.address("integration")
        log = self._stack.enter_context((self._folder / f"{program}.log").open("ab"))
        process = subprocess.Popen([sys.executable, *command], env=os.environ | environment, stdout=log, stderr=log)
        self._processes[program] = process
        self._stack.callback(end, process)


def end(process):
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(20)
