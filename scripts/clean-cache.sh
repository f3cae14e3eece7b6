#!/usr/bin/env bash
# Removes what setup and the builds keep outside the clone.
source "$(dirname "$0")/common.sh"

# Named one by one: the folder may be shared with something else by mistake.
for part in target tools tools-build npm setup.lock release.lock; do
    if [[ -e $CACHE/$part ]]; then
        say "Removing $CACHE/$part"
        rm -rf "${CACHE:?}/$part"
    fi
done
