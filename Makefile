# make reproduce   the main job: all three experiments on the embedded model, and its report
# make test        the whole default test suite
# make attack      kill, damage and misuse everything many thousand times, in 25 minutes
# make check       format, lint, types, import contracts
# make docs        build the documentation into site/; open site/index.html
# make bench       time the same work by other tools; QUICK=1 takes a small model,
#                  DEVICE=cuda a GPU
# make clean       remove the virtual environment and what was built
#
# Each makes .venv where needed. A Python of at least 3.11, make and pip are enough.
#   PYTHON=python3.12                     the Python that makes .venv
#   TORCH_INDEX=                          take torch from PyPI, which on Linux is the CUDA build
#   ARGS="--limit 20"                     passed on to `retinoscope reproduce`, or to pytest

PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
ARGS ?=

BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install -qq

.DEFAULT_GOAL := help
.PHONY: help reproduce test attack check docs bench clean

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

reproduce: $(VENV)/.run
	$(BIN)/retinoscope reproduce $(ARGS)

test: $(VENV)/.test
	$(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

attack: $(VENV)/.test
	$(BIN)/python -m pytest tests/attack -m attack $(ARGS)

check: $(VENV)/.dev
	@scripts/check $(BIN)

docs: $(VENV)/.docs
	$(BIN)/python -m mkdocs --quiet build --strict $(ARGS)
	@echo "Open site/index.html, or run '$(BIN)/python -m mkdocs serve' (with search)."

bench: $(VENV)/.test
	PYTHON=$(abspath $(BIN))/python TORCH_INDEX=$(TORCH_INDEX) benchmarks/setup
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick) $(if $(DEVICE),--device $(DEVICE)) $(ARGS)

clean:
	rm -rf $(VENV) build dist site .pytest_cache .ruff_cache .import_linter_cache

# Each stamp stands for an installed requirements file, so that a second call installs nothing.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	    "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; set PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements/run.txt pyproject.toml | $(BIN)/python
	@echo "Installing what Retinoscope needs into $(VENV) (a few minutes the first time)"
	@# torch alone and first: its CPU build is a tenth of what PyPI has for Linux. Where the index
	@# can't be reached, pip takes the release from wherever it is set up to look.
	@$(INSTALL) --no-deps --retries 1 $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) \
	    $$(grep '^torch==' requirements/run.txt)
	@$(INSTALL) -r requirements/run.txt
	@$(INSTALL) --no-deps --editable .
	@touch $@

$(VENV)/.test: requirements/test.txt $(VENV)/.run
	@echo "Installing what the tests need"
	@$(INSTALL) -r requirements/test.txt
	@touch $@

$(VENV)/.docs: requirements/docs.txt $(VENV)/.run
	@echo "Installing what the documentation needs"
	@$(INSTALL) -r requirements/docs.txt
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.test
	@echo "Installing what the checks need"
	@$(INSTALL) -r requirements/dev.txt
	@touch $@
