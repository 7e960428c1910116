# `make` lists the targets. Needs Python 3.11 or newer, make and git; everything else it brings itself.

MAKEFLAGS += --no-print-directory
SHELL := /bin/sh
.DEFAULT_GOAL := help

# The real path: as root the environment may live where the workers' uids reach it, and .venv is a link.
PY = $(realpath .venv)/bin/python
PYTEST = $(PY) -m pytest -rs
DESCRIPTION ?= an inventory of books with title, author and year

# APP=workers narrows a test target to the tests of that app.
ifdef APP
TESTS = $(or $(wildcard tests/$(APP) tests/apps/$(APP) tests/conformance/$(APP) \
	tests/*/test_$(APP).py tests/*/test_$(APP)_*.py),$(error there are no tests of APP=$(APP)))
endif

.PHONY: help setup demo up down status test test-unit test-service test-integration test-e2e \
	lint hooks journey bench chaos modules requirements clean

help: ## list the targets
	@sed -n 's/^\([a-z0-9 -]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) \
		| while IFS='|' read -r name text; do printf '%-24s %s\n' "$$name" "$$text"; done

setup: ## environment and packages; nothing to do when they are up to date
	@python=$$(scripts/find-python) && "$$python" scripts/setup.py

demo: setup ## the whole job on one sentence: make demo DESCRIPTION="..." (KEEP=1 leaves it running)
	@$(PY) manage.py demo $(if $(filter-out 0,$(KEEP)),--keep) -- "$$DESCRIPTION"
demo: override export DESCRIPTION := $(value DESCRIPTION)

up: setup ## the stack in the foreground
	@exec $(PY) -m orchestrator.stack up $(foreach name,$(WITHOUT),--without $(name))

down: setup ## stop the stack, wherever it was started
	@$(PY) -m orchestrator.stack down

status: setup ## what runs
	@$(PY) -m orchestrator.stack status

test: setup ## every test this machine can run; skips are listed with their reason
	@$(if $(TESTS),$(PYTEST) $(TESTS),$(PY) scripts/test.py)

test-unit: setup ## tests without services (APP=workers narrows, here and below)
test-service: setup ## tests of one app with its real servers
test-integration: setup ## tests of several processes
test-e2e: setup ## whole journeys
test-unit test-service test-integration test-e2e:
	@$(PYTEST) -m $(@:test-%=%) $(TESTS)

lint: setup ## ruff, mypy, layers, migrations, OpenAPI
	@$(PY) scripts/lint.py

hooks: ## check before every push: lint and test-unit
	@hooks=$$(git rev-parse --git-path hooks) && mkdir -p "$$hooks" \
		&& cp scripts/pre-push "$$hooks/pre-push" && echo "installed $$hooks/pre-push"

journey: setup ## watch one wish go the whole way: chat, agent, checks, merge, address, change, address
	@JOURNEY_WATCHED=1 $(PYTEST) -q -s tests/journeys/test_whole_chain.py

bench: setup ## measure; a bar that is missed fails it (ONLY="lists workers" runs some)
	@$(PY) scripts/bench.py $(ONLY)

chaos: setup ## the crash matrix: processes at every stage, workers in containers, chats with faults
	@$(PY) scripts/chaos.py

modules: setup ## every choice of the template's modules: own tests and, with a Docker engine, deployments
	@TEMPLATE_MATRIX=all $(PYTEST) tests/template

requirements: setup ## compile requirements/*.in again; UPGRADE=1 takes newer versions
	@$(PY) scripts/setup.py compile $(if $(UPGRADE),--upgrade)

clean: ## stop the stack, remove the environment and every cache; keeps the data in var/
	@if [ -x .venv/bin/python ]; then $(PY) -m orchestrator.stack down; fi
	@var=$$("$$(scripts/find-python)" -c 'import os, pathlib, runpy; \
		find = runpy.run_path("orchestrator/envfile.py")["find_var_dir"]; \
		print(find(os.environ, pathlib.Path.cwd()))') \
	&& rm -rf "$$(readlink -f .venv || echo .venv)" .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache "$$var/bootstrap" "$$var/cache"
	@find . -name __pycache__ -type d -not -path './var/*' -prune -exec rm -rf {} +
