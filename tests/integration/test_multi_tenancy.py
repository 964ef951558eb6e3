"""Two clusters side by side have nothing in common but the machine (reference 11.3, multi-tenancy)."""

import pytest

from clipper_admin import ClipperConnection, ClipperException, LocalContainerManager
from clipper_admin.deployers.python import create_endpoint
from tests.clipper_admin.managers.polling import eventually
from tests.integration.models import answering
from tests.integration.rest import ask, metrics, post

pytestmark = pytest.mark.cluster


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def tenants(start, home):
    """Each has the same application, answering the name of its cluster."""
    tenants = {name: start(name, home) for name in ("one", "two")}
    for name, clipper in tenants.items():
        create_endpoint(clipper, "app", "doubles", answering(name), default_output="DEFAULT")
        eventually(
            lambda clipper=clipper: post(clipper.get_query_addr(), "/app/predict", {"input": []}).status == 400
        )
    return tenants


def test_two_clusters_share_names_and_nothing_else(tenants, home):
    one, two = tenants["one"].get_query_addr(), tenants["two"].get_query_addr()
    eventually(lambda: ask(one, "app", [0.0])["output"] == "one")
    eventually(lambda: ask(two, "app", [0.0])["output"] == "two")
    before = metrics(two)("clipper_requests_total", app="app", outcome="ok")
    for number in range(25):
        assert ask(one, "app", [float(number)])["output"] == "one"
    assert metrics(two)("clipper_requests_total", app="app", outcome="ok") == before

    tenants["one"].register_application("only-here", "ints", "0", 100_000)
    assert tenants["two"].get_all_apps() == ["app"]
    again = ClipperConnection(LocalContainerManager("two", home=home))
    again.connect()
    assert again.get_query_addr() == two
    again.close()

    tenants["one"].stop_all()
    for number in range(25):
        assert ask(two, "app", [float(number)])["output"] == "two"
    with pytest.raises(ClipperException, match="Cluster one is not running"):
        ClipperConnection(LocalContainerManager("one", home=home)).connect()
