# Everything runs in .venv, which the first target builds from the pinned versions in deploy/requirements/dev.txt.
# Use another Python with: make PYTHON=python3.13 …

PYTHON ?= python3
V := .venv/bin
REQUIREMENTS := deploy/requirements
#: Suites that need servers.
SERVED := tests/integration tests/faults
#: For compat: Debian's suite that RabbitMQ comes from, and what stands in for Redis.
SUITE := trixie
CACHE := valkey

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
.PHONY: help demo test faults compat mutants check bench documents lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: .venv/.built ## See it work: a private RabbitMQ and Redis, the sandbox, a worker, some messages
	@$(V)/python -m deploy.local run -- $(V)/sms-worker demo

check: .venv/.built ## Format, lint, types, import contracts, unit and property tests (no servers needed)
	@$(V)/ruff format --check .
	@$(V)/ruff check .
	@$(V)/mypy
	@$(V)/lint-imports
	@$(V)/pytest --doctest-modules worker/core tests/unit tests/property

test: check ## All of check, then the tests against a real RabbitMQ and Redis (installed when they are missing)
	@$(V)/python -m deploy.local install
	@$(V)/pytest $(SERVED)

faults: .venv/.built ## The fault tests at full size: a thousand worker kills, 50 broker kills, 100 Redis kills …
	@$(V)/python -m deploy.local install
	@SMS_FAULTS=full $(V)/pytest tests/faults

compat: .venv/.built ## The tests that need servers, against those of a newer Debian, with CACHE=valkey or redis
	@$(V)/python -m deploy.local newer --suite $(SUITE) --cache $(CACHE) -- $(V)/pytest $(SERVED)

mutants: .venv/.built ## Change worker/core in a thousand small ways: do the tests notice? (make mutants MODULES="limits/brake plan" SAMPLE=50)
	@$(V)/python -m tests.mutants $(MODULES) $(if $(SAMPLE),--sample $(SAMPLE))

bench: .venv/.built ## Measure throughput on this machine
	@$(V)/python -m deploy.local run -- $(V)/python -m tests.bench

documents: .venv/.built ## Renew what README.md and deploy/*.md have from the code, and the contract in config/
	@$(V)/python -m deploy.documents
	@$(V)/sms-worker config contract --output config

lock: ## Renew the pinned versions in deploy/requirements (needs uv)
	@command -v uv >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv/" >&2; exit 1; }
	uv pip compile pyproject.toml $(LOCK) --output-file $(REQUIREMENTS)/runtime.txt
	uv pip compile pyproject.toml --group dev $(LOCK) --output-file $(REQUIREMENTS)/dev.txt
# One file for every platform and Python that we support, with the hash of each archive and no address of a registry.
lock: LOCK := --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header

clean: ## Remove caches, and what servers of runs that were cut short left behind; .venv stays
	@$(PYTHON) -m deploy.local clean
	rm -rf .newer dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find worker tests deploy -name __pycache__ -type d -exec rm -rf {} +

.venv/.built: pyproject.toml $(REQUIREMENTS)/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
		echo "sms-worker needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is not one: make PYTHON=python3.13 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(V)/pip install --quiet --disable-pip-version-check --require-hashes --requirement $(REQUIREMENTS)/dev.txt
	$(V)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
