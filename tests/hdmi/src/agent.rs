//! Shell commands that run the real capture agent in the guest.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::guest::INPUT;

const ADDRESS: &str = "127.0.0.1:8080";
const PASSWORD: &str = "correct horse battery staple";

/// Path of the program. The guest sees the host's files, so the same path works there.
#[derive(Debug, Clone)]
pub struct Agent(PathBuf);

impl Agent {
    /// Finds `$SORTIE_CAPTURE_AGENT`, or the build beside this program.
    ///
    /// # Errors
    /// There is no such file.
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
        // The guest has another working directory.
        Ok(Self(std::path::absolute(path).context("where it is")?))
    }

    /// Returns the command that records the HDMI input into a file and reports progress.
    #[must_use]
    pub fn record(&self, file: &str, options: &str) -> String {
        self.record_from(INPUT, file, options)
    }

    /// Returns the command that records another device into a file.
    #[must_use]
    pub fn record_from(&self, device: &str, file: &str, options: &str) -> String {
        self.record_source(&format!("v4l2:{device}"), file, options)
    }

    /// Returns the command that records a source into a file.
    #[must_use]
    pub fn record_source(&self, source: &str, file: &str, options: &str) -> String {
        let agent = self.0.display();
        format!("'{agent}' record --json --source {source} -o {file} {options}")
    }

    /// Returns the command that runs a server and records the HDMI input automatically.
    #[must_use]
    pub fn serve(&self, folder: &str) -> String {
        let agent = self.0.display();
        let (host, port) = ADDRESS.split_once(':').unwrap_or((ADDRESS, ""));
        format!(
            "SORTIE_CAPTURE_SOURCE=v4l2:{INPUT} SORTIE_CAPTURE_PATH={folder} SORTIE_CAPTURE_RESERVE_MB=16 \
             SORTIE_CAPTURE_HOST={host} SORTIE_CAPTURE_PORT={port} SORTIE_CAPTURE_DB=/run/agent.db \
             SORTIE_CAPTURE_ADMIN_PASSWORD='{PASSWORD}' '{agent}' serve"
        )
    }
}

/// Returns the command that stops the agent. Linux truncates process names to 15 characters.
#[must_use]
pub fn stop() -> &'static str {
    "pkill -TERM -x sortie-capture-"
}

/// Returns the command that turns auto-record on, then prints the agent's events, among them `appliance` after each
/// change. Events are not polled: starting a program takes the guest a second, in which it cannot encode.
#[must_use]
pub fn watch() -> String {
    let sign_in = format!(r#"{{"username":"admin","password":"{PASSWORD}"}}"#);
    let auto = r#"{"recording_auto_record":"true"}"#;
    let json = "-H 'content-type: application/json'";
    format!(
        "at=http://{ADDRESS}/api; \
         by=$(curl -sSf {json} -d '{sign_in}' $at/auth/login | sed -E 's/.*\"access_token\":\"([^\"]+)\".*/authorization: Bearer \\1/'); \
         curl -sSf {json} -H \"$by\" -X PUT -d '{auto}' $at/admin/settings; \
         curl -sSfN -H \"$by\" $at/events"
    )
}
