"""The code blocks of a document, and running them as a reader would."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#+) (.*)$", re.MULTILINE)
_PROMISE = re.compile(r"^(\S.*?)  # (.+)$", re.MULTILINE)


class Block(NamedTuple):
    language: str
    text: str


def read(name):
    return (ROOT / name).read_text()


def blocks(text):
    return [Block(*each) for each in _FENCE.findall(text)]


def section(text, title):
    """What stands below a heading, up to the next of its level or above."""
    headings = list(_headings(text))
    level, start = next((level, end) for level, found, _, end in headings if found == title)
    return text[start : next((at for each, _, at, _ in headings if at > start and each <= level), len(text))]


def titles_of(text):
    return [title for _, title, _, _ in _headings(text)]


def _headings(text):
    """The level, title, start and end of each heading; lines of code blocks are none."""
    code = [found.span() for found in _FENCE.finditer(text)]
    for found in _HEADING.finditer(text):
        if not any(start < found.start() < end for start, end in code):
            yield len(found[1]), found[2], found.start(), found.end()


def with_promises_kept(source):
    """Python whose ``expression  # value`` lines assert that this is the value."""

    def check(line):
        try:
            value = ast.literal_eval(line[2])
        except (SyntaxError, ValueError):
            return line[0]  # a remark
        return f"_found = {line[1]}\nassert _found == {value!r}, _found"

    return _PROMISE.sub(check, source)


class Reader:
    """Types what a document says into a shell and into Python, in a folder of its own."""

    def __init__(self, folder):
        self.folder = folder
        environ = {name: value for name, value in os.environ.items() if not name.startswith("CLIPPER_")}
        path = os.pathsep.join([str(Path(sys.executable).parent), environ["PATH"]])
        self.environ = {**environ, "CLIPPER_HOME": str(folder / "home"), "NO_PROXY": "127.0.0.1", "PATH": path}

    def run(self, *command):
        done = subprocess.run(
            command, cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=90, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def python(self, source):
        script = self.folder / "session.py"
        script.write_text(with_promises_kept(source))
        return self.run(sys.executable, str(script))

    def shell(self, source):
        return self.run("bash", "-euc", source)
