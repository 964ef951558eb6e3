"""docs/migrating.md: what it says is not there is not there. Once it is, the page has to change."""

import inspect
import re

import clipper_admin
from clipper.store.sqlite import SqliteStore
from tests.documents import ROOT, read, section

PAGE = read("docs/migrating.md")


def test_what_is_not_there_yet():
    missing = section(PAGE, "What has no effect, or is not there")
    assert "KubernetesContainerManager" in missing
    assert not hasattr(clipper_admin, "KubernetesContainerManager")


def test_the_deployers_of_the_original_are_there_but_for_what_is_dead():
    frameworks = ("pytorch", "tensorflow", "keras", "pyspark", "onnx")
    assert f"deployers {', '.join(f'`{each}`' for each in frameworks)} " in PAGE
    there = {each.stem for each in (ROOT / "src" / "clipper_admin" / "deployers").glob("*.py")}
    assert there >= set(frameworks)
    assert "mxnet" not in there
    assert "deployer `mxnet`" in PAGE


def test_the_arguments_without_effect_are_still_taken():
    start = inspect.signature(clipper_admin.ClipperConnection.start_clipper).parameters
    page = section(PAGE, "What has no effect, or is not there")
    named = re.findall(r"`(\w+)`", page.split(" of `start_clipper`")[0])
    assert len(named) == 2
    assert set(named) <= start.keys()


def test_the_first_query_id(tmp_path):
    assert "the first of a new cluster is 0" in PAGE
    store = SqliteStore(tmp_path / "clipper.db")
    assert store.reserve_query_ids(100) == 0
    assert store.reserve_query_ids(100) == 100
    store.close()
