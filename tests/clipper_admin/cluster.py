"""A cluster small enough for a test: real HTTP on real sockets, a registry in memory, no processes."""

import json
import struct
import threading
from base64 import b64encode
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

from clipper_admin.exceptions import ClipperException

DEFAULTS = {
    "selection_policy": "single",
    "policy_params": {},
    "confidence_threshold": 0.0,
    "loss": "zero_one",
    "loss_scale": 1.0,
    "linked_models": [],
    "shadow_models": [],
}


@dataclass
class Registry:
    apps: dict = field(default_factory=dict)
    models: dict = field(default_factory=dict)
    current: dict = field(default_factory=dict)
    requests: list = field(default_factory=list)
    failures: dict = field(default_factory=dict)
    feedback: list = field(default_factory=list)

    def answer(self, path: str, body: dict) -> tuple[int, object]:
        action = path.removeprefix("/admin/")
        self.requests.append((path, body))
        if path in self.failures:
            return self.failures[path]
        if path.partition("?")[0].endswith("/predict"):
            return self.predict_binary(path, **body) if "data" in body else (200, self.predict(body))
        if path.endswith("/update"):
            return 200, {"accepted": True, "query_id": body.get("query_id", 7), "losses": {"svm:1": 0.0}}
        return getattr(self, action)(**body)

    def page(self, app_name, after, limit):
        lines = [each for each in self.feedback if each["app"] == app_name and each["position"] > int(after)]
        return "".join(json.dumps(each) + "\n" for each in lines[: int(limit)])

    def predict(self, body):
        answers = [
            {"query_id": index, "output": each, "default": False}
            for index, each in enumerate(body.get("input_batch", [body.get("input")]))
        ]
        return {"batch_predictions": answers} if "input_batch" in body else answers[0]

    def predict_binary(self, path, type, data):  # noqa: A002
        kind, _, declared = type.partition("; type=")
        app = self.apps.get(path.split("/")[1])
        if app is not None and app["input_type"] != declared:
            return refuse(f"the body is said to be {declared}")
        if "batch" not in kind:
            return 200, self.predict({"input": b64encode(data).decode()})
        _, *lengths = struct.unpack_from(f"<{1 + data[0]}I", data)
        start = 4 + 4 * len(lengths)
        inputs = [data[start + sum(lengths[:i]) : start + sum(lengths[: i + 1])] for i in range(len(lengths))]
        return 200, self.predict({"input_batch": [b64encode(each).decode() for each in inputs]})

    def add_app(self, name, **fields):
        if name in self.apps:
            return refuse(f"application '{name}' already exists")
        self.apps[name] = {"name": name, **DEFAULTS, "linked_models": [], "shadow_models": [], **fields}
        return 200, f"Successfully added application with name '{name}'"

    def delete_app(self, name):
        if name not in self.apps:
            return refuse(f"Application '{name}' does not exist")
        del self.apps[name]
        return 200, f"Successfully deleted application with name '{name}'"

    def add_model_links(self, app_name, model_names, shadow=False):
        for name in model_names:
            if name not in self.current:
                return refuse(f"No model with name '{name}' exists.")
        self.apps[app_name]["shadow_models" if shadow else "linked_models"] += model_names
        return 200, "linked"

    def delete_model_links(self, app_name, model_names):
        for name in model_names:
            self.apps[app_name]["linked_models"].remove(name)
        return 200, "Success!"

    def set_selection_policy(self, app_name, policy, params=None, **changes):
        if app_name not in self.apps:
            return refuse(f"No application with name '{app_name}' exists.")
        self.apps[app_name] |= {"selection_policy": policy, "policy_params": params or {}, **changes}
        return 200, "set"

    def promote_model(self, app_name, model_name=None):
        return 200, {"app_name": app_name, "model_name": model_name or "best"}

    def get_selection_state(self, app_name, user_id=None):
        app = self.apps[app_name]
        weights = {name: 1 / len(app["linked_models"]) for name in app["linked_models"]}
        scores = {"svm:1": {"count": 3, "mean_loss": 0.5}, "svm:2": {"count": 1, "mean_loss": 0.0}}
        return 200, {
            "app_name": app_name,
            "policy": app["selection_policy"],
            "params": app["policy_params"],
            "user_id": user_id,
            "epoch": 3,
            "feedbacks": 4,
            "weights": weights,
            "scores": scores,
            "state": {},
        }

    def delete_user_state(self, user_id, app_name=None):
        return 200, f"User '{user_id}' is forgotten wherever the name stood"

    def add_model(self, model_name, model_version, **fields):
        self.models[model_name, model_version] = fields
        self.current[model_name] = model_version
        return 200, "added"

    def set_model_version(self, model_name, model_version):
        if (model_name, model_version) not in self.models:
            return refuse(f"Cannot set non-existent version '{model_version}' for model with name '{model_name}'")
        self.current[model_name] = model_version
        return 200, "set"

    def set_batching(self, model_name, model_version=None, **settings):
        model_version = model_version or self.current[model_name]
        if (model_name, model_version) not in self.models:
            return refuse(f"model with name '{model_name}' and version '{model_version}' does not exist")
        self.models[model_name, model_version] |= settings
        return 200, "set"

    def delete_versioned_model(self, model_name, model_version):
        del self.models[model_name, model_version]
        return 200, "deleted"

    def get_all_applications(self, verbose):
        return 200, list(self.apps.values()) if verbose else list(self.apps)

    def get_application(self, name):
        return 200, self.apps.get(name, {})

    def get_linked_models(self, app_name):
        if app_name not in self.apps:
            return refuse(f"No application with name '{app_name}' exists.")
        return 200, self.apps[app_name]["linked_models"]

    def get_all_models(self, verbose):
        if not verbose:
            return 200, [":".join(each) for each in self.models]
        return 200, [self.describe(*each) for each in self.models]

    def get_model(self, model_name, model_version):
        known = (model_name, model_version) in self.models
        return 200, self.describe(model_name, model_version) if known else {}

    def get_all_containers(self, verbose):
        """As if each version had one container connected."""
        ids = [":".join(each) for each in self.models]
        return 200, [{"model_id": each, "model_replica_id": 0} for each in ids] if verbose else [
            f"{i}:0" for i in ids
        ]

    def get_container(self, model_name, model_version, replica_id):
        return 200, {"model_id": f"{model_name}:{model_version}"} if replica_id == 0 else {}

    def describe(self, name, version):
        fields = self.models[name, version]
        return {
            "model_name": name,
            "model_version": version,
            **fields,
            "is_current_version": self.current.get(name) == version,
        }


