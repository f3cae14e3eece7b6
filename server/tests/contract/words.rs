//! The words on the pages: each is in the pages, and a test that looks at them names it.

use std::path::Path;

use crate::file;

const PAGES: &str = "tests/browser/pages.test.mjs";
const ADMIN: &str = "tests/browser/admin.test.mjs";
const RECORD: &str = "tests/browser/record-page.test.mjs";
const AUTO: &str = "tests/browser/auto-record.test.mjs";
/// Words that pass too quickly for a browser test to see; their table has tests of its own.
const WORDS: &str = "frontend/src/status_texts.rs";

#[rustfmt::skip]
const ROWS: [(&str, &str); 32] = [
    ("View recordings", PAGES),
    ("My Recordings", PAGES),
    ("Refresh", PAGES),
    ("Close", PAGES),
    ("No recordings", PAGES),
    ("Recording", WORDS),
    ("Uploading", WORDS),
    ("Processing", WORDS),
    ("Ready", PAGES),
    ("Failed", PAGES),
    ("Download", PAGES),
    ("Delete", PAGES),
    ("User menu", ADMIN),
    ("Admin Panel", ADMIN),
    ("Admin Settings", ADMIN),
    ("Settings", ADMIN),
    ("Auto-record sessions", ADMIN),
    ("When enabled, recording starts automatically for all new sessions", ADMIN),
    ("Save Settings", ADMIN),
    ("Settings saved successfully", ADMIN),
    ("Recordings", ADMIN),
    ("All Recordings", ADMIN),
    ("ID", ADMIN),
    ("Session", ADMIN),
    ("User", ADMIN),
    ("Duration", ADMIN),
    ("Size", ADMIN),
    ("Status", ADMIN),
    ("No recordings found", ADMIN),
    ("Start recording", RECORD),
    ("Stop recording", RECORD),
    ("Stop recording", AUTO),
];

fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            *text += &std::fs::read_to_string(&path).expect("text");
        }
    }
}

#[test]
fn every_word_is_on_the_pages_and_in_their_tests() {
    let mut pages = String::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../frontend/src");
    sources(&folder, &mut pages);
    for (word, test) in ROWS {
        assert!(
            pages.contains(&format!("\"{word}")),
            "the pages do not say {word:?}"
        );
        assert!(
            file(test).contains(word),
            "{test} does not look for {word:?}"
        );
    }
}
