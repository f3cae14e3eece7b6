//! Azurite, the emulator of Azure Blob Storage: one per test program, on a free port and in a temporary folder.
#![allow(dead_code, reason = "each test program uses its part")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

pub(crate) const ACCOUNT: &str = "sortie";
pub(crate) const KEY: &str = "c29ydGllLXJlY29yZGluZy10ZXN0cy1vZi1henVyZQ==";
pub(crate) const CONTAINER: &str = "sortie";

pub(crate) struct Azurite {
    /// URL with the account in the path, as Azurite expects.
    pub(crate) endpoint: String,
    /// Process of Azurite; closing its standard input stops it.
    _process: Child,
}

/// The server of this test program, started at the first call.
pub(crate) fn azurite() -> &'static Azurite {
    static SERVER: OnceLock<Azurite> = OnceLock::new();
    SERVER.get_or_init(Azurite::start)
}

impl Azurite {
    /// URL without the account.
    pub(crate) fn origin(&self) -> String {
        let origin = self.endpoint.strip_suffix(ACCOUNT);
        origin
            .unwrap_or(&self.endpoint)
            .trim_end_matches('/')
            .to_owned()
    }

    fn start() -> Self {
        let folder = tempfile::tempdir().map(TempDir::keep).expect("a folder");
        let start = package().join("start.mjs");
        let mut process = Command::new("node")
            .arg(&start)
            .arg(&folder)
            .args([ACCOUNT, KEY, CONTAINER])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node");
        let mut endpoint = String::new();
        let mut stdout = BufReader::new(process.stdout.take().expect("a pipe"));
        stdout.read_line(&mut endpoint).expect("an address");
        assert!(
            endpoint.starts_with("http://"),
            "Azurite does not start; node {} says why",
            start.display()
        );
        Self {
            endpoint: endpoint.trim_end().to_owned(),
            _process: process,
        }
    }
}

/// Folder of the npm package that `scripts/setup.sh test` installs.
fn package() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|folder| folder.join("tests/azurite"))
        .find(|folder| folder.join("start.mjs").exists())
        .expect("tests/azurite");
    assert!(
        package.join("node_modules/azurite").exists(),
        "These tests need Azurite, and it is not installed. Run scripts/setup.sh test."
    );
    package
}
