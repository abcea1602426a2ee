# Everything is run from here; each target sets up what it needs in .venv.

PYTHON ?= python3
JOBS ?= 2
ARGS ?=
BOARD ?=
READY := .venv/ready
RUN := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup demo test bench synth soak crowd bitstream generate clean preflight

help:
	@echo "make demo    run the device: thousands of vectors on the RTL, with a report"
	@echo "make test    run all tests (TESTS='-k name' for some of them)"
	@echo "make bench   measure latency, rates and efficiency in clocks of the RTL"
	@echo "make synth   measure area and clock on an ECP5"
	@echo "make soak    let everything happen at once, for as long as you like"
	@echo "make crowd   fill the device with host tenants and guests, while their vectors churn"
	@echo "make bitstream BOARD=name  build what a board is loaded with"
	@echo "make generate  rewrite the C header and the tables in the documentation"
	@echo "make clean   remove what was built; the next run sets up .venv anew"
	@echo
	@echo "ARGS='…' is passed on, for example: make demo ARGS='--vectors 300 --model'"
	@echo "After the first run, .venv/bin/tocsin --help tells more."

preflight:
	@sh .ci/preflight $(PYTHON)

$(READY): pyproject.toml constraints.txt | preflight
	@echo "Setting up .venv (once; about a minute)"
	@$(PYTHON) -m venv --clear .venv
	@PIP_CONSTRAINT=$(CURDIR)/constraints.txt $(RUN) -m pip install -qq --no-input \
		--disable-pip-version-check -e '.[test]'
	@touch $@

setup: preflight $(READY)

demo: setup
	@$(RUN) -m boards.cli demo $(ARGS)

bench: setup
	@$(RUN) -m boards.cli bench $(ARGS)

synth: setup
	@$(RUN) -m boards.cli synth $(ARGS)

soak: setup
	@$(RUN) -m boards.cli soak $(ARGS)

crowd: setup
	@$(RUN) -m boards.cli crowd $(ARGS)

bitstream: setup
	@$(RUN) -m boards.cli build $(or $(BOARD),$(error make bitstream BOARD=name, one of those that .venv/bin/tocsin boards lists)) $(ARGS)

generate: setup
	@$(RUN) -m boards.cli generate

test: setup
	@$(RUN) -m pytest -n $(JOBS) $(TESTS)

clean:
	rm -rf .venv build *.egg-info .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
