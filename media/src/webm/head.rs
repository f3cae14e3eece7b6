//! Head of a stored WebM or Matroska file: the bytes that a player reads first.
//!
//! It fills the [`HEAD_ROOM`] in front of the stream. Its last element is a Void that extends into the stream, up to
//! the sender's first visible element, and so hides the sender's own head without changing it. The head of a clip has
//! the same elements and as much room as it needs.

use super::info::{DocType, Info};
use crate::ebml::{ids, write::Writer};
use crate::patch::{HEAD_ROOM, Patch};

/// MuxingApp and WritingApp of stored files.
const APP: &str = "Sortie Recording";
/// Version of the newest element in our heads, CueRelativePosition (RFC 9559, section 5.1.5.1.2.3).
const OUR_VERSION: u64 = 4;
/// Version that introduced SimpleBlock.
const OUR_READ_VERSION: u64 = 2;

/// Whether a head room that begins with an EBML header contains a head of this crate.
pub(crate) fn is_stored_head(head: &[u8]) -> bool {
    head.windows(APP.len()).any(|at| at == APP.as_bytes())
}

/// Contents of a head. All positions are in the stored file.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub(super) doc_type: &'a DocType,
    pub(super) info: &'a Info,
    /// Ids and positions of level-1 elements for the SeekHead, at most 6.
    pub(super) seek: &'a [(u32, u64)],
    /// Duration in ticks; `None` while the file grows.
    pub(super) duration_ticks: Option<f64>,
    /// End of the Segment; `None` while the file grows.
    pub(super) segment_end: Option<u64>,
    /// Cues to put into the head; may be empty.
    pub(super) cues: &'a [u8],
    /// Position of the sender's first visible element.
    pub(super) first_kept: u64,
}

impl Head<'_> {
    /// Encodes the head for the head room; `None` if the Cues do not fit.
    pub(super) fn to_patch(&self) -> Option<Patch> {
        self.to_bytes(HEAD_ROOM).map(Patch::head)
    }

    /// Encodes the head in `room` bytes, of which the last ones are zero; `None` if the Cues do not fit.
    pub(super) fn to_bytes(&self, room: u64) -> Option<Vec<u8>> {
        let mut writer = Writer::new();
        write_ebml(&mut writer, self.doc_type);
        let base = segment_payload(self.doc_type);
        writer.open(
            ids::SEGMENT,
            self.segment_end.and_then(|end| end.checked_sub(base)),
        );
        let mut info = Writer::new();
        self.write_info(&mut info);
        let info = info.into_bytes();
        let seek_head = |info_at: u64| {
            let cues = (!self.cues.is_empty()).then_some((ids::CUES, info_at + info.len() as u64));
            let mut writer = Writer::new();
            writer.master(ids::SEEK_HEAD, |w| {
                let entries = [(ids::INFO, info_at)].into_iter();
                for (id, at) in entries.chain(self.seek.iter().copied()).chain(cues) {
                    w.master(ids::SEEK, |w| {
                        w.element(ids::SEEK_ID, &id.to_be_bytes());
                        w.uint_fixed(ids::SEEK_POSITION, at.saturating_sub(base));
                    });
                }
            });
            writer.into_bytes()
        };
        // Positions have a fixed width, so the length of the SeekHead does not depend on them.
        let info_at = (writer.len() + seek_head(0).len()) as u64;
        writer.raw(&seek_head(info_at));
        writer.raw(&info);
        writer.raw(self.cues);

        // Fits: texts are limited when they are parsed.
        let void_payload = writer.len() as u64 + VOID_HEADER;
        writer.open(
            ids::VOID,
            Some(self.first_kept.saturating_sub(void_payload)),
        );
        let mut bytes = writer.into_bytes();
        let fits = bytes.len() as u64 <= room;
        bytes.resize(usize::try_from(room).ok()?, 0);
        fits.then_some(bytes)
    }

    fn write_info(&self, writer: &mut Writer) {
        writer.master(ids::INFO, |w| {
            w.uint(ids::TIMESTAMP_SCALE, self.info.scale_ns);
            if let Some(ticks) = self.duration_ticks {
                w.float(ids::DURATION, ticks);
            }
            if let Some(date) = self.info.date_utc {
                w.element(ids::DATE_UTC, &date);
            }
            if let Some(title) = &self.info.title {
                w.string(ids::TITLE, title);
            }
            w.string(ids::MUXING_APP, APP);
            match &self.info.writing_app {
                // A finished file of ours was uploaded again.
                Some(app) if app.starts_with(APP) => w.string(ids::WRITING_APP, app),
                Some(app) => w.string(ids::WRITING_APP, &format!("{APP} ({app})")),
                None => w.string(ids::WRITING_APP, APP),
            }
        });
    }
}

