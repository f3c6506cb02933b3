# Everything below happens inside .venv, which the first call creates; later calls find the stamps and are quick.
#   make PYTHON=/path/to/python3 ...   chooses the interpreter that .venv is made from

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -q

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONUNBUFFERED := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test check coverage docs clean

# $(call step,text,command): one line with the seconds it took; the command's output shows only where it fails
define step
@printf '[setup] %s ... ' '$(1)'; start=$$(date +%s); \
if output=$$($(2) 2>&1); then echo "$$(($$(date +%s) - start)) s"; \
else printf 'failed\n%s\n' "$$output" >&2; exit 1; fi
endef

help:  ## show this list
	@grep -hE '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):[^#]*## /\1|/' | awk -F'|' '{printf "make %-8s %s\n", $$1, $$2}'

setup: $(VENV)/.installed  ## set up .venv, and nothing else

demo: $(VENV)/.installed  ## pretrain ActCLR on built-in synthetic motion and show what it is worth
	@$(BIN)/python tools/demo.py

# a test takes one thread: files of them run side by side, as many as there are cores, four at most
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

test: check  ## check style and types, then run all tests
	$(PYTEST)

check: $(VENV)/.installed-test  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/python -m mypy

coverage: $(VENV)/.installed-test  ## run all tests and print which share of each package they execute
	$(PYTEST) --cov=mmactclr --cov-report=
	@$(BIN)/python tests/coverage_by_package.py

docs: $(VENV)/.installed-docs  ## build the documentation into build/docs
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs
	@echo 'open build/docs/index.html'

clean:  ## remove .venv, caches and build results; data/ and work_dirs/ stay
	rm -rf $(VENV) build dist mmactclr/.mim *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.created:
	@command -v $(PYTHON) > /dev/null || { echo 'error: $(PYTHON) was not found: install Python 3.10 or newer, or name one: make PYTHON=/path/to/python3 ...' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "error: $(PYTHON) is $$($(PYTHON) --version 2>&1), expected Python 3.10 or newer; name another one: make PYTHON=/path/to/python3 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { echo 'error: $(PYTHON) cannot create virtual environments: install its venv package (Debian, Ubuntu: apt install python3-venv)' >&2; exit 1; }
	$(call step,creating $(VENV) with $(PYTHON),$(PYTHON) -m venv $(VENV))
	@touch $@

# torch comes first and exactly pinned, so that nothing later pulls another build of it; the headless OpenCV goes over
# the one that mmengine brings, which cannot be imported where libGL is missing
$(VENV)/.installed: requirements.txt setup.cfg setup.py pyproject.toml | $(VENV)/.created
	$(call step,installing torch (the largest download),$(PIP) $$(grep '^torch==' requirements.txt))
	$(call step,installing requirements.txt,$(PIP) -r requirements.txt)
	$(call step,installing OpenCV without graphical parts,$(PIP) --force-reinstall --no-deps $$(grep '^opencv-python-headless==' requirements.txt))
	$(call step,installing mmactclr,$(PIP) -e . --no-deps)
	@touch $@

# the documentation is built by a test
$(VENV)/.installed-test: requirements-test.txt requirements-docs.txt $(VENV)/.installed
	$(call step,installing requirements-test.txt and requirements-docs.txt,$(PIP) -r requirements-test.txt -r requirements-docs.txt)
	@touch $@

$(VENV)/.installed-docs: requirements-docs.txt $(VENV)/.installed
	$(call step,installing requirements-docs.txt,$(PIP) -r requirements-docs.txt)
	@touch $@
