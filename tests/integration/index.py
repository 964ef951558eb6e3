"""Tests by name, for those that see to it that there is one for everything."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def exists(test):
    """Whether a test, ``tests/<file>.py::<name>``, is there and would be collected."""
    path, _, name = test.partition("::")
    if not name.startswith("test_") or not (ROOT / path).is_file():
        return False
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    tree = ast.parse((ROOT / path).read_text())
    return any(isinstance(each, functions) and each.name == name for each in tree.body)
