//! The store, seen from here: a handful of calls, each tried again where that can help, each harmless when it
//! is done twice.

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

/// How often a call is made before it has failed, where object_store itself gives up at once: after an answer
/// that was cut off half-way, mostly.
const ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// No answer, and no byte of it, for so long: the connection is given up. Sending a part counts.
const SILENCE: Duration = Duration::from_secs(120);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A bucket.
#[derive(Debug)]
pub(crate) struct Remote {
    store: Store,
    http: reqwest::Client,
}

/// What each call returns.
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
        // No limit on the whole: a viewer may take hours over a download.
        let client = ClientOptions::new()
            .with_timeout_disabled()
            .with_read_timeout(SILENCE)
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_user_agent(axum::http::HeaderValue::from_static(concat!(
                "sortie-server/",
                env!("CARGO_PKG_VERSION")
            )));
        let http = reqwest::Client::builder()
            .read_timeout(SILENCE)
            .connect_timeout(CONNECT_TIMEOUT)
            .build()
            .map_err(generic)?;
        Ok(Self {
            store: Store::open(location, client, retry, clock)?,
            http,
        })
    }

    /// Writes a whole object.
    #[tracing::instrument(target = "sortie::spans", level = "trace", name = "S3 PutObject", skip_all, fields(otel.kind = "client", rpc.system.name = "aws-api", aws.s3.key = %key), err(level = "trace"))]
    pub(crate) async fn put(&self, key: &Path, bytes: Bytes, content_type: &str) -> Result<()> {
        let options = || PutOptions {
            attributes: content(content_type),
            ..PutOptions::default()
        };
        again(|| {
            self.store
                .objects()
                .put_opts(key, bytes.clone().into(), options())
        })
        .await
        .map(|_| ())
    }

    /// Writes a whole object that comes in pieces.
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
        again(|| {
            self.store
                .objects()
                .put_opts(key, payload.clone(), options())
        })
        .await
        .map(|_| ())
    }

    /// Begins a multipart upload. Done twice it leaves one that is never used, as the sweep finds out.
    #[tracing::instrument(target = "sortie::spans", level = "trace", name = "S3 CreateMultipartUpload", skip_all, fields(otel.kind = "client", rpc.system.name = "aws-api", aws.s3.key = %key), err(level = "trace"))]
    pub(super) async fn begin(&self, key: &Path, content_type: &str) -> Result<String> {
        let attributes = match &self.store {
            // It goes by the name; see `location.rs`.
            Store::Azure(_) => Attributes::default(),
            Store::S3(_) | Store::Gcs { .. } => content(content_type),
        };
        let options = || PutMultipartOptions {
            attributes: attributes.clone(),
            ..PutMultipartOptions::default()
        };
        again(|| self.store.parts().create_multipart_opts(key, options())).await
    }

    /// Writes the part of this index, counted from 0. Done twice the later one counts, with the same bytes.
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
        let part = again(|| {
            self.store
                .parts()
                .put_part(key, &upload, index, bytes.clone().into())
        })
        .await?;
        Ok(part.content_id)
    }

    /// Makes one object of all parts. Done twice it fails the second time: ask for the object's size.
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
        again(|| {
            self.store
                .parts()
                .complete_multipart(key, &upload, parts.clone())
        })
        .await
        .map(|_| ())
    }

    /// Gives a multipart upload up; one that is not there is no error.
    #[tracing::instrument(target = "sortie::spans", level = "trace", name = "S3 AbortMultipartUpload", skip_all, fields(otel.kind = "client", rpc.system.name = "aws-api", aws.s3.key = %key), err(level = "trace"))]
    pub(crate) async fn abort(&self, key: &Path, upload: &str) -> Result<()> {
        if let Store::Azure(_) = &self.store {
            return self.discard_blocks(key).await;
        }
        let upload = upload.to_owned();
        absent_is_fine(again(|| self.store.parts().abort_multipart(key, &upload)).await)
    }

    /// Azure keeps blocks that are in no blob for a week; making an empty blob of that name discards them.
    async fn discard_blocks(&self, key: &Path) -> Result<()> {
        // Empty: made by an attempt that came no further. Else it is complete, and has no other blocks.
        if self.size(key).await?.is_some_and(|size| size > 0) {
            return Ok(());
        }
        self.complete(key, "", Vec::new()).await?;
        self.delete(key).await
    }

    /// An object's size; `None`: there is none.
    #[tracing::instrument(target = "sortie::spans", level = "trace", name = "S3 HeadObject", skip_all, fields(otel.kind = "client", rpc.system.name = "aws-api", aws.s3.key = %key), err(level = "trace"))]
    pub(super) async fn size(&self, key: &Path) -> Result<Option<u64>> {
        match again(|| self.store.objects().head(key)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What the store says an object is.
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

    /// Reads a range, which must not be empty.
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
        let result = again(|| self.store.objects().get_opts(key, options())).await?;
        Ok(result.into_stream().map_err(io::Error::other).boxed())
    }

    /// Removes an object; one that is not there is no error.
    #[tracing::instrument(target = "sortie::spans", level = "trace", name = "S3 DeleteObject", skip_all, fields(otel.kind = "client", rpc.system.name = "aws-api", aws.s3.key = %key), err(level = "trace"))]
    pub(super) async fn delete(&self, key: &Path) -> Result<()> {
        absent_is_fine(again(|| self.store.objects().delete(key)).await)
    }

    /// An address under which anybody may read the object for a while.
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
            return Err(generic("only S3 has addresses that say what they are"));
        };
        let url = store
            .signed_url_opts(Method::GET, key, expires_in, &options)
            .await?;
        Ok(url.into())
    }

    /// The objects under `prefix` whose keys come after `after`, in the order of their keys.
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

    /// The multipart uploads under `prefix` that are neither complete nor given up.
    ///
    /// object_store has no such call, but it signs one.
    pub(crate) fn uploads(
        remote: Arc<Self>,
        prefix: &str,
    ) -> BoxStream<'static, Result<ListedUpload>> {
        // Blocks of which no blob was made cannot be told from those of a blob that is being made; Azure removes them.
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
                let page = again(|| remote.uploads_page(&query)).await?;
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

