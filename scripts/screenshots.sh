#!/usr/bin/env bash
# Takes the pictures in docs/images/ again, from server and capture agent as they are now. They look best with Debian's fonts-inter.
source "$(dirname "$0")/common.sh"

scripts/setup.sh test
scripts/build.sh
say "Taking the screenshots (2 min)"
FONTCONFIG_FILE=$ROOT/tests/browser/support/fonts.conf \
    SORTIE_SERVER=$ROOT/target/release/sortie-server SORTIE_CAPTURE_AGENT=$ROOT/target/release/sortie-capture-agent \
    node tests/browser/screenshots.mjs docs/images
