#!/usr/bin/env bash
# Builds the npm package `sortie-recorder` into target/npm/sortie-recorder and packs it into
# target/npm/sortie-recorder.tgz, or both into the folder that is named.
source "$(dirname "$0")/common.sh"

scripts/setup.sh run

out=$(realpath -m "${1:-target/npm}")
package=$out/sortie-recorder
rm -rf "$out"
mkdir -p "$package"

scripts/js-client.sh "$out/js"

# What Rust may use on wasm32 without being asked to.
features=(--enable-bulk-memory --enable-multivalue --enable-mutable-globals --enable-nontrapping-float-to-int
    --enable-reference-types --enable-sign-ext)

# module FROM TO: makes the package's module TO of what wasm-bindgen has made as FROM.
module() {
    local wasm_opt
    wasm_opt=$(npm_dir scripts/wasm-opt)/node_modules/.bin/wasm-opt
    node scripts/wasm-opt/slim.mjs "$out/js/$1_bg.wasm" "$out/js/slim.wasm" "$out/js/$1.js"
    # Like beside like, by their names, is what compresses best.
    "$wasm_opt" --debuginfo "${features[@]}" --merge-similar-functions -Oz --converge --reorder-functions-by-name \
        "$out/js/slim.wasm" -o "$out/js/ordered.wasm"
    "$wasm_opt" "${features[@]}" --strip-debug --strip-producers "$out/js/ordered.wasm" -o "$package/$2_bg.wasm"
    # loading.js names the program itself: a second mention would make a bundler look for it, and copy it, twice.
    sed "s/new URL('$1_bg.wasm', import.meta.url)/undefined/" "$out/js/$1.js" >"$package/$2.js"
    ! grep -q "$1_bg.wasm" "$package/$2.js" \
        || die "wasm-bindgen names the program in a way that is new to scripts/npm.sh."
}
module sortie_client core
module sortie_playable playable
cp "$out/js/worker.js" "$package/"
rm -r "$out/js"

cp client/npm/*.{js,d.ts,json,md} client/src/js/types.d.ts LICENSE-* "$package/"
# One version for everything, the workspace's.
version=$(awk -F'"' '/^version = / { print $2; exit }' Cargo.toml)
(cd "$package" && npm pkg set "version=$version")
(cd "$out" && npm pack --silent ./sortie-recorder >/dev/null && mv sortie-recorder-*.tgz sortie-recorder.tgz)