/// A multipart upload that is neither complete nor given up.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListedUpload {
    /// The key that the object would have.
    pub(crate) key: String,
    /// The store's name for it.
    pub(crate) upload_id: String,
    /// When it began, in milliseconds since 1970. A store that does not say counts as beginning now and again:
    /// such an upload is never old.
    #[serde(
        rename = "Initiated",
        default = "never_old",
        deserialize_with = "milliseconds"
    )]
    pub(crate) initiated_ms: i64,
}

fn never_old() -> i64 {
    i64::MAX
}

fn milliseconds<'de, D: serde::Deserializer<'de>>(time: D) -> std::result::Result<i64, D::Error> {
    let text = <String as serde::Deserialize>::deserialize(time)?;
    let time = text.parse::<jiff::Timestamp>();
    Ok(time.map_or_else(|_| never_old(), jiff::Timestamp::as_millisecond))
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

fn absent_is_fine(result: Result<()>) -> Result<()> {
    match result {
        Err(Error::NotFound { .. }) => Ok(()),
        result => result,
    }
}

/// Calls until it works, with pauses that grow and vary, as long as the answer leaves hope.
async fn again<T, F: Future<Output = Result<T>>>(mut call: impl FnMut() -> F) -> Result<T> {
    let mut attempt = 1;
    loop {
        match call().await {
            Err(error) if attempt < ATTEMPTS && is_passing(&error) => {
                tracing::info!(attempt, "the store failed, trying again: {error}");
                tokio::time::sleep(jittered(FIRST_PAUSE * 2u32.pow(attempt))).await;
                attempt += 1;
            }
            result => return result,
        }
    }
}

/// Between half of it and all of it: many who failed at once do not come back at once.
pub(super) fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.5..=1.0))
}

/// Whether it may be otherwise the next time. What the store refused with a reason will not be.
fn is_passing(error: &Error) -> bool {
    match error {
        Error::Generic { .. } => {
            let text = text_of(error);
            // object_store keeps the status in the text only. The other 4xx mean us.
            let ours = text.contains("status code: 4")
                && !text.contains("status code: 408")
                && !text.contains("status code: 429");
            // These were tried for as long as the retry limits allow.
            let tried = text.contains("retries, max_retries");
            !(ours || tried || text.contains("incorrectly configured region"))
        }
        _ => false,
    }
}

/// What a failed write means to uploads.
pub(super) fn write_error(error: Error) -> StorageError {
    let text = text_of(&error);
    // object_store 0.14 keeps the status and the code in a type of its own that nobody else can name. The text has
    // addresses, names, times and numbers of requests in it too: a bare 507 means nothing.
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
        // Parts that the store has confirmed are not there any more (the second is Azure's).
        _ if text.contains("InvalidPart") || text.contains("InvalidBlockList") => {
            StorageError::Lost(io::Error::other(text))
        }
        _ => StorageError::Io(io::Error::other(text)),
    }
}

/// Whether a store says that the bucket itself is not there.
pub(super) fn no_bucket(text: &str) -> bool {
    text.contains("NoSuchBucket") || text.contains("ContainerNotFound")
}

/// What a failed read means.
pub(super) fn read_error(error: Error) -> StorageError {
    match error {
        Error::NotFound { .. } => StorageError::Missing,
        error => StorageError::Io(io::Error::other(text_of(&error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As object_store says it.
    fn refused(status: &str, body: &str) -> Error {
        generic(format!(
            "Error performing PUT http://127.0.0.1:35071/sortie/5075.webm in 1.507ms - Server returned non-2xx \
             status code: {status}: <Error>{body}<RequestId>507</RequestId></Error>"
        ))
    }

    #[test]
    fn a_store_is_full_when_it_says_so() {
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
