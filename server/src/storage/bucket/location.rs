//! Which store it is, and what differs from one to the next: how it is opened, and what its permissions are called.

use std::sync::Arc;

use object_store::aws::{AmazonS3, AmazonS3Builder, AwsCredential};
use object_store::azure::{MicrosoftAzure, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorage, GoogleCloudStorageBuilder};
use object_store::multipart::MultipartStore;
use object_store::{
    ClientOptions, CredentialProvider, ObjectStore, RetryConfig, StaticCredentialProvider,
};

use super::credentials::ChainCredentials;
use super::keys::{ENDINGS, media_type};
use super::remote::Result;
use crate::clock::Clock;
use crate::config::{AzureStorageConfig, CommonStorageConfig, GcsStorageConfig, S3StorageConfig};

/// Where a bucket is, as the configuration has it.
#[derive(Clone, Debug)]
pub(crate) enum BucketLocation {
    /// AWS, or what speaks like it.
    S3(S3StorageConfig),
    /// Azure Blob Storage.
    Azure(AzureStorageConfig),
    /// Google Cloud Storage.
    Gcs(GcsStorageConfig),
}

/// What a recording's life needs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Need {
    /// To know that an object is not there.
    List,
    /// To write one, in parts too.
    Write,
    /// To read one.
    Read,
    /// To remove one.
    Delete,
    /// To give a multipart upload up.
    Abort,
    /// To find one that was left.
    ListUploads,
}

impl BucketLocation {
    /// The name in rows and in `SORTIE_RECORDING_STORAGE_BACKEND`.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::S3(_) => "s3",
            Self::Azure(_) => "azure",
            Self::Gcs(_) => "gcs",
        }
    }

    /// What is the same for every bucket.
    pub(crate) fn common(&self) -> &CommonStorageConfig {
        match self {
            Self::S3(s3) => &s3.common,
            Self::Azure(azure) => &azure.common,
            Self::Gcs(gcs) => &gcs.common,
        }
    }

    /// Whether downloads are sent to the store.
    pub(super) fn redirects(&self) -> bool {
        matches!(self, Self::S3(s3) if s3.redirect)
    }

    /// The bucket, for a person.
    pub(super) fn bucket(&self) -> &str {
        match self {
            Self::S3(s3) => &s3.bucket,
            Self::Azure(azure) => &azure.container,
            Self::Gcs(gcs) => &gcs.bucket,
        }
    }

    /// The variable that names it.
    pub(super) fn bucket_variable(&self) -> &'static str {
        match self {
            Self::S3(_) => "SORTIE_RECORDING_S3_BUCKET",
            Self::Azure(_) => "SORTIE_RECORDING_AZURE_CONTAINER",
            Self::Gcs(_) => "SORTIE_RECORDING_GCS_BUCKET",
        }
    }

    /// The variable that names the address, and the address, for a person.
    pub(super) fn endpoint(&self) -> (&'static str, String) {
        match self {
            Self::S3(s3) => (
                "SORTIE_RECORDING_S3_ENDPOINT",
                s3.endpoint.clone().unwrap_or_else(|| "AWS".to_owned()),
            ),
            Self::Azure(azure) => match &azure.endpoint {
                Some(endpoint) => ("AZURE_STORAGE_ENDPOINT", endpoint.clone()),
                None => (
                    "AZURE_STORAGE_ACCOUNT_NAME",
                    format!("https://{}.blob.core.windows.net", azure.account),
                ),
            },
            Self::Gcs(_) => ("SORTIE_RECORDING_GCS_BUCKET", "Google".to_owned()),
        }
    }

    /// What is lacking when the store forbids something.
    pub(super) fn permission(&self, need: Need) -> String {
        match self {
            Self::S3(s3) => {
                let bucket = format!("arn:aws:s3:::{}", s3.bucket);
                let objects = format!("{bucket}/{}*", s3.common.prefix);
                let (action, resource) = match need {
                    Need::List => ("ListBucket", bucket),
                    Need::Write => ("PutObject", objects),
                    Need::Read => ("GetObject", objects),
                    Need::Delete => ("DeleteObject", objects),
                    Need::Abort => ("AbortMultipartUpload", objects),
                    Need::ListUploads => ("ListBucketMultipartUploads", bucket),
                };
                format!("the permission s3:{action} on {resource}")
            }
            Self::Azure(azure) => {
                let action = match need {
                    Need::List | Need::Read | Need::ListUploads => "read",
                    Need::Write => "write",
                    Need::Delete | Need::Abort => "delete",
                };
                format!(
                    "the role Storage Blob Data Contributor on the container {} of the account {} \
                     (blobs/{action}; with a SAS token: racwdl)",
                    azure.container, azure.account
                )
            }
            Self::Gcs(gcs) => {
                let action = match need {
                    Need::List => "objects.list",
                    Need::Write => "objects.create and storage.multipartUploads.create",
                    Need::Read => "objects.get",
                    Need::Delete => "objects.delete",
                    Need::Abort => "multipartUploads.abort",
                    Need::ListUploads => "multipartUploads.list",
                };
                format!(
                    "the permission storage.{action} on gs://{} (all of it is in the role Storage Object User)",
                    gcs.bucket
                )
            }
        }
    }
}

