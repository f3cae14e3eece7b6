//! Text search: SQL `LIKE` patterns whose results are compared exactly.
//!
//! The databases fold the case of ASCII only, and an accented letter may be stored as one character or two (NFC, NFD).
//! A pattern therefore omits non-ASCII characters, and [`Search::finds`] decides about the rows that it finds.

use super::statement::push_literal;
use crate::tags::folded;

/// Search term, in any case and normal form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Search {
    folded: String,
}

impl Search {
    pub(super) fn new(text: &str) -> Self {
        Self {
            folded: folded(text),
        }
    }

    /// Returns a lower-case pattern for all texts that may contain the term; its escape is `!`.
    pub(super) fn pattern(&self) -> String {
        let mut pattern = String::with_capacity(self.folded.len() + 2);
        pattern.push('%');
        for character in self.folded.chars() {
            if !character.is_ascii() {
                pattern.push('%');
                continue;
            }
            push_literal(&mut pattern, character);
        }
        pattern.push('%');
        pattern
    }

    /// Whether the pattern matches more than the term, so that [`Self::finds`] must check its rows.
    pub(super) fn is_inexact(&self) -> bool {
        !self.folded.is_ascii()
    }

    /// Whether a text contains the term.
    pub(super) fn finds(&self, text: &str) -> bool {
        folded(text).contains(&self.folded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_ignores_case_and_normal_form() {
        for (search, text, found) in [
            ("NAÏVE", "so naïve.webm", true),
            ("naïve", "NAI\u{308}VE", true),
            ("NAI\u{308}VE", "naïve", true),
            ("ПРИВЕТ", "привет", true),
            ("naive", "naïve", false),
            ("naïf", "naïve", false),
            ("a%", "a%b", true),
        ] {
            let search = Search::new(search);
            assert_eq!(search.finds(text), found, "{search:?} in {text}");
        }
        assert_eq!(Search::new("50%_!").pattern(), "%50!%!_!!%");
        assert_eq!(Search::new("Aï").pattern(), "%a%%");
        assert!(Search::new("ï").is_inexact() && !Search::new("I").is_inexact());
    }
}
