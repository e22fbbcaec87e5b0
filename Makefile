# The only entry: people and CI call the same targets. `make help` lists them.
# The venv and the local world run on the functions' Python (layers/packages/python-version) where the machine has it,
# otherwise on python3. PYTHON=python3.x chooses another version: 3.11 to 3.14.
ifndef PYTHON
PYTHON := $(shell tools/find_python.sh $(shell cat layers/packages/python-version))
endif
VENV := .venv
BIN := $(VENV)/bin
DONE := $(VENV)/.done-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: audit fields diagrams sbom changelog iam wrap help setup check test test-long unit build kube demo bench proof world world-down lock descriptors
help:
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

setup: $(DONE) ## install everything the project needs into .venv
$(DONE): requirements/uv.txt requirements/dev.txt pyproject.toml layers/packages/python-version
	@$(PYTHON) tools/preflight.py
	@test -x $(BIN)/python && test "$$($(BIN)/python -c 'import sys; print(sys.version_info[:2])')" = "$$($(PYTHON) -c 'import sys; print(sys.version_info[:2])')" \
		|| { rm -rf $(VENV) && $(PYTHON) -m venv $(VENV); }
	@$(BIN)/python -m pip install -q --disable-pip-version-check --only-binary :all: --require-hashes -r requirements/uv.txt
	@$(BIN)/uv pip install -q --python $(BIN)/python --only-binary :all: --require-hashes -r requirements/dev.txt
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@
	@test -n "$(CI)" || echo "Installed into $(VENV). Next: source $(VENV)/bin/activate, then make demo, make world or crossmesh --help."

check: setup ## format, lint, types, import rules, template and state machines
	@ruff format --check -q . && ruff check -q . && mypy && lint-imports --no-cache > .lint-imports.log 2>&1 || { cat .lint-imports.log 2>/dev/null; exit 1; }
	@rm -f .lint-imports.log
	@AWS_DEFAULT_REGION=us-east-1 SAM_CLI_TELEMETRY=0 sam validate --lint > /dev/null && python tools/lint_workflows.py && python tools/wrap_docs.py --check && crossmesh validate

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

demo: build ## the walkthrough, told and asserted: 0 only if every step held (BACKEND=appmesh: on an emulated App Mesh)
	@python -m world.demo

world: build ## keep a world up and print how to use it (Ctrl-C ends it)
	@python -m world up

world-down: setup ## end a world that was left behind
	@python -m world down

changelog: setup ## show what the fragments of changelog.d add to CHANGELOG.md
	@towncrier build --draft --version next

wrap: setup ## wrap the prose of all Markdown pages at 100 columns
	@python tools/wrap_docs.py

iam: setup ## write docs/reference/iam.md anew from template, reasons and situations
	@python -m tests.contract.iam.table

fields: setup ## change every field of the CRDs and write docs/reference/fields.md anew from what changes for Envoys of your own
	@python -m tests.contract.fields.table

diagrams: setup ## draw the state machines anew into docs/reference/state-machines.md
	@python tools/draw_workflows.py

bench: build ## the design's numbers, measured in one run on this machine (part of them: python -m tests.bench world)
	@python -m tests.bench

audit: setup ## ask PyPI's advisories about every pinned version that ships (needs PyPI's JSON API)
	@pip-audit --disable-pip --require-hashes --strict -r layers/packages/deps.txt -r watcher/requirements.txt -r xds/requirements.txt

sbom: setup ## write the bills of materials of what ships (CycloneDX JSON) to build/sbom: layers, watcher and xds
	@mkdir -p build/sbom
	@cyclonedx-py requirements --output-reproducible -o build/sbom/layers.cdx.json layers/packages/deps.txt
	@cyclonedx-py requirements --output-reproducible -o build/sbom/watcher.cdx.json watcher/requirements.txt
	@cyclonedx-py requirements --output-reproducible -o build/sbom/xds.cdx.json xds/requirements.txt

lock: ## resolve pyproject.toml again into requirements/*.txt, layers/packages/*.txt and the requirements of watcher and xds
	@$(BIN)/python tools/lock.py

descriptors: setup ## make the descriptors of Envoy's messages anew, for the server of Envoys (after `make lock`)
	@rm -rf build/descriptors && $(BIN)/uv pip install -q --python $(BIN)/python --target build/descriptors --only-binary :all: --require-hashes -r xds/descriptors.txt
	@$(BIN)/python tools/xds_descriptors.py build/descriptors

proof: setup ## every fault at every call, overlapping runs, random schedules, planted bugs (PROOF_MINUTES=6; FULL=1: 1,000,000, goes on where it was)
	@python -m tests.sim
