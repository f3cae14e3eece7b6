//! Sources of values: the environment, files with one secret each, and a configuration file.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::reader::{read_toml, small_text};
use super::variables::{CONFIG_FILE, VARIABLES, Variable, closest_name, find};
use super::{Config, ConfigError};

/// Text and source of every variable that is set.
pub struct Settings {
    values: BTreeMap<&'static str, (String, Origin)>,
    file: Option<PathBuf>,
    unknown: Vec<String>,
    errors: Vec<ConfigError>,
}

/// Source of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    Environment,
    /// The file named by `<name>_FILE`.
    SecretFile(PathBuf),
    ConfigFile,
}

impl Settings {
    /// Reads the environment, and the file of `--config` or `SORTIE_CONFIG`.
    pub fn from_env(file: Option<PathBuf>) -> Self {
        Self::collect(std::env::vars_os(), file)
    }

    /// Reads other sources. Unreadable files are reported by [`Settings::config`] with all other errors.
    pub fn collect(
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        file: Option<PathBuf>,
    ) -> Self {
        let mut settings = Self {
            values: BTreeMap::new(),
            file: None,
            unknown: Vec::new(),
            errors: Vec::new(),
        };
        let environment = settings.environment(environment);
        // An empty value counts as not set.
        let set = |name: &str| environment.get(name).filter(|value| !value.is_empty());
        settings.file = file.or_else(|| set(CONFIG_FILE).map(PathBuf::from));
        if let Some(path) = settings.file.clone() {
            settings.read_file(&path);
        }
        for variable in VARIABLES {
            if let Some(value) = set(variable.name) {
                let value = (value.clone(), Origin::Environment);
                settings.values.insert(variable.name, value);
            } else if let Some(path) =
                set(&format!("{}_FILE", variable.name)).filter(|_| variable.secret)
            {
                settings.read_secret(variable, Path::new(path));
            }
        }
        settings
    }

