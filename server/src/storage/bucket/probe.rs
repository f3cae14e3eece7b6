//! Startup check: tries every operation that the server needs.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;

use super::error_messages::{CREDENTIALS, explain};
use super::keys::Keys;
use super::location::{BucketLocation, Need};
use super::remote::Remote;
use crate::storage::StorageError;
use crate::storage::stored::CHECK;

const CONTENT: &[u8] = b"Sortie Recording tries whether this bucket can be used.";

/// Returns all problems in one error, unless one failure hides another.
pub(super) async fn probe(
    remote: &Arc<Remote>,
    keys: &Keys,
    location: &BucketLocation,
) -> Result<(), StorageError> {
    let key = Keys::key(&format!(
        "{}{CHECK}-{}",
        keys.prefix(),
        uuid::Uuid::new_v4().simple()
    ))?;
    let mut problems: Vec<String> = Vec::new();
    let mut note = |error: &object_store::Error, need: Need| {
        let problem = explain(error, need, location);
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    };

    // Without this permission the store answers "forbidden" for a missing object, and a lost response cannot be
    // resolved.
    if let Err(error) = remote.size(&key).await {
        note(&error, Need::List);
    }
    match remote
        .put(&key, Bytes::from_static(CONTENT), "text/plain")
        .await
    {
        Err(error) => note(&error, Need::Write),
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
                Err(error) => note(&error, Need::Read),
                Ok(read) if read == CONTENT => {}
                Ok(_) => {
                    return Err(StorageError::Io(io::Error::other(
                        "the bytes read differ from the bytes written",
                    )));
                }
            }
            match remote.begin(&key, "text/plain").await {
                Err(error) => note(&error, Need::Write),
                Ok(upload) => {
                    if let Err(error) = remote.abort(&key, &upload).await {
                        note(&error, Need::Abort);
                    }
                }
            }
            if let Err(error) = remote.delete(&key).await {
                note(&error, Need::Delete);
            }
            match Remote::uploads(Arc::clone(remote), keys.prefix())
                .try_next()
                .await
            {
                Err(error @ object_store::Error::PermissionDenied { .. }) => {
                    note(&error, Need::ListUploads);
                }
                // Only garbage collection needs it, and not every store supports it.
                Err(error) => {
                    tracing::warn!("the store does not list its multipart uploads: {error}");
                }
                Ok(_) => {}
            }
        }
    }
    // A response to HEAD has no body, so wrong credentials look like a missing permission there.
    if let Some(problem) = problems.iter().find(|it| it.starts_with(CREDENTIALS)) {
        problems = vec![problem.clone()];
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(StorageError::Io(io::Error::other(problems.join("; "))))
}
