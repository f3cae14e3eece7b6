//! The check at the start: everything that a recording's life needs, tried once.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;

use super::explain::explain;
use super::keys::Keys;
use super::remote::Remote;
use crate::config::S3StorageConfig;
use crate::storage::StorageError;
use crate::storage::stored::CHECK;

const CONTENT: &[u8] = b"Sortie Recording tries whether this bucket can be used.";

/// Says everything that is missing at once, as far as one failure does not hide the next.
pub(super) async fn probe(
    remote: &Arc<Remote>,
    keys: &Keys,
    config: &S3StorageConfig,
) -> Result<(), StorageError> {
    let key = Keys::key(&format!(
        "{}{CHECK}-{}",
        keys.prefix(),
        uuid::Uuid::new_v4().simple()
    ))?;
    let bucket = format!("arn:aws:s3:::{}", config.bucket);
    let objects = format!("{bucket}/{}*", keys.prefix());
    let mut problems: Vec<String> = Vec::new();
    let mut note = |error: &object_store::Error, permission: &str, resource: &str| {
        let problem = explain(error, permission, resource, config);
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    };

    // Without it a missing object is answered with "forbidden", and a lost answer cannot be cleared up.
    if let Err(error) = remote.size(&key).await {
        note(&error, "s3:ListBucket", &bucket);
    }
    match remote
        .put(&key, Bytes::from_static(CONTENT), "text/plain")
        .await
    {
        Err(error) => note(&error, "s3:PutObject", &objects),
        Ok(()) => {
            let read =
                async {
                    let bytes = remote.read(&key, 0..CONTENT.len() as u64).await?;
                    let read: Vec<Bytes> = bytes.try_collect().await.map_err(|error| {
                        object_store::Error::Generic {
                            store: "S3",
                            source: error.into(),
                        }
                    })?;
                    Ok::<_, object_store::Error>(read.concat())
                };
            match read.await {
                Err(error) => note(&error, "s3:GetObject", &objects),
                Ok(read) if read == CONTENT => {}
                Ok(_) => {
                    return Err(StorageError::Io(io::Error::other(
                        "what is read is not what was written",
                    )));
                }
            }
            match remote.begin(&key, "text/plain").await {
                Err(error) => note(&error, "s3:PutObject", &objects),
                Ok(upload) => {
                    if let Err(error) = remote.abort(&key, &upload).await {
                        note(&error, "s3:AbortMultipartUpload", &objects);
                    }
                }
            }
            if let Err(error) = remote.delete(&key).await {
                note(&error, "s3:DeleteObject", &objects);
            }
            match Remote::uploads(Arc::clone(remote), keys.prefix())
                .try_next()
                .await
            {
                Err(error @ object_store::Error::PermissionDenied { .. }) => {
                    note(&error, "s3:ListBucketMultipartUploads", &bucket);
                }
                // Only the sweep needs it, and not every store has it.
                Err(error) => {
                    tracing::warn!("the store does not list its multipart uploads: {error}");
                }
                Ok(_) => {}
            }
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(StorageError::Io(io::Error::other(problems.join("; "))))
}
