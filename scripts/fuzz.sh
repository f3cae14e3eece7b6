#!/usr/bin/env bash
# Fuzzes the parsers of untrusted input, one target after the other:
#
#   scripts/fuzz.sh                    every target for a minute
#   scripts/fuzz.sh indexer headers    only these
#   SECONDS_EACH=3600 scripts/fuzz.sh  for an hour each
#
# Runs on stable Rust, without a sanitizer: the instrumentation of libFuzzer is a pass of LLVM.
# Crashing inputs are written to the crate's fuzz/artifacts folder. The corpus is in the cache and grows with every run.
source "$(dirname "$0")/common.sh"

SECONDS_EACH=${SECONDS_EACH:-60}
[[ $SECONDS_EACH =~ ^[1-9][0-9]*$ ]] || die "SECONDS_EACH must be a number of seconds, not '$SECONDS_EACH'."

CORPUS=$SORTIE_CACHE/fuzz
# A separate folder: the instrumentation changes the build of every dependency.
FUZZ_TARGET_DIR=$SORTIE_CACHE/target-fuzz
HOST=$(rustc -vV | sed -n 's/^host: //p')
INSTRUMENTATION=(-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Cdebug-assertions -Ccodegen-units=1)

# Two bytes that select the options and the chunk size, then a real recording.
seed_indexer() {
    local recording flags
    for recording in media/tests/data/*.{webm,mkv,mp4}; do
        for flags in '\0' '\1' '\2' '\4' '\6'; do
            { printf "$flags"'d'; cat "$recording"; } >"$1/$(basename "$recording")-${flags#\\}"
        done
    done
}

# Start and length of a clip, then a finished recording.
seed_clip() {
    local recording
    for recording in media/tests/data/*.{webm,mkv,mp4}; do
        cargo run --quiet -p sortie-media --example finish -- "$recording" "$1/finished" >/dev/null
        { printf '\0\144\0\310'; cat "$1/finished"; } >"$1/$(basename "$recording")"
    done
    rm "$1/finished"
}

# No length, so that the whole recording is copied.
seed_remux() {
    local recording
    for recording in media/tests/data/*.{webm,mkv}; do
        cargo run --quiet -p sortie-media --example finish -- "$recording" "$1/finished" >/dev/null
        { printf '\0\0\0\0'; cat "$1/finished"; } >"$1/$(basename "$recording")"
    done
    rm "$1/finished"
}

# Extensions, method, state of the upload and offset, then headers.
seed_headers() {
    local version='tus-resumable: 1.0.0'
    local body='content-type: application/offset+octet-stream'
    printf '\377\0\0\0%s\nupload-defer-length: 1\nupload-metadata: filename d29ybGQ=,protected\n%s\n' \
        "$version" "$body" >"$1/deferred"
    printf '\377\0\0\0%s\nupload-length: 5\nupload-checksum: crc32c AAAAAA==\n%s\ncontent-length: 5\n' \
        "$version" "$body" >"$1/with-upload"
    printf '\377\1\0\3%s\nupload-offset: 3\nupload-length: 5\n%s\n' "$version" "$body" >"$1/append"
    printf '\377\0\0\0%s\nupload-concat: final;/api/uploads/a https://here/api/uploads/b\n' \
        "$version" >"$1/final"
    printf '\377\0\0\0%s\nupload-concat: partial\nupload-length: 10\nx-http-method-override: PATCH\n' \
        "$version" >"$1/partial"
}

# Chunk size, then a form.
seed_form() {
    local id='Content-Disposition: form-data; name="recording_id"'
    local file='Content-Disposition: form-data; name="file"; filename="a.webm"\r\nContent-Type: video/webm'
    printf 'd--b\r\n%s\r\n\r\n0190\r\n--b\r\n'"$file"'\r\n\r\nbytes\r\n--b--\r\n' "$id" >"$1/whole"
    printf '\1--b\r\n%s\r\n\r\n0190\r\n--b\r\n'"$file"'\r\n\r\n\r\n--\r\n--b--' "$id" >"$1/almost"
    printf '\3--b\r\n%s\r\n\r\na\r\n--b\r\n%s\r\n\r\nb\r\n--b--\r\n' "$id" "$id" >"$1/twice"
    printf '\3--b\r\n'"$file"'\r\n\r\nbytes\r\n--b--\r\n' >"$1/nameless"
}

fuzz() {
    local crate=$1 target=$2 max_len=$3 corpus=$CORPUS/$2
    mkdir -p "$corpus"
    "seed_$target" "$corpus"
    say "$target: $(human_seconds "$SECONDS_EACH")"
    mkdir -p "$crate/fuzz/artifacts/$target"
    (
        cd "$crate/fuzz"
        RUSTFLAGS="${INSTRUMENTATION[*]}" CARGO_TARGET_DIR=$FUZZ_TARGET_DIR \
            cargo build --quiet --release --target "$HOST" --bin "$target"
        "$FUZZ_TARGET_DIR/$HOST/release/$target" "$corpus" -artifact_prefix="artifacts/$target/" \
            -max_total_time="$SECONDS_EACH" -max_len="$max_len" -timeout=10 -rss_limit_mb=2048 \
            -print_final_stats=1 -verbosity=0
    ) || die "The target '$target' found a failure." "See $crate/fuzz/artifacts/$target."
}

targets=("$@")
((${#targets[@]} > 0)) || targets=(indexer clip remux headers form)
for target in "${targets[@]}"; do
    case $target in
        indexer) fuzz media indexer 40000 ;;
        clip) fuzz media clip 48000 ;;
        remux) fuzz media remux 48000 ;;
        headers) fuzz tus headers 4096 ;;
        form) fuzz server form 4096 ;;
        *) die "There is no fuzz target '$target'." "Targets: indexer clip remux headers form" ;;
    esac
done
