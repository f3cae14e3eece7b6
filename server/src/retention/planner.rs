//! Deletion planner: decides row by row.

use std::collections::{BTreeSet, HashMap};

use crate::db::Candidate;
use sortie_api::{Amount, DeletionReason};

use crate::storage::Disk;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Disk thresholds: above the high mark recordings are deleted until the low mark is reached, the oldest of the user
/// with the most bytes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marks {
    /// Percent, 1 to 99, above `low`.
    pub(crate) high: u8,
    /// Percent, 0 to 98.
    pub(crate) low: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Largest age in days; 0: no limit.
    pub(crate) days: u32,
    pub(crate) marks: Option<Marks>,
}

/// Verdict about a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Delete(DeletionReason),
    /// Keep the row; a younger one may have to be deleted.
    Keep,
    /// Keep the row and all younger ones.
    Done,
}

/// Decides row by row: first the trash, in the order in which it expires, by [`Planner::by_expiry`]; then all rows, oldest
/// first, by [`Planner::by_age`]; then the rest of the trash, and after it the rows of the largest user of [`Owners`], oldest
/// first, by [`Planner::by_usage`].
///
/// A row that awaits forwarding is never deleted. [`Planner::unforwarded`] counts those that would be deleted otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Planner {
    /// Rows created before this Unix time in ms are too old.
    keep_from_ms: i64,
    /// Recordings whose time in the trash ends until this Unix time in ms are deleted.
    expired_ms: i64,
    /// Bytes still to be freed.
    needed_bytes: u64,
    /// Rows that are kept only because they await forwarding.
    unforwarded: Amount,
}

impl Planner {
    /// Begins a plan. `disk` counts only if the rules have thresholds.
    pub(crate) fn new(rules: Rules, now_ms: i64, disk: Option<Disk>) -> Self {
        let keep_from_ms = match rules.days {
            0 => i64::MIN,
            days => now_ms.saturating_sub(i64::from(days) * DAY_MS),
        };
        let needed_bytes = match (rules.marks, disk) {
            (Some(marks), Some(disk)) if disk.used_bytes > disk.bytes_at(marks.high) => {
                disk.used_bytes - disk.bytes_at(marks.low)
            }
            _ => 0,
        };
        Self {
            keep_from_ms,
            expired_ms: now_ms,
            needed_bytes,
            unforwarded: Amount::default(),
        }
    }

    /// Decides whether the next row of the trash is deleted because its time is over, which also frees space.
    pub(crate) fn by_expiry(&mut self, row: &Candidate) -> Verdict {
        if row.expires_ms.is_none_or(|ms| ms > self.expired_ms) {
            return Verdict::Done;
        }
        self.delete(row, DeletionReason::Trash)
    }

    /// Whether the rules can delete anything outside of the trash.
    pub(crate) fn is_idle(&self) -> bool {
        self.needed_bytes == 0 && self.keep_from_ms == i64::MIN
    }

    /// Returns the creation time from which on rows are too young to be deleted for their age.
    pub(crate) fn keep_from_ms(&self) -> i64 {
        self.keep_from_ms
    }

    /// Decides whether the next row is deleted for its age, which also frees space.
    pub(crate) fn by_age(&mut self, row: &Candidate) -> Verdict {
        if row.created_ms >= self.keep_from_ms {
            return Verdict::Done;
        }
        self.delete(row, DeletionReason::Age)
    }

    /// Decides whether the next row of the trash or of the largest user is deleted to free space.
    pub(crate) fn by_usage(&mut self, row: &Candidate) -> Verdict {
        if self.needed_bytes == 0 {
            return Verdict::Done;
        }
        // An empty recording frees no space.
        if row.size_bytes == 0 {
            return Verdict::Keep;
        }
        self.delete(row, DeletionReason::DiskFull)
    }

    /// Deletes a row that a rule names, unless it must be kept.
    fn delete(&mut self, row: &Candidate, reason: DeletionReason) -> Verdict {
        if !row.is_deletable() {
            return Verdict::Keep;
        }
        if row.awaits_forwarding {
            self.unforwarded.count += 1;
            self.unforwarded.bytes += row.size_bytes;
            return Verdict::Keep;
        }
        self.needed_bytes = self.needed_bytes.saturating_sub(row.size_bytes);
        Verdict::Delete(reason)
    }

    /// Returns the rows so far that are kept only because they await forwarding.
    pub(crate) fn unforwarded(&self) -> Amount {
        self.unforwarded
    }

