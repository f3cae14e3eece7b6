//! Connection of a PostgreSQL database. Errors do not quote the value: a password may be anywhere in a text that does
//! not parse.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;
use url::Url;
use url::form_urlencoded::Serializer;

use super::Reader;

const DSN: &str = "SORTIE_DB_DSN";
const EXAMPLE: &str =
    "for example postgres://sortie:password@db.example.com:5432/sortie?sslmode=require";

/// Parameters of a connection string that are passed on, by their libpq names.
const PARAMETERS: [&str; 11] = [
    "host",
    "port",
    "user",
    "password",
    "dbname",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "application_name",
    "options",
];
/// Parameters of other drivers that are ignored.
const IGNORED: [&str; 3] = ["client_encoding", "connect_timeout", "timezone"];

const SSL_MODES: [&str; 6] = [
    "disable",
    "allow",
    "prefer",
    "require",
    "verify-ca",
    "verify-full",
];

/// Connection to a PostgreSQL database.
#[derive(Clone)]
pub struct PostgresConfig {
    variable: &'static str,
    url: Url,
    shown: String,
}

impl PostgresConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let result = match reader.text(DSN) {
            Some(dsn) => Self::from_dsn(&dsn).map_err(|message| (DSN, message)),
            None => Self::from_parts(reader),
        };
        result
            .map_err(|(variable, message)| reader.wrong(variable, message))
            .ok()
    }

    /// Parses a connection string: a URL, or libpq's `host=… user=…`.
    pub fn from_dsn(dsn: &str) -> Result<Self, String> {
        let dsn = dsn.trim();
        let pairs = if dsn.starts_with("postgres://") || dsn.starts_with("postgresql://") {
            pairs_of_address(dsn)?
        } else {
            pairs_of_words(dsn)?
        };
        Self::from_pairs(DSN, &pairs)
    }

    fn from_parts(reader: &Reader<'_>) -> Result<Self, (&'static str, String)> {
        let mut pairs = Vec::new();
        for (variable, key, default) in [
            ("SORTIE_DB_HOST", "host", None),
            ("SORTIE_DB_PORT", "port", Some("5432")),
            ("SORTIE_DB_USER", "user", Some("sortie")),
            ("SORTIE_DB_PASSWORD", "password", Some("")),
            ("SORTIE_DB_NAME", "dbname", Some("sortie")),
            ("SORTIE_DB_SSLMODE", "sslmode", Some("prefer")),
        ] {
            let value = reader.text(variable);
            let Some(value) = value.or_else(|| default.map(str::to_owned)) else {
                return Err((
                    DSN,
                    format!("is needed with SORTIE_DB_TYPE=postgres, or SORTIE_DB_HOST; {EXAMPLE}"),
                ));
            };
            check(key, &value).map_err(|message| (variable, message))?;
            if !value.is_empty() {
                pairs.push((key.to_owned(), value));
            }
        }
        Self::from_pairs("SORTIE_DB_HOST", &pairs).map_err(|message| ("SORTIE_DB_HOST", message))
    }

    fn from_pairs(variable: &'static str, pairs: &[(String, String)]) -> Result<Self, String> {
        let mut query = Serializer::new(String::new());
        for (key, value) in pairs {
            let lower = key.to_ascii_lowercase();
            if IGNORED.contains(&lower.as_str()) {
                continue;
            }
            if !PARAMETERS.contains(&lower.as_str()) {
                return Err(format!(
                    "has a parameter that is not known, or a password with characters that need percent-encoding; known: {}",
                    PARAMETERS.join(", ")
                ));
            }
            check(&lower, value)?;
            query.append_pair(&lower, value);
        }
        let url = Url::parse(&format!("postgres://localhost/?{}", query.finish()))
            .map_err(|_| unreadable())?;
        let options = PgConnectOptions::from_str(url.as_str()).map_err(|_| unreadable())?;
        let host = match options.get_socket() {
            Some(folder) => folder.display().to_string(),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        };
        let user = options.get_username();
        let name = options.get_database().unwrap_or(user);
        Ok(Self {
            variable,
            shown: format!("{name} of {user} at {host}"),
            url,
        })
    }

    /// Returns the URL with the password, for the driver only.
    pub(crate) fn url(&self) -> &str {
        self.url.as_str()
    }

    pub(super) fn variable(&self) -> &'static str {
        self.variable
    }
}

