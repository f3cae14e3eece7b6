//! Report of a sweep.

/// Kind of an orphan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SweepKind {
    /// Finished object without a row.
    Object,
    /// Growing object or staged data without a row, or left after a finish.
    Growing,
    /// Multipart upload that will not be completed.
    Upload,
    /// Temporary file left by a crash.
    Temporary,
    /// Ready recording without an object.
    Row,
}

impl SweepKind {
    /// All kinds, in the order of a report.
    pub const ALL: [Self; 5] = [
        Self::Object,
        Self::Growing,
        Self::Upload,
        Self::Temporary,
        Self::Row,
    ];

    /// Returns the name for reports.
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

/// Number and total size of orphans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepTally {
    /// Number of orphans of a kind.
    pub count: u64,
    /// Total size in bytes. Stores do not report the size of multipart uploads.
    pub size_bytes: u64,
}

impl SweepTally {
    pub(super) fn add(&mut self, size_bytes: u64) {
        self.count += 1;
        self.size_bytes = self.size_bytes.saturating_add(size_bytes);
    }
}

/// Outcome for an orphan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SweepOutcome {
    /// Removed, or marked as failed.
    Changed,
    /// Would have been removed without the dry run.
    WouldChange,
    /// No longer an orphan when the sweep reached it.
    Spared,
    /// Could not be removed, with the reason.
    Failed(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
/// An orphan and its outcome.
pub struct SweepFinding {
    /// Kind of the orphan found.
    pub kind: SweepKind,
    /// Path in the storage; the id for a row.
    pub name: String,
    /// Bytes, if the storage reports them.
    pub size_bytes: u64,
    /// Action taken on the orphan.
    pub outcome: SweepOutcome,
}

/// Findings of a sweep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    tallies: [SweepTally; SweepKind::ALL.len()],
    /// Orphans that could not be removed.
    pub failed: u64,
    /// Objects without a row, but so young that one may follow.
    pub young: SweepTally,
    /// Objects with other names, which are kept.
    pub foreign: SweepTally,
    /// Objects of recordings, growing or finished.
    pub(super) recordings_seen: u64,
}

impl SweepReport {
    /// Returns the findings of one kind.
    pub fn of(&self, kind: SweepKind) -> SweepTally {
        self.tallies[kind as usize]
    }

    /// Returns the sum of all kinds.
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
