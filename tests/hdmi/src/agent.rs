//! The real capture agent, as commands for the guest's shell.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::guest::INPUT;

/// The program. The guest sees the host's files, so it is started where it was built.
#[derive(Debug, Clone)]
pub struct Agent(PathBuf);

impl Agent {
    /// `$SORTIE_CAPTURE_AGENT`, or what cargo has built beside this program.
    ///
    /// # Errors
    /// When there is none.
    pub fn find() -> Result<Self> {
        let path = match std::env::var_os("SORTIE_CAPTURE_AGENT") {
            Some(path) => PathBuf::from(path),
            None => std::env::current_exe()?.with_file_name("sortie-capture-agent"),
        };
        if !path.is_file() {
            bail!(
                "{} is not there; build it with `cargo build -p sortie-capture-agent` or name it in \
                 SORTIE_CAPTURE_AGENT",
                path.display()
            );
        }
        // The guest has a working directory of its own.
        Ok(Self(std::path::absolute(path).context("where it is")?))
    }

    /// Records the HDMI input into a file, and says how far it is.
    #[must_use]
    pub fn record(&self, file: &str, options: &str) -> String {
        let agent = self.0.display();
        format!("'{agent}' record --json --source v4l2:{INPUT} -o {file} {options}")
    }

    /// Asks the agent that is recording to stop. A process's name ends after 15 letters.
    #[must_use]
    pub fn stop() -> &'static str {
        "pkill -TERM -x sortie-capture-"
    }
}
