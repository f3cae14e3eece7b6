//! Listing of the bucket, below the prefix, and of the staging folder.

use std::fs::Metadata;
use std::io;
use std::path::Path;
use std::sync::Arc;

use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use object_store::ObjectMeta;

use super::keys::Keys;
use super::remote::{ListedUpload, Remote, read_error};
use super::replicated::CACHE;
use super::staged::part_index;
use crate::storage::local::{entries, modified_ms};
use crate::storage::stored::is_id;
use crate::storage::{ObjectKind, StorageError, Stored, UploadLeases};

/// Lists the objects, the multipart uploads and the staged recordings.
pub(super) fn list(
    remote: &Arc<Remote>,
    keys: &Keys,
    leases: Option<Arc<dyn UploadLeases>>,
) -> BoxStream<'static, Result<Stored, StorageError>> {
    let objects = remote.objects(keys.prefix(), None).map({
        let keys = keys.clone();
        move |object| Ok(object_of(&keys, &object.map_err(read_error)?))
    });
    let uploads = Remote::uploads(Arc::clone(remote), keys.prefix()).then({
        let keys = keys.clone();
        move |upload| upload_of(keys.clone(), leases.clone(), upload)
    });
    let staged = entries(keys.staging().to_owned(), {
        let keys = keys.clone();
        move |name, metadata| staged_of(&keys, name, metadata)
    });
    // The staging folders of running servers are copies.
    let staged = staged.try_filter(|stored| {
        let name = stored.path.rsplit('/').next();
        std::future::ready(!name.is_some_and(|name| name.starts_with(CACHE)))
    });
    objects.chain(uploads).chain(staged).boxed()
}

/// Returns the paths without an object. Merges the sorted paths with the store's listing. Each path that does not
/// appear in the listing is looked up individually, so a store that lists in another order costs requests and causes no
/// error.
pub(super) async fn missing(
    remote: &Remote,
    mut paths: Vec<String>,
) -> Result<Vec<String>, StorageError> {
    paths.sort_unstable();
    let mut suspects = Vec::new();
    for run in paths.chunk_by(|one, next| prefix_of(one) == prefix_of(next)) {
        let [first, .., last] = run else {
            suspects.extend_from_slice(run);
            continue;
        };
        // The greatest key before the first path.
        let before = first.rsplit_once('.').map_or(first.as_str(), |(id, _)| id);
        let mut objects = remote.objects(prefix_of(first), Some(before));
        let mut wanted = run.iter().peekable();
        while let Some(object) = objects.try_next().await.map_err(read_error)? {
            let key = object.location.as_ref();
            while let Some(path) = wanted.next_if(|path| path.as_str() < key) {
                suspects.push(path.clone());
            }
            wanted.next_if(|path| path.as_str() == key);
            if key >= last.as_str() {
                break;
            }
        }
        suspects.extend(wanted.cloned());
    }
    let mut missing = Vec::new();
    for path in suspects {
        let Ok(key) = Keys::key(&path) else {
            missing.push(path);
            continue;
        };
        if remote.size(&key).await.map_err(read_error)?.is_none() {
            missing.push(path);
        }
    }
    Ok(missing)
}

/// Returns the prefix of a path, with the trailing slash.
fn prefix_of(path: &str) -> &str {
    path.rfind('/').map_or("", |slash| &path[..=slash])
}

fn object_of(keys: &Keys, object: &ObjectMeta) -> Stored {
    let path = object.location.as_ref().to_owned();
    // The spans of a shared recording are below its growing path.
    if let Some((folder, _)) = path.rsplit_once('/')
        && let Some(ObjectKind::Growing(id)) =
            folder.strip_prefix(keys.prefix()).map(ObjectKind::of_name)
    {
        return Stored {
            path: folder.to_owned(),
            kind: ObjectKind::Growing(id),
            size_bytes: object.size,
            modified_ms: object.last_modified.timestamp_millis(),
        };
    }
    let kind = match path.strip_prefix(keys.prefix()).map(ObjectKind::of_name) {
        // A growing object has no key.
        None | Some(ObjectKind::Growing(_)) => ObjectKind::Foreign,
        Some(kind) => kind,
    };
    Stored {
        path,
        kind,
        size_bytes: object.size,
        modified_ms: object.last_modified.timestamp_millis(),
    }
}

async fn upload_of(
    keys: Keys,
    leases: Option<Arc<dyn UploadLeases>>,
    upload: object_store::Result<ListedUpload>,
) -> Result<Stored, StorageError> {
    let upload = upload.map_err(read_error)?;
    let named = upload
        .key
        .strip_prefix(keys.prefix())
        .map(ObjectKind::of_name);
    let id = match named {
        Some(ObjectKind::Finished(id)) => Some(id),
        Some(ObjectKind::Temporary(None)) => None,
        _ => {
            return Ok(Stored {
                path: upload.key,
                kind: ObjectKind::Foreign,
                size_bytes: 0,
                modified_ms: upload.initiated_ms,
            });
        }
    };
    let staged = match &id {
        Some(id) => is_staged(&keys, leases.as_deref(), id).await?,
        None => false,
    };
    Ok(Stored {
        path: upload.key,
        kind: ObjectKind::Upload {
            id,
            upload: upload.upload_id,
            staged,
        },
        // The store reports sizes per part only.
        size_bytes: 0,
        modified_ms: upload.initiated_ms,
    })
}

/// Whether the parts that are required to complete a multipart upload exist.
async fn is_staged(
    keys: &Keys,
    leases: Option<&dyn UploadLeases>,
    id: &str,
) -> Result<bool, StorageError> {
    if let Some(leases) = leases
        && leases.find(id).await?.is_some()
    {
        return Ok(true);
    }
    Ok(tokio::fs::try_exists(keys.folder(id)?).await?)
}

fn staged_of(keys: &Keys, name: &str, metadata: &Metadata) -> io::Result<Stored> {
    let path = keys.staging().join(name);
    let gone = Keys::is_gone(&path);
    let (mut size_bytes, mut modified_ms) = (metadata.len(), modified_ms(metadata));
    let id = Keys::id_of(name);
    let kind = if metadata.is_dir() && is_id(id) {
        (size_bytes, modified_ms) = contents(&path, modified_ms)?;
        if gone {
            ObjectKind::Temporary(Some(id.to_owned()))
        } else {
            ObjectKind::Growing(id.to_owned())
        }
    } else {
        match ObjectKind::of_name(name) {
            // File of a storage check.
            ObjectKind::Temporary(None) if metadata.is_file() => ObjectKind::Temporary(None),
            _ => ObjectKind::Foreign,
        }
    };
    let path = match &kind {
        ObjectKind::Growing(id) => keys.growing_path(id),
        // No key begins with a slash, so this path cannot be confused with one.
        _ => path.display().to_string(),
    };
    Ok(Stored {
        path,
        kind,
        size_bytes,
        modified_ms,
    })
}

/// Returns the size of the parts in a staging folder, and the time of its last change.
fn contents(folder: &Path, mut newest_ms: i64) -> io::Result<(u64, i64)> {
    let mut size_bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        match entry.metadata() {
            Ok(metadata) => {
                if part_index(&entry.path()).is_some() {
                    size_bytes += metadata.len();
                }
                newest_ms = newest_ms.max(modified_ms(&metadata));
            }
            // Uploaded and removed in the meantime.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok((size_bytes, newest_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_ends_with_the_last_slash() {
        assert_eq!(prefix_of("a/b/id.webm"), "a/b/");
        assert_eq!(prefix_of("id.webm"), "");
    }
}
