//! Movie fragments: positions and times of the samples in a `moof` (ISO/IEC 14496-12, section 8.8).

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::boxes::{Reader, children, find};
use super::movie::{Movie, SampleDefaults, to_ns};
use super::sample_table::Sample;
use crate::left_out::{LeftOutList, LeftOutReason};
use crate::patch::HEAD_ROOM;

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

/// A `moof` whose media data is still arriving.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Fragment {
    /// Stream offset of the box.
    pub(super) start: u64,
    /// Stream offset of the payload.
    pub(super) payload_start: u64,
    pub(super) payload: Vec<u8>,
    /// Stream offset of the file that the fragment belongs to, if the stream contains several concatenated files.
    pub(super) file_start: u64,
}

/// Event of a walk over the samples of a fragment.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// Decoding time of the next samples.
    Time(u64),
    /// Stream offset and sample description index of the next samples.
    Chunk(u64, u32),
    /// A number of identical samples.
    Samples(Sample, u32),
    /// The rest of a track fragment has no media data or is invalid. Stream offset of its first sample; [`u64::MAX`] if
    /// unknown.
    Missing(u64),
}

/// Stream offsets of the media data of a fragment.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Span {
    /// First byte behind the start of the fragment; [`u64::MAX`] if there is none.
    pub(super) first: u64,
    /// End of the last sample; 0 if there is none.
    pub(super) end: u64,
}

/// State of a walk over the samples of a fragment.
struct Walk {
    /// Stream offset behind the previous run, where a run without its own data offset begins.
    next: u64,
    /// Available media data.
    media: Range<u64>,
    /// Samples that may still follow. Every sample occupies at least one byte of media data; more samples are hostile.
    left: u64,
    /// Offset of the next sample; [`u64::MAX`] if unknown.
    at: u64,
    /// Media data of the complete samples.
    span: Span,
}

/// A track that fragments may refer to: its id, its index in the movie if it was parsed, and its defaults.
type KnownTrack = (u32, Option<usize>, SampleDefaults);

impl Fragment {
    /// Adds the samples whose data lies in `media` to the movie, and lists the data of other samples in `unindexed`.
    /// `missing` is the reason for samples without data; `None` if they are listed elsewhere.
    pub(super) fn add_to(
        &self,
        movie: &mut Movie,
        media: Range<u64>,
        unindexed: &mut LeftOutList,
        missing: Option<LeftOutReason>,
    ) {
        let mut at = 0u64;
        let end = media.end;
        self.walk(&known(movie), media, |track, event| {
            let samples = movie.tracks.get_mut(track).map(|track| &mut track.samples);
            match (event, samples) {
                (Event::Time(time), Some(samples)) => samples.seek(time),
                (Event::Time(_), None) => {}
                (Event::Chunk(offset, description), Some(samples)) => {
                    samples.begin_chunk(offset, description);
                }
                (Event::Chunk(offset, _), None) => at = offset,
                (Event::Samples(sample, count), Some(samples)) => samples.add(sample, count),
                (Event::Samples(sample, count), None) => {
                    let next = at + u64::from(sample.size) * u64::from(count);
                    unindexed.add(at..next, LeftOutReason::NoTrack);
                    at = next;
                }
                (Event::Missing(offset), _) => {
                    let range = match offset < end {
                        true => offset..end,
                        false => self.start..self.end(),
                    };
                    if let Some(reason) = missing {
                        unindexed.add(range, reason);
                    }
                }
            }
        });
        movie.limit_tables();
    }

