//! Search in texts: patterns of SQL's `LIKE`, and what they find compared exactly.
//!
//! The databases know the case of ASCII only, and a letter with a mark may be stored as one character or as two (NFC,
//! NFD). So a pattern leaves out what is not ASCII, and [`Search::finds`] decides about the rows that it finds.

use unicode_normalization::UnicodeNormalization as _;

/// A text that is searched for, in any case and normal form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Search {
    folded: String,
}

fn folded(text: &str) -> String {
    text.nfc().flat_map(char::to_lowercase).nfc().collect()
}

impl Search {
    pub(super) fn new(text: &str) -> Self {
        Self {
            folded: folded(text),
        }
    }

    /// A pattern in lower case for all texts that may have this in them; its escape is `!`.
    pub(super) fn pattern(&self) -> String {
        let mut pattern = String::with_capacity(self.folded.len() + 2);
        pattern.push('%');
        for character in self.folded.chars() {
            if !character.is_ascii() {
                pattern.push('%');
                continue;
            }
            if matches!(character, '%' | '_' | '!') {
                pattern.push('!');
            }
            pattern.push(character);
        }
        pattern.push('%');
        pattern
    }

    /// Whether the pattern finds more than this text, so that [`Self::finds`] has to decide.
    pub(super) fn is_wide(&self) -> bool {
        !self.folded.is_ascii()
    }

    /// Whether a text has this in it.
    pub(super) fn finds(&self, text: &str) -> bool {
        folded(text).contains(&self.folded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_normal_form_do_not_count() {
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
        assert!(Search::new("ï").is_wide() && !Search::new("I").is_wide());
    }
}
