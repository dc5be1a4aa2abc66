# make run: everything from nothing to the report. make run-modeling: the same for models that draw images. make test: the
# tests. All install what they need into .venv first.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
export RAY_USAGE_STATS_ENABLED = 0

.PHONY: run run-modeling test lint viz lock install clean

run: $(INSTALLED)
	$(BIN)/kedro run

run-modeling: $(INSTALLED)
	$(BIN)/kedro run --env digits_modeling

test: $(INSTALLED)
	$(BIN)/pytest

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

viz: $(INSTALLED)
	$(BIN)/kedro viz run

install: $(INSTALLED)

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 14) else \
	  f"Python {v[0]}.{v[1]} is not supported; choose one from 3.11 to 3.13: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^uv==' requirements.lock)"
	$(BIN)/uv pip install --python $(BIN)/python --requirements requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --editable .
	touch $@

lock: $(INSTALLED)
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --extra train --extra onnx --extra dev \
	  --no-annotate --no-header --output-file requirements.lock

clean:
	rm -rf .venv
