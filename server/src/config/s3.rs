//! Variables of the `s3` back end.

use std::path::Path;

use super::stores::CommonStorageConfig;
use super::{MIB, Reader, Secret};

/// S3 requires at least 5 MiB for each part but the last; some stores require equal parts.
const SMALLEST_PART: u64 = 8 * MIB;
/// S3 accepts 10,000 parts; a few are reserved for finishing.
const MOST_PARTS: u64 = 9_900;
/// Largest object of S3 and Google, 5 TiB; Azure's is larger.
pub(super) const LARGEST_OBJECT_MB: u64 = 5 * 1024 * 1024;

/// The `s3` storage back end.
#[derive(Clone, Debug)]
pub struct S3StorageConfig {
    /// `SORTIE_RECORDING_S3_BUCKET`.
    pub bucket: String,
    /// `SORTIE_RECORDING_S3_REGION`.
    pub region: String,
    /// `SORTIE_RECORDING_S3_ENDPOINT`; AWS by default.
    pub endpoint: Option<String>,
    /// `SORTIE_RECORDING_S3_REDIRECT`: whether downloads are redirected to the store.
    pub redirect: bool,
    /// `AWS_ACCESS_KEY_ID` with its secret, the first link of the AWS chain; without it the rest of the chain is used.
    pub credentials: Option<S3Key>,
    /// Options common to all buckets.
    pub common: CommonStorageConfig,
}

/// Access key of an S3 account.
#[derive(Clone, Debug)]
pub struct S3Key {
    /// Value of the variable `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// Value of the variable `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: Secret,
    /// Value of the variable `AWS_SESSION_TOKEN`.
    pub session_token: Option<Secret>,
}

impl S3StorageConfig {
    pub(super) fn read(reader: &mut Reader<'_>, database: &Path, max_size_bytes: u64) -> Self {
        let bucket = reader
            .text("SORTIE_RECORDING_S3_BUCKET")
            .unwrap_or_default();
        if bucket.is_empty() {
            reader.wrong(
                "SORTIE_RECORDING_S3_BUCKET",
                "must be set with SORTIE_RECORDING_STORAGE_BACKEND=s3",
            );
        } else if !is_bucket(&bucket) {
            reader.wrong(
                "SORTIE_RECORDING_S3_BUCKET",
                format!(
                    "{bucket:?} is not a bucket's name: 3 to 63 letters, digits, dots and hyphens"
                ),
            );
        }
        let region = reader
            .text("SORTIE_RECORDING_S3_REGION")
            .unwrap_or_else(|| "us-east-1".to_owned());
        if !region
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        {
            reader.wrong(
                "SORTIE_RECORDING_S3_REGION",
                format!("{region:?} is not a region; for example eu-central-1"),
            );
        }
        let endpoint = reader.text("SORTIE_RECORDING_S3_ENDPOINT");
        if let Some(endpoint) = endpoint.as_ref().filter(|endpoint| !is_endpoint(endpoint)) {
            reader.wrong(
                "SORTIE_RECORDING_S3_ENDPOINT",
                format!("{endpoint:?} is not an address without a path; for example https://s3.example.com:9000"),
            );
        }
        Self {
            bucket,
            region,
            endpoint,
            // Read first: errors are reported in this order.
            common: CommonStorageConfig::read(
                reader,
                "SORTIE_RECORDING_S3_PREFIX",
                database,
                max_size_bytes,
            ),
            redirect: reader.flag("SORTIE_RECORDING_S3_REDIRECT", false),
            credentials: S3Key::read(reader),
        }
    }
}

impl S3Key {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let access_key_id = reader.text("AWS_ACCESS_KEY_ID");
        let secret_access_key = reader.text("AWS_SECRET_ACCESS_KEY");
        let session_token = reader.text("AWS_SESSION_TOKEN");
        match (access_key_id, secret_access_key) {
            (Some(access_key_id), Some(secret_access_key)) => Some(Self {
                access_key_id,
                secret_access_key: secret_access_key.into(),
                session_token: session_token.map(Secret::from),
            }),
            (Some(_), None) => {
                reader.wrong(
                    "AWS_SECRET_ACCESS_KEY",
                    "must be set with AWS_ACCESS_KEY_ID",
                );
                None
            }
            (None, Some(_)) => {
                reader.wrong(
                    "AWS_ACCESS_KEY_ID",
                    "must be set with AWS_SECRET_ACCESS_KEY",
                );
                None
            }
            (None, None) => None,
        }
    }
}

/// Accepts whatever the most lenient store accepts; stores report other errors themselves.
fn is_bucket(name: &str) -> bool {
    (3..=63).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

fn is_endpoint(endpoint: &str) -> bool {
    let uri = endpoint.parse::<axum::http::Uri>();
    is_address(endpoint) && uri.is_ok_and(|uri| matches!(uri.path(), "" | "/"))
}

/// Whether a text is the address of a server, with an optional path.
pub(super) fn is_address(address: &str) -> bool {
    address.parse::<axum::http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.query().is_none()
    })
}

