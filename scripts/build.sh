#!/usr/bin/env bash
# Leaves target/release/sortie-server, optimised, with the pages inside.
source "$(dirname "$0")/common.sh"

scripts/setup.sh run
scripts/pages.sh

binary=target/release/sortie-server
[[ -x $binary ]] || say "Building the server (5 min the first time on two cores)"
cargo build --release --locked --quiet -p sortie-server
mkdir -p target/release
built=$CARGO_TARGET_DIR/release/sortie-server
# Copied, not linked: the next build of another clone replaces the one in the cache.
if ! cmp -s "$built" "$binary"; then
    cp "$built" "$binary.new"
    mv "$binary.new" "$binary"
fi
