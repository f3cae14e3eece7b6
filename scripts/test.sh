#!/usr/bin/env bash
# Runs all stages of checks and tests, or the given ones:
#
#   scripts/test.sh                    all stages
#   scripts/test.sh clippy native      two stages
#   scripts/test.sh fuzz               a minute for each fuzz target
#   scripts/test.sh long               the recorder offline and hidden for minutes, and eight hours at high speed
#   scripts/test.sh pages server agent js-client browser    the end-to-end tests
#
# After a failed stage the others still run. The summary and the exit code report the failure.
source "$(dirname "$0")/common.sh"

# Crates that run in the browser, and crates without I/O. Both are also built natively, because most of their tests need no
# browser.
BROWSER=(-p sortie-client -p sortie-frontend)
CORE=(-p sortie-api -p sortie-media -p sortie-tus)
# Features of the client, one for each WebAssembly module of the npm package.
JS_MODULES=js-recorder,js-recovery,js-session-watcher,js-playable,compose

stage_setup() { scripts/setup.sh test; }

stage_format() { cargo fmt --all --check; }

stage_deny() {
    # Without the long warnings about duplicate versions: `cargo deny check bans` prints them.
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
    # proptest needs a backend of getrandom: the runner provides a constant seed.
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER="node $ROOT/scripts/wasm-test-runner.mjs" \
        CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS='--cfg getrandom_backend="custom" -C link-arg=--allow-undefined' \
        cargo test --locked --lib --target "$WASM_TARGET" "${CORE[@]}"
}

stage_client-wasm() {
    # The browser's options are in client/webdriver.json. The runner's timeout covers all tests of a program.
    WASM_BINDGEN_TEST_TIMEOUT=180 \
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER=wasm-bindgen-test-runner \
        CHROMEDRIVER=${CHROMEDRIVER:-$(command -v chromedriver)} \
        cargo test --locked --target "$WASM_TARGET" -p sortie-client --features "$JS_MODULES"
}

# Folder of the programs for the end-to-end tests. It is in the clone, because clones may share the cache. Old programs are
# removed before a build, so that no test uses them after a failed build.
TESTED=$ROOT/target/tested

stage_server() {
    rm -f "$TESTED/sortie-server"
    cargo build --locked -p sortie-server
    mkdir -p "$TESTED"
    cp "$CARGO_TARGET_DIR/debug/sortie-server" "$TESTED/"
}

# Built separately: together with the server it would get the features of the server's storage backends.
stage_agent() {
    rm -f "$TESTED/sortie-capture-agent"
    cargo build --locked -p sortie-capture-agent
    mkdir -p "$TESTED"
    cp "$CARGO_TARGET_DIR/debug/sortie-capture-agent" "$TESTED/"
}

stage_faults() {
    # Two hundred kills, twenty more with SeaweedFS, traced system calls, network faults, full disks: about five minutes on
    # two busy cores. `make soak` kills more often.
    cargo build --locked --quiet -p sortie-faults
    SORTIE_SERVER=${SORTIE_SERVER:-$TESTED/sortie-server} \
        "$CARGO_TARGET_DIR/debug/sortie-faults" all --rounds 200
}

stage_release() { cargo build --locked --quiet --release -p sortie-server; }

stage_hostile() {
    # Uses the optimised program, because memory and speed of an unoptimised one mean little.
    cargo build --locked --quiet --release -p sortie-server
    cargo build --locked --quiet -p sortie-faults
    SORTIE_SERVER=$CARGO_TARGET_DIR/release/sortie-server "$CARGO_TARGET_DIR/debug/sortie-faults" hostile
}

stage_hdmi() {
    # Another build would replace the program while other tests use it.
    [[ ! -f $logs/agent.outcome ]] || export SORTIE_CAPTURE_AGENT=${SORTIE_CAPTURE_AGENT:-$TESTED/sortie-capture-agent}
    # Boots a virtual machine six times: three minutes on an idle core. The limit is larger than in `make test-hdmi`,
    # because the disk may be busy with other stages.
    scripts/hdmi.sh all --cuts 3 --limit 5000
}

