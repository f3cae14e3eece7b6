//! Configuration: `SORTIE_CAPTURE_*` variables, and a TOML file with the same names. All errors are reported together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sortie_server::{ConfigError, ConfigReader, read_toml};

use super::mqtt::{Address, Broker, is_topic};
use super::tls::CertificateSource;
use crate::alarm::{self, CommandLine, Hook};
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
const PREROLL_SECONDS: &str = "SORTIE_CAPTURE_PREROLL_SECONDS";
const IDLE_FRAMES: &str = "SORTIE_CAPTURE_IDLE_FRAMES";
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

const MQTT_URL: &str = "SORTIE_CAPTURE_MQTT_URL";
const MQTT_USERNAME: &str = "SORTIE_CAPTURE_MQTT_USERNAME";
const MQTT_PASSWORD: &str = "SORTIE_CAPTURE_MQTT_PASSWORD";
const MQTT_CA: &str = "SORTIE_CAPTURE_MQTT_CA";
const MQTT_PREFIX: &str = "SORTIE_CAPTURE_MQTT_PREFIX";
const MQTT_DISCOVERY: &str = "SORTIE_CAPTURE_MQTT_DISCOVERY";
const MQTT_PICTURES: &str = "SORTIE_CAPTURE_MQTT_PICTURES";

const TLS: &str = "SORTIE_CAPTURE_TLS";
const TLS_CERT: &str = "SORTIE_CAPTURE_TLS_CERT";
const TLS_KEY: &str = "SORTIE_CAPTURE_TLS_KEY";
const ALARM_SILENT: &str = "SORTIE_CAPTURE_ALARM_SILENT_SECONDS";
const ALARM_DISK: &str = "SORTIE_CAPTURE_ALARM_DISK_PERCENT";
const ALARM_LAG: &str = "SORTIE_CAPTURE_ALARM_LAG_MINUTES";
const ALARM_HOOK: &str = "SORTIE_CAPTURE_ALARM_HOOK";

