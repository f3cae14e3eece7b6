//! Environment variables: name, type, default, and the error message of a wrong value.

use sortie_server::{Config, ConfigError, StorageConfig, VARIABLES};

/// Values that a variable accepts.
enum Type {
    /// `true` or `false`.
    Bool,
    /// Integers.
    Int,
    /// Text, and values of it that are refused.
    String(&'static [&'static str]),
}

struct Row {
    name: &'static str,
    kind: Type,
    /// Empty if there is none or if the server generates it.
    default: &'static str,
    /// A valid value, and the variables it requires to take effect.
    example: (&'static str, &'static [(&'static str, &'static str)]),
}

const S3: &[(&str, &str)] = &[
    ("SORTIE_RECORDING_STORAGE_BACKEND", "s3"),
    ("SORTIE_RECORDING_S3_BUCKET", "videos"),
];
const BUCKET: &[(&str, &str)] = &[("SORTIE_RECORDING_S3_BUCKET", "videos")];
const POSTGRES: &[(&str, &str)] = &[
    ("SORTIE_DB_TYPE", "postgres"),
    ("SORTIE_DB_HOST", "db.example.com"),
];

const AWS: &[(&str, &str)] = &[
    ("AWS_SECRET_ACCESS_KEY", "secret"),
    ("SORTIE_RECORDING_STORAGE_BACKEND", "s3"),
    ("SORTIE_RECORDING_S3_BUCKET", "videos"),
];

const fn row(name: &'static str, kind: Type, default: &'static str, example: &'static str) -> Row {
    Row {
        name,
        kind,
        default,
        example: (example, &[]),
    }
}

const fn requiring(needs: &'static [(&'static str, &'static str)], row: Row) -> Row {
    Row {
        example: (row.example.0, needs),
        ..row
    }
}

#[rustfmt::skip]
const ROWS: [Row; 24] = [
    row("SORTIE_VIDEO_RECORDING_ENABLED", Type::Bool, "false", "true"),
    requiring(BUCKET,
        row("SORTIE_RECORDING_STORAGE_BACKEND", Type::String(&["ftp", "S3 "]), "local", "s3")),
    row("SORTIE_RECORDING_STORAGE_PATH", Type::String(&[]), "/data/recordings", "/srv"),
    row("SORTIE_RECORDING_MAX_SIZE_MB", Type::Int, "500", "2000"),
    row("SORTIE_RECORDING_RETENTION_DAYS", Type::Int, "0", "30"),
    requiring(S3, row("SORTIE_RECORDING_S3_BUCKET", Type::String(&["no/bucket", "x"]), "", "videos")),
    requiring(S3, row("SORTIE_RECORDING_S3_REGION", Type::String(&["eu central"]), "us-east-1", "eu-central-1")),
    requiring(S3, row("SORTIE_RECORDING_S3_ENDPOINT", Type::String(&["minio:9000", "http://"]), "", "http://minio:9000")),
    requiring(S3, row("SORTIE_RECORDING_S3_PREFIX", Type::String(&["a//b"]), "recordings/", "videos/")),
    row("SORTIE_PORT", Type::Int, "8080", "81"),
    row("SORTIE_HOST", Type::String(&["localhost"]), "0.0.0.0", "127.0.0.1"),
    requiring(POSTGRES, row("SORTIE_DB_TYPE", Type::String(&["mysql"]), "sqlite", "postgres")),
    row("SORTIE_DB", Type::String(&[]), "sortie.db", "/data/sortie.db"),
    requiring(POSTGRES, row("SORTIE_DB_DSN", Type::String(&["mysql://db"]), "", "postgres://sortie@db.example.com/sortie")),
    requiring(POSTGRES, row("SORTIE_DB_HOST", Type::String(&[]), "", "db.example.com")),
    requiring(POSTGRES, row("SORTIE_DB_PORT", Type::Int, "5432", "5433")),
    requiring(POSTGRES, row("SORTIE_DB_USER", Type::String(&[]), "sortie", "ann")),
    requiring(POSTGRES, row("SORTIE_DB_PASSWORD", Type::String(&[]), "", "secret")),
    requiring(POSTGRES, row("SORTIE_DB_NAME", Type::String(&[]), "sortie", "videos")),
    requiring(POSTGRES, row("SORTIE_DB_SSLMODE", Type::String(&["maybe"]), "prefer", "require")),
    row("SORTIE_ADMIN_USERNAME", Type::String(&[" ann"]), "admin", "root"),
    row("SORTIE_ADMIN_PASSWORD", Type::String(&["short"]), "", "a good password"),
    row("SORTIE_JWT_SECRET", Type::String(&["short"]), "", "0123456789abcdef0123456789abcdef"),
    // The AWS credential chain reads the environment first.
    requiring(AWS,
        row("AWS_ACCESS_KEY_ID", Type::String(&[]), "", "key")),
];