    /// Returns the decoding time of the fragment in the main track if playback can begin here: its first sample is a
    /// keyframe, and no position in it depends on the bytes in front of it.
    pub(super) fn keyframe_time_ns(&self, movie: &Movie) -> Option<u64> {
        let main = movie.main_track()?;
        let mut keyframe_ns = None;
        for (_, traf) in children(&self.payload).filter(|&(kind, _)| kind == *b"traf") {
            let mut tfhd = Reader(find(traf, *b"tfhd")?);
            let (_, flags) = tfhd.full()?;
            if flags & TFHD_BASE != 0 {
                return None;
            }
            if tfhd.u32()? != main.id {
                continue;
            }
            let known = movie.track_defaults.iter().find(|&&(id, _)| id == main.id);
            let mut defaults = known.map(|&(_, defaults)| defaults).unwrap_or_default();
            for flag in [TFHD_DESCRIPTION, TFHD_DURATION, TFHD_SIZE] {
                if flags & flag != 0 {
                    tfhd.u32()?;
                }
            }
            if flags & TFHD_FLAGS != 0 {
                defaults.flags = tfhd.u32()?;
            }
            let mut tfdt = Reader(find(traf, *b"tfdt")?);
            let (version, _) = tfdt.full()?;
            let time = tfdt.versioned(version)?;
            let mut run = Run::parse(find(traf, *b"trun")?, self.start, self.start, defaults)?;
            let is_keyframe = run.offset >= self.start && run.next()?.0.sync;
            keyframe_ns = is_keyframe.then(|| to_ns(time, main.timescale));
        }
        keyframe_ns
    }

    /// Returns the stream offset of the end of the box.
    pub(super) fn end(&self) -> u64 {
        self.payload_start + self.payload.len() as u64
    }

    /// Returns the end of the last sample whose data lies in `media`; 0 if there is none.
    pub(super) fn reach(&self, movie: &Movie, media: Range<u64>) -> u64 {
        self.walk(&known(movie), media, |_, _| {}).end
    }

    /// Returns the range in which the media data of all samples lies, received or not. Data in front of the fragment
    /// begins at or behind `media_start`.
    pub(super) fn span(&self, movie: &Movie, media_start: u64) -> Span {
        self.walk(&known(movie), media_start..u64::MAX, |_, _| {})
    }

    fn walk(
        &self,
        tracks: &[KnownTrack],
        media: Range<u64>,
        mut event: impl FnMut(usize, Event),
    ) -> Span {
        let left = media.end.saturating_sub(media.start.min(self.start));
        let mut walk = Walk {
            next: self.start,
            media,
            left,
            at: u64::MAX,
            span: Span {
                first: u64::MAX,
                end: 0,
            },
        };
        for (kind, traf) in children(&self.payload) {
            if kind == *b"traf" {
                walk.at = u64::MAX;
                // An invalid track fragment does not invalidate the next.
                if self
                    .walk_track(traf, tracks, &mut walk, &mut event)
                    .is_none()
                {
                    event(usize::MAX, Event::Missing(walk.at));
                }
            }
        }
        walk.span
    }

