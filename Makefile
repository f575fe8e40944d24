# Two commands for a new user: `make run` and `make test`. Everything they need is made by them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := .stamps
CORE := src/siov/_core.abi3.so
FUZZ_SECONDS ?= 600

RUST := $(shell find crates -name '*.rs' -o -name Cargo.toml) Cargo.toml Cargo.lock
SPEC := $(shell find src/siov/spec -name '*.py') tools/gen_spec.py

.PHONY: help run test test-long fuzz check format rust-test spec docs bench vm clean
help: ## what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

run: build ## the main job: build a server from the built-in scenario and show it
	@$(BIN)/siov run

# Guests have all processors; other tests are given out by file, to as many workers as there are processors.
# An emulated guest of several processors may fall silent, also one without a device of ours, about once in a
# hundred boots: what failed is tried once more, and both runs tell what they found.
test: check rust-test vm ## all tests, guests included
	$(BIN)/pytest -m 'not long and not guest' -n auto --maxprocesses 4 --dist loadfile
	$(BIN)/pytest -m 'guest and not long' || $(BIN)/pytest -m 'guest and not long' --lf --lfnf=none

test-long: build vm ## the tests that take minutes
	$(BIN)/pytest -m long

fuzz: build ## the fuzz targets, 10 minutes each (needs a nightly toolchain and cargo-fuzz)
	@for target in $(notdir $(basename $(filter-out %/input.rs,$(wildcard fuzz/fuzz_targets/*.rs)))); do \
		cargo +nightly fuzz run -O $$target -- -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1; done
	$(BIN)/pip install --quiet --group fuzz
	@for target in $(notdir $(basename $(filter-out %/fuzz_input.py,$(wildcard fuzz/python/*.py)))); do \
		corpus=fuzz/corpus/$$target; artifacts=fuzz/artifacts/$$target; mkdir -p $$artifacts; \
		[ -d $$corpus ] || $(BIN)/python fuzz/python/$$target.py --record $$corpus; \
		$(BIN)/python fuzz/python/$$target.py $$corpus -artifact_prefix=$$artifacts/ -max_len=16384 \
			-max_total_time=$(FUZZ_SECONDS) -print_final_stats=1; done

rust-test: $(STAMPS)/prerequisites ## the tests of the Rust side
	cargo test --workspace --quiet

check: build ## formatting, lints, types, generated code, no test
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/python tools/gen_spec.py --check
	cargo fmt --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings

format: build ## bring all sources into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	cargo fmt

spec: $(STAMPS)/venv ## write crates/spec out of src/siov/spec
	$(BIN)/python tools/gen_spec.py

bench: build ## measure, and print medians as JSON
	$(BIN)/siov bench endpoint --json

vm: build ## the guest rig: QEMU, kernel and initramfs, in the user's cache folder
	@if command -v apt-get >/dev/null; then $(BIN)/siov vm fetch; \
	elif [ "$${CI:-}" = true ]; then echo "the guest rig needs apt-get, and CI must have it" >&2; exit 1; \
	else echo "no apt-get: the guest tests will be skipped"; fi

docs: $(STAMPS)/docs ## the documentation as a site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean: ## forget everything that was built here
	rm -rf $(VENV) $(STAMPS) target site $(CORE)

.PHONY: build
build: $(STAMPS)/core

# What must be there before; said in one sentence when it is not.
$(STAMPS)/prerequisites:
	@missing() { echo "siov needs $$1 to build: please install it and run make again" >&2; exit 1; }; \
	command -v $(PYTHON) >/dev/null || missing "python3 (3.11 or newer)"; \
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || missing "python3 in version 3.11 or newer"; \
	$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || missing "Python's venv module (Debian: python3-venv)"; \
	rust=$$(cargo --version 2>/dev/null | sed -E 's/^cargo 1\.([0-9]+).*/\1/' || true); \
	[ "$${rust:-0}" -ge 88 ] || missing "a Rust toolchain with cargo, 1.88 or newer"; \
	command -v cc >/dev/null || missing "a C linker (Debian: gcc)"
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/venv: pyproject.toml | $(STAMPS)/prerequisites
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --group dev 'maturin>=1.9,<2'
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/docs: pyproject.toml $(STAMPS)/core
	$(BIN)/pip install --quiet --group docs
	@touch $@

$(STAMPS)/core: $(STAMPS)/venv $(RUST) $(SPEC)
	PIP_QUIET=1 $(BIN)/maturin develop --release --quiet
	@touch $@
