#!/usr/bin/env bash
# Builds and starts the server with recording enabled, SQLite and local storage in ./data. SORTIE_* variables that are set
# have precedence.
source "$(dirname "$0")/common.sh"

scripts/build.sh server

export SORTIE_VIDEO_RECORDING_ENABLED=${SORTIE_VIDEO_RECORDING_ENABLED:-true}
export SORTIE_HOST=${SORTIE_HOST:-127.0.0.1}
export SORTIE_DB=${SORTIE_DB:-data/sortie.db}
export SORTIE_RECORDING_STORAGE_PATH=${SORTIE_RECORDING_STORAGE_PATH:-data/recordings}
mkdir -p "$(dirname "$SORTIE_DB")"
exec target/release/sortie-server
