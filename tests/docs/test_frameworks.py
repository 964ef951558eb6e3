"""docs/frameworks.md: its session runs, and the deployers that it lists are those there are."""

import importlib
import pkgutil
import re

import pytest

from clipper_admin import deployers
from tests.documents import Reader, blocks, read, section

PAGE = read("docs/frameworks.md")
INNER = {"closure", "culprit", "endpoint", "foreign", "framework", "interpreter", "local_modules"}
"""Modules beside the deployers, which users don't import."""


@pytest.mark.heavy
@pytest.mark.cluster
def test_the_session_runs(tmp_path):
    session = blocks(PAGE)[0].text
    anywhere = session.replace(
        "ClipperConnection()", "ClipperConnection(LocalContainerManager('default-cluster', 0, 0, 0))"
    ).replace("import ClipperConnection\n", "import ClipperConnection, LocalContainerManager\n")
    assert anywhere.count("LocalContainerManager") == 2
    assert session.endswith("  # True\n")
    reader = Reader(tmp_path)
    try:
        reader.python(anywhere)
    finally:
        reader.shell("clipper stop --now")


def test_every_deployer_is_listed_with_the_functions_it_has():
    rows = re.findall(r"^\| `(\w+)` \|(.*)$", section(PAGE, "Frameworks").partition("\n## ")[0], re.MULTILINE)
    assert {name for name, _ in rows} == {each.name for each in pkgutil.iter_modules(deployers.__path__)} - INNER
    for name, told in rows:
        module = importlib.import_module(f"clipper_admin.deployers.{name}")
        for function in ("create_endpoint", *re.findall(r"`(deploy_\w+)\(", told)):
            assert callable(getattr(module, function)), f"{name}.{function}"
