//! `check-config`: prints the configuration and its errors.

use std::path::PathBuf;
use std::process::ExitCode;

use sortie_server::{ConfigError, Settings};

/// Exit codes: 0 valid, 2 invalid.
pub(super) fn run(file: Option<PathBuf>) -> ExitCode {
    let settings = Settings::from_env(file);
    // A closed pipe (`| head`) is ignored: the exit code states the result.
    let _ = super::print_text(&settings.report());
    for stranger in settings.unknown_names() {
        super::print_error(&format!("Note: {stranger}."));
    }
    match settings.config() {
        Ok(_) => ExitCode::SUCCESS,
        Err(errors) => wrong_values("The configuration cannot be used", &errors),
    }
}

pub(crate) fn wrong_values(what: &str, errors: &[ConfigError]) -> ExitCode {
    match errors.len() {
        1 => super::print_error(&format!("{what}: one value is wrong.")),
        count => super::print_error(&format!("{what}: {count} values are wrong.")),
    }
    for error in errors {
        super::print_error(&format!("  {error}"));
    }
    ExitCode::from(2)
}
