# The two commands of the README make their own virtual environment in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := s2st-demo
STAMP := $(VENV)/.installed

# Byte code is kept, whatever the caller's environment says: the tests start thousands of processes.
PYTEST = PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(WORKERS)
WORKERS ?= 2

.PHONY: demo test test-all torture fuzz bench check fast-test format build clean

demo: $(STAMP)  ## the whole job on a small corpus, in a few minutes
	rm -rf $(DEMO)
	$(BIN)/s2st demo --dir $(DEMO)

test: $(STAMP)  ## the tests but the extensive ones, in some minutes
	$(PYTEST) --dist worksteal -m "not extensive"

test-all: $(STAMP)  ## the extensive tests, which `make test` leaves out; run it after `make test`
	$(PYTEST) --dist loadfile -m extensive

torture: $(STAMP)  ## faults injected into small runs, thousands of times; under 40 minutes
	$(BIN)/python tests/torture/run.py

fuzz: $(STAMP)  ## damaged and odd files for MINUTES (10)
	$(BIN)/python tests/fuzz/run.py --minutes $(or $(MINUTES),10)

# Peers are interpreters: OPENNMT=PYTHON FAIRSEQ=... JOEYNMT=... MARIAN=...; BENCH holds more options.
bench: $(STAMP)  ## every benchmark on DATA (a folder of Multi30k), CHECKPOINT(s), LISTS; takes hours
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable ".[analysis]"
	$(BIN)/python benchmarks/all.py $(if $(DATA),--data $(DATA)) \
		$(foreach model,$(CHECKPOINT),--checkpoint $(model)) $(if $(LISTS),--lists $(LISTS)) \
		$(if $(OPENNMT),--opennmt $(OPENNMT)) $(if $(FAIRSEQ),--fairseq $(FAIRSEQ)) \
		$(if $(JOEYNMT),--joeynmt $(JOEYNMT)) $(if $(MARIAN),--marian $(MARIAN)) $(BENCH)

check: $(STAMP)  ## format, lint, types, fast tests; about a minute
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(PYTEST) --dist worksteal -m "not slow"

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

build: $(STAMP)  ## wheel and sdist in dist/
	rm -rf dist
	$(BIN)/python -m build

# Torch first and by its exact version: a plain `torch` would fetch gigabytes of CUDA libraries
# where a CPU build of that version is at hand.
$(STAMP): pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable ".[dev]"
	touch $(STAMP)

clean:
	rm -rf $(VENV) $(DEMO) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
