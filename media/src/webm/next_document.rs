//! A further EBML document in the stream: joined with the first if their tracks match, otherwise hidden.
//!
//! To join it, its head is replaced by a Void and the timestamp of each of its clusters is shifted.

use serde::{Deserialize, Serialize};

use super::info::{DocType, Info};
use super::tracks::{TRACKS_LIMIT, TrackKey, keys};
use crate::ebml::{ids, vint::Header};
use crate::left_out::LeftOutReason;

/// State of the next document.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) enum NextDocument {
    /// No further document, or it was joined.
    #[default]
    None,
    /// Head of the document is being read.
    Head(Head),
    /// The document cannot be joined: everything up to the next EBML header is hidden.
    Hidden,
}

/// Head of the next document.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Head {
    /// Stream offset of the head.
    pub(super) start: u64,
    /// Reason for hiding bytes in front of it.
    pub(super) before: Option<LeftOutReason>,
    known: bool,
    scale_ns: u64,
    tracks: Option<Vec<TrackKey>>,
    segment: bool,
}

/// Treatment of an element in the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Treatment {
    Enter,
    /// Collect at most this many bytes of the payload.
    Collect(u64),
    Pass,
    /// The head ends with this cluster.
    Cluster,
    /// The document cannot be joined.
    Hide,
}

impl Head {
    /// Begins a head with an EBML header or, if that is missing, with a Segment.
    pub(super) fn new(header: &Header, start: u64, before: Option<LeftOutReason>) -> Self {
        let segment = header.id == ids::SEGMENT;
        Self {
            start,
            before,
            known: segment,
            scale_ns: Info::default().scale_ns,
            tracks: None,
            segment,
        }
    }

    /// Whether the EBML header is complete and the Segment has not begun.
    pub(super) fn awaits_segment(&self) -> bool {
        self.known && !self.segment
    }

    /// Whether a document that begins like this continues a recording with these tracks and nanoseconds per tick.
    pub(super) fn continues(&self, tracks: &[TrackKey], scale_ns: u64) -> bool {
        let next = self.tracks.as_deref().unwrap_or_default();
        let are_among = !next.is_empty() && next.iter().all(|key| tracks.contains(key));
        self.scale_ns == scale_ns && are_among
    }

    /// Handles the start of an element.
    pub(super) fn open(&mut self, header: &Header) -> Treatment {
        match (header.id, header.size) {
            (ids::SEGMENT, _) if self.awaits_segment() => {
                self.segment = true;
                Treatment::Enter
            }
            (ids::CLUSTER, _) if self.segment => Treatment::Cluster,
            (ids::INFO, Some(size)) if size <= Info::LIMIT => Treatment::Collect(Info::LIMIT),
            (ids::TRACKS, Some(_)) if self.tracks.is_none() => Treatment::Collect(TRACKS_LIMIT),
            (id, Some(_)) if ids::is_segment_child(id) => Treatment::Pass,
            _ => Treatment::Hide,
        }
    }

    /// Handles a payload. Returns `false` if the document is neither WebM nor Matroska.
    pub(super) fn payload(&mut self, id: u32, payload: &[u8]) -> bool {
        match id {
            ids::EBML => self.known = DocType::parse(payload).is_some(),
            ids::TRACKS => self.tracks = Some(keys(payload)),
            ids::INFO => self.scale_ns = Info::parse(payload).scale_ns,
            _ => {}
        }
        id != ids::EBML || self.known
    }
}
