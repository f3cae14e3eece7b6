//! One `moof`: which samples lie where (ISO/IEC 14496-12, section 8.8).

use super::boxes::{Reader, children, find};
use super::movie::{Defaults, Movie};
use super::samples::Sample;
use crate::stored::HEAD_ROOM;

const TFHD_BASE: u32 = 0x01;
const TFHD_DESCRIPTION: u32 = 0x02;
const TFHD_DURATION: u32 = 0x08;
const TFHD_SIZE: u32 = 0x10;
const TFHD_FLAGS: u32 = 0x20;
const TFHD_BASE_IS_MOOF: u32 = 0x02_0000;

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
    /// Stream offset of its payload.
    pub(super) payload_start: u64,
    pub(super) payload: Vec<u8>,
    /// Stream offset of the file that it belongs to, where several files follow each other.
    pub(super) document: u64,
}

/// Steps of a walk through a fragment, for the track of an index.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// Decoding time of the next samples.
    Time(u64),
    /// Stream offset of the next samples, and their sample description.
    Chunk(u64, u32),
    /// Samples that are all alike.
    Samples(Sample, u32),
}

/// State of a walk.
struct Walk {
    /// Stream offset behind the previous run: where the data of a run lies that does not say it.
    next: u64,
    /// Data must end here.
    limit: u64,
    /// Samples that may follow. None is smaller than a byte, in the data or in the box: more are hostile.
    left: u64,
    /// End of the last complete sample.
    reach: u64,
}

/// A track as fragments know it: its id, its index in the movie if it is one of those, and its defaults.
type Known = (u32, Option<usize>, Defaults);

impl Fragment {
    /// Adds its samples to the movie, as far as their data lies before `limit` in the stream.
    pub(super) fn add_to(&self, movie: &mut Movie, limit: u64) {
        self.walk(&known(movie), limit, |track, event| {
            let Some(track) = movie.tracks.get_mut(track) else {
                return;
            };
            match event {
                Event::Time(time) => track.samples.seek(time),
                Event::Chunk(offset, description) => {
                    track.samples.begin_chunk(offset, description);
                }
                Event::Samples(sample, count) => track.samples.add(sample, count),
            }
        });
        movie.limit_tables();
    }

    /// Where the data of the last complete sample ends, if the stream ends at `limit`; 0 when there is none.
    pub(super) fn reach(&self, movie: &Movie, limit: u64) -> u64 {
        self.walk(&known(movie), limit, |_, _| {})
    }

    /// Where the data of its last sample ends, whether it has arrived or not.
    pub(super) fn extent(&self, movie: &Movie) -> u64 {
        self.reach(movie, u64::MAX)
    }

    fn walk(&self, tracks: &[Known], limit: u64, mut event: impl FnMut(usize, Event)) -> u64 {
        let mut walk = Walk {
            next: self.start,
            limit,
            left: limit.saturating_sub(self.start),
            reach: 0,
        };
        for (kind, traf) in children(&self.payload) {
            if kind == *b"traf" {
                // A broken or incomplete track says nothing about the next.
                let _ = self.walk_track(traf, tracks, &mut walk, &mut event);
            }
        }
        walk.reach
    }

