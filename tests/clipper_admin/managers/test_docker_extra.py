"""What users may give every container besides, and what is said of what they may not."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from clipper_admin import ClipperException, DockerContainerManager
from clipper_admin.managers import docker_parts
from clipper_admin.managers.docker_engine import Engine
from clipper_admin.managers.docker_extra import Extra

PART = docker_parts.Part("name", "image", {"ours": ""}, environment={"A": "1"}, volumes={"data": "/data"})
BOUND = {"/host": {"bind": "/in"}}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"volumes": ["/host:/inside:ro"]}, {"volumes": ["/host:/inside:ro", "data:/data"]}),
        ({"volumes": BOUND}, {"volumes": ["/host:/in:rw", "data:/data"]}),
        ({"volumes": {"/host": {"bind": "/in", "mode": "ro"}}}, {"volumes": ["/host:/in:ro", "data:/data"]}),
        ({"environment": ["A=2", "B=3=4"]}, {"environment": {"A": "1", "B": "3=4"}}),
        ({"environment": {"CLIPPER_OF_OURS": 5}}, {"environment": {"A": "1", "CLIPPER_OF_OURS": 5}}),
        ({"labels": ["theirs"], "mem_limit": "1g"}, {"labels": {"theirs": "", "ours": ""}, "mem_limit": "1g"}),
    ],
)
def test_what_is_given_besides_is_joined_with_what_a_container_needs(given, expected):
    own = {"labels": {"ours": ""}, "environment": {"A": "1"}, "volumes": ["data:/data"]}
    options = Extra(given).options(PART)
    assert json.loads(options["labels"].pop(docker_parts.EXTRA)) == given
    assert options == own | expected


@pytest.mark.parametrize(("said", "expected"), [(None, "1g"), ({"mem_limit": "2g"}, "2g"), ({}, None)])
def test_what_a_cluster_was_given_is_given_by_other_sessions_too(said, expected):
    labels = Extra({"mem_limit": "1g", "environment": {"A": Path("b")}}).options(PART)["labels"]
    running = SimpleNamespace(attrs={"HostConfig": {"NetworkMode": "net"}}, labels=labels)
    engine = Engine("c", "localhost", "other", said)
    engine._client = SimpleNamespace(api=SimpleNamespace(create_endpoint_config=lambda **given: given))
    engine.adopt([running])
    options = engine._options(PART)
    assert options.get("mem_limit") == expected
    assert options["network"] == "net"
    assert engine.has_what_is_given(running) is (said is None)


@pytest.mark.parametrize(
    ("part", "volumes"),
    [
        (docker_parts.redis("c", "image", 1), ["clipper-c-redis:/data"]),
        (docker_parts.prometheus("c", "image", 1, ""), []),
        (docker_parts.fluentd("c", "image", 1), []),
    ],
)
def test_what_is_not_clippers_has_the_users_limits_and_not_their_files(part, volumes):
    options = Extra({"volumes": ["/theirs:/data"], "mounts": ["theirs"], "mem_limit": "1g"}).options(part)
    assert (options["volumes"], options["mem_limit"]) == (volumes, "1g")
    assert "mounts" not in options


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"mem_limits": "1g"}, "has 'mem_limits', which .* does not take: did you mean 'mem_limit'"),
        ({"network": "host"}, "can't have 'network': Clipper sets it"),
    ],
)
def test_what_is_not_known_of_a_container_is_refused_before_docker_is_asked(monkeypatch, given, said):
    pytest.importorskip("docker")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    with pytest.raises(ClipperException, match=f"extra_container_kwargs {said}"):
        DockerContainerManager("c", extra_container_kwargs=given).start_clipper()


@pytest.mark.parametrize("given", [5, 0, "", "mem_limit=1g", ["mem_limit"]])
def test_what_is_no_mapping_is_refused(given):
    with pytest.raises(ClipperException, match=r"extra_container_kwargs must be a mapping, such as .*, not "):
        DockerContainerManager("c", extra_container_kwargs=given)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("volumes", "/host:/inside", "a list of '/host:/inside:ro' or a mapping"),
        ("volumes", None, "a list of"),
        ("volumes", [BOUND], "a list of"),
        ("volumes", {"/host": {"bnd": "/in"}}, "a mapping such as .*'bind'"),
        ("volumes", {"/host": {"bind": "/in", "ro": True}}, "a mapping such as"),
        ("volumes", {"/host": {}}, "a mapping such as"),
        ("volumes", {"/host": "/in"}, "a mapping such as"),
        ("volumes", {"/host": {"bind": 5}}, "a mapping such as"),
        ("volumes", {Path("/host"): {"bind": "/in"}}, "a mapping such as"),
        ("environment", "A=1", "a mapping of names to values or a list of 'NAME=value'"),
        ("environment", ["A"], "a mapping of names"),
        ("environment", {5: "A"}, "a mapping of names"),
        ("environment", {"A": ["B"]}, "a mapping of names to values, each a str or a number"),
        ("labels", "ours", "a mapping of str to str or a list of names"),
        ("labels", {"ours": 5}, "a mapping of str"),
        ("labels", [5], "a mapping of str"),
    ],
)
def test_a_value_of_another_form_is_refused_by_its_name(name, value, expected):
    with pytest.raises(ClipperException, match=f"^extra_container_kwargs: {name} must be {expected}.*, not "):
        DockerContainerManager("c", extra_container_kwargs={name: value})


@pytest.mark.parametrize(
    ("name", "value", "ours"),
    [
        ("environment", ["A=1", "CLIPPER_MODEL_NAME=mine"], "CLIPPER_MODEL_NAME"),
        ("environment", {"CLIPPER_LOG_LEVEL": "debug"}, "CLIPPER_LOG_LEVEL"),
        ("labels", {docker_parts.CLUSTER: "another"}, docker_parts.CLUSTER),
        ("labels", ["ai.clipper.anything"], "ai.clipper.anything"),
    ],
)
def test_what_clipper_sets_itself_is_not_overridden_in_silence(name, value, ours):
    with pytest.raises(ClipperException, match=f"^extra_container_kwargs: {name} can't have '{ours}': Clipper "):
        DockerContainerManager("c", extra_container_kwargs={name: value})


def test_other_sessions_take_what_is_noted():
    given = {"labels": {"one", "two"}, "environment": ("A=1",), "volumes": {"/a:/b"}, "mem_limit": "1g"}
    noted = Extra(json.loads(Extra(given).note))
    assert noted.options(PART) == Extra(given).options(PART)
