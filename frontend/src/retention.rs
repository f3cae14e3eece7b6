//! What goes by itself, in words.

use sortie_api::{RetentionPreview, RetentionRun};

use crate::format;

/// What would be deleted now, in words.
pub fn amount(now: &RetentionPreview) -> String {
    let more = if now.more { "More than " } else { "" };
    let plural = if now.due.count == 1 { "" } else { "s" };
    format!(
        "{more}{} recording{plural}, {}",
        now.due.count,
        format::size(now.due.bytes)
    )
}

/// What is deleted by itself, in words.
pub fn rule(now: &RetentionPreview) -> String {
    let age = match now.days {
        0 => "Recordings are kept however old they are.".to_owned(),
        1 => "Recordings older than one day are deleted.".to_owned(),
        days => format!("Recordings older than {days} days are deleted."),
    };
    match now.high_percent.zip(now.low_percent) {
        None => age,
        Some((high, low)) => format!(
            "{age} When the disk is more than {high} % full, the oldest go until it is {low} % full."
        ),
    }
}

/// What a clean-up has done, in words.
pub fn told(run: &RetentionRun) -> String {
    let mut told = format!(
        "{} deleted, {} freed.",
        run.deleted,
        format::size(run.bytes)
    );
    if !run.failed.is_empty() {
        told += &format!(
            " {} could not be deleted yet; that is tried again.",
            run.failed.len()
        );
    }
    if run.more {
        told += " There is more: clean up again, or leave it to the hourly run.";
    }
    told
}

#[cfg(test)]
mod tests {
    use sortie_api::{Amount, FailedDeletion};

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
        }
    }

    #[test]
    fn what_goes_and_why() {
        let mut now = preview();
        assert_eq!(amount(&now), "1 recording, 2.0 MB");
        assert_eq!(rule(&now), "Recordings are kept however old they are.");
        now.more = true;
        now.due.count = 1000;
        now.days = 30;
        now.high_percent = Some(90);
        now.low_percent = Some(85);
        assert_eq!(amount(&now), "More than 1000 recordings, 2.0 MB");
        assert_eq!(
            rule(&now),
            "Recordings older than 30 days are deleted. \
             When the disk is more than 90 % full, the oldest go until it is 85 % full."
        );
    }

    #[test]
    fn what_a_run_left_is_told() {
        let mut run = RetentionRun {
            deleted: 3,
            bytes: 1_500,
            ..RetentionRun::default()
        };
        assert_eq!(told(&run), "3 deleted, 1.5 kB freed.");
        run.failed.push(FailedDeletion {
            id: "x".to_owned(),
            reason: "busy".to_owned(),
        });
        run.more = true;
        let told = told(&run);
        assert!(told.contains("1 could not be deleted yet"), "{told}");
        assert!(told.contains("There is more"), "{told}");
    }
}
