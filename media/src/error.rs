//! Why a recording cannot be finished, in sentences for a person.

/// The bytes that arrived are no playable recording.
///
/// They are worth keeping all the same: nothing was lost, there is only nothing to play.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unplayable {
    /// No byte arrived.
    #[error("The recording is empty: nothing was received.")]
    Empty,
    /// The first bytes belong to no container this crate knows.
    #[error("This is not a recording: the data is neither WebM, Matroska nor MP4.")]
    UnknownContainer,
    /// The stream ended before the description of its tracks was complete.
    #[error(
        "The recording ended before it said what it contains: there is no complete track description."
    )]
    NoTracks,
    /// There are tracks, but not a single complete frame of them.
    #[error("The recording contains no complete picture or sound.")]
    NoFrames,
    /// An MP4 file whose index is missing, reaches beyond what was received, or is too large.
    #[error(
        "The recording is an MP4 file whose index is missing or incomplete. It is kept as it was received."
    )]
    Mp4NotFinishable,
}
