//! Configuration: `SORTIE_CAPTURE_*` variables, and a TOML file with the same names. All errors are reported together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sortie_server::{ConfigError, ConfigReader, read_toml};

use crate::forward::Target;
use crate::recorder::{Limits, Setup};
use crate::signal::Mode;
use crate::source::Source;

/// Default configuration file; it may be missing.
pub const FILE: &str = "/etc/sortie/capture-agent.toml";

/// Name of the configuration file in errors.
const FILE_OPTION: &str = "--config";

/// Variable of the agent.
pub struct Variable {
    pub name: &'static str,
    /// Value without a setting.
    pub default: &'static str,
    /// Description of the variable for `--help`.
    pub meaning: &'static str,
    /// Variable of the embedded server that receives the value.
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

/// All variables, in the order of `--help`.
#[rustfmt::skip]
pub static VARIABLES: &[Variable] = &[
    own(SOURCE, "v4l2:/dev/video0", "Video source: v4l2:/dev/videoN, or test or test-grabber for a synthetic picture"),
    own(MODE, "", "Mode of a source that offers several, as 1920x1080@30"),
    own(NO_SIGNAL_PICTURES, "true", "Whether a grabber's colour bars, or its flat blue or green, count as no signal"),
    own(NO_SIGNAL_SECONDS, "5", "Seconds that such a picture must last"),
    of_server(PATH, "SORTIE_RECORDING_STORAGE_PATH", "/var/lib/kvmd/msd/recordings", "Folder for recordings"),
    own(SPLIT_MINUTES, "0", "Longest file in minutes; 0: no limit"),
    own(SPLIT_MB, "0", "Largest file in MB; 0: no limit"),
    own(HOOK, "", "Command that makes the folder writable, run by sh before each recording"),
    own(HOOK_SECONDS, "30", "Time limit of the command; then it is killed"),
    own(RESERVE_MB, "256", "MB that stay free: with less, recording stops"),
    own(THRESHOLD, "80", "Disk usage in percent above which the oldest recordings are deleted; 0: never. Until it is set on the page"),
    own(FORWARD_URL, "", "Central sortie-server that gets every recording, as https://recordings.example.org"),
    own(FORWARD_TOKEN, "", "API token of the central server with the scopes record and read"),
    own(FORWARD_CA, "", "PEM file with the certificate authority of the central server, if it is a private one"),
    own(FORWARD_KBIT, "0", "Bandwidth limit in kbit/s; 0: no limit"),
    own(FORWARD_DELETE, "false", "Whether a recording is deleted here once the central server has confirmed that it has the same file"),
    of_server("SORTIE_CAPTURE_HOST", "SORTIE_HOST", "0.0.0.0", "Address to listen on"),
    of_server("SORTIE_CAPTURE_PORT", "SORTIE_PORT", "8080", "Port to listen on"),
    of_server(DB, "SORTIE_DB", "/var/lib/sortie/capture-agent.db", "SQLite file with accounts and the list"),
    of_server("SORTIE_CAPTURE_ADMIN_USERNAME", "SORTIE_ADMIN_USERNAME", "admin", "First administrator"),
    of_server("SORTIE_CAPTURE_ADMIN_PASSWORD", "SORTIE_ADMIN_PASSWORD", "generated", "Password of the first administrator; a generated one is printed once"),
    of_server("SORTIE_CAPTURE_LOG", "SORTIE_LOG", "info,sqlx=warn", "Log filter, for example debug"),
];

/// Configuration of the agent.
#[derive(Debug, Clone)]
pub struct Config {
    pub setup: Setup,
    /// Central server, if recordings are forwarded.
    pub forward: Option<Target>,
    /// File of the forwarding journal.
    pub journal: PathBuf,
    pub server: sortie_server::Config,
}

/// Lists all variables, for `--help`.
#[must_use]
pub fn help() -> String {
    let mut text = format!("Variables, also in {FILE}; environment variables take precedence:\n");
    for variable in VARIABLES {
        text += &format!("  {:34} {}", variable.name, variable.meaning);
        if !variable.default.is_empty() {
            text += &format!(" [{}]", variable.default);
        }
        text.push('\n');
    }
    text
}

impl Config {
    /// Reads the environment and the file `file` (default [`FILE`], if it exists).
    ///
    /// # Errors
    ///
    /// All invalid values.
    pub fn read(
        file: Option<&Path>,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Vec<ConfigError>> {
        let (values, mut errors) = read_file(file);
        let lookup = |name: &str| {
            let set = environment(name).filter(|value| !value.is_empty());
            set.or_else(|| values.get(name).cloned())
        };
        let mut reader = ConfigReader::new(&lookup);
        let threshold = number(&mut reader, THRESHOLD, 99);
        let setup = read_setup(&mut reader);
        let forward = read_target(&mut reader);
        let journal = PathBuf::from(text(&reader, DB)).with_extension("forward.json");
        errors.extend(reader.into_errors());
        let server = sortie_server::Config::read(&|name| match name {
            "SORTIE_VIDEO_RECORDING_ENABLED" => Some("true".to_owned()),
            "SORTIE_RECORDING_DISK_HIGH_PERCENT" => (threshold > 0).then(|| threshold.to_string()),
            "SORTIE_RECORDING_DISK_LOW_PERCENT" => {
                (threshold > 0).then(|| (threshold - 1).to_string())
            }
            _ => match VARIABLES.iter().find(|it| it.server == Some(name)) {
                Some(variable) => lookup(variable.name).or_else(|| {
                    // The server has its own defaults for these two variables.
                    let has_default = !matches!(name, "SORTIE_ADMIN_PASSWORD" | "SORTIE_LOG");
                    has_default.then(|| variable.default.to_owned())
                }),
                None => environment(name),
            },
        });
        match server {
            Ok(server) if errors.is_empty() => Ok(Self {
                setup,
                forward,
                journal,
                server,
            }),
            Ok(_) => Err(errors),
            Err(of_server) => {
                errors.extend(of_server.into_iter().map(own_name));
                Err(errors)
            }
        }
    }
}

/// Names the agent's variable in an error of the server's configuration.
fn own_name(error: ConfigError) -> ConfigError {
    let variable = VARIABLES
        .iter()
        .find(|variable| variable.server == Some(error.variable));
    ConfigError {
        variable: variable.map_or(error.variable, |variable| variable.name),
        ..error
    }
}

/// Values of the configuration file by variable, and its errors.
fn read_file(file: Option<&Path>) -> (BTreeMap<&'static str, String>, Vec<ConfigError>) {
    let (mut values, mut errors) = (BTreeMap::new(), Vec::new());
    let path = file.unwrap_or_else(|| Path::new(FILE));
    if file.is_none() && matches!(path.try_exists(), Ok(false)) {
        return (values, errors);
    }
    let mut wrong = |variable, message| errors.push(ConfigError { variable, message });
    match read_toml(path) {
        Err(reason) => wrong(FILE_OPTION, format!("{}: {reason}", path.display())),
        Ok(table) => {
            for (name, value) in table {
                match (VARIABLES.iter().find(|it| it.name == name), value) {
                    (Some(variable), Ok(text)) => {
                        values.insert(variable.name, text);
                    }
                    (Some(variable), Err(kind)) => {
                        let message =
                            format!("is of type {kind}; write text, a number, true or false");
                        wrong(variable.name, message);
                    }
                    (None, _) => {
                        let path = path.display();
                        let message =
                            format!("{path}: there is no variable {name}; --help lists all");
                        wrong(FILE_OPTION, message);
                    }
                }
            }
        }
    }
    (values, errors)
}

fn default(name: &str) -> &'static str {
    let variable = VARIABLES.iter().find(|variable| variable.name == name);
    variable.map_or("", |variable| variable.default)
}

fn text(reader: &ConfigReader<'_>, name: &str) -> String {
    reader
        .text(name)
        .unwrap_or_else(|| default(name).to_owned())
}

fn number(reader: &mut ConfigReader<'_>, name: &'static str, max: u64) -> u64 {
    let default = default(name).parse().unwrap_or_default();
    reader.number(name, default, 0, max)
}

fn flag(reader: &mut ConfigReader<'_>, name: &'static str) -> bool {
    reader.flag(name, default(name) == "true")
}

fn read_setup(reader: &mut ConfigReader<'_>) -> Setup {
    const MB: u64 = 1_000_000;
    let detects_patterns = flag(reader, NO_SIGNAL_PICTURES);
    let pattern_seconds = number(reader, NO_SIGNAL_SECONDS, 3600);
    let minutes = number(reader, SPLIT_MINUTES, 100_000);
    let split_mb = number(reader, SPLIT_MB, 100_000_000);
    let source = reader.text(SOURCE).map(|_| reader.parse::<Source>(SOURCE));
    let default_source = || default(SOURCE).parse().unwrap_or(Source::Test);
    Setup {
        source: source.flatten().unwrap_or_else(default_source),
        mode: reader.parse::<Mode>(MODE),
        no_signal_after: detects_patterns.then(|| Duration::from_secs(pattern_seconds)),
        folder: PathBuf::from(text(reader, PATH)),
        split: Limits {
            length: (minutes > 0).then(|| Duration::from_secs(60 * minutes)),
            size_bytes: (split_mb > 0).then_some(split_mb * MB),
        },
        hook: reader.text(HOOK),
        hook_limit: Duration::from_secs(number(reader, HOOK_SECONDS, 3600)),
        reserve_bytes: number(reader, RESERVE_MB, 100_000_000) * MB,
        auto: false,
    }
}

fn read_target(reader: &mut ConfigReader<'_>) -> Option<Target> {
    let kbit = number(reader, FORWARD_KBIT, 100_000_000);
    let delete_after = flag(reader, FORWARD_DELETE);
    let url = reader.text(FORWARD_URL)?;
    let host = ["https://", "http://"]
        .iter()
        .find_map(|scheme| url.strip_prefix(scheme));
    if host.is_none_or(|host| host.is_empty() || host.contains(['?', '#', '@', ' '])) {
        let message = "write the server's address, as https://recordings.example.org";
        reader.wrong(FORWARD_URL, message);
    }
    let Some(token) = reader.text(FORWARD_TOKEN) else {
        reader.wrong(FORWARD_TOKEN, "forwarding needs an API token");
        return None;
    };
    let authorities = reader.text(FORWARD_CA).and_then(|path| {
        read_certificates(&path)
            .map_err(|problem| reader.wrong(FORWARD_CA, format!("{path}: {problem}")))
            .ok()
    });
    Some(Target {
        authorities,
        url: url.trim_end_matches('/').to_owned(),
        token: token.into(),
        bytes_per_second: (kbit > 0).then_some(kbit * 1000 / 8),
        delete_after,
    })
}

/// Reads a PEM file that must hold a certificate.
fn read_certificates(path: &str) -> Result<Vec<u8>, String> {
    let pem = std::fs::read(path).map_err(|error| error.to_string())?;
    let certificates = reqwest::Certificate::from_pem_bundle(&pem);
    if certificates.map_err(|error| error.to_string())?.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    Ok(pem)
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
    fn defaults_match_the_reference_appliance() {
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
    fn environment_overrides_file() {
        let file = "SORTIE_CAPTURE_PORT = 81\nSORTIE_CAPTURE_SOURCE = 'test'\nSORTIE_CAPTURE_SPLIT_MINUTES = 5";
        let config = read(file, &[("SORTIE_CAPTURE_PORT", "82")]).unwrap();
        assert_eq!(config.server.port, 82);
        assert_eq!(config.setup.source, Source::Test);
        assert_eq!(config.setup.split.length, Some(Duration::from_secs(300)));
    }

    #[test]
    fn all_errors_are_reported_by_agent_variable() {
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
                "--config: file: there is no variable SORTIE_CAPTURE_COLOUR; --help lists all",
                "SORTIE_CAPTURE_ADMIN_PASSWORD: must have 8 to 256 characters",
                "SORTIE_CAPTURE_MODE: \"huge\": write it as WIDTHxHEIGHT@FPS, for example 1920x1080@60",
                "SORTIE_CAPTURE_NO_SIGNAL_PICTURES: \"maybe\" is neither true nor false",
                "SORTIE_CAPTURE_PORT: \"70000\" is not a whole number from 0 to 65535",
                "SORTIE_CAPTURE_SOURCE: \"rtsp://camera\": write it as test, test-grabber or v4l2:/dev/video0",
                "SORTIE_CAPTURE_SPLIT_MB: is of type array; write text, a number, true or false",
                "SORTIE_CAPTURE_THRESHOLD_PERCENT: \"100\" is not a whole number from 0 to 99",
            ]
        );
    }

    #[test]
    fn forwarding_requires_url_and_token() {
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
            config.journal,
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
    fn toml_error_does_not_quote_secrets() {
        let errors = read("\nSORTIE_CAPTURE_ADMIN_PASSWORD = hunter2hunter2", &[]).unwrap_err();
        assert!(
            errors[0].starts_with("--config: file: line 2 is not TOML"),
            "{errors:?}"
        );
        assert!(!errors[0].contains("hunter2"), "{errors:?}");
    }
}
