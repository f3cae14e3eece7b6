//! Configuration: `SORTIE_CAPTURE_*` variables, and a TOML file with the same names. All that is wrong is told at
//! once.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use crate::forward::Target;
use crate::recorder::{Limits, Setup};
use crate::signal::Mode;
use crate::source::Source;

/// Where the file is unless `--config` says otherwise; it need not be there.
pub const FILE: &str = "/etc/sortie/capture-agent.toml";

/// One variable.
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What counts when it is not set, as a person would write it.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
    /// What the server calls it, where it is the server's business.
    server: Option<&'static str>,
}

const fn own(name: &'static str, default: &'static str, meaning: &'static str) -> Variable {
    Variable {
        name,
        default,
        meaning,
        server: None,
    }
}

const fn of_server(
    name: &'static str,
    server: &'static str,
    default: &'static str,
    meaning: &'static str,
) -> Variable {
    Variable {
        name,
        default,
        meaning,
        server: Some(server),
    }
}

const SOURCE: &str = "SORTIE_CAPTURE_SOURCE";
const MODE: &str = "SORTIE_CAPTURE_MODE";
const NO_SIGNAL_PICTURES: &str = "SORTIE_CAPTURE_NO_SIGNAL_PICTURES";
const NO_SIGNAL_SECONDS: &str = "SORTIE_CAPTURE_NO_SIGNAL_SECONDS";
const PATH: &str = "SORTIE_CAPTURE_PATH";
const SPLIT_MINUTES: &str = "SORTIE_CAPTURE_SPLIT_MINUTES";
const SPLIT_MB: &str = "SORTIE_CAPTURE_SPLIT_MB";
const HOOK: &str = "SORTIE_CAPTURE_HOOK";
const RESERVE_MB: &str = "SORTIE_CAPTURE_RESERVE_MB";
const THRESHOLD: &str = "SORTIE_CAPTURE_THRESHOLD_PERCENT";

const DB: &str = "SORTIE_CAPTURE_DB";
const HOOK_SECONDS: &str = "SORTIE_CAPTURE_HOOK_SECONDS";
const FORWARD_URL: &str = "SORTIE_CAPTURE_FORWARD_URL";
const FORWARD_TOKEN: &str = "SORTIE_CAPTURE_FORWARD_TOKEN";
const FORWARD_CA: &str = "SORTIE_CAPTURE_FORWARD_CA";
const FORWARD_KBIT: &str = "SORTIE_CAPTURE_FORWARD_KBIT";
const FORWARD_DELETE: &str = "SORTIE_CAPTURE_FORWARD_DELETE";

