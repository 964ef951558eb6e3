"""R: a function saved from R, or the value of a script, is deployed from Python and from R, and asked."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from clipper_admin import ClipperException
from clipper_admin.deployers import r as deployer
from tests.frameworks.conftest import assert_nothing_left, assert_same_answers, outputs

pytestmark = [
    pytest.mark.frameworks,
    pytest.mark.skipif(not shutil.which("Rscript"), reason="R is not here: install r-base-core"),
]

FIT = """
fit <- lm(dist ~ speed, data = cars)
coefficients <- as.list(coef(fit))
function(inputs) vapply(inputs, function(x) coefficients[[1]] + coefficients[[2]] * x[1], 0)
"""
DEPLOY = Path(__file__).parents[2] / "containers" / "r" / "deploy.R"
WORKSPACE = """
library(splines)
fit <- lm(dist ~ bs(speed), cars)
offset <- 0.5
halved <- function(x, depth = 1) if (depth) halved(x / 2, depth - 1) else x + offset
describe <- function(value) UseMethod("describe")
describe.distance <- function(value) halved(value$feet)
make <- function(times) {
  function(inputs) vapply(inputs, function(x) {
    feet <- times * predict(fit, data.frame(speed = min(25, max(4, x[1]))))
    describe(structure(list(feet = feet), class = "distance"))
  }, 0)
}
cars_halved <- make(3)
before <- ls()
"""
TELL = """
told <- cars_halved(as.list(as.numeric(1:256)))
stopifnot(identical(environment(halved), globalenv()), identical(parent.env(environment(cars_halved)), globalenv()))
stopifnot(identical(setdiff(ls(), c(before, "before")), "told"))
writeLines(format(told, digits = 17))
"""
SPEEDS = [[float(speed)] for speed in range(1, 257)]


@pytest.fixture(scope="module")
def predictions(tmp_path_factory):
    """What R itself predicts."""
    code = (
        "fit <- lm(dist ~ speed, data = cars); "
        "writeLines(format(predict(fit, data.frame(speed = 1:256)), digits = 17))"
    )
    done = subprocess.run(["Rscript", "-e", code], capture_output=True, text=True, check=True, timeout=60)
    return [float(line) for line in done.stdout.split()]


def test_a_script_answers_what_r_predicts(clipper, serve, tmp_path, predictions):
    (tmp_path / "cars.R").write_text(FIT)
    deployer.deploy_r_function(clipper, "cars", 1, "doubles", tmp_path / "cars.R")
    assert_same_answers(clipper, serve("cars"), SPEEDS, predictions, tolerance=1e-6)


def test_a_saved_function_is_deployed_from_r(clipper, serve, tmp_path):
    command = [sys.executable, "-m", "clipper_admin.deployers.r", "upper", "1", "strings", "func.rds"]
    command += ["--cluster", clipper.cm.cluster_identifier, "--home", str(clipper.cm.home)]
    arguments = ", ".join(f'"{each}"' for each in command[1:])
    script = (
        "saveRDS(local(function(inputs) toupper(inputs), envir = new.env(parent = baseenv())), 'func.rds'); "
        f"quit(status = system2('{command[0]}', c({arguments})))"
    )
    subprocess.run(["Rscript", "-e", script], cwd=tmp_path, check=True, timeout=100, env=dict(os.environ))
    assert outputs(clipper, serve("upper", "strings"), ["abc", "été"]) == ["ABC", "ÉTÉ"]


def run_r(script, folder, **environment):
    """A session of R that has read ``deploy.R``."""
    (folder / "session.R").write_text(f"source('{DEPLOY}')\n{script}")
    environment = {**os.environ, "CLIPPER_PYTHON": sys.executable, **environment}
    command = ["Rscript", "--vanilla", "session.R"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, env=environment)


def where(clipper):
    return f"cluster = '{clipper.cm.cluster_identifier}', home = '{clipper.cm.home}'"


def test_r_deploys_what_its_workspace_holds(clipper, serve, tmp_path):
    """Helpers, fits, methods and attached packages come along, and the session is as it was."""
    deploy = f"clipper_deploy('halved', 1, 'doubles', cars_halved, {where(clipper)}, sample = 7, num_replicas = 2)"
    done = run_r(f"{WORKSPACE}{deploy}{TELL}", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Taken along from the workspace: describe, describe.distance, fit, halved, offset\n" in done.stderr
    assert "Done deploying model halved:1" in done.stderr
    assert clipper.cm.get_num_replicas("halved", "1") == 2
    told = [float(line) for line in done.stdout.split()]
    assert_same_answers(clipper, serve("halved"), SPEEDS, told, tolerance=1e-9)


@pytest.mark.parametrize(
    ("input_type", "sample", "asked", "answer"),
    [("strings", '"\\u00e9t\\u00e9"', "été", "ÉTÉ"), ("bytes", 'charToRaw("abcd")', b"abc", "ABC")],
)
def test_r_deploys_with_samples_of_all_kinds(clipper, serve, tmp_path, input_type, sample, asked, answer):
    func = "function(inputs) vapply(inputs, function(x) toupper(if (is.raw(x)) rawToChar(x) else x), '')"
    script = f"clipper_deploy('{input_type}', 1, '{input_type}', {func}, {where(clipper)}, sample = {sample})"
    done = run_r(script, tmp_path)
    assert done.returncode == 0, done.stderr
    assert outputs(clipper, serve(input_type, input_type), [asked]) == [answer]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("'doubles', 3", "Error: func is a numeric, not a function"),
        ("'numbers', sum", "Error: 'numbers' is not a valid input string: the input types are bytes, integers"),
        ("'doubles', sum, sample = 'a'", "Error: The sample is no input of type doubles: 'a'"),
        ("'doubles', function(inputs) stop('not today'), sample = 1", "not today"),
        ("'doubles', function(inputs) 1:2, sample = 1", "Expected model to return 1 outputs, found 2 outputs"),
        (
            "'doubles', sum, sample = NA",
            "Error: sample must be one input: a vector of finite numbers, a text, or raw",
        ),
        ("'doubles', sum, num_replicas = 1.5", "Error: num_replicas must be a whole number, not 1.5"),
        ("'doubles', sum, num_replicas = 0", "Error: num_replicas must be 1 or more, a whole number, not 0"),
        (
            "'doubles', sum, per_item = TRUE",
            "Error: there is no option 'per_item': a function of R takes sample, num",
        ),
        ("'doubles', sum, python = '/nowhere'", "Error: /nowhere is not on the PATH: give the Python that Clipper"),
    ],
)
def test_what_r_deploys_wrongly_is_told_and_not_left(clipper, tmp_path, arguments, message):
    done = run_r(f"clipper_deploy('wrong', 1, {arguments}, {where(clipper)})", tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert_nothing_left(clipper, "wrong")


def test_r_is_told_that_no_cluster_runs(tmp_path):
    done = run_r(f"clipper_deploy('total', 1, 'doubles', sum, home = '{tmp_path}')", tmp_path)
    assert done.returncode == 1
    assert "Error: Cluster default-cluster is not running" in done.stderr


def test_r_is_told_that_its_python_has_no_clipper(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho \"No module named 'clipper_admin'\" >&2\nexit 1\n")
    python.chmod(0o755)
    done = run_r("clipper_deploy('total', 1, 'doubles', sum)", tmp_path, CLIPPER_PYTHON=str(python))
    assert done.returncode == 1
    assert f"Error: {python} has no Clipper: give the Python that it is installed in" in done.stderr


def test_a_sample_that_is_not_answered_fails_the_deploy(clipper, tmp_path):
    (tmp_path / "missing.R").write_text("function(inputs) lapply(inputs, function(x) NULL)\n")
    with pytest.raises(ClipperException, match="the model returned NULL for this query"):
        deployer.deploy_r_function(clipper, "missing", 1, "doubles", tmp_path / "missing.R", sample=[1.0])
    assert_nothing_left(clipper, "missing")


def test_what_is_no_function_is_refused(clipper, tmp_path, monkeypatch):
    (tmp_path / "three.R").write_text("1 + 2\n")
    with pytest.raises(ClipperException, match="the last value of the script is a numeric, not a function"):
        deployer.deploy_r_function(clipper, "three", 1, "doubles", tmp_path / "three.R")
    (tmp_path / "cut.rds").write_bytes(b"\x1f\x8b\x08")
    with pytest.raises(ClipperException, match="cut:1"):
        deployer.deploy_r_function(clipper, "cut", 1, "doubles", tmp_path / "cut.rds")
    assert clipper.cm.get_num_replicas("cut", "1") == 0
    with pytest.raises(ClipperException, match="/nowhere does not exist"):
        deployer.deploy_r_function(clipper, "none", 1, "doubles", "/nowhere")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ClipperException, match="Rscript is not on the PATH: install R 4"):
        deployer.deploy_r_function(clipper, "none", 1, "doubles", tmp_path / "three.R")
