# Two commands are enough: `make run` and `make test`. The rest is for people
# who change the code. Every recipe is a script in scripts/, so each can also be
# run by hand.

.DEFAULT_GOAL := help
.PHONY: help run run-agent test bench build npm npm-reference setup fmt lint test-hdmi test-nightly soak fuzz audit screenshots clean-cache
MAKEFLAGS += --no-print-directory

# Tools, dependencies and build products live outside the clone and are keyed by
# version, so that the next clean clone is quick.
export SORTIE_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/sortie
export CARGO_TARGET_DIR ?= $(abspath $(SORTIE_CACHE))/target

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Install what is missing, build, start the server on http://127.0.0.1:8080
	@scripts/run.sh

run-agent: ## The same for the capture agent, with a test picture whose signal can be switched
	@scripts/run-agent.sh

test: ## Install what is missing, then check and test everything
	@scripts/test.sh

bench: ## Measure the server beside others and a plain floor (15 min, 12 GB of disk); PART=lists, client or agent is one part
	@scripts/bench.sh $(PART)

build: ## Leave the optimised server and, with GStreamer, the capture agent in target/release
	@scripts/build.sh

npm: ## Leave the npm package, unpacked and as a tarball, in target/npm
	@scripts/npm.sh

npm-reference: ## Write the npm package's reference from its types to target/npm-reference
	@scripts/npm-reference.sh

setup: ## Install everything that running and testing need, and stop there
	@scripts/setup.sh test

fmt: ## Format all Rust code
	@cargo fmt --all

lint: ## Formatting, clippy, documentation links, licences and sources
	@scripts/test.sh format clippy clippy-wasm docs deny

test-hdmi: ## The capture agent on an emulated HDMI input, with CUTS (50) power cuts (15 min)
	@scripts/hdmi.sh

test-nightly: ## Fuzz a minute each and kill the server 2000 times; needs nightly Rust
	@scripts/test.sh fuzz
	@scripts/soak.sh

soak: ## Kill the server KILLS (2000) times under concurrent uploads
	@scripts/soak.sh

fuzz: ## Fuzz what reads strangers' bytes, SECONDS_EACH (60) for each target; needs nightly Rust
	@scripts/fuzz.sh

audit: ## Look the dependencies up in the RustSec advisory database
	@scripts/audit.sh

screenshots: ## Take the pictures in docs/images again
	@scripts/screenshots.sh

clean-cache: ## Remove the tools and build products kept outside the clone
	@scripts/clean-cache.sh
