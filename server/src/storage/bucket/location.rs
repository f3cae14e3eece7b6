//! Bucket locations: how each kind of store is opened, and the names of its permissions.

use std::sync::Arc;

use object_store::aws::{AmazonS3, AmazonS3Builder, AwsCredential};
use object_store::azure::{MicrosoftAzure, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorage, GoogleCloudStorageBuilder};
use object_store::multipart::MultipartStore;
use object_store::{
    ClientOptions, CredentialProvider, ObjectStore, RetryConfig, StaticCredentialProvider,
};

use super::credentials::ChainCredentials;
use super::keys::{EXTENSIONS, media_type};
use super::remote::Result;
use crate::clock::Clock;
use crate::config::{AzureStorageConfig, CommonStorageConfig, GcsStorageConfig, S3StorageConfig};

/// Configured location of a bucket.
#[derive(Clone, Debug)]
pub(crate) enum BucketLocation {
    /// AWS S3 or a compatible store.
    S3(S3StorageConfig),
    Azure(AzureStorageConfig),
    Gcs(GcsStorageConfig),
}

/// Operations that the server needs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Need {
    /// To tell a missing object from a forbidden one.
    List,
    /// To write an object, also in parts.
    Write,
    /// To read an object.
    Read,
    /// To delete an object.
    Delete,
    /// To abort a multipart upload.
    Abort,
    /// To find abandoned multipart uploads.
    ListUploads,
}

impl BucketLocation {
    /// Name of the storage in rows and in `SORTIE_RECORDING_STORAGE_BACKEND`.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::S3(_) => "s3",
            Self::Azure(_) => "azure",
            Self::Gcs(_) => "gcs",
        }
    }

    /// Settings common to all stores.
    pub(crate) fn common(&self) -> &CommonStorageConfig {
        match self {
            Self::S3(s3) => &s3.common,
            Self::Azure(azure) => &azure.common,
            Self::Gcs(gcs) => &gcs.common,
        }
    }

    /// Whether downloads are redirected to the store.
    pub(super) fn redirects(&self) -> bool {
        matches!(self, Self::S3(s3) if s3.redirect)
    }

    /// Name of the bucket, for messages.
    pub(super) fn bucket(&self) -> &str {
        match self {
            Self::S3(s3) => &s3.bucket,
            Self::Azure(azure) => &azure.container,
            Self::Gcs(gcs) => &gcs.bucket,
        }
    }

    /// Configuration variable of the bucket.
    pub(super) fn bucket_variable(&self) -> &'static str {
        match self {
            Self::S3(_) => "SORTIE_RECORDING_S3_BUCKET",
            Self::Azure(_) => "SORTIE_RECORDING_AZURE_CONTAINER",
            Self::Gcs(_) => "SORTIE_RECORDING_GCS_BUCKET",
        }
    }

    /// Configuration variable of the endpoint and the endpoint, for messages.
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

    /// Permission required for an operation, for messages.
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

/// Client of a store.
#[derive(Debug)]
pub(super) enum Store {
    S3(AmazonS3),
    Azure(MicrosoftAzure),
    /// Client with the URL of the bucket, for the calls that object_store does not have.
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
            // Plain DELETE, which every store supports.
            .with_disable_bulk_delete(true)
            .with_retry(retry)
            .with_client_options(client)
            .with_allow_http(plain);
        builder = match &config.endpoint {
            Some(endpoint) => builder.with_endpoint(endpoint.trim_end_matches('/')),
            // AWS's wildcard certificate does not cover bucket names with a dot.
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
        // Block lists are committed without attributes, so the content type is derived from the name.
        for extension in EXTENSIONS {
            client = client.with_content_type_for_suffix(extension, media_type(extension));
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
        // Google's endpoint, unless the service account key contains another one.
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
