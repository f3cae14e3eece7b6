use sortie_tus::server::Refusal;

use crate::db::DatabaseError;
use crate::storage::StorageError;

/// Why an upload request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    /// The upload does not exist, or it is being deleted.
    #[error("the upload does not exist")]
    Unknown,
    /// A newer request, or another server, took over the upload.
    #[error("a newer request took over")]
    Preempted,
    /// The server is shutting down.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// The body ended early; the received bytes are durable.
    #[error("the body ended early, at {offset}")]
    Interrupted {
        /// Durable bytes of the upload.
        offset: u64,
    },
    /// The upload was finished without its sender.
    #[error("the upload was finished already")]
    Finished,
    /// The owner has reached the limit of open uploads.
    #[error("{most} uploads are open already")]
    TooMany {
        /// Limit of open uploads.
        most: u32,
    },
    /// The owner's recordings have reached their quota.
    #[error("the quota of {max} bytes is used up")]
    OverQuota {
        /// Limit of the bytes of one user's recordings.
        max: u64,
    },
    /// The owner's checksummed bodies hold too many bytes that are not verified yet.
    #[error("too many bytes wait for the verification of their checksum")]
    SpoolFull,
    /// A further part of a protected recording would exceed the quota of protected bytes.
    #[error("the quota of {max} protected bytes is used up")]
    OverProtectedQuota {
        /// Limit of the bytes that one user may protect.
        max: u64,
    },
    /// The limit of open files allows no further open upload.
    #[error("too many uploads are open for the limit of open files")]
    TooManyOpen,
    /// The partial upload belongs to a final upload and is deleted with it.
    #[error("the upload is part of a final upload")]
    Joined,
    /// The recording that the upload continues is deleted.
    #[error("the recording that this upload continues is deleted")]
    NoFirstPart,
    /// The recording that the upload continues has the maximum number of parts.
    #[error("the recording has too many parts")]
    TooManyParts,
    /// Refused by the tus protocol.
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}
