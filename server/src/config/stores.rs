//! Variables of the back ends `azure` and `gcs`, and those common to all buckets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::s3::{LARGEST_OBJECT_MB, clean_prefix, is_address, part_size};
use super::{MIB, Reader, Secret};

/// The `azure` storage back end: block blobs in a container of a storage account.
#[derive(Clone, Debug)]
pub struct AzureStorageConfig {
    /// `SORTIE_RECORDING_AZURE_CONTAINER`.
    pub container: String,
    /// `AZURE_STORAGE_ACCOUNT_NAME`.
    pub account: String,
    /// `AZURE_STORAGE_ENDPOINT`; by default the account's address in the public cloud.
    pub endpoint: Option<String>,
    /// Credentials by the names of their variables; empty: a managed identity.
    pub credentials: BTreeMap<&'static str, Secret>,
    /// Options common to all buckets.
    pub common: CommonStorageConfig,
}

/// The `gcs` storage back end: Google Cloud Storage.
#[derive(Clone, Debug)]
pub struct GcsStorageConfig {
    /// `SORTIE_RECORDING_GCS_BUCKET`.
    pub bucket: String,
    /// `GOOGLE_APPLICATION_CREDENTIALS`: a file. Without this and the next variable, gcloud's file or the machine's
    /// account is used.
    pub application_credentials: Option<PathBuf>,
    /// `GOOGLE_SERVICE_ACCOUNT_KEY`: contents of that file.
    pub service_account_key: Option<Secret>,
    /// Options common to all buckets.
    pub common: CommonStorageConfig,
}

/// Options common to all buckets.
#[derive(Clone, Debug)]
pub struct CommonStorageConfig {
    /// Prefix of every key: empty, or with a slash at its end.
    pub prefix: String,
    /// `SORTIE_RECORDING_STAGING_PATH`: folder for bytes that are not in the store yet.
    pub staging: PathBuf,
    /// Bytes of a part, derived from the largest recording.
    pub part_size: u64,
}

/// Alternative sets of credentials, in the order in which object_store looks for them.
const AZURE_CREDENTIALS: [&[&str]; 4] = [
    &["AZURE_STORAGE_ACCOUNT_KEY"],
    &[
        "AZURE_CLIENT_ID",
        "AZURE_TENANT_ID",
        "AZURE_FEDERATED_TOKEN_FILE",
    ],
    &["AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET"],
    &["AZURE_STORAGE_SAS_TOKEN"],
];

impl CommonStorageConfig {
    pub(super) fn read(
        reader: &mut Reader<'_>,
        prefix: &'static str,
        database: &Path,
        max_size_bytes: u64,
    ) -> Self {
        let given = reader.text(prefix);
        let given = given.unwrap_or_else(|| "recordings/".to_owned());
        let clean = clean_prefix(&given);
        if clean.is_none() {
            reader.wrong(
                prefix,
                format!("{given:?} is not a prefix of names separated by single slashes"),
            );
        }
        if max_size_bytes > LARGEST_OBJECT_MB * MIB {
            reader.wrong(
                "SORTIE_RECORDING_MAX_SIZE_MB",
                format!(
                    "must be at most {LARGEST_OBJECT_MB} where recordings are kept in a bucket"
                ),
            );
        }
        Self {
            prefix: clean.unwrap_or_default(),
            staging: reader
                .text("SORTIE_RECORDING_STAGING_PATH")
                .map_or_else(|| database.with_file_name("staging"), PathBuf::from),
            part_size: part_size(max_size_bytes),
        }
    }
}