    /// Variables of this program.
    fn environment(
        &mut self,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> BTreeMap<String, String> {
        let mut ours = BTreeMap::new();
        for (name, value) in environment {
            let Ok(name) = name.into_string() else {
                continue;
            };
            let variable = find(&name).or_else(|| {
                let variable = find(name.strip_suffix("_FILE")?)?;
                variable.secret.then_some(variable)
            });
            match (variable, value.into_string()) {
                (Some(variable), Err(_)) => {
                    self.wrong(variable.name, format!("{name} is not UTF-8"));
                }
                (Some(_), Ok(value)) => {
                    ours.insert(name, value);
                }
                (None, value) if name == CONFIG_FILE => {
                    ours.extend(value.ok().map(|value| (name, value)));
                }
                (None, _) if name.starts_with("SORTIE_") => self.unknown.push(name),
                (None, _) => {}
            }
        }
        ours
    }

    fn wrong(&mut self, variable: &'static str, message: impl Into<String>) {
        self.errors.push(ConfigError {
            variable,
            message: message.into(),
        });
    }

    fn read_secret(&mut self, variable: &'static Variable, path: &Path) {
        match small_text(path) {
            // Removes the line end that editors and `echo` append.
            Ok(text) => {
                let text = text.trim_end_matches(['\n', '\r']).to_owned();
                let origin = Origin::SecretFile(path.to_owned());
                self.values.insert(variable.name, (text, origin));
            }
            Err(reason) => {
                let name = variable.name;
                self.wrong(
                    name,
                    format!("{name}_FILE: cannot read {}: {reason}", path.display()),
                );
            }
        }
    }

    fn read_file(&mut self, path: &Path) {
        let values = match read_toml(path) {
            Ok(values) => values,
            Err(reason) => {
                self.wrong(CONFIG_FILE, format!("{}: {reason}", path.display()));
                return;
            }
        };
        for (name, value) in values {
            let Some(variable) = find(&name) else {
                let hint = closest_name(&name).map_or_else(
                    || "; `sortie-server --help` lists all".to_owned(),
                    |known| format!("; did you mean {known}?"),
                );
                let path = path.display();
                self.wrong(
                    CONFIG_FILE,
                    format!("{path}: there is no variable {name}{hint}"),
                );
                continue;
            };
            match value {
                Ok(text) => self.set_from_file(variable, text),
                Err(kind) => {
                    let message = format!(
                        "{}: is of type {kind}; write text, a number, true or false",
                        path.display()
                    );
                    self.wrong(variable.name, message);
                }
            }
        }
    }

    fn set_from_file(&mut self, variable: &'static Variable, value: String) {
        if !value.is_empty() {
            self.values
                .insert(variable.name, (value, Origin::ConfigFile));
        }
    }

    /// Returns the settings with one value replaced. An unknown name changes nothing.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        if let Some(variable) = find(name) {
            let value = (value.to_owned(), Origin::Environment);
            self.values.insert(variable.name, value);
        }
        self
    }

    /// Returns the parsed configuration, or all errors.
    pub fn config(&self) -> Result<Config, Vec<ConfigError>> {
        let value = |name: &str| self.values.get(name).map(|(value, _)| value.clone());
        match Config::read(&value) {
            Ok(config) if self.errors.is_empty() => Ok(config),
            Ok(_) => Err(self.errors.clone()),
            Err(errors) => Err([self.errors.clone(), errors].concat()),
        }
    }

    /// Returns unknown names in the environment that resemble known ones, with suggestions. Not errors: Kubernetes, for
    /// example, sets such names.
    pub fn unknown_names(&self) -> Vec<String> {
        let hint = |name: &String| match closest_name(name) {
            Some(known) => format!("{name} is not a known variable; did you mean {known}?"),
            None => format!("{name} is not a known variable"),
        };
        self.unknown.iter().map(hint).collect()
    }

    /// Returns every variable with its value and source, one per line; secrets are masked.
    pub fn report(&self) -> String {
        let width = VARIABLES.iter().map(|v| v.name.len()).max().unwrap_or(0);
        let mut text = String::new();
        for variable in VARIABLES {
            let (value, origin) = match self.values.get(variable.name) {
                None if variable.default.is_empty() => ("(not set)".to_owned(), String::new()),
                None => (variable.default.replace('`', ""), "  [default]".to_owned()),
                Some((value, origin)) => {
                    let value = if variable.secret {
                        "********".to_owned()
                    } else {
                        value.escape_debug().to_string()
                    };
                    let origin = match origin {
                        Origin::Environment => "environment".to_owned(),
                        Origin::SecretFile(path) => path.display().to_string(),
                        Origin::ConfigFile => {
                            let path = self.file.as_deref().unwrap_or_else(|| Path::new(""));
                            path.display().to_string()
                        }
                    };
                    (value, format!("  [{origin}]"))
                }
            };
            let _ = writeln!(text, "{:width$}  {value}{origin}", variable.name);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(environment: &[(&str, &str)], file: Option<&Path>) -> Settings {
        let pairs = environment.iter();
        Settings::collect(
            pairs.map(|(name, value)| (OsString::from(*name), OsString::from(*value))),
            file.map(Path::to_owned),
        )
    }

    fn file(text: &str) -> tempfile::TempPath {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file.into_temp_path()
    }

    #[track_caller]
    fn errors(settings: &Settings) -> Vec<String> {
        let errors = settings.config().err().unwrap_or_default();
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn environment_overrides_the_file() {
        let path =
            file("SORTIE_PORT = 1\nSORTIE_HOST = \"127.0.0.1\"\nSORTIE_METRICS_PUBLIC = true\n");
        let environment = [("SORTIE_PORT", "2"), ("SORTIE_HOST", "")];
        let config = settings(&environment, Some(&path)).config();
        let config = config.unwrap_or_else(|errors| panic!("{errors:?}"));
        assert_eq!(config.port, 2);
        // Empty means not set.
        assert_eq!(config.host.to_string(), "127.0.0.1");
        assert!(config.metrics_public);
    }

    #[test]
    fn environment_can_name_the_file() {
        let path = file("SORTIE_PORT = 1");
        let name = path.to_str().unwrap_or_default();
        let config = settings(&[("SORTIE_CONFIG", name)], None).config();
        assert_eq!(config.map(|config| config.port).ok(), Some(1));
    }

    #[test]
    fn errors_of_file_and_environment_are_reported_together() {
        let path =
            file("SORTIE_PROT = 1\nCOLOUR = 'red'\nSORTIE_HOST = ['a']\nSORTIE_PORT = 70000\n");
        let environment = [
            ("SORTIE_ADMIN_PASSWORD", "short"),
            ("SORTIE_JWT_SECRET_FILE", "/no/such/file"),
        ];
        let mut found = errors(&settings(&environment, Some(&path)));
        let shown = path.display();
        found.sort();
        assert_eq!(
            found,
            [
                "SORTIE_ADMIN_PASSWORD: must have 8 to 256 characters".to_owned(),
                format!("SORTIE_CONFIG: {shown}: there is no variable COLOUR; `sortie-server --help` lists all"),
                format!("SORTIE_CONFIG: {shown}: there is no variable SORTIE_PROT; did you mean SORTIE_PORT?"),
                format!("SORTIE_HOST: {shown}: is of type array; write text, a number, true or false"),
                "SORTIE_JWT_SECRET: SORTIE_JWT_SECRET_FILE: cannot read /no/such/file: No such file or directory (os error 2)".to_owned(),
                "SORTIE_PORT: \"70000\" is not a whole number from 0 to 65535".to_owned(),
            ]
        );
    }

    #[test]
    fn malformed_file_does_not_reveal_secrets() {
        let path = file("SORTIE_PORT = 1\nSORTIE_ADMIN_PASSWORD = hunter2hunter2\n");
        let found = errors(&settings(&[], Some(&path)));
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("line 2 is not TOML"), "{found:?}");
        assert!(!found[0].contains("hunter2"), "{found:?}");
    }

    #[test]
    fn secret_is_read_from_its_file_and_masked() {
        let path = file("correct horse battery\n");
        let name = path.to_str().unwrap_or_default();
        let environment = [
            ("SORTIE_ADMIN_PASSWORD_FILE", name),
            ("SORTIE_JWT_SECRET", "0123456789abcdef0123456789abcdef"),
        ];
        let settings = settings(&environment, None);
        let config = settings
            .config()
            .unwrap_or_else(|errors| panic!("{errors:?}"));
        let password = config
            .admin_password
            .as_ref()
            .map(super::super::Secret::expose);
        assert_eq!(password, Some("correct horse battery"));
        let shown = format!("{config:?}{}", settings.report());
        assert!(shown.contains(&format!("********  [{name}]")), "{shown}");
        assert!(
            !shown.contains("battery") && !shown.contains("0123456789abcdef"),
            "{shown}"
        );
    }

    #[test]
    fn only_secrets_have_a_file_variable() {
        let settings = settings(&[("SORTIE_PORT_FILE", "/no/such/file")], None);
        assert_eq!(errors(&settings), [""; 0]);
        assert_eq!(
            settings.unknown_names(),
            ["SORTIE_PORT_FILE is not a known variable; did you mean SORTIE_PORT?"]
        );
    }

    #[cfg(unix)]
    #[test]
    fn non_utf8_value_is_an_error() {
        use std::os::unix::ffi::OsStringExt as _;
        let pair = (OsString::from("SORTIE_DB"), OsString::from_vec(vec![0xff]));
        assert_eq!(
            errors(&Settings::collect([pair], None)),
            ["SORTIE_DB: SORTIE_DB is not UTF-8"]
        );
    }
}
