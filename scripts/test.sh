#!/usr/bin/env bash
# Checks and tests everything, or only the stages that are named:
#
#   scripts/test.sh                    all of it
#   scripts/test.sh clippy native      these two
#   scripts/test.sh fuzz               a minute for each fuzz target; needs nightly Rust
#   scripts/test.sh long               the recorder, offline and hidden for minutes, and for eight hours at speed
#   scripts/test.sh pages server agent js-client browser    the end-to-end tests
#
# A failed stage does not stop the ones after it; the summary and the exit code tell.
source "$(dirname "$0")/common.sh"

# What runs in the browser, and what does no I/O. All of it is built natively too:
# most of its tests need no browser.
BROWSER=(-p sortie-client -p sortie-frontend)
CORE=(-p sortie-api -p sortie-media -p sortie-tus)
# Features of the client, one for each WebAssembly module of the npm package.
JS_MODULES=js-recorder,js-recovery,js-session-watcher,js-playable

stage_setup() { scripts/setup.sh test; }

stage_format() { cargo fmt --all --check; }

stage_deny() {
    # Duplicate versions are warnings, and long: `cargo deny check bans` lists them.
    cargo deny --log-level error check bans licenses sources
}

stage_audit() { scripts/audit.sh; }

stage_pages() { scripts/pages.sh; }

stage_clippy() { cargo clippy --locked --quiet --workspace --all-targets -- -D warnings; }

stage_clippy-wasm() {
    cargo clippy --locked --quiet --target "$WASM_TARGET" "${BROWSER[@]}" --all-targets -- -D warnings \
        && cargo clippy --locked --quiet --target "$WASM_TARGET" -p sortie-client --features "$JS_MODULES" -- -D warnings
}

stage_docs() {
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --quiet --no-deps --document-private-items --workspace \
        && RUSTDOCFLAGS="-D warnings" cargo doc --locked --quiet --no-deps --document-private-items --target "$WASM_TARGET" "${BROWSER[@]}"
}

stage_native() { node scripts/cargo-tests.mjs; }

stage_postgres() { node scripts/cargo-tests.mjs postgres; }

stage_core-wasm() {
    # getrandom's backend is proptest's: the runner hands it a fixed seed.
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER="node $ROOT/scripts/wasm-test-runner.mjs" \
        CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS='--cfg getrandom_backend="custom" -C link-arg=--allow-undefined' \
        cargo test --locked --lib --target "$WASM_TARGET" "${CORE[@]}"
}

stage_client-wasm() {
    # Options of the browser are in client/webdriver.json. The runner's limit is for all tests of a program together.
    WASM_BINDGEN_TEST_TIMEOUT=180 \
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=wasm-bindgen-test-runner \
        CHROMEDRIVER=${CHROMEDRIVER:-$(command -v chromedriver)} \
        cargo test --locked --target "$WASM_TARGET" -p sortie-client --features "$JS_MODULES"
}

# What is tested end to end is put into the clone first: the cache may be shared
# with another one, and a build that failed must not leave an older result behind.
TESTED=$ROOT/target/tested

stage_server() {
    rm -f "$TESTED/sortie-server"
    cargo build --locked -p sortie-server
    mkdir -p "$TESTED"
    cp "$CARGO_TARGET_DIR/debug/sortie-server" "$TESTED/"
}

# By itself: built together with the server it would get the server's heavy back ends.
stage_agent() {
    rm -f "$TESTED/sortie-capture-agent"
    cargo build --locked -p sortie-capture-agent
    mkdir -p "$TESTED"
    cp "$CARGO_TARGET_DIR/debug/sortie-capture-agent" "$TESTED/"
}

stage_faults() {
    # Two hundred kills and twenty with SeaweedFS, a traced server, bad networks, full disks: about five minutes on
    # two busy cores. `make soak` kills more often.
    cargo build --locked --quiet -p sortie-faults
    SORTIE_SERVER=${SORTIE_SERVER:-$TESTED/sortie-server} \
        "$CARGO_TARGET_DIR/debug/sortie-faults" all --rounds 200
}

