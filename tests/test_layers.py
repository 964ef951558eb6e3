"""The house keeps its shape: imports point down, decisions make no I/O, functions and files stay small."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

SOURCE = Path(__file__).parent.parent / "src"
FILES = sorted(SOURCE.rglob("*.py"))

GROUND_FLOOR = ["errors", "types", "fragments", "log_format", "request_ids", "config", "process", "distribution"]
GROUND_FLOOR += ["histogram", "snapshot", "metrics", "prediction", "sockets"]
LAYERS = [
    set(GROUND_FLOOR),
    {"store", "rpc"},
    {"execution", "selection", "catalog", "query_ids"},
    {"completion", "decisions", "drawn_query", "feedback", "lane", "query", "policy_query"},
    {"processor", "replay"},
    {"updater"},
    {"frontend", "management"},
]
DECIDING = [
    "clipper/execution",
    "clipper/selection",
    "clipper/rpc/wire.py",
    "clipper/rpc/frames.py",
    "clipper/management/rules",
    "clipper/management/feedback_lines.py",
]
DATA_PATH = [
    "clipper/execution",
    "clipper/selection",
    "clipper/frontend",
    "clipper/rpc",
    "clipper/completion.py",
    "clipper/decisions.py",
    "clipper/drawn_query.py",
    "clipper/feedback.py",
    "clipper/lane.py",
    "clipper/query.py",
    "clipper/policy_query.py",
    "clipper/processor.py",
    "clipper/updater.py",
]


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(module: str) -> str | None:
    """``clipper.store.base`` -> ``store``."""
    names = module.split(".")
    return names[1] if names[0] == "clipper" and len(names) > 1 else None


def layer_of(part: str) -> int:
    return next(number for number, parts in enumerate(LAYERS) if part in parts)


def below(folders: list[str]) -> list[Path]:
    return [path for path in FILES if any(str(path.relative_to(SOURCE)).startswith(each) for each in folders)]


@pytest.mark.parametrize("path", [p for p in FILES if "clipper_admin" not in p.parts], ids=str)
def test_imports_point_down(path: Path) -> None:
    relative = path.relative_to(SOURCE)
    part = relative.parts[1].removesuffix(".py")
    if part in ("__init__", "container"):
        return
    for module in imports_of(path):
        other = part_of(module)
        if other is None or other == part or other == "version":
            continue
        assert layer_of(other) <= layer_of(part), f"{relative} imports {module}, which is above it"
        if part in GROUND_FLOOR:
            assert GROUND_FLOOR.index(other) < GROUND_FLOOR.index(part), f"{relative} imports {module}"
        assert {part, other} != {"execution", "selection"}, f"{relative} imports {module}"
        assert {part, other} != {"frontend", "management"}, f"{relative} imports {module}"


@pytest.mark.parametrize("path", below(["clipper/container"]), ids=str)
def test_the_container_imports_the_wire_alone(path: Path) -> None:
    allowed = ("clipper.container", "clipper.rpc.wire", "clipper.rpc.frames")
    assert all(m.startswith(allowed) or m == "clipper.rpc" for m in imports_of(path) if m.split(".")[0] == "clipper")


@pytest.mark.parametrize("path", below(["clipper_admin"]), ids=str)
def test_the_admin_library_never_imports_the_servers(path: Path) -> None:
    """But for the runtime of model containers: what it writes for them, it writes in their terms."""
    known = [module for module in imports_of(path) if module.split(".")[0] == "clipper"]
    assert all(module.startswith("clipper.container") for module in known)


@pytest.mark.parametrize("path", below(DECIDING), ids=str)
def test_what_decides_has_no_clock_and_no_io(path: Path) -> None:
    forbidden = {"asyncio", "time", "socket", "threading", "selectors", "uvloop", "sqlite3", "redis"}
    assert not forbidden & set(imports_of(path))


@pytest.mark.parametrize("path", below(DATA_PATH), ids=str)
def test_nothing_sleeps_on_the_data_path(path: Path) -> None:
    assert "sleep(" not in path.read_text()


def functions() -> Iterator[tuple[str, int]]:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                yield f"{path.relative_to(SOURCE)}:{node.name}", node.end_lineno - node.lineno + 1


def test_functions_and_files_stay_small() -> None:
    sizes = dict(functions())
    assert {name: size for name, size in sizes.items() if size > 60} == {}
    assert median(sizes.values()) < 8
    long_files = {str(p.relative_to(SOURCE)): n for p in FILES if (n := len(p.read_text().splitlines())) > 300}
    assert long_files == {}
