#!/usr/bin/env bash
# Builds the client's JavaScript face (an ES module and its wasm) into
# target/client-js, or into the folder that is named.
source "$(dirname "$0")/common.sh"

out=${1:-target/client-js}
cargo build --locked --quiet -p sortie-client --features js --target "$WASM_TARGET" --profile wasm-release
wasm-bindgen --target web --out-dir "$out" --out-name sortie_client \
    "$CARGO_TARGET_DIR/$WASM_TARGET/wasm-release/sortie_client.wasm"
