//! Test streams and their expected files.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use sortie_media::{HEAD_ROOM, Indexer, Patch};

use crate::rng::{SplitMix64, mix};
use crate::webm;

/// A stream with position-dependent bytes.
#[derive(Clone, Debug)]
pub struct Source {
    bytes: Bytes,
    patches: Vec<Patch>,
    finished: Bytes,
    /// Length of the stored object that finishing keeps.
    keep: u64,
    extension: &'static str,
    duration_ms: u64,
}

impl Source {
    /// `len` bytes without a container, each derived from its position and the seed.
    ///
    /// The server keeps such an upload byte by byte, as `failed`.
    pub fn pattern(seed: u64, len: usize) -> Self {
        let bytes: Vec<u8> = (0..len.div_ceil(8) as u64)
            .flat_map(|word| {
                mix(seed ^ (word + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)).to_le_bytes()
            })
            .take(len)
            .collect();
        let bytes = Bytes::from(bytes);
        Self {
            finished: bytes.clone(),
            keep: HEAD_ROOM + len as u64,
            bytes,
            patches: Vec::new(),
            extension: "bin",
            duration_ms: 0,
        }
    }

    /// A recording of Chromium, repeated to at least `len` bytes; always whole frames.
    pub fn webm(len: usize) -> Result<Self> {
        Self::recording(webm::looped(webm::SAMPLE, len)?)
    }

    /// A source from a recording, which must be playable.
    pub fn recording(bytes: Vec<u8>) -> Result<Self> {
        let mut indexer = Indexer::new();
        let mut patches = Vec::new();
        for chunk in bytes.chunks(64 * 1024) {
            indexer.push(chunk);
            patches.extend(std::iter::from_fn(|| indexer.poll_patch()));
        }
        let finish = indexer.finish().context("the sample is not playable")?;
        let mut finished = vec![0; usize::try_from(HEAD_ROOM)?];
        finished.extend_from_slice(&bytes);
        for patch in &patches {
            write(&mut finished, patch)?;
        }
        finished.truncate(usize::try_from(finish.keep)?);
        finished.extend_from_slice(&finish.append);
        for patch in &finish.patches {
            write(&mut finished, patch)?;
        }
        // A kill during the finish may leave some of these patches to the next attempt.
        let late = finish.patches.into_iter();
        patches.extend(late.filter(|patch| patch.position >= HEAD_ROOM));
        Ok(Self {
            bytes: bytes.into(),
            patches,
            keep: finish.keep,
            finished: finished.into(),
            extension: finish.container.extension(),
            duration_ms: finish.duration_ms,
        })
    }

    /// Returns a random source of up to `most` bytes.
    pub fn random(rng: &mut SplitMix64, most: u64) -> Result<Self> {
        let seed = rng.next_u64();
        Ok(match rng.within(0, 10) {
            // Small sources finish often, so that kills also hit the finish.
            0..=3 => Self::webm(1)?,
            4..=6 => Self::webm(usize::try_from(rng.size(100_000, most))?)?,
            _ => Self::pattern(seed, usize::try_from(rng.size(1000, most))?),
        })
    }

    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Returns the same stream, truncated to `len` bytes; only for sending.
    pub fn cut(mut self, len: usize) -> Result<Self> {
        ensure!(len <= self.bytes.len(), "the source is shorter");
        self.bytes.truncate(len);
        Ok(self)
    }

    /// Always `false`, because every source has bytes.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns the extension of the finished object's name.
    pub fn extension(&self) -> &'static str {
        self.extension
    }

    /// Duration of the finished object; 0 if it is no recording.
    pub fn duration_ms(&self) -> u64 {
        self.duration_ms
    }

    /// Bytes of the finished object.
    pub fn finished(&self) -> &Bytes {
        &self.finished
    }

    /// Checks a growing object: a prefix of the stream of at least `acknowledged` bytes. Only positions that finishing
    /// patches may hold the patch instead. Returns the number of stored stream bytes.
    pub fn check_growing(&self, object: &[u8], acknowledged: u64) -> Result<u64, Damage> {
        let room = usize::try_from(HEAD_ROOM).unwrap_or(usize::MAX);
        let stored = object.get(room..).unwrap_or_default();
        let have = stored.len() as u64;
        if have < acknowledged {
            return Err(Damage::Lost { have, acknowledged });
        }
        let Some(sent) = self.bytes.get(..stored.len()) else {
            return Err(Damage::TooLong {
                have,
                sent: self.len(),
            });
        };
        self.check_range(sent, stored)?;
        Ok(have)
    }

    /// Checks a complete object whose finish was interrupted: truncated to the kept length, with or without the index.
    pub fn check_finishing(&self, object: &[u8]) -> Result<(), Damage> {
        let keep = usize::try_from(self.keep).unwrap_or(usize::MAX);
        match object.get(..keep) {
            Some(kept) => self.check_growing(kept, 0).map(|_| ()),
            None => Err(Damage::Lost {
                have: object.len() as u64,
                acknowledged: self.keep,
            }),
        }
    }

    fn check_range(&self, sent: &[u8], stored: &[u8]) -> Result<(), Damage> {
        let mut at = 0;
        while let Some(off) = first_difference(&sent[at..], &stored[at..]) {
            at += off;
            let position = HEAD_ROOM + at as u64;
            let patch = self.patches.iter().find(|patch| {
                (patch.position..patch.position + patch.bytes.len() as u64).contains(&position)
            });
            let patched = patch.and_then(|patch| {
                let from = usize::try_from(patch.position - HEAD_ROOM).ok()?;
                let to = from + patch.bytes.len();
                (stored.get(from..to)? == patch.bytes).then_some(to)
            });
            match patched {
                Some(to) => at = to,
                None => {
                    let rest = &stored[at..stored.len().min(at + 512)];
                    return Err(Damage::Differs {
                        at: at as u64,
                        zeros: rest.iter().all(|byte| *byte == 0),
                    });
                }
            }
        }
        Ok(())
    }

    /// Checks a finished object.
    pub fn check_finished(&self, object: &[u8]) -> Result<(), Damage> {
        if object == self.finished {
            return Ok(());
        }
        let shorter = object.len().min(self.finished.len());
        match first_difference(&object[..shorter], &self.finished[..shorter]) {
            Some(at) => Err(Damage::Differs {
                at: at as u64,
                zeros: object[at..].iter().take(512).all(|byte| *byte == 0),
            }),
            None if object.len() < self.finished.len() => Err(Damage::Lost {
                have: object.len() as u64,
                acknowledged: self.finished.len() as u64,
            }),
            None => Err(Damage::TooLong {
                have: object.len() as u64,
                sent: self.finished.len() as u64,
            }),
        }
    }
}

