//! Client of the store. Each call is idempotent and retried if a retry can help.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::signer::{Method, SignedUrlOptions, Signer};
use object_store::{
    Attribute, Attributes, BackoffConfig, ClientOptions, Error, GetOptions, GetRange, ObjectMeta,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, RetryConfig,
};

use super::error_messages::text_of;
use super::location::{BucketLocation, Store};
use crate::clock::Clock;
use crate::storage::StorageError;

/// Attempts of a call where object_store itself does not retry, mostly after a truncated response.
const ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Time without a byte of the response after which a connection is closed. The time for sending a part counts.
const READ_TIMEOUT: Duration = Duration::from_secs(120);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct Remote {
    store: Store,
    http: reqwest::Client,
}

/// Result of a call.
pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Remote {
    pub(crate) fn open(location: &BucketLocation, clock: Arc<dyn Clock>) -> Result<Self> {
        let retry = RetryConfig {
            backoff: BackoffConfig {
                init_backoff: FIRST_PAUSE,
                max_backoff: Duration::from_secs(5),
                base: 2.0,
            },
            max_retries: 8,
            retry_timeout: Duration::from_secs(20),
        };
        // No total timeout: a download may take hours.
        let client = ClientOptions::new()
            .with_timeout_disabled()
            .with_read_timeout(READ_TIMEOUT)
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_user_agent(axum::http::HeaderValue::from_static(concat!(
                "sortie-server/",
                env!("CARGO_PKG_VERSION")
            )));
        let http = reqwest::Client::builder()
            .read_timeout(READ_TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .build()
            .map_err(generic)?;
        Ok(Self {
            store: Store::open(location, client, retry, clock)?,
            http,
        })
    }

    #[tracing::instrument(target = "sortie::spans", level = "trace", name = "S3 PutObject", skip_all, fields(otel.kind = "client", rpc.system.name = "aws-api", aws.s3.key = %key), err(level = "trace"))]
    pub(crate) async fn put(&self, key: &Path, bytes: Bytes, content_type: &str) -> Result<()> {
        let options = || PutOptions {
            attributes: content(content_type),
            ..PutOptions::default()
        };
        with_retries(|| {
            self.store
                .objects()
                .put_opts(key, bytes.clone().into(), options())
        })
        .await
        .map(|_| ())
    }

    /// Writes an object from several pieces.
    #[tracing::instrument(target = "sortie::spans", level = "trace", name = "S3 PutObject", skip_all, fields(otel.kind = "client", rpc.system.name = "aws-api", aws.s3.key = %key), err(level = "trace"))]
    pub(super) async fn put_pieces(
        &self,
        key: &Path,
        pieces: Vec<Bytes>,
        content_type: &str,
    ) -> Result<()> {
        let payload = PutPayload::from_iter(pieces);
        let options = || PutOptions {
            attributes: content(content_type),
            ..PutOptions::default()
        };
        with_retries(|| {
            self.store
                .objects()
                .put_opts(key, payload.clone(), options())
        })
        .await
        .map(|_| ())
    }

    /// Creates a multipart upload. A repeated call leaves an unused one, which garbage collection removes.
    #[tracing::instrument(target = "sortie::spans", level = "trace", name = "S3 CreateMultipartUpload", skip_all, fields(otel.kind = "client", rpc.system.name = "aws-api", aws.s3.key = %key), err(level = "trace"))]
    pub(super) async fn begin(&self, key: &Path, content_type: &str) -> Result<String> {
        let attributes = match &self.store {
            // Azure derives the content type from the name; see `location.rs`.
            Store::Azure(_) => Attributes::default(),
            Store::S3(_) | Store::Gcs { .. } => content(content_type),
        };
        let options = || PutMultipartOptions {
            attributes: attributes.clone(),
            ..PutMultipartOptions::default()
        };
        with_retries(|| self.store.parts().create_multipart_opts(key, options())).await
    }

    /// Writes a part, by index from 0. A repeated call replaces it by the same bytes.
    #[tracing::instrument(target = "sortie::spans", level = "trace", name = "S3 UploadPart", skip_all, fields(otel.kind = "client", rpc.system.name = "aws-api", aws.s3.key = %key), err(level = "trace"))]
    pub(super) async fn put_part(
        &self,
        key: &Path,
        upload: &str,
        index: u64,
        bytes: Bytes,
    ) -> Result<String> {
        let index = usize::try_from(index).map_err(generic)?;
        let upload = upload.to_owned();
        let part = with_retries(|| {
            self.store
                .parts()
                .put_part(key, &upload, index, bytes.clone().into())
        })
        .await?;
        Ok(part.content_id)
    }

    /// Completes a multipart upload. A repeated call fails: check the size of the object then.
    #[tracing::instrument(target = "sortie::spans", level = "trace", name = "S3 CompleteMultipartUpload", skip_all, fields(otel.kind = "client", rpc.system.name = "aws-api", aws.s3.key = %key), err(level = "trace"))]
    pub(crate) async fn complete(
        &self,
        key: &Path,
        upload: &str,
        parts: Vec<String>,
    ) -> Result<()> {
        let upload = upload.to_owned();
        let parts: Vec<_> = parts
            .into_iter()
            .map(|content_id| PartId { content_id })
            .collect();
        with_retries(|| {
            self.store
                .parts()
                .complete_multipart(key, &upload, parts.clone())
        })
        .await
        .map(|_| ())
    }

    /// Aborts a multipart upload. A missing one is no error.
    #[tracing::instrument(target = "sortie::spans", level = "trace", name = "S3 AbortMultipartUpload", skip_all, fields(otel.kind = "client", rpc.system.name = "aws-api", aws.s3.key = %key), err(level = "trace"))]
    pub(crate) async fn abort(&self, key: &Path, upload: &str) -> Result<()> {
        if let Store::Azure(_) = &self.store {
            return self.discard_blocks(key).await;
        }
        let upload = upload.to_owned();
        ignore_missing(with_retries(|| self.store.parts().abort_multipart(key, &upload)).await)
    }

    /// Discards uncommitted blocks, which Azure keeps for a week, by committing an empty blob of the same name.
    async fn discard_blocks(&self, key: &Path) -> Result<()> {
        // An empty blob is left by an interrupted attempt. Any other blob is complete and has no uncommitted blocks.
        if self.size(key).await?.is_some_and(|size| size > 0) {
            return Ok(());
        }
        self.complete(key, "", Vec::new()).await?;
        self.delete(key).await
    }

    /// Returns the size of an object; `None` if it does not exist.
    #[tracing::instrument(target = "sortie::spans", level = "trace", name = "S3 HeadObject", skip_all, fields(otel.kind = "client", rpc.system.name = "aws-api", aws.s3.key = %key), err(level = "trace"))]
    pub(super) async fn size(&self, key: &Path) -> Result<Option<u64>> {
        match with_retries(|| self.store.objects().head(key)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the content type of an object.
    #[cfg(test)]
    pub(crate) async fn content_type(&self, key: &Path) -> Result<Option<String>> {
        let result = self
            .store
            .objects()
            .get_opts(key, GetOptions::default())
            .await?;
        let value = result.attributes.get(&Attribute::ContentType);
        Ok(value.map(|value| value.as_ref().to_owned()))
    }

    /// Reads a non-empty range.
    #[tracing::instrument(target = "sortie::spans", level = "trace", name = "S3 GetObject", skip_all, fields(otel.kind = "client", rpc.system.name = "aws-api", aws.s3.key = %key), err(level = "trace"))]
    pub(super) async fn read(
        &self,
        key: &Path,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, io::Result<Bytes>>> {
        let options = || GetOptions {
            range: Some(GetRange::Bounded(range.clone())),
            ..GetOptions::default()
        };
        let result = with_retries(|| self.store.objects().get_opts(key, options())).await?;
        Ok(result.into_stream().map_err(io::Error::other).boxed())
    }

    /// Deletes an object. A missing one is no error.
    #[tracing::instrument(target = "sortie::spans", level = "trace", name = "S3 DeleteObject", skip_all, fields(otel.kind = "client", rpc.system.name = "aws-api", aws.s3.key = %key), err(level = "trace"))]
    pub(super) async fn delete(&self, key: &Path) -> Result<()> {
        ignore_missing(with_retries(|| self.store.objects().delete(key)).await)
    }

    /// Returns a presigned URL of an object.
    pub(super) async fn presigned(
        &self,
        key: &Path,
        content_disposition: &str,
        content_type: &str,
        expires_in: Duration,
    ) -> Result<String> {
        let options = SignedUrlOptions::new().with_query([
            ("response-content-disposition", content_disposition),
            ("response-content-type", content_type),
        ]);
        let Store::S3(store) = &self.store else {
            return Err(generic("only S3 has presigned URLs with response headers"));
        };
        let url = store
            .signed_url_opts(Method::GET, key, expires_in, &options)
            .await?;
        Ok(url.into())
    }

    /// Lists the objects below `prefix` with keys greater than `after`, in key order.
    pub(super) fn objects(
        &self,
        prefix: &str,
        after: Option<&str>,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let prefix = (!prefix.is_empty()).then(|| Path::from(prefix));
        match after {
            Some(after) => self
                .store
                .objects()
                .list_with_offset(prefix.as_ref(), &Path::from(after)),
            None => self.store.objects().list(prefix.as_ref()),
        }
    }

    /// Lists the multipart uploads below `prefix` that are neither completed nor aborted.
    ///
    /// object_store does not offer this call; this client signs the request.
    pub(crate) fn uploads(
        remote: Arc<Self>,
        prefix: &str,
    ) -> BoxStream<'static, Result<ListedUpload>> {
        // Abandoned blocks cannot be distinguished from those of a growing recording. Azure removes them after a week.
        if let Store::Azure(_) = &remote.store {
            return stream::empty().boxed();
        }
        let prefix = prefix.to_owned();
        let first = Some((String::new(), String::new()));
        let pages = stream::try_unfold(first, move |markers| {
            let (remote, prefix) = (Arc::clone(&remote), prefix.clone());
            async move {
                let Some((key, upload)) = markers else {
                    return Ok::<_, Error>(None);
                };
                let mut query = vec![("uploads", ""), ("prefix", prefix.as_str())];
                if !key.is_empty() {
                    query.extend([("key-marker", key.as_str()), ("upload-id-marker", &upload)]);
                }
                let page = with_retries(|| remote.uploads_page(&query)).await?;
                let next = page
                    .is_truncated
                    .then_some((page.next_key_marker, page.next_upload_id_marker));
                Ok(Some((stream::iter(page.uploads).map(Ok), next)))
            }
        });
        pages.try_flatten().boxed()
    }

    async fn uploads_page(&self, query: &[(&str, &str)]) -> Result<UploadsPage> {
        let request = match &self.store {
            Store::S3(store) => {
                let options = SignedUrlOptions::new().with_query(query.iter().copied());
                let (bucket, validity) = (Path::default(), Duration::from_secs(60));
                let signed = store.signed_url_opts(Method::GET, &bucket, validity, &options);
                self.http.get(signed.await?)
            }
            Store::Gcs { store, address } => {
                let credential = store.credentials().get_credential().await?;
                let mut url = reqwest::Url::parse(address).map_err(generic)?;
                url.query_pairs_mut().extend_pairs(query);
                self.http.get(url).bearer_auth(&credential.bearer)
            }
            Store::Azure(_) => return Ok(UploadsPage::default()),
        };
        let answer = request.send().await.map_err(generic)?;
        let status = answer.status();
        let text = answer.text().await.map_err(generic)?;
        if status == axum::http::StatusCode::FORBIDDEN {
            return Err(Error::PermissionDenied {
                path: String::new(),
                source: text.into(),
            });
        }
        if !status.is_success() {
            return Err(generic(format!("{status}: {text}")));
        }
        quick_xml::de::from_str(&text).map_err(generic)
    }
}

/// [`ListMultipartUploads`](https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html).
#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct UploadsPage {
    #[serde(rename = "Upload")]
    uploads: Vec<ListedUpload>,
    is_truncated: bool,
    next_key_marker: String,
    next_upload_id_marker: String,
}

/// A multipart upload that is neither completed nor aborted.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListedUpload {
    /// Key of the future object.
    pub(crate) key: String,
    /// Id assigned by the store.
    pub(crate) upload_id: String,
    /// Time of creation, Unix time in ms. Without one, the upload never counts as old.
    #[serde(
        rename = "Initiated",
        default = "unknown_age",
        deserialize_with = "milliseconds"
    )]
    pub(crate) initiated_ms: i64,
}

