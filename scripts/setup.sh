#!/usr/bin/env bash
# Installs missing tools and packages. Prints nothing if all are installed.
#
#   scripts/setup.sh run    to build and run the server
#   scripts/setup.sh agent  also to build and run the capture agent
#   scripts/setup.sh test   also to run the tests
source "$(dirname "$0")/common.sh"

purpose=${1:-run}
[[ $purpose =~ ^(run|agent|test)$ ]] || die "usage: scripts/setup.sh run|agent|test"

NODE_MIN=18

TEST_PACKAGES=(
    chromium chromium-driver fonts-dejavu-core
    ffmpeg libfaketime mkvtoolnix postgresql strace
    buildah lintian
    python3 python3-pip
    firefox-esr libwebkit2gtk-4.1-0 tigervnc-standalone-server
    pulseaudio pulseaudio-utils
)
AGENT_PACKAGES=(
    libclang-dev libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev pkg-config
    gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good
    gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly v4l-utils
    qemu-system-x86 busybox-static e2fsprogs curl procps ustreamer mosquitto
)

has() { command -v "$1" >/dev/null 2>&1; }

node_is_new_enough() { node_is_at_least "$NODE_MIN" 0; }

debian_packages() {
    local wanted=() missing=() package
    has cc || wanted+=(build-essential)
    # Node need not be Debian's package.
    node_is_new_enough || wanted+=(nodejs)
    has npm || wanted+=(npm)
    [[ $purpose == run ]] || wanted+=("${AGENT_PACKAGES[@]}")
    [[ $purpose != test ]] || wanted+=("${TEST_PACKAGES[@]}")
    # Python need not be Debian's package either. Debian has `venv` in a separate package.
    [[ $purpose != test ]] || python3 -c 'import ensurepip, venv' 2>/dev/null || wanted+=(python3-venv)

    if ! has dpkg-query; then
        # Not Debian: tools are checked by name, libraries by the build.
        ((${#wanted[@]} == 0)) || [[ $purpose == test ]] \
            || die "Please install: ${wanted[*]} (Debian's names)."
        return
    fi
    for package in "${wanted[@]}"; do
        [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
    done
    if ((${#missing[@]} > 0)); then
        if ((EUID != 0)); then
            die "Debian packages are missing. An administrator must run:" "" \
                "sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]}" "" \
                "Then run the same make command again."
        fi
        say "Installing Debian packages: ${missing[*]} (1 to 5 min)"
        apt-get update -q
        DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends "${missing[@]}"
    fi
    node_is_new_enough || die "Node $NODE_MIN or newer is needed; this is $(node --version 2>/dev/null || echo none)."
}

rust() {
    has cargo || has rustup || die "Rust is missing. Install it with rustup (https://rustup.rs), then run this again."
    if ! cargo --version >/dev/null 2>&1; then
        say "Installing the stable Rust toolchain (1 min)"
        rustup toolchain install stable --profile minimal
    fi
    local need have
    need=$(awk -F'"' '/^rust-version/ { print $2; exit }' Cargo.toml)
    have=$(rustc --version | cut -d' ' -f2)
    [[ $(printf '%s\n%s\n' "$need" "$have" | sort -V | head -1) == "$need" ]] \
        || die "Rust $need or newer is needed; this is $have." "Run: rustup update stable"

    if [[ ! -d $(rustc --print sysroot)/lib/rustlib/$WASM_TARGET ]]; then
        say "Installing Rust's WebAssembly target (5 s)"
        rustup target add "$WASM_TARGET"
    fi
    [[ $purpose == test ]] || return 0
    cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
    cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
}

# cargo_tool CRATE VERSION FOLDER PROGRAM DURATION [INSTALL OPTIONS...]
cargo_tool() {
    local crate=$1 version=$2 folder=$TOOLS/$3 program=$4 duration=$5
    shift 5
    [[ ! -x $folder/bin/$program ]] || return 0
    say "Building $crate $version ($duration on two cores, once)"
    # These tools run for seconds, so a fast build matters more than a fast program. They share a target folder, because
    # they have dependencies in common.
    CARGO_TARGET_DIR=$CACHE/tools-build \
        CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        cargo install "$crate" --version "$version" --root "$folder" --no-track --quiet "$@"
}

# npm_packages FOLDER NAME: installs the packages of FOLDER/package-lock.json in the cache and links them from FOLDER.
npm_packages() {
    local folder=$1 what=$2 target
    target=$(npm_dir "$folder")
    if [[ ! -d $target/node_modules ]]; then
        say "Installing $what (npm, 10 s)"
        rm -rf "$target" "$target.partial"
        mkdir -p "$target.partial"
        cp "$folder/package.json" "$folder/package-lock.json" "$target.partial/"
        (cd "$target.partial" && npm ci --no-audit --no-fund --loglevel=error)
        mv "$target.partial" "$target"
    fi
    [[ $(readlink "$folder/node_modules" 2>/dev/null) == "$target/node_modules" ]] \
        || { rm -rf "$folder/node_modules" && ln -s "$target/node_modules" "$folder/node_modules"; }
}

# python_packages FILE NAME [OPTIONS OF pip install...]: installs the packages of FILE in an environment in the cache.
python_packages() {
    local file=$1 what=$2 target
    shift 2
    target=$(python_dir "$file")
    [[ ! -x $target/bin/python ]] || return 0
    say "Installing $what (pip, 20 s)"
    rm -rf "$target" "$target.partial"
    python3 -m venv "$target.partial" \
        && "$target.partial/bin/python" -m pip install --quiet --disable-pip-version-check "$@" -r "$file" \
        || die "pip could not install $what. Check that the package index is reachable."
    # Only `bin/python` is used, which can be moved. The other programs there contain the old path.
    mv "$target.partial" "$target"
}

mkdir -p "$CACHE"
# Concurrent runs must not install into the same folder.
exec 9>"$CACHE/setup.lock"
if ! flock -n 9; then
    say "Waiting for another setup to finish"
    flock 9
fi

# Installs a Node for the tests, because Debian 12's is too old.
node_for_tests() {
    ! node_is_enough_for_tests || return 0
    say "Installing Node $NODE_VERSION in the cache (npm, 10 s)"
    rm -rf "$NODE_DIR" "$NODE_DIR.partial"
    npm install --prefix "$NODE_DIR.partial" --no-audit --no-fund --loglevel=error "node@$NODE_VERSION" "npm@$NPM_VERSION"
    mv "$NODE_DIR.partial" "$NODE_DIR"
    use_own_node
}

debian_packages
rust
[[ $purpose != test ]] || node_for_tests
cargo_tool wasm_split_cli_support "$WASM_SPLIT_VERSION" "wasm-split-$WASM_SPLIT_VERSION" wasm-split-cli "1 min" \
    --locked --features build-binary
cargo_tool wasm-bindgen-cli "$WASM_BINDGEN_VERSION" "wasm-bindgen-$WASM_BINDGEN_VERSION" wasm-bindgen "2 min"
npm_packages scripts/web-tools "wasm-opt and esbuild"
if [[ $purpose == test ]]; then
    cargo_tool cargo-deny "$CARGO_DENY_VERSION" "cargo-deny-$CARGO_DENY_VERSION" cargo-deny "4 min" --locked
    npm_packages tests/browser "the browser tests' packages"
    scripts/seaweedfs.sh >/dev/null
    npm_packages tests/azurite "Azurite"
    npm_packages tests/conformance "the tus clients for JavaScript"
    npm_packages tests/npm "the bundlers for the tests of the npm package"
    python_packages tests/conformance/requirements.txt "the tus client for Python"
    python_packages tests/openapi/requirements.txt "schemathesis and openapi-python-client"
    npm_packages tests/openapi "the generator of typed clients"
    # Without websockify's optional dependencies, which are large and only make it faster.
    python_packages tests/npm/requirements.txt "websockify" --no-deps
    python_packages tests/deploy/requirements.txt "Helm, Docker Compose and Kubernetes' schemas"
fi