    fn walk_track(
        &self,
        traf: &[u8],
        tracks: &[Known],
        walk: &mut Walk,
        event: &mut impl FnMut(usize, Event),
    ) -> Option<()> {
        let mut tfhd = Reader(find(traf, *b"tfhd")?);
        let (_, flags) = tfhd.full()?;
        let id = tfhd.u32()?;
        let &(_, track, mut defaults) = tracks.iter().find(|&&(known, ..)| known == id)?;
        // Where data follows that of the track before, it has to be walked past also for an unknown track.
        let track = track.unwrap_or(usize::MAX);
        // Section 8.8.7.1.
        let (base, mut first) = if flags & TFHD_BASE != 0 {
            let base = self.stream_offset(tfhd.u64()?);
            (base, Some(base))
        } else if flags & TFHD_BASE_IS_MOOF != 0 {
            (self.start, None)
        } else {
            (walk.next, None)
        };
        if flags & TFHD_DESCRIPTION != 0 {
            defaults.description = tfhd.u32()?;
        }
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
            event(track, Event::Time(reader.versioned(version)?));
        }
        for (_, trun) in children(traf).filter(|&(kind, _)| kind == *b"trun") {
            // Out of reach, unless this run turns out to be whole.
            let next = std::mem::replace(&mut walk.next, u64::MAX);
            let run = Run::parse(trun, base, first.take().unwrap_or(next), defaults)?;
            let mut at = run.offset;
            if at < self.start {
                return None;
            }
            event(track, Event::Chunk(at, defaults.description.max(1)));
            for (sample, count) in run {
                // As many as are complete.
                let room = walk.limit.checked_sub(at)?;
                let size = u64::from(sample.size);
                let fits = room.checked_div(size).unwrap_or(u64::MAX);
                let fits = fits.min(walk.left).min(count.into());
                walk.left -= fits;
                if fits > 0 {
                    at += size * fits;
                    event(
                        track,
                        Event::Samples(sample, u32::try_from(fits).unwrap_or(count)),
                    );
                    walk.reach = walk.reach.max(at);
                }
                (fits == u64::from(count)).then_some(())?;
            }
            walk.next = at;
        }
        Some(())
    }

    /// The place in the stream that an absolute offset means.
    fn stream_offset(&self, base: u64) -> u64 {
        let own = self.start.saturating_sub(self.document);
        if base == own || is_shifted(base, self.start) {
            return self.start;
        }
        base.saturating_add(self.document)
    }

    /// Absolute base offsets in it that mean the fragment itself, as a growing file needs them: stream offset, and
    /// the bytes to write there. The flag says whether there are other absolute offsets.
    pub(super) fn shifts(&self) -> (Vec<(u64, Vec<u8>)>, bool) {
        let (mut shifts, mut others) = (Vec::new(), false);
        let trafs = children(&self.payload).filter(|&(kind, _)| kind == *b"traf");
        for tfhd in trafs.filter_map(|(_, traf)| find(traf, *b"tfhd")) {
            let mut reader = Reader(tfhd);
            let flags = reader.full().map_or(0, |(_, flags)| flags);
            let base = reader.u32().and_then(|_| reader.u64());
            let Some(base) = base.filter(|_| flags & TFHD_BASE != 0) else {
                continue;
            };
            let shifted = self.start.saturating_add(HEAD_ROOM);
            if base != shifted && self.stream_offset(base) != self.start {
                others = true;
                continue;
            }
            // Only the bytes that differ: mostly a single one, which cannot be torn.
            let (old, new) = (base.to_be_bytes(), shifted.to_be_bytes());
            let first = old.iter().zip(&new).position(|(old, new)| old != new);
            let last = old.iter().zip(&new).rposition(|(old, new)| old != new);
            if let (Some(first), Some(last)) = (first, last) {
                // Behind version, flags and track.
                let at = tfhd.as_ptr().addr() - self.payload.as_ptr().addr() + 8 + first;
                let bytes = new.get(first..=last).unwrap_or_default();
                shifts.push((self.payload_start + at as u64, bytes.to_vec()));
            }
        }
        (shifts, others)
    }
}

/// Whether `base` is what a shift of an absolute offset `start` leaves, even one that was torn.
fn is_shifted(base: u64, start: u64) -> bool {
    let (old, new) = (
        start.to_be_bytes(),
        start.saturating_add(HEAD_ROOM).to_be_bytes(),
    );
    let base = base.to_be_bytes();
    (0..=8).any(|torn| base[..torn] == new[..torn] && base[torn..] == old[torn..])
}

/// The tracks that fragments may add to, and those they may only mention.
fn known(movie: &Movie) -> Vec<Known> {
    let defaults = |id| {
        let extended = movie.extended.iter().find(|&&(known, _)| known == id);
        extended.map(|&(_, defaults)| defaults).unwrap_or_default()
    };
    let tracks = movie.tracks.iter().enumerate();
    let known = tracks.map(|(index, track)| (track.id, Some(index), defaults(track.id)));
    let others = movie.extended.iter();
    known
        .chain(others.map(|&(id, defaults)| (id, None, defaults)))
        .collect()
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
    /// Samples that are all alike, and how many.
    type Item = (Sample, u32);

    fn next(&mut self) -> Option<Self::Item> {
        const PER_SAMPLE: u32 = TRUN_DURATION | TRUN_SIZE | TRUN_FLAGS | TRUN_COMPOSITION;
        let first_flags = self.first_flags.take();
        let count = if self.flags & PER_SAMPLE == 0 && first_flags.is_none() {
            self.left
        } else {
            self.left.min(1)
        };
        if count == 0 {
            return None;
        }
        self.left -= count;
        let duration = self.field(TRUN_DURATION, self.defaults.duration)?;
        let size = self.field(TRUN_SIZE, self.defaults.size)?;
        let flags = self.field(TRUN_FLAGS, first_flags.unwrap_or(self.defaults.flags))?;
        // Version 0 has it unsigned; no file needs the upper half.
        let offset = self.field(TRUN_COMPOSITION, 0)?.cast_signed();
        let sample = Sample {
            size,
            duration,
            offset,
            sync: flags & NON_SYNC == 0,
        };
        Some((sample, count))
    }
}

