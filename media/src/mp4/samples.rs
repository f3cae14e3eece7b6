//! The samples of one track, as compactly as the tables of a finished file hold them.

use super::boxes::{write, write_full};
use crate::rhythm::Rhythm;

/// One sample.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) size: u32,
    /// In units of the track's timescale.
    pub(super) duration: u32,
    /// Presentation less decoding time.
    pub(super) offset: i32,
    pub(super) sync: bool,
}

/// Growing sample tables (ISO/IEC 14496-12, sections 8.6 and 8.7).
#[derive(Debug)]
pub(super) struct Samples {
    count: usize,
    /// Whether the tables were given up: only times are kept.
    tableless: bool,
    pub(super) rhythm: Rhythm,
    sizes: Vec<u32>,
    /// Runs: how many samples, how long each.
    durations: Vec<(u32, u32)>,
    offsets: Vec<(u32, i32)>,
    /// Numbers of the samples one can start at, from 1.
    sync: Vec<u32>,
    /// Where each chunk begins in the stream, and its samples.
    chunks: Vec<(u64, u32)>,
    /// Decoding time of the first sample, and the end of the last.
    first: Option<u64>,
    end: u64,
}

impl Samples {
    /// No samples, in a track with so many units to a second.
    pub(super) fn new(timescale: u32) -> Self {
        Self {
            count: 0,
            tableless: false,
            rhythm: Rhythm::new(u64::from(timescale)),
            sizes: Vec::new(),
            durations: Vec::new(),
            offsets: Vec::new(),
            sync: Vec::new(),
            chunks: Vec::new(),
            first: None,
            end: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Keeps only times from now on, and frees the tables.
    pub(super) fn give_up_tables(&mut self) {
        self.tableless = true;
        self.sizes = Vec::new();
        self.durations = Vec::new();
        self.offsets = Vec::new();
        self.sync = Vec::new();
        self.chunks = Vec::new();
    }

    pub(super) fn sync_len(&self) -> usize {
        self.sync.len()
    }

    /// Decoding time of the first sample.
    pub(super) fn first(&self) -> u64 {
        self.first.unwrap_or(0)
    }

    /// Decoding time at which the last sample ends.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// The next samples belong to a fragment that begins at `time`.
    pub(super) fn seek(&mut self, time: u64) {
        if self.first.is_none() {
            (self.first, self.end) = (Some(time), time);
        } else if let Ok(gap) = u32::try_from(time.saturating_sub(self.end))
            && gap > 0
        {
            // Tables know no gaps: the last sample before it lasts longer.
            if let Some((count, duration)) = self.durations.pop() {
                if count > 1 {
                    self.durations.push((count - 1, duration));
                }
                self.durations.push((1, duration.saturating_add(gap)));
            }
            self.end = time;
        }
    }

    /// The next samples lie at `offset` in the stream.
    pub(super) fn begin_chunk(&mut self, offset: u64) {
        if self.tableless {
            return;
        }
        // Empty ones must not pile up.
        self.chunks.pop_if(|&mut (_, count)| count == 0);
        self.chunks.push((offset, 0));
    }

    pub(super) fn add(&mut self, sample: Sample) {
        self.count += 1;
        self.first.get_or_insert(0);
        self.rhythm.frame(self.end, 1, sample.sync);
        self.end = self.end.saturating_add(u64::from(sample.duration));
        if self.tableless {
            return;
        }
        self.sizes.push(sample.size);
        run(&mut self.durations, sample.duration);
        run(&mut self.offsets, sample.offset);
        if sample.sync {
            self.sync
                .push(u32::try_from(self.sizes.len()).unwrap_or(u32::MAX));
        }
        if let Some((_, count)) = self.chunks.last_mut() {
            *count += 1;
        }
    }

    /// The tables behind `stsd`; `shift` is what lies in front of the stream in the file.
    pub(super) fn write(&self, out: &mut Vec<u8>, shift: u64) {
        write_runs(out, *b"stts", &self.durations, |duration| {
            duration.to_be_bytes()
        });
        if self.offsets.iter().any(|&(_, offset)| offset != 0) {
            let start = out.len();
            write_runs(out, *b"ctts", &self.offsets, |offset| offset.to_be_bytes());
            // Version 1: signed.
            out[start + 8] = 1;
        }
        if self.sync.len() != self.sizes.len() {
            write_full(out, *b"stss", |out| words(out, &self.sync));
        }
        write_full(out, *b"stsz", |out| {
            out.extend(0u32.to_be_bytes());
            words(out, &self.sizes);
        });
        let chunks: Vec<_> = self
            .chunks
            .iter()
            .filter(|&&(_, count)| count > 0)
            .collect();
        write_full(out, *b"stsc", |out| {
            let at = out.len();
            out.extend([0; 4]);
            let (mut entries, mut previous) = (0u32, 0);
            for (number, &&(_, count)) in (1u32..).zip(&chunks) {
                if count != previous {
                    [number, count, 1]
                        .iter()
                        .for_each(|word| out.extend(word.to_be_bytes()));
                    (entries, previous) = (entries + 1, count);
                }
            }
            out[at..at + 4].copy_from_slice(&entries.to_be_bytes());
        });
        let count = u32::try_from(chunks.len())
            .unwrap_or(u32::MAX)
            .to_be_bytes();
        let offsets: Vec<u64> = chunks
            .iter()
            .map(|(offset, _)| offset.saturating_add(shift))
            .collect();
        let short: Result<Vec<u32>, _> = offsets.iter().map(|&offset| offset.try_into()).collect();
        match short {
            Ok(offsets) => write_full(out, *b"stco", |out| words(out, &offsets)),
            Err(_) => write(out, *b"co64", |out| {
                out.extend([0; 4]);
                out.extend(count);
                offsets
                    .iter()
                    .for_each(|offset| out.extend(offset.to_be_bytes()));
            }),
        }
    }
}

/// Appends a value to a run-length encoded list.
fn run<T: PartialEq>(runs: &mut Vec<(u32, T)>, value: T) {
    match runs.last_mut() {
        Some((count, last)) if *last == value => *count += 1,
        _ => runs.push((1, value)),
    }
}

fn write_runs<T: Copy>(
    out: &mut Vec<u8>,
    kind: [u8; 4],
    runs: &[(u32, T)],
    bytes: fn(T) -> [u8; 4],
) {
    write_full(out, kind, |out| {
        out.extend(u32::try_from(runs.len()).unwrap_or(u32::MAX).to_be_bytes());
        for &(count, value) in runs {
            out.extend(count.to_be_bytes());
            out.extend(bytes(value));
        }
    });
}

/// A count and that many words.
fn words(out: &mut Vec<u8>, words: &[u32]) {
    out.extend(u32::try_from(words.len()).unwrap_or(u32::MAX).to_be_bytes());
    words.iter().for_each(|word| out.extend(word.to_be_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_makes_the_last_sample_longer() {
        let mut samples = Samples::new(1000);
        let sample = Sample {
            size: 1,
            duration: 10,
            offset: 0,
            sync: true,
        };
        samples.seek(100);
        samples.begin_chunk(0);
        (0..3).for_each(|_| samples.add(sample));
        samples.seek(150);
        samples.add(sample);
        assert_eq!((samples.first(), samples.end()), (100, 160));
        assert_eq!(samples.durations, [(2, 10), (1, 30), (1, 10)]);
        samples.seek(10);
        assert_eq!(samples.end(), 160, "time does not go back");
    }
}
