#!/usr/bin/env bash
# Runs the real capture agent in a virtual machine with an emulated HDMI input and cuts its power.
#
#   scripts/hdmi.sh                     CUTS (50) power cuts
#   scripts/hdmi.sh cuts --cuts 5 --seed 7
#   scripts/hdmi.sh signal              changes of the signal
#   scripts/hdmi.sh ustreamer           ustreamer owns the input
source "$(dirname "$0")/common.sh"

for program in qemu-system-x86_64 ffprobe mke2fs; do
    PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null \
        || die "$program is missing. Run: make setup"
done
SORTIE_HDMI_GUEST=$(scripts/hdmi-guest.sh)
export SORTIE_HDMI_GUEST

cargo build --locked --quiet -p sortie-hdmi
if [[ -z ${SORTIE_CAPTURE_AGENT:-} ]]; then
    cargo build --locked --quiet -p sortie-capture-agent
fi

# The guest would take minutes to scan GStreamer's plugins, so it uses the host's registry of them.
export GST_REGISTRY=$CACHE/hdmi/gstreamer-registry.bin
gst-inspect-1.0 >/dev/null

(($# > 0)) || set -- cuts --cuts "${CUTS:-50}"
exec "$CARGO_TARGET_DIR/debug/sortie-hdmi" "$@"
