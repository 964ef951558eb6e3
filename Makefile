PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: quickstart test lint type unit bench bench-smoke clean
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
	$(BIN)/pytest -q -n 2 --dist loadfile

bench: $(VENV)/.test ## the whole benchmark: peers, overload, the paper's figures; leave the machine alone meanwhile
	$(BIN)/python -m benchmarks.run
	$(BIN)/python -m benchmarks.overload
	$(BIN)/python -m benchmarks.figures

bench-smoke: $(VENV)/.test ## every piece of it for a second or so, without the peers that are slow to install or start
	$(BIN)/python -m benchmarks.run --quick --results build/bench
	$(BIN)/python -m benchmarks.overload --quick --results build/bench
	$(BIN)/python -m benchmarks.figures --quick --results build/bench

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
