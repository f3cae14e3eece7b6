#!/usr/bin/env bash
# Builds the client's WebAssembly modules for JavaScript in target/client-js, or in the given folder: core (the recorder),
# later (uploads of recoverable recordings and files), session_watcher and playable. Also copies worker.js, for pages
# that do not allow blob: workers.
source "$(dirname "$0")/common.sh"

out=${1:-target/client-js}
worker=client/src/browser/spool/worker.js
# client/build.rs puts it into the modules.
SORTIE_MINIFIED_WORKER=$("$(npm_dir scripts/web-tools)/node_modules/.bin/esbuild" "$worker" --minify)
export SORTIE_MINIFIED_WORKER

# build FEATURE NAME
build() {
    cargo rustc --locked --quiet -p sortie-client --lib --crate-type cdylib --features "$1" \
        --target "$WASM_TARGET" --profile wasm-release
    # All supported browsers have TextEncoder.encodeInto.
    wasm-bindgen --target web --no-typescript --omit-default-module-path --encode-into always --out-dir "$out" --out-name "$2" \
        "$CARGO_TARGET_DIR/$WASM_TARGET/wasm-release/sortie_client.wasm"
}

build js-recorder core
build js-recovery later
build js-session-watcher session_watcher
build js-playable playable
cp "$worker" "$out/"
