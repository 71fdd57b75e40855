# Thin names for the tasks of Rostrum; each says what it does. Needs make and Python 3.11 or newer, nothing else.
#
#   make debate [TOPIC="..."] [MODEL=auto|embedded|embedded:small|ollama:NAME|openai:NAME] [ROUNDS=8]
#   make test      everything: linters, types, import rules, contracts, and the tests of every tier
#   make check     the quick part of it, side by side: linters, types, import rules, the tests that start no service
#   make bench     measures, prints one table (as JSON to the file BENCH_OUT names, if set)
#   make quality   [MODEL=...] [MOTIONS=3|cars,mars,...] [ROUNDS=3] [JUDGE=embedded]   holds debates and measures them
#   make up, down  starts Rostrum and leaves it running; stops it
#   make protos    writes protos/gen, what the ingress knows of it, and the types of Envoy's messages (protos/stubs) again
#   make lock      pins requirements/*.in again in requirements/*.txt
#   make format    formats the code and repairs what ruff can
#
# What is installed is noted by stamp files in .venv, so a second run starts at once.

TOPIC ?= AI's impact on the job market
MODEL ?= auto
ROUNDS ?= 8

# The texts reach the recipes by the environment and unexpanded: quotes, apostrophes and dollars in them stay as they are.
debate: override export TOPIC := $(value TOPIC)
debate: override export ROUNDS := $(value ROUNDS)
debate up: override export MODEL := $(value MODEL)
# What is not given, the program chooses: the model to be measured is named, never found.
quality: export MODEL := $(if $(filter command line environment,$(origin MODEL)),$(value MODEL))
quality: export ROUNDS := $(if $(filter command line environment,$(origin ROUNDS)),$(value ROUNDS))
quality: export MOTIONS := $(value MOTIONS)
quality: export JUDGE := $(value JUDGE)

# What a caller has set up for a Python of its own is not for ours; with another's PYTHONHOME it would not even begin.
unexport PYTHONHOME PYTHONPATH PYTHONSTARTUP PYTHONWARNINGS

PYTHON := .venv/bin/python
# pip says what it fetches; what it finds installed is not worth a line. The exit status is pip's, not the filter's.
PIP = { $(PYTHON) -m pip --disable-pip-version-check install --no-input --require-hashes --requirement $(1); \
	echo $$? >.venv/.status; } | sed '/^Requirement already satisfied/d'; exit $$(cat .venv/.status)
TIERS := architecture unit contract manifests istiod integration mesh faults e2e

.DEFAULT_GOAL := help
.PHONY: help debate up down test check check-unit check-rest lint bench quality protos lock format

help:
	@sed -n 's/^#   make/make/p' Makefile

debate: .venv/.run
	@.venv/bin/rostrum debate --model "$$MODEL" --rounds "$$ROUNDS" -- "$$TOPIC"

up: .venv/.run
	@.venv/bin/rostrum up --detach --model "$$MODEL"

down: .venv/.run
	@.venv/bin/rostrum down

test: lint
	@echo "make: tests ($(TIERS))"
	@$(PYTHON) -m pytest $(wildcard $(addprefix tests/,$(TIERS)))

# Two at a time, each one's output whole and in one piece; the longest first.
check: .venv/.test
	@$(MAKE) --no-print-directory --jobs=2 --keep-going --output-sync=target check-unit lint check-rest

check-unit: .venv/.test
	@echo "make: unit tests"
	@$(PYTHON) -m pytest -q tests/unit

check-rest: .venv/.test
	@echo "make: contracts, architecture and manifests"
	@$(PYTHON) -m pytest -q tests/architecture tests/manifests

lint: .venv/.test
	@echo "make: ruff"
	@.venv/bin/ruff check --quiet
	@.venv/bin/ruff format --check --quiet
	@echo "make: mypy --strict"
	@.venv/bin/mypy --no-error-summary
	@echo "make: import rules"
	@.venv/bin/lint-imports --no-logo

bench: .venv/.test
	@$(PYTHON) -m tests.bench

quality: .venv/.test
	@$(PYTHON) -m tests.quality

protos: .venv/.test
	@$(PYTHON) protos/generate.py
	@$(PYTHON) -P protos/transcoder.py
	@$(PYTHON) protos/envoy_stubs.py
	@echo "make: wrote protos/gen and protos/stubs"

# uv keeps the pins that still fit; delete a line of a .txt (or the file) to move it to the newest release.
LOCK := UV_CUSTOM_COMPILE_COMMAND="make lock" .venv/bin/uv pip compile --quiet --generate-hashes \
	--python-version 3.11 --no-emit-index-url --no-emit-find-links
lock: .venv/.test
	@$(LOCK) requirements/run.in --output-file requirements/run.txt
	@$(LOCK) --no-deps requirements/overlaid.in --output-file requirements/overlaid.txt
	@$(LOCK) requirements/test.in --output-file requirements/test.txt
	@$(LOCK) requirements/ci.in --output-file requirements/ci.txt
	@echo "make: wrote requirements/{run,overlaid,test,ci}.txt"

format: .venv/.test
	@.venv/bin/ruff check --fix-only --quiet
	@.venv/bin/ruff format

# A name on the path may be a shim without a Python behind it, or one without venv: only one that answers is taken.
.venv/.made:
	@for python in python3 python3.13 python3.12 python3.11 python3.14 python; do \
		if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "make: creating .venv with $$($$python --version)" && \
			$$python -m venv --clear .venv && touch $@ && exit 0; exit 1; \
		fi; \
	done; \
	echo "make: Python 3.11 or newer with its venv module is needed and was not found as python3, python3.13," \
		"python3.12 or python3.11: install it (Debian: apt install python3 python3-venv), then run make again" >&2; \
	exit 1

.venv/.packages: requirements/run.txt requirements/overlaid.txt .venv/.made
	@echo "make: installing the pinned packages of requirements/run.txt (some 390 MB are fetched the first time)"
	@$(call PIP,requirements/run.txt)
	@$(PYTHON) -m pip --disable-pip-version-check install --quiet --no-input --require-hashes --no-deps --force-reinstall \
		--requirement requirements/overlaid.txt
	@touch $@

.venv/.run: pyproject.toml .venv/.packages
	@$(PYTHON) -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.test: requirements/test.txt .venv/.run
	@echo "make: installing the pinned packages of requirements/test.txt"
	@$(call PIP,requirements/test.txt)
	@touch $@
