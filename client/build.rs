//! Copies the worker's script without comments and indentation into the build folder, for embedding.

use std::path::Path;
use std::{env, fs};

const SCRIPT: &str = "src/browser/spool/worker.js";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed={SCRIPT}");
    let script = fs::read_to_string(SCRIPT)?;
    // Whole lines only: distinguishing a comment from a string would need a parser. The script has no strings of
    // several lines.
    let lines = script.lines().map(str::trim);
    let code = lines.filter(|it| !it.is_empty() && !it.starts_with("//") && !it.starts_with("/**"));
    let code: Vec<_> = code.collect();
    fs::write(
        Path::new(&env::var("OUT_DIR")?).join("worker.js"),
        code.join("\n"),
    )?;
    Ok(())
}