/// Normalises a prefix: no leading slash, one trailing slash; `/` alone means none.
pub(super) fn clean_prefix(prefix: &str) -> Option<String> {
    let names = prefix.trim_start_matches('/').trim_end_matches('/');
    if names.is_empty() {
        return Some(String::new());
    }
    let plain = |name: &str| {
        !matches!(name, "" | "." | "..")
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.!'()=@".contains(&byte))
    };
    names.split('/').all(plain).then(|| format!("{names}/"))
}

/// Smallest part, in whole MiB, with which the largest recording fits into the number of parts.
pub(super) fn part_size(max_size_bytes: u64) -> u64 {
    max_size_bytes
        .div_ceil(MOST_PARTS)
        .next_multiple_of(MIB)
        .max(SMALLEST_PART)
}

#[cfg(test)]
mod tests {
    use super::super::{Config, StorageConfig, tests::read};
    use super::*;

    const S3: (&str, &str) = ("SORTIE_RECORDING_STORAGE_BACKEND", "s3");
    const BUCKET: (&str, &str) = ("SORTIE_RECORDING_S3_BUCKET", "recordings");

    #[track_caller]
    fn s3(variables: &[(&str, &str)]) -> S3StorageConfig {
        match read(&[&[S3, BUCKET], variables].concat()) {
            Ok(Config {
                storage: StorageConfig::S3(s3),
                ..
            }) => s3,
            Ok(_) => panic!("another back end"),
            Err(errors) => panic!("{errors:?}"),
        }
    }

    #[test]
    fn s3_requires_only_a_bucket() {
        let config = s3(&[]);
        assert_eq!(config.bucket, "recordings");
        assert_eq!(config.region, "us-east-1");
        assert_eq!(config.common.prefix, "recordings/");
        assert_eq!(config.common.staging, Path::new("staging"));
        assert_eq!(config.common.part_size, 8 * MIB);
        assert!(config.endpoint.is_none() && config.credentials.is_none() && !config.redirect);
    }

    #[test]
    fn staging_folder_is_beside_the_database() {
        let config = s3(&[("SORTIE_DB", "/var/lib/sortie/sortie.db")]);
        assert_eq!(config.common.staging, Path::new("/var/lib/sortie/staging"));
        let config = s3(&[("SORTIE_RECORDING_STAGING_PATH", "/fast")]);
        assert_eq!(config.common.staging, Path::new("/fast"));
    }

    #[test]
    fn prefix_is_normalised_or_refused() {
        for (given, expected) in [
            ("/", Some("")),
            ("a", Some("a/")),
            ("a/b/", Some("a/b/")),
            ("/a/", Some("a/")),
            ("a//b", None),
            ("a/../b", None),
            ("a b", None),
        ] {
            assert_eq!(clean_prefix(given).as_deref(), expected, "{given}");
        }
    }

    #[test]
    fn part_size_fits_the_largest_recording() {
        for max_size_mb in [1, 500, 79_200, 79_201, LARGEST_OBJECT_MB] {
            let part_size = part_size(max_size_mb * MIB);
            assert!(part_size >= SMALLEST_PART && part_size.is_multiple_of(MIB));
            assert!((max_size_mb * MIB).div_ceil(part_size) <= MOST_PARTS);
        }
        assert_eq!(part_size(79_200 * MIB), SMALLEST_PART);
    }

    #[test]
    fn all_invalid_values_are_reported_together() {
        let errors = read(&[
            S3,
            ("SORTIE_RECORDING_S3_REGION", "eu central"),
            ("SORTIE_RECORDING_S3_ENDPOINT", "s3.example.com"),
            ("SORTIE_RECORDING_S3_PREFIX", "../x"),
            ("SORTIE_RECORDING_MAX_SIZE_MB", "6000000"),
            ("SORTIE_RECORDING_S3_REDIRECT", "maybe"),
            ("AWS_ACCESS_KEY_ID", "key"),
        ])
        .err()
        .unwrap_or_default();
        let variables: Vec<_> = errors.iter().map(|error| error.variable).collect();
        assert_eq!(
            variables,
            [
                "SORTIE_RECORDING_S3_BUCKET",
                "SORTIE_RECORDING_S3_REGION",
                "SORTIE_RECORDING_S3_ENDPOINT",
                "SORTIE_RECORDING_S3_PREFIX",
                "SORTIE_RECORDING_MAX_SIZE_MB",
                "SORTIE_RECORDING_S3_REDIRECT",
                "AWS_SECRET_ACCESS_KEY",
            ]
        );
    }

    #[test]
    fn secrets_are_not_printed() {
        let config = s3(&[
            ("AWS_ACCESS_KEY_ID", "public"),
            ("AWS_SECRET_ACCESS_KEY", "hidden"),
            ("AWS_SESSION_TOKEN", "concealed"),
        ]);
        let printed = format!("{config:?}");
        assert!(printed.contains("public"));
        assert!(!printed.contains("hidden") && !printed.contains("concealed"));
    }
}
