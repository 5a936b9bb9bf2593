# The short names for everything. `make demo` and `make test` set up what they need.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
# How many tests run at a time, and what else pytest is told: make test WORKERS=4 PYTEST_ARGS="-k marker"
WORKERS ?= 4
PYTEST_ARGS ?=
# How often `make soak` kills and starts everything.
ROUNDS ?= 30

.PHONY: help demo test lint format docs images bench rivals soak lowest release-check clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## Run a small plan on SQLite: first run, second run, hold
	@PATH="$(CURDIR)/$(BIN):$$PATH" demo/show

test: $(VENV)/.installed-dev lint ## Run lint, types and every test that needs no Docker engine
	@tests/install-servers
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not rivals" --ignore=tests/e2e $(PYTEST_ARGS)

lint: $(VENV)/.installed-dev ## Check style, types and which room imports which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev ## Put the code into its format and fix what ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.installed-dev ## Build the documentation site into site/, every warning an error
	$(BIN)/python docs/generate_reference.py --check
	$(BIN)/python docs/generate_rules.py --check
	$(BIN)/sphinx-build -q -n -W --keep-going docs site
	@echo "site/index.html"

images: $(VENV)/.installed-dev ## Photograph the terminal and the report for the README
	@tests/install-servers
	$(BIN)/python docs/make_images.py

bench: $(VENV)/.installed-dev ## Measure against a hand-written init
	@tests/install-servers
	PYTHONPATH=tests $(BIN)/python -m benchmarks

rivals: $(VENV)/.installed-dev ## Run inithold beside what else people use, on a Docker engine, and write the tables
	@tests/install-servers
	$(BIN)/python -m pytest -m rivals tests/e2e/test_rivals.py tests/process/test_other_gates.py
	PYTHONPATH=tests $(BIN)/python -m benchmarks.rivals

soak: $(VENV)/.installed-dev ## Kill and start the gated example 30 times (ROUNDS=N) on a Docker engine
	INITHOLD_SOAK_ROUNDS=$(ROUNDS) $(BIN)/python -m pytest -q -s tests/e2e/test_gates.py -k holds

release-check: $(VENV)/.installed-dev ## Check and build all that a release publishes (TAG=v1.2.3), up to the push
	$(BIN)/python scripts/release_check.py $(if $(TAG),--tag $(TAG))

lowest: $(VENV)/.installed-dev ## Test with the lowest versions of what pyproject.toml allows
	@tests/install-servers
	WORKERS=$(WORKERS) scripts/lowest $(PYTEST_ARGS)

clean: ## Remove the virtual environment and every cache
	rm -rf $(VENV) .venv-lowest build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.installed: pyproject.toml scripts/venv
	@scripts/venv $(VENV)
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@scripts/venv $(VENV) test lint docs release
	@touch $@
