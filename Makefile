# make demo: install, run the whole job on the demo workspace, serve the dashboard. make test: install, run every test.
PYTHON ?= python3
SERVE ?= 1
PORT ?= 8501
BIN := .venv/bin
PIP := $(if $(shell command -v uv 2>/dev/null),uv pip install --quiet --compile-bytecode --python $(BIN)/python,$(BIN)/python -m pip install --quiet --disable-pip-version-check)

.PHONY: demo test check bench faults lock screenshots clean

demo: .venv/.demo
	$(BIN)/cdp run
ifneq ($(SERVE),0)
	$(BIN)/cdp app --port $(PORT)
endif

test: .venv/.test
	$(BIN)/python -m pytest -n 2 --dist loadgroup

check: .venv/.test
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports && $(BIN)/mypy cdp_core

bench: .venv/.test
	-$(PIP) 'rustworkx>=0.17'
	$(BIN)/python -m pytest tests/benchmarks -m benchmark -s

faults: .venv/.test
	$(BIN)/python -m pytest tests/faults tests/destinations/test_sync_worlds.py -m faults -s

lock:
	uv pip compile pyproject.toml $(LOCK_FLAGS) -o requirements.lock
	uv pip compile pyproject.toml --extra test -c requirements.lock $(LOCK_FLAGS) -o requirements-test.lock
LOCK_FLAGS := -c .ci/lock-constraints.txt --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet

clean:
	rm -rf data/lake data/exports data/reports

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv

.venv/.demo: requirements.lock pyproject.toml | .venv/bin/python
	$(PIP) --require-hashes -r requirements.lock
	$(PIP) --no-deps -e .
	touch $@

.venv/.test: requirements-test.lock pyproject.toml | .venv/bin/python
	$(PIP) --require-hashes -r requirements-test.lock
	$(PIP) --no-deps -e .
	touch $@ .venv/.demo
