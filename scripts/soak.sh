#!/usr/bin/env bash
# Kills the server KILLS (2000) times during concurrent uploads. Every acknowledged byte must survive.
#
#   KILLS=20000 scripts/soak.sh --seed 7     with another seed than the default
source "$(dirname "$0")/common.sh"

KILLS=${KILLS:-2000}
[[ $KILLS =~ ^[1-9][0-9]*$ ]] || die "KILLS must be a number, not '$KILLS'."

cargo build --locked --quiet -p sortie-server -p sortie-faults
exec "$CARGO_TARGET_DIR/debug/sortie-faults" kill --rounds "$KILLS" "$@"
