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

.PHONY: help setup demo demo-readmission run replay staging dev test check check-deployment image push deploy format bench bench-features bench-alarm clean

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

demo: $(READY) ## Main path on the synthetic world, then a year of Mondays with a planted change
	@$(BIN)/hrob demo
	@$(BIN)/hrob replay --weeks 52 --pregnancies 50 --patients 3000 --data-root data/demo-replay

demo-readmission: $(READY) ## Main path on real patients (Diabetes 130)
	@$(BIN)/hrob demo-readmission

run: $(READY) ## Main path on your data: SOURCE=<folder | file.duckdb | postgresql://...> [USE_CASE=...]
	@test -n "$(SOURCE)" || { echo "SOURCE must name a folder, a .duckdb file or a postgresql:// address" >&2; exit 2; }
	@$(BIN)/hrob run "$(SOURCE)" $(if $(USE_CASE),--use-case $(USE_CASE))

staging: $(READY) ## Main path on the small staging world, on PostgreSQL, against golden bands
	@rm -rf data/staging
	@$(BIN)/hrob staging $(if $(HROB_STAGING_DAGSTER_DATABASE),,--own-server)

REPLAY_SIZE = $(if $(filter high_risk_obstetrics,$(USE_CASE)),--pregnancies 12000 --patients 50,--pregnancies 50 --patients 4000)

replay: $(READY) ## Two years of Mondays with a planted change: [WEEKS=104] [SCENARIO=...] [USE_CASE=...] [REPLAY_SIZE=...]
	@$(BIN)/hrob replay $(or $(USE_CASE),oncology_ed_visit) --weeks $(or $(WEEKS),104) --scenario $(or $(SCENARIO),base_rate_shift) $(REPLAY_SIZE)

dev: $(READY) ## Dagster UI on 127.0.0.1:3000 with what demo made
	@$(BIN)/hrob dev

test: $(READY) ## All tests
	@$(BIN)/pytest -n 2 --dist loadgroup

check: $(READY) ## Lint, format, types, import contracts, definitions, deployment files
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@$(BIN)/pyright
	@HROB_DATA_ROOT=$$(mktemp -d) $(BIN)/dg check defs
	@$(MAKE) --no-print-directory check-deployment

check-deployment: $(READY) ## Container file, pipelines, compose and Terraform, as far as can be without a cloud
	@$(BIN)/hadolint deploy/Containerfile
	@$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yaml
	@$(BIN)/check-jsonschema --builtin-schema vendor.azure-pipelines --data-transform azure-pipelines --regex-variant nonunicode azure-pipelines.yml
	@$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml
	@if command -v terraform >/dev/null; then terraform fmt -check deploy/terraform; fi
	@$(BIN)/pytest -q hrob_assets_tests/test_deployment.py

COMMIT = $(shell git rev-parse HEAD)

image: ## Container image of a clean checkout: IMAGE=<name without tag>
	@test -n "$(IMAGE)" || { echo "IMAGE must name the image, without a tag" >&2; exit 2; }
	@test -z "$$(git status --porcelain)" || { echo "the checkout must be clean: an image names its commit" >&2; exit 2; }
	docker build --file deploy/Containerfile --build-arg GIT_COMMIT=$(COMMIT) --tag "$(IMAGE):$(COMMIT)" .

push: ## The image to its registry: IMAGE=<name without tag>
	docker push "$(IMAGE):$(COMMIT)"

deploy: ## Terraform: DEPLOY_ENV=staging|prod IMAGE=<name without tag> STATE=<storage account of the state>
	@test -n "$(DEPLOY_ENV)" -a -n "$(IMAGE)" -a -n "$(STATE)" || { echo "DEPLOY_ENV, IMAGE and STATE must be given" >&2; exit 2; }
	terraform -chdir=deploy/terraform init -input=false -reconfigure -backend-config=storage_account_name=$(STATE) -backend-config=container_name=$(DEPLOY_ENV) -backend-config=key=hrob_assets.tfstate -backend-config=use_azuread_auth=true
	terraform -chdir=deploy/terraform apply -input=false -auto-approve -var environment=$(DEPLOY_ENV) -var image=$(IMAGE):$(COMMIT)

format: $(READY) ## Let ruff mend what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(READY) ## Benchmarks, as ratios measured side by side
	@$(BIN)/python -m benchmarks

bench-alarm: $(READY) ## The calibration alarm in worlds of known truth, against other rules
	@$(BIN)/python -m benchmarks.alarm

bench-features: $(READY) $(MEDS_TAB) ## The feature engine against other engines: [OPTIONS="--large"]
	@$(BIN)/python -m benchmarks.feature_store $(OPTIONS)
$(MEDS_TAB): benchmarks/meds_tab_requirements.txt
	@echo "... setting up MEDS-tab in an environment of its own"
	@test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

clean: ## Remove what demo and run made (not the environment)
	rm -rf data/demo data/demo-replay data/replay data/readmission data/run data/staging data/benchmarks
