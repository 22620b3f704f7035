# Everything happens in .venv; it is filled again only when the dependency lists change.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LISTS := requirements.txt pyproject.toml

# A file stays in one process with its server and its bases; tests/conftest.py has the order.
SPREAD := --numprocesses=auto --dist=loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help run test fast lowest check format audit clean

help: ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

run: $(VENV)/.run ## install into .venv if needed, then open the studio (PORT, HOST, SHARE)
	$(BIN)/studio ui

test: $(VENV)/.test check ## everything: the checks, then the tests, browser tests among them
	$(BIN)/python -m pytest $(SPREAD)

FAST := architecture contract comparison golden imaging inspection presets resolve

fast: $(VENV)/.test check ## the checks and the tests of the pure rooms, while you write
	$(BIN)/python -m pytest $(SPREAD) $(wildcard $(FAST:%=tests/%))

LOWEST := $(VENV)-lowest

# The highest versions that requirements.txt allows are those that "make test" installs.
lowest: ## the tests nearest to the libraries, with the lowest versions that requirements.txt allows
	$(PYTHON) -m venv $(LOWEST)
	sed -nE 's/^([a-z0-9-]+)>=([0-9.]+).*/\1==\2/p' requirements.txt > $(LOWEST)/lowest.txt
	$(LOWEST)/bin/python -m pip install -r $(LOWEST)/lowest.txt hypothesis peft pytest
	$(LOWEST)/bin/python -m pytest tests/engine/test_matrix.py tests/golden tests/resolve

check: $(VENV)/.test ## format, lint, types and the import rule
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.test ## write the format, and the fixes that change no meaning
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

audit: $(VENV)/.test ## known advisories against what is installed (asks pypi.org; fails where it cannot)
	$(BIN)/python -m pip install --quiet pip-audit
	$(BIN)/python -m pip freeze --exclude-editable | sed 's/+.*//' > $(VENV)/.audit
	$(BIN)/pip-audit --strict --no-deps --disable-pip -r $(VENV)/.audit

clean: ## remove the environments and every cache; pictures in outputs/ stay
	rm -rf $(VENV) $(LOWEST) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "LoRA Studio needs Python 3.11 or newer; say which with PYTHON=python3.11." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
		|| { echo "No virtual environment could be made; on Debian, install python3-venv." >&2; rm -rf $(VENV); exit 1; }

$(VENV)/.run: $(BIN)/python $(LISTS)
	$(BIN)/python -m pip install --editable .
	@touch $@

# The test extras hold the run-time dependencies too, so one installation serves both. pip
# compiles every file in one process, which takes longer than all the rest: here the cores do.
$(VENV)/.test: $(BIN)/python $(LISTS)
	$(BIN)/python -m pip install --no-compile --editable '.[test]'
	$(BIN)/python -m compileall -qq -j 0 -x '/(tests?|testing|models)/' $(VENV)/lib || true
	@touch $(VENV)/.run $@
