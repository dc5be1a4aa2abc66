# make run: everything from nothing to the report. make run-modeling: the same for models that draw images. make test: the
# tests. make compare-omniglot, compare-omniglot-5x, compare-fashion-mnist: the comparisons of classifiers in docs/results,
# whose finished parts are not trained again. All install what they need into .venv first.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
export RAY_USAGE_STATS_ENABLED = 0

# The last file that a teacher's pipeline writes.
teacher = data/$(1)/04_feature/source_statistics.safetensors
COMPARE = $(BIN)/kedro run --pipelines compare_methods --env

.PHONY: run run-modeling test compare-omniglot compare-omniglot-5x compare-fashion-mnist lint viz lock install clean

run: $(INSTALLED)
	$(BIN)/kedro run

run-modeling: $(INSTALLED)
	$(BIN)/kedro run --env digits_modeling

test: $(INSTALLED)
	$(BIN)/pytest

compare-omniglot: $(call teacher,omniglot)
	$(COMPARE) omniglot
	$(COMPARE) omniglot_per_task

compare-omniglot-5x: $(call teacher,omniglot)
	$(COMPARE) omniglot_5x
	$(COMPARE) omniglot_large

compare-fashion-mnist: $(call teacher,fashion_mnist)
	$(COMPARE) fashion_mnist

$(call teacher,%): | $(INSTALLED)
	$(BIN)/kedro run --env $* --pipelines split_tasks,extract_teacher

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
