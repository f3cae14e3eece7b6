//! Texts about automatic deletion.

use sortie_api::{Amount, RetentionPreview, RetentionRun};

use crate::format;

/// Number and size of the recordings that would be deleted now.
pub fn amount(now: &RetentionPreview) -> String {
    let more = if now.more { "More than " } else { "" };
    let plural = if now.due.count == 1 { "" } else { "s" };
    format!(
        "{more}{} recording{plural}, {}",
        now.due.count,
        format::size(now.due.bytes)
    )
}

/// Number and size of the recordings that only forwarding keeps; `None` if there are none.
pub fn kept(unforwarded: &Amount) -> Option<String> {
    let size = format::size(unforwarded.bytes);
    match unforwarded.count {
        0 => None,
        1 => Some(format!(
            "1 recording, {size}, is kept because it is not on the central server yet."
        )),
        count => Some(format!(
            "{count} recordings, {size}, are kept because they are not on the central server yet."
        )),
    }
}

/// Number and size of the files that are no recordings; `None` if there are none.
pub fn other_files(total: &Amount) -> Option<String> {
    let size = format::size(total.bytes);
    match total.count {
        0 => None,
        1 => Some(format!(
            "1 other file in the folder, {size}, is not listed and is never deleted"
        )),
        count => Some(format!(
            "{count} other files in the folder, {size}, are not listed and are never deleted"
        )),
    }
}

/// Describes the deletion rules.
pub fn rule(now: &RetentionPreview) -> String {
    let age = match now.days {
        0 => "Recordings are not deleted by age.".to_owned(),
        1 => "Recordings older than one day are deleted.".to_owned(),
        days => format!("Recordings older than {days} days are deleted."),
    };
    match now.high_percent.zip(now.low_percent) {
        None => age,
        Some((high, low)) => format!(
            "{age} When the disk is more than {high} % full, the oldest recordings are deleted until it is {low} % full."
        ),
    }
}

/// Result of a clean-up.
pub fn outcome(run: &RetentionRun) -> String {
    let mut outcome = format!(
        "{} deleted, {} freed.",
        run.deleted,
        format::size(run.bytes)
    );
    if !run.failed.is_empty() {
        outcome += &format!(
            " {} could not be deleted yet; they are retried automatically.",
            run.failed.len()
        );
    }
    if let Some(kept) = kept(&run.unforwarded) {
        outcome += &format!(" {kept}");
    }
    if run.more {
        outcome += " More recordings are due: clean up again, or wait for the hourly run.";
    }
    outcome
}

#[cfg(test)]
mod tests {
    use sortie_api::{FailedDeletion, OtherFiles};

    use super::*;

    fn preview() -> RetentionPreview {
        RetentionPreview {
            days: 0,
            high_percent: None,
            low_percent: None,
            due: Amount {
                count: 1,
                bytes: 2_000_000,
            },
            more: false,
            next: Vec::new(),
            reasons: Vec::new(),
            retrying: 0,
            next_run_at: None,
            hold: None,
            undated: 0,
            unforwarded: Amount::default(),
            other_files: OtherFiles::default(),
        }
    }

    #[test]
    fn amount_and_rule_are_described() {
        let mut now = preview();
        assert_eq!(amount(&now), "1 recording, 2.0 MB");
        assert_eq!(rule(&now), "Recordings are not deleted by age.");
        now.more = true;
        now.due.count = 1000;
        now.days = 30;
        now.high_percent = Some(90);
        now.low_percent = Some(85);
        assert_eq!(amount(&now), "More than 1000 recordings, 2.0 MB");
        assert_eq!(
            rule(&now),
            "Recordings older than 30 days are deleted. \
             When the disk is more than 90 % full, the oldest recordings are deleted until it is 85 % full."
        );
    }

    #[test]
    fn result_names_failures_and_remaining_candidates() {
        let mut run = RetentionRun {
            deleted: 3,
            bytes: 1_500,
            ..RetentionRun::default()
        };
        assert_eq!(outcome(&run), "3 deleted, 1.5 kB freed.");
        run.failed.push(FailedDeletion {
            id: "x".to_owned(),
            reason: "busy".to_owned(),
        });
        run.more = true;
        run.unforwarded = Amount {
            count: 2,
            bytes: 3_000_000,
        };
        let outcome = outcome(&run);
        let kept = "2 recordings, 3.0 MB, are kept because they are not on the central server yet.";
        assert!(outcome.contains(kept), "{outcome}");
        assert!(outcome.contains("1 could not be deleted yet"), "{outcome}");
        assert!(outcome.contains("More recordings are due"), "{outcome}");
    }
}