    /// Reverts a failed deletion: its bytes must still be freed.
    pub(crate) fn take_back(&mut self, needed_bytes: u64) {
        self.needed_bytes = self.needed_bytes.max(needed_bytes);
    }

    /// Returns the bytes still to be freed.
    pub(crate) fn needed_bytes(&self) -> u64 {
        self.needed_bytes
    }
}

/// Users by the bytes of all their recordings, protected and growing ones included: the threshold never deletes
/// recordings of users who have less than the largest user.
#[derive(Clone, Debug, Default)]
pub(crate) struct Owners {
    by_bytes: BTreeSet<(u64, String)>,
    bytes: HashMap<String, u64>,
}

impl Owners {
    pub(crate) fn new(owners: impl IntoIterator<Item = (String, u64)>) -> Self {
        let bytes: HashMap<_, _> = owners.into_iter().collect();
        let by_bytes = bytes
            .iter()
            .map(|(user_id, bytes)| (*bytes, user_id.clone()))
            .collect();
        Self { by_bytes, bytes }
    }

    /// Returns the user whose next recording is considered.
    pub(crate) fn largest(&self) -> Option<&str> {
        self.by_bytes.last().map(|(_, user_id)| user_id.as_str())
    }

    /// Counts a recording of this user as deleted.
    pub(crate) fn freed(&mut self, user_id: &str, bytes: u64) {
        if let Some(left) = self.bytes.get_mut(user_id) {
            self.by_bytes.remove(&(*left, user_id.to_owned()));
            *left = left.saturating_sub(bytes);
            self.by_bytes.insert((*left, user_id.to_owned()));
        }
    }

