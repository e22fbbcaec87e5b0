# The only entry: people and CI call the same targets. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
# One variable fixes the Python of the venv and of the functions: the minor version of $(PYTHON).
export CROSSMESH_RUNTIME := python$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')

.PHONY: help setup check test lock
help:
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

setup: $(VENV)/.done ## install everything the project needs into .venv
$(VENV)/.done: requirements/uv.txt requirements/dev.txt pyproject.toml
	@$(PYTHON) tools/preflight.py
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

check: setup ## format, lint, types, import rules
	@ruff format --check . && ruff check . && mypy && lint-imports --no-cache

lock: ## resolve pyproject.toml again into requirements/*.txt and layers/*/requirements.txt
	@$(BIN)/python tools/lock.py
