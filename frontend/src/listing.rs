//! A page of a list, and what changes in it while somebody looks.

use sortie_api::{Recording, RecordingStatus};

use crate::words;

/// One answer of a list route.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// In the order that was asked for.
    pub rows: Vec<T>,
    /// The address of the page after this one, if there is one.
    pub next: Option<String>,
}

impl Page<Recording> {
    /// The row with this id.
    pub fn row(&self, id: &str) -> Option<&Recording> {
        self.rows.iter().find(|row| row.id == id)
    }

    /// Takes over a fresh row; `false` where it is not on this page.
    pub fn update(&mut self, fresh: &Recording) -> bool {
        let row = self.rows.iter_mut().find(|row| row.id == fresh.id);
        row.map(|row| {
            // A live event does not say the owner's name, and the owner does not change.
            let username = row.username.take();
            row.clone_from(fresh);
            row.username = row.username.take().or(username);
        })
        .is_some()
    }

    /// Removes a row; `false` where it is not on this page.
    pub fn remove(&mut self, id: &str) -> bool {
        let before = self.rows.len();
        self.rows.retain(|row| row.id != id);
        self.rows.len() < before
    }

    /// Whether a row may change by itself.
    pub fn is_moving(&self) -> bool {
        self.rows.iter().any(crate::parts::is_moving)
    }

    /// What a screen reader is told when this page became `after`: the statuses that have changed, and nothing about
    /// growing sizes.
    pub fn changes(&self, after: &Self) -> String {
        let sentences = after.rows.iter().filter_map(|row| {
            let old = self.row(&row.id)?;
            (old.status != row.status)
                .then(|| format!("{}: {}.", row.filename, words::status(row.status)))
        });
        sentences.collect::<Vec<_>>().join(" ")
    }
}

/// Whether a recording in this status becomes another one by itself.
pub fn is_moving(status: RecordingStatus) -> bool {
    status.is_open() || status == RecordingStatus::Processing
}

/// The orders that a list of recordings has: the key in the page's address, the words, and the server's `sort` and
/// `order`. The first is what the server does by itself.
pub const ORDERS: [(&str, &str, &str, &str); 6] = [
    ("", "Newest first", "", ""),
    ("oldest", "Oldest first", "created", "asc"),
    ("longest", "Longest first", "duration", "desc"),
    ("shortest", "Shortest first", "duration", "asc"),
    ("largest", "Largest first", "size", "desc"),
    ("smallest", "Smallest first", "size", "asc"),
];

/// The server's `sort` and `order` for a key out of the address; what is none is the first order.
pub fn order(key: &str) -> (&'static str, &'static str) {
    let found = ORDERS.iter().find(|(known, ..)| *known == key);
    found.map_or(("", ""), |(_, _, sort, order)| (*sort, *order))
}

#[cfg(test)]
pub(crate) mod tests {
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
            note: None,
            received_bytes: None,
            left_out: Vec::new(),
            hidden: Vec::new(),
            part_of: None,
            part: 1,
            parts: Vec::new(),
        }
    }

    #[test]
    fn only_rows_that_are_there_are_updated() {
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
    fn an_order_that_is_none_is_the_first() {
        assert_eq!(order("largest"), ("size", "desc"));
        assert_eq!(order(""), ("", ""));
        assert_eq!(order("'; drop"), ("", ""));
    }
}
