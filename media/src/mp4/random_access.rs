//! Index at the end of a fragmented file (ISO/IEC 14496-12, section 8.8.9).

use super::boxes::{write, write_full, write_full_with, write_words};

/// Place of a sync sample that is the first one of its track in a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SyncSample {
    /// Presentation time in the media timescale.
    pub(crate) time: u64,
    /// Position of the `moof` in the file.
    pub(crate) moof: u64,
    /// Number of the track's `traf` in the `moof`, from 1.
    pub(crate) traf: u8,
}

/// Encodes an `mfra` for one track.
pub(crate) fn random_access(track_id: u32, samples: &[SyncSample]) -> Vec<u8> {
    let mut out = Vec::with_capacity(19 * samples.len() + 64);
    let count = u32::try_from(samples.len()).unwrap_or(u32::MAX);
    write(&mut out, *b"mfra", |out| {
        write_full_with(out, *b"tfra", 1, 0, |out| {
            // Numbers of one byte each.
            write_words(out, &[track_id, 0, count]);
            for sample in samples {
                out.extend(sample.time.to_be_bytes());
                out.extend(sample.moof.to_be_bytes());
                // The first sample of the first trun.
                out.extend([sample.traf, 1, 1]);
            }
        });
        // Total size, by which readers find the start from the end of the file.
        let size = u32::try_from(out.len() + 16).unwrap_or(u32::MAX);
        write_full(out, *b"mfro", |out| write_words(out, &[size]));
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_word_is_the_total_size() {
        let sample = SyncSample {
            time: 1,
            moof: 2,
            traf: 1,
        };
        let bytes = random_access(1, &[sample; 3]);
        let size = u32::try_from(bytes.len()).expect("small").to_be_bytes();
        assert_eq!(bytes[..4], size);
        assert_eq!(bytes[bytes.len() - 4..], size);
    }
}
