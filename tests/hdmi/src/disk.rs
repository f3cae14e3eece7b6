//! Disk with a volatile cache, like drives and SD cards.
//!
//! A write is acknowledged when it is in the cache. It is on the medium only after a flush, or if it was a forced
//! write. At a power cut each sector of the cache is decided separately: it keeps its old content, or gets any content
//! that was written since the last flush. Journaling file systems rely on this contract and no more; an emulator over
//! an image file is less strict and keeps nearly everything.

use std::collections::BTreeMap;

use sortie_faults::rng::SplitMix64;

/// Bytes that a drive writes atomically.
pub const SECTOR: usize = 512;

/// Contents of one sector that are kept separately. A drive may have moved any of them to the medium, most likely the
/// newest.
const VERSIONS: usize = 8;

type Sector = [u8; SECTOR];

/// Time at which a write must be on the medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// At the next flush.
    Cached,
    /// At its acknowledgement ("force unit access").
    Forced,
}

/// Fate of the cache at a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Lost,
    Kept,
    /// Each sector is written with this probability in percent, in any of its contents.
    Torn(u64),
}

impl Fate {
    pub fn any(rng: &mut SplitMix64) -> Self {
        match rng.within(0, 4) {
            0 => Self::Lost,
            1 => Self::Kept,
            _ => Self::Torn(rng.within(5, 96)),
        }
    }
}

/// Cache at a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// Sectors that were acknowledged but not flushed.
    pub cached: usize,
    /// Cached sectors that kept their old content.
    pub lost: usize,
}

/// Request outside the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not within the disk, or not whole sectors")]
pub struct OutOfRange;

/// Disk, independent of the protocol that serves it.
#[derive(Debug)]
pub struct Disk {
    medium: Vec<u8>,
    /// By sector number; the newest content is last.
    cache: BTreeMap<usize, Vec<Sector>>,
    powered: bool,
    flushes: u64,
    /// Number of writes until the power fails automatically.
    fuse: Option<u64>,
}

impl Disk {
    /// Creates a powered disk with this content. A partial sector at the end is removed.
    #[must_use]
    pub fn new(mut medium: Vec<u8>) -> Self {
        medium.truncate(medium.len() / SECTOR * SECTOR);
        Self {
            medium,
            cache: BTreeMap::new(),
            powered: true,
            flushes: 0,
            fuse: None,
        }
    }

    #[must_use]
    pub fn size(&self) -> u64 {
        self.medium.len() as u64
    }

    /// Returns the content of the medium.
    #[must_use]
    pub fn medium(&self) -> &[u8] {
        &self.medium
    }

    #[must_use]
    pub fn powered(&self) -> bool {
        self.powered
    }

    /// Number of flushes since its creation.
    #[must_use]
    pub fn flushes(&self) -> u64 {
        self.flushes
    }

    /// Appends the content at `offset`, cache included, to `out`.
    ///
    /// # Errors
    /// [`OutOfRange`], with `out` unchanged.
    pub fn read(&self, offset: u64, length: usize, out: &mut Vec<u8>) -> Result<(), OutOfRange> {
        for number in self.sectors(offset, length)? {
            match self.cache.get(&number).and_then(|versions| versions.last()) {
                Some(cached) => out.extend_from_slice(&cached[..]),
                None => out.extend_from_slice(&self.medium[number * SECTOR..][..SECTOR]),
            }
        }
        Ok(())
    }

    /// Writes whole sectors.
    ///
    /// # Errors
    /// [`OutOfRange`], with nothing changed.
    pub fn write(
        &mut self,
        offset: u64,
        bytes: &[u8],
        durability: Durability,
    ) -> Result<(), OutOfRange> {
        let numbers = self.sectors(offset, bytes.len())?;
        for (number, sector) in numbers.zip(bytes.as_chunks::<SECTOR>().0) {
            match durability {
                Durability::Forced => {
                    self.cache.remove(&number);
                    self.store(number, sector);
                }
                Durability::Cached => {
                    let versions = self.cache.entry(number).or_default();
                    if versions.len() == VERSIONS {
                        versions.remove(0);
                    }
                    versions.push(*sector);
                }
            }
        }
        if let Some(left) = &mut self.fuse {
            *left = left.saturating_sub(1);
            self.powered = *left > 0;
        }
        Ok(())
    }

