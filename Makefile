# Everything runs on a machine with Python 3.11 or newer and nothing else.
#   make serve [PORT=8000]   the demo: server, jobs and sandbox on one port
#   make test                everything that must hold
#   make schema              writes schema/*.graphql after a change to the API
#   make bench               the measurements of bench/README.md
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := serve

PORT ?= 8000
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: serve test lint schema bench clean install

serve: $(STAMP)
	@exec $(BIN)/regulars serve --demo --port $(PORT)

test: lint
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy app schema resolvers auth tests bench
	$(BIN)/lint-imports
	$(BIN)/deptry .

# What clients are promised; the difference is reviewed like code (tests/test_sdl.py).
schema: $(STAMP)
	@for name in member admin; do $(BIN)/regulars schema $$name > schema/$$name.graphql; done

bench: $(STAMP)
	$(BIN)/python -m bench $(if $(FULL),--full)

install: $(STAMP)

# Once, and again when the lock or the project's own description changed.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: make PYTHON=python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -c 'import ensurepip' 2>/dev/null \
	  || { if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; \
	       then apt-get -qq update && apt-get -qq install -y python3-venv; \
	       else echo "Install python3-venv first: sudo apt-get install python3-venv"; exit 1; fi; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --no-deps --editable .
	@touch $@

clean:
	rm -rf $(VENV) .data .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache \
	  *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
