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

#[cfg(test)]
mod tests {
    use super::super::boxes::{write, write_full};
    use super::*;

    /// A movie with one track (id 1, timescale 1000) of samples of 10 units and `size` bytes.
    fn movie(size: u32) -> Movie {
        let mut moov = Vec::new();
        write_full(&mut moov, *b"mvhd", |out| {
            out.extend([0; 8]);
            out.extend(1000u32.to_be_bytes());
            out.extend([0; 4]);
        });
        write(&mut moov, *b"trak", |out| {
            write_full(out, *b"tkhd", |out| {
                out.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
            });
            write(out, *b"mdia", |out| {
                write_full(out, *b"mdhd", |out| {
                    out.extend([0; 8]);
                    out.extend(1000u32.to_be_bytes());
                    out.extend([0; 4]);
                });
                write_full(out, *b"hdlr", |out| out.extend(b"\0\0\0\0vide"));
                write(out, *b"minf", |out| {
                    write(out, *b"stbl", |out| {
                        write_full(out, *b"stsd", |out| {
                            out.extend([0, 0, 0, 1]);
                            write(out, *b"avc1", |out| out.extend([0; 78]));
                        });
                    });
                });
            });
        });
        write(&mut moov, *b"mvex", |out| {
            write_full(out, *b"trex", |out| {
                [1, 1, 10, size, NON_SYNC]
                    .iter()
                    .for_each(|word| out.extend(word.to_be_bytes()));
            });
        });
        Movie::parse(&moov).expect("a movie")
    }

    /// A fragment at 1000 with one run.
    fn fragment(run_flags: u32, words: &[u32]) -> Fragment {
        let mut payload = Vec::new();
        write(&mut payload, *b"traf", |out| {
            write_full(out, *b"tfhd", |out| out.extend(1u32.to_be_bytes()));
            write_full(out, *b"tfdt", |out| out.extend(500u32.to_be_bytes()));
            write(out, *b"trun", |out| {
                out.extend(run_flags.to_be_bytes());
                words.iter().for_each(|word| out.extend(word.to_be_bytes()));
            });
        });
        Fragment {
            start: 1000,
            payload,
        }
    }

    #[track_caller]
    fn check(size: u32, fragment: &Fragment, limit: u64, complete: bool, samples: usize, end: u64) {
        let mut movie = movie(size);
        assert_eq!(fragment.add_to(&mut movie, limit), complete);
        let found = &movie.tracks[0].samples;
        assert_eq!((found.len(), found.end()), (samples, end));
    }

    #[test]
    fn runs() {
        let three = fragment(TRUN_OFFSET, &[3, 100]);
        check(50, &three, 1250, true, 3, 530);
        check(50, &three, 1249, true, 2, 520);
        check(50, &three, 1000, true, 0, 500);
        let sized = fragment(
            TRUN_OFFSET | TRUN_DURATION | TRUN_SIZE,
            &[2, 100, 7, 20, 8, 30],
        );
        check(50, &sized, 1150, true, 2, 515);
        let torn = fragment(TRUN_SIZE, &[3, 20]);
        check(50, &torn, 5000, true, 1, 510);
        let before = fragment(TRUN_OFFSET, &[1, (-2000i32).cast_unsigned()]);
        check(50, &before, 5000, true, 0, 500);
    }

    #[test]
    fn hostile_counts_end_at_a_limit() {
        let endless = fragment(TRUN_OFFSET, &[u32::MAX, 100]);
        check(0, &endless, u64::MAX, true, 0, 500);
        check(1, &endless, 2000, true, 900, 9500);
        check(
            1,
            &endless,
            u64::MAX,
            false,
            SAMPLE_LIMIT,
            500 + 10 * SAMPLE_LIMIT as u64,
        );
    }

    #[test]
    fn flags_of_the_first_sample() {
        let mut movie = movie(1);
        fragment(TRUN_OFFSET | TRUN_FIRST_FLAGS, &[3, 0, 0]).add_to(&mut movie, 5000);
        assert_eq!(movie.tracks[0].samples.sync_len(), 1);
    }
}
