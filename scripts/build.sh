#!/usr/bin/env bash
# Leaves target/release/sortie-server, optimised, with the pages inside. Does
# nothing when nothing it is made of has changed.
source "$(dirname "$0")/common.sh"

scripts/setup.sh run
scripts/pages.sh

binary=target/release/sortie-server
stamp=target/server.stamp
now="$(content_hash server api media tus dist Cargo.toml Cargo.lock) $(rustc --version)"
if [[ -x $binary && -f $stamp && $(<"$stamp") == "$now" ]]; then
    exit 0
fi
say "Building the server (5 min the first time on two cores)"
mkdir -p target/release
rm -f "$stamp"
# Another clone may share the cache: nobody may replace the program before it is copied.
exec 9>"$CACHE/release.lock"
flock -n 9 || { say "Waiting for another build to finish" && flock 9; }
cargo build --release --locked -p sortie-server
cp "$CARGO_TARGET_DIR/release/sortie-server" "$binary.new"
mv "$binary.new" "$binary"
printf '%s\n' "$now" >"$stamp"