/// A store that can be called.
#[derive(Debug)]
pub(super) enum Store {
    S3(AmazonS3),
    Azure(MicrosoftAzure),
    /// With where it answers and the bucket: object_store has no call for what is asked of these.
    Gcs {
        store: GoogleCloudStorage,
        address: String,
    },
}

impl Store {
    pub(super) fn open(
        location: &BucketLocation,
        client: ClientOptions,
        retry: RetryConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        match location {
            BucketLocation::S3(config) => Self::open_s3(config, client, retry, clock),
            BucketLocation::Azure(config) => Self::open_azure(config, client, retry),
            BucketLocation::Gcs(config) => Self::open_gcs(config, client, retry),
        }
    }

    fn open_s3(
        config: &S3StorageConfig,
        client: ClientOptions,
        retry: RetryConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let plain = config.endpoint.as_deref().is_some_and(is_plain);
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&config.bucket)
            .with_region(&config.region)
            // Plain DELETE is what every store knows.
            .with_disable_bulk_delete(true)
            .with_retry(retry)
            .with_client_options(client)
            .with_allow_http(plain);
        builder = match &config.endpoint {
            Some(endpoint) => builder.with_endpoint(endpoint.trim_end_matches('/')),
            // A dot in the name does not go with AWS's certificate.
            None => builder.with_virtual_hosted_style_request(!config.bucket.contains('.')),
        };
        let credentials: Arc<dyn CredentialProvider<Credential = AwsCredential>> =
            match &config.credentials {
                Some(key) => Arc::new(StaticCredentialProvider::new(AwsCredential {
                    key_id: key.access_key_id.clone(),
                    secret_key: key.secret_access_key.expose().to_owned(),
                    token: key
                        .session_token
                        .as_ref()
                        .map(|token| token.expose().to_owned()),
                })),
                None => Arc::new(ChainCredentials::new(config.region.clone(), clock)),
            };
        builder.with_credentials(credentials).build().map(Self::S3)
    }

    fn open_azure(
        config: &AzureStorageConfig,
        mut client: ClientOptions,
        retry: RetryConfig,
    ) -> Result<Self> {
        // A list of blocks is committed without attributes; what a blob is goes by its name.
        for ending in ENDINGS {
            client = client.with_content_type_for_suffix(ending, media_type(ending));
        }
        let plain = config.endpoint.as_deref().is_some_and(is_plain);
        let mut builder = MicrosoftAzureBuilder::new()
            .with_account(&config.account)
            .with_container_name(&config.container)
            .with_retry(retry)
            .with_client_options(client)
            .with_allow_http(plain);
        if let Some(endpoint) = &config.endpoint {
            builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_owned());
        }
        for (name, value) in &config.credentials {
            builder = builder.with_config(name.to_ascii_lowercase().parse()?, value.expose());
        }
        builder.build().map(Self::Azure)
    }

    fn open_gcs(
        config: &GcsStorageConfig,
        client: ClientOptions,
        retry: RetryConfig,
    ) -> Result<Self> {
        // Google's own address, unless the key names another.
        #[derive(Default, serde::Deserialize)]
        struct Key {
            gcs_base_url: Option<String>,
        }
        let mut builder = GoogleCloudStorageBuilder::new()
            .with_bucket_name(&config.bucket)
            .with_retry(retry);
        let mut base = None;
        if let Some(key) = &config.service_account_key {
            base = serde_json::from_str::<Key>(key.expose())
                .unwrap_or_default()
                .gcs_base_url;
            builder = builder.with_service_account_key(key.expose());
        } else if let Some(path) = &config.application_credentials {
            builder = builder.with_application_credentials(path.display().to_string());
        }
        let base = base.unwrap_or_else(|| "https://storage.googleapis.com".to_owned());
        let store = builder
            .with_client_options(client.with_allow_http(is_plain(&base)))
            .build()?;
        Ok(Self::Gcs {
            store,
            address: format!("{base}/{}", config.bucket),
        })
    }

    pub(super) fn objects(&self) -> &dyn ObjectStore {
        match self {
            Self::S3(store) => store,
            Self::Azure(store) => store,
            Self::Gcs { store, .. } => store,
        }
    }

    pub(super) fn parts(&self) -> &dyn MultipartStore {
        match self {
            Self::S3(store) => store,
            Self::Azure(store) => store,
            Self::Gcs { store, .. } => store,
        }
    }
}

fn is_plain(address: &str) -> bool {
    address.starts_with("http://")
}
