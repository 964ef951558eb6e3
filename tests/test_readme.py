"""README.md says what is so: its commands are run in their order, on the ports it names."""

import json
import re
import shutil
import subprocess
import sys

import pytest

from clipper_admin.managers.environments import pip_config_files, uv_variables
from clipper_admin.managers.ports import holder
from clipper_admin.open_ports import is_free
from tests.documents import ROOT, Reader, blocks, read, section, titles_of

pytestmark = pytest.mark.heavy

README = read("README.md")


@pytest.fixture
def reader(tmp_path):
    """A reader of a machine where Clipper's usual ports are free; no cluster of theirs is left running."""
    for port in (1337, 1338, 7000):
        if not is_free(port):
            pytest.fail(f"the README is about port {port}, which {holder(port)} holds: end that first")
    reader = Reader(tmp_path)
    yield reader
    reader.shell("clipper stop --now")


def answer_of(text):
    """A prediction, without the id that differs from run to run."""
    answer = json.loads(text)
    assert isinstance(answer.pop("query_id"), int)
    return answer


@pytest.mark.cluster
def test_the_quickstart_does_what_it_says(reader):
    *commands, stop = blocks(section(README, "Quickstart"))[2:]
    said = ""
    for language, text in commands:
        if language == "json":
            assert answer_of(said) == answer_of(text)
        else:
            said = {"python": reader.python, "sh": reader.shell}[language](text)
    assert "1 applications, 1 model versions" in reader.shell("clipper status")
    reader.python(stop.text)
    assert list((reader.folder / "home" / "clusters").glob("*/cluster.json")) == []


@pytest.mark.cluster
def test_feedback_teaches_what_it_says(reader):
    (session,) = blocks(section(README, "Several models, and feedback"))
    reader.python(session.text)
    assert list((reader.folder / "home" / "clusters").glob("*/cluster.json")) == []


@pytest.mark.cluster
def test_the_command_is_a_service_in_five_lines(reader):
    sums, commands = blocks(section(README, "The `clipper` command"))
    assert sums.text.startswith("# sums.py\n")
    (reader.folder / "sums.py").write_text(sums.text)
    lines = commands.text.splitlines()
    assert len(lines) == 5
    answers = [reader.shell(line) for line in lines]
    assert answers[3] == "6.6\n"
    assert list((reader.folder / "home" / "clusters").glob("*/cluster.json")) == []


def test_the_make_targets_do_what_is_said_of_them():
    targets = blocks(section(README, "Quickstart"))[0].text.split()
    assert targets == ["make", "quickstart", "make", "test"]
    assert steps_of("quickstart")[-1] == "clipper quickstart"
    checks = [step.split()[0] for step in steps_of("test")[-4:]]
    assert checks == ["ruff", "ruff", "mypy", "pytest"]


def steps_of(target):
    """The commands that make would run, as they are called in ``.venv/bin``."""
    command = ["make", "--dry-run", "--no-print-directory", target]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
    return [line.removeprefix(".venv/bin/") for line in done.stdout.splitlines()]


@pytest.mark.cluster
def test_what_is_installed_from_here_runs_the_quickstart(reader):
    """With uv in place of pip, which takes ten times as long for the same."""
    assert blocks(section(README, "Quickstart"))[1].text == "pip install .\n"
    clone = reader.folder / "clone"
    ignored = shutil.ignore_patterns("*.egg-info", "__pycache__")
    shutil.copytree(ROOT / "src", clone / "src", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, clone)
    reader.environ |= uv_variables(reader.environ, pip_config_files(reader.environ))
    reader.run("uv", "venv", "--quiet", "--python", sys.executable, "new")
    reader.run("uv", "pip", "install", "--quiet", "--python", "new/bin/python", str(clone))
    answer = json.loads(reader.run("new/bin/clipper", "quickstart", "--output", "json"))
    assert (answer["output"], answer["default"]) == (6.6, False)


def test_every_file_of_the_walk_is_there():
    names = re.findall(r"`([\w/]+\.py)`", section(README, "The walk of a query"))
    assert len(names) > 20
    assert [name for name in names if not (ROOT / "src" / "clipper" / name).is_file()] == []


def test_every_folder_of_the_layout_is_there():
    (layout,) = blocks(section(README, "Layout"))
    names = [line.split()[0] for line in layout.text.splitlines()]
    assert [name for name in names if not (ROOT / name).is_dir()] == []
    packages = {str(each.parent.relative_to(ROOT)) + "/" for each in (ROOT / "src" / "clipper").glob("*/__init__.py")}
    assert packages <= set(names)


PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    *(f"docs/{each.name}" for each in (ROOT / "docs").glob("*.md")),
]


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name):
    for link, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", read(name)):
        target = (ROOT / name).parent / link if link else ROOT / name
        assert target.exists(), link
        titles = {re.sub(r"[^\w-]", "", title.lower().replace(" ", "-")) for title in titles_of(target.read_text())}
        assert not anchor or anchor in titles, f"{link}#{anchor}"


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "CHANGELOG.md"])
def test_every_file_named_is_there(name):
    named = re.findall(r"`((?:src|tests|docs|examples)/[\w./]+)`", read(name))
    assert [each for each in named if not (ROOT / each).exists()] == []


def test_every_make_target_named_is_there():
    targets = re.findall(r"`make (\w+)`", read("CONTRIBUTING.md"))
    assert set(targets) >= {"lint", "type", "unit", "quickstart", "bench", "images"}
    for target in targets:
        assert steps_of(target)
