# Two commands do all set-up: `make demo` and `make test`. Everything is put into .venv, nothing outside this folder.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
# Modules are compiled once, not again in each of the many processes that a test starts.
export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := all
.PHONY: all help demo test faults test-long test-browser check audit fuzz lint format words bench lock clean

all: $(READY) ## put everything into .venv

help: ## say what each target does
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 20

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("wuxing needs Python 3.11 or newer; say make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv (once) ..." >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m services.snapshot.held
	@touch $@

demo: $(READY) ## run a whole synthetic year through a real broker and the services
	@$(BIN)/wuxing demo

test: check ## check, and run all tests on a real nats-server
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

faults: $(READY) ## kill, stop, cut off and damage everything by the hundred, seeded; hours. SEED=1 ROUNDS=840
	$(BIN)/python -m tests.faults --seed $(or $(SEED),1) --rounds $(or $(ROUNDS),840)

fuzz: .venv/ready-long ## let made-up bytes loose on intake and all that shows what it takes, seeded. SECONDS=600 SEED=1
	$(BIN)/python -m tests.fuzz_intake --seconds $(or $(SECONDS),600) --seed $(or $(SEED),1)

.venv/ready-long: $(READY) requirements-long.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-long.lock
	@touch $@

test-long: .venv/ready-long ## run the laws on many more random years, and fuzz the gateway; a quarter of an hour and more
	WUXING_TEST=long $(BIN)/python -m pytest

test-browser: .venv/ready-long ## try the pages in headless Chromium; says how to get it when it is not there
	$(BIN)/python -m tests.browser.drive

check: $(READY) ## ask for the format, the linter's rules, strict types and known weaknesses, without tests
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	@$(BIN)/python -m tests.audit

audit: $(READY) ## ask whether a locked dependency has a known weakness, where the service of advisories is reached
	@$(BIN)/python -m tests.audit

lint: check ## the same by its old name

format: $(READY) ## put the tree into its format, and mend what the linter can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

words: $(READY) ## put what the code says into the catalogue of words, and make of it what the programs read
	$(BIN)/python -m tests.words

bench: $(READY) ## measure what the README quotes
	$(BIN)/python -m bench

lock: ## pin all dependencies with their hashes anew; needs uv
	uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --group dev pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --group dev --group long pyproject.toml \
		-o requirements-long.lock
	uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --extra otel -c requirements.lock pyproject.toml \
		-o requirements-image.lock
	uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --group audit -c requirements-long.lock \
		-o requirements-audit.lock

clean: ## delete .venv and all caches
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
