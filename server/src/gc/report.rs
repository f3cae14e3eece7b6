//! What a sweep has found.

/// What an orphan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SweepKind {
    /// A finished object without a row.
    Object,
    /// A growing file, or what is staged of a recording, without a row or left over.
    Growing,
    /// A multipart upload that nobody will complete.
    Upload,
    /// A file that only a crash can leave behind.
    Temporary,
    /// A recording that is ready and has no object.
    Row,
}

impl SweepKind {
    /// All of them, in the order of a report.
    pub const ALL: [Self; 5] = [
        Self::Object,
        Self::Growing,
        Self::Upload,
        Self::Temporary,
        Self::Row,
    ];

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Object => "finished files without a recording",
            Self::Growing => "unfinished files without a recording",
            Self::Upload => "abandoned multipart uploads",
            Self::Temporary => "temporary files",
            Self::Row => "recordings whose file is gone",
        }
    }
}

/// How many, and how much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepTally {
    /// How many.
    pub count: u64,
    /// Their size together, in bytes. Of a multipart upload the store does not tell it.
    pub size_bytes: u64,
}

impl SweepTally {
    pub(super) fn add(&mut self, size_bytes: u64) {
        self.count += 1;
        self.size_bytes = self.size_bytes.saturating_add(size_bytes);
    }
}

/// What was done about an orphan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SweepOutcome {
    /// It was removed, or marked as failed.
    Changed,
    /// It would have been, but for the dry run.
    WouldChange,
    /// It was none any more when it came to it.
    Spared,
    /// It could not be removed, and why.
    Failed(String),
}

/// One orphan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepFinding {
    /// What it is.
    pub kind: SweepKind,
    /// Its path in the storage; of a row its id.
    pub name: String,
    /// How large it is, in bytes, as far as the storage says.
    pub size_bytes: u64,
    /// What was done about it.
    pub outcome: SweepOutcome,
}

/// What a sweep has found, and done or would have done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    tallies: [SweepTally; SweepKind::ALL.len()],
    /// Could not be removed.
    pub failed: u64,
    /// Without a row, but so young that it may be about to have one.
    pub young: SweepTally,
    /// Not made by this program, as far as names tell; left alone.
    pub foreign: SweepTally,
    /// Objects of recordings, growing or finished.
    pub(super) recordings_seen: u64,
}

impl SweepReport {
    /// What was found of one kind.
    pub fn of(&self, kind: SweepKind) -> SweepTally {
        self.tallies[kind as usize]
    }

    /// All orphans together.
    pub fn found(&self) -> SweepTally {
        let mut all = SweepTally::default();
        for tally in &self.tallies {
            all.count += tally.count;
            all.size_bytes = all.size_bytes.saturating_add(tally.size_bytes);
        }
        all
    }

    pub(super) fn tally(&mut self, kind: SweepKind) -> &mut SweepTally {
        &mut self.tallies[kind as usize]
    }
}
