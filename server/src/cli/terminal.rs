//! Escaping of untrusted text, such as file names, for terminals.

use std::path::Path;

/// Escapes a path for one line: characters that move the cursor, end the line or change the direction of writing.
pub(super) fn name(path: &Path) -> String {
    one_line(&path.to_string_lossy())
}

/// Escapes a text for one line, like [`name`].
pub(super) fn one_line(text: &str) -> String {
    escaped(text, |c| c.is_control() || is_bidi_control(c))
}

/// Escapes a text of several lines, like [`name`].
pub(super) fn lines(text: &str) -> String {
    escaped(text, |c| c != '\n' && c.is_control() || is_bidi_control(c))
}

fn escaped(text: &str, unwanted: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if unwanted(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Whether a character changes the direction of writing (Unicode, `Bidi_Control`).
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        let name = "talk\u{1b}[31m\nrm\r\u{9b}2J\u{202e}mbew.webm";
        assert_eq!(
            one_line(name),
            "talk\\u{1b}[31m\\nrm\\r\\u{9b}2J\\u{202e}mbew.webm"
        );
        assert_eq!(lines("one\ntwo\u{7}\n"), "one\ntwo\\u{7}\n");
        assert_eq!(one_line("Grüße, 録画.webm"), "Grüße, 録画.webm");
    }
}