fn read(variables: &[(&str, &str)]) -> Result<Config, Vec<ConfigError>> {
    Config::read(&|name| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

fn set<'v>(row: &'v Row, value: &'v str) -> Vec<(&'v str, &'v str)> {
    let mut variables = vec![(row.name, value)];
    variables.extend(row.example.1);
    variables
}

impl Type {
    fn wrong_values(&self) -> &[&'static str] {
        match self {
            Self::Bool => &["maybe", "2"],
            Self::Int => &["many", "-1", "1.5"],
            Self::String(wrong) => wrong,
        }
    }
}

#[test]
fn every_variable_exists_with_its_default() {
    for row in &ROWS {
        let described = VARIABLES.iter().find(|known| known.name == row.name);
        let described = described.unwrap_or_else(|| panic!("{} does not exist", row.name));
        let default = Some(described.default)
            .filter(|text| !text.starts_with('('))
            .unwrap_or_default();
        assert_eq!(default, row.default, "{}", row.name);
        // The example is accepted.
        let read = read(&set(row, row.example.0));
        assert!(read.is_ok(), "{}: {read:?}", row.name);
    }
}

#[test]
fn wrong_value_error_names_variable_and_allowed_values() {
    for row in &ROWS {
        for wrong in row.kind.wrong_values() {
            let errors = read(&set(row, wrong)).err().unwrap_or_default();
            let error = errors.iter().find(|error| error.variable == row.name);
            let error = error.unwrap_or_else(|| panic!("{}={wrong} is accepted", row.name));
            assert!(error.message.len() > 20, "{}: {error}", row.name);
        }
    }
    for (name, allowed) in [
        ("SORTIE_VIDEO_RECORDING_ENABLED", "true"),
        ("SORTIE_RECORDING_STORAGE_BACKEND", "local or s3"),
        ("SORTIE_DB_TYPE", "sqlite or postgres"),
        ("SORTIE_RECORDING_MAX_SIZE_MB", "from 1 to"),
    ] {
        let errors = read(&[(name, "nonsense")]).err().unwrap_or_default();
        assert!(errors[0].message.contains(allowed), "{name}: {}", errors[0]);
    }
}

#[test]
fn all_wrong_values_are_reported_together() {
    let wrong: Vec<_> = ROWS
        .iter()
        .filter(|row| row.example.1.is_empty())
        .filter_map(|row| Some((row.name, *row.kind.wrong_values().first()?)))
        .collect();
    let errors = read(&wrong).err().unwrap_or_default();
    let mut named: Vec<_> = errors.iter().map(|error| error.variable).collect();
    let mut expected: Vec<_> = wrong.iter().map(|(name, _)| *name).collect();
    named.sort_unstable();
    expected.sort_unstable();
    assert_eq!(named, expected);
    let needs_a_bucket = read(&S3[..1]).err().unwrap_or_default();
    assert_eq!(needs_a_bucket[0].variable, "SORTIE_RECORDING_S3_BUCKET");
}

#[test]
fn variables_take_effect() {
    let config = read(&[]).expect("no variable is required");
    assert!(!config.recording_enabled);
    assert_eq!(config.max_size_bytes, 500 * 1024 * 1024);
    assert_eq!(config.retention_days, 0);
    assert_eq!(config.port, 8080);
    assert_eq!(config.host.to_string(), "0.0.0.0");
    assert_eq!(config.admin_username, "admin");
    assert!(config.admin_password.is_none() && config.jwt_secret.is_none());
    assert_eq!(config.database.to_string(), "sortie.db");
    assert!(matches!(
        &config.storage,
        StorageConfig::Local(local) if local.path.as_os_str() == "/data/recordings"
    ));
    let config = read(S3).expect("a valid configuration");
    assert!(matches!(
        &config.storage,
        StorageConfig::S3(s3) if s3.bucket == "videos"
            && s3.region == "us-east-1"
            && s3.endpoint.is_none()
            && s3.common.prefix == "recordings/"
    ));
    // The connection string takes precedence over its parts.
    let mut both = POSTGRES.to_vec();
    both.push(("SORTIE_DB_DSN", "postgres://ann@other.example.com/videos"));
    let config = read(&both).expect("both are right");
    assert!(config.database.to_string().contains("other.example.com"));
}
