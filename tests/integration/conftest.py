import re
from itertools import count

import pytest

from clipper_admin import ClipperConnection, LocalContainerManager
from clipper_admin.deployers.python import deploy_python_closure
from tests.clipper_admin.managers.polling import eventually
from tests.integration.rest import post

_names = count()


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Starts clusters on free ports; they are stopped after the module's tests."""
    started = []

    def start(cluster_name="c", home=None, **options):
        home = home or tmp_path_factory.mktemp("home")
        connection = ClipperConnection(LocalContainerManager(cluster_name, 0, 0, 0, home=home, deploy_timeout=30))
        started.append(connection)
        connection.start_clipper(**options)
        return connection

    yield start
    for connection in started:
        connection.stop_all(graceful=False)


@pytest.fixture(scope="module")
def clipper(start):
    """A connection to the cluster that the module's tests share."""
    return start()


@pytest.fixture
def query_addr(clipper):
    return clipper.get_query_addr()


@pytest.fixture
def admin_addr(clipper):
    return clipper.cm.get_admin_addr()


@pytest.fixture
def unique(request):
    """A name that no other test gives to an application or a model."""
    words = re.sub("[^a-z0-9]+", "-", request.node.name.lower())[:40].strip("-")
    return f"{words}-{next(_names)}"


@pytest.fixture
def serve(clipper, unique):
    """Deploys a function behind an application of its own; returns their common name once queries reach it."""

    def serve(function, name=unique, input_type="doubles", default="-1.0", slo=10_000_000, on=clipper, **options):
        on.register_application(name, input_type, default, slo)
        deploy_python_closure(on, name, 1, input_type, function, **options)
        on.link_model_to_app(name, name)
        await_link(on, name, "1")
        return name

    return serve


def await_link(clipper, app, version, times=1):
    """Waits until ``times`` connections in a row know the application's link, and the version of its model.

    An empty batch tells, for it asks the model nothing.
    """
    address, probe = clipper.get_query_addr(), {"input_batch": [], "version": version}
    eventually(lambda: all(post(address, f"/{app}/predict", probe).status == 200 for _ in range(times)))
