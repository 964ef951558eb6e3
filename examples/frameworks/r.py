"""A linear model of R behind a REST endpoint: what is served equals what R predicts.

    python examples/frameworks/r.py

Needs: R 4.0 or later. The cluster is one of its own, on free ports, and is stopped at the end.
"""

import math
import os
import subprocess
import tempfile
from pathlib import Path

from clipper_admin import ClipperConnection, LocalContainerManager
from clipper_admin.deployers import r as deployer

SCRIPT = """
fit <- lm(dist ~ speed, data = cars)
function(inputs) unname(predict(fit, data.frame(speed = vapply(inputs, `[`, 0, 1))))
"""
LOCAL = "writeLines(format(predict(lm(dist ~ speed, data = cars), data.frame(speed = 1:25)), digits = 17))"


def main():
    done = subprocess.run(["Rscript", "-e", LOCAL], capture_output=True, text=True, check=True, timeout=60)
    local = [float(line) for line in done.stdout.split()]
    clipper_conn = ClipperConnection(LocalContainerManager(f"r-{os.getpid()}", 0, 0, 0))
    try:
        clipper_conn.start_clipper()
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder, "cars.R")
            script.write_text(SCRIPT)
            deployer.create_endpoint(clipper_conn, "distance", "doubles", script, sample=[10.0])
        answers = clipper_conn.predict_batch("distance", [[float(speed)] for speed in range(1, 26)])
        served = [answer["output"] for answer in answers]
        assert all(map(math.isclose, served, local))
        print(f"distance at speeds 1 to 25, from {served[0]:.2f} to {served[-1]:.2f}: equals local")
    finally:
        clipper_conn.stop_all()


if __name__ == "__main__":
    main()
