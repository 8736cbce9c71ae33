# `make demo` and `make test` need Python >= 3.10 and nothing else prepared.

PYTHON ?= python3
# An interpreter that is asked for has an environment beside the usual one.
VENV ?= .venv$(if $(filter command line,$(origin PYTHON)),-$(notdir $(PYTHON)))
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# Modules are compiled when they are first imported, and kept: pip would compile thousands that
# nothing imports, and without kept ones each process here would compile its own again.
unexport PYTHONDONTWRITEBYTECODE
INSTALL := -m pip install -q --no-compile

.PHONY: help demo quick test test-all check lint format types imports unit oracle integration slurm browser torchaudio doctest docs results clean

help:
	@echo "make demo    make songs, train, export, evaluate and separate, here and now (CPU)"
	@echo "             make demo MINUTES=10 trains as many steps as fit that time"
	@echo "make quick   lint, types, import contract and the fast unit tests: two minutes"
	@echo "make test    lint, types, import contract, documentation and tests: what CI runs"
	@echo "make test-all  the long tests too, and those of torchaudio, with PyPI's torch of 5.5 GB"
	@echo "make docs    a website of README.md and docs/, in site/"
	@echo "make format  let ruff rewrite what it can"
	@echo "make results draw the figures of demucs_results/ again"
	@echo "make clean   remove the environment, caches and the demo's folder"

$(VENV)/.base:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 10) and f"Python >= 3.10 is needed, $(PYTHON) is {v[0]}.{v[1]}; try make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

# A change of the requirements installs anew; the stamp is written only when pip succeeded.
$(VENV)/.run: $(VENV)/.base setup.py constraints.txt
	$(BIN)/python $(INSTALL) -c constraints.txt -e ".[plots]"
	@touch $@

$(VENV)/.dev: $(VENV)/.base setup.py constraints.txt
	$(BIN)/python $(INSTALL) -c constraints.txt -e ".[dev]"
	@touch $@ $(VENV)/.run

# torchaudio cannot be imported beside a CPU-only torch (it links CUDA's libraries), so what needs it
# has PyPI's torch of 5.5 GB, in an environment of its own.
TORCHAUDIO := $(VENV)-torchaudio
$(TORCHAUDIO)/.dev: $(VENV)/.base setup.py constraints.txt
	$(PYTHON) -m venv $(TORCHAUDIO)
	sed 's/^torch==.*/torch==2.14.1/' constraints.txt > $(TORCHAUDIO)/constraints.txt
	$(TORCHAUDIO)/bin/python $(INSTALL) -c $(TORCHAUDIO)/constraints.txt -e . pytest
	@touch $@

demo: $(VENV)/.run
	$(BIN)/python -m tools.demo $(if $(MINUTES),--minutes $(MINUTES))

# Each part is its own `make PART`, whose output is shown in one piece when it has ended, and once
# more at the end if it failed. SLURM's tests and the download of torchaudio's torch mostly wait,
# so they come early, and three parts go on at once on two cores.
PARTS := slurm lint types imports docs doctest unit integration oracle browser
JOBS ?= 3
LOGS := $(VENV)/.parts
# Tests that are left out, as an expression of pytest's -m; CONTRIBUTING.md says which those are.
LEAVE_OUT ?= not long

test: check
test-all:
	@$(MAKE) --no-print-directory check PARTS="torchaudio $(PARTS)" LEAVE_OUT="long or not long"
quick:
	@$(MAKE) --no-print-directory check PARTS="unit types lint imports" LEAVE_OUT="not slow and not long"

check: $(VENV)/.dev
	@rm -rf $(LOGS) && mkdir $(LOGS)
	@$(BIN)/python -m compileall -q demucs tools studies
	@$(MAKE) --no-print-directory --jobs=$(JOBS) --keep-going --output-sync=target \
		LEAVE_OUT="$(LEAVE_OUT)" $(PARTS:%=$(LOGS)/%.passed); \
	for part in $(PARTS); do \
		test -e $(LOGS)/$$part.passed || { cat $(LOGS)/$$part.log; failed="$$failed $$part"; }; \
	done; \
	test -z "$$failed" || { echo "FAILED:$$failed"; exit 1; }

$(LOGS)/%.passed:
	@begun=$$(date +%s); $(MAKE) --no-print-directory $* > $(LOGS)/$*.log 2>&1; code=$$?; \
	cat $(LOGS)/$*.log; echo "$* took $$(($$(date +%s) - begun)) s"; \
	test $$code = 0 && touch $@

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/shellcheck slurm_scripts/*.sh .ci/run

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.dev
	$(BIN)/mypy

imports: $(VENV)/.dev
	$(BIN)/lint-imports

# Threads that wait sleep: with cores shared by test processes, spinning slows steps many times over.
unit oracle integration slurm browser: export OMP_WAIT_POLICY = PASSIVE
# These run in two processes of one thread each; a cluster is one for all tests of slurm.
unit oracle integration: export OMP_NUM_THREADS = 1
unit oracle integration: PARALLEL = -n 2 --dist loadfile
unit oracle integration slurm browser: $(VENV)/.dev
	$(BIN)/python -m pytest -m "$(LEAVE_OUT)" $(PARALLEL) tests/$@

# The examples in docstrings, and those of the pages that are sessions of Python.
doctest: export OMP_WAIT_POLICY = PASSIVE
doctest: $(VENV)/.dev
	$(BIN)/python -m pytest --doctest-modules --doctest-glob='*.md' demucs tools studies docs/api.md

# Broken links and names of the API that do not exist are errors.
docs: $(VENV)/.dev
	$(BIN)/mkdocs build --quiet --strict

# Where torchaudio cannot be imported the tests are skipped, so that comes first.
torchaudio: export OMP_WAIT_POLICY = PASSIVE
torchaudio: $(TORCHAUDIO)/.dev
	$(TORCHAUDIO)/bin/python -c 'import torchaudio'
	$(TORCHAUDIO)/bin/python -m pytest tests/$@

results: $(VENV)/.run
	$(BIN)/python -m tools.archive --index
	$(BIN)/python graphing_scripts/redraw.py demucs_results

clean:
	rm -rf .venv .venv-* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis demo site
