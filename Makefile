# `make test` on a fresh clone sets up .venv and runs the tests; `make help` lists the targets.

PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.setup-done
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
TORCH := $(shell sed -n '/^torch==/p' constraints.txt)

# Several BLAS or OpenMP threads on a busy machine spin against each other and are slower than one.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help setup test test-slow check bench lint format docs demo demo-quick clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile
	@echo "  ARGS='...' goes to pytest; PYTHON=... chooses the interpreter (3.11 or newer)."

setup: $(STAMP) ## create .venv with everything (implied by the other targets)

# The stamp is removed first and written last: a set-up that was interrupted starts from nothing,
# one whose requirements changed is updated in place.
$(STAMP): pyproject.toml constraints.txt
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "hopgym needs Python 3.11 or newer, but '$(PYTHON)' was not found;" \
	    "name one, as in: make PYTHON=python3.12 test" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "hopgym needs Python 3.11 or newer, but '$(PYTHON)' is" \
	    "$$("$(PYTHON)" -V 2>&1); name another, as in: make PYTHON=python3.12 test" >&2; exit 1; }
	@test -n "$(TORCH)" || { echo "constraints.txt must pin torch as torch==<version>" >&2; exit 1; }
	@echo "Setting up $(VENV) (one to two minutes the first time)"
	@if test -e $(STAMP); then rm $(STAMP); else "$(PYTHON)" -m venv --clear $(VENV); fi
	@$(PIP) $(TORCH)
	@$(PIP) --editable ".[train,llm,data,dev]"
	@touch $(STAMP)

test: $(STAMP) ## run the tests on all cores, in a random order
	$(PYTEST) -m "not slow" $(ARGS)

test-slow: $(STAMP) ## run the tests that take more than 20 seconds each
	$(PYTEST) -m slow $(ARGS)

check: $(STAMP) ## lint, then the tests; CI also runs test-slow and demo-quick
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory test

bench: $(STAMP) ## time hopgym beside references in the same process; ratios and their bounds
	@OMP_NUM_THREADS=1 $(BIN)/python scripts/bench.py

lint: $(STAMP) ## ruff check, ruff format --check, mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(STAMP) ## let ruff mend and format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(STAMP) ## write the generated pages of docs/ anew
	$(BIN)/python scripts/build_docs.py

demo: $(STAMP) ## play 200 questions, then train a tiny model three ways; tables and HTML reports
	@$(BIN)/hopgym demo
	@$(BIN)/hopgym study examples/studies/demo.toml --out runs/demo-learning

demo-quick: $(STAMP) ## the same with 20 questions and a little training, in two minutes
	@$(BIN)/hopgym demo --quick
	@$(BIN)/hopgym study examples/studies/demo.toml --quick --out runs/demo-learning-quick

clean: ## remove .venv, caches and builds
	rm -rf $(VENV) .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
	find hopgym agents scripts tests examples -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
