//! Puts the worker's script without its comments and indentation beside the program, which carries it with it.

use std::path::Path;
use std::{env, fs};

const SCRIPT: &str = "src/browser/spool/worker.js";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed={SCRIPT}");
    let script = fs::read_to_string(SCRIPT)?;
    // Whole lines only: telling a comment from a text would take more than this. The script has no texts of several
    // lines.
    let lines = script.lines().map(str::trim);
    let code = lines.filter(|it| !it.is_empty() && !it.starts_with("//") && !it.starts_with("/**"));
    let code: Vec<_> = code.collect();
    fs::write(
        Path::new(&env::var("OUT_DIR")?).join("worker.js"),
        code.join("\n"),
    )?;
    Ok(())
}
