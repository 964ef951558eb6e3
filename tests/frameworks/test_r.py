"""R: a function saved from R, or the value of a script, is deployed from Python and from R, and asked."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from clipper_admin import ClipperException
from clipper_admin.deployers import r as deployer
from tests.frameworks.conftest import assert_same_answers, outputs

pytestmark = [
    pytest.mark.frameworks,
    pytest.mark.skipif(not shutil.which("Rscript"), reason="R is not here: install r-base-core"),
]

FIT = """
fit <- lm(dist ~ speed, data = cars)
coefficients <- as.list(coef(fit))
function(inputs) vapply(inputs, function(x) coefficients[[1]] + coefficients[[2]] * x[1], 0)
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
