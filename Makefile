# Every task starts here. PG_CONFIG names the server to build for and to test on; it must be PostgreSQL 15 to 18.
#   make test PG_CONFIG=/usr/lib/postgresql/16/bin/pg_config

PG_CONFIG ?= /usr/lib/postgresql/15/bin/pg_config
export PG_CONFIG
# Where pgrx finds its configuration file; other projects have their own. Each major has one, because cargo generates the
# bindings again when the file changes.
export PGRX_HOME = $(CURDIR)/target/pgrx/$(PG_FEATURE)
# otherwise the DETAIL of every error has a backtrace
unexport RUST_BACKTRACE

CARGO := cargo
PG_FEATURE = pg$(shell $(PG_CONFIG) --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/')
# The demo and every test build the same selection. With another one, cargo would build the dependencies again.
SELECTION = --workspace --no-default-features --features $(PG_FEATURE)
# the tests that talk to a server
SERVER_TESTS = $(shell sed -n '/^\[\[test\]\]/{n;s/^name = "\(.*\)"/\1/p}' tests/Cargo.toml)
# For test-sql, test-rust and accept: which tests, and more arguments for cargo test.
TEST :=
ARGS :=
# What make test-all runs in addition to make test. The majors are tested on servers of target/postgres.
MAJOR_TESTS := test-18 test-17 test-16
# .ci/run runs those of CI_TESTS, for an hour.
CI_TESTS := test-18 test-upgrade test-clients test-dumps test-releases test-torture
LONG_TESTS := $(CI_TESTS) test-fuzz test-packages test-17 test-16
# How long the torture takes, and each fuzz target.
MINUTES := 60
FUZZ_SECONDS := 600
# the packages of PyPI for the tests of the service: the client of OpenAI, and what tries all that openapi.json describes
OPENAI := 3.57.0
SCHEMATHESIS := 4.32.5
PYTHON_CLIENTS := target/python/openai-$(OPENAI)-schemathesis-$(SCHEMATHESIS)

.DEFAULT_GOAL := help
.PHONY: help setup build demo demo-stop test test-all ci-tests test-sql test-rust test-major lacks accept screenshots $(LONG_TESTS) torture fuzz bench bench-database bench-service lint reference man all install install-dev package release sql freeze clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install the Debian packages that are missing
	@scripts/setup

build: setup # the programs and the library of the demo and the tests
	$(CARGO) build --quiet $(SELECTION)

demo: ## Build, start a throw-away PostgreSQL, sync a catalogue and show it; the server stays up
	@scripts/demo start

demo-stop: ## Stop the servers of the demo
	@scripts/demo stop

test: test-sql test-rust lacks ## Run the tests on one PostgreSQL

test-all: test $(LONG_TESTS) ## Run the tests on four majors and with other clients, the long tests, some torture and fuzzing
	@scripts/lacks
	@for major in $(MAJOR_TESTS:test-%=%); do PG_CONFIG=$$(scripts/postgres $$major) scripts/lacks; done

$(MAJOR_TESTS): test-%: # the tests on another major, without those that need no server
	@scripts/setup majors
	@server=$$(scripts/postgres $*) && $(MAKE) --no-print-directory test-major test-dumps lacks PG_CONFIG=$$server

test-major: test-sql
	$(CARGO) test $(SELECTION) $(addprefix --test ,$(SERVER_TESTS))

lacks: # prints what the server of PG_CONFIG lacks, and so is not tested on it
	@scripts/lacks

test-upgrade: # pg_upgrade of both installs from 15, 16 and 17 to 18
	@scripts/setup majors
	@scripts/test-upgrade

ci-tests: # prints the parts of test-all that .ci/run runs after test
	@echo $(CI_TESTS)

test-sql: install-dev ## Run the SQL tests on both installs, or those that TEST names: tests/pg_regress
	scripts/regress $(TEST)
	scripts/regress --without-library $(TEST)

accept: install-dev ## Make what a test of tests/pg_regress prints the expected output: TEST=name
	scripts/regress --accept $(or $(TEST),$(error Name the test: make accept TEST=name))

test-rust: install-dev ## Run the Rust tests, or the files of tests/ that TEST names, with ARGS for cargo test
	$(CARGO) test $(SELECTION) $(addprefix --test ,$(TEST)) $(ARGS)

test-clients: install-dev $(PYTHON_CLIENTS) target/clients/node_modules # clients from npm and PyPI, Chromium, PgBouncer
	@scripts/setup clients
	@scripts/examples
	@cp tests/clients/*.js target/clients/
	$(CARGO) test $(SELECTION) --test api --test examples --test pooler -- --ignored

screenshots: install-dev target/clients/node_modules ## Make the pictures of docs/admin.md again
	@scripts/setup clients
	@cp tests/clients/*.js target/clients/
	$(CARGO) test $(SELECTION) --test api the_days_of_an_admin -- --ignored
	cp target/screenshots/*.png docs/images/

test-dumps: install-dev # dumps of 20,000 users, restored with two to eight jobs
	$(CARGO) test $(SELECTION) --test travel -- --ignored

test-releases: install-dev # a thousand days upgraded from each release, and the SQL tests on what was upgraded
	$(CARGO) test $(SELECTION) --test upgrade -- --ignored
	set -e; for release in $$(scripts/sql steps | cut -d' ' -f1); do \
		scripts/regress --from $$release; scripts/regress --from $$release --without-library; done

test-packages: package # the packages, in a Debian that has no compiler: scripts/test-packages
	@scripts/setup test-packages
	@scripts/test-packages

torture: install-dev ## Kill, stall and crowd servers for an hour, or MINUTES=n; TEST=scene: tests/torture
	TORTURE_MINUTES=$(MINUTES) $(CARGO) test $(SELECTION) --test torture -- --ignored --nocapture --test-threads 1 $(TEST)

test-torture: # a minute of it, and what its scenes need at least
	@$(MAKE) --no-print-directory torture MINUTES=1

fuzz: setup ## Fuzz what reads bytes from outside, each target for FUZZ_SECONDS=n; TEST=target: fuzz/
	@scripts/setup lint
	@scripts/fuzz $(FUZZ_SECONDS) $(TEST)

test-fuzz: # ten seconds of it
	@$(MAKE) --no-print-directory fuzz FUZZ_SECONDS=10

$(PYTHON_CLIENTS):
	@scripts/setup clients
	python3 -m venv target/python
	target/python/bin/pip install --quiet --disable-pip-version-check openai==$(OPENAI) schemathesis==$(SCHEMATHESIS)
	touch $@

target/clients/node_modules: tests/clients/package.json tests/clients/package-lock.json tests/clients/.npmrc
	@scripts/setup clients
	@mkdir -p target/clients && cp $^ target/clients/
	cd target/clients && npm ci --loglevel=error --no-audit --no-fund
	touch $@

bench: bench-database bench-service ## Measure the extension beside plain SQL, and the service beside nginx: target/bench.md
	@cat target/bench/database.md target/bench/service.md > target/bench.md

bench-database: install ## The part of make bench inside the database: target/bench/database.md
	bench/database.py

bench-service: install ## The part of make bench that measures the service: target/bench/service.md
	@scripts/setup bench
	bench/service.py

lint: setup ## Check the format, run the linters, check the SQL and the dependencies
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(CARGO) clippy $(SELECTION) --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc $(SELECTION) --no-deps --document-private-items --quiet
	@scripts/sql-shape
	@scripts/sql verify
	@scripts/setup lint
	@scripts/pgspot
	@scripts/deny

reference: install-dev ## Write docs/reference.md from the COMMENTs
	@scripts/reference

man: build ## Write the manual pages of the programs to target/man
	@mkdir -p target/man && target/debug/model-access man target/man && target/debug/model-access-api man target/man && ls target/man/*

all: setup # pgxn install runs it before make install
	$(CARGO) build --quiet --release --package model_access --no-default-features --features $(PG_FEATURE)

install: all ## Build the extension for use, and install it into the server of PG_CONFIG
	@scripts/install target/release

install-dev: build
	@scripts/install target/debug

package: setup ## Make Debian packages for the major version of PG_CONFIG, and the programs: target/package
	@scripts/setup packages
	@scripts/package deb

release: ## Make what a release of VERSION publishes: target/release-VERSION
	@scripts/release "$(or $(VERSION),$(error Name the version: make release VERSION=1.2.3))"

sql: ## Write target/sql/model_access.sql for a server without the library (SCHEMA=public)
	@mkdir -p target/sql && scripts/sql script "$(or $(SCHEMA),public)" > target/sql/model_access.sql && echo target/sql/model_access.sql

freeze: ## Store today's SQL as a release in sql/frozen: VERSION=0.2.0
	@scripts/sql freeze $(or $(VERSION),$(error Name the version: make freeze VERSION=0.2.0))

clean: demo-stop ## Remove everything that was built
	$(CARGO) clean