fn unknown_age() -> i64 {
    i64::MAX
}

fn milliseconds<'de, D: serde::Deserializer<'de>>(time: D) -> std::result::Result<i64, D::Error> {
    let text = <String as serde::Deserialize>::deserialize(time)?;
    let time = text.parse::<jiff::Timestamp>();
    Ok(time.map_or_else(|_| unknown_age(), jiff::Timestamp::as_millisecond))
}

fn content(content_type: &str) -> Attributes {
    Attributes::from_iter([(Attribute::ContentType, content_type.to_owned())])
}

fn generic(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic {
        store: "S3",
        source: source.into(),
    }
}

fn ignore_missing(result: Result<()>) -> Result<()> {
    match result {
        Err(Error::NotFound { .. }) => Ok(()),
        result => result,
    }
}

/// Retries a call with backoff and jitter while the error is transient.
async fn with_retries<T, F: Future<Output = Result<T>>>(mut call: impl FnMut() -> F) -> Result<T> {
    let mut attempt = 1;
    loop {
        match call().await {
            Err(error) if attempt < ATTEMPTS && is_transient(&error) => {
                tracing::info!(attempt, "the store failed, trying again: {error}");
                tokio::time::sleep(jittered(FIRST_PAUSE * 2u32.pow(attempt))).await;
                attempt += 1;
            }
            result => return result,
        }
    }
}

