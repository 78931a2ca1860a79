# make sweep   everything from nothing to the report of the built-in keyword-spotting study
# make test    linters, type checks, layer contracts and tests
# Both make .venv first. They need Python 3.11 or newer, g++ and make.

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
BIN := $(VENV)/bin
TORCH := $(shell sed -n 's/^torch==/torch==/p' constraints.txt)

.PHONY: sweep test lint setup system clean

sweep:
	@begin=$$(date +%s) && $(MAKE) --no-print-directory setup && echo "installs took $$(($$(date +%s) - begin)) s" && \
	begin=$$(date +%s) && $(BIN)/codesign run --jobs $(JOBS) && echo "search, verification and report took $$(($$(date +%s) - begin)) s"

test: $(VENV)/.installed-dev lint
	$(BIN)/pytest

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

setup: $(VENV)/.installed

# Debian and Ubuntu: the compiler, and what the tests and faster verification use when it is there.
system:
	apt-get update
	apt-get install -y --no-install-recommends g++ make perl ccache chromium

$(VENV)/bin/python:
	@command -v g++ >/dev/null || { echo "g++ was not found: install it (Debian/Ubuntu: apt-get install g++)" >&2; exit 3; }
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

# torch comes first and alone: another order would take its much larger CUDA build.
$(VENV)/.torch: $(VENV)/bin/python constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check $(TORCH)
	@touch $@

$(VENV)/.installed: $(VENV)/.torch pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.torch pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
