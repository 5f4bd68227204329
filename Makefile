# batchscout: every way in. `make demo` and `make test` need Python 3.11, make and nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# More flags for pytest, for example PYTEST_FLAGS=-x.
PYTEST_FLAGS ?=
# Flags for pip that choose a build of torch, for example the small one for the processor:
#   make install TORCH_FLAGS='--extra-index-url https://download.pytorch.org/whl/cpu'
# Empty takes the default build, which on Linux brings CUDA along.
TORCH_FLAGS ?=
INSTALLED := $(VENV)/.installed

.PHONY: help install demo test test-all lint format bench check-file clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(INSTALLED)  ## make .venv and install batchscout into it, for development

$(INSTALLED): pyproject.toml setup.py constraints.txt scripts/make-venv
	scripts/make-venv $(PYTHON) $(VENV)
	$(BIN)/pip install $(TORCH_FLAGS) -c constraints.txt -e '.[server,worker,hf,dev]'
	@$(BIN)/python scripts/fetch-plotly || \
		echo 'The pages show figures as tables: scripts/fetch-plotly reached no registry.'
	@touch $@

demo: install  ## start a service, tune a small network on real data, print the answer
	@$(BIN)/python scripts/demo.py examples/digits-cnn.json

test: install  ## the tests that need pip alone, within ten minutes
	$(BIN)/pytest -m 'not gpu and not full' $(PYTEST_FLAGS)

# Also fetches, into .generators, what makes clients from openapi.json, into .browser a browser,
# and into .exports the frameworks that exports are for; Node is brought along.
test-all: install  ## every test; those for a GPU are skipped where there is none
	$(BIN)/pytest $(PYTEST_FLAGS)

lint: install  ## style, types and the walls between the packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install  ## bring every file into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install  ## measure speed and memory, side by side with what people write by hand
	$(BIN)/pip install -q -c constraints.txt -e '.[bench]'  # the peers
	@set -e; for bench in benchmarks/*/bench.py; do \
		echo "== $$bench"; $(BIN)/python "$$bench"; \
	done

check-file: install  ## build dist/batchscout-check.pyz, the check as one file
	$(BIN)/python scripts/build-check dist/batchscout-check.pyz

clean:  ## remove what was built, the environment included
	rm -rf $(VENV) .generators .browser .exports build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache \
		.hypothesis .import_linter_cache
