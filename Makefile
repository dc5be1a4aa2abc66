# make run: everything from nothing to the report. make run-modeling: the same for models that draw images. make test: the
# tests. make fuzz CASES=1000: those of damaged and forged input, with so many cases each. make check: style, types and
# which module may import which. make docs: the documentation as a site. make compare-omniglot: the comparisons of
# docs/results on Omniglot, whose finished parts are not trained again. make reproduce PAGE=omniglot: a page of
# docs/results again, and what differs from it. All install what they need into .venv first.
PYTHON ?= python3
BIN := .venv/bin
CASES ?= 50
INSTALLED := .venv/installed
export RAY_USAGE_STATS_ENABLED = 0

# The last file that a teacher's pipeline writes.
OMNIGLOT_TEACHER := data/omniglot/04_feature/source_statistics.safetensors

.PHONY: run run-modeling test fuzz check compare-omniglot reproduce docs viz lock install clean

run: $(INSTALLED)
	$(BIN)/kedro run

run-modeling: $(INSTALLED)
	$(BIN)/kedro run --env digits_modeling

test: $(INSTALLED)
	$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

fuzz: $(INSTALLED)
	CASES=$(CASES) $(BIN)/pytest tests/fuzz

check: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

compare-omniglot: $(OMNIGLOT_TEACHER)
	for name in main large per_task sizes ablation; do $(BIN)/kedro run --env omniglot --pipelines compare_methods \
	  --params compare_methods.comparison=$$name || exit; done

$(OMNIGLOT_TEACHER): | $(INSTALLED)
	$(BIN)/kedro run --env omniglot --pipelines split_tasks,extract_teacher

reproduce: $(INSTALLED)
	$(BIN)/python benchmarks/reproduce.py $(PAGE)

docs: $(INSTALLED)
	$(BIN)/sphinx-build -E -W --keep-going -b html docs build/docs

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
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --extra train --extra onnx --extra app --extra docs --extra dev \
	  --no-annotate --no-header --output-file requirements.lock

clean:
	rm -rf .venv
