PYTHON ?= python3
VENV ?= .venv
COMPILED ?= .venv-compiled
WITH_FRAMEWORKS ?= .venv-frameworks
BIN := $(VENV)/bin
BASE_IMAGE ?= python:3.11-slim
REGISTRY ?= $(or $(CLIPPER_REGISTRY),clipper)
VERSION ?=
FRAMEWORKS ?= closure
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: quickstart test lint type unit test-heavy test-frameworks test-compiled test-docker images bench bench-smoke clean
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
	$(BIN)/pytest -q -n 3 --dist loadfile -m "not heavy and not frameworks and not docker"

test-heavy: $(VENV)/.test ## the tests that take long: examples, the README's commands, whole benchmarks
	$(BIN)/pytest -q -n 2 --dist loadfile -m "heavy and not docker"

# TensorFlow, PyTorch and the like: an environment of their own, as they bring other versions of what others need.
# PyTorch first, in the version that was tried.
$(WITH_FRAMEWORKS)/.made: pyproject.toml
	$(PYTHON) -m venv $(WITH_FRAMEWORKS)
	$(WITH_FRAMEWORKS)/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(WITH_FRAMEWORKS)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[test,frameworks]'
	touch $@

test-frameworks: $(WITH_FRAMEWORKS)/.made ## each deployer with the real framework: what is served is what the model says
	$(WITH_FRAMEWORKS)/bin/pytest -q -n 2 --dist loadfile --timeout 300 tests/frameworks

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
	$(COMPILED)/bin/pytest -q -n 2 --dist loadfile -m "not heavy and not docker" tests/clipper tests/integration

# BASE_IMAGE, REGISTRY, VERSION (the tag) and FRAMEWORKS ("closure sklearn torch") may be given.
images: $(VENV)/.clipper ## Docker images of the servers, and of models in each framework
	$(BIN)/python docker/build.py --base-image "$(BASE_IMAGE)" --registry "$(REGISTRY)" --version "$(VERSION)" \
		--frameworks "$(FRAMEWORKS)"

test-docker: $(VENV)/.test ## images and containers on a real engine; installs what is missing, if root asks
	BIN=$(BIN) tests/docker/run.sh

bench: $(COMPILED)/.made ## the whole benchmark: peers, overload, the paper's figures; leave the machine alone meanwhile
	$(COMPILED)/bin/python -m benchmarks.run
	$(COMPILED)/bin/python -m benchmarks.overload
	$(COMPILED)/bin/python -m benchmarks.figures
	$(COMPILED)/bin/python -m benchmarks.selection
	$(COMPILED)/bin/python -m benchmarks.stores

bench-smoke: $(COMPILED)/.made ## every piece of it for a second or so, without the peers that are slow to install or start
	$(COMPILED)/bin/python -m benchmarks.run --quick --results build/bench
	$(COMPILED)/bin/python -m benchmarks.overload --quick --results build/bench
	$(COMPILED)/bin/python -m benchmarks.figures --quick --results build/bench
	$(COMPILED)/bin/python -m benchmarks.selection --quick --results build/bench
	$(COMPILED)/bin/python -m benchmarks.stores --quick --results build/bench

clean:
	rm -rf $(VENV) $(COMPILED) $(WITH_FRAMEWORKS) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
