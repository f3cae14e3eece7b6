#!/usr/bin/env bash
# Builds the client's JavaScript face (ES modules and their wasm) into
# target/client-js, or into the folder that is named: sortie_client is the
# recorder, sortie_playable makes files of what a crash has left, and worker.js
# is for pages that allow no blob: workers.
source "$(dirname "$0")/common.sh"

out=${1:-target/client-js}

# Builds with feature $1 under the name $2.
build() {
    cargo build --locked --quiet -p sortie-client --features "$1" --target "$WASM_TARGET" --profile wasm-release
    wasm-bindgen --target web --out-dir "$out" --out-name "$2" \
        "$CARGO_TARGET_DIR/$WASM_TARGET/wasm-release/sortie_client.wasm"
}

build js-playable sortie_playable
build js sortie_client
cp client/src/browser/spool/worker.js "$out/"
