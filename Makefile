# Every target except clean first makes a virtual environment in .venv and installs s2st there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := s2st-demo
STAMP := $(VENV)/.installed

# Always write byte code: the tests start thousands of processes, which then start faster.
PYTEST = PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(WORKERS)
WORKERS ?= 2

.PHONY: demo test test-all torture fuzz bench check fast-test format build docs clean

demo: $(STAMP)  ## run the whole job on a small corpus; a few minutes
	rm -rf $(DEMO)
	$(BIN)/s2st demo --dir $(DEMO)

test: $(STAMP)  ## run all tests except the extensive ones; ten minutes
	$(PYTEST) --dist worksteal -m "not extensive"

test-all: $(STAMP)  ## run the extensive tests, which `make test` leaves out
	$(PYTEST) --dist loadfile -m extensive

torture: $(STAMP)  ## inject thousands of faults into small runs; under 40 minutes
	$(BIN)/python tests/torture/run.py

fuzz: $(STAMP)  ## read damaged and odd files for MINUTES (default 10)
	$(BIN)/python tests/fuzz/run.py --minutes $(or $(MINUTES),10)

# To compare with other toolkits, name their interpreters: OPENNMT=PYTHON FAIRSEQ=... JOEYNMT=... MARIAN=...
# CTRANSLATE2=... BENCH holds more options of benchmarks/all.py: --short takes 45 minutes, --resume goes on.
bench: $(STAMP)  ## run every benchmark; DATA is a folder of Multi30k, CHECKPOINT, TRANSFORMER and LISTS name files; hours
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable ".[analysis,ctranslate2]"
	$(BIN)/python benchmarks/all.py $(if $(DATA),--data $(DATA)) \
		$(foreach model,$(CHECKPOINT),--checkpoint $(model)) \
		$(if $(TRANSFORMER),--transformer $(TRANSFORMER)) $(if $(LISTS),--lists $(LISTS)) \
		$(if $(OPENNMT),--opennmt $(OPENNMT)) $(if $(FAIRSEQ),--fairseq $(FAIRSEQ)) \
		$(if $(JOEYNMT),--joeynmt $(JOEYNMT)) $(if $(MARIAN),--marian $(MARIAN)) \
		$(if $(CTRANSLATE2),--ctranslate2 $(CTRANSLATE2)) $(BENCH)

check: $(STAMP)  ## check format, lint and types, and run the fast tests; three minutes
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(PYTEST) --dist worksteal -m "not slow"

format: $(STAMP)  ## format the code and fix what ruff can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

build: $(STAMP)  ## build wheel and sdist in dist/
	rm -rf dist
	$(BIN)/python -m build

docs: $(STAMP)  ## build the documentation as a site in site/; warnings are errors
	$(BIN)/mkdocs build --strict --quiet

# Install torch first, by its exact version. A plain `torch` would download gigabytes of CUDA libraries
# even if a CPU build of that version is available.
$(STAMP): pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable ".[dev]"
	touch $(STAMP)

clean:
	rm -rf $(VENV) $(DEMO) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache site