def refuse(cause: str) -> tuple[int, object]:
    return 400, {"error": "Bad request", "cause": cause}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        registry = self.server.registry
        registry.requests.append((self.path, self.headers.get("Accept")))
        path, _, query = self.path.partition("?")
        if path == "/admin/feedback" and path not in registry.failures:
            self.respond(200, registry.page(**dict(parse_qsl(query))))
            return
        status, answer = registry.failures.get(path, (200, {"counters": []}))
        self.respond(status, "PONG" if self.path == "/admin/ping" and status == 200 else answer)

    def do_POST(self):
        data = self.rfile.read(int(self.headers["Content-Length"]))
        content_type = self.headers["Content-Type"]
        body = json.loads(data) if content_type == "application/json" else {"type": content_type, "data": data}
        self.respond(*self.server.registry.answer(self.path, body))

    def respond(self, status, answer):
        data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    """Both frontends on one port."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.registry = Registry()
        self.addr = f"127.0.0.1:{self.server_address[1]}"

    def __enter__(self):
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.thread.join()
        self.server_close()


@dataclass
class RecordingManager:
    """A container manager that counts replicas instead of running them."""

    addr: str
    cluster_identifier: str = "test-cluster"
    calls: list = field(default_factory=list)
    replicas: dict = field(default_factory=dict)
    fails: dict = field(default_factory=dict)
    seen: list = field(default_factory=list)
    deployer: object = field(default_factory=threading.Lock)

    def _note(self, name, *args):
        self.calls.append((name, *args))
        if name in self.fails:
            raise ClipperException(self.fails[name])

    def start_clipper(self, *args):
        self._note("start_clipper", *args)

    def connect(self):
        self._note("connect")

    @contextmanager
    def deploying(self, name, version):
        assert self.deployer.acquire(timeout=10)
        try:
            yield
        finally:
            self.deployer.release()

    def build_image(self, name, version, model_data_path, base_image, container_registry, pkgs_to_install):
        self._note("build_image", name, version, base_image, container_registry, pkgs_to_install)
        self.seen.append(model_data_path)
        return f"{self.cluster_identifier}-{name}:{version}"

    def deploy_model(self, name, version, input_type, image, num_replicas=1):
        self._note("deploy_model", name, version, input_type, image, num_replicas)
        self.replicas[name, version] = num_replicas

    def get_num_replicas(self, name, version):
        return self.replicas.get((name, version), 0)

    def get_running_versions(self, name):
        return [version for model, version in self.replicas if model == name]

    def set_num_replicas(self, name, version, input_type, image, num_replicas):
        self._note("set_num_replicas", name, version, input_type, image, num_replicas)
        self.replicas[name, version] = num_replicas

    def set_num_frontend_replicas(self, num_frontend_replicas):
        self._note("set_num_frontend_replicas", num_frontend_replicas)

    def get_logs(self, logging_dir):
        return [f"{logging_dir}query.log"]

    def stop_models(self, models):
        self._note("stop_models", {name: list(versions) for name, versions in models.items()})
        for name, versions in models.items():
            for version in versions:
                self.replicas.pop((name, version), None)

    def stop_all_model_containers(self):
        self._note("stop_all_model_containers")
        self.replicas.clear()

    def stop_all(self, graceful=True, keep_state=False):
        self._note("stop_all", graceful, keep_state)

    def get_admin_addr(self):
        return self.addr

    def get_query_addr(self):
        return self.addr

    def get_metric_addr(self):
        return self.addr
