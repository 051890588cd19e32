# Everyframe. `make` without a target lists the targets.
#
# Settings, from the environment or the command line:
#   EVERYFRAME_CACHE  downloads, tools, models and build outputs, shared between clones (default ~/.cache/everyframe)
#   CARGO_TARGET_DIR  build outputs (default: target in the cache)
#   EVERYFRAME_MAVEN  address of a mirror of Maven Central (default: that of ~/.m2/settings.xml, else Maven Central)
#   DEMO_SECONDS=N    how long the demo lasts; FOREVER=1: until Ctrl-C
#   KAFKA_DATA=DIR    data of the cluster of `make kafka` (default: kafka-data in the cache); KAFKA_PORT=N: its first port
#   ROUNDS=N          rounds of the benchmark (default 3)
#   MINUTES=N         how long `make soak` or `make fuzz` lasts (default 30, 60)
#   PROVIDER=NAME     execution provider of the tests: cpu, openvino or openvino-bf16 (default: the fastest on this machine)
#   TARGET=NAME       the only target of `make fuzz`: a file of fuzz/targets

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
MAKEFLAGS += --no-print-directory

export EVERYFRAME_CACHE := $(abspath $(or $(EVERYFRAME_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/everyframe))
export CARGO_TARGET_DIR ?= $(EVERYFRAME_CACHE)/target
# The components that the demo and the tests load. Those built by cargo component are in a folder beside it.
export EVERYFRAME_PLUGINS ?= $(CARGO_TARGET_DIR)/components/wasip2

export EVERYFRAME_TEST_PROVIDER := $(PROVIDER)

components := $(CARGO_TARGET_DIR)/components
# One build folder for all workspaces of rules in Rust. They have the same dependencies in the same versions, and the same profile:
# cargo compiles these once.
rules_target := $(CARGO_TARGET_DIR)/rules
# The build folder of rules in Python and JavaScript.
guests := $(CARGO_TARGET_DIR)/guests
# The tools of the set-up come first: cargo component, and a Python with confluent-kafka.
export PATH := $(EVERYFRAME_CACHE)/tools/bin:$(EVERYFRAME_CACHE)/python/bin:$(PATH)
rules := matching_policy unknown_person alerting
other_workspaces := tests/fixtures/hostile-rule examples/rules
other_rules := hostile_rule $(subst -,_,$(patsubst examples/rules/%/Cargo.toml,%,$(wildcard examples/rules/*/Cargo.toml)))
workspaces := . plugins fuzz $(other_workspaces)

cli := -p everyframe
# All crates are compiled with the features that the whole workspace enables. Otherwise cargo would compile some of them again.
host := --workspace --exclude everyframe-tests
tests := --workspace --test end_to_end
cargo := $(CURDIR)/scripts/cargo.sh
cargo_flags := --release --locked

# collect RULES TARGET INTO: copies components from cargo's output for the target to the folder INTO.
collect = mkdir -p $(3) && install -m 644 $(foreach rule,$(1),$(rules_target)/$(2)/release/$(rule).wasm) $(3)/

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: env
env: ## print these settings for a shell: eval "$(make env)"
	@for name in EVERYFRAME_CACHE CARGO_TARGET_DIR EVERYFRAME_PLUGINS PATH; do printf 'export %s=%q\n' $$name "$${!name}"; done

.PHONY: setup setup-test setup-rules-component setup-dashboard-tests setup-lint setup-bench setup-accuracy setup-fuzz
setup: ## install what the demo needs; skips what is installed
	@scripts/setup.sh system:demo rust:build python:broker node npm:dashboard kafka onnxruntime models footage wasm

setup-test: setup ## install what the tests need in addition
	@scripts/setup.sh system:test system:rules python:test python:rules qjs

setup-rules-component: setup-test
	@scripts/setup.sh tools:cargo-component

setup-dashboard-tests: setup
	@scripts/setup.sh system:test system:browser npm:dashboard-tests

setup-lint: setup
	@scripts/setup.sh system:test rust:lint python:test tools:cargo-deny

setup-bench: setup
	@scripts/setup.sh python:bench street

setup-accuracy: setup
	@scripts/setup.sh python:bench orl

setup-fuzz: setup
	@scripts/setup.sh tools:cargo-fuzz

.PHONY: build build-host build-dashboard build-rules build-rules-component build-test-rules
build: build-rules build-host ## compile the dashboard, the host and the shipped rules, optimised

build-rules: setup
	@echo "build: the shipped rules, as WebAssembly components"
	cd plugins
	CARGO_TARGET_DIR=$(rules_target) $(cargo) build $(cargo_flags) --target wasm32-wasip2
	$(call collect,$(rules),wasm32-wasip2,$(components)/wasip2)

build-rules-component: setup-rules-component
	@echo "build: the shipped rules, as WebAssembly components, with cargo component"
	cd plugins
	CARGO_TARGET_DIR=$(rules_target) $(cargo) component build $(cargo_flags)
	$(call collect,$(rules),wasm32-wasip1,$(components)/component)

build-test-rules: setup-test
	@echo "build: rules for the tests: the hostile rule and the examples"
	for workspace in $(other_workspaces); do
		(cd $$workspace && CARGO_TARGET_DIR=$(rules_target) $(cargo) build $(cargo_flags) --target wasm32-wasip2)
	done
	$(call collect,$(other_rules),wasm32-wasip2,$(components))
	# Each Python rule takes seconds to build. So only changed files are copied; the file times of another clone do not
	# count as a change.
	scripts/mirror.sh $(guests) examples/scripted-rules wit scripts/requirements host/cli/src/rule/template/javascript
	$(MAKE) --jobs=2 --silent -C $(guests)/examples/scripted-rules OUT=$(components)

build-dashboard: setup
	@scripts/dashboard.sh

build-host: build-dashboard
	@echo "build: the host"
	$(cargo) build $(cargo_flags) $(cli)
	# Creates the ahead-of-time cache, with which a broker starts in one second instead of three.
	$(CARGO_TARGET_DIR)/release/everyframe broker --train

.PHONY: demo
demo: build ## run the demo: four cameras, a known man, a stranger, three rules; takes about a minute
	@$(CARGO_TARGET_DIR)/release/everyframe demo $(if $(DEMO_SECONDS),--seconds $(DEMO_SECONDS)) $(if $(FOREVER),--forever)

kafka_data := $(or $(KAFKA_DATA),$(EVERYFRAME_CACHE)/kafka-data)

.PHONY: kafka kafka-stop kafka-status
kafka: build-host ## start a three-node Kafka cluster in the background, and print how to connect
	@scripts/kafka.py start $(kafka_data) --port $(or $(KAFKA_PORT),19092)

kafka-stop: ## stop this cluster; its data stays
	@scripts/kafka.py stop $(kafka_data)

kafka-status: ## show which nodes of this cluster run
	@scripts/kafka.py status $(kafka_data)

.PHONY: test test-rules test-python test-host test-end-to-end
test: test-rules test-python test-host test-end-to-end ## set up, build and run every test

test-rules: setup-test
	@echo "test: the shipped rules and the examples, natively"
	# Without link-time optimisation, which would take minutes for the native test programs.
	export CARGO_TARGET_DIR=$(rules_target) CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1
	(cd plugins && $(cargo) test $(cargo_flags))
	(cd examples/rules && $(cargo) test $(cargo_flags))

test-python: setup-test
	@echo "test: the scripts"
	python -m unittest discover --start-directory scripts/tests

test-host: build-dashboard build-rules build-test-rules
	@echo "test: the host"
	$(cargo) test $(cargo_flags) --no-fail-fast $(host)

test-end-to-end: build build-test-rules
	@echo "test: end to end"
	# These tests mostly wait, so four of them run on each core.
	export RUST_TEST_THREADS=$$((4 * $$(nproc)))
	$(cargo) test $(cargo_flags) $(tests)

# Not part of `make test`: cargo-component exists only as source, which takes two minutes to compile.
.PHONY: test-rules-component
test-rules-component: build build-rules-component ## test that the shipped rules built by cargo component load, and answer the same
	@echo "test: the shipped rules, built by cargo component"
	$(cargo) test $(cargo_flags) $(tests) -- --ignored rules_built_by_cargo_component

.PHONY: test-dashboard
test-dashboard: setup-dashboard-tests ## test the dashboard in Chromium against the demo, or against EVERYFRAME_URL=http://…
	@echo "test: the dashboard"
	(cd host/web/dashboard && npm test --silent)
	scripts/test-dashboard.sh

.PHONY: soak
soak: setup-test build build-test-rules ## run all fault tests repeatedly: MINUTES=30
	@scripts/soak.sh $(or $(MINUTES),30)

.PHONY: fuzz
fuzz: setup-fuzz build-rules ## fuzz all parsers of outside input with libFuzzer: MINUTES=60
	@scripts/fuzz.sh $(or $(MINUTES),60) $(TARGET)

.PHONY: format
format: setup-lint ## format Rust and TOML
	for workspace in $(workspaces); do (cd $$workspace && cargo fmt --all); done
	taplo fmt

.PHONY: lint lint-text lint-rust
lint: lint-text lint-rust ## check formatting, spelling, module circles, clippy, licences of dependencies

lint-text: setup-lint
	@echo "lint: formatting, spelling, scripts"
	for workspace in $(workspaces); do (cd $$workspace && cargo fmt --all --check); done
	typos
	taplo fmt --check
	shellcheck --external-sources .ci/run $$(git ls-files '*.sh')
	python scripts/tidy.py

lint-rust: setup-lint build-dashboard
	@echo "lint: clippy, licences and sources of dependencies"
	$(cargo) clippy $(cargo_flags) --workspace --all-targets -- -D warnings
	(cd plugins && CARGO_TARGET_DIR=$(rules_target) $(cargo) clippy $(cargo_flags) --all-targets -- -D warnings)
	(cd examples/rules && CARGO_TARGET_DIR=$(rules_target) $(cargo) clippy $(cargo_flags) --all-targets -- -D warnings)
	for manifest in Cargo.toml plugins/Cargo.toml examples/rules/Cargo.toml fuzz/Cargo.toml; do
		cargo fetch --quiet --locked --manifest-path $$manifest
		cargo-deny --frozen --config deny.toml --manifest-path $$manifest check --allow license-exception-not-encountered bans licenses sources
	done

.PHONY: audit
audit: setup-lint ## check the dependencies for known advisories; needs GitHub
	@scripts/audit.sh

.PHONY: doc
doc: build-dashboard ## build the code's documentation with private items; a broken link is an error
	@echo "doc: the host, the SDK"
	export RUSTDOCFLAGS="-D warnings -D rustdoc::broken_intra_doc_links"
	$(cargo) doc $(cargo_flags) --no-deps --document-private-items $(host)
	(cd plugins && CARGO_TARGET_DIR=$(rules_target) $(cargo) doc $(cargo_flags) --no-deps --document-private-items -p everyframe-rule)

.PHONY: bench
bench: build setup-bench ## measure CPU time a frame, compared with other pipelines
	@benches/run.sh

.PHONY: accuracy
accuracy: build-host setup-accuracy ## measure how accurately people are recognised: ORL and the stills, beside OpenCV's own pipeline
	@people=$$(mktemp -d)
	trap 'rm -rf $$people' EXIT
	# A folder for each person: person_a_1.jpg and person_a_2.jpg show one, the impostors are two.
	for still in $(EVERYFRAME_CACHE)/stills/*.jpg; do
		name=$$(basename $$still .jpg)
		case $$name in person_*) name=$${name%_*} ;; esac
		install -D -m 644 $$still $$people/$$name/$$(basename $$still)
	done
	for folder in $(EVERYFRAME_CACHE)/orl $$people; do
		$(CARGO_TARGET_DIR)/release/everyframe accuracy $$folder
		python benches/python/accuracy.py $(EVERYFRAME_CACHE)/models $$folder
	done

.PHONY: bench-delivery
bench-delivery: setup-test build ## measure the cost of exactly once on a cluster, and the delay of alerts
	@$(cargo) bench --locked --workspace --bench delivery

.PHONY: bench-notify
bench-notify: setup-test build ## measure how soon a webhook has an alert
	@$(cargo) bench --locked --workspace --bench notify

.PHONY: clean-cache
clean-cache: ## remove the cache folder: downloads, tools, models and build outputs
	@[ ! -e $(EVERYFRAME_CACHE) ] || [ -f $(EVERYFRAME_CACHE)/setup.lock ] || { echo "$(EVERYFRAME_CACHE) was not created by this set-up, so it is not removed"; exit 1; }
	rm -rf $(EVERYFRAME_CACHE)
