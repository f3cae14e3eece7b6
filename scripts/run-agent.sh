#!/usr/bin/env bash
# Builds and starts the capture agent with a test pattern, at http://127.0.0.1:8080, with recordings in ./data/agent.
# SORTIE_CAPTURE_* variables that are set have precedence.
source "$(dirname "$0")/common.sh"

scripts/setup.sh agent
scripts/pages.sh
say "Building the capture agent"
cargo build --locked -p sortie-capture-agent

export SORTIE_CAPTURE_SOURCE=${SORTIE_CAPTURE_SOURCE:-test}
export SORTIE_CAPTURE_MODE=${SORTIE_CAPTURE_MODE:-1280x720@30}
export SORTIE_CAPTURE_HOST=${SORTIE_CAPTURE_HOST:-127.0.0.1}
export SORTIE_CAPTURE_DB=${SORTIE_CAPTURE_DB:-data/agent/agent.db}
export SORTIE_CAPTURE_PATH=${SORTIE_CAPTURE_PATH:-data/agent/recordings}
# The disk of a development machine is often fuller than the default threshold.
export SORTIE_CAPTURE_THRESHOLD_PERCENT=${SORTIE_CAPTURE_THRESHOLD_PERCENT:-0}
mkdir -p "$(dirname "$SORTIE_CAPTURE_DB")"
exec "$CARGO_TARGET_DIR/debug/sortie-capture-agent" serve
