#!/usr/bin/env bash
# Looks the dependencies up in the RustSec advisory database, which has to be
# fetched: without a way to it this says so and passes.
source "$(dirname "$0")/common.sh"

if ! GIT_TERMINAL_PROMPT=0 timeout 15 git ls-remote --quiet https://github.com/RustSec/advisory-db HEAD >/dev/null 2>&1; then
    say "The RustSec advisory database cannot be reached from here: advisories were not checked."
    exit 0
fi
cargo deny --all-features check advisories
