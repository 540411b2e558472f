# Every target sets itself up; nothing is done again while constraints.txt and pyproject.toml stay.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
MEDS_TAB := .venv-meds-tab/.ready
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := 1
export DAGSTER_DISABLE_TELEMETRY := 1

.PHONY: help setup demo demo-readmission run staging dev test check format bench bench-features clean

help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | expand -t 20

setup: $(READY) ## Python environment with the pinned packages
$(READY): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info < (3, 14); sys.exit(0 if ok else "Python 3.11, 3.12 or 3.13 must be used, found %s. Set PYTHON=." % sys.version.split()[0])'
	@echo "... setting up Python packages (minutes on the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.9"
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -c constraints.txt -e ".[dev]"
	@touch $(READY)

demo: $(READY) ## Main path on the synthetic world, ends with the week's list
	@$(BIN)/hrob demo

demo-readmission: $(READY) ## Main path on real patients (Diabetes 130)
	@$(BIN)/hrob demo-readmission

run: $(READY) ## Main path on your data: SOURCE=<folder | file.duckdb | postgresql://...> [USE_CASE=...]
	@test -n "$(SOURCE)" || { echo "SOURCE must name a folder, a .duckdb file or a postgresql:// address" >&2; exit 2; }
	@$(BIN)/hrob run "$(SOURCE)" $(if $(USE_CASE),--use-case $(USE_CASE))

staging: $(READY) ## Main path on the small staging world, on PostgreSQL, against golden bands
	@rm -rf data/staging
	@$(BIN)/hrob staging $(if $(HROB_STAGING_DAGSTER_DATABASE),,--own-server)

dev: $(READY) ## Dagster UI on 127.0.0.1:3000 with what demo made
	@$(BIN)/hrob dev

test: $(READY) ## All tests
	@$(BIN)/pytest -n 2 --dist loadgroup

check: $(READY) ## Lint, format, types, import contracts, definitions
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@$(BIN)/pyright
	@HROB_DATA_ROOT=$$(mktemp -d) $(BIN)/dg check defs

format: $(READY) ## Let ruff mend what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(READY) ## Benchmarks, as ratios measured side by side
	@$(BIN)/python -m benchmarks

bench-features: $(READY) $(MEDS_TAB) ## The feature engine against other engines: [OPTIONS="--large"]
	@$(BIN)/python -m benchmarks.feature_store $(OPTIONS)
$(MEDS_TAB): benchmarks/meds_tab_requirements.txt
	@echo "... setting up MEDS-tab in an environment of its own"
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

clean: ## Remove what demo and run made (not the environment)
	rm -rf data/demo data/readmission data/run data/staging data/benchmarks
