#!/usr/bin/env bash
# Checks the dependencies against the RustSec advisory database, which is fetched. If it is unreachable, nothing is
# checked, and the script exits with $DID_NOT_RUN.
source "$(dirname "$0")/common.sh"

if ! GIT_TERMINAL_PROMPT=0 timeout 15 git ls-remote --quiet https://github.com/RustSec/advisory-db HEAD >/dev/null 2>&1; then
    say "The RustSec advisory database is unreachable: advisories were NOT checked."
    exit "$DID_NOT_RUN"
fi
cargo deny --all-features check advisories
