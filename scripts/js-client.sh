#!/usr/bin/env bash
# Builds the client's JavaScript face (ES modules and their wasm) into
# target/client-js, or into the folder that is named: sortie_client is the
# recorder, sortie_playable makes files of what a crash has left, and worker.js
# is for pages that allow no blob: workers.
source "$(dirname "$0")/common.sh"

out=${1:-target/client-js}

# A quarter of what a stack has by default: it is never that deep, and what lies behind it has shorter addresses.
stack=262144
# What no running recording needs: scripts/npm.sh makes a part of its own of all that only these exports lead to.
later='^(__wbg_)?(recoverablerecording|sessionwatcher)_|^recorder_recover_|^(uploadFile|enableParts)_'

# Builds with feature $1 under the name $2.
build() {
    mkdir -p "$out"
    cargo rustc --locked --quiet -p sortie-client --lib --crate-type cdylib --features "$1" \
        --target "$WASM_TARGET" --profile wasm-release -- -C link-arg=--emit-relocs -C "link-arg=-zstack-size=$stack"
    node scripts/wasm-opt/reach.mjs \
        "$CARGO_TARGET_DIR/$WASM_TARGET/wasm-release/sortie_client.wasm" "$out/$2.wasm" "$later"
    wasm-bindgen --target web --out-dir "$out" --out-name "$2" "$out/$2.wasm"
    rm "$out/$2.wasm"
}

build js-playable sortie_playable
build js sortie_client
cp client/src/browser/spool/worker.js "$out/"