/// Size of the id and of an eight-byte size.
const VOID_HEADER: u64 = 9;

/// Position of the Segment's payload in the stored file; Segment positions are relative to it.
pub(super) fn segment_payload(doc_type: &DocType) -> u64 {
    let mut writer = Writer::new();
    write_ebml(&mut writer, doc_type);
    writer.open(ids::SEGMENT, None);
    writer.len() as u64
}

fn write_ebml(writer: &mut Writer, doc_type: &DocType) {
    writer.master(ids::EBML, |w| {
        w.uint(ids::EBML_VERSION, 1);
        w.uint(ids::EBML_READ_VERSION, 1);
        w.uint(ids::EBML_MAX_ID_LENGTH, 4);
        w.uint(ids::EBML_MAX_SIZE_LENGTH, 8);
        w.string(ids::DOC_TYPE, doc_type.name());
        w.uint(ids::DOC_TYPE_VERSION, doc_type.version.max(OUR_VERSION));
        w.uint(
            ids::DOC_TYPE_READ_VERSION,
            doc_type.read_version.max(OUR_READ_VERSION),
        );
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::Container;
    use crate::ebml::{
        read::{Children, uint},
        vint::{self, Parsed},
    };

    #[test]
    fn longest_head_fits_and_points_at_its_info() {
        let text = Some("x".repeat(512));
        let info = Info {
            scale_ns: 1_000_000,
            has_duration: false,
            date_utc: Some([1; 8]),
            title: text.clone(),
            writing_app: text,
        };
        let doc_type = DocType {
            container: Container::Matroska,
            version: u64::MAX,
            read_version: u64::MAX,
        };
        let head = Head {
            doc_type: &doc_type,
            info: &info,
            seek: &[(ids::TRACKS, 5000); 6],
            duration_ticks: Some(1.0),
            segment_end: Some(10_000),
            cues: &[],
            first_kept: 5000,
        };
        let bytes = head.to_patch().expect("fits").bytes;
        assert_eq!(bytes.len() as u64, HEAD_ROOM);

        let base = usize::try_from(segment_payload(&doc_type)).expect("small");
        let mut children = Children::of(&bytes[base..]);
        let (id, seeks) = children.next().expect("SeekHead");
        assert_eq!(id, ids::SEEK_HEAD);
        let (_, seek) = Children::of(seeks).next().expect("Seek");
        let (_, position) = Children::of(seek).nth(1).expect("SeekPosition");
        let info_at = base + usize::try_from(uint(position).expect("a number")).expect("small");
        assert_eq!(children.next().expect("Info").0, ids::INFO);

        let Parsed::Item(info, taken) = vint::header(&bytes[info_at..]) else {
            panic!("no element where Info should be");
        };
        assert_eq!(info.id, ids::INFO);
        let void_at = info_at + taken + usize::try_from(info.size.expect("known")).expect("small");
        let Parsed::Item(void, taken) = vint::header(&bytes[void_at..]) else {
            panic!("no element behind Info");
        };
        assert_eq!((void.id, taken), (ids::VOID, 9));
        assert_eq!(void_at as u64 + 9 + void.size.expect("known"), 5000);
    }
}
