//! Writer for a movie fragment: a self-contained `moof` and `mdat`.

use super::boxes::{write, write_full, write_full_with};

/// Sample flags (section 8.8.3.1): `sample_depends_on` 2 and a sync sample; 1 and not a sync sample.
const KEYFRAME: u32 = 0x0200_0000;
const DELTA: u32 = 0x0101_0000;
const TFHD_BASE_IS_MOOF: u32 = 0x02_0000;
/// Data offset, and duration, size and flags for every sample (section 8.8.8.1).
const TRUN: u32 = 0x01 | 0x100 | 0x200 | 0x400;
pub(super) const TRUN_COMPOSITION: u32 = 0x800;

/// A sample of a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FragmentSample {
    /// Duration in the media timescale.
    pub(crate) duration: u32,
    pub(crate) size: u32,
    /// Composition offset: presentation time minus decoding time.
    pub(crate) offset: i32,
    pub(crate) keyframe: bool,
}

/// Samples of a track in a fragment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TrackFragment<'a> {
    pub(crate) track_id: u32,
    /// Decoding time of the first sample in the media timescale.
    pub(crate) time: u64,
    pub(crate) samples: &'a [FragmentSample],
    /// Bytes of the samples.
    pub(crate) data: &'a [u8],
}

/// Encodes a fragment. `sequence` increases from fragment to fragment.
pub(crate) fn movie_fragment(sequence: u32, tracks: &[TrackFragment<'_>]) -> Vec<u8> {
    let data: usize = tracks.iter().map(|track| track.data.len()).sum();
    let samples: usize = tracks.iter().map(|track| track.samples.len()).sum();
    let mut out = Vec::with_capacity(data + 256 * tracks.len() + 16 * samples);
    let mut data_offsets = Vec::with_capacity(tracks.len());
    write(&mut out, *b"moof", |out| {
        write_full(out, *b"mfhd", |out| out.extend(sequence.to_be_bytes()));
        for track in tracks {
            write(out, *b"traf", |out| data_offsets.push(traf(out, track)));
        }
    });
    // The media data begins behind the moof and the header of the mdat.
    let mut offset = out.len() + 8;
    for (at, track) in data_offsets.into_iter().zip(tracks) {
        let bytes = u32::try_from(offset).unwrap_or(u32::MAX).to_be_bytes();
        out[at..at + 4].copy_from_slice(&bytes);
        offset += track.data.len();
    }
    write(&mut out, *b"mdat", |out| {
        for track in tracks {
            out.extend_from_slice(track.data);
        }
    });
    out
}

/// Writes the children of a `traf`. Returns the position of the data offset, which is filled in later.
fn traf(out: &mut Vec<u8>, track: &TrackFragment<'_>) -> usize {
    write_full_with(out, *b"tfhd", 0, TFHD_BASE_IS_MOOF, |out| {
        out.extend(track.track_id.to_be_bytes());
    });
    write_full_with(out, *b"tfdt", 1, 0, |out| {
        out.extend(track.time.to_be_bytes());
    });
    let composed = track.samples.iter().any(|sample| sample.offset != 0);
    let flags = TRUN | if composed { TRUN_COMPOSITION } else { 0 };
    let mut data_offset = 0;
    write_full_with(out, *b"trun", 1, flags, |out| {
        let count = u32::try_from(track.samples.len()).unwrap_or(u32::MAX);
        out.extend(count.to_be_bytes());
        data_offset = out.len();
        out.extend([0; 4]);
        for sample in track.samples {
            out.extend(sample.duration.to_be_bytes());
            out.extend(sample.size.to_be_bytes());
            let flags = if sample.keyframe { KEYFRAME } else { DELTA };
            out.extend(flags.to_be_bytes());
            if composed {
                out.extend(sample.offset.to_be_bytes());
            }
        }
    });
    data_offset
}