/// Every variable.
#[rustfmt::skip]
pub static VARIABLES: &[Variable] = &[
    own(SOURCE, "v4l2:/dev/video0", "What to record: v4l2:/dev/videoN, or test or test-grabber for a picture of its own"),
    own(MODE, "", "What a source that has a choice is to deliver, as 1920x1080@30"),
    own(NO_SIGNAL_PICTURES, "true", "true: a grabber's colour bars, or its flat blue or green, count as no signal"),
    own(NO_SIGNAL_SECONDS, "5", "For how many seconds one of these must stand first"),
    of_server(PATH, "SORTIE_RECORDING_STORAGE_PATH", "/var/lib/kvmd/msd/recordings", "Folder for recordings"),
    own(SPLIT_MINUTES, "0", "Longest file in minutes; 0: any length"),
    own(SPLIT_MB, "0", "Largest file in MB; 0: any size"),
    own(HOOK, "", "Command that makes the folder writable, run by sh before each recording"),
    own(HOOK_SECONDS, "30", "How long it may take; then it is killed"),
    own(RESERVE_MB, "256", "MB that are always left free: with fewer, recording stops"),
    own(THRESHOLD, "80", "Oldest recordings go while the disk is fuller, in percent; 0: never. Until it is set on the page"),
    own(FORWARD_URL, "", "A central sortie-server that gets every recording, as https://recordings.example.org"),
    own(FORWARD_TOKEN, "", "API token there with the scopes record and read"),
    own(FORWARD_CA, "", "PEM file with the authority that vouches for it, where that is one of your own"),
    own(FORWARD_KBIT, "0", "Most that is sent to it, in kbit/s; 0: as fast as it goes"),
    own(FORWARD_DELETE, "false", "true: a recording is deleted here when the central server has shown that it has the same file"),
    of_server("SORTIE_CAPTURE_HOST", "SORTIE_HOST", "0.0.0.0", "Address to listen on"),
    of_server("SORTIE_CAPTURE_PORT", "SORTIE_PORT", "8080", "Port to listen on"),
    of_server(DB, "SORTIE_DB", "/var/lib/sortie/capture-agent.db", "SQLite file with accounts and the list"),
    of_server("SORTIE_CAPTURE_ADMIN_USERNAME", "SORTIE_ADMIN_USERNAME", "admin", "First administrator"),
    of_server("SORTIE_CAPTURE_ADMIN_PASSWORD", "SORTIE_ADMIN_PASSWORD", "generated", "Their password; a generated one is printed once"),
    of_server("SORTIE_CAPTURE_LOG", "SORTIE_LOG", "info,sqlx=warn", "What is logged, for example debug"),
];

/// Everything that is set before the agent starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// For the recorder.
    pub setup: Setup,
    /// Where recordings are sent on to.
    pub forward: Option<Target>,
    /// The file in which it is kept how far each of them is.
    pub ledger: PathBuf,
    /// For the server.
    pub server: sortie_server::Config,
}

/// One wrong value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The variable, or the file.
    pub variable: String,
    /// What is wrong with it and what is allowed.
    pub message: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.variable, self.message)
    }
}

/// A table of all variables, for `--help`.
#[must_use]
pub fn help() -> String {
    let mut text = format!("Variables, also in {FILE}; the environment wins:\n");
    for variable in VARIABLES {
        text += &format!("  {:34} {}", variable.name, variable.meaning);
        if !variable.default.is_empty() {
            text += &format!(" [{}]", variable.default);
        }
        text.push('\n');
    }
    text
}

struct Reader<'a> {
    values: BTreeMap<String, String>,
    environment: &'a dyn Fn(&str) -> Option<String>,
    errors: Vec<ConfigError>,
}

