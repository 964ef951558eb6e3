"""The images of ``make images``, one container at a time and together."""

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import cloudpickle
import pytest

from tests.clipper_admin.managers.polling import eventually
from tests.docker.containers import CLOSURE_IMAGE, MANAGEMENT_IMAGE, QUERY_IMAGE, SKLEARN_IMAGE, docker
from tests.integration.rest import ask, post, send

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]

ALL = [QUERY_IMAGE, MANAGEMENT_IMAGE, CLOSURE_IMAGE, SKLEARN_IMAGE]
DRAIN_SECONDS = 12
"""What a server or a model takes to end at most, and some for the engine."""


def add_app(management, name, model, slo=10_000_000):
    """Registers an application, and a model that it is linked to."""
    address = management.address(1338)
    app = {"name": name, "input_type": "doubles", "default_output": "-1", "latency_slo_micros": slo}
    version = {"model_name": model, "model_version": "1", "labels": [], "input_type": "doubles", "batch_size": -1}
    version |= {"container_name": "NO_CONTAINER", "model_data_path": "DEPRECATED"}
    for path, body in [
        ("add_app", app),
        ("add_model", version),
        ("add_model_links", {"app_name": name, "model_names": [model]}),
    ]:
        answer = post(address, f"/admin/{path}", body)
        assert answer.status == 200, answer


@pytest.fixture
def serve(run, query, management, tmp_path):
    """A replica of a function, in an image of its own as models are; healthy, and linked to an application."""
    built = []

    def serve(name, function, frontend=query, alias="query"):
        tag = f"clipper-test-{name}:1"
        directory = tmp_path / name
        directory.mkdir()
        (directory / "func.pkl").write_bytes(cloudpickle.dumps(function))
        (directory / "func.pkl").chmod(0o644)
        (tmp_path / "Dockerfile").write_text(f"FROM {CLOSURE_IMAGE}\nCOPY {name} /model/\n")
        docker("build", "--quiet", "--tag", tag, tmp_path)
        built.append(tag)
        add_app(management, name, name)
        environment = {"CLIPPER_MODEL_NAME": name, "CLIPPER_MODEL_VERSION": "1", "CLIPPER_IP": alias}
        replica = run(tag, flags=[f"--env={key}={value}" for key, value in environment.items()])
        replica.await_health()
        probe = {"input_batch": []}  # asks the model nothing
        eventually(lambda: post(frontend.address(1337), f"/{name}/predict", probe).status == 200)
        return replica

    yield serve
    for tag in built:
        docker("rmi", "--force", tag)


def feature_sum():
    return lambda xs: [float(sum(x)) for x in xs]


def slow(seconds):
    def answer(xs):
        import time

        print("asked", flush=True)  # noqa: T201
        time.sleep(seconds)
        return [7 for _ in xs]

    return answer


@pytest.mark.parametrize("image", ALL)
def test_nothing_runs_as_root(image):
    code = "import os; print(os.getuid(), os.access('/opt/clipper', os.W_OK))"
    found = docker("run", "--rm", "--network=none", "--entrypoint=python", image, "-c", code)
    assert found == "10001 False"


def test_management_answers_through_a_published_port(management):
    address = management.address(1338)
    assert send(address, "GET", "/health/live").json() == {"live": True}
    assert send(address, "GET", "/admin/ping").status == 200


def test_query_frontend_answers_through_a_published_port(query):
    assert send(query.address(1337), "GET", "/health/live").json() == {"live": True}


def test_the_hot_path_of_the_image_is_compiled():
    code = "import clipper.query; print(clipper.query.__file__)"
    found = docker("run", "--rm", "--network=none", "--entrypoint=python", QUERY_IMAGE, "-c", code)
    assert found.endswith(".so")


def test_health_is_asked_on_the_port_that_the_flags_name(start_server):
    server = start_server("management", "--management-port=4242", port=4242, flags=["--init"])
    server.await_health()
    assert send(server.address(4242), "GET", "/health/live").status == 200


def test_a_server_that_hangs_is_unhealthy(start_server):
    flags = ["--init", "--health-start-period=1s"]
    server = start_server("query", port=1337, flags=flags)
    server.await_health()
    server.run("sh", "-c", "kill -STOP $(cat /proc/1/task/1/children)")
    server.await_health("unhealthy")
    server.run("sh", "-c", "kill -CONT $(cat /proc/1/task/1/children)")
    server.await_health()


@pytest.mark.parametrize("arguments", [["nonsense"], ["query", "--nonsense"]])
def test_a_wrong_command_line_is_told(arguments):
    done = subprocess.run(
        ["docker", "run", "--rm", "--network=none", QUERY_IMAGE, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "nonsense" in done.stderr


@pytest.mark.parametrize(("which", "port"), [("query", 1337), ("management", 1338)])
def test_sigterm_ends_a_server(start_server, which, port):
    server = start_server(which, port=port)
    server.await_health()
    began = time.monotonic()
    assert server.stop() == 0, server.logs()
    assert time.monotonic() - began < DRAIN_SECONDS


def test_a_model_serves_an_application_over_tcp(serve, query):
    serve("sums", feature_sum())
    answer = ask(query.address(1337), "sums", [1.5, 2.5])
    assert (answer["output"], answer["default"]) == (4.0, False)


def test_sigterm_ends_a_model(serve):
    replica = serve("leaving", feature_sum())
    began = time.monotonic()
    assert replica.stop() == 0, replica.logs()
    assert time.monotonic() - began < DRAIN_SECONDS
    assert "saying goodbye" in replica.logs()


def test_a_model_that_leaves_answers_what_it_was_asked(serve, query):
    replica = serve("slow-leaving", slow(2))
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, query.address(1337), "slow-leaving", [1.0])
        eventually(lambda: "asked" in replica.logs())
        assert replica.stop() == 0
        assert answer.result(timeout=30)["output"] == 7


def test_a_query_frontend_that_ends_answers_what_it_was_asked(serve, start_server):
    frontend = start_server("query", "--frontend=frontend-1", port=1337, name="ending")
    frontend.await_health()
    replica = serve("slow-ending", slow(2), frontend, "ending")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, frontend.address(1337), "slow-ending", [1.0])
        eventually(lambda: "asked" in replica.logs())
        assert frontend.stop() == 0
        assert answer.result(timeout=30)["output"] == 7


def test_without_a_frontend_a_model_is_not_healthy(run, tmp_path):
    (tmp_path / "func.pkl").write_bytes(cloudpickle.dumps(feature_sum()))
    tmp_path.chmod(0o755)
    environment = ["--env=CLIPPER_MODEL_NAME=m", "--env=CLIPPER_MODEL_VERSION=1", "--env=CLIPPER_IP=127.0.0.1"]
    flags = ["--health-start-period=1s", f"--volume={tmp_path}:/model:ro", *environment]
    run(CLOSURE_IMAGE, flags=flags).await_health("unhealthy")


def test_a_model_that_lacks_its_settings_says_which():
    done = subprocess.run(
        ["docker", "run", "--rm", "--network=none", CLOSURE_IMAGE], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "CLIPPER_MODEL_NAME environment variable must be set" in done.stderr


def test_the_image_of_a_framework_has_it():
    code = "import sklearn, numpy, cloudpickle; print(sklearn.__name__)"
    assert docker("run", "--rm", "--network=none", "--entrypoint=python", SKLEARN_IMAGE, "-c", code) == "sklearn"
