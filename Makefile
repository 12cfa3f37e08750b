# Every target makes .venv and installs its packages, once per change of setup.cfg or pyproject.toml.
# PYTHON=python3.12 chooses the interpreter; ARGS="..." is passed on: make test ARGS="-k ops"
PYTHON ?= python3
ARGS ?=
BIN = .venv/bin
CODE = $(wildcard minidl tests benchmarks tutorials docs/book)
STAMPS = .venv/.core .venv/.test .venv/.dev .venv/.notebooks
INSTALL = rm -f $(STAMPS) && $(BIN)/python -m pip install -q --disable-pip-version-check -e

.PHONY: help demo test lint attack bench tutorials book clean
.NOTPARALLEL:

help:
	@echo "make demo    train two small models for about two minutes, then repair photographs"
	@echo "make test    run the tests                     (make test ARGS=\"-k ops\")"
	@echo "make lint    check style and types"
	@echo "make attack  attack files, commands and kernels for five minutes (ARGS=\"--minutes 60\")"
	@echo "make bench   time kernels, training and pictures for about five minutes, into bench-out/"
	@echo "make tutorials   run the lessons and write their notebooks (ARGS=04: one; CHECK=1: only run)"
	@echo "make book    write a page about every op and layer, from the source, into book-out/"
	@echo "make clean   remove .venv, build output and caches; runs/ and demo-out/ stay"

demo: .venv/.core
	$(BIN)/minidl demo $(ARGS)

test: .venv/.test
	$(BIN)/python -m pytest $(ARGS)

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/mypy $(CODE)

attack: .venv/.test
	$(BIN)/python -m tests.attacks $(ARGS)

INTO = --json bench-out/$(1).json --chart bench-out/$(1).png --force
bench: .venv/.core
	$(BIN)/python -m benchmarks.kernels --quick $(call INTO,kernels) $(ARGS)
	$(BIN)/python -m benchmarks.training --quick $(call INTO,training) $(ARGS)
	$(BIN)/python -m benchmarks.pictures --quick --sizes 512 $(call INTO,pictures) $(ARGS)

book: .venv/.test
	$(BIN)/python -m docs.book --out book-out $(ARGS)

tutorials: .venv/.notebooks
	$(BIN)/python -m tutorials.build $(if $(CHECK),--check) $(ARGS)

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is removed before an install and written after success, so an interrupted install is
# repeated. A larger install contains the smaller ones, and writes their stamps too.
.venv/.core: .venv/.made setup.cfg pyproject.toml
	@echo "Installing minidl into .venv (a minute or two the first time) ..."
	@$(INSTALL) .
	@touch .venv/.core

.venv/.test: .venv/.made setup.cfg pyproject.toml
	@echo "Installing minidl and its test tools into .venv (a minute or two the first time) ..."
	@$(INSTALL) '.[test]'
	@touch .venv/.core .venv/.test

.venv/.dev: .venv/.made setup.cfg pyproject.toml
	@echo "Installing minidl and its development tools into .venv (a minute or two the first time) ..."
	@$(INSTALL) '.[dev]'
	@touch .venv/.core .venv/.test .venv/.dev

.venv/.notebooks: .venv/.made setup.cfg pyproject.toml
	@echo "Installing minidl and Jupyter into .venv (a minute or two the first time) ..."
	@$(INSTALL) '.[notebooks]'
	@touch .venv/.core .venv/.notebooks

.venv/.made:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "There is no '$(PYTHON)' here. minidl needs Python 3.11 or later."; \
	  echo "Install it, or name one that you have: make PYTHON=python3.12"; \
	  exit 1; } >&2
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "minidl needs Python 3.11 or later; '$(PYTHON)' is $$($(PYTHON) --version 2>&1)."; \
	  echo "Name a newer one: make PYTHON=python3.12"; \
	  exit 1; } >&2
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "'$(PYTHON)' cannot make virtual environments: venv or ensurepip is missing."; \
	  echo "On Debian or Ubuntu: sudo apt install python3-venv"; \
	  echo "(for another version than the system's own: python3.12-venv, say). Then run make again."; \
	  exit 1; } >&2
	@echo "Making the virtual environment .venv with $$($(PYTHON) --version 2>&1) ..."
	@$(PYTHON) -m venv .venv
	@touch $@
