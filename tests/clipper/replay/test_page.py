"""docs/replay.md: its options are the command's, and its example was really run."""

import re
import shlex
import subprocess
import sys

import pytest

from clipper.replay import __main__ as command
from tests.documents import blocks, read, section

PAGE = read("docs/replay.md")


def test_every_option_is_on_the_page():
    options = {each for each in re.findall(r"--[a-z-]+", command._parser().format_help()) if each != "--help"}
    assert options == set(re.findall(r"--[a-z-]+", PAGE)) & options


def test_the_log_on_the_page_can_be_read(tmp_path):
    text = next(each.text for each in blocks(section(PAGE, "The log")) if each.language == "json")
    (tmp_path / "log.jsonl").write_text(text.replace("\n", " "))
    assert command.main([str(tmp_path / "log.jsonl"), "--policy", "single"]) == 0


@pytest.mark.heavy
def test_the_example(tmp_path):
    example = blocks(section(PAGE, "A worked example"))
    program = next(each.text for each in example if each.language == "python")
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    shown = [each.text for each in example if each.language == "console"]
    assert len(shown) == 4
    for each in shown:
        line, _, expected = each.partition("\n")
        arguments = [sys.executable, "-m", "clipper.replay", *shlex.split(line)[3:]]
        done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True)
        told = "".join(f"{text}\n" for text in done.stderr.splitlines() if not text.startswith("Replayed"))
        assert done.stdout + told == expected