# Not part of a full run; `make test-nightly` runs it.
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
        || die "There is no program to test. Run the stages server, agent and js-client first."
    node --test --test-concurrency=2 --test-reporter=spec tests/browser/*.test.mjs
}

stage_npm() {
    export SORTIE_SERVER=${SORTIE_SERVER:-$TESTED/sortie-server}
    [[ -x $SORTIE_SERVER ]] || die "There is no program to test. Run the stage server first."
    node_is_enough_for_tests || die "Vite needs Node 20.19 or newer; this is $(node --version)." "Run: scripts/setup.sh test"
    scripts/npm.sh "$TESTED/npm"
    scripts/npm-reference.sh "$TESTED/npm-reference"
    SORTIE_PYTHON=$(python_dir tests/npm/requirements.txt)/bin/python
    export SORTIE_NPM=$TESTED/npm SORTIE_PYTHON
    # Two files at a time, because they wait more than they compute. The others need all cores, or their share of them.
    local alone=(tests/npm/{hidden,starved}.test.mjs) files status=0
    mapfile -t files < <(printf '%s\n' tests/npm/*.test.mjs "${alone[@]}" | sort | uniq -u)
    node --test --test-concurrency=2 --test-reporter=spec "${files[@]}" || status=$?
    node --test --test-concurrency=1 --test-reporter=spec "${alone[@]}" || status=$?
    return "$status"
}

# Not part of a full run: repeats tests that last seconds there with realistic durations. Twelve minutes on two idle cores.
stage_long() {
    export SORTIE_SERVER=${SORTIE_SERVER:-$TESTED/sortie-server} SORTIE_CLIENT_JS=${SORTIE_CLIENT_JS:-$TESTED/client-js}
    export SORTIE_NPM=${SORTIE_NPM:-$TESTED/npm} SORTIE_LONG=1
    [[ -x $SORTIE_SERVER && -d $SORTIE_CLIENT_JS && -d $SORTIE_NPM ]] \
        || die "There is no program to test. Run the stages server, js-client and npm first."
    node --test --test-concurrency=1 --test-reporter=spec \
        tests/browser/recorder-{faults,hours}.test.mjs tests/npm/hidden.test.mjs
}

stage_conformance() {
    export SORTIE_SERVER=${SORTIE_SERVER:-$TESTED/sortie-server}
    [[ -x $SORTIE_SERVER ]] || die "There is no program to test. Run the stage server first."
    SORTIE_PYTHON=$(python_dir tests/conformance/requirements.txt)/bin/python \
        node --test --test-concurrency=1 --test-reporter=spec tests/conformance/*.test.mjs
}

stage_deploy() {
    export SORTIE_SERVER=${SORTIE_SERVER:-$TESTED/sortie-server}
    [[ -x $SORTIE_SERVER ]] || die "There is no program to test. Run the stage server first."
    local tools
    tools=$(python_dir tests/deploy/requirements.txt)
    (cd tests/deploy && "$tools/bin/python" -B -m unittest chart_test host_test image_test)
}

stage_openapi() {
    export SORTIE_SERVER=${SORTIE_SERVER:-$TESTED/sortie-server}
    [[ -x $SORTIE_SERVER ]] || die "There is no program to test. Run the stage server first."
    scripts/openapi.sh
}

# Steps of a full run. Lanes separated by `|` run in parallel: some stages compile while others wait for frames, timeouts
# and retries. Stages that depend on timing are in the first lane; the second one has a lower priority.
#   pages, js-client  use one core for minutes; the stages beside them use other build folders
#   server, agent     embed the pages; all browser tests need them
#   release           compiles while the other lane tests; `hostile` needs it
#   hostile           measures memory and requires responses within a second
#   hdmi              emulates a machine, too slow in parallel with other stages
STEPS=(
    "setup"
    "format deny audit"
    "pages | clippy-wasm core-wasm client-wasm"
    "js-client | server agent"
    "browser npm conformance deploy openapi release faults | clippy docs native postgres"
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
        setup) echo "install missing tools and packages" ;;
        format) echo "rustfmt" ;;
        deny) echo "licences, sources and versions of dependencies" ;;
        audit) echo "security advisories" ;;
        pages) echo "build the pages" ;;
        clippy-wasm) echo "clippy for the browser crates" ;;
        clippy) echo "clippy for all crates, native" ;;
        docs) echo "build the documentation, check its links" ;;
        native) echo "unit, property and integration tests" ;;
        postgres) echo "server tests with PostgreSQL" ;;
        core-wasm) echo "unit tests of the crates without I/O, as WebAssembly" ;;
        client-wasm) echo "client tests in Chromium" ;;
        server) echo "build the server with embedded pages" ;;
        agent) echo "build the capture agent with embedded pages" ;;
        long) echo "recorder tests of realistic length: a minute offline, two minutes hidden, eight hours" ;;
        fuzz) echo "fuzz the parsers of untrusted input, a minute each" ;;
        faults) echo "kills, order of system calls, full disks, network faults" ;;
        release) echo "build the optimised server" ;;
        hostile) echo "hostile input in 512 MiB: crafted files, floods, idle and trickling connections" ;;
        hdmi) echo "capture agent in a virtual machine: HDMI signal changes, power cuts" ;;
        js-client) echo "build the client for JavaScript" ;;
        browser) echo "end-to-end tests with a real server and browser" ;;
        npm) echo "npm package in real projects: Vite, webpack, noVNC" ;;
        conformance) echo "third-party tus clients against the real server" ;;
        openapi) echo "API against its OpenAPI description, with schemathesis" ;;
        deploy) echo "Helm chart, image, Compose file and systemd units" ;;
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

# run_stage NAME: runs a stage and writes its status and duration to $logs/NAME.outcome.
run_stage() {
    local name=$1 begun=$SECONDS status took
    # In a subshell and outside a condition, so that `set -e` is in force.
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

# run_lane NICENESS NAME...: runs stages one after the other, in parallel with other lanes. The output of a stage is printed
# when it has ended.
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

# run_beside LANE|LANE: runs lanes in parallel. The first one has priority.
run_beside() {
    local niceness=0 lane names
    while read -ra names; do
        # A process group per lane, so that an interrupt ends the whole lane.
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
        # Without the tools every other stage would fail too.
        [[ ! -f $logs/setup.outcome || $(<"$logs/setup.outcome") == 0* ]] || break
    done
fi

say "Summary"
ran=0
skipped=()
failed=()
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
        failed+=("$name")
    fi
    ran=$((ran + 1))
    printf '  %s %-12s %12s   %s%s\n' "$mark" "$name" "$took" "$(describe "$name")" "$note"
done
# At the end, where a reader of a long log looks first: which tests failed and why, as Node.js and Cargo print them. The
# whole output is above.
for name in "${failed[@]}"; do
    printf '%s✗ %s failed:%s\n' "$RED" "$name" "$PLAIN"
    [[ -f $logs/$name.log ]] || continue
    grep -aE -A 2 '^ *✖ |^ *(AssertionError|TypeError|TimeoutError|Error)\b|^test .*FAILED$|panicked at |^failed: |^error' "$logs/$name.log" \
        | cut -c 1-300 | awk '$0 != "--" && !seen[$0]++' | head -n 40 | sed 's/^ */      /' || true
done
total=$(human_seconds $((SECONDS - started)))
if ((${#failed[@]} > 0 || ran < ${#wanted[@]})); then
    printf '%s✗ %d of %d stages failed, %d did not run, %s%s\n' \
        "$RED" "${#failed[@]}" "${#wanted[@]}" $((${#wanted[@]} - ran)) "$total" "$PLAIN"
    exit 1
fi
if ((${#skipped[@]} > 0)); then
    printf '%s– did not run: %s%s\n' "$RED" "${skipped[*]}" "$PLAIN"
    # A stage given on the command line must run.
    (($# == 0)) || exit "$DID_NOT_RUN"
fi
printf '%s✓ %d of %d stages passed, %s%s\n' "$GREEN" "$((ran - ${#skipped[@]}))" "$ran" "$total" "$PLAIN"
