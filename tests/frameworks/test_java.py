"""Java: a class of the user's is compiled, deployed and asked."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from clipper_admin import ClipperException
from clipper_admin.deployers import java as deployer
from tests.frameworks.conftest import assert_nothing_left, assert_same_answers, outputs

pytestmark = [
    pytest.mark.frameworks,
    pytest.mark.skipif(not shutil.which("javac"), reason="javac is not here: install a JDK"),
]

TOTAL = """
import clipper.Inputs;
import clipper.Model;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

public final class Total implements Model {
    public List<String> predict(Inputs inputs) {
        List<String> outputs = new ArrayList<>();
        for (int index = 0; index < inputs.size(); index++)
            outputs.add(String.valueOf(Arrays.stream(inputs.doubles(index)).sum()));
        return outputs;
    }
}
"""
OUTPUTS = "List<String> outputs = new ArrayList<>();"
SOURCES = Path(__file__).parents[2] / "containers" / "java" / "clipper"


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("java")
    (folder / "Total.java").write_text(TOTAL)
    container = folder / "container"
    for options in (["-d", container, *SOURCES.glob("*.java")], ["-cp", container, "-d", folder / "model"]):
        files = [folder / "Total.java"] if "-cp" in options else []
        subprocess.run(["javac", *options, *files], check=True, timeout=60)
    return folder / "model"


def test_a_class_answers(clipper, serve, classes):
    deployer.deploy_java_class(clipper, "total", 1, "doubles", classes, "Total")
    inputs = [[0.5 * place, 1.0, -2.25] for place in range(256)]
    assert_same_answers(clipper, serve("total"), inputs, [sum(each) for each in inputs], tolerance=1e-6)


def test_a_source_is_compiled(clipper, serve, tmp_path):
    (tmp_path / "Total.java").write_text(TOTAL)
    deployer.deploy_java_class(clipper, "source", 1, "doubles", tmp_path / "Total.java", "Total", sample=[1.0])
    assert outputs(clipper, serve("source"), [[1.5, 2.0], [4.0]]) == [3.5, 4.0]
    (tmp_path / "Total.java").write_text(TOTAL.replace("outputs.add", "outputs.append"))
    with pytest.raises(ClipperException, match=r"Compiling .*Total.java(.|\n)*outputs.append"):
        deployer.deploy_java_class(clipper, "broken", 1, "doubles", tmp_path / "Total.java", "Total")
    assert_nothing_left(clipper, "broken")


def test_a_class_that_is_not_there_fails_the_deploy(clipper, classes):
    with pytest.raises(ClipperException, match="ClassNotFoundException: Totals"):
        deployer.deploy_java_class(clipper, "totals", 1, "doubles", classes, "Totals")
    assert "totals:1" not in clipper.get_all_models()
    assert clipper.cm.get_num_replicas("totals", "1") == 0


@pytest.mark.parametrize(
    ("sample", "body", "says"),
    [
        ([1.0], "return List.of();", r"For the sample the model returned \[\], not one output"),
        ([1.0], 'throw new IllegalStateException("not today");', "IllegalStateException: not today"),
        ("one", "return List.of();", "The sample is no input of type doubles: 'one'"),
    ],
)
def test_a_sample_must_be_answered(clipper, tmp_path, sample, body, says):
    source = TOTAL.replace(OUTPUTS, f"if (inputs.size() > 0) {body}\n" + OUTPUTS)
    (tmp_path / "Total.java").write_text(source)
    with pytest.raises(ClipperException, match=says):
        deployer.create_endpoint(clipper, "unanswered", "doubles", tmp_path / "Total.java", "Total", sample=sample)
    assert_nothing_left(clipper, "unanswered")


def test_functions_of_one_input_are_for_python(clipper, classes):
    with pytest.raises(ClipperException, match="per_item is for functions of Python"):
        deployer.deploy_java_class(clipper, "none", 1, "doubles", classes, "Total", per_item=True)


def test_bad_arguments_and_no_jdk(clipper, classes, monkeypatch):
    with pytest.raises(ClipperException, match="/nowhere does not exist: give a directory of classes, a jar"):
        deployer.deploy_java_class(clipper, "none", 1, "doubles", "/nowhere", "Total")
    with pytest.raises(ClipperException, match="'a b' is no name of a class"):
        deployer.deploy_java_class(clipper, "none", 1, "doubles", classes, "a b")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ClipperException, match="java is not on the PATH: install a JDK of Java 17 or later"):
        deployer.deploy_java_class(clipper, "none", 1, "doubles", classes, "Total")
