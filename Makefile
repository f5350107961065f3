# One word for each thing one can do here; `make` alone lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# pip looks at these files' hashes, so what it installs is what was tested.
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --require-hashes
PIP := $(BIN)/python $(PIP_INSTALL)
RUN := $(VENV)/.run-installed
DEV := $(VENV)/.dev-installed
PEERS := $(VENV)/peers/.installed
PYTEST := $(BIN)/python -m pytest
# Further words for pytest: make test ARGS="-k blank"
ARGS ?=

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup peers browser studio audit demo worker emulator test check e2e chaos words soak rehearse bench lock licences sbom audit-dependencies test-supabase clean screenshots

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' Makefile

setup: $(RUN) $(DEV) $(PEERS) browser ## install everything: the product, its checks, a browser

studio: $(RUN) ## the studio, on http://127.0.0.1:7860
	$(BIN)/python studio_app.py

audit: $(RUN) ## the audit dashboard, on http://127.0.0.1:8501
	$(BIN)/python -m audit

demo: $(RUN) ## a made-up world with every defect in an empty STUDIO_HOME, to learn the dashboard on
	$(BIN)/python -m core demo

worker: $(RUN) ## one more worker beside the studio (WORKER=external make studio)
	$(BIN)/python -m core.worker

emulator: $(RUN) ## a provider on this machine, for trying things out
	$(BIN)/python -m tests.emulator

check: $(DEV) ## format, rules, types, imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports

# Three at once on two cores: many tests wait for a clock.
test: $(DEV) $(PEERS) browser ## everything but the long browser stories and the long chaos runs
	$(PYTEST) -n 3 --dist worksteal -m "not e2e and not chaos" $(ARGS)

# Keys come from the environment: SUPABASE_SECRET_KEY, and SUPABASE_PUBLISHABLE_KEY for sign-in.
test-supabase: $(DEV) ## the suites of storage and sign-in against a real project (URL=https://…)
	$(BIN)/python -m tests.supabase.real $(URL) $(ARGS)

e2e: $(DEV) browser ## every browser story
	$(PYTEST) -n 2 --dist worksteal -m "not chaos" $(ARGS) tests/e2e

# Two at once: each has processes, a database and a provider of its own, and waits for most of its time.
chaos: $(DEV) browser ## random faults and killed processes (CHAOS_SECONDS: how long)
	CHAOS_SECONDS=$${CHAOS_SECONDS:-600} $(PYTEST) -n 2 --dist worksteal -m chaos $(ARGS) tests/chaos

words: $(DEV) browser ## an editor types while the studio is killed and the network cut (WORDS: how many edits)
	$(PYTEST) -m chaos $(ARGS) tests/chaos/test_lost_words.py

soak: $(DEV) browser ## browser stories and chaos in their full sizes; an hour and more
	SOAK=1 CHAOS_SECONDS=$${CHAOS_SECONDS:-1200} $(PYTEST) --timeout 0 -m "e2e or chaos" $(ARGS)
	SOAK=1 $(PYTEST) --timeout 0 tests/contracts/test_schema.py tests/screens/test_bulk_killed.py \
		tests/database/test_adoption.py $(ARGS)

rehearse: $(DEV) ## every command of compose.yaml as Docker would start it, where there is no Docker
	$(BIN)/python -m tests.deployment.rehearse $(ARGS)

screenshots: $(DEV) browser ## every page and state of the studio, into docs/screenshots (ARGS="palette": those alone)
	$(BIN)/python -m tests.screenshots $(ARGS)

bench: $(DEV) ## what takes how long, beside the budgets
	$(BIN)/python -m bench $(ARGS)

# --universal: the files hold for every Python from 3.11 on, and for macOS too.
LOCKING := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	--custom-compile-command "make lock"

lock: $(DEV) ## write requirements*.txt from requirements*.in (ARGS=--upgrade: the newest versions)
	$(BIN)/uv pip compile requirements.in -o requirements.txt $(LOCKING) $(ARGS)
	$(BIN)/uv pip compile requirements-dev.in -o requirements-dev.txt $(LOCKING) $(ARGS)
	$(BIN)/uv pip compile requirements-peers.in -o requirements-peers.txt $(LOCKING) $(ARGS)

licences: $(DEV) ## write docs/licences.md from the lock and the packages' own metadata
	$(BIN)/python -m supply licences

sbom: $(DEV) ## the bill of materials in CycloneDX, as sbom.json
	$(BIN)/python -m supply sbom sbom.json

audit-dependencies: $(DEV) ## ask whether a pinned version has a known vulnerability (needs a network)
	$(BIN)/python -m supply audit

clean: ## remove what was installed and cached; the data in .studio stays
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .import_linter_cache .grimp_cache test-results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed, and '$(PYTHON)' is not that. Name another one: make PYTHON=python3.12 studio"; \
		exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(RUN): requirements.txt $(VENV)/.made
	@echo "Installing what the product runs on. This takes a minute or two, once."
	$(PIP) -r requirements.txt
	@touch $@

$(DEV): requirements-dev.txt $(RUN)
	@echo "Installing what the checks and tests need."
	$(PIP) -r requirements-dev.txt
	@touch $@

peers: $(PEERS) ## what proves ours from outside and cannot share our versions (RunPod's own package)

$(PEERS): requirements-peers.txt $(VENV)/.made
	@echo "Installing RunPod's own package beside ours, for the tests."
	$(BIN)/python -m venv --clear $(VENV)/peers
	$(VENV)/peers/bin/python $(PIP_INSTALL) -r requirements-peers.txt
	@touch $@

# As the tests look for it: STUDIO_BROWSER, the system's, Playwright's own. Without any, what needs one is
# skipped, but for CI=true, where it fails.
browser: $(DEV)
	@if [ -n "$$STUDIO_BROWSER" ]; then \
		[ -x "$$STUDIO_BROWSER" ] || { echo "STUDIO_BROWSER=$$STUDIO_BROWSER is not a program."; exit 1; }; \
		exit 0; \
	fi; \
	for name in chromium chromium-browser google-chrome google-chrome-stable; do \
		if command -v $$name >/dev/null; then exit 0; fi; \
	done; \
	if $(BIN)/playwright install chromium; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium && exit 0; \
	fi; \
	echo "No browser: install Chromium with your system's packages, or name one in STUDIO_BROWSER. Its tests are skipped."; \
	[ "$$CI" != true ]
