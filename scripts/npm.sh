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

# shrink FROM TO: makes the package's program TO of FROM, which has its names still.
shrink() {
    local wasm_opt
    wasm_opt=$(npm_dir scripts/wasm-opt)/node_modules/.bin/wasm-opt
    # Like beside like, by their names, is what compresses best. The lowest kilobyte is the far end of the stack.
    "$wasm_opt" --debuginfo "${features[@]}" --low-memory-unused --merge-similar-functions \
        --always-inline-max-function-size=0 -Oz --converge --reorder-functions-by-name \
        "$out/js/$1.wasm" -o "$out/js/ordered.wasm"
    "$wasm_opt" "${features[@]}" --strip-debug --strip-producers "$out/js/ordered.wasm" -o "$package/$2_bg.wasm"
}

# glue FROM TO: makes the package's module TO of what wasm-bindgen has made as FROM; its program is slim.wasm then.
glue() {
    node scripts/wasm-opt/slim.mjs "$out/js/$1_bg.wasm" "$out/js/slim.wasm" "$out/js/$1.js"
    # loading.js names the program itself: a second mention would make a bundler look for it, and copy it, twice.
    # And nobody waits for a program without letting the page go on.
    # Its comments are those of index.d.ts.
    sed -e "s/new URL('$1_bg.wasm', import.meta.url)/undefined/" -e 's/^export { initSync, /export { /' \
        -e '/^function initSync(/,/^}/d' -e '/^ *\/\*\*$/,/^ *\*\/$/d' "$out/js/$1.js" >"$package/$2.js"
    ! grep -q "$1_bg.wasm\|initSync" "$package/$2.js" \
        || die "wasm-bindgen writes its module in a way that is new to scripts/npm.sh."
}
glue sortie_playable playable
shrink slim playable

glue sortie_client core
node scripts/wasm-opt/split.mjs "$out/js/slim.wasm" "$out/js/core.wasm" "$out/js/later.wasm"
shrink core core
shrink later later
cat >>"$package/core.js" <<'END'

/** Adds the part of the program that is fetched when it is first wanted: as with init, where it is or what is in it. */
export async function addLater(program) {
    program = await program;
    if (typeof program === 'string' || program instanceof URL || program instanceof Request) program = fetch(program);
    await __wbg_load(await program, { ...__wbg_get_imports(), core: wasm });
}
END
cp "$out/js/worker.js" "$package/"
rm -r "$out/js"

cp client/npm/*.{js,d.ts,json,md} client/src/js/types.d.ts LICENSE-* "$package/"
# One version for everything, the workspace's.
version=$(awk -F'"' '/^version = / { print $2; exit }' Cargo.toml)
(cd "$package" && npm pkg set "version=$version")
(cd "$out" && npm pack --silent ./sortie-recorder >/dev/null && mv sortie-recorder-*.tgz sortie-recorder.tgz)