/// Formats database, user, host and port.
impl fmt::Display for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown.fmt(f)
    }
}

impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PostgresConfig").field(&self.shown).finish()
    }
}

fn unreadable() -> String {
    format!(
        "is not a connection string; {EXAMPLE}. Special characters in a password are percent-encoded"
    )
}

fn check(key: &str, value: &str) -> Result<(), String> {
    match key {
        "port" if value.parse::<u16>().is_ok_and(|port| port > 0) => Ok(()),
        "port" => Err("the port must be a whole number from 1 to 65535".to_owned()),
        "sslmode" if SSL_MODES.contains(&value) => Ok(()),
        "sslmode" => Err(format!("sslmode must be one of {}", SSL_MODES.join(", "))),
        // A password that was not percent-encoded may extend into one of these, and would be shown.
        "host" | "dbname" if value.contains(['@', '?', '#']) => Err(unreadable()),
        _ if value.contains('\0') => Err(unreadable()),
        _ => Ok(()),
    }
}

fn pairs_of_address(dsn: &str) -> Result<Vec<(String, String)>, String> {
    let url = Url::parse(dsn).map_err(|_| unreadable())?;
    if url.fragment().is_some() {
        return Err(unreadable());
    }
    let decoded = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8()
            .map(Cow::into_owned)
            .map_err(|_| unreadable())
    };
    let port = url.port().map(|port| port.to_string());
    let mut pairs = Vec::new();
    for (key, value) in [
        ("host", url.host_str().unwrap_or_default()),
        ("port", port.as_deref().unwrap_or_default()),
        ("user", url.username()),
        ("password", url.password().unwrap_or_default()),
        ("dbname", url.path().trim_start_matches('/')),
    ] {
        if !value.is_empty() {
            pairs.push((key.to_owned(), decoded(value)?));
        }
    }
    pairs.extend(
        url.query_pairs()
            .map(|(key, value)| (key.into_owned(), value.into_owned())),
    );
    Ok(pairs)
}

