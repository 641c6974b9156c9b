# Flight-Tested ML Systems. Needs python3 (3.11 or 3.12), make and git; `make help` says the rest.

PYTHON ?=
PY := .venv/bin/python
PYTEST := $(PY) -m pytest
NOTEBOOKS ?=
# Tests run in two processes, each file (a notebook is one) in a single process; WORKERS=0: in one.
WORKERS ?= 2
PARALLEL := -n $(WORKERS) --dist loadfile
# More OpenMP threads than cores wait for each other in busy loops (chapter 08b).
unit exercises nbval book-tests: export OMP_NUM_THREADS = 1
LAB ?=

# Three stages own these tests; the unit stage runs all the others.
EXERCISE_TESTS := $(wildcard tests/test_exercises*.py)
BOOK_TESTS := tests/test_book.py tests/test_browser.py
# What the library alone must pass: test_<module>.py of each, but for HTTP, which needs a client and a fuzzer.
LIBRARY_TESTS := $(filter-out tests/test_serving.py,$(foreach m,$(notdir $(wildcard mlsys_lib/*.py)),$(wildcard tests/test_$(m))))

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help book lab progress test lint types unit exercises nbval book-tests test-newest \
	env data notebooks lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

book: env data ## set up, check the data, build the book, say where it is
	.venv/bin/jupyter-book build . -W -n --keep-going
	@echo "Open _build/html/index.html in a browser."

lab: env ## open JupyterLab on your own copies of the notebooks (LAB="--no-browser": its options)
	$(PY) tools/reader_copies.py
	MLSYS_PROGRESS="$(CURDIR)/my_notebooks/progress.json" $(PY) -m jupyterlab my_notebooks $(LAB)

progress: env ## show which exercises you have solved
	@MLSYS_PROGRESS="$(CURDIR)/my_notebooks/progress.json" $(PY) -m mlsys_lib.exercises

test: env lint types unit exercises nbval book-tests test-newest ## everything below, in this order
	@echo "All stages passed."

lint: env ## - ruff, and the syntax of the workflows
	@echo "== lint"
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	.venv/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

types: env ## - mypy
	@echo "== types"
	$(PY) -m mypy

unit: env ## - unit tests and doctests
	@echo "== unit tests and doctests"
	$(PYTEST) $(PARALLEL) tests mlsys_lib --doctest-modules $(addprefix --ignore=,$(EXERCISE_TESTS) $(BOOK_TESTS))

exercises: env ## - every exercise, and the notebooks with their solutions
	@echo "== exercises"
	$(PYTEST) -n $(WORKERS) --dist worksteal $(EXERCISE_TESTS)

nbval: env ## - run the notebooks; fresh outputs must equal the stored ones
	@echo "== notebooks"
	SOURCE_DATE_EPOCH=0 $(PY) tools/offline.py $(PYTEST) $(PARALLEL) --nbval notebooks --nbval-current-env \
		--nbval-sanitize-with tests/nbval_sanitize.cfg

book-tests: env ## - the book, built anew with warnings as errors, and opened in a browser
	@echo "== book"
	$(PYTEST) $(PARALLEL) $(BOOK_TESTS)

test-newest: ## - the library alone on Python 3.13+ and the newest packages
	@echo "== newest versions"
	$(or $(PYTHON),python3) tools/setup_env.py newest -m pytest mlsys_lib $(LIBRARY_TESTS) \
		--doctest-modules --ignore=mlsys_lib/exercises

env: ## make or update .venv
	@$(or $(PYTHON),python3) tools/setup_env.py

data: env ## check the tables against their checksums
	$(PY) mlsys_lib/data.py

notebooks: env ## maintainers: fill stubs, run, store outputs (NOTEBOOKS=02_x: only that)
	$(PY) tools/notebooks.py sync $(NOTEBOOKS)
	$(PY) tools/notebooks.py run $(NOTEBOOKS)

lock: env ## maintainers: resolve requirements.lock (UPGRADE=1: newest versions)
	$(PY) tools/setup_env.py lock $(if $(UPGRADE),--upgrade)

clean: ## remove what make made; your my_notebooks/ stays
	rm -rf .venv .venv-* _build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .schemathesis .tmp
	rm -rf $(filter-out my_notebooks/%,$(wildcard */__pycache__ */*/__pycache__))
	@if [ -d my_notebooks ]; then echo "Kept my_notebooks/: it is your work. Remove it yourself if you must."; fi
