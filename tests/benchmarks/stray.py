"""A server whose helper runs in a session of its own, and would outlive it: ``STRAY`` names the file for its pid."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

helper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
assert helper.stdin is not None
os.set_inheritable(helper.stdin.fileno(), True)  # the helper lives on while it is open, in the echo and in itself
Path(os.environ["STRAY"]).write_text(str(helper.pid))
os.execv(sys.executable, [sys.executable, "-m", "benchmarks.floor", *sys.argv[1:]])
