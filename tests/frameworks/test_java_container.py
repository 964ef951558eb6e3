"""The container in Java keeps to the wire, and says what is wrong with its settings."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from clipper.container import conformance
from tests.frameworks.beside import serving_beside
from tests.frameworks.conftest import outputs

SOURCES = Path(__file__).parents[2] / "containers" / "java"
PATIENCE = 60

pytestmark = [
    pytest.mark.frameworks,
    pytest.mark.skipif(not shutil.which("java") or not shutil.which("javac"), reason="java and javac are not here"),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Where the classes of the container and of the example are."""
    folder = tmp_path_factory.mktemp("java")
    container, model = folder / "container", folder / "model"
    compile_java(["-Xlint:all", "-Werror"], container, sorted(SOURCES.glob("clipper/*.java")))
    compile_java(["-cp", container], model, [SOURCES / "example" / "Sums.java"])
    return container, model


def compile_java(options, target, files):
    done = subprocess.run(
        ["javac", *options, "-d", target, *files], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE
    )
    assert (done.returncode, done.stdout.decode()) == (0, "")


@pytest.mark.parametrize("options", [[], ["--tcp", "--input-type", "strings"]], ids=["unix", "tcp"])
def test_it_conforms(built, monkeypatch, capsys, options):
    container, model = built
    monkeypatch.setenv("CLIPPER_MODEL_PATH", str(model))
    monkeypatch.setenv("CLIPPER_JAVA_CLASS", "Sums")

    code = conformance.main([*options, "--", "java", "-cp", str(container), "clipper.Container"])

    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith("ok ")] == [f"all {len(lines) - 1} checks are ok"]
    assert code == 0


def test_a_model_may_be_in_a_jar(built, tmp_path, monkeypatch, capsys):
    container, model = built
    jar = tmp_path / "sums.jar"
    shutil.make_archive(str(tmp_path / "sums"), "zip", model)
    (tmp_path / "sums.zip").rename(jar)
    monkeypatch.setenv("CLIPPER_MODEL_PATH", str(jar))
    monkeypatch.setenv("CLIPPER_JAVA_CLASS", "Sums")

    command = ["java", "-cp", str(container), "clipper.Container"]
    assert conformance.main(["--input-type", "floats", "--only", "one query", "--", *command]) == 0
    assert capsys.readouterr().out.splitlines() == ["ok floats: one query", "all 1 checks are ok"]


def test_a_query_frontend_gets_its_answers(built, clipper):
    container, model = built
    environment = os.environ | {"CLIPPER_MODEL_PATH": str(model), "CLIPPER_JAVA_CLASS": "Sums"}
    with serving_beside(clipper, "java-sums", ["java", "-cp", container, "clipper.Container"], environment):
        assert outputs(clipper, "java-sums", [[1.5, 2.0], [99.5]]) == [[2, 3.5], [1, 99.5]]
        assert clipper.predict("java-sums", [99.0])["default"]


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("CLIPPER_JAVA_CLASS", "", "CLIPPER_JAVA_CLASS environment variable must be set"),
        ("CLIPPER_JAVA_CLASS", "Nowhere", "ClassNotFoundException: Nowhere"),
        ("CLIPPER_JAVA_CLASS", "java.lang.Object", "java.lang.Object is no clipper.Model"),
        ("CLIPPER_INPUT_TYPE", "complex", "CLIPPER_INPUT_TYPE: complex is none of"),
        ("CLIPPER_ADDRESS", "7000", "CLIPPER_ADDRESS: '7000' is not an address"),
    ],
)
def test_what_is_wrong_is_told(built, variable, value, says):
    container, model = built
    settings = {
        "CLIPPER_MODEL_NAME": "sums",
        "CLIPPER_MODEL_VERSION": "1",
        "CLIPPER_MODEL_PATH": str(model),
        "CLIPPER_JAVA_CLASS": "Sums",
    }
    done = subprocess.run(
        ["java", "-cp", container, "clipper.Container"],
        env=os.environ | settings | {variable: value},
        stderr=subprocess.PIPE,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    assert says in done.stderr.decode()


def test_what_it_is_given_begins_no_line_of_its_log(built):
    container, model = built
    forged = "2026-11-28 15:00:00,000 ERROR   container: forged"
    settings = {
        "CLIPPER_MODEL_NAME": f"sums\n{forged}\r\n",
        "CLIPPER_MODEL_VERSION": "1",
        "CLIPPER_MODEL_PATH": str(model),
        "CLIPPER_JAVA_CLASS": "Nowhere",
    }
    done = subprocess.run(
        ["java", "-cp", container, "clipper.Container"],
        env=os.environ | settings,
        capture_output=True,
        timeout=PATIENCE,
    )
    assert f": Loading sums\n    {forged}\n    :1 from " in done.stderr.decode()
