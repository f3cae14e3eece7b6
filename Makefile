# `make run` and `make test` are the main commands. Every recipe calls a script in scripts/, which can be run directly.

.DEFAULT_GOAL := help
.PHONY: help run run-agent test bench build npm npm-reference setup fmt lint test-hdmi test-nightly soak fuzz audit screenshots clean-cache
MAKEFLAGS += --no-print-directory

# Tools, dependencies and build products are outside the clone and keyed by version, so that the build of another clone is
# fast.
export SORTIE_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/sortie
export CARGO_TARGET_DIR ?= $(abspath $(SORTIE_CACHE))/target

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Install missing tools, build, start the server at http://127.0.0.1:8080
	@scripts/run.sh

run-agent: ## The same for the capture agent, with a test pattern whose signal can be switched
	@scripts/run-agent.sh

test: ## Install missing tools, run all checks and tests
	@scripts/test.sh

bench: ## Compare the server with others and a plain floor (15 min, 12 GB of disk); PART=lists, client, pages or agent runs one part
	@scripts/bench.sh $(PART)

build: ## Build the optimised server and, with GStreamer, the capture agent in target/release
	@scripts/build.sh

npm: ## Build the npm package, unpacked and as a tarball, in target/npm
	@scripts/npm.sh

npm-reference: ## Write the reference of the npm package to target/npm-reference
	@scripts/npm-reference.sh

setup: ## Install the tools for building and testing
	@scripts/setup.sh test

fmt: ## Format all Rust code
	@cargo fmt --all

lint: ## Check formatting, clippy, documentation links, licences and sources
	@scripts/test.sh format clippy clippy-wasm docs deny

test-hdmi: ## Test the capture agent on an emulated HDMI input, with CUTS (50) power cuts (15 min)
	@scripts/hdmi.sh

test-nightly: ## Fuzz each target for a minute, kill the server 2000 times
	@scripts/test.sh fuzz
	@scripts/soak.sh

soak: ## Kill the server KILLS (2000) times during concurrent uploads
	@scripts/soak.sh

fuzz: ## Fuzz the parsers of untrusted input, SECONDS_EACH (60) per target
	@scripts/fuzz.sh

audit: ## Check the dependencies against the RustSec advisory database
	@scripts/audit.sh

screenshots: ## Update the screenshots in docs/images
	@scripts/screenshots.sh

clean-cache: ## Remove the tools and build products outside the clone
	@scripts/clean-cache.sh
