//! Automatic and manual clean-ups, reconstructed from the audit log.

use sortie_api::{AuditEntry, AuditResult, DeletionRule};

/// Recordings that one clean-up deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanUp {
    /// Time of the last deletion, RFC 3339, UTC.
    pub at: String,
    /// Number of deleted recordings.
    pub recordings: usize,
    /// Rule that selected them.
    pub rule: DeletionRule,
    /// User who started it; `None` for an automatic clean-up.
    pub by: Option<String>,
}

/// Groups audit entries of deletions (newest first) into clean-ups. Single deletions by users are skipped.
pub fn clean_ups(entries: &[AuditEntry]) -> Vec<CleanUp> {
    let mut found: Vec<CleanUp> = Vec::new();
    for entry in entries {
        let rule = DeletionRule::parse(&entry.detail).filter(|_| entry.result == AuditResult::Ok);
        let Some(rule) = rule else { continue };
        let by = (entry.actor_id != "system").then(|| entry.actor_name.clone());
        match found.last_mut() {
            Some(last)
                if minute(&last.at) == minute(&entry.at) && last.by == by && last.rule == rule =>
            {
                last.recordings += 1;
            }
            _ => found.push(CleanUp {
                at: entry.at.clone(),
                recordings: 1,
                rule,
                by,
            }),
        }
    }
    found
}

impl CleanUp {
    /// Sentence for the list of past clean-ups.
    pub fn text(&self) -> String {
        let plural = if self.recordings == 1 { "" } else { "s" };
        let by = match &self.by {
            Some(name) => format!(" by {name}"),
            None => String::new(),
        };
        let because = match self.rule {
            DeletionRule::Age(_) => "",
            DeletionRule::DiskFull(_) | DeletionRule::Trash => "because ",
        };
        format!(
            "{} recording{plural} deleted{by}, {because}{}",
            self.recordings, self.rule
        )
    }
}

/// Prefix up to the minute: `2026-11-21T09:30`.
fn minute(at: &str) -> &str {
    at.get(..16).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use sortie_api::Via;

    use super::*;

    fn entry(at: &str, actor: &str, detail: &str) -> AuditEntry {
        AuditEntry {
            seq: 1,
            at: at.to_owned(),
            actor_id: actor.to_owned(),
            actor_name: actor.to_owned(),
            via: Via::System,
            address: None,
            action: "recording.delete".to_owned(),
            subject: "r".to_owned(),
            detail: detail.to_owned(),
            result: AuditResult::Ok,
            hash: String::new(),
        }
    }

    #[test]
    fn deletions_of_one_minute_and_rule_are_one_clean_up() {
        const FULL: &str = "the disk was more than 80 % full";
        let mut failed = entry("2026-11-21T09:30:02Z", "system", FULL);
        failed.result = AuditResult::Failed;
        let entries = [
            entry("2026-11-21T10:00:00Z", "ann", FULL),
            entry("2026-11-21T09:30:03Z", "system", FULL),
            failed,
            entry("2026-11-21T09:30:01Z", "system", FULL),
            entry("2026-11-21T09:20:00Z", "ann", ""),
            entry("2026-11-20T09:30:01Z", "system", "older than 30 days"),
        ];
        let words: Vec<_> = clean_ups(&entries).iter().map(CleanUp::text).collect();
        assert_eq!(
            words,
            [
                "1 recording deleted by ann, because the disk was more than 80 % full",
                "2 recordings deleted, because the disk was more than 80 % full",
                "1 recording deleted, older than 30 days",
            ]
        );
    }
}
