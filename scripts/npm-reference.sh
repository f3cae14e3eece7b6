#!/usr/bin/env bash
# Writes the npm package's reference from its types to target/npm-reference, or to the given folder. Fails on broken links
# and on types that are used but not exported.
source "$(dirname "$0")/common.sh"

scripts/setup.sh test

types=$(mktemp -d)
trap 'rm -rf "$types"' EXIT
cp client/npm/*.d.ts client/npm/README.md "$types/"
tools=$(npm_dir tests/npm)/node_modules
# The bindings' types use those of the frameworks.
ln -s "$tools" "$types/node_modules"
cat >"$types/tsconfig.json" <<'JSON'
{ "compilerOptions": { "strict": true, "module": "esnext", "moduleResolution": "bundler", "lib": ["es2022", "dom"], "types": [] } }
JSON
entries=()
for name in index react vue svelte element preact solid faults; do entries+=(--entryPoints "$types/$name.d.ts"); done
"$tools/.bin/typedoc" --logLevel Warn --name sortie-recorder --readme "$types/README.md" --tsconfig "$types/tsconfig.json" \
    --basePath "$types" --disableSources "${entries[@]}" \
    --treatWarningsAsErrors --treatValidationWarningsAsErrors --validation.invalidLink true \
    --out "${1:-target/npm-reference}"
