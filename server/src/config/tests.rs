use super::*;

pub(super) fn read(variables: &[(&str, &str)]) -> Result<Config, Vec<ConfigError>> {
    Config::read(&|name| {
        variables
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| (*value).to_owned())
    })
}

#[test]
fn defaults_are_as_documented() {
    let config = read(&[]).unwrap_or_else(|errors| panic!("{errors:?}"));
    assert!(!config.recording_enabled);
    assert!(
        matches!(&config.storage, StorageConfig::Local(local) if local.path == Path::new("/data/recordings"))
    );
    assert_eq!(config.max_size_bytes, 500 * 1024 * 1024);
    assert_eq!(config.uploads_per_user, 32);
    assert_eq!(
        (config.host.to_string().as_str(), config.port),
        ("0.0.0.0", 8080)
    );
    assert_eq!(config.database.to_string(), "sortie.db");
    assert_eq!(config.admin_username, "admin");
}

/// Every combination that makes [`Config::read`] read further variables.
const KINDS: &[&[(&str, &str)]] = &[
    &[],
    #[cfg(feature = "s3")]
    &[
        ("SORTIE_RECORDING_STORAGE_BACKEND", "s3"),
        ("SORTIE_RECORDING_S3_BUCKET", "videos"),
    ],
    #[cfg(feature = "s3")]
    &[
        ("SORTIE_RECORDING_STORAGE_BACKEND", "azure"),
        ("SORTIE_RECORDING_AZURE_CONTAINER", "videos"),
        ("AZURE_STORAGE_ACCOUNT_NAME", "account"),
    ],
    #[cfg(feature = "s3")]
    &[
        ("SORTIE_RECORDING_STORAGE_BACKEND", "gcs"),
        ("SORTIE_RECORDING_GCS_BUCKET", "videos"),
    ],
    &[("SORTIE_AUTH_JWT_SECRET", "0123456789abcdef0123456789abcdef")],
    #[cfg(feature = "sso")]
    &[
        ("SORTIE_OIDC_ISSUER", "https://id.example"),
        ("SORTIE_OIDC_CLIENT_ID", "sortie"),
        (
            "SORTIE_OIDC_REDIRECT_URL",
            "https://sortie.example/api/auth/oidc/callback",
        ),
    ],
    #[cfg(feature = "postgres")]
    &[("SORTIE_DB_TYPE", "postgres"), ("SORTIE_DB_HOST", "db")],
];

#[test]
fn table_lists_exactly_the_variables_read() {
    let asked = std::cell::RefCell::new(std::collections::BTreeSet::new());
    for kind in KINDS {
        let _ = Config::read(&|name| {
            asked.borrow_mut().insert(name.to_owned());
            kind.iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        });
    }
    let asked = asked.into_inner();
    let known = VARIABLES.iter().map(|variable| variable.name.to_owned());
    let known: std::collections::BTreeSet<_> = known.collect();
    let missing: Vec<_> = asked.difference(&known).collect();
    assert!(
        missing.is_empty(),
        "add to server/src/config/variables.rs: {missing:?}"
    );
    if cfg!(all(feature = "s3", feature = "sso", feature = "postgres")) {
        let unread: Vec<_> = known.difference(&asked).collect();
        assert!(unread.is_empty(), "nobody reads {unread:?}");
    }
}

#[test]
fn defaults_in_the_table_are_the_actual_ones() {
    for kind in KINDS {
        let with = |defaults: bool| {
            Config::read(&|name| {
                let given = kind.iter().find(|(known, _)| *known == name);
                let default = || {
                    let variable = variables::find(name)?;
                    let value = variable.default;
                    (defaults && !value.is_empty() && !value.starts_with('(')).then_some(value)
                };
                given
                    .map(|(_, value)| *value)
                    .or_else(default)
                    .map(str::to_owned)
            })
            .unwrap_or_else(|errors| panic!("{errors:?}"))
        };
        assert_eq!(format!("{:?}", with(true)), format!("{:?}", with(false)));
    }
}

#[test]
fn low_disk_mark_must_be_below_the_high_one() {
    const HIGH: &str = "SORTIE_RECORDING_DISK_HIGH_PERCENT";
    const LOW: &str = "SORTIE_RECORDING_DISK_LOW_PERCENT";
    let marks = |variables: &[(&str, &str)]| {
        read(variables)
            .map(|config| config.disk_marks)
            .map_err(|errors| {
                errors
                    .iter()
                    .map(|error| error.variable)
                    .collect::<Vec<_>>()
            })
    };
    assert_eq!(marks(&[]), Ok(None));
    assert_eq!(marks(&[(HIGH, "80")]), Ok(Some((80, 75))));
    assert_eq!(marks(&[(HIGH, "80"), (LOW, "50")]), Ok(Some((80, 50))));
    assert_eq!(marks(&[(HIGH, "80"), (LOW, "80")]), Err(vec![LOW]));
    assert_eq!(marks(&[(HIGH, "100")]), Err(vec![HIGH]));
    assert_eq!(marks(&[(LOW, "50")]), Err(vec![LOW]));
}

#[test]
fn all_invalid_values_are_reported_together() {
    let errors = read(&[
        ("SORTIE_VIDEO_RECORDING_ENABLED", "maybe"),
        ("SORTIE_PORT", "70000"),
        ("SORTIE_HOST", "localhost"),
        ("SORTIE_RECORDING_MAX_SIZE_MB", "-1"),
        ("SORTIE_RECORDING_STORAGE_BACKEND", "tape"),
        ("SORTIE_UPLOADS_PER_USER", "0"),
        ("SORTIE_DB_TYPE", "oracle"),
        ("SORTIE_JWT_SECRET", "short"),
        ("SORTIE_ADMIN_PASSWORD", "short"),
    ])
    .err()
    .unwrap_or_default();
    let variables: Vec<_> = errors.iter().map(|error| error.variable).collect();
    assert_eq!(
        variables,
        [
            "SORTIE_VIDEO_RECORDING_ENABLED",
            "SORTIE_RECORDING_STORAGE_BACKEND",
            "SORTIE_DB_TYPE",
            "SORTIE_HOST",
            "SORTIE_ADMIN_PASSWORD",
            "SORTIE_JWT_SECRET",
            "SORTIE_PORT",
            "SORTIE_RECORDING_MAX_SIZE_MB",
            "SORTIE_UPLOADS_PER_USER",
        ]
    );
    assert_eq!(
        errors[6].to_string(),
        "SORTIE_PORT: \"70000\" is not a whole number from 0 to 65535"
    );
}
