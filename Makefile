# The one entry point. PG_CONFIG names the server to build for and test on; it must be PostgreSQL 15 to 18.
#   make test PG_CONFIG=/usr/lib/postgresql/16/bin/pg_config

PG_CONFIG ?= /usr/lib/postgresql/15/bin/pg_config
export PG_CONFIG
# pgrx keeps what it knows of servers here, apart from any other project's
export PGRX_HOME := $(CURDIR)/target/pgrx
# a backtrace would end up in the DETAIL of every error
unexport RUST_BACKTRACE

CARGO := cargo
PG_FEATURE = pg$(shell $(PG_CONFIG) --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/')
PGRX = $(CARGO) pgrx
# OpenAI's package for Python, a client that the service is tested with
OPENAI := 3.57.0

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-stop test test-crates test-sql test-sessions push api examples bench lint install package sql clean

help: ## Show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what is missing: Debian packages, cargo-pgrx
	@scripts/setup

demo: ## Build, sync a catalogue into a throw-away PostgreSQL, show it, leave it running
	@scripts/demo start

demo-stop: ## End the demo's servers
	@scripts/demo stop

test: setup test-crates install test-sql test-sessions ## Run every test

test-crates: # crates without PostgreSQL
	$(CARGO) test --quiet -p api -p catalog -p upstream --features catalog/http

test-sql: push # SQL behaviour, as a DBA reads it: tests/pg_regress, with and without the library
	scripts/regress
	scripts/regress --without-library

test-sessions: push api examples # second sessions, signals, crashes, bad upstreams, recorded days: tests/*.rs
	$(CARGO) test -p tests

push: # the program model-access
	$(CARGO) build --quiet -p catalog --features push --bin model-access

api: target/python/openai-$(OPENAI) # the program model-access-api, and a client of it that people use
	$(CARGO) build --quiet -p api --bin model-access-api

target/python/openai-$(OPENAI):
	python3 -m venv target/python
	target/python/bin/pip install --quiet --disable-pip-version-check openai==$(OPENAI)
	touch $@

examples: # a copy of examples/ that can run
	@scripts/setup examples
	@scripts/examples

bench: install ## Measure the service beside nginx and beside the bare statement: target/bench.md
	@scripts/setup bench
	@scripts/bench

lint: setup ## Check format and lints
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --no-default-features --features $(PG_FEATURE),catalog/push -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --workspace --no-deps --document-private-items --no-default-features --features $(PG_FEATURE) --quiet

install: setup ## Build the extension and install it into the server of PG_CONFIG
	@scripts/install $(PG_FEATURE)

package: setup ## Build the extension into a folder under target/, laid out as it installs
	$(PGRX) package --pg-config $(PG_CONFIG) --no-default-features --features $(PG_FEATURE)

sql: ## Write target/sql/model_access.sql, for a server without the library (SCHEMA=public)
	@mkdir -p target/sql && scripts/sql "$(or $(SCHEMA),public)" > target/sql/model_access.sql && echo target/sql/model_access.sql

clean: demo-stop ## Remove what was built
	$(CARGO) clean
