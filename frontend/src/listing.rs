//! The rows of a list that is loaded page by page and refreshed in place.

use sortie_api::{Recording, RecordingStatus};

/// One answer of a list route.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// Newest first.
    pub rows: Vec<Recording>,
    /// Where the next page is, if there is one.
    pub next: Option<String>,
}

/// The rows loaded so far, newest first, without gaps.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    rows: Vec<Recording>,
    next: Option<String>,
}

impl Listing {
    /// A list that begins with `page`.
    pub fn new(page: Page) -> Self {
        Self {
            rows: page.rows,
            next: page.next,
        }
    }

    /// The rows, newest first.
    pub fn rows(&self) -> &[Recording] {
        &self.rows
    }

    /// Where the page after the last row is, if there is one.
    pub fn next(&self) -> Option<&str> {
        self.next.as_deref()
    }

    /// Adds the page that [`Self::next`] named.
    pub fn append(&mut self, page: Page) {
        for row in page.rows {
            if !self.update(&row) {
                self.rows.push(row);
            }
        }
        self.next = page.next;
    }

    /// Takes over a fresh first page: what is new appears, what was deleted goes, and the pages loaded after it
    /// stay.
    ///
    /// Where the fresh page does not reach any row that is already here, nobody can tell what lies between, so
    /// the list begins again with it.
    pub fn refresh(&mut self, page: Page) {
        let overlap = page
            .next
            .as_ref()
            .and_then(|_| page.rows.last())
            .and_then(|last| self.rows.iter().position(|row| row.id == last.id));
        match overlap {
            Some(position) if position + 1 < self.rows.len() => {
                let older = self.rows.split_off(position + 1);
                self.rows = page.rows;
                self.rows.extend(older);
            }
            _ => *self = Self::new(page),
        }
    }

    /// Takes over a fresh row; `false` where it is not in the list.
    pub fn update(&mut self, fresh: &Recording) -> bool {
        let row = self.rows.iter_mut().find(|row| row.id == fresh.id);
        row.map(|row| row.clone_from(fresh)).is_some()
    }

    /// Removes a row.
    pub fn remove(&mut self, id: &str) {
        self.rows.retain(|row| row.id != id);
    }

    /// Whether a row may change by itself.
    pub fn is_moving(&self) -> bool {
        self.rows.iter().any(|row| is_moving(row.status))
    }

    /// The rows after the first `skip` that may change by themselves: those a fresh first page does not reach.
    pub fn moving_after(&self, skip: usize) -> Vec<String> {
        let rows = self.rows.iter().skip(skip);
        rows.filter(|row| is_moving(row.status))
            .map(|row| row.id.clone())
            .collect()
    }
}

/// Whether a recording in this status becomes another one by itself.
pub fn is_moving(status: RecordingStatus) -> bool {
    status.is_open() || status == RecordingStatus::Processing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, status: RecordingStatus) -> Recording {
        Recording {
            id: id.to_owned(),
            session_id: "s".to_owned(),
            user_id: "u".to_owned(),
            username: None,
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
            created_at: "2026-11-21T09:00:00Z".to_owned(),
            completed_at: None,
        }
    }

    fn page(ids: &str, next: Option<&str>) -> Page {
        Page {
            rows: ids
                .chars()
                .map(|id| row(&id.to_string(), RecordingStatus::Ready))
                .collect(),
            next: next.map(str::to_owned),
        }
    }

    #[track_caller]
    fn check(listing: &Listing, ids: &str, next: Option<&str>) {
        let found: String = listing.rows().iter().map(|row| row.id.as_str()).collect();
        assert_eq!((found.as_str(), listing.next()), (ids, next));
    }

    #[test]
    fn pages_follow_each_other_without_doubles() {
        let mut listing = Listing::new(page("fed", Some("2")));
        listing.append(page("dcb", Some("3")));
        check(&listing, "fedcb", Some("3"));
        listing.append(page("a", None));
        check(&listing, "fedcba", None);
    }

    #[test]
    fn a_refresh_adds_and_removes_and_keeps_older_pages() {
        let mut listing = Listing::new(page("fed", Some("2")));
        listing.append(page("cba", Some("3")));
        // `g` is new, `f` was deleted.
        listing.refresh(page("ged", Some("2")));
        check(&listing, "gedcba", Some("3"));
    }

    #[test]
    fn a_refresh_without_overlap_begins_again() {
        let mut listing = Listing::new(page("cb", Some("a")));
        listing.refresh(page("zy", Some("x")));
        check(&listing, "zy", Some("x"));
    }

    #[test]
    fn a_refresh_that_is_everything_replaces_everything() {
        let mut listing = Listing::new(page("cb", Some("2")));
        listing.append(page("a", None));
        listing.refresh(page("cb", None));
        check(&listing, "cb", None);
        listing.refresh(page("", None));
        check(&listing, "", None);
    }

    #[test]
    fn only_rows_that_are_there_are_updated() {
        let mut listing = Listing::new(Page {
            rows: vec![
                row("b", RecordingStatus::Processing),
                row("a", RecordingStatus::Ready),
            ],
            next: None,
        });
        assert!(listing.is_moving());
        assert_eq!(listing.moving_after(0), ["b"]);
        assert!(listing.moving_after(1).is_empty());
        assert!(listing.update(&row("b", RecordingStatus::Ready)));
        assert!(!listing.update(&row("x", RecordingStatus::Recording)));
        assert!(!listing.is_moving());
        listing.remove("b");
        check(&listing, "a", None);
    }
}
