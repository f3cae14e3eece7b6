//! Words of a search, without regard to case, accents and normal form.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use super::statement::push_literal;

/// Largest number of words; further ones are ignored.
const WORDS_MAX: usize = 10;
/// Largest number of trigrams that are looked up.
const TRIGRAMS_MAX: usize = 32;
/// Shortest word that an index of trigrams can find, in characters.
const TRIGRAM: usize = 3;

/// Returns a text in lower case and without accents.
pub(super) fn folded(text: &str) -> String {
    text.nfkd()
        .flat_map(char::to_lowercase)
        .nfkd()
        .filter(|character| !is_combining_mark(*character))
        .map(|character| if character == 'ς' { 'σ' } else { character })
        .collect()
}

/// Words that a text must contain, each as part of any word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SearchTerms {
    /// Folded, longest first.
    words: Vec<String>,
}

impl SearchTerms {
    pub(super) fn new(text: &str) -> Self {
        let folded = folded(text);
        let mut words: Vec<_> = folded.split_whitespace().map(str::to_owned).collect();
        words.truncate(WORDS_MAX);
        words.sort_by_key(|word| std::cmp::Reverse(word.chars().count()));
        words.dedup();
        Self { words }
    }

    /// Returns a pattern of `LIKE` for each word; the escape is `!`.
    pub(super) fn patterns(&self) -> impl Iterator<Item = String> {
        self.words.iter().map(|word| pattern(word))
    }

    /// Returns the trigrams of the words, without repetitions.
    pub(super) fn trigrams(&self) -> Vec<String> {
        let mut found = Vec::new();
        for word in &self.words {
            let characters: Vec<_> = word.chars().collect();
            for trigram in characters.windows(TRIGRAM) {
                let trigram: String = trigram.iter().collect();
                if found.len() < TRIGRAMS_MAX && !found.contains(&trigram) {
                    found.push(trigram);
                }
            }
        }
        found
    }

    /// Whether an index of trigrams can find one of the words.
    pub(super) fn is_indexable(&self) -> bool {
        self.words.iter().any(|it| is_indexable(it))
    }
}

/// Returns a pattern of `LIKE` for texts that contain this one; the escape is `!`.
pub(super) fn pattern(part: &str) -> String {
    let mut pattern = String::with_capacity(part.len() + 2);
    pattern.push('%');
    for character in part.chars() {
        push_literal(&mut pattern, character);
    }
    pattern.push('%');
    pattern
}

/// Returns the query of FTS5 for texts that contain all of these.
pub(super) fn fts_query(trigrams: &[String]) -> String {
    let phrases: Vec<_> = trigrams
        .iter()
        .map(|trigram| format!("\"{}\"", trigram.replace('"', "\"\"")))
        .collect();
    phrases.join(" AND ")
}

fn is_indexable(word: &str) -> bool {
    word.chars().count() >= TRIGRAM
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_removes_case_accents_and_normal_form() {
        for (text, found) in [
            ("NAÏVE", "naive"),
            ("NAI\u{308}VE", "naive"),
            ("ПРИВЕТ", "привет"),
            ("ΟΔΟΣ οδός", "οδοσ οδοσ"),
            ("Straße", "straße"),
            ("İstanbul", "istanbul"),
            ("ﬁle", "file"),
        ] {
            assert_eq!(folded(text), found, "{text}");
        }
    }

    #[test]
    fn patterns_and_queries_take_every_character_literally() {
        let terms = SearchTerms::new(" 50%_!  a\"b\" a ");
        let patterns: Vec<_> = terms.patterns().collect();
        assert_eq!(patterns, ["%50!%!_!!%", "%a\"b\"%", "%a%"]);
        let trigrams = terms.trigrams();
        assert_eq!(trigrams, ["50%", "0%_", "%_!", "a\"b", "\"b\""]);
        assert_eq!(fts_query(&trigrams[2..]), r#""%_!" AND "a""b" AND """b""""#);
        assert!(!SearchTerms::new("ab é").is_indexable());
        assert!(SearchTerms::new("ab").trigrams().is_empty());
        let long: String = ('a'..='z').chain('0'..='9').chain('α'..='ω').collect();
        assert_eq!(SearchTerms::new(&long).trigrams().len(), TRIGRAMS_MAX);
    }
}