/// Returns a random pause between half of `pause` and all of it, so that clients do not retry simultaneously.
pub(super) fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.5..=1.0))
}

/// Whether a retry may succeed. A refusal by the store is final.
fn is_transient(error: &Error) -> bool {
    match error {
        Error::Generic { .. } => {
            let text = text_of(error);
            // object_store exposes the status in the text only. All other 4xx are client errors.
            let refused = text.contains("status code: 4")
                && !text.contains("status code: 408")
                && !text.contains("status code: 429");
            // object_store has exhausted its own retries.
            let exhausted = text.contains("retries, max_retries");
            !(refused || exhausted || text.contains("incorrectly configured region"))
        }
        _ => false,
    }
}

/// Maps the error of a write.
pub(super) fn write_error(error: Error) -> StorageError {
    let text = text_of(&error);
    // object_store 0.14 keeps the status and the code in a private type. The text also contains addresses, names, times
    // and request numbers, so a bare "507" would match too much.
    let full = [
        "status code: 507",
        "StorageFull",
        "QuotaExceeded",
        "EntityTooLarge",
    ];
    match error {
        Error::NotFound { .. } if !no_bucket(&text) => StorageError::Missing,
        _ if full.iter().any(|word| text.contains(word)) => {
            StorageError::Full(io::Error::other(text))
        }
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            StorageError::ReadOnly(io::Error::other(text))
        }
        // Confirmed parts are missing; the second code is Azure's.
        _ if text.contains("InvalidPart") || text.contains("InvalidBlockList") => {
            StorageError::Lost(io::Error::other(text))
        }
        _ => StorageError::Io(io::Error::other(text)),
    }
}

