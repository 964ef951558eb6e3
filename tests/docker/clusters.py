"""Clusters in Docker for tests, on images that need no registry and ports that nobody asks for."""

import contextlib

from clipper_admin import ClipperConnection, DockerContainerManager
from clipper_admin.deployers.python import deploy_python_closure
from clipper_admin.managers.docker_parts import CLUSTER
from tests.clipper_admin.managers.polling import eventually
from tests.docker.containers import docker
from tests.integration.rest import ask

IMAGES = {"redis_image": "clipper-test-redis", "prometheus_image": "clipper-test-prometheus"}
NETWORK = "clipper_test"


def manager(name, **options):
    ports = ("query", "management", "rpc")
    anywhere = {f"clipper_{each}_port": 0 for each in ports} | {"redis_port": 0, "prometheus_port": 0}
    return DockerContainerManager(name, **(anywhere | IMAGES | {"docker_network": NETWORK} | options))


@contextlib.contextmanager
def running(name, **options):
    """A connection to a cluster without Prometheus, which is stopped afterwards, to the last thing."""
    connection = ClipperConnection(manager(name, **{"prometheus_image": None} | options))
    try:
        connection.start_clipper()
        yield connection
    finally:
        connection.stop_all(graceful=False)
        assert not connection.cm.exists()


def ids(cluster, *labels, running=False):
    filters = [f"--filter=label={each}" for each in (f"{CLUSTER}={cluster}", *labels)]
    return docker("ps", "--quiet", "--no-trunc", *([] if running else ["--all"]), *filters).split()


def serve(clipper, name, function, replicas=1, policy="single", **options):
    clipper.register_application(name, "doubles", "-1", 5_000_000, selection_policy=policy)
    deploy_python_closure(clipper, name, 1, "doubles", function, num_replicas=replicas, **options)
    clipper.link_model_to_app(name, name)
    for address in clipper.cm.get_query_addrs():
        eventually(lambda address=address: not ask(address, name, [1.0])["default"], timeout=30)


def adding(number):
    return lambda inputs: [sum(each) + number for each in inputs]