    /// Removes a user without further candidates.
    pub(crate) fn remove(&mut self, user_id: &str) {
        if let Some(left) = self.bytes.remove(user_id) {
            self.by_bytes.remove(&(left, user_id.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use sortie_api::RecordingStatus;

    use super::*;

    const NOW_MS: i64 = 1_795_253_400_000;

    fn candidate() -> impl Strategy<Value = Candidate> {
        let status = prop_oneof![
            1 => Just(RecordingStatus::Recording),
            1 => Just(RecordingStatus::Uploading),
            1 => Just(RecordingStatus::Processing),
            8 => Just(RecordingStatus::Ready),
            1 => Just(RecordingStatus::Failed),
        ];
        let flag = prop::bool::weighted(0.1);
        let unforwarded = prop::bool::weighted(0.3);
        let owner = prop_oneof![3 => Just("ann"), 2 => Just("bob"), 1 => Just("cleo")];
        (
            0..40 * DAY_MS,
            0_u64..1000,
            status,
            flag,
            flag,
            unforwarded,
            owner,
        )
            .prop_map(
                |(age_ms, size_bytes, status, protected, deleting, unforwarded, owner)| Candidate {
                    id: String::new(),
                    user_id: owner.to_owned(),
                    created_ms: NOW_MS - age_ms,
                    size_bytes,
                    status,
                    protected,
                    deleting,
                    awaits_forwarding: unforwarded,
                    expires_ms: None,
                },
            )
    }

    /// Oldest first, as the planner expects; the id is the position.
    fn rows() -> impl Strategy<Value = Vec<Candidate>> {
        prop::collection::vec(candidate(), 0..40).prop_map(|mut rows| {
            rows.sort_by_key(|row| row.created_ms);
            for (at, row) in rows.iter_mut().enumerate() {
                row.id = at.to_string();
            }
            rows
        })
    }

    /// Wall times, wrong ones included.
    fn clock() -> impl Strategy<Value = i64> {
        prop_oneof![
            3 => (-400 * DAY_MS..400 * DAY_MS).prop_map(|jump_ms| NOW_MS + jump_ms),
            1 => any::<i64>(),
        ]
    }

    fn rules() -> impl Strategy<Value = Rules> {
        let marks = prop::option::of(
            (1_u8..100).prop_flat_map(|high| (0..high).prop_map(move |low| Marks { high, low })),
        );
        (0_u32..30, marks).prop_map(|(days, marks)| Rules { days, marks })
    }

    fn disk() -> impl Strategy<Value = Option<Disk>> {
        let disk = (0_u64..20_000, 0_u64..20_000).prop_map(|(used_bytes, free_bytes)| Disk {
            used_bytes,
            free_bytes,
        });
        prop::option::of(disk)
    }

    fn plan(rows: &[Candidate], rules: Rules, disk: Option<Disk>) -> Vec<(usize, DeletionReason)> {
        plan_with(&mut Planner::new(rules, NOW_MS, disk), rows)
    }

    fn plan_with(planner: &mut Planner, rows: &[Candidate]) -> Vec<(usize, DeletionReason)> {
        let mut list = Vec::new();
        let mut owners = Owners::new(bytes_by_owner(rows));
        for (at, row) in rows.iter().enumerate() {
            match planner.by_age(row) {
                Verdict::Delete(reason) => {
                    list.push((at, reason));
                    owners.freed(&row.user_id, row.size_bytes);
                }
                Verdict::Keep => {}
                Verdict::Done => break,
            }
        }
        let mut next: HashMap<String, usize> = HashMap::new();
        while let Some(owner) = owners.largest().map(str::to_owned) {
            let from = next.entry(owner.clone()).or_default();
            let young = |row: &&Candidate| row.created_ms >= planner.keep_from_ms();
            let row = rows.iter().enumerate().skip(*from);
            let Some((at, row)) = row
                .filter(|(_, row)| young(row))
                .find(|(_, row)| row.user_id == owner)
            else {
                owners.remove(&owner);
                continue;
            };
            *from = at + 1;
            match planner.by_usage(row) {
                Verdict::Delete(reason) => {
                    list.push((at, reason));
                    owners.freed(&owner, row.size_bytes);
                }
                Verdict::Keep => {}
                Verdict::Done => break,
            }
        }
        list
    }

    fn bytes_by_owner(rows: &[Candidate]) -> HashMap<String, u64> {
        let mut bytes = HashMap::new();
        for row in rows {
            *bytes.entry(row.user_id.clone()).or_default() += row.size_bytes;
        }
        bytes
    }

    fn is_deletable(row: &Candidate) -> bool {
        row.status == RecordingStatus::Ready
            && !row.protected
            && !row.deleting
            && !row.awaits_forwarding
    }

    proptest! {
        #[test]
        fn only_ready_unprotected_rows_are_deleted(rows in rows(), rules in rules(), disk in disk()) {
            for (at, _) in plan(&rows, rules, disk) {
                prop_assert!(is_deletable(&rows[at]), "{:?}", rows[at]);
            }
        }

        #[test]
        fn age_rule_deletes_exactly_the_expired_rows(rows in rows(), rules in rules(), disk in disk()) {
            let by_age: Vec<_> = plan(&rows, rules, disk)
                .into_iter()
                .filter(|(_, reason)| *reason == DeletionReason::Age)
                .map(|(at, _)| at)
                .collect();
            let expected: Vec<_> = (0..rows.len())
                .filter(|at| {
                    let age_ms = NOW_MS - rows[*at].created_ms;
                    is_deletable(&rows[*at]) && rules.days > 0 && age_ms > i64::from(rules.days) * DAY_MS
                })
                .collect();
            prop_assert_eq!(by_age, expected);
        }

        #[test]
        fn threshold_deletes_oldest_of_largest_owner_and_no_more_than_needed(rows in rows(), rules in rules(), disk in disk()) {
            let list = plan(&rows, rules, disk);
            let by_usage: Vec<_> = list
                .iter()
                .filter(|(_, reason)| *reason == DeletionReason::DiskFull)
                .map(|(at, _)| *at)
                .collect();
            let needed = match (rules.marks, disk) {
                (Some(marks), Some(disk)) if disk.used_bytes > disk.bytes_at(marks.high) => {
                    disk.used_bytes - disk.bytes_at(marks.low)
                }
                _ => 0,
            };
            let freed = |list: &[(usize, DeletionReason)]| -> u64 {
                list.iter().map(|(at, _)| rows[*at].size_bytes).sum()
            };
            if let Some(last) = by_usage.last() {
                // Without the last deletion, too few bytes would be freed.
                prop_assert!(freed(&list[..list.len() - 1]) < needed);
                // No older candidate of the same owner that frees space is kept.
                let owner = &rows[*last].user_id;
                let stays = (0..*last).find(|at| {
                    rows[*at].user_id == *owner && is_deletable(&rows[*at]) && rows[*at].size_bytes > 0
                        && !list.iter().any(|(gone, _)| gone == at)
                });
                prop_assert_eq!(stays, None);
            }
            // Each deletion is of the owner with the most bytes at that moment, among those with a candidate.
            let mut bytes = bytes_by_owner(&rows);
            let mut gone = Vec::new();
            for (at, reason) in &list {
                let row = &rows[*at];
                if *reason == DeletionReason::DiskFull {
                    for (other, more) in bytes.iter().filter(|(_, more)| **more > bytes[&row.user_id]) {
                        let left = rows.iter().enumerate().any(|(at, row)| {
                            row.user_id == *other && is_deletable(row) && row.size_bytes > 0 && !gone.contains(&at)
                        });
                        prop_assert!(!left, "{other} has {more} bytes, {} less: {row:?}", row.user_id);
                    }
                }
                gone.push(*at);
                *bytes.get_mut(&row.user_id).unwrap() -= row.size_bytes;
            }
            // Enough bytes are freed, or no candidate is left.
            let left = rows.iter().enumerate().any(|(at, row)| {
                is_deletable(row) && row.size_bytes > 0 && !list.iter().any(|(gone, _)| *gone == at)
            });
            prop_assert!(freed(&list) >= needed || !left);
        }

        #[test]
        fn unforwarded_rows_are_never_deleted(
            rows in rows(),
            trash in prop::collection::vec((candidate(), -30 * DAY_MS..30 * DAY_MS), 0..20),
            rules in rules(),
            disk in disk(),
            clock in clock(),
        ) {
            let mut trash: Vec<_> = trash
                .into_iter()
                .map(|(row, left_ms)| Candidate {
                    status: RecordingStatus::Trashed,
                    expires_ms: Some(NOW_MS + left_ms),
                    ..row
                })
                .collect();
            trash.sort_by_key(|row| row.expires_ms);
            let mut planner = Planner::new(rules, clock, disk);
            for (of_trash, row) in trash.iter().map(|row| (true, row)).chain(rows.iter().map(|row| (false, row))) {
                let before = planner.clone();
                let verdicts = match of_trash {
                    true => [before.clone().by_expiry(row), before.clone().by_usage(row)],
                    false => [before.clone().by_age(row), before.clone().by_usage(row)],
                };
                for verdict in verdicts {
                    prop_assert!(!row.awaits_forwarding || !matches!(verdict, Verdict::Delete(_)), "{row:?}");
                }
            }
            // In the order of a run.
            let mut forwarded = planner.clone();
            for row in &trash {
                if matches!(planner.by_expiry(row), Verdict::Done) {
                    break;
                }
            }
            let deleted = plan_with(&mut planner, &rows);
            for (at, _) in &deleted {
                prop_assert!(!rows[*at].awaits_forwarding, "{:?}", rows[*at]);
            }
            let unforwarded = planner.unforwarded();
            let kept = rows.iter().chain(&trash).filter(|row| row.awaits_forwarding);
            let (count, bytes) = kept.fold((0, 0), |(count, bytes), row| (count + 1, bytes + row.size_bytes));
            prop_assert!(unforwarded.count <= count && unforwarded.bytes <= bytes);
            // Once all are confirmed, a run deletes those that were counted.
            let sent: Vec<_> = rows
                .iter()
                .map(|row| Candidate { awaits_forwarding: false, ..row.clone() })
                .collect();
            if unforwarded.count > 0 && trash.is_empty() {
                prop_assert!(!plan_with(&mut forwarded, &sent).is_empty());
            }
            prop_assert_eq!(forwarded.unforwarded(), Amount::default());
        }

        #[test]
        fn failed_deletion_leaves_its_bytes_to_be_freed(rows in rows(), rules in rules(), disk in disk()) {
            let mut planner = Planner::new(rules, NOW_MS, disk);
            let needed = planner.needed_bytes();
            for row in &rows {
                let wanted = planner.needed_bytes();
                if matches!(planner.by_age(row), Verdict::Delete(_))
                    || matches!(planner.by_usage(row), Verdict::Delete(_))
                {
                    planner.take_back(wanted);
                }
            }
            prop_assert_eq!(planner.needed_bytes(), needed);
        }
    }

    #[test]
    fn without_rules_nothing_is_deleted() {
        assert!(Planner::new(Rules::default(), NOW_MS, None).is_idle());
        let full = Some(Disk {
            used_bytes: 90,
            free_bytes: 10,
        });
        let marks = |high, low| Rules {
            days: 0,
            marks: Some(Marks { high, low }),
        };
        assert!(Planner::new(marks(90, 80), NOW_MS, full).is_idle());
        assert!(!Planner::new(marks(89, 80), NOW_MS, full).is_idle());
    }
}