impl AzureStorageConfig {
    pub(super) fn read(reader: &mut Reader<'_>, database: &Path, max_size_bytes: u64) -> Self {
        const CONTAINER: &str = "SORTIE_RECORDING_AZURE_CONTAINER";
        const ACCOUNT: &str = "AZURE_STORAGE_ACCOUNT_NAME";
        const ENDPOINT: &str = "AZURE_STORAGE_ENDPOINT";
        let container = needed(reader, CONTAINER, "azure");
        if !container.is_empty() && !is_container(&container) {
            reader.wrong(
                CONTAINER,
                format!(
                    "{container:?} is not a container's name: 3 to 63 small letters, digits and single hyphens"
                ),
            );
        }
        let account = needed(reader, ACCOUNT, "azure");
        if !account.is_empty() && !is_account_name(&account) {
            reader.wrong(
                ACCOUNT,
                format!(
                    "{account:?} is not an account's name: 3 to 24 lower-case letters and digits"
                ),
            );
        }
        let endpoint = reader.text(ENDPOINT);
        if let Some(endpoint) = endpoint.as_ref().filter(|address| !is_address(address)) {
            reader.wrong(
                ENDPOINT,
                format!(
                    "{endpoint:?} is not an address; for example https://ACCOUNT.blob.core.usgovcloudapi.net"
                ),
            );
        }
        let mut credentials = BTreeMap::new();
        for name in AZURE_CREDENTIALS.iter().copied().flatten() {
            if let Some(value) = reader.text(name) {
                credentials.insert(*name, Secret::from(value));
            }
        }
        if let Some(host) = reader.text("AZURE_AUTHORITY_HOST") {
            credentials.insert("AZURE_AUTHORITY_HOST", host.into());
        }
        let has = |name: &&str| credentials.contains_key(*name);
        // A managed identity may be selected by its client id, without a tenant.
        let named = ["AZURE_FEDERATED_TOKEN_FILE", "AZURE_CLIENT_SECRET"];
        if let Some(proof) = named.iter().find(|name| has(name))
            && !AZURE_CREDENTIALS.iter().any(|set| set.iter().all(has))
        {
            let missing = ["AZURE_CLIENT_ID", "AZURE_TENANT_ID"];
            for missing in missing.into_iter().filter(|name| !has(name)) {
                reader.wrong(missing, format!("must be set with {proof}"));
            }
        }
        Self {
            container,
            account,
            endpoint,
            credentials,
            common: CommonStorageConfig::read(
                reader,
                "SORTIE_RECORDING_AZURE_PREFIX",
                database,
                max_size_bytes,
            ),
        }
    }
}

impl GcsStorageConfig {
    pub(super) fn read(reader: &mut Reader<'_>, database: &Path, max_size_bytes: u64) -> Self {
        const BUCKET: &str = "SORTIE_RECORDING_GCS_BUCKET";
        const KEY: &str = "GOOGLE_SERVICE_ACCOUNT_KEY";
        let bucket = needed(reader, BUCKET, "gcs");
        if !bucket.is_empty() && !is_gcs_bucket(&bucket) {
            reader.wrong(
                BUCKET,
                format!(
                    "{bucket:?} is not a bucket's name: 3 to 222 small letters, digits, hyphens, underscores and dots"
                ),
            );
        }
        let application_credentials = reader.text("GOOGLE_APPLICATION_CREDENTIALS");
        let service_account_key = reader.text(KEY);
        if service_account_key.is_some() && application_credentials.is_some() {
            reader.wrong(KEY, "and GOOGLE_APPLICATION_CREDENTIALS exclude each other");
        }
        Self {
            bucket,
            application_credentials: application_credentials.map(PathBuf::from),
            service_account_key: service_account_key.map(Secret::from),
            common: CommonStorageConfig::read(
                reader,
                "SORTIE_RECORDING_GCS_PREFIX",
                database,
                max_size_bytes,
            ),
        }
    }
}

/// Reports a missing variable that the back end requires.
fn needed(reader: &mut Reader<'_>, variable: &'static str, back_end: &str) -> String {
    let value = reader.text(variable).unwrap_or_default();
    if value.is_empty() {
        reader.wrong(
            variable,
            format!("must be set with SORTIE_RECORDING_STORAGE_BACKEND={back_end}"),
        );
    }
    value
}

/// <https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata>
fn is_container(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (3..=63).contains(&name.len())
        && name.bytes().all(plain)
        && name.split('-').all(|part| !part.is_empty())
}

fn is_account_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (3..=24).contains(&name.len()) && name.bytes().all(plain)
}