/// All variables, in the order of `--help`.
#[rustfmt::skip]
pub static VARIABLES: &[Variable] = &[
    own(SOURCE, "v4l2:/dev/video0", "Video source: v4l2:/dev/videoN; ustreamer:NAME for the sink of another program that owns the device, or its stream as ustreamer:http://…; or test or test-grabber for a synthetic picture"),
    own(MODE, "", "Mode of a source that offers several, as 1920x1080@30"),
    own(NO_SIGNAL_PICTURES, "true", "Whether a grabber's colour bars, or its flat blue or green, count as no signal"),
    own(NO_SIGNAL_SECONDS, "5", "Seconds that such a picture must last"),
    own(IDLE_FRAMES, "drop", "Frames that equal the one before: drop, which makes an idle screen cost next to nothing, or keep"),
    own(PREROLL_SECONDS, "0", "Seconds before its start that a recording has in addition, up to 600; 0: none"),
    of_server(PATH, "SORTIE_RECORDING_STORAGE_PATH", "/var/lib/kvmd/msd/recordings", "Folder for recordings"),
    own(SPLIT_MINUTES, "0", "Longest file in minutes; 0: no limit"),
    own(SPLIT_MB, "0", "Largest file in MB; 0: no limit"),
    own(HOOK, "", "Command that makes the folder writable, run by sh before each recording"),
    own(HOOK_SECONDS, "30", "Time limit of the command, and of the one for alarms; then it is killed"),
    own(RESERVE_MB, "256", "MB that stay free: with less, recording stops"),
    own(THRESHOLD, "80", "Disk usage in percent above which the oldest recordings are deleted; 0: never. Until it is set on the page"),
    own(FORWARD_URL, "", "Central sortie-server that gets every recording, as https://recordings.example.org"),
    own(FORWARD_TOKEN, "", "API token of the central server with the scopes record and read"),
    own(FORWARD_CA, "", "PEM file with the certificate authority of the central server, if it is a private one"),
    own(FORWARD_KBIT, "0", "Bandwidth limit in kbit/s; 0: no limit"),
    own(FORWARD_DELETE, "false", "Whether a recording is deleted here once the central server has confirmed that it has the same file"),
    own(ALARM_SILENT, "60", "Seconds without a sign of the recorder that raise an alarm"),
    own(ALARM_DISK, "80", "Percent of the space for recordings that unforwarded ones may fill before an alarm; 0: no alarm"),
    own(ALARM_LAG, "60", "Minutes that a recording may wait for the central server before an alarm; 0: no alarm"),
    own(ALARM_HOOK, "", "Program with arguments, run without a shell for each alarm"),
    own(MQTT_URL, "", "MQTT broker, as mqtt://host:1883 or mqtts://host:8883"),
    own(MQTT_USERNAME, "", "User name at the broker"),
    own(MQTT_PASSWORD, "", "Password at the broker"),
    own(MQTT_CA, "", "PEM file with the certificate authority of the broker, if it is a private one"),
    own(MQTT_PREFIX, "sortie", "First part of the agent's topics"),
    own(MQTT_DISCOVERY, "homeassistant", "First part of Home Assistant's discovery topics; off: no discovery"),
    own(MQTT_PICTURES, "true", "Whether pictures of the input are published"),
    of_server("SORTIE_CAPTURE_HOST", "SORTIE_HOST", "0.0.0.0", "Address to listen on"),
    of_server("SORTIE_CAPTURE_PORT", "SORTIE_PORT", "8080", "Port to listen on"),
    own(TLS, "off", "self-signed: HTTPS with a certificate that the agent makes and renews; off: plain HTTP, unless _TLS_CERT is set"),
    own(TLS_CERT, "", "PEM file with a certificate chain, for HTTPS; read again when it changes"),
    own(TLS_KEY, "", "PEM file with the key of the certificate"),
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
    pub alarms: alarm::Limits,
    /// Command that is run for each alarm.
    pub alarm_hook: Option<Hook>,
    /// MQTT broker, if one is configured.
    pub mqtt: Option<Broker>,
    /// File of the forwarding journal.
    pub journal: PathBuf,
    pub server: sortie_server::Config,
    /// Certificate for HTTPS; `None`: plain HTTP.
    pub certificate: Option<CertificateSource>,
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
        let alarms = read_alarms(&mut reader);
        let alarm_hook = reader.parse::<CommandLine>(ALARM_HOOK).map(|command| Hook {
            command,
            limit: setup.hook_limit,
        });
        let mqtt = read_broker(&mut reader);
        let journal = PathBuf::from(text(&reader, DB)).with_extension("forward.json");
        let certificate = read_certificate_source(&mut reader);
        errors.extend(reader.into_errors());
        let server = sortie_server::Config::read(&|name| match name {
            // HSTS would also apply to other servers on the same host.
            "SORTIE_HSTS_SECONDS" => environment(name).or_else(|| Some("0".to_owned())),
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
                alarms,
                alarm_hook,
                mqtt,
                journal,
                server,
                certificate,
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
        idle_frames: reader.parse(IDLE_FRAMES).unwrap_or_default(),
        preroll: Duration::from_secs(number(reader, PREROLL_SECONDS, 600)),
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

fn read_alarms(reader: &mut ConfigReader<'_>) -> alarm::Limits {
    let silence = reader.number(ALARM_SILENT, 60, 1, 86_400);
    let disk = number(reader, ALARM_DISK, 100);
    let lag = number(reader, ALARM_LAG, 1_000_000);
    alarm::Limits {
        silence: Duration::from_secs(silence),
        disk_percent: (disk > 0).then_some(disk),
        lag: (lag > 0).then(|| Duration::from_secs(60 * lag)),
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
    Some(Target {
        authorities: read_authorities(reader, FORWARD_CA),
        url: url.trim_end_matches('/').to_owned(),
        token: token.into(),
        bytes_per_second: (kbit > 0).then_some(kbit * 1000 / 8),
        delete_after,
    })
}

fn read_broker(reader: &mut ConfigReader<'_>) -> Option<Broker> {
    let (prefix, discovery) = (text(reader, MQTT_PREFIX), text(reader, MQTT_DISCOVERY));
    for (name, topic) in [(MQTT_PREFIX, &prefix), (MQTT_DISCOVERY, &discovery)] {
        if !is_topic(topic) {
            reader.wrong(name, "write it as sortie or home/sortie: up to 100 characters, without + and #, and without / at its ends");
        }
    }
    let pictures = flag(reader, MQTT_PICTURES);
    let url = reader.text(MQTT_URL)?;
    // The error does not repeat the address, which may have a password.
    let address = url.parse::<Address>();
    let address = address.map_err(|syntax| reader.wrong(MQTT_URL, syntax));
    let address = address.ok()?;
    let (username, password) = (reader.text(MQTT_USERNAME), reader.text(MQTT_PASSWORD));
    if password.is_some() && username.is_none() {
        reader.wrong(MQTT_USERNAME, "the password needs a user name");
    }
    Some(Broker {
        address,
        username,
        password: password.map(Into::into),
        authorities: read_authorities(reader, MQTT_CA),
        prefix,
        discovery: Some(discovery).filter(|it| it != "off"),
        pictures,
    })
}

fn read_certificate_source(reader: &mut ConfigReader<'_>) -> Option<CertificateSource> {
    let (certificate, key) = (reader.text(TLS_CERT), reader.text(TLS_KEY));
    let mode = reader.text(TLS);
    let is_self_signed = match mode.as_deref() {
        None | Some("off") => false,
        Some("self-signed") => true,
        Some(other) => {
            reader.wrong(TLS, format!("{other:?} is neither off nor self-signed"));
            return None;
        }
    };
    match (certificate, key) {
        (Some(_), Some(_)) if is_self_signed => {
            reader.wrong(TLS, "is self-signed, but SORTIE_CAPTURE_TLS_CERT names another certificate: remove one of them");
            None
        }
        (Some(certificate), Some(key)) => Some(CertificateSource::Files {
            certificate: certificate.into(),
            key: key.into(),
        }),
        (Some(_), None) => {
            reader.wrong(TLS_KEY, "the certificate needs its key");
            None
        }
        (None, Some(_)) => {
            reader.wrong(TLS_CERT, "the key needs its certificate");
            None
        }
        (None, None) => is_self_signed.then(|| CertificateSource::SelfSigned {
            file: PathBuf::from(text(reader, DB)).with_extension("tls.pem"),
        }),
    }
}

/// Reads the PEM file that a variable names.
fn read_authorities(reader: &mut ConfigReader<'_>, name: &'static str) -> Option<Vec<u8>> {
    let path = reader.text(name)?;
    read_certificates(&path)
        .map_err(|problem| reader.wrong(name, format!("{path}: {problem}")))
        .ok()
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
    use crate::pipeline::IdleFrames;

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
        assert!(config.setup.preroll.is_zero());
        assert_eq!(config.setup.idle_frames, IdleFrames::Drop);
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
            ("SORTIE_CAPTURE_IDLE_FRAMES", "some"),
            ("SORTIE_CAPTURE_PREROLL_SECONDS", "601"),
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
                "SORTIE_CAPTURE_IDLE_FRAMES: \"some\": write it as drop or keep",
                "SORTIE_CAPTURE_MODE: \"huge\": write it as WIDTHxHEIGHT@FPS, for example 1920x1080@60",
                "SORTIE_CAPTURE_NO_SIGNAL_PICTURES: \"maybe\" is neither true nor false",
                "SORTIE_CAPTURE_PORT: \"70000\" is not a whole number from 0 to 65535",
                "SORTIE_CAPTURE_PREROLL_SECONDS: \"601\" is not a whole number from 0 to 600",
                "SORTIE_CAPTURE_SOURCE: \"rtsp://camera\": write it as v4l2:/dev/video0, ustreamer:NAME, test, test-idle, test-typing, test-video or test-grabber",
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
    fn broker_is_optional_and_keeps_its_password_secret() {
        let url = ("SORTIE_CAPTURE_MQTT_URL", "mqtts://broker.example");
        let username = ("SORTIE_CAPTURE_MQTT_USERNAME", "agent");
        let password = ("SORTIE_CAPTURE_MQTT_PASSWORD", "hunter2hunter2");
        assert_eq!(read("", &[username, password]).unwrap().mqtt, None);
        let config = read("", &[url, username, password]).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
        let broker = config.mqtt.unwrap();
        assert_eq!(broker.address.to_string(), "mqtts://broker.example:8883");
        assert_eq!(broker.prefix, "sortie");
        assert_eq!(broker.discovery.as_deref(), Some("homeassistant"));
        assert!(broker.pictures);
        let off = ("SORTIE_CAPTURE_MQTT_DISCOVERY", "off");
        assert_eq!(read("", &[url, off]).unwrap().mqtt.unwrap().discovery, None);
        for wrong in [
            ("SORTIE_CAPTURE_MQTT_URL", "mqtt://agent:hunter2@broker"),
            ("SORTIE_CAPTURE_MQTT_PREFIX", "sortie/#"),
            ("SORTIE_CAPTURE_MQTT_CA", "/nowhere/ca.pem"),
            password,
        ] {
            let errors = read("", &[url, wrong][usize::from(wrong.0 == url.0)..]).unwrap_err();
            assert!(!errors.concat().contains("hunter2"), "{errors:?}");
        }
    }

    #[test]
    fn certificate_is_self_signed_or_given_with_its_key() {
        assert_eq!(read("", &[]).unwrap().certificate, None);
        let own = ("SORTIE_CAPTURE_TLS", "self-signed");
        let certificate = ("SORTIE_CAPTURE_TLS_CERT", "/c.pem");
        let key = ("SORTIE_CAPTURE_TLS_KEY", "/k.pem");
        let self_signed = CertificateSource::SelfSigned {
            file: "/var/lib/sortie/capture-agent.tls.pem".into(),
        };
        let given = CertificateSource::Files {
            certificate: "/c.pem".into(),
            key: "/k.pem".into(),
        };
        let source = |variables: &[_]| read("", variables).unwrap().certificate;
        assert_eq!(source(&[own]), Some(self_signed));
        assert_eq!(source(&[certificate, key]), Some(given));
        for wrong in [
            &[certificate][..],
            &[key],
            &[own, certificate, key],
            &[own, certificate],
            &[("SORTIE_CAPTURE_TLS", "yes")],
        ] {
            assert!(read("", wrong).is_err(), "{wrong:?}");
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
