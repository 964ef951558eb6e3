"""A full disk under the store: what can't be kept is refused, clearly; what is known is served on."""

import subprocess

import pytest

from clipper_admin import ClipperException
from clipper_admin.deployers.python import create_endpoint
from tests.clipper_admin.managers.polling import eventually
from tests.integration.conftest import await_link
from tests.integration.models import adding
from tests.integration.rest import ask, outputs, post, refusal, send

pytestmark = pytest.mark.cluster


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small file system can't be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def clipper(small_disk, start):
    clipper = start(home=small_disk / "home")
    yield clipper
    clipper.stop_all(graceful=False)


def fill(folder):
    """Leaves not one byte free."""
    with (folder / "filler").open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(b"x" * 4096)
        except OSError:
            pass


def test_a_full_disk_refuses_changes_and_serves_on(clipper, small_disk, query_addr, admin_addr):
    create_endpoint(clipper, "app", "doubles", adding(), default_output="DEFAULT", slo_micros=10**7)
    await_link(clipper, "app", "1")
    assert outputs([ask(query_addr, "app", [1.0, 2.0])]) == [3]
    registered = clipper.get_all_apps(verbose=True)

    fill(small_disk)
    application = {"name": "new", "input_type": "doubles", "default_output": "x" * 100_000, "latency_slo_micros": 10}
    cause = refusal(post(admin_addr, "/admin/add_app", application), 503)
    assert "clipper.db" in cause
    assert "full" in cause
    assert "free some space" in cause
    with pytest.raises(ClipperException, match=r"disk of the store .* is full"):
        clipper.register_application("new", "doubles", "x" * 100_000, 10)
    assert clipper.get_all_apps(verbose=True) == registered
    for number in range(20):
        assert outputs([ask(query_addr, "app", [float(number), 2.0])]) == [number + 2]
    assert send(query_addr, "GET", "/health/ready").status == 200

    (small_disk / "filler").unlink()
    clipper.register_application("new", "doubles", "x", 10)
    assert "new" in clipper.get_all_apps()
    eventually(lambda: post(query_addr, "/new/predict", {"input_batch": []}).status == 200)
