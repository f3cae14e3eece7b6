#!/usr/bin/env bash
# Builds the pages in dist/, which the server's build embeds. Does nothing if their sources have not changed.
#
# The WebAssembly is compiled once and split by `wasm-split` into the module of the library and those that the functions
# of frontend/src/web/load.rs name. File names contain a hash of the content.
source "$(dirname "$0")/common.sh"

inputs=(frontend client api tus media index.html Cargo.toml Cargo.lock scripts/pages.sh scripts/web-tools/package-lock.json)
stamp=target/pages.stamp
now="$(content_hash "${inputs[@]}") wasm-split-$WASM_SPLIT_VERSION wasm-bindgen-$WASM_BINDGEN_VERSION $(rustc --version)"

if [[ -f dist/index.html && -f $stamp && $(<"$stamp") == "$now" ]]; then
    exit 0
fi
say "Building the pages (3 min the first time, then a minute)"
PATH="$(npm_dir scripts/web-tools)/node_modules/.bin:$PATH"
work=target/pages
rm -rf "$stamp" "$work"
mkdir -p "$work/split" "$work/dist"

# Without `erase_components`, the type of each view contains the types of all views in it: 10 % more WebAssembly.
# wasm-split moves code and data by the linker's relocations.
RUSTFLAGS="${RUSTFLAGS:-} --cfg erase_components" cargo rustc --locked -p sortie-frontend --bin sortie-frontend \
    --target "$WASM_TARGET" --profile wasm-release -- -C link-args=--emit-relocs
wasm-split-cli --target web --out-name sortie \
    "$CARGO_TARGET_DIR/$WASM_TARGET/wasm-release/sortie-frontend.wasm" "$work/split"
# The split modules import the exports that the linker wrote. All supported browsers have TextEncoder.encodeInto.
wasm-bindgen --target web --no-typescript --omit-default-module-path --encode-into always --keep-lld-exports --no-demangle \
    --out-dir "$work/split" --out-name sortie "$work/split/sortie.wasm"
rm "$work/split/sortie.wasm"

# hashed FILE NAME EXTENSION: moves the file to dist/ as NAME-<hash>.EXTENSION, which `name` then contains.
hashed() {
    name=$2-$(sha256sum "$1" | cut -c1-16).$3
    mv "$1" "$work/dist/$name"
}

features=(bulk-memory mutable-globals multivalue nontrapping-float-to-int reference-types sign-ext)
printf '%s\0' "$work"/split/*.wasm \
    | xargs -0 -P 2 -I{} wasm-opt -Oz "${features[@]/#/--enable-}" {} -o {} 2>"$work/wasm-opt.log" \
    || die "wasm-opt failed." "$(<"$work/wasm-opt.log")"
names=()
for file in "$work"/split/*.wasm; do
    old=$(basename "$file")
    hashed "$file" "${old%.wasm}" wasm
    names+=(-e "s|\"\\./$old\"|\"./$name\"|")
    [[ $old != sortie_bg.wasm ]] || wasm=$name
done
sed -i "${names[@]}" "$work/split/__wasm_split.js"
esbuild "$work/split/sortie.js" --bundle --format=esm --minify --target=es2022 --log-level=warning --log-override:duplicate-object-key=silent --outfile="$work/split/bundle.js"
hashed "$work/split/bundle.js" sortie js
script=$name
esbuild frontend/style/index.css --bundle --minify --log-level=warning --outfile="$work/split/index.css"
hashed "$work/split/index.css" sortie css
style=$name
cp frontend/assets/favicon.svg "$work/split/"
hashed "$work/split/favicon.svg" favicon svg
sed -e "s|{{script}}|$script|" -e "s|{{wasm}}|$wasm|" -e "s|{{style}}|$style|" -e "s|{{icon}}|$name|" index.html >"$work/dist/index.html"

rm -rf dist
mv "$work/dist" dist
printf '%s\n' "$now" >"$stamp"
