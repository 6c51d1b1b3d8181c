# Two commands do all set-up: `make demo` and `make test`. Everything is put into .venv, nothing outside this folder.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: all demo test test-long test-browser lint bench lock clean

all: $(READY)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("wuxing needs Python 3.11 or newer; say make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv (once) ..." >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# The main job: a whole synthetic year through a real broker and the services.
demo: $(READY)
	@$(BIN)/wuxing demo

test: $(READY) lint
	$(BIN)/python -m pytest -n auto --dist loadfile

.venv/ready-long: $(READY) requirements-long.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-long.lock
	@touch $@

# The laws on many more random years, and the gateway's fuzzing; a quarter of an hour and more.
test-long: .venv/ready-long
	WUXING_TEST=long $(BIN)/python -m pytest

# The pages in headless Chromium; says how to get it when it is not there.
test-browser: .venv/ready-long
	$(BIN)/python -m tests.browser.drive

lint: $(READY)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python -m bench

# Pin all dependencies with their hashes anew; needs uv.
lock:
	uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --group dev pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --group dev --group long pyproject.toml \
		-o requirements-long.lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
