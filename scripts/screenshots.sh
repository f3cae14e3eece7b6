#!/usr/bin/env bash
# Updates the screenshots in docs/images. They look best with Debian's package fonts-inter.
source "$(dirname "$0")/common.sh"

scripts/setup.sh test
scripts/build.sh
say "Taking the screenshots (2 min)"
export FONTCONFIG_FILE=$ROOT/tests/browser/support/fonts.conf
export SORTIE_SERVER=$ROOT/target/release/sortie-server SORTIE_CAPTURE_AGENT=$ROOT/target/release/sortie-capture-agent
node tests/browser/screenshots.mjs docs/images
node tests/browser/screenshots.mjs docs/images appliance
