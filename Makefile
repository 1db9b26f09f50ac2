# Everything runs in .venv, which these rules make themselves: python3 (3.11 or newer) is enough.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test lint bench bench-check bench-pool bench-recording bench-slow bench-clients bench-replay \
	fuzz chaos recording-campaign import-all determinism test-clients docs clean
.DELETE_ON_ERROR:

demo: $(READY)  ## Show the whole job in half a minute, without a network
	$(BIN)/wsproxy demo

test: lint  ## Linters, types, import rules, and every test
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/flake8 wsproxy tests
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)  ## Throughput and delay beside other relays; prints the tables of docs/performance.md
	$(BIN)/python -m tests.bench.fanout

bench-check: $(READY)  ## A short round of it; fails where a ratio falls below its floor
	$(BIN)/python -m tests.bench.fanout --check

bench-pool: $(READY)  ## What the upstream pool costs: subscribing, rotating, redundancy, planning
	$(BIN)/python -m tests.bench.pool

bench-recording: $(READY)  ## Recordings beside MCAP, gzip and JSON lines; seeking in 10 GB; importing
	$(BIN)/python -m tests.bench.recording

bench-slow: $(READY)  ## What clients that do not read, or leave rudely, cost the others
	$(BIN)/python -m tests.bench.slow

bench-clients: $(READY)  ## Two thousand clients: memory, letting them in, answers during a burst
	$(BIN)/python -m tests.bench.clients

bench-replay: $(READY)  ## Replays beside a plain server: throughput, first message, seeks, punctuality
	$(BIN)/python -m tests.bench.replay

fuzz: $(READY)  ## Random frames, read as wsproto reads them; FUZZ_SECONDS=60, FUZZ_SEED, FUZZ_CASES
	$(BIN)/python -m tests.wire.fuzz

chaos: $(READY)  ## Ten minutes of faults, a hundred rotations, a hundred lost lines
	CHAOS_SECONDS=600 CHAOS_EVERY_MS=1500 ROTATIONS=100 KILLS=100 $(BIN)/python -m pytest \
		tests/e2e/test_chaos.py tests/e2e/test_rotation.py tests/e2e/test_redundancy.py

recording-campaign: $(READY)  ## Two hundred kills under load, 5 GB in 200 MB of memory, a disk that hangs
	CRASHES=200 BIG_MB=5000 STALL_SECONDS=5 $(BIN)/python -m pytest \
		tests/e2e/test_kills.py tests/recording/test_memory.py tests/e2e/test_stalled_disk.py

import-all: $(READY)  ## Import, export and import again all of ../shared/traffic; say how fast
	$(BIN)/python -m tests.bench.imports

determinism: $(READY)  ## A replay gives the same bytes: ten runs at each speed, on twenty seconds
	DETERMINISM_RUNS=10 DETERMINISM_CUT=+20s $(BIN)/python -m pytest tests/e2e/test_determinism.py

test-clients: $(READY)  ## ccxt, python-binance and cryptofeed against a replay; installs them in .venv-clients
	$(BIN)/python -m pytest tests/clients -m clients

docs: $(READY)  ## Write the parts of docs/ that come from the code
	$(BIN)/python -m tests.kit.write_docs

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable . --group dev
	touch $@

clean:
	rm -rf .venv .venv-clients .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