/// Whether an error text reports a missing bucket.
pub(super) fn no_bucket(text: &str) -> bool {
    text.contains("NoSuchBucket") || text.contains("ContainerNotFound")
}

/// Maps the error of a read.
pub(super) fn read_error(error: Error) -> StorageError {
    match error {
        Error::NotFound { .. } => StorageError::Missing,
        error => StorageError::Io(io::Error::other(text_of(&error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An error in the format of object_store.
    fn refused(status: &str, body: &str) -> Error {
        generic(format!(
            "Error performing PUT http://127.0.0.1:35071/sortie/5075.webm in 1.507ms - Server returned non-2xx \
             status code: {status}: <Error>{body}<RequestId>507</RequestId></Error>"
        ))
    }

    #[test]
    fn full_store_is_recognised() {
        for (status, code) in [
            ("507 Insufficient Storage", ""),
            ("500 Internal Server Error", "XMinioStorageFull"),
            ("400 Bad Request", "EntityTooLarge"),
        ] {
            let error = write_error(refused(status, code));
            assert!(matches!(error, StorageError::Full(_)), "{error:?}");
        }
        let error = write_error(refused("400 Bad Request", "InvalidBlockList"));
        assert!(matches!(error, StorageError::Lost(_)), "{error:?}");
        let error = write_error(refused("503 Service Unavailable", "SlowDown"));
        assert!(matches!(error, StorageError::Io(_)), "{error:?}");
    }
}