    /// Lets the power fail after this many more writes. Otherwise the cut usually meets an empty cache, because a
    /// correct program flushes it. [`Disk::cut`] decides the fate of the cache.
    pub fn fail_after(&mut self, writes: u64) {
        self.fuse = Some(writes);
    }

    /// Writes the cache to the medium.
    pub fn flush(&mut self) {
        self.flushes += 1;
        for (number, versions) in std::mem::take(&mut self.cache) {
            if let Some(newest) = versions.last() {
                self.store(number, newest);
            }
        }
    }

    /// Cuts the power: the disk stops answering.
    pub fn cut(&mut self, fate: Fate, rng: &mut SplitMix64) -> Loss {
        self.powered = false;
        self.fuse = None;
        let cache = std::mem::take(&mut self.cache);
        let mut loss = Loss {
            cached: cache.len(),
            lost: 0,
        };
        for (number, versions) in cache {
            let survivor = match fate {
                Fate::Lost => None,
                Fate::Kept => versions.last(),
                Fate::Torn(percent) if rng.chance(percent) => {
                    // The newest content is the most likely.
                    let newest = versions.len() as u64 - 1;
                    let age = if rng.chance(50) {
                        0
                    } else {
                        rng.within(0, newest + 1)
                    };
                    usize::try_from(newest - age)
                        .ok()
                        .and_then(|index| versions.get(index))
                }
                Fate::Torn(_) => None,
            };
            match survivor {
                Some(sector) => self.store(number, sector),
                None => loss.lost += 1,
            }
        }
        loss
    }

    /// Restores the power after a cut.
    pub fn power_on(&mut self) {
        self.powered = true;
    }

    fn store(&mut self, number: usize, sector: &Sector) {
        self.medium[number * SECTOR..][..SECTOR].copy_from_slice(sector);
    }