impl Reader<'_> {
    fn wrong(&mut self, variable: impl Into<String>, message: impl Into<String>) {
        self.errors.push(ConfigError {
            variable: variable.into(),
            message: message.into(),
        });
    }

    /// The value of a variable; an empty one counts as none.
    fn text(&self, name: &str) -> Option<String> {
        let set = (self.environment)(name).filter(|value| !value.is_empty());
        set.or_else(|| self.values.get(name).cloned())
    }

    /// The value, or its default.
    fn value(&self, name: &str) -> String {
        let default = VARIABLES.iter().find(|variable| variable.name == name);
        let default = default.map_or("", |variable| variable.default);
        self.text(name).unwrap_or_else(|| default.to_owned())
    }

    fn parse<T: FromStr<Err: fmt::Display>>(&mut self, name: &str) -> Option<T> {
        let text = self.value(name);
        if text.is_empty() {
            return None;
        }
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.wrong(name, format!("{text:?}: {error}"));
                None
            }
        }
    }

    fn number(&mut self, name: &str, most: u64) -> u64 {
        let text = self.value(name);
        match text.parse() {
            Ok(number) if number <= most => number,
            _ => {
                let message = format!("{text:?} is not a whole number from 0 to {most}");
                self.wrong(name, message);
                0
            }
        }
    }

    fn yes(&mut self, name: &str) -> bool {
        match self.value(name).as_str() {
            "true" => true,
            "false" => false,
            other => {
                let message = format!("{other:?} is neither true nor false");
                self.wrong(name, message);
                false
            }
        }
    }

    /// Where recordings are sent on to.
    fn target(&mut self) -> Option<Target> {
        let kbit = self.number(FORWARD_KBIT, 100_000_000);
        let delete_after = self.yes(FORWARD_DELETE);
        let url = self.text(FORWARD_URL)?;
        let host = ["https://", "http://"]
            .iter()
            .find_map(|scheme| url.strip_prefix(scheme));
        if host.is_none_or(|host| host.is_empty() || host.contains(['?', '#', '@', ' '])) {
            let message = "write the server's address, as https://recordings.example.org";
            self.wrong(FORWARD_URL, message);
        }
        let Some(token) = self.text(FORWARD_TOKEN) else {
            self.wrong(FORWARD_TOKEN, "forwarding needs an API token");
            return None;
        };
        let authorities = self
            .text(FORWARD_CA)
            .and_then(|path| self.authorities(&path));
        Some(Target {
            authorities,
            url: url.trim_end_matches('/').to_owned(),
            token: token.into(),
            bytes_per_second: (kbit > 0).then_some(kbit * 1000 / 8),
            delete_after,
        })
    }

    /// The certificates in a PEM file.
    fn authorities(&mut self, path: &str) -> Option<Vec<u8>> {
        let read = std::fs::read(path).map_err(|error| error.to_string());
        let certificates = read.and_then(|pem| {
            let found = reqwest::Certificate::from_pem_bundle(&pem);
            match found.map_err(|error| error.to_string())?.is_empty() {
                true => Err("there is no certificate in it".to_owned()),
                false => Ok(pem),
            }
        });
        certificates
            .map_err(|problem| self.wrong(FORWARD_CA, format!("{path}: {problem}")))
            .ok()
    }

    /// Takes the file's values in.
    fn file(&mut self, path: &Path, must_be: bool) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_be => return,
            Err(error) => return self.wrong(path.display().to_string(), error.to_string()),
        };
        let table = match text.parse::<toml::Table>() {
            Ok(table) => table,
            Err(error) => {
                // Its own words quote the line, which may hold a password.
                let before = &text[..error.span().map_or(0, |span| span.start).min(text.len())];
                let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
                let message = format!("line {line} is not TOML: {}", error.message());
                return self.wrong(path.display().to_string(), message);
            }
        };
        for (name, value) in table {
            let known = VARIABLES.iter().any(|variable| variable.name == name);
            let text = match value {
                toml::Value::String(text) => text,
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Boolean(yes) => yes.to_string(),
                _ if known => {
                    self.wrong(name, "write text, a whole number, true or false");
                    continue;
                }
                _ => String::new(),
            };
            if known {
                self.values.insert(name, text);
            } else {
                let path = path.display();
                self.wrong(
                    path.to_string(),
                    format!("there is no variable {name}; --help lists all"),
                );
            }
        }
    }
}

