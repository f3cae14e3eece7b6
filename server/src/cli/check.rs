//! `check-config`: what would be in force, and what is wrong with it.

use std::path::PathBuf;
use std::process::ExitCode;

use sortie_server::{ConfigError, Settings};

/// Exit code 0: right; 2: wrong.
pub(super) fn run(file: Option<PathBuf>) -> ExitCode {
    let settings = Settings::from_env(file);
    // Whoever reads on or not (`| head`): the exit code says what counts.
    let _ = super::tell(&settings.report());
    for stranger in settings.strangers() {
        super::complain(&format!("Note: {stranger}."));
    }
    match settings.config() {
        Ok(_) => ExitCode::SUCCESS,
        Err(errors) => wrong_values("The configuration cannot be used", &errors),
    }
}

/// Says what is wrong, all of it.
pub(crate) fn wrong_values(what: &str, errors: &[ConfigError]) -> ExitCode {
    match errors.len() {
        1 => super::complain(&format!("{what}: one value is wrong.")),
        count => super::complain(&format!("{what}: {count} values are wrong.")),
    }
    for error in errors {
        super::complain(&format!("  {error}"));
    }
    ExitCode::from(2)
}
