# A newcomer needs Python 3.11 or newer, and make:   make demo   make test
# With a C compiler the compiled part is built too, and everything is many times faster.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
SOURCES := pyproject.toml setup.py $(wildcard src/bgpipe/accel/*.px?)
MUTANTS ?= 100000
FUZZ ?= 1800
SOAK ?= 1200
# Without the compiled part there are no blocks, and the codec in Python reads, filters and writes every message. `make check`
# runs the tests of messages again that way, not those of what knows no message (files, connections, tasks, the run loop), nor
# those that wait for timers, programs and strangers. What passes between two peers stays in: octets, vectors, mutants, limits.
ABOVE_ACCEL := $(addprefix tests/live/test_live_, collisions.py damping.py endings.py events.py far.py floods.py http.py lifecycle.py \
	notifications.py partners.py stalls.py) $(addprefix tests/stages/test_stages_, deaths.py outputs.py tunnel.py \
	websocket.py websocket_access.py) $(addprefix tests/, net runtime test_docs.py test_house.py test_sample.py test_tasks.py)

# Tests start many interpreters: each would compile all modules anew where bytecode is not kept. Half of the workers wait
# for timers and peers.
export PYTHONDONTWRITEBYTECODE :=
PYTEST := $(BIN)/python -m pytest -n 4 --dist worksteal

.PHONY: help install demo demo-routeserver test test-slow test-all check fuzz fuzz-guided bench bench-live bench-bmp bench-routes bench-routeserver interop soak kills docs api wheel clean

help:
	@echo "make demo     install, make a sample archive, turn it into JSON, filter it"
	@echo "make demo-routeserver  a route server of prefix lists, with BIRD as its client where apt has it"
	@echo "make test     install, run the tests that take no long time (two to three minutes on two cores)"
	@echo "make test-all make test, then the slow tests: those that wait for timers, flood sessions and run every page"
	@echo "make check    style, types, import ladder, tests without the compiled part, a short fuzz"
	@echo "make bench    the speed table, beside the other tools found on this machine"
	@echo "make bench-live  the same for live sessions, between two peers on loopback"
	@echo "make bench-bmp  a BMP station with 50 and with 1,000 routers: speed, memory, delays"
	@echo "make bench-routes  tables of prefixes of a route server: CPU time and memory"
	@echo "make bench-routeserver  a route server with many clients, beside BIRD, GoBGP and ExaBGP"
	@echo "make fuzz     $(MUTANTS) mutants against a compiled part built with sanitizers"
	@echo "make fuzz-guided  $(FUZZ) seconds of octets that coverage chooses (atheris, which pip fetches) through every codec"
	@echo "make interop  beside real routers (BIRD, FRR, GoBGP, OpenBGPD, ExaBGP, StayRTR: fetched, not installed) and bgpdump"
	@echo "make soak     bgplite for $(SOAK) seconds while peers come and go and lists change: nothing may grow (SOAK=28800: 8 hours)"
	@echo "make kills    bgplite killed 200 times while four write to its API: nothing acknowledged may be lost"
	@echo "make api      write docs/api.md from the docstrings, docs/routeserver-api.md from the operations"
	@echo "make docs     run every example in README.md and docs/, build the site if zensical is there"
	@echo "make wheel    build a wheel, install it into an empty environment, try it there"
	@echo "make install  .venv with the bgpipe command       make clean  remove what make made"

install: $(VENV)/.installed

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) -V). Try: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "This Python has no venv module (on Debian: apt install python3-venv)"; exit 1; }

# The extras for speed have wheels for the usual machines only: without them it works as well.
$(VENV)/.installed: $(SOURCES) | $(VENV)/bin/python
	@$(BIN)/python .ci/install.py '.[speed]' .
	@touch $@

$(VENV)/.installed-server: $(VENV)/.installed
	@$(BIN)/python .ci/install.py --extra server
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@$(BIN)/python .ci/install.py --extra dev
	@touch $@

demo: $(VENV)/.installed
	@BIN=$(BIN) sh examples/demo.sh

demo-routeserver: $(VENV)/.installed-server
	@BIN=$(BIN) sh examples/demo-routeserver.sh

test: $(VENV)/.installed-dev
	$(PYTEST)

test-slow: $(VENV)/.installed-dev
	$(PYTEST) -m 'slow and not interop'

test-all:
	@HYPOTHESIS_PROFILE=all $(MAKE) --no-print-directory test
	@HYPOTHESIS_PROFILE=all $(MAKE) --no-print-directory test-slow

check: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python .ci/api.py --check
	BGPIPE_ACCEL=0 $(PYTEST) $(addprefix --ignore=, $(ABOVE_ACCEL))
	$(BIN)/python tests/accel/differential.py --mutants 200

fuzz: $(VENV)/.installed-dev
	$(BIN)/python tests/accel/differential.py --sanitize --mutants $(MUTANTS)

fuzz-guided: $(VENV)/.installed-dev
	@$(BIN)/python -c 'import atheris' 2>/dev/null || $(PIP) install atheris
	@mkdir -p build/fuzz
	cd build/fuzz && $(abspath $(BIN))/python ../../tests/guided_fuzz.py corpus -max_total_time=$(FUZZ)

bench: $(VENV)/.installed-dev
	@$(BIN)/python bench/bench.py

bench-live: $(VENV)/.installed
	@$(BIN)/python bench/bench_live.py

bench-bmp: $(VENV)/.installed
	@$(BIN)/python bench/bench_bmp.py

bench-routes: $(VENV)/.installed
	@$(BIN)/python bench/bench_routes.py

bench-routeserver: $(VENV)/.installed
	@$(BIN)/python bench/bench_routeserver.py

interop: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m interop tests/interop -rs

soak: $(VENV)/.installed-dev
	BGPLITE_SOAK=$(SOAK) $(BIN)/python -m pytest -n 0 -m slow -k nothing_grows tests/routeserver/test_routeserver_trust.py

kills: $(VENV)/.installed-dev
	BGPLITE_KILLS=200 $(BIN)/python -m pytest -n 0 -m slow -k after_a_kill tests/routeserver/test_routeserver_store.py

api: $(VENV)/.installed
	$(BIN)/python .ci/api.py

docs: $(VENV)/.installed-dev
	$(PYTEST) -m 'not interop' tests/test_docs.py
	@if [ -x $(BIN)/zensical ]; then $(BIN)/zensical build && echo "The site is in build/site"; \
	else echo "The examples ran. For the site as HTML: $(BIN)/pip install -e '.[docs]', and make docs again"; fi

# A wheel for this machine. Those of a release, for manylinux, musllinux and macOS, are built by cibuildwheel, whose
# recipe is in pyproject.toml:   pipx run cibuildwheel
wheel: $(VENV)/bin/python
	@rm -rf build/wheel
	@$(BIN)/python -m venv build/wheel/empty
	@$(BIN)/python .ci/install.py --wheel build/wheel .
	build/wheel/empty/bin/python -m pip --quiet --disable-pip-version-check install build/wheel/*.whl
	cd build/wheel && empty/bin/bgpipe -v && empty/bin/python -m bgpipe.sample sample
	cd build/wheel && empty/bin/bgpipe sample/updates.mrt.gz -- grep ipv6 -- write ipv6.json.gz
	cd build/wheel && empty/bin/python -c 'import bgpipe; print(len(list(bgpipe.read("ipv6.json.gz"))), "messages")'
	@ls build/wheel/*.whl

clean:
	rm -rf $(VENV) build sample .cache src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src -name '*.so' -delete -o -name '*.c' -path '*/accel/*' -delete
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