/// Damage of stored bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Fewer bytes are stored than acknowledged.
    Lost { have: u64, acknowledged: u64 },
    /// More bytes are stored than sent.
    TooLong { have: u64, sent: u64 },
    /// Different bytes are stored than sent.
    Differs {
        /// Position of the first difference.
        at: u64,
        /// Whether the stored bytes are zeros, as of a hole.
        zeros: bool,
    },
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lost { have, acknowledged } => {
                write!(
                    f,
                    "{acknowledged} bytes were acknowledged, {have} are there"
                )
            }
            Self::TooLong { have, sent } => write!(f, "{have} bytes are there, {sent} were sent"),
            Self::Differs { at, zeros: true } => {
                write!(f, "zeros at {at} instead of what was sent")
            }
            Self::Differs { at, zeros: false } => {
                write!(f, "other bytes at {at} than what was sent")
            }
        }
    }
}

impl std::error::Error for Damage {}

/// First difference of two slices of the same length.
fn first_difference(one: &[u8], two: &[u8]) -> Option<usize> {
    const BLOCK: usize = 64 * 1024;
    let block = one
        .chunks(BLOCK)
        .zip(two.chunks(BLOCK))
        .position(|(one, two)| one != two)?;
    let at = block * BLOCK;
    let off = one[at..]
        .iter()
        .zip(&two[at..])
        .position(|(one, two)| one != two);
    off.map(|off| at + off)
}

fn write(file: &mut [u8], patch: &Patch) -> Result<()> {
    let at = usize::try_from(patch.position)?;
    let to = at + patch.bytes.len();
    ensure!(to <= file.len(), "a patch reaches beyond the file");
    file[at..to].copy_from_slice(&patch.bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn growing(source: &Source, len: usize) -> Vec<u8> {
        let mut object = vec![0; 4096];
        object.extend_from_slice(&source.bytes[..len]);
        object
    }

    #[track_caller]
    fn check(doctor: impl Fn(&mut Vec<u8>), expected: Result<u64, Damage>) {
        for source in [
            Source::pattern(3, 500_000),
            Source::webm(500_000).expect("the sample"),
        ] {
            let mut object = growing(&source, 300_000);
            doctor(&mut object);
            assert_eq!(source.check_growing(&object, 200_000), expected);
        }
    }

    #[test]
    fn prefix_of_the_stream_is_accepted() {
        check(|_| {}, Ok(300_000));
        check(|object| object.truncate(4096 + 200_000), Ok(200_000));
    }

    #[test]
    fn lost_bytes_are_reported() {
        let lost = |have| {
            Err(Damage::Lost {
                have,
                acknowledged: 200_000,
            })
        };
        check(|object| object.truncate(4096 + 199_999), lost(199_999));
        check(Vec::clear, lost(0));
    }

    #[test]
    fn hole_and_torn_tail_beyond_the_offset_are_reported() {
        let zeros = |at| Err(Damage::Differs { at, zeros: true });
        check(|object| object[4096 + 250_017..].fill(0), zeros(250_017));
        check(
            |object| object[4096 + 100_000..][..512].fill(0),
            zeros(100_000),
        );
    }

    #[test]
    fn excess_bytes_are_reported() {
        let source = Source::pattern(3, 1000);
        let mut object = growing(&source, 1000);
        object.push(0);
        let too_long = Damage::TooLong {
            have: 1001,
            sent: 1000,
        };
        assert_eq!(source.check_growing(&object, 0), Err(too_long));
    }

    #[test]
    fn patch_is_accepted_at_its_position_only() {
        let source = Source::webm(500_000).expect("the sample");
        let mut object = growing(&source, 300_000);
        let patch = source
            .patches
            .iter()
            .find(|patch| patch.position > 100_000)
            .expect("clusters get their sizes");
        let at = usize::try_from(patch.position).expect("a small file");
        object[at..at + patch.bytes.len()].copy_from_slice(&patch.bytes);
        assert_eq!(source.check_growing(&object, 0), Ok(300_000));
        object[at + patch.bytes.len() - 1] ^= 1;
        assert!(source.check_growing(&object, 0).is_err(), "a torn patch");
    }

    #[test]
    fn finished_file_is_compared_byte_by_byte() {
        let source = Source::webm(1).expect("the sample");
        let mut object = source.finished.to_vec();
        assert_eq!(source.check_finished(&object), Ok(()));
        object[100] ^= 1;
        assert!(source.check_finished(&object).is_err());
        object[100] ^= 1;
        object.pop();
        assert!(source.check_finished(&object).is_err());
    }

    #[test]
    fn single_changed_byte_is_reported() {
        check(
            |object| object[4096 + 123_456] ^= 1,
            Err(Damage::Differs {
                at: 123_456,
                zeros: false,
            }),
        );
    }
}