    fn walk_track(
        &self,
        traf: &[u8],
        tracks: &[KnownTrack],
        walk: &mut Walk,
        event: &mut impl FnMut(usize, Event),
    ) -> Option<()> {
        let mut tfhd = Reader(find(traf, *b"tfhd")?);
        let (_, flags) = tfhd.full()?;
        let id = tfhd.u32()?;
        // The data of the next track may follow this one, so that unknown tracks must be walked, too.
        let known = tracks.iter().find(|&&(known, ..)| known == id);
        let (track, mut defaults) =
            known.map_or_else(Default::default, |&(_, track, defaults)| (track, defaults));
        let track = track.unwrap_or(usize::MAX);
        // Base data offset (section 8.8.7.1).
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
            // Unknown unless this run is complete.
            let next = std::mem::replace(&mut walk.next, u64::MAX);
            walk.at = u64::MAX;
            let mut run = Run::parse(trun, base, first.take().unwrap_or(next), defaults)?;
            if !run.has_sizes() && run.left > 0 {
                // The sample sizes are in a `trex` that was not parsed, or do not exist. Without a sample size, the
                // file size does not limit hostile sample counts.
                known?;
                run.left = 0;
            }
            if run.left == 0 {
                walk.next = run.offset;
                continue;
            }
            let mut at = run.offset;
            let in_front = at < self.start;
            if in_front && at < walk.media.start {
                return None;
            }
            walk.at = at;
            let limit = match in_front {
                true => walk.media.end.min(self.start),
                false => walk.media.end,
            };
            event(track, Event::Chunk(at, defaults.description.max(1)));
            let run_start = at;
            for (sample, count) in run {
                // Number of complete samples.
                let room = limit.checked_sub(at)?;
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
                    walk.at = at;
                    walk.span.end = walk.span.end.max(at);
                    if !in_front {
                        walk.span.first = walk.span.first.min(run_start);
                    }
                }
                (fits == u64::from(count)).then_some(())?;
            }
            walk.next = at;
        }
        Some(())
    }

    /// Converts an absolute base data offset to a stream offset.
    fn stream_offset(&self, base: u64) -> u64 {
        let own = self.start.saturating_sub(self.file_start);
        if base == own || is_shifted(base, self.start) {
            return self.start;
        }
        base.saturating_add(self.file_start)
    }

    /// Returns patches for base data offsets that point at this fragment, so that they are valid in the stored file:
    /// stream offsets and bytes. The flag says whether other absolute offsets occur.
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
            // Patches only the differing bytes, mostly a single one, whose write cannot tear.
            let (old, new) = (base.to_be_bytes(), shifted.to_be_bytes());
            let first = old.iter().zip(&new).position(|(old, new)| old != new);
            let last = old.iter().zip(&new).rposition(|(old, new)| old != new);
            if let (Some(first), Some(last)) = (first, last) {
                // The offset is behind version, flags and track id.
                let at = tfhd.as_ptr().addr() - self.payload.as_ptr().addr() + 8 + first;
                let bytes = new.get(first..=last).unwrap_or_default();
                shifts.push((self.payload_start + at as u64, bytes.to_vec()));
            }
        }
        (shifts, others)
    }
}

/// Whether `base` results from shifting the absolute offset `start`, including torn writes of the shifted value.
fn is_shifted(base: u64, start: u64) -> bool {
    let (old, new) = (
        start.to_be_bytes(),
        start.saturating_add(HEAD_ROOM).to_be_bytes(),
    );
    let base = base.to_be_bytes();
    (0..=8).any(|torn| base[..torn] == new[..torn] && base[torn..] == old[torn..])
}

/// The tracks of the movie, and those that only have defaults.
fn known(movie: &Movie) -> Vec<KnownTrack> {
    let defaults = |id| {
        let extended = movie.track_defaults.iter().find(|&&(known, _)| known == id);
        extended.map(|&(_, defaults)| defaults).unwrap_or_default()
    };
    let tracks = movie.tracks.iter().enumerate();
    let known = tracks.map(|(index, track)| (track.id, Some(index), defaults(track.id)));
    let others = movie.track_defaults.iter();
    known
        .chain(others.map(|&(id, defaults)| (id, None, defaults)))
        .collect()
}

/// Samples of a `trun` box.
struct Run<'a> {
    reader: Reader<'a>,
    flags: u32,
    left: u32,
    first_flags: Option<u32>,
    defaults: SampleDefaults,
    /// Stream offset of the first sample.
    offset: u64,
}

impl<'a> Run<'a> {
    fn parse(trun: &'a [u8], base: u64, next: u64, defaults: SampleDefaults) -> Option<Self> {
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
        Some(Self {
            reader,
            flags,
            left,
            first_flags,
            defaults,
            offset,
        })
    }

