# Shared by the other scripts: paths, versions, output.
# shellcheck shell=bash
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"

CACHE=$(realpath -m "${SORTIE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sortie}")
export SORTIE_CACHE=$CACHE
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$CACHE/target}
TOOLS=$CACHE/tools
WASM_TARGET=wasm32-unknown-unknown
# Exit code of a check that could not run (EX_TEMPFAIL): neither passed nor failed.
DID_NOT_RUN=75

# The format that it reads is that of `wasm_split_helpers` in Cargo.lock.
WASM_SPLIT_VERSION=0.2.4
CARGO_DENY_VERSION=0.20.2
# Used if the installed Node is too old for the tests.
NODE_VERSION=22.23.3
NPM_VERSION=11.19.1

# The command line tool must have exactly the version of the library.
wasm_bindgen_version() {
    awk '/^name = "wasm-bindgen"$/ { getline; gsub(/[^0-9.]/, ""); print; exit }' "$ROOT/Cargo.lock"
}
WASM_BINDGEN_VERSION=$(wasm_bindgen_version)

export PATH="$TOOLS/wasm-split-$WASM_SPLIT_VERSION/bin:$TOOLS/wasm-bindgen-$WASM_BINDGEN_VERSION/bin:$TOOLS/cargo-deny-$CARGO_DENY_VERSION/bin:$PATH"

# node_is_at_least MAJOR MINOR
node_is_at_least() {
    command -v node >/dev/null 2>&1 \
        && node -e 'const [major, minor] = process.versions.node.split(".").map(Number), [a, b] = process.argv.slice(1).map(Number); process.exit(major > a || (major === a && minor >= b) ? 0 : 1)' "$1" "$2"
}

# Requirement of Vite, which the tests of the npm package use.
node_is_enough_for_tests() { node_is_at_least 20 19; }

NODE_DIR=$TOOLS/node-$NODE_VERSION
use_own_node() {
    export PATH="$NODE_DIR/node_modules/node/bin:$NODE_DIR/node_modules/.bin:$PATH"
}
[[ ! -d $NODE_DIR ]] || node_is_enough_for_tests || use_own_node

if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
    BOLD=$'\e[1m' RED=$'\e[31m' GREEN=$'\e[32m' PLAIN=$'\e[0m'
else
    BOLD='' RED='' GREEN='' PLAIN=''
fi

say() { printf '%s▸ %s%s\n' "$BOLD" "$*" "$PLAIN"; }

die() {
    printf '%s✗ %s%s\n' "$RED" "$1" "$PLAIN" >&2
    shift
    (($# == 0)) || printf '  %s\n' "$@" >&2
    exit 1
}

# Formats seconds: 7 s, 3 min 20 s.
human_seconds() {
    if (($1 < 60)); then printf '%d s' "$1"; else printf '%d min %02d s' $(($1 / 60)) $(($1 % 60)); fi
}

# Hash of the names and contents of the files below the given paths.
content_hash() {
    find "$@" -type f -not -path '*/node_modules/*' -print0 2>/dev/null \
        | sort -z | xargs -0 sha256sum | sha256sum | cut -c1-20
}

# Cache folder of the npm packages that $1/package-lock.json locks.
npm_dir() { printf '%s/npm/%s' "$CACHE" "$(content_hash "$1/package-lock.json")"; }

# Cache folder of the Python packages that file $1 lists.
python_dir() { printf '%s/python/%s' "$CACHE" "$(content_hash "$1")"; }
