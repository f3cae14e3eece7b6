#!/usr/bin/env bash
# Builds the pages in dist/, which the server's build embeds. Does nothing if their sources have not changed.
source "$(dirname "$0")/common.sh"

inputs=(frontend client api tus media index.html Trunk.toml Cargo.toml Cargo.lock)
stamp=target/pages.stamp
now="$(content_hash "${inputs[@]}") trunk-$TRUNK_VERSION wasm-bindgen-$WASM_BINDGEN_VERSION $(content_hash scripts/web-tools/package-lock.json) $(rustc --version) erased"

if [[ -f dist/index.html && -f $stamp && $(<"$stamp") == "$now" ]]; then
    exit 0
fi
say "Building the pages (3 min the first time, then half a minute)"
PATH="$(npm_dir scripts/web-tools)/node_modules/.bin:$PATH"
mkdir -p target
rm -f "$stamp"
# Trunk accepts NO_COLOR with `true` or `false` only, other programs with any value.
if [[ -n ${NO_COLOR:-} ]]; then export NO_COLOR=true; else unset NO_COLOR; fi
# Without it, the type of each view contains the types of all views in it: 10 % more WebAssembly.
RUSTFLAGS="${RUSTFLAGS:-} --cfg erase_components" trunk build --release
printf '%s\n' "$now" >"$stamp"
