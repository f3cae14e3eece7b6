#!/usr/bin/env bash
# Builds the npm package `sortie-recorder` into target/npm/sortie-recorder and packs it into
# target/npm/sortie-recorder.tgz, or both into the given folder.
source "$(dirname "$0")/common.sh"

scripts/setup.sh run

out=$(realpath -m "${1:-target/npm}")
package=$out/sortie-recorder
tools=$(npm_dir scripts/web-tools)/node_modules/.bin
rm -rf "$out"
mkdir -p "$package"

scripts/js-client.sh "$out/js"
# Features that rustc enables by default on wasm32.
features=(--enable-bulk-memory --enable-multivalue --enable-mutable-globals --enable-nontrapping-float-to-int
    --enable-reference-types --enable-sign-ext)
for module in "$out"/js/*_bg.wasm; do
    # Binaryen's own control flow is smaller than LLVM's, and a second round optimises what the first one has exposed.
    # Similar functions next to each other compress better. The lowest kilobyte is the far end of the stack.
    "$tools/wasm-opt" "${features[@]}" --flatten --rereloop -Oz --converge -Oz --converge \
        --low-memory-unused --reorder-functions-by-name --strip-debug --strip-producers \
        "$module" -o "$package/$(basename "$module")"
done
"$tools/esbuild" "$out"/js/{core,later,session_watcher,playable}.js --minify --format=esm --outdir="$package" --log-level=warning
cp "$out/js/worker.js" "$package/"
rm -r "$out/js"

# The shared code becomes a chunk: the bindings and the element use the same recorder as index.js.
"$tools/esbuild" client/npm/{index,react,vue,svelte,element,faults}.js --bundle --splitting --chunk-names=[name]-[hash] --minify --sourcemap \
    --format=esm --external:{react,vue,svelte,svelte/reactivity} --external:./{core,later,session_watcher,playable}.js \
    --outdir="$package" --log-level=warning
cp client/npm/*.{d.ts,json,md} LICENSE-* "$package/"
node scripts/third-party.mjs js-recorder,js-recovery,js-session-watcher,js-playable >"$package/THIRD_PARTY_LICENSES.txt"
# The workspace's version.
version=$(awk -F'"' '/^version = / { print $2; exit }' Cargo.toml)
(cd "$package" && npm pkg set "version=$version")
(cd "$out" && npm pack --silent ./sortie-recorder >/dev/null && mv sortie-recorder-*.tgz sortie-recorder.tgz)
