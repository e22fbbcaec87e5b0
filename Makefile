# The only entry: people and CI call the same targets. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
# One variable fixes the Python of the venv and of the functions: the minor version of $(PYTHON).
export CROSSMESH_RUNTIME := python$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')

.PHONY: audit iam help setup check test test-long unit build kube demo bench proof world world-down lock
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

check: setup ## format, lint, types, import rules, template and state machines
	@ruff format --check -q . && ruff check -q . && mypy && lint-imports --no-cache > .lint-imports.log 2>&1 || { cat .lint-imports.log 2>/dev/null; exit 1; }
	@rm -f .lint-imports.log
	@AWS_DEFAULT_REGION=us-east-1 SAM_CLI_TELEMETRY=0 sam validate --lint > /dev/null && python tools/lint_workflows.py && crossmesh validate

test: setup build ## unit, properties, conformance, contract, then end to end in a world
	@pytest -p no:randomly -m "not long" -n 2 --dist loadfile --no-loadscope-reorder

test-long: setup build ## end to end, the long ones: every alarm, the life cycle, every scenario under a steady load
	@pytest -p no:randomly -m long

unit: setup ## the quick ones
	@pytest tests/unit tests/properties tests/contract

build: setup ## build the application once, so that worlds only deploy it
	@python -m world.deploy

kube: setup ## build the real cluster tier once, into the user's cache (Go 1.26; 6 to 12 minutes on 2 cores); without it its tests are skipped
	@python -m world.clusters.real.binaries

demo: build ## the walkthrough, told and asserted: 0 only if every step held
	@python -m world.demo

world: build ## keep a world up and print how to use it (Ctrl-C ends it)
	@python -m world up

world-down: setup ## end a world that was left behind
	@python -m world down

iam: setup ## write docs/iam.md anew from template, reasons and situations
	@python -m tests.contract.iam.table

bench: build ## the design's numbers, measured in one run on this machine (part of them: python -m tests.bench world)
	@python -m tests.bench

audit: setup ## ask PyPI's advisories about every pinned version that ships (needs PyPI's JSON API)
	@uv tool run pip-audit --disable-pip --require-hashes --strict -r layers/deps/requirements.txt -r layers/kubernetes/requirements.txt -r watcher/requirements.txt

lock: ## resolve pyproject.toml again into requirements/*.txt, layers/*/requirements.txt and watcher/requirements.txt
	@$(BIN)/python tools/lock.py

proof: setup ## every fault at every call, overlapping runs, random schedules, planted bugs (PROOF_MINUTES=6; FULL=1: 1,000,000, goes on where it was)
	@python -m tests.sim
