# The one entry point. PG_CONFIG names the server to build for and test on; it must be PostgreSQL 15 to 18.
#   make test PG_CONFIG=/usr/lib/postgresql/16/bin/pg_config

PG_CONFIG ?= /usr/lib/postgresql/15/bin/pg_config
export PG_CONFIG
# where pgrx finds its configuration file, apart from any other project's
export PGRX_HOME := $(CURDIR)/target/pgrx
# a backtrace would end up in the DETAIL of every error
unexport RUST_BACKTRACE

CARGO := cargo
PG_FEATURE = pg$(shell $(PG_CONFIG) --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/')
# The demo and every test build this one selection: with another one, cargo would build dependencies a second time.
SELECTION = --workspace --no-default-features --features $(PG_FEATURE)
# For test-sql, test-rust and accept: which tests, and more arguments for cargo test.
TEST :=
ARGS :=
# What make test-all runs beside make test.
LONG_TESTS := test-clients
# OpenAI's package for Python, a client that the service is tested with
OPENAI := 3.57.0

.DEFAULT_GOAL := help
.PHONY: help setup build demo demo-stop test test-all long-tests test-sql test-rust accept $(LONG_TESTS) bench lint reference install install-dev package sql clean

help: ## Show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what is missing: Debian packages
	@scripts/setup

build: setup # what the demo and the tests run
	$(CARGO) build --quiet $(SELECTION)

demo: ## Build, sync a catalogue into a throw-away PostgreSQL, show it, leave it running
	@scripts/demo start

demo-stop: ## End the demo's servers
	@scripts/demo stop

test: test-sql test-rust ## Run every test that a change can break, on one PostgreSQL

test-all: test $(LONG_TESTS) ## Run every test: those that take longer too

long-tests: # the parts of test-all beside test, for .ci/run
	@echo $(LONG_TESTS)

test-sql: install-dev ## Run the SQL tests on both installs, or those that TEST names: tests/pg_regress
	scripts/regress $(TEST)
	scripts/regress --without-library $(TEST)

accept: install-dev ## Make what a test of tests/pg_regress prints the expected output: TEST=name
	scripts/regress --accept $(or $(TEST),$(error Name the test: make accept TEST=name))

test-rust: install-dev ## Run the Rust tests, or the files of tests/ that TEST names, with ARGS for cargo test
	$(CARGO) test $(SELECTION) $(addprefix --test ,$(TEST)) $(ARGS)

test-clients: install-dev target/python/openai-$(OPENAI) # clients from npm and PyPI: examples/, OpenAI's package
	@scripts/setup clients
	@scripts/examples
	$(CARGO) test $(SELECTION) --test api --test examples -- --ignored

target/python/openai-$(OPENAI):
	@scripts/setup clients
	python3 -m venv target/python
	target/python/bin/pip install --quiet --disable-pip-version-check openai==$(OPENAI)
	touch $@

bench: install ## Measure the service and the database beside what they could be at best: target/bench.md
	@scripts/setup bench
	@scripts/bench-service
	@echo
	@scripts/bench-database
	@echo
	@scripts/bench-retire
	@{ cat target/bench-service.md; echo; cat target/bench-database.md; echo; cat target/bench-retire.md; } > target/bench.md

lint: setup ## Check format, lints and the SQL
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(SELECTION) --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc $(SELECTION) --no-deps --document-private-items --quiet
	@scripts/sql-shape
	@scripts/setup lint
	@scripts/pgspot

reference: install-dev ## Write docs/reference.md from the COMMENTs
	@scripts/reference

install: setup ## Build the extension for use and install it into the server of PG_CONFIG
	$(CARGO) build --quiet --release --package model_access --no-default-features --features $(PG_FEATURE)
	@scripts/install target/release

install-dev: build
	@scripts/install target/debug

package: setup ## Build the extension into target/package, laid out as it installs
	$(CARGO) build --quiet --release --package model_access --no-default-features --features $(PG_FEATURE)
	@scripts/install target/release target/package

sql: ## Write target/sql/model_access.sql, for a server without the library (SCHEMA=public)
	@mkdir -p target/sql && scripts/sql script "$(or $(SCHEMA),public)" > target/sql/model_access.sql && echo target/sql/model_access.sql

clean: demo-stop ## Remove what was built
	$(CARGO) clean
