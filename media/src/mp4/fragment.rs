//! One `moof`: which samples lie where (ISO/IEC 14496-12, section 8.8).

use super::boxes::{Reader, children, find};
use super::movie::{Defaults, Movie};
use super::samples::Sample;

/// Samples of a recording at most: some 38 hours at 60 a second. What comes later cannot be indexed.
const SAMPLE_LIMIT: usize = 1 << 23;

const TFHD_BASE: u32 = 0x01;
const TFHD_DESCRIPTION: u32 = 0x02;
const TFHD_DURATION: u32 = 0x08;
const TFHD_SIZE: u32 = 0x10;
const TFHD_FLAGS: u32 = 0x20;

const TRUN_OFFSET: u32 = 0x01;
const TRUN_FIRST_FLAGS: u32 = 0x04;
const TRUN_DURATION: u32 = 0x100;
const TRUN_SIZE: u32 = 0x200;
const TRUN_FLAGS: u32 = 0x400;
const TRUN_COMPOSITION: u32 = 0x800;

/// `sample_is_non_sync_sample` (section 8.8.3.1).
const NON_SYNC: u32 = 0x0001_0000;

/// A `moof` whose data has not arrived yet.
#[derive(Debug)]
pub(super) struct Fragment {
    /// Stream offset of the box.
    pub(super) start: u64,
    pub(super) payload: Vec<u8>,
}

impl Fragment {
    /// Adds its samples to the movie, as far as their data lies before `limit` in the stream.
    ///
    /// `false` when a limit was reached: then the tables are not complete.
    pub(super) fn add_to(&self, movie: &mut Movie, limit: u64) -> bool {
        let mut next = self.start;
        for (kind, traf) in children(&self.payload) {
            if kind == *b"traf" && self.add_track(traf, movie, limit, &mut next) == Some(false) {
                return false;
            }
        }
        true
    }

    fn add_track(
        &self,
        traf: &[u8],
        movie: &mut Movie,
        limit: u64,
        next: &mut u64,
    ) -> Option<bool> {
        let mut tfhd = Reader(find(traf, *b"tfhd")?);
        let (_, flags) = tfhd.full()?;
        let id = tfhd.u32()?;
        let total: usize = movie.tracks.iter().map(|track| track.samples.len()).sum();
        let mut room = SAMPLE_LIMIT.saturating_sub(total);
        let track = movie.tracks.iter_mut().find(|track| track.id == id)?;
        // Offsets count from the fragment, whatever the file in front of it (8.8.7.1); an absolute base is one
        // in the stream.
        let base = if flags & TFHD_BASE != 0 {
            tfhd.u64()?
        } else {
            self.start
        };
        if flags & TFHD_DESCRIPTION != 0 {
            tfhd.skip(4)?;
        }
        let mut defaults = track.defaults;
        if flags & TFHD_DURATION != 0 {
            defaults.duration = tfhd.u32()?;
        }
        if flags & TFHD_SIZE != 0 {
            defaults.size = tfhd.u32()?;
        }
        if flags & TFHD_FLAGS != 0 {
            defaults.flags = tfhd.u32()?;
        }
        if let Some(tfdt) = find(traf, *b"tfdt") {
            let mut reader = Reader(tfdt);
            let (version, _) = reader.full()?;
            track.samples.seek(reader.versioned(version)?);
        }
        for (_, trun) in children(traf).filter(|&(kind, _)| kind == *b"trun") {
            let run = Run::parse(trun, base, *next, defaults)?;
            let mut at = run.offset;
            track.samples.begin_chunk(at);
            for sample in run {
                let end = at
                    .checked_add(u64::from(sample.size))
                    .filter(|&end| end <= limit)?;
                if room == 0 {
                    return Some(false);
                }
                room -= 1;
                track.samples.add(sample);
                at = end;
            }
            *next = at;
        }
        Some(true)
    }
}

/// The samples of a `trun`.
struct Run<'a> {
    reader: Reader<'a>,
    flags: u32,
    left: u32,
    first_flags: Option<u32>,
    defaults: Defaults,
    /// Stream offset of the first sample.
    offset: u64,
}

impl<'a> Run<'a> {
    fn parse(trun: &'a [u8], base: u64, next: u64, defaults: Defaults) -> Option<Self> {
        let mut reader = Reader(trun);
        let (_, flags) = reader.full()?;
        let left = reader.u32()?;
        let offset = if flags & TRUN_OFFSET != 0 {
            base.checked_add_signed(i64::from(reader.u32()?.cast_signed()))?
        } else {
            next
        };
        let first_flags = if flags & TRUN_FIRST_FLAGS != 0 {
            Some(reader.u32()?)
        } else {
            None
        };
        // Without a size there would be no end to hostile counts.
        let sized = flags & TRUN_SIZE != 0 || defaults.size != 0;
        sized.then_some(Self {
            reader,
            flags,
            left,
            first_flags,
            defaults,
            offset,
        })
    }

    fn field(&mut self, flag: u32, default: u32) -> Option<u32> {
        if self.flags & flag != 0 {
            self.reader.u32()
        } else {
            Some(default)
        }
    }
}

impl Iterator for Run<'_> {
    type Item = Sample;

    fn next(&mut self) -> Option<Sample> {
        self.left = self.left.checked_sub(1)?;
        let first_flags = self.first_flags.take();
        let duration = self.field(TRUN_DURATION, self.defaults.duration)?;
        let size = self.field(TRUN_SIZE, self.defaults.size)?;
        let flags = self.field(TRUN_FLAGS, first_flags.unwrap_or(self.defaults.flags))?;
        // Version 0 has it unsigned; no file needs the upper half.
        let offset = self.field(TRUN_COMPOSITION, 0)?.cast_signed();
        Some(Sample {
            size,
            duration,
            offset,
            sync: flags & NON_SYNC == 0,
        })
    }
}
