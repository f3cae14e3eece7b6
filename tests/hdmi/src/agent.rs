//! The real capture agent, as commands for the guest's shell.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::guest::INPUT;

const ADDRESS: &str = "127.0.0.1:8080";
const PASSWORD: &str = "correct horse battery staple";

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
        self.record_from(INPUT, file, options)
    }

    /// The same from another device.
    #[must_use]
    pub fn record_from(&self, device: &str, file: &str, options: &str) -> String {
        let agent = self.0.display();
        format!("'{agent}' record --json --source v4l2:{device} -o {file} {options}")
    }

    /// Runs as a server and records the HDMI input by itself.
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

/// Asks the agent to stop. A process's name ends after 15 letters.
#[must_use]
pub fn stop() -> &'static str {
    "pkill -TERM -x sortie-capture-"
}

/// Turns auto-record on, then writes the agent's events, among them `appliance` when anything has changed. It does
/// not ask again and again: starting a program takes the guest a second in which it cannot encode.
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
