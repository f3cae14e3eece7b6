#!/usr/bin/env bash
# Removes the tools and build products outside the clone.
source "$(dirname "$0")/common.sh"

# Only known names: the folder may contain other data by mistake.
for part in target tools tools-build npm setup.lock release.lock; do
    if [[ -e $CACHE/$part ]]; then
        say "Removing $CACHE/$part"
        rm -rf "${CACHE:?}/$part"
    fi
done