impl Config {
    /// Reads the environment, and the file `file` (by default [`FILE`], if it is there).
    ///
    /// # Errors
    ///
    /// All that is wrong.
    pub fn read(
        file: Option<&Path>,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Vec<ConfigError>> {
        const MB: u64 = 1_000_000;
        let mut reader = Reader {
            values: BTreeMap::new(),
            environment,
            errors: Vec::new(),
        };
        reader.file(file.unwrap_or_else(|| Path::new(FILE)), file.is_some());
        let source = reader.parse::<Source>(SOURCE).unwrap_or(Source::Test);
        let mode = reader.parse::<Mode>(MODE);
        let minutes = reader.number(SPLIT_MINUTES, 100_000);
        let split_mb = reader.number(SPLIT_MB, 100_000_000);
        let reserve_mb = reader.number(RESERVE_MB, 100_000_000);
        let threshold = reader.number(THRESHOLD, 99);
        let hook_seconds = reader.number(HOOK_SECONDS, 3600);
        let looks_for_cards = reader.yes(NO_SIGNAL_PICTURES);
        let card_seconds = reader.number(NO_SIGNAL_SECONDS, 3600);
        let forward = reader.target();
        let setup = Setup {
            source,
            mode,
            no_signal_after: looks_for_cards.then(|| Duration::from_secs(card_seconds)),
            folder: PathBuf::from(reader.value(PATH)),
            split: Limits {
                length: (minutes > 0).then(|| Duration::from_secs(60 * minutes)),
                size_bytes: (split_mb > 0).then_some(split_mb * MB),
            },
            hook: reader.text(HOOK),
            hook_limit: Duration::from_secs(hook_seconds),
            reserve_bytes: reserve_mb * MB,
            auto: false,
        };
        let ledger = PathBuf::from(reader.value(DB)).with_extension("forward.json");
        let server = sortie_server::Config::read(&|name| match name {
            "SORTIE_VIDEO_RECORDING_ENABLED" => Some("true".to_owned()),
            "SORTIE_RECORDING_DISK_HIGH_PERCENT" => (threshold > 0).then(|| threshold.to_string()),
            "SORTIE_RECORDING_DISK_LOW_PERCENT" => {
                (threshold > 0).then(|| (threshold - 1).to_string())
            }
            _ => {
                let ours = VARIABLES
                    .iter()
                    .find(|variable| variable.server == Some(name));
                match ours {
                    Some(variable) => reader.text(variable.name).or_else(|| {
                        let default = variable.default.to_owned();
                        // What these two are without a value is the server's business.
                        (!matches!(name, "SORTIE_ADMIN_PASSWORD" | "SORTIE_LOG")).then_some(default)
                    }),
                    None => (reader.environment)(name),
                }
            }
        });
        let server = match server {
            Ok(server) if reader.errors.is_empty() => server,
            Ok(_) => return Err(reader.errors),
            Err(errors) => {
                for error in errors {
                    let ours = VARIABLES
                        .iter()
                        .find(|variable| variable.server == Some(error.variable));
                    let name = ours.map_or(error.variable, |variable| variable.name);
                    reader.wrong(name, error.message);
                }
                return Err(reader.errors);
            }
        };
        Ok(Self {
            setup,
            forward,
            ledger,
            server,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &str, environment: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.toml");
        std::fs::write(&path, file).unwrap();
        let find = |name: &str| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let prefix = format!("{}: ", path.display());
        Config::read(Some(&path), &find).map_err(|errors| {
            let text = |error: &ConfigError| error.to_string().replace(&prefix, "file: ");
            errors.iter().map(text).collect()
        })
    }

    #[test]
    fn defaults_are_those_of_the_reference_appliance() {
        let config = read("", &[]).unwrap();
        assert_eq!(config.setup.source.to_string(), "v4l2:/dev/video0");
        assert_eq!(
            config.setup.folder,
            Path::new("/var/lib/kvmd/msd/recordings")
        );
        assert_eq!(config.server.storage.folder(), config.setup.folder);
        assert_eq!(config.server.disk_marks, Some((80, 79)));
        assert_eq!(config.setup.split, Limits::default());
        assert!(config.server.recording_enabled);
        assert_eq!(config.setup.no_signal_after, Some(Duration::from_secs(5)));
        let off = [("SORTIE_CAPTURE_NO_SIGNAL_PICTURES", "false")];
        assert_eq!(read("", &off).unwrap().setup.no_signal_after, None);
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let file = "SORTIE_CAPTURE_PORT = 81\nSORTIE_CAPTURE_SOURCE = 'test'\nSORTIE_CAPTURE_SPLIT_MINUTES = 5";
        let config = read(file, &[("SORTIE_CAPTURE_PORT", "82")]).unwrap();
        assert_eq!(config.server.port, 82);
        assert_eq!(config.setup.source, Source::Test);
        assert_eq!(config.setup.split.length, Some(Duration::from_secs(300)));
    }

    #[test]
    fn everything_wrong_is_told_at_once_by_the_names_that_were_used() {
        let file = "SORTIE_CAPTURE_COLOUR = 'red'\nSORTIE_CAPTURE_SPLIT_MB = [1]\n";
        let environment = [
            ("SORTIE_CAPTURE_SOURCE", "rtsp://camera"),
            ("SORTIE_CAPTURE_MODE", "huge"),
            ("SORTIE_CAPTURE_NO_SIGNAL_PICTURES", "maybe"),
            ("SORTIE_CAPTURE_PORT", "70000"),
            ("SORTIE_CAPTURE_THRESHOLD_PERCENT", "100"),
            ("SORTIE_CAPTURE_ADMIN_PASSWORD", "short"),
        ];
        let mut errors = read(file, &environment).unwrap_err();
        errors.sort();
        assert_eq!(
            errors,
            [
                "SORTIE_CAPTURE_ADMIN_PASSWORD: must have 8 to 256 characters",
                "SORTIE_CAPTURE_MODE: \"huge\": write it as WIDTHxHEIGHT@FPS, for example 1920x1080@60",
                "SORTIE_CAPTURE_NO_SIGNAL_PICTURES: \"maybe\" is neither true nor false",
                "SORTIE_CAPTURE_PORT: \"70000\" is not a whole number from 0 to 65535",
                "SORTIE_CAPTURE_SOURCE: \"rtsp://camera\": write it as test, test-grabber or v4l2:/dev/video0",
                "SORTIE_CAPTURE_SPLIT_MB: write text, a whole number, true or false",
                "SORTIE_CAPTURE_THRESHOLD_PERCENT: \"100\" is not a whole number from 0 to 99",
                "file: there is no variable SORTIE_CAPTURE_COLOUR; --help lists all",
            ]
        );
    }

    #[test]
    fn forwarding_needs_an_address_and_a_token() {
        let url = ("SORTIE_CAPTURE_FORWARD_URL", "https://central.example/");
        let token = ("SORTIE_CAPTURE_FORWARD_TOKEN", "sortie_x");
        assert!(read("", &[token]).unwrap().forward.is_none());
        let file = "SORTIE_CAPTURE_FORWARD_KBIT = 800\nSORTIE_CAPTURE_FORWARD_DELETE = true";
        let config = read(file, &[url, token]).unwrap();
        let target = config.forward.unwrap();
        assert_eq!(target.url, "https://central.example");
        assert_eq!(target.bytes_per_second, Some(100_000));
        assert!(target.delete_after && !format!("{target:?}").contains("sortie_x"));
        assert_eq!(
            config.ledger,
            Path::new("/var/lib/sortie/capture-agent.forward.json")
        );
        assert_eq!(
            read("", &[url]).unwrap_err(),
            ["SORTIE_CAPTURE_FORWARD_TOKEN: forwarding needs an API token"]
        );
        for (pem, expected) in [
            ("/nowhere/ca.pem", "No such file"),
            ("/dev/null", "there is no certificate in it"),
        ] {
            let errors = read("", &[url, token, ("SORTIE_CAPTURE_FORWARD_CA", pem)]).unwrap_err();
            assert!(
                errors[0].starts_with(&format!("SORTIE_CAPTURE_FORWARD_CA: {pem}: {expected}")),
                "{errors:?}"
            );
        }
        for wrong in ["central.example", "ftp://a", "https://", "https://a@b"] {
            let url = ("SORTIE_CAPTURE_FORWARD_URL", wrong);
            assert!(read("", &[url, token]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_file_that_is_no_toml_does_not_show_its_secrets() {
        let errors = read("\nSORTIE_CAPTURE_ADMIN_PASSWORD = hunter2hunter2", &[]).unwrap_err();
        assert!(
            errors[0].starts_with("file: line 2 is not TOML"),
            "{errors:?}"
        );
        assert!(!errors[0].contains("hunter2"), "{errors:?}");
    }
}
