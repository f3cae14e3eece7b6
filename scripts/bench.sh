#!/usr/bin/env bash
# Runs the benchmarks and prints the tables of docs/benchmarks.md.
#
#   scripts/bench.sh                 the server, compared with rustus, @tus/server and a plain write + fdatasync floor
#   scripts/bench.sh lists           one part of it: chunks, ready or lists
#   scripts/bench.sh --alone         the server only
#   scripts/bench.sh client          cost of the recorder for a page, compared with MediaRecorder and tus-js-client
#                                    (5 min; HOURS=8 for a longer simulated run)
#   scripts/bench.sh client-faults   bytes that the recorder and others lose in faults
#   scripts/bench.sh client-formats  size of an hour of an idle and of a busy tab, by format and distance of keyframes (15 min)
#   scripts/bench.sh pages           first load of the pages on a slow network (2 min)
#   scripts/bench.sh agent           the capture agent
#
# BENCH_DIR: folder on the file system to measure (default: target/bench)
source "$(dirname "$0")/common.sh"

RUSTUS_VERSION=0.5.10
RUSTUS=$TOOLS/rustus-$RUSTUS_VERSION
PEERS=$CACHE/bench-peers/$(content_hash tests/bench/peers/package-lock.json tests/bench/peers/tus-server.mjs)
BENCH_DIR=${BENCH_DIR:-$ROOT/target/bench}

if [[ ${1:-} == client ]]; then
    scripts/setup.sh test
    scripts/npm.sh target/bench-npm
    if command -v twiggy >/dev/null; then
        # Functions and their approximate sizes, before wasm-bindgen and wasm-opt.
        twiggy top -n 40 "$CARGO_TARGET_DIR/$WASM_TARGET/wasm-release/sortie_client.wasm"
    else
        say "Skipping the sizes of functions: twiggy is not installed (cargo install twiggy)"
    fi
    say "Measuring the recorder in Chromium; leave the machine idle"
    SORTIE_NPM=$ROOT/target/bench-npm exec node tests/npm/bench/main.mjs
fi

if [[ ${1:-} == client-faults || ${1:-} == client-formats ]]; then
    scripts/setup.sh test
    scripts/npm.sh target/bench-npm
    cargo build --locked --quiet --release -p sortie-server
    if [[ $1 == client-faults ]]; then
        PEERS=$(npm_dir tests/npm/bench/peers)
        if [[ ! -d $PEERS/node_modules ]]; then
            say "Installing api.video's recorder and Uppy for comparison (npm, 10 s)"
            rm -rf "$PEERS.partial"
            mkdir -p "$PEERS.partial"
            cp tests/npm/bench/peers/{package.json,package-lock.json,.npmrc} "$PEERS.partial/"
            (cd "$PEERS.partial" && npm ci --no-audit --no-fund --loglevel=error)
            mv "$PEERS.partial" "$PEERS"
        fi
        export BENCH_PEERS=$PEERS/node_modules
        say "Injecting faults into recordings in Chromium; leave the machine idle (20 min)"
    else
        say "Recording tabs in Chromium"
    fi
    SORTIE_NPM=$ROOT/target/bench-npm SORTIE_SERVER=$CARGO_TARGET_DIR/release/sortie-server \
        exec node "tests/npm/bench/${1#client-}.mjs"
fi

if [[ ${1:-} == pages ]]; then
    scripts/setup.sh test
    scripts/build.sh server
    say "Loading the pages in Chromium; leave the machine idle"
    SORTIE_SERVER=$ROOT/target/release/sortie-server exec node tests/browser/first-load-bench.mjs
fi

if [[ ${1:-} == agent ]]; then
    # 4 min; SECONDS_RECORDED=3600 measures memory for an hour. Needs 2.5 GB of disk.
    shift
    scripts/setup.sh agent
    say "Building (optimised)"
    cargo build --locked --quiet --release -p sortie-capture-agent --bench agent
    mkdir -p "$BENCH_DIR"
    say "Measuring the capture agent; leave the machine idle"
    BENCH_DIR=$BENCH_DIR exec cargo bench --locked --quiet -p sortie-capture-agent --bench agent -- "$@"
fi

scripts/setup.sh run

# Only `chunks` is compared with other servers.
others=yes
case " $* " in
    *" chunks "*) ;;
    *" ready "* | *" lists "* | *" --alone "*) others='' ;;
esac
if [[ $others && ! -x $RUSTUS/bin/rustus ]]; then
    say "Building rustus $RUSTUS_VERSION for comparison (5 min on two cores, once)"
    CARGO_TARGET_DIR=$CACHE/tools-build cargo install rustus --version "$RUSTUS_VERSION" --locked \
        --no-default-features --root "$RUSTUS" --no-track --quiet
fi
if [[ $others && ! -d $PEERS/node_modules ]]; then
    say "Installing @tus/server for comparison (npm, 10 s)"
    rm -rf "$PEERS.partial"
    mkdir -p "$PEERS.partial"
    cp tests/bench/peers/* "$PEERS.partial/"
    (cd "$PEERS.partial" && npm ci --no-audit --no-fund --loglevel=error)
    mv "$PEERS.partial" "$PEERS"
fi

say "Building (optimised)"
cargo build --locked --quiet --release -p sortie-server -p sortie-bench

mkdir -p "$BENCH_DIR"
say "Measuring in $BENCH_DIR; leave the machine idle"
exec "$CARGO_TARGET_DIR/release/sortie-bench" --folder "$BENCH_DIR" \
    --rustus "$RUSTUS/bin/rustus" --peers "$PEERS" "$@"