stage_hostile() {
    # The program as it is delivered: memory and speed of an unoptimised one say little. A plain run builds it after
    # everything else, so that its dependencies come from the cache.
    cargo build --locked --quiet --release -p sortie-server
    cargo build --locked --quiet -p sortie-faults
    SORTIE_SERVER=$CARGO_TARGET_DIR/release/sortie-server "$CARGO_TARGET_DIR/debug/sortie-faults" hostile
}

stage_hdmi() {
    # Building it again, beside other tests, would change the program under them.
    [[ ! -f $logs/agent.outcome ]] || export SORTIE_CAPTURE_AGENT=${SORTIE_CAPTURE_AGENT:-$TESTED/sortie-capture-agent}
    # Six starts of an emulated machine: three minutes on an idle core. `make test-hdmi` cuts more often, and holds the
    # agent to the second that is promised; here the disk may have to wait for others.
    scripts/hdmi.sh all --cuts 3 --limit 5000
}

# Not in a plain run: it needs a nightly Rust. `make test-nightly` runs it.
stage_fuzz() { scripts/fuzz.sh; }

stage_js-client() {
    rm -rf "$TESTED/client-js"
    scripts/js-client.sh "$TESTED/client-js"
}

stage_browser() {
    export SORTIE_SERVER=${SORTIE_SERVER:-$TESTED/sortie-server}
    export SORTIE_CLIENT_JS=${SORTIE_CLIENT_JS:-$TESTED/client-js}
    export SORTIE_CAPTURE_AGENT=${SORTIE_CAPTURE_AGENT:-$TESTED/sortie-capture-agent}
    [[ -x $SORTIE_SERVER && -x $SORTIE_CAPTURE_AGENT && -d $SORTIE_CLIENT_JS ]] \
        || die "There is nothing to test: run the stages server, agent and js-client first."
    node --test --test-concurrency=1 --test-reporter=spec tests/browser/*.test.mjs
}

stage_npm() {
    export SORTIE_SERVER=${SORTIE_SERVER:-$TESTED/sortie-server}
    [[ -x $SORTIE_SERVER ]] || die "There is nothing to test: run the stage server first."
    node_is_enough_for_tests || die "Vite needs Node 20.19 or newer; this is $(node --version)." "Run: scripts/setup.sh test"
    scripts/npm.sh "$TESTED/npm"
    scripts/npm-reference.sh "$TESTED/npm-reference"
    SORTIE_NPM=$TESTED/npm SORTIE_PYTHON=$(python_dir tests/npm/requirements.txt)/bin/python \
        node --test --test-concurrency=1 --test-reporter=spec tests/npm/*.test.mjs
}

# Not in a plain run: what is shown there in seconds, for as long as people record. Twelve minutes on two idle cores.
stage_long() {
    export SORTIE_SERVER=${SORTIE_SERVER:-$TESTED/sortie-server} SORTIE_CLIENT_JS=${SORTIE_CLIENT_JS:-$TESTED/client-js}
    export SORTIE_NPM=${SORTIE_NPM:-$TESTED/npm} SORTIE_LONG=1
    [[ -x $SORTIE_SERVER && -d $SORTIE_CLIENT_JS && -d $SORTIE_NPM ]] \
        || die "There is nothing to test: run the stages server, js-client and npm first."
    node --test --test-concurrency=1 --test-reporter=spec \
        tests/browser/recorder-{faults,hours}.test.mjs tests/npm/hidden.test.mjs
}

stage_conformance() {
    export SORTIE_SERVER=${SORTIE_SERVER:-$TESTED/sortie-server}
    [[ -x $SORTIE_SERVER ]] || die "There is nothing to test: run the stage server first."
    SORTIE_PYTHON=$(python_dir tests/conformance/requirements.txt)/bin/python \
        node --test --test-concurrency=1 --test-reporter=spec tests/conformance/*.test.mjs
}

stage_deploy() {
    export SORTIE_SERVER=${SORTIE_SERVER:-$TESTED/sortie-server}
    [[ -x $SORTIE_SERVER ]] || die "There is nothing to test: run the stage server first."
    local tools
    tools=$(python_dir tests/deploy/requirements.txt)
    (cd tests/deploy && "$tools/bin/python" -B -m unittest chart_test host_test image_test)
}

stage_openapi() {
    export SORTIE_SERVER=${SORTIE_SERVER:-$TESTED/sortie-server}
    [[ -x $SORTIE_SERVER ]] || die "There is nothing to test: run the stage server first."
    scripts/openapi.sh
}

# A plain run, step by step; what is separated by `|` runs side by side. Some stages compile and others wait for pictures,
# silences and retries: together they take little longer than the longer one. What measures time is in the first lane,
# and what is in the second one is content with the rest of the machine.
#   pages, js-client  one core for minutes, and a build folder of their own, as what runs beside them has
#   server, agent     embed the pages; all that runs in a browser needs them
#   hostile           measures memory and answers within a second
#   hdmi              emulates a machine, which is too slow beside anything else
STEPS=(
    "setup"
    "format deny audit"
    "pages | clippy-wasm core-wasm client-wasm"
    "js-client | server agent"
    "browser npm | clippy docs native postgres faults conformance deploy openapi"
    "hostile"
    "hdmi"
)
STAGES=()
for step in "${STEPS[@]}"; do
    read -ra names <<<"${step//|/}"
    STAGES+=("${names[@]}")
done

describe() {
    case $1 in
        setup) echo "install what is missing" ;;
        format) echo "rustfmt" ;;
        deny) echo "licences, sources and versions of dependencies" ;;
        audit) echo "security advisories" ;;
        pages) echo "build the pages" ;;
        clippy-wasm) echo "clippy, what runs in the browser" ;;
        clippy) echo "clippy, everything, natively" ;;
        docs) echo "documentation builds without a broken link" ;;
        native) echo "unit, property and integration tests" ;;
        postgres) echo "the server's tests again, on PostgreSQL" ;;
        core-wasm) echo "the crates without I/O, tested as WebAssembly" ;;
        client-wasm) echo "client tests in Chromium" ;;
        server) echo "build the server with the pages inside" ;;
        agent) echo "build the capture agent with the pages inside" ;;
        long) echo "the recorder's faults at full length: a minute offline, two minutes hidden, eight hours" ;;
        fuzz) echo "fuzz what reads strangers' bytes, a minute each" ;;
        faults) echo "kills, system calls, full disks, bad networks" ;;
        hostile) echo "hostile input in 512 MiB: crafted files, floods, idle and trickling connections" ;;
        hdmi) echo "the capture agent in a virtual machine: changes of its HDMI signal, power cuts" ;;
        js-client) echo "build the client for JavaScript" ;;
        browser) echo "end to end: real server, real browser" ;;
        npm) echo "the npm package in real projects: Vite, webpack, noVNC" ;;
        conformance) echo "tus clients of others against the real server" ;;
        openapi) echo "the API against its own description, with schemathesis" ;;
        deploy) echo "Helm chart, image, Compose and systemd, each by its own tools" ;;
    esac
}

wanted=("$@")
((${#wanted[@]} > 0)) || wanted=("${STAGES[@]}")
for name in "${wanted[@]}"; do
    declare -F "stage_$name" >/dev/null || die "There is no stage '$name'." "Stages: ${STAGES[*]}"
done

logs=$(mktemp -d)
lanes=()
end() {
    local lane
    for lane in "${lanes[@]}"; do kill -TERM -- "-$lane" 2>/dev/null || true; done
    rm -rf "$logs"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# run_stage NAME: what came of it and how long it took is in $logs/NAME.outcome then.
run_stage() {
    local name=$1 begun=$SECONDS status took
    # A subshell of its own, outside any condition, so that `set -e` holds in it.
    set +e
    (
        set -e
        "stage_$name"
    )
    status=$?
    set -e
    took=$(human_seconds $((SECONDS - begun)))
    if ((status == 0)); then
        printf '%s✓ %s, %s%s\n\n' "$GREEN" "$name" "$took" "$PLAIN"
    elif ((status == DID_NOT_RUN)); then
        printf '%s– %s DID NOT RUN, %s%s\n\n' "$RED" "$name" "$took" "$PLAIN"
    else
        printf '%s✗ %s failed (exit code %d), %s%s\n\n' "$RED" "$name" "$status" "$took" "$PLAIN"
    fi
    echo "$status|$took" >"$logs/$name.outcome"
}

# run_lane NICENESS NAME...: these one after the other, beside other lanes. What a stage says comes in one piece, when
# it has ended.
run_lane() {
    local niceness=$1 name
    shift
    renice -n "$niceness" -p "$BASHPID" >/dev/null
    for name in "$@"; do
        { flock 9 && say "$name begins"; } 9<"$logs"
        run_stage "$name" &>"$logs/$name.log"
        { flock 9 && say "$name: $(describe "$name")" && cat "$logs/$name.log"; } 9<"$logs"
    done
}

# run_beside LANE|LANE: lanes at the same time. Where the machine has not enough for both, the first one goes first.
run_beside() {
    local niceness=0 lane names
    while read -ra names; do
        # A group of processes of its own, so that an interrupt ends all of it.
        set -m
        run_lane "$niceness" "${names[@]}" </dev/null &
        lanes+=($!)
        set +m
        niceness=5
    done < <(tr '|' '\n' <<<"$1")
    for lane in "${lanes[@]}"; do wait "$lane" || true; done
    lanes=()
}

started=$SECONDS
if (($# > 0)); then
    for name in "$@"; do
        say "$name: $(describe "$name")"
        run_stage "$name"
    done
else
    for step in "${STEPS[@]}"; do
        if [[ $step == *'|'* ]]; then
            run_beside "$step"
        else
            for name in $step; do
                say "$name: $(describe "$name")"
                run_stage "$name"
            done
        fi
        # Without its tools every other stage would only repeat the complaint.
        [[ ! -f $logs/setup.outcome || $(<"$logs/setup.outcome") == 0* ]] || break
    done
fi

say "Summary"
failed=0
ran=0
skipped=()
for name in "${wanted[@]}"; do
    [[ -f $logs/$name.outcome ]] || continue
    IFS='|' read -r status took <"$logs/$name.outcome"
    mark="$GREEN✓$PLAIN"
    note=
    if ((status == DID_NOT_RUN)); then
        mark="$RED–$PLAIN"
        note=" (DID NOT RUN: see above)"
        skipped+=("$name")
    elif ((status != 0)); then
        mark="$RED✗$PLAIN"
        failed=$((failed + 1))
    fi
    ran=$((ran + 1))
    printf '  %s %-12s %12s   %s%s\n' "$mark" "$name" "$took" "$(describe "$name")" "$note"
done
total=$(human_seconds $((SECONDS - started)))
if ((failed > 0 || ran < ${#wanted[@]})); then
    printf '%s✗ %d of %d stages failed, %d did not run, %s%s\n' \
        "$RED" "$failed" "${#wanted[@]}" $((${#wanted[@]} - ran)) "$total" "$PLAIN"
    exit 1
fi
if ((${#skipped[@]} > 0)); then
    printf '%s– did not run: %s%s\n' "$RED" "${skipped[*]}" "$PLAIN"
    # A stage that was asked for by name has to run.
    (($# == 0)) || exit "$DID_NOT_RUN"
fi
printf '%s✓ %d of %d stages passed, %s%s\n' "$GREEN" "$((ran - ${#skipped[@]}))" "$ran" "$total" "$PLAIN"
