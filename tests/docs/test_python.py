"""docs/python.md: the signatures are those of the code, the examples run, nothing public is left out."""

import inspect
import re

import pytest

from clipper_admin import ClipperConnection, LocalContainerManager
from clipper_admin.deployers import python as python_deployer
from clipper_admin.managers.programs import CARRIED_VARIABLES
from tests.documents import Reader, blocks, read, section

PAGE = read("docs/python.md")


def documented(title):
    """Name and parameters of each signature in the lists below a heading."""
    listed = re.findall(r"^- `(\w+)\((.*)\)`", section(PAGE, title), re.MULTILINE)
    return {name: inspect.signature(eval(f"lambda {parameters}: None")) for name, parameters in listed}


def simplified(written, function):
    """Names and defaults of a function's parameters; where ``...`` is written any default will do."""
    parameters = [each for each in inspect.signature(function).parameters.values() if each.name != "self"]
    return [
        (each.name, ... if each.name in written and written[each.name].default is ... else each.default)
        for each in parameters
    ]


def check(name, signature, function):
    written = signature.parameters
    assert [(each.name, each.default) for each in written.values()] == simplified(written, function), name


def public(owner):
    return {name for name, _ in inspect.getmembers(owner, inspect.isfunction) if not name.startswith("_")}


def test_the_connection_is_documented_as_it_is():
    signatures = documented("ClipperConnection")
    for name, signature in signatures.items():
        check(name, signature, getattr(ClipperConnection, name))
    assert public(ClipperConnection) == signatures.keys()


def test_the_deployers_are_documented_as_they_are():
    signatures = documented("Deployers")
    assert signatures.keys() == {"deploy_python_closure", "create_endpoint"}
    for name, signature in signatures.items():
        check(name, signature, getattr(python_deployer, name))


def test_the_manager_is_documented_as_it_is():
    signatures = documented("LocalContainerManager")
    check("LocalContainerManager", signatures.pop("LocalContainerManager"), LocalContainerManager)
    for name, signature in signatures.items():
        check(name, signature, getattr(LocalContainerManager, name))


def test_the_variables_that_a_model_sees_are_listed():
    told = set(re.findall(r"`([A-Z_]+)`", section(PAGE, "Deployers").partition("**Where it runs.**")[2]))
    patterns = CARRIED_VARIABLES.pattern.replace(r"\w+", "").replace(r"\w*", "").replace("ROCR?_", "ROC").split("|")
    in_words = {"USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_", "(DY)?LD_LIBRARY_PATH"}
    assert told - {"CLIPPER_MODEL_PATH"} == set(patterns) - in_words


@pytest.mark.cluster
def test_where_a_model_runs(tmp_path, monkeypatch):
    def surroundings(xs):
        import os

        here = os.path.samefile(".", os.environ["CLIPPER_MODEL_PATH"]) and os.path.exists("func.pkl")
        return [[here, os.environ.get("HF_HOME"), os.environ.get("AT_START"), os.environ.get("SECRET")] for _ in xs]

    surroundings.__module__ = "__main__"  # by value, as in a session
    clipper_conn = ClipperConnection(LocalContainerManager("c", 0, 0, 0, home=tmp_path))
    monkeypatch.setenv("AT_START", "yes")
    clipper_conn.start_clipper()
    try:
        monkeypatch.setenv("HF_HOME", "/models")
        monkeypatch.setenv("SECRET", "of the session that deploys")
        python_deployer.create_endpoint(clipper_conn, "m", "doubles", surroundings, "-1", slo_micros=10_000_000)
        assert clipper_conn.predict("m", [1.0])["output"] == [True, "/models", "yes", None]
    finally:
        clipper_conn.stop_all(graceful=False)


@pytest.mark.heavy
@pytest.mark.cluster
def test_the_examples_run(tmp_path):
    connect, *session = blocks(PAGE)
    anywhere = connect.text.replace("LocalContainerManager()", "LocalContainerManager('default-cluster', 0, 0, 0)")
    assert anywhere != connect.text
    reader = Reader(tmp_path)
    try:
        reader.python("\n".join([anywhere, *(block.text for block in session)]))
    finally:
        reader.shell("clipper stop --now")