    fn sectors(&self, offset: u64, length: usize) -> Result<std::ops::Range<usize>, OutOfRange> {
        let from = usize::try_from(offset).map_err(|_| OutOfRange)?;
        let to = from.checked_add(length).ok_or(OutOfRange)?;
        if to > self.medium.len() || !from.is_multiple_of(SECTOR) || !length.is_multiple_of(SECTOR)
        {
            return Err(OutOfRange);
        }
        Ok(from / SECTOR..to / SECTOR)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const SECTORS: usize = 6;

    fn disk() -> Disk {
        Disk::new(vec![0; SECTORS * SECTOR])
    }

    fn write(disk: &mut Disk, sector: usize, value: u8, durability: Durability) {
        disk.write((sector * SECTOR) as u64, &[value; SECTOR], durability)
            .unwrap();
    }

    /// Returns the first byte of each sector, cache included.
    fn seen(disk: &Disk) -> Vec<u8> {
        let mut bytes = Vec::new();
        disk.read(0, SECTORS * SECTOR, &mut bytes).unwrap();
        bytes.into_iter().step_by(SECTOR).collect()
    }

    #[test]
    fn unflushed_writes_are_lost_or_kept() {
        for (fate, expected, lost) in [(Fate::Lost, [1, 0, 3], 2), (Fate::Kept, [2, 2, 3], 0)] {
            let mut disk = disk();
            write(&mut disk, 0, 1, Durability::Cached);
            disk.flush();
            write(&mut disk, 0, 2, Durability::Cached);
            write(&mut disk, 1, 2, Durability::Cached);
            write(&mut disk, 2, 3, Durability::Forced);
            assert_eq!(seen(&disk)[..3], [2, 2, 3]);
            let loss = disk.cut(fate, &mut SplitMix64::new(1));
            assert_eq!(loss, Loss { cached: 2, lost });
            assert_eq!(seen(&disk)[..3], expected);
        }
    }

    #[test]
    fn forced_write_is_not_undone_by_older_write() {
        let mut disk = disk();
        write(&mut disk, 0, 1, Durability::Cached);
        write(&mut disk, 0, 2, Durability::Forced);
        disk.cut(Fate::Kept, &mut SplitMix64::new(1));
        assert_eq!(seen(&disk)[0], 2);
    }

    #[test]
    fn power_fails_after_given_writes_with_last_in_cache() {
        let mut disk = disk();
        disk.fail_after(2);
        for (sector, on) in [(0, true), (1, false)] {
            write(&mut disk, sector, 1, Durability::Cached);
            assert_eq!(disk.powered(), on);
        }
        let loss = disk.cut(Fate::Kept, &mut SplitMix64::new(1));
        assert_eq!(loss.cached, 2);
        disk.power_on();
        write(&mut disk, 2, 1, Durability::Cached);
        assert!(disk.powered());
    }

    #[test]
    fn torn_cache_gives_every_outcome() {
        let mut outcomes = std::collections::BTreeSet::new();
        for seed in 0..500 {
            let mut disk = disk();
            for value in [1, 2, 3] {
                write(&mut disk, 0, value, Durability::Cached);
            }
            write(&mut disk, 1, 1, Durability::Cached);
            disk.cut(Fate::Torn(50), &mut SplitMix64::new(seed));
            let seen = seen(&disk);
            outcomes.insert((seen[0], seen[1]));
        }
        let all = (0..=3).flat_map(|first| [(first, 0), (first, 1)]);
        assert_eq!(outcomes, all.collect());
    }

    #[test]
    fn out_of_range_request_is_rejected_without_change() {
        let mut disk = disk();
        let end = disk.size();
        let mut out = Vec::new();
        for (offset, length) in [
            (end, SECTOR),
            (end - 512, 2 * SECTOR),
            (1, SECTOR),
            (0, 100),
            (u64::MAX - 511, SECTOR),
        ] {
            assert_eq!(disk.read(offset, length, &mut out), Err(OutOfRange));
            let written = disk.write(offset, &vec![9; length], Durability::Forced);
            assert_eq!(written, Err(OutOfRange));
        }
        assert!(out.is_empty());
        assert_eq!(seen(&disk), [0; SECTORS]);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Write(usize, u8, Durability),
        Flush,
        Cut(Fate),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let durability = prop_oneof![3 => Just(Durability::Cached), 1 => Just(Durability::Forced)];
        let fate = prop_oneof![
            Just(Fate::Lost),
            Just(Fate::Kept),
            (0..=100_u64).prop_map(Fate::Torn)
        ];
        let step = prop_oneof![
            8 => (0..SECTORS, 1..=255_u8, durability).prop_map(|(s, v, d)| Step::Write(s, v, d)),
            2 => Just(Step::Flush),
            1 => fate.prop_map(Step::Cut),
        ];
        vec(step, 0..60)
    }

    proptest! {
        /// Before a cut the computer reads what it wrote. After it, each sector holds its durable content or a later
        /// one, and nothing else.
        #[test]
        fn cut_leaves_durable_or_newer_content(steps in steps(), seed: u64) {
            let mut rng = SplitMix64::new(seed);
            let mut disk = disk();
            let mut newest = [0_u8; SECTORS];
            let mut possible: [Vec<u8>; SECTORS] = std::array::from_fn(|_| vec![0]);
            for step in steps {
                match step {
                    Step::Write(sector, value, durability) => {
                        write(&mut disk, sector, value, durability);
                        newest[sector] = value;
                        if durability == Durability::Forced {
                            possible[sector].clear();
                        }
                        possible[sector].push(value);
                    }
                    Step::Flush => {
                        disk.flush();
                        possible = newest.map(|value| vec![value]);
                    }
                    Step::Cut(fate) => {
                        disk.cut(fate, &mut rng);
                        let found = seen(&disk);
                        for (sector, value) in found.iter().enumerate() {
                            prop_assert!(possible[sector].contains(value), "sector {sector}: {value}");
                            newest[sector] = *value;
                            possible[sector] = vec![*value];
                        }
                        disk.power_on();
                    }
                }
                prop_assert_eq!(&seen(&disk)[..], &newest[..]);
            }
        }
    }
}
