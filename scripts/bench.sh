#!/usr/bin/env bash
# Measures the server, and beside it rustus, @tus/server and a plain write + fdatasync floor. Prints the tables of
# docs/benchmarks.md. Arguments go to sortie-bench: `scripts/bench.sh lists` is one part (chunks, ready or lists),
# `scripts/bench.sh --alone` leaves the others out. `scripts/bench.sh client` is what the recorder costs a page, beside
# MediaRecorder with tus-js-client (5 min; HOURS=8 for a longer simulated run), `scripts/bench.sh client-faults` what
# both lose in faults.
#
#   BENCH_DIR   where to write (default: target/bench): the file system that is measured
source "$(dirname "$0")/common.sh"

RUSTUS_VERSION=0.5.10
RUSTUS=$TOOLS/rustus-$RUSTUS_VERSION
PEERS=$CACHE/bench-peers/$(content_hash tests/bench/peers/package-lock.json tests/bench/peers/tus-server.mjs)
BENCH_DIR=${BENCH_DIR:-$ROOT/target/bench}

if [[ ${1:-} == client ]]; then
    scripts/setup.sh test
    scripts/npm.sh target/bench-npm
    if command -v twiggy >/dev/null; then
        # Before wasm-bindgen and wasm-opt: which function it is, and roughly how large.
        twiggy top -n 40 "$CARGO_TARGET_DIR/$WASM_TARGET/wasm-release/sortie_client.wasm"
    else
        say "Where the bytes go is said by twiggy, which is not here: cargo install twiggy"
    fi
    say "Measuring the recorder in Chromium; leave the machine alone"
    SORTIE_NPM=$ROOT/target/bench-npm exec node tests/npm/bench/main.mjs
fi

if [[ ${1:-} == client-faults ]]; then
    scripts/setup.sh test
    scripts/npm.sh target/bench-npm
    cargo build --locked --quiet --release -p sortie-server
    say "Breaking recordings in Chromium; leave the machine alone (10 min)"
    SORTIE_NPM=$ROOT/target/bench-npm SORTIE_SERVER=$CARGO_TARGET_DIR/release/sortie-server \
        exec node tests/npm/bench/faults.mjs
fi

if [[ ${1:-} == agent ]]; then
    # 4 min; SECONDS_RECORDED=3600 for an hour of memory. Needs 2.5 GB.
    shift
    scripts/setup.sh agent
    say "Building (optimised)"
    cargo build --locked --quiet --release -p sortie-capture-agent --bench agent
    mkdir -p "$BENCH_DIR"
    say "Measuring the capture agent; leave the machine alone"
    BENCH_DIR=$BENCH_DIR exec cargo bench --locked --quiet -p sortie-capture-agent --bench agent -- "$@"
fi

scripts/setup.sh run

# Only chunks are measured beside others.
others=yes
case " $* " in
    *" chunks "*) ;;
    *" ready "* | *" lists "* | *" --alone "*) others='' ;;
esac
if [[ $others && ! -x $RUSTUS/bin/rustus ]]; then
    say "Building rustus $RUSTUS_VERSION to compare with (5 min on two cores, once)"
    CARGO_TARGET_DIR=$CACHE/tools-build cargo install rustus --version "$RUSTUS_VERSION" --locked \
        --no-default-features --root "$RUSTUS" --no-track --quiet
fi
if [[ $others && ! -d $PEERS/node_modules ]]; then
    say "Installing @tus/server to compare with (npm, 10 s)"
    rm -rf "$PEERS.partial"
    mkdir -p "$PEERS.partial"
    cp tests/bench/peers/* "$PEERS.partial/"
    (cd "$PEERS.partial" && npm ci --no-audit --no-fund --loglevel=error)
    mv "$PEERS.partial" "$PEERS"
fi

say "Building (optimised)"
cargo build --locked --quiet --release -p sortie-server -p sortie-bench

mkdir -p "$BENCH_DIR"
say "Measuring in $BENCH_DIR; leave the machine alone"
exec "$CARGO_TARGET_DIR/release/sortie-bench" --folder "$BENCH_DIR" \
    --rustus "$RUSTUS/bin/rustus" --peers "$PEERS" "$@"
