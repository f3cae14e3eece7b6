//! `verify-audit`: verifies the audit log's hash chain.

use std::path::PathBuf;
use std::process::ExitCode;

use sortie_server::{Settings, verify_audit};

/// Exit codes: 0 intact; 1 unreadable; 2 invalid configuration; 3 broken.
pub(super) fn run(file: Option<PathBuf>) -> ExitCode {
    let config = match Settings::from_env(file).config() {
        Ok(config) => config,
        Err(errors) => return super::wrong_values("The configuration cannot be used", &errors),
    };
    let verified = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| Ok(runtime.block_on(verify_audit(&config))?));
    match verified {
        Err(error) => {
            super::print_error(&format!("sortie-server: {error:#}"));
            ExitCode::FAILURE
        }
        Ok(found) => {
            let (text, code) = match found.first_bad_seq {
                None => (
                    format!("The audit log is whole: {} rows.\n", found.rows),
                    ExitCode::SUCCESS,
                ),
                Some(seq) => (
                    format!(
                        "The audit log is broken at row {seq}: it, or what stood before it, was changed, removed or moved.\n"
                    ),
                    ExitCode::from(3),
                ),
            };
            // A closed pipe (`| head`) is ignored: the exit code states the result.
            let _ = super::print_text(&text);
            code
        }
    }
}
