"""docs/python.md: the signatures are those of the code, the examples run, nothing public is left out."""

import inspect
import re

import pytest

from clipper_admin import ClipperConnection, LocalContainerManager
from clipper_admin.deployers import python as python_deployer
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


@pytest.mark.cluster
def test_the_examples_run(tmp_path):
    connect, deploy = blocks(PAGE)
    anywhere = connect.text.replace("LocalContainerManager()", "LocalContainerManager('default-cluster', 0, 0, 0)")
    assert anywhere != connect.text
    reader = Reader(tmp_path)
    try:
        reader.python(anywhere + deploy.text)
    finally:
        reader.shell("clipper stop --now")
