//! What users of Sortie rely on, row by row: every variable, route, rule, chart value and word. A row that the
//! product no longer keeps fails here, under its own name.

mod routes;
mod rules;
#[path = "../support/mod.rs"]
mod support;
mod values;
mod variables;
mod words;

use std::path::PathBuf;

/// A file of the repository.
#[track_caller]
fn file(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
