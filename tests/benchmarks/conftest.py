"""The tests of the benchmarks take long and are about no part of the product: ``make test-heavy`` runs them."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.heavy)
