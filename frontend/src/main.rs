//! Entry point of the pages; `scripts/pages.sh` builds `dist/` from it.

#[cfg(target_arch = "wasm32")]
fn main() {
    sortie_frontend::start();
}

#[cfg(not(target_arch = "wasm32"))]
fn main() -> Result<(), &'static str> {
    Err(
        "These are pages for a browser: build them with `make build` and open the server's address.",
    )
}
