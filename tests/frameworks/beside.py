"""A container that nobody deployed, started by hand beside a cluster, and an application that it answers."""

import contextlib
import subprocess
import time

from clipper_admin.managers.folders import ClusterFolder

PATIENCE = 60


@contextlib.contextmanager
def serving_beside(clipper, name, command, environment):
    """Has the command serve the application ``name``, for doubles; checks at the end that it stops as it should."""
    cluster = ClusterFolder(clipper.cm.home / "clusters" / clipper.cm.cluster_identifier).read()
    settings = {
        "CLIPPER_MODEL_NAME": name,
        "CLIPPER_MODEL_VERSION": "1",
        "CLIPPER_INPUT_TYPE": "doubles",
        "CLIPPER_ADDRESS": f"tcp:127.0.0.1:{cluster.rpc_port}",
    }
    process = subprocess.Popen(command, env=environment | settings)
    try:
        clipper.register_application(name, "doubles", "-1", 60_000_000)
        clipper.register_model(name, 1, "doubles")
        clipper.link_model_to_app(name, name)
        deadline = time.monotonic() + PATIENCE
        while clipper.predict(name, [1.0])["default"]:
            assert time.monotonic() < deadline, f"{name} does not answer"
        yield
        process.terminate()
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
