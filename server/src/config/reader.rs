//! Typed values of variables, shared with the capture agent.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::ConfigError;

/// Largest configuration file or secret, in bytes.
const LARGEST_FILE: u64 = 1024 * 1024;

/// Parses variables and collects the errors.
pub struct Reader<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    pub(super) errors: Vec<ConfigError>,
}

impl<'a> Reader<'a> {
    /// Reader of the variables that `variable` looks up.
    pub fn new(variable: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            variable,
            errors: Vec::new(),
        }
    }

    /// Returns the errors found so far.
    pub fn into_errors(self) -> Vec<ConfigError> {
        self.errors
    }

    /// Value of a variable; an empty one counts as not set.
    pub fn text(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    /// Records an error of a variable.
    pub fn wrong(&mut self, variable: &'static str, message: impl Into<String>) {
        self.errors.push(ConfigError {
            variable,
            message: message.into(),
        });
    }

    /// Reads a boolean variable: `true` or `false`.
    pub fn flag(&mut self, name: &'static str, default: bool) -> bool {
        match self
            .text(name)
            .as_deref()
            .map(str::to_ascii_lowercase)
            .as_deref()
        {
            None => default,
            Some("true" | "1" | "yes" | "on") => true,
            Some("false" | "0" | "no" | "off") => false,
            Some(other) => {
                self.wrong(name, format!("{other:?} is neither true nor false"));
                default
            }
        }
    }

    /// Whole number from `min` to `max`.
    pub fn number(&mut self, name: &'static str, default: u64, min: u64, max: u64) -> u64 {
        let Some(text) = self.text(name) else {
            return default;
        };
        match text.parse::<u64>() {
            Ok(value) if (min..=max).contains(&value) => value,
            _ => {
                self.wrong(
                    name,
                    format!("{text:?} is not a whole number from {min} to {max}"),
                );
                default
            }
        }
    }

    /// Parsed value; `None` if it is not set or invalid.
    pub fn parse<T: FromStr<Err: fmt::Display>>(&mut self, name: &'static str) -> Option<T> {
        let text = self.text(name)?;
        text.parse()
            .map_err(|error| self.wrong(name, format!("{text:?}: {error}")))
            .ok()
    }
}

/// Value of a TOML file as text, or the name of its type if that is unsupported.
pub type TomlValue = Result<String, &'static str>;

/// Reads the values of a TOML file as text. For a value that is neither text nor number nor boolean, the name of its
/// type is returned.
///
/// # Errors
/// The reason why the file cannot be read. It does not quote the file, which may hold secrets.
pub fn read_toml(path: &Path) -> Result<Vec<(String, TomlValue)>, String> {
    let text = small_text(path)?;
    // The parser's own message quotes the line.
    let table = text.parse::<toml::Table>().map_err(|error| {
        let before = &text[..error.span().map_or(0, |span| span.start).min(text.len())];
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        format!("line {line} is not TOML: {}", error.message())
    })?;
    let values = table.into_iter().map(|(name, value)| {
        let value = match value {
            toml::Value::String(text) => Ok(text),
            toml::Value::Integer(number) => Ok(number.to_string()),
            toml::Value::Float(number) => Ok(number.to_string()),
            toml::Value::Boolean(flag) => Ok(flag.to_string()),
            other => Err(other.type_str()),
        };
        (name, value)
    });
    Ok(values.collect())
}

/// Reads a small text file.
pub(super) fn small_text(path: &Path) -> Result<String, String> {
    use std::io::Read as _;

    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LARGEST_FILE + 1).read_to_string(&mut text))
        .map_err(|error| error.to_string())?;
    if text.len() as u64 > LARGEST_FILE {
        return Err("it is larger than 1 MiB".to_owned());
    }
    Ok(text)
}
