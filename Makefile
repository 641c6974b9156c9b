# Flight-Tested ML Systems. Needs python3, make and git; `make help` says the rest.
# README says which Python serves best, and how each of these commands reads without make.

PYTHON ?=
PY := .venv/bin/python
PYTEST := $(PY) -m pytest
NOTEBOOKS ?=
EXERCISES ?=
SINCE ?=
# Tests run in two processes, each file (a notebook is one) in a single process; WORKERS=0: in one.
WORKERS ?= 2
PARALLEL := -n $(WORKERS) --dist loadfile
# Whether .venv has a Python newer than the course's, and so other versions of pandas and numpy.
IS_NEWER := $(PY) -c "import sys; sys.exit(sys.version_info < (3, 13))"
# More OpenMP threads than cores wait for each other in busy loops (chapter 08b).
check unit exercises nbval book-tests weekly mutants notebooks: export OMP_NUM_THREADS = 1
LAB ?=

# Four stages own these tests; the unit stage runs all the others.
EXERCISE_TESTS := $(wildcard tests/test_exercises*.py)
NUMBER_TESTS := tests/test_same_numbers.py
# JupyterLab's own browser runs in a process without the book's.
LAB_TESTS := tests/test_jupyterlab.py
BOOK_TESTS := tests/test_book.py tests/test_browser.py $(LAB_TESTS)
# What the library alone must pass: test_<module>.py of each, but for HTTP, which needs a client and a fuzzer.
LIBRARY_TESTS := $(filter-out tests/test_serving.py,$(foreach m,$(notdir $(wildcard mlsys_lib/*.py)),$(wildcard tests/test_$(m))))

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help book pdf figures lab progress check test lint types unit exercises nbval book-tests test-newest \
	weekly mutants env data tables notebooks lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

book: env data tables ## set up, check the data, build the book, say where it is
	.venv/bin/jupyter-book build . -W -n --keep-going
	@echo "Open _build/html/index.html in a browser."

pdf: book ## the whole book as one PDF, solutions at the end (takes Chromium)
	$(PY) tools/pdf.py

figures: env ## teachers: the notebooks' figures as SVG for slides, in figures/ (INTO=folder: there)
	$(PY) -m tools.figures --into "$(or $(INTO),figures)"

lab: env tables ## open JupyterLab on your own copies of the notebooks (LAB="--no-browser": its options)
	$(PY) -m tools.reader_copies
	MLSYS_PROGRESS="$(CURDIR)/my_notebooks/progress.json" \
		JUPYTER_CONFIG_PATH="$(CURDIR)/tools/lab$${JUPYTER_CONFIG_PATH:+:$$JUPYTER_CONFIG_PATH}" \
		$(PY) -m jupyterlab my_notebooks $(LAB)

progress: env ## show which exercises you have solved
	@MLSYS_PROGRESS="$(CURDIR)/my_notebooks/progress.json" $(PY) -m mlsys_lib.exercises

check: env tables lint types ## before a commit: lint, types and the quick tests
	@echo "== quick tests"
	$(PYTEST) $(PARALLEL) -m "not slow and not weekly" tests mlsys_lib --doctest-modules \
		$(addprefix --ignore=,$(BOOK_TESTS) $(NUMBER_TESTS))

test: env lint types unit exercises nbval book-tests test-newest ## everything below, in this order
	@$(PY) tools/setup_env.py left-out
	@echo "All stages passed."

lint: env ## - ruff, and the syntax of the workflows
	@echo "== lint"
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	.venv/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

types: env ## - mypy
	@echo "== types"
	@if $(IS_NEWER); then echo "Left out: types are checked against the versions in requirements.lock."; \
	else set -x; $(PY) -m mypy; fi

unit: env tables ## - unit tests and doctests
	@echo "== unit tests and doctests"
	$(PYTEST) $(PARALLEL) -m "not weekly" tests mlsys_lib --doctest-modules \
		$(addprefix --ignore=,$(EXERCISE_TESTS) $(BOOK_TESTS) $(NUMBER_TESTS))

exercises: env tables ## - every exercise: its solution, its stub, its mistakes
	@echo "== exercises"
	$(PYTEST) -n $(WORKERS) --dist worksteal -m "not weekly" $(EXERCISE_TESTS)

# On a newer Python, pandas and numpy print some things otherwise: there the numbers must be the same.
nbval: env tables ## - run the notebooks; fresh outputs must equal the stored ones (NOTEBOOKS=02_x: only that)
	@echo "== notebooks"
	$(PYTEST) -q $(NUMBER_TESTS) -k "not newer_python"
	@if $(IS_NEWER); then set -x; \
		$(PY) tools/offline.py $(PYTEST) -n $(WORKERS) --dist worksteal $(NUMBER_TESTS) \
			-k "newer_python$(if $(NOTEBOOKS), and $(NOTEBOOKS))"; \
	else set -x; \
		SOURCE_DATE_EPOCH=0 $(PY) tools/offline.py $(PYTEST) $(PARALLEL) \
			--nbval $(or $(NOTEBOOKS:%=notebooks/%.ipynb),notebooks) --nbval-current-env \
			--nbval-sanitize-with tests/nbval_sanitize.cfg; \
	fi

book-tests: env ## - the book, built anew with warnings as errors, and opened in a browser; a copy in JupyterLab
	@echo "== book"
	$(PYTEST) -n $(WORKERS) --dist loadgroup -m "not weekly" $(filter-out $(LAB_TESTS),$(BOOK_TESTS))
	$(PYTEST) $(LAB_TESTS)

weekly: env tables .venv-repo2docker/bin/jupyter-repo2docker ## what takes too long for every push: solved notebooks, and more
	@echo "== weekly"
	$(PYTEST) -n $(WORKERS) --dist worksteal -m weekly tests

# What Binder would make of environment.yml. Apart from .venv: it is no part of the course.
.venv-repo2docker/bin/jupyter-repo2docker:
	$(PY) -m venv .venv-repo2docker
	.venv-repo2docker/bin/python -m pip install --quiet jupyter-repo2docker==2026.4.0

# Also of what this branch changes only: SINCE=main, at most two minutes a chapter.
mutants: env tables ## wrong answers made from the solutions: each must be rejected (EXERCISES="ch01 ch02.contract": only these)
	$(PY) tools/mutants.py $(EXERCISES) --workers $(or $(filter-out 0,$(WORKERS)),1) \
		$(if $(SINCE),--since $(SINCE) --limit 120)

test-newest: ## - the library alone on Python 3.13+ and the newest packages
	@echo "== newest versions"
	$(or $(PYTHON),python3) tools/setup_env.py newest -m pytest -m "not weekly" mlsys_lib $(LIBRARY_TESTS) \
		--doctest-modules --ignore=mlsys_lib/exercises

env: ## make or update .venv
	@$(or $(PYTHON),python3) tools/setup_env.py

data: env ## check the tables against their checksums
	$(PY) mlsys_lib/data.py

tables: env ## make the tables that every chapter reads, once, and keep them
	@$(PY) -m mlsys_lib.store

notebooks: env tables ## maintainers: fill stubs, run, store outputs (NOTEBOOKS=02_x: only that)
	$(PY) tools/notebooks.py sync $(NOTEBOOKS)
	$(PY) tools/notebooks.py run $(NOTEBOOKS)

lock: env ## maintainers: resolve both locks (UPGRADE=1: newest versions)
	$(PY) tools/setup_env.py lock $(if $(UPGRADE),--upgrade)

clean: ## remove what make made; your my_notebooks/ stays
	@if [ -x $(PY) ]; then $(PY) -m mlsys_lib.store --clear || echo "Kept tables remain; see above."; fi
	rm -rf .venv .venv-* _build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .schemathesis .tmp
	rm -rf $(filter-out my_notebooks/%,$(wildcard */__pycache__ */*/__pycache__))
	@if [ -d my_notebooks ]; then echo "Kept my_notebooks/: it is your work. Remove it yourself if you must."; fi