#[cfg(test)]
mod tests {
    use super::super::boxes::{write, write_full, write_full_with};
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
        Movie::parse(moov).expect("a movie")
    }

    /// A fragment at 1000 with one run.
    fn fragment(run_flags: u32, words: &[u32]) -> Fragment {
        let mut payload = Vec::new();
        write(&mut payload, *b"traf", |out| {
            write_full_with(out, *b"tfhd", 0, TFHD_BASE_IS_MOOF, |out| {
                out.extend(1u32.to_be_bytes());
            });
            write_full(out, *b"tfdt", |out| out.extend(500u32.to_be_bytes()));
            write(out, *b"trun", |out| {
                out.extend(run_flags.to_be_bytes());
                words.iter().for_each(|word| out.extend(word.to_be_bytes()));
            });
        });
        Fragment {
            start: 1000,
            payload_start: 1008,
            payload,
            document: 0,
        }
    }

    #[track_caller]
    fn check(size: u32, fragment: &Fragment, limit: u64, reach: u64, samples: u64, end: u64) {
        let mut movie = movie(size);
        assert_eq!(fragment.reach(&movie, limit), reach);
        fragment.add_to(&mut movie, limit);
        let found = &movie.tracks[0].samples;
        assert_eq!((found.len(), found.end()), (samples, end));
    }

    #[test]
    fn runs() {
        let three = fragment(TRUN_OFFSET, &[3, 100]);
        check(50, &three, 1250, 1250, 3, 530);
        check(50, &three, 1249, 1200, 2, 520);
        check(50, &three, 1000, 0, 0, 500);
        let sized = fragment(
            TRUN_OFFSET | TRUN_DURATION | TRUN_SIZE,
            &[2, 100, 7, 20, 8, 30],
        );
        check(50, &sized, 1150, 1150, 2, 515);
        let torn = fragment(TRUN_SIZE, &[3, 20]);
        check(50, &torn, 5000, 1020, 1, 510);
        let before = fragment(TRUN_OFFSET, &[1, (-500i32).cast_unsigned()]);
        check(50, &before, 5000, 0, 0, 500);
    }

    #[test]
    fn hostile_counts_end_at_the_data() {
        let endless = fragment(TRUN_OFFSET, &[u32::MAX, 100]);
        check(0, &endless, u64::MAX, 0, 0, 500);
        check(1, &endless, 2000, 2000, 900, 9500);
        // The same data again and again.
        let mut again = fragment(TRUN_OFFSET, &[1000, 100]);
        let once = again.payload.clone();
        (0..100).for_each(|_| again.payload.extend_from_slice(&once));
        let mut movie = movie(1);
        again.add_to(&mut movie, 3000);
        assert_eq!(movie.samples(), 2000);
    }

    #[test]
    fn movie_too_long_for_tables_keeps_its_times() {
        let long = fragment(TRUN_OFFSET, &[u32::MAX, 100]);
        let mut movie = movie(1);
        let samples = super::super::movie::SAMPLE_LIMIT + 10;
        long.add_to(&mut movie, 1100 + samples);
        assert!(movie.long);
        let found = &movie.tracks[0].samples;
        assert_eq!((found.len(), found.sync_len()), (samples, 0));
        assert_eq!(found.end(), 500 + 10 * samples);
    }

    #[test]
    fn a_run_behind_a_torn_one_is_not_found() {
        let mut two = fragment(TRUN_OFFSET, &[3, 100]);
        two.payload.extend(fragment(0, &[1]).payload);
        let mut movie = movie(50);
        two.add_to(&mut movie, 1180);
        assert_eq!(movie.samples(), 1, "not the bytes of the first run again");
    }

    #[test]
    fn flags_of_the_first_sample() {
        let mut movie = movie(1);
        fragment(TRUN_OFFSET | TRUN_FIRST_FLAGS, &[3, 0, 0]).add_to(&mut movie, 5000);
        assert_eq!(movie.tracks[0].samples.sync_len(), 1);
    }
}