    fn has_sizes(&self) -> bool {
        self.flags & TRUN_SIZE != 0 || self.defaults.size != 0
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
    /// A number of identical samples.
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
        // Unsigned in version 0, but no file uses values above `i32::MAX`.
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
    use super::super::boxes::{write, write_full, write_full_with, write_words};
    use super::*;
    use crate::left_out::LeftOut;

    /// Creates a movie with one track (id 1, timescale 1000) whose samples last 10 units and have `size` bytes.
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
                write_words(out, &[1, 1, 10, size, NON_SYNC]);
            });
        });
        Movie::parse(moov).expect("a movie")
    }

    /// Creates a fragment at stream offset 1000 with one run.
    fn fragment(run_flags: u32, words: &[u32]) -> Fragment {
        let mut payload = Vec::new();
        write(&mut payload, *b"traf", |out| {
            write_full_with(out, *b"tfhd", 0, TFHD_BASE_IS_MOOF, |out| {
                out.extend(1u32.to_be_bytes());
            });
            write_full(out, *b"tfdt", |out| out.extend(500u32.to_be_bytes()));
            write(out, *b"trun", |out| {
                out.extend(run_flags.to_be_bytes());
                write_words(out, words);
            });
        });
        Fragment {
            start: 1000,
            payload_start: 1008,
            payload,
            file_start: 0,
        }
    }

    /// Start of the media data in front of the fragment.
    const MEDIA_START: u64 = 900;

    fn add(fragment: &Fragment, movie: &mut Movie, limit: u64) -> Vec<LeftOut> {
        let mut unindexed = LeftOutList::default();
        fragment.add_to(
            movie,
            MEDIA_START..limit,
            &mut unindexed,
            Some(LeftOutReason::Damaged),
        );
        unindexed.iter().collect()
    }

    #[track_caller]
    fn check(size: u32, fragment: &Fragment, limit: u64, reach: u64, samples: u64, end: u64) {
        let mut movie = movie(size);
        let media = MEDIA_START..limit;
        assert_eq!(fragment.reach(&movie, media.clone()), reach);
        add(fragment, &mut movie, limit);
        let found = &movie.tracks[0].samples;
        assert_eq!((found.len(), found.end()), (samples, end));
    }

    #[test]
    fn run_yields_complete_samples_only() {
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
        let before = fragment(TRUN_OFFSET, &[3, (-100i32).cast_unsigned()]);
        check(50, &before, 5000, 1000, 2, 520);
        let empty = fragment(TRUN_OFFSET, &[0, 100]);
        check(0, &empty, 5000, 0, 0, 500);
        assert_eq!(add(&empty, &mut movie(0), 5000), []);
        let too_early = fragment(TRUN_OFFSET, &[1, (-101i32).cast_unsigned()]);
        check(50, &too_early, 5000, 0, 0, 500);
    }

    #[test]
    fn hostile_sample_counts_end_at_the_media_data() {
        let endless = fragment(TRUN_OFFSET, &[u32::MAX, 100]);
        check(0, &endless, u64::MAX, 0, 0, 500);
        check(1, &endless, 2000, 2000, 900, 9500);
        // Describes the same media data a hundred times.
        let mut again = fragment(TRUN_OFFSET, &[1000, 100]);
        let once = again.payload.clone();
        (0..100).for_each(|_| again.payload.extend_from_slice(&once));
        let mut movie = movie(1);
        add(&again, &mut movie, 3000);
        assert_eq!(movie.samples(), 2100);
    }

    #[test]
    fn movie_with_too_many_samples_keeps_only_times() {
        let long = fragment(TRUN_OFFSET, &[u32::MAX, 100]);
        let mut movie = movie(1);
        let samples = super::super::movie::SAMPLE_LIMIT + 10;
        add(&long, &mut movie, 1100 + samples);
        assert!(movie.tables_dropped);
        let found = &movie.tracks[0].samples;
        assert_eq!((found.len(), found.sync_len()), (samples, 0));
        assert_eq!(found.end(), 500 + 10 * samples);
    }

    #[test]
    fn run_behind_a_torn_run_is_ignored() {
        let mut two = fragment(TRUN_OFFSET, &[3, 100]);
        two.payload.extend(fragment(0, &[1]).payload);
        let mut movie = movie(50);
        add(&two, &mut movie, 1180);
        assert_eq!(movie.samples(), 1, "not the bytes of the first run again");
    }

    #[test]
    fn first_sample_flags_mark_sync_sample() {
        let mut movie = movie(1);
        let run = fragment(TRUN_OFFSET | TRUN_FIRST_FLAGS, &[3, 0, 0]);
        add(&run, &mut movie, 5000);
        assert_eq!(movie.tracks[0].samples.sync_len(), 1);
    }
}