/// Parses `key=value` pairs separated by white space. Values in single quotes may contain white space, and a backslash
/// escapes the next character (libpq, *Keyword/Value Connection Strings*).
fn pairs_of_words(dsn: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    let mut rest = dsn.chars().peekable();
    loop {
        while rest.next_if(|next| next.is_whitespace()).is_some() {}
        if rest.peek().is_none() {
            break;
        }
        let mut key = String::new();
        loop {
            match rest.next() {
                Some('=') => break,
                Some(next) => key.push(next),
                None => return Err(unreadable()),
            }
        }
        while rest.next_if(|next| next.is_whitespace()).is_some() {}
        let quoted = rest.next_if_eq(&'\'').is_some();
        let mut value = String::new();
        loop {
            match rest.next() {
                Some('\\') => value.push(rest.next().ok_or_else(unreadable)?),
                Some('\'') if quoted => break,
                Some(next) if next.is_whitespace() && !quoted => break,
                Some(next) => value.push(next),
                None if quoted => return Err(unreadable()),
                None => break,
            }
        }
        pairs.push((key.trim().to_owned(), value));
    }
    if pairs.is_empty() {
        return Err(unreadable());
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::read;
    use crate::config::{ConfigError, DatabaseConfig};

    fn options(dsn: &str) -> PgConnectOptions {
        let config = PostgresConfig::from_dsn(dsn).unwrap_or_else(|message| panic!("{message}"));
        PgConnectOptions::from_str(config.url()).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn url_and_key_value_pairs_are_equivalent() {
        for dsn in [
            "postgres://anna:se%20cret%2F%40@db.example.com:6000/videos?sslmode=require&TimeZone=UTC",
            "host=db.example.com port=6000 user=anna password='se cret/@' dbname=videos sslmode=require TimeZone=UTC",
            " host = db.example.com  port=6000 user=anna password=se\\ cret/@ dbname=videos  sslmode=require ",
        ] {
            let options = options(dsn);
            assert_eq!(
                (
                    options.get_host(),
                    options.get_port(),
                    options.get_username(),
                    options.get_database()
                ),
                ("db.example.com", 6000, "anna", Some("videos")),
                "{dsn}"
            );
            // The driver redacts the password, but its URL does not.
            let address = sqlx::ConnectOptions::to_url_lossy(&options);
            assert_eq!(address.password(), Some("se%20cret%2F%40"), "{dsn}");
        }
    }

    #[test]
    fn host_with_leading_slash_is_a_socket() {
        let folder = options("postgres:///videos?host=/run/postgresql");
        assert_eq!(
            folder
                .get_socket()
                .map(|path| path.display().to_string())
                .as_deref(),
            Some("/run/postgresql")
        );
        assert_eq!(folder.get_database(), Some("videos"));
    }

    #[test]
    fn passwords_are_never_shown() {
        for dsn in [
            "postgres://anna:sekret@db:5432/videos",
            "postgres://anna:1/sekret@db/videos",
            "postgres://anna:1?sekret@db/videos",
            "postgres://anna:1#sekret@db/videos",
            "postgres://anna:sekret/1@db/videos",
            "postgres://anna:sekret@db:port/videos",
            "postgres://anna@db/videos?pass=sekret",
            "postgres://anna@db/videos?sslmode=sekret",
            "host=db password=sekret sekret",
            "host=db passwd=sekret",
            "password='sekret",
            "sekret",
            "",
        ] {
            let said = match PostgresConfig::from_dsn(dsn) {
                Ok(config) => format!(
                    "{config} {config:?} {:?}",
                    DatabaseConfig::Postgres(config.clone())
                ),
                Err(message) => message,
            };
            assert!(!said.contains("sekret"), "{dsn}: {said}");
        }
    }

    #[test]
    fn connection_string_overrides_individual_variables() {
        let parts = [
            ("SORTIE_DB_TYPE", "postgres"),
            ("SORTIE_DB_HOST", "db.example.com"),
            ("SORTIE_DB_PASSWORD", "a/b?c#d @"),
        ];
        let config = read(&parts).unwrap_or_else(|errors| panic!("{errors:?}"));
        assert_eq!(
            config.database.to_string(),
            "sortie of sortie at db.example.com:5432"
        );
        assert_eq!(config.database.variable(), "SORTIE_DB_HOST");
        let dsn = ("SORTIE_DB_DSN", "postgres://anna@other/videos");
        let config = read(&[parts[0], parts[1], dsn]).unwrap_or_else(|errors| panic!("{errors:?}"));
        assert_eq!(config.database.to_string(), "videos of anna at other:5432");
    }

    #[test]
    fn errors_name_their_variable() {
        let check = |variables: &[(&str, &str)], expected: &str| {
            let mut all = vec![("SORTIE_DB_TYPE", "postgres")];
            all.extend(variables);
            let errors: Vec<ConfigError> = read(&all).err().unwrap_or_default();
            assert_eq!(errors.len(), 1, "{variables:?}: {errors:?}");
            assert!(errors[0].to_string().starts_with(expected), "{}", errors[0]);
        };
        check(&[], "SORTIE_DB_DSN: is needed with SORTIE_DB_TYPE=postgres");
        check(
            &[("SORTIE_DB_DSN", "localhost")],
            "SORTIE_DB_DSN: is not a connection string",
        );
        check(
            &[("SORTIE_DB_HOST", "db"), ("SORTIE_DB_PORT", "0")],
            "SORTIE_DB_PORT: the port must be",
        );
        check(
            &[("SORTIE_DB_HOST", "db"), ("SORTIE_DB_SSLMODE", "yes")],
            "SORTIE_DB_SSLMODE: sslmode must be one of disable,",
        );
    }
}