/// <https://cloud.google.com/storage/docs/buckets#naming>; only likely typing errors are checked.
fn is_gcs_bucket(name: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    (3..=222).contains(&name.len()) && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::super::{Config, StorageConfig, tests::read};
    use super::*;

    const AZURE: &[(&str, &str)] = &[
        ("SORTIE_RECORDING_STORAGE_BACKEND", "azure"),
        ("SORTIE_RECORDING_AZURE_CONTAINER", "recordings"),
        ("AZURE_STORAGE_ACCOUNT_NAME", "sortie"),
    ];
    const GCS: &[(&str, &str)] = &[
        ("SORTIE_RECORDING_STORAGE_BACKEND", "gcs"),
        ("SORTIE_RECORDING_GCS_BUCKET", "recordings"),
    ];

    /// Returns the variables with errors.
    #[track_caller]
    fn wrong(back_end: &[(&str, &str)], variables: &[(&str, &str)]) -> Vec<&'static str> {
        let errors = read(&[variables, back_end].concat()).err();
        let errors = errors.unwrap_or_default();
        errors.iter().map(|error| error.variable).collect()
    }

    #[test]
    fn azure_requires_only_container_and_account() {
        let Ok(Config {
            storage: StorageConfig::Azure(config),
            ..
        }) = read(AZURE)
        else {
            panic!("another back end");
        };
        assert_eq!(config.common.prefix, "recordings/");
        assert_eq!(config.common.staging, Path::new("staging"));
        assert_eq!(config.common.part_size, 8 * MIB);
        assert!(config.credentials.is_empty());
    }

    #[test]
    fn gcs_requires_only_a_bucket() {
        let Ok(Config {
            storage: StorageConfig::Gcs(config),
            ..
        }) = read(GCS)
        else {
            panic!("another back end");
        };
        assert_eq!(config.common.prefix, "recordings/");
        assert!(config.application_credentials.is_none() && config.service_account_key.is_none());
    }

    #[test]
    fn all_invalid_values_are_reported_together() {
        let given = [
            ("SORTIE_RECORDING_AZURE_CONTAINER", "No--Container"),
            ("AZURE_STORAGE_ACCOUNT_NAME", "no-account"),
            ("AZURE_STORAGE_ENDPOINT", "sortie.blob"),
            ("SORTIE_RECORDING_AZURE_PREFIX", "../x"),
            ("AZURE_CLIENT_SECRET", "secret"),
            ("AZURE_CLIENT_ID", "client"),
        ];
        let mut told = wrong(AZURE, &given);
        told.sort_unstable();
        assert_eq!(
            told,
            [
                "AZURE_STORAGE_ACCOUNT_NAME",
                "AZURE_STORAGE_ENDPOINT",
                "AZURE_TENANT_ID",
                "SORTIE_RECORDING_AZURE_CONTAINER",
                "SORTIE_RECORDING_AZURE_PREFIX",
            ]
        );
        let given = [
            ("SORTIE_RECORDING_GCS_BUCKET", "gs://videos"),
            ("GOOGLE_APPLICATION_CREDENTIALS", "/key.json"),
            ("GOOGLE_SERVICE_ACCOUNT_KEY", "{}"),
        ];
        assert_eq!(
            wrong(GCS, &given),
            ["SORTIE_RECORDING_GCS_BUCKET", "GOOGLE_SERVICE_ACCOUNT_KEY"]
        );
    }

    #[test]
    fn missing_variables_are_reported() {
        let back_end = &[("SORTIE_RECORDING_STORAGE_BACKEND", "azure")];
        assert_eq!(
            wrong(back_end, &[]),
            [
                "SORTIE_RECORDING_AZURE_CONTAINER",
                "AZURE_STORAGE_ACCOUNT_NAME"
            ]
        );
        let back_end = &[("SORTIE_RECORDING_STORAGE_BACKEND", "gcs")];
        assert_eq!(wrong(back_end, &[]), ["SORTIE_RECORDING_GCS_BUCKET"]);
    }

    #[test]
    fn managed_identity_is_selected_by_client_id() {
        assert!(wrong(AZURE, &[("AZURE_CLIENT_ID", "identity")]).is_empty());
    }

    #[test]
    fn secrets_are_not_printed() {
        let config = read(&[AZURE, &[("AZURE_STORAGE_ACCOUNT_KEY", "hidden")]].concat());
        assert!(!format!("{config:?}").contains("hidden"));
        let config = read(&[GCS, &[("GOOGLE_SERVICE_ACCOUNT_KEY", "hidden")]].concat());
        assert!(!format!("{config:?}").contains("hidden"));
    }
}
