//! Reasons why a recording cannot be written as MP4.

/// Reason why a recording cannot be written as MP4. Displays as a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoRemux {
    /// A track has a codec that MP4 does not have, or that few players support in it.
    #[error(
        "The recording has the codec {0}, which cannot be put into an MP4 without encoding it again."
    )]
    Codec(String),
    /// The configuration of a codec is missing or invalid.
    #[error("The description of the codec {0} is missing or damaged.")]
    Configuration(String),
    /// Frames are compressed or encrypted by the container.
    #[error("A track of the recording is compressed or encrypted by its container.")]
    Encoded,
    /// The file is damaged: a frame is larger than any that is plausible.
    #[error("The recording is damaged: a frame of it is too large.")]
    FrameTooLarge,
    /// No track has a frame that decoding can start at.
    #[error("The recording has no picture or sound that decoding can start at.")]
    NoFrames,
}
