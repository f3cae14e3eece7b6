#!/usr/bin/env bash
# Builds target/release/sortie-server and, if GStreamer's development files are installed,
# target/release/sortie-capture-agent: optimised, with the pages embedded. Does nothing if their sources have not changed.
#
#   scripts/build.sh           both
#   scripts/build.sh server    the server only
source "$(dirname "$0")/common.sh"

wanted=${1:-all}
[[ $wanted =~ ^(all|server)$ ]] || die "usage: scripts/build.sh [server]"

scripts/setup.sh run
scripts/pages.sh

mkdir -p target/release
# Another clone may share the cache and must not replace a program before it is copied.
exec 9>"$CACHE/release.lock"

# build PROGRAM NAME FOLDER...: builds a program from these folders.
build() {
    local program=$1 what=$2 binary=target/release/$1 stamp=target/${1#sortie-}.stamp now
    shift 2
    now="$(content_hash "$@" Cargo.toml Cargo.lock) $(rustc --version)"
    if [[ -x $binary && -f $stamp && $(<"$stamp") == "$now" ]]; then
        return
    fi
    say "Building $what (5 min the first time on two cores)"
    rm -f "$stamp"
    flock -n 9 || { say "Waiting for another build to finish" && flock 9; }
    cargo build --release --locked -p "$program"
    cp "$CARGO_TARGET_DIR/release/$program" "$binary.new"
    mv "$binary.new" "$binary"
    printf '%s\n' "$now" >"$stamp"
    flock -u 9
}

# Requirements of the agent besides Rust: GStreamer, and libclang for the bindings to V4L2.
has_gstreamer() { pkg-config --exists gstreamer-1.0 gstreamer-app-1.0 gstreamer-video-1.0 2>/dev/null; }
has_libclang() { [[ -n ${LIBCLANG_PATH:-} ]] || PATH=$PATH:/usr/sbin:/sbin ldconfig -p | grep libclang >/dev/null || compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null; }

build sortie-server "the server" server api media tus dist
[[ $wanted == all ]] || exit 0
if has_gstreamer && has_libclang; then
    build sortie-capture-agent "the capture agent" capture-agent server api media tus dist
else
    say "Skipping the capture agent: it needs GStreamer's development files and libclang (scripts/setup.sh agent)"
fi
