//! Kinds of markers.

use crate::named::named;

named! {
    fn name;
    /// Origin of a marker.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub enum MarkKind {
        /// A note of the user or of the app.
        #[default]
        Note = "note",
        /// The recording was paused here.
        Pause = "pause",
        /// Bytes or pictures are missing here.
        Gap = "gap",
        /// A further part begins here.
        Part = "part",
        /// The encoder was restarted here.
        EncoderRestart = "encoder_restart",
    }
}
