//! Reasons why a recording cannot be finished.

/// The received bytes are no playable recording. Displays as a sentence.
///
/// The bytes are complete nevertheless and should be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unplayable {
    /// No byte was received.
    #[error("The recording is empty: nothing was received.")]
    Empty,
    /// The first bytes belong to no known container.
    #[error("This is not a recording: the data is neither WebM, Matroska nor MP4.")]
    UnknownContainer,
    /// The stream ended before the track description was complete.
    #[error(
        "The recording ended before it said what it contains: there is no complete track description."
    )]
    NoTracks,
    /// The tracks contain no complete frame.
    #[error("The recording contains no complete picture or sound.")]
    NoFrames,
    /// The index of an MP4 is missing, points beyond the received bytes, or is too large.
    #[error(
        "The recording is an MP4 file whose index is missing or incomplete. It is kept as it was received."
    )]
    Mp4NotFinishable,
}
