//! One page of a list, with updates from the event stream.

use sortie_api::Recording;

use crate::{format, status_texts};

/// Response of a list route.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// Rows in the requested order.
    pub rows: Vec<T>,
    /// API path of the next page.
    pub next: Option<String>,
}

impl Page<Recording> {
    /// Returns the row with this ID.
    pub fn row(&self, id: &str) -> Option<&Recording> {
        self.rows.iter().find(|row| row.id == id)
    }

    /// Replaces a row; returns `false` if it is not on this page.
    pub fn update(&mut self, fresh: &Recording) -> bool {
        let row = self.rows.iter_mut().find(|row| row.id == fresh.id);
        row.map(|row| {
            // Events contain neither the owner's name, which does not change, nor what this user has watched.
            let (username, viewed) = (row.username.take(), row.viewed);
            row.clone_from(fresh);
            row.username = row.username.take().or(username);
            row.viewed = row.viewed.or(viewed);
        })
        .is_some()
    }

    /// Removes a row; returns `false` if it is not on this page.
    pub fn remove(&mut self, id: &str) -> bool {
        let before = self.rows.len();
        self.rows.retain(|row| row.id != id);
        self.rows.len() < before
    }

    /// Whether the status of any row changes without user action.
    pub fn is_moving(&self) -> bool {
        self.rows.iter().any(crate::parts::is_moving)
    }

    /// Returns the announcement for screen readers of the status changes between this page and `after`. Growing sizes are
    /// not announced.
    pub fn changes(&self, after: &Self) -> String {
        let sentences = after.rows.iter().filter_map(|row| {
            let old = self.row(&row.id)?;
            (old.status != row.status)
                .then(|| format!("{}: {}.", row.filename, status_texts::status(row.status)))
        });
        sentences.collect::<Vec<_>>().join(" ")
    }
}

/// Sort orders: key in the page's address, label, and the server's `sort` and `order`. The first is the server's
/// default.
pub const ORDERS: [(&str, &str, &str, &str); 7] = [
    ("", "Newest first", "", ""),
    ("oldest", "Oldest first", "created", "asc"),
    ("longest", "Longest first", "duration", "desc"),
    ("shortest", "Shortest first", "duration", "asc"),
    ("largest", "Largest first", "size", "desc"),
    ("smallest", "Smallest first", "size", "asc"),
    ("active", "Most active first", "active", "desc"),
];

/// Formats the place of a page in a list: `51–100 of 522`. `page` counts from 1 and has `rows` of at most `limit` rows;
/// `total` is the number of rows of the list and whether it is exact.
pub fn range(page: u64, rows: usize, limit: u32, total: Option<(u64, bool)>) -> String {
    // The page is a number of the address.
    let before = page.saturating_sub(1).saturating_mul(u64::from(limit));
    let (first, last) = (before.saturating_add(1), before.saturating_add(rows as u64));
    let place = format!("{}–{}", format::count(first), format::count(last));
    match total {
        None => place,
        // The list has grown since it was counted.
        Some((total, true)) => format!("{place} of {}", format::count(total.max(last))),
        Some((total, false)) => format!("{place} of {}+", format::count(total.max(last))),
    }
}

/// Returns the server's `sort` and `order` for a key of the address; unknown keys select the first order.
pub fn order(key: &str) -> (&'static str, &'static str) {
    let found = ORDERS.iter().find(|(known, ..)| *known == key);
    found.map_or(("", ""), |(_, _, sort, order)| (*sort, *order))
}

#[cfg(test)]
pub(crate) mod tests {
    use sortie_api::RecordingStatus;

    use super::*;

    pub(crate) fn row(id: &str, status: RecordingStatus) -> Recording {
        Recording {
            id: id.to_owned(),
            session_id: "s".to_owned(),
            user_id: "u".to_owned(),
            username: Some("ann".to_owned()),
            filename: format!("{id}.webm"),
            size_bytes: 0,
            duration_seconds: 0.0,
            format: "webm".to_owned(),
            storage_backend: "local".to_owned(),
            storage_path: String::new(),
            status,
            failure: None,
            interrupted: false,
            protected: false,
            deleting: false,
            forward_pending: false,
            created_at: "2026-11-21T09:00:00Z".to_owned(),
            completed_at: None,
            trashed_at: None,
            expires_at: None,
            note: None,
            received_bytes: None,
            left_out: Vec::new(),
            hidden: Vec::new(),
            part_of: None,
            part: 1,
            parts: Vec::new(),
            external_id: None,
            metadata: sortie_api::Metadata::new(),
            title: None,
            app_id: String::new(),
            source: None,
            width: None,
            height: None,
            video_codec: None,
            audio_codec: None,
            has_audio: None,
            active_seconds: None,
            ended_because: None,
            tags: Vec::new(),
            viewed: None,
            pictures: 0,
        }
    }

    #[test]
    fn update_and_remove_ignore_rows_of_other_pages() {
        let mut page = Page {
            rows: vec![
                row("b", RecordingStatus::Processing),
                row("a", RecordingStatus::Ready),
            ],
            next: None,
        };
        let before = page.clone();
        assert!(page.is_moving());
        let mut fresh = row("b", RecordingStatus::Ready);
        fresh.username = None;
        assert!(page.update(&fresh));
        assert!(!page.update(&row("x", RecordingStatus::Recording)));
        assert!(!page.is_moving());
        assert_eq!(page.rows[0].username.as_deref(), Some("ann"));
        assert_eq!(before.changes(&page), "b.webm: Ready.");
        assert_eq!(page.changes(&page), "");
        assert!(page.remove("b"));
        assert!(!page.remove("b"));
        assert_eq!(page.rows.len(), 1);
    }

    #[test]
    fn range_names_rows_and_total() {
        for (page, rows, total, expected) in [
            (1, 50, Some((522, true)), "1–50 of 522"),
            (11, 22, Some((522, true)), "501–522 of 522"),
            (1, 3, None, "1–3"),
            (1, 50, Some((10_000, false)), "1–50 of 10,000+"),
            (1, 4, Some((3, true)), "1–4 of 4"),
        ] {
            assert_eq!(range(page, rows, 50, total), expected);
        }
    }

    #[test]
    fn unknown_order_selects_the_default() {
        assert_eq!(order("largest"), ("size", "desc"));
        assert_eq!(order(""), ("", ""));
        assert_eq!(order("'; drop"), ("", ""));
    }
}
