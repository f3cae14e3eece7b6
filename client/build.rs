//! Prepares the worker's script, which the program contains as text.

use std::path::Path;
use std::{env, fs};

const SCRIPT: &str = "src/browser/spool/worker.js";
/// Variable with the script after a minifier (`scripts/js-client.sh`). Builds without one remove only comments and
/// indentation.
const MINIFIED: &str = "SORTIE_MINIFIED_WORKER";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed={SCRIPT}");
    println!("cargo::rerun-if-env-changed={MINIFIED}");
    let code = match env::var(MINIFIED) {
        Ok(code) if !code.is_empty() => code,
        _ => without_comments(&fs::read_to_string(SCRIPT)?),
    };
    fs::write(Path::new(&env::var("OUT_DIR")?).join("worker.js"), code)?;
    Ok(())
}

/// Removes whole lines only: a comment at the end of a line can only be told from a text by parsing. The script has no
/// texts of several lines.
fn without_comments(script: &str) -> String {
    let lines = script.lines().map(str::trim);
    let code = lines.filter(|it| !it.is_empty() && !it.starts_with("//") && !it.starts_with("/**"));
    code.collect::<Vec<_>>().join("\n")
}
