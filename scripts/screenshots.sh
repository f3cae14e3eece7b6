#!/usr/bin/env bash
# Takes the pictures in docs/images/ again, from the server as it is now.
source "$(dirname "$0")/common.sh"

scripts/setup.sh test
scripts/build.sh
say "Taking the screenshots (1 min)"
SORTIE_SERVER=target/release/sortie-server node tests/browser/screenshots.mjs docs/images
