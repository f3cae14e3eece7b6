//! Commands of `sortie-server` besides serving.
//!
//! Exit codes: 0 done; 1 a file could not be read or written; 2 invalid command line; 3 not a recording, or nothing
//! playable.

mod byte_accounting;
mod check;
mod description;
mod health;
mod inspect;
#[cfg(feature = "postgres")]
mod migrate_db;
mod repair;
mod source;
mod sweep;
mod terminal;
mod verify_audit;

pub(crate) use check::wrong_values;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use sortie_media::Unplayable;

/// Commands. Without one, the server runs.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Repair a WebM, Matroska or fragmented MP4 file that was cut off or damaged: write an ordinary, seekable file.
    ///
    /// The original is not changed, unless --in-place is given. Exit codes: 0 done, 1 a file could not be read or
    /// written, 2 wrong usage, 3 no recording or nothing playable in it.
    Repair(repair::Arguments),
    /// Describe a recording: tracks, duration, keyframes, gaps, damage.
    ///
    /// Exit codes: 0 done, 1 the file could not be read, 2 wrong usage, 3 no recording or nothing playable in it.
    Inspect(inspect::Arguments),
    /// Check whether the server on this machine is ready; for the health check of a container.
    ///
    /// Exit codes: 0 ready, 1 not ready or no answer, 2 wrong configuration.
    CheckHealth,
    /// Check the configuration without starting, and print where each value comes from; secrets are masked.
    ///
    /// Exit codes: 0 valid, 2 invalid.
    CheckConfig,
    /// Verify the hash chain of the audit log: whether a row was removed, changed or moved.
    ///
    /// Exit codes: 0 the chain is intact, 1 the database cannot be read, 2 wrong configuration, 3 the chain is broken.
    VerifyAudit,
    /// Copy everything from one database into an empty one of the other kind. Stop the server first.
    ///
    /// The files of the recordings stay where they are. The copy is one transaction: either all rows are copied and
    /// counted, or none. Exit codes: 0 done, 1 a database cannot be used or is not empty, 2 wrong usage.
    #[cfg(feature = "postgres")]
    MigrateDb(migrate_db::Arguments),
    /// Remove objects that belong to no recording from the storage, and mark recordings whose file is missing as
    /// failed.
    ///
    /// Configured by the server's environment variables; the server may be running. Exit codes: 0 nothing to do or all
    /// done, 1 some of it could not be done, 2 wrong usage or configuration, 3 a dry run has findings.
    Sweep(sweep::Arguments),
}

/// Reason why a command ended early.
#[derive(Debug)]
enum Failure {
    /// A file could not be read or written: the action and its error.
    File(String, io::Error),
    /// Invalid request: the reason and the alternative.
    Usage(String),
    /// The file contains nothing playable.
    Unplayable(Unplayable),
}

impl Failure {
    fn file(what: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let what = format!("{what} {}", terminal::name(path));
        move |error| Self::File(what, error)
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::File(..) => 1,
            Self::Usage(_) => 2,
            Self::Unplayable(_) => 3,
        }
    }
}

impl From<Unplayable> for Failure {
    fn from(reason: Unplayable) -> Self {
        Self::Unplayable(reason)
    }
}

/// Prints an error on standard error.
fn print_error(text: &str) {
    eprintln!("{}", terminal::lines(text));
}

/// Prints an object as JSON.
fn print_json(object: &impl serde::Serialize) -> Result<(), Failure> {
    match serde_json::to_string_pretty(object) {
        // Control characters are escaped in JSON.
        Ok(json) => print_text(&format!("{json}\n")),
        Err(error) => Err(Failure::File("cannot write JSON".to_owned(), error.into())),
    }
}

/// Prints a result. A closed pipe (`| head`) is no failure.
fn print_text(text: &str) -> Result<(), Failure> {
    match io::stdout()
        .lock()
        .write_all(terminal::lines(text).as_bytes())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::File("cannot print".to_owned(), error))
        }
        _ => Ok(()),
    }
}

impl Command {
    /// Runs the command and prints its result.
    pub(crate) fn run(self, config: Option<PathBuf>) -> ExitCode {
        let result = match self {
            Self::CheckHealth => return health::run(config),
            Self::CheckConfig => return check::run(config),
            Self::VerifyAudit => return verify_audit::run(config),
            #[cfg(feature = "postgres")]
            Self::MigrateDb(arguments) => migrate_db::run(&arguments, config),
            Self::Repair(arguments) => repair::run(&arguments),
            Self::Inspect(arguments) => inspect::run(&arguments),
            Self::Sweep(arguments) => return sweep::run(config, &arguments),
        };
        let Err(failure) = result else {
            return ExitCode::SUCCESS;
        };
        match &failure {
            Failure::File(what, error) => print_error(&format!("sortie-server: {what}: {error}")),
            Failure::Usage(sentence) => print_error(&format!("sortie-server: {sentence}")),
            Failure::Unplayable(reason) => print_error(&format!("sortie-server: {reason}")),
        }
        ExitCode::from(failure.exit_code())
    }
}
