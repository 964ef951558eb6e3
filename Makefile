PYTHON ?= python3
VENV ?= .venv
COMPILED ?= .venv-compiled
FRAMEWORKS ?= .venv-frameworks
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: quickstart test lint type unit test-heavy test-frameworks test-compiled bench bench-smoke clean
.DEFAULT_GOAL := test

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.clipper: pyproject.toml | $(BIN)/python
	$(PIP) -e .
	touch $@

$(VENV)/.test: $(VENV)/.clipper
	$(PIP) -e '.[test]'
	touch $@

quickstart: $(VENV)/.clipper ## the README's quickstart, for real
	$(BIN)/clipper quickstart

test: lint type unit ## everything CI asks for

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: $(VENV)/.test
	$(BIN)/mypy

unit: $(VENV)/.test
	$(BIN)/pytest -q -n 2 --dist loadfile -m "not heavy and not frameworks"

test-heavy: $(VENV)/.test ## the tests that take long: examples, the README's commands, whole benchmarks
	$(BIN)/pytest -q -n 2 --dist loadfile -m heavy

# TensorFlow, PyTorch and the like: an environment of their own, as they bring other versions of what others need.
# PyTorch first, in the version that was tried.
$(FRAMEWORKS)/.made: pyproject.toml
	$(PYTHON) -m venv $(FRAMEWORKS)
	$(FRAMEWORKS)/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(FRAMEWORKS)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[test,frameworks]'
	touch $@

test-frameworks: $(FRAMEWORKS)/.made ## each deployer with the real framework: what is served is what the model says
	$(FRAMEWORKS)/bin/pytest -q -n 2 --dist loadfile --timeout 300 tests/frameworks

# As users install it: the hot path is compiled. Made anew when a source changes.
$(COMPILED)/.made: pyproject.toml setup.py $(shell find src -name '*.py' -o -name '*.c')
	$(PYTHON) -m venv $(COMPILED)
	rm -rf build/wheels
	$(PYTHON) -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir build/wheels .
	$(COMPILED)/bin/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps build/wheels/*.whl
	$(COMPILED)/bin/python -m pip install --quiet --disable-pip-version-check "$$(ls build/wheels/*.whl)[test]"
	touch $@

test-compiled: $(COMPILED)/.made ## the tests once more, of what a compiler made of the hot path
	$(COMPILED)/bin/python -m tests.compiled
	$(COMPILED)/bin/pytest -q -n 2 --dist loadfile -m "not heavy" tests/clipper tests/integration

bench: $(COMPILED)/.made ## the whole benchmark: peers, overload, the paper's figures; leave the machine alone meanwhile
	$(COMPILED)/bin/python -m benchmarks.run
	$(COMPILED)/bin/python -m benchmarks.overload
	$(COMPILED)/bin/python -m benchmarks.figures
	$(COMPILED)/bin/python -m benchmarks.selection

bench-smoke: $(COMPILED)/.made ## every piece of it for a second or so, without the peers that are slow to install or start
	$(COMPILED)/bin/python -m benchmarks.run --quick --results build/bench
	$(COMPILED)/bin/python -m benchmarks.overload --quick --results build/bench
	$(COMPILED)/bin/python -m benchmarks.figures --quick --results build/bench
	$(COMPILED)/bin/python -m benchmarks.selection --quick --results build/bench

clean:
	rm -rf $(VENV) $(COMPILED) $(FRAMEWORKS) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
