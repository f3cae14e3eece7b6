//! File names: from clients, and in `Content-Disposition`.

use axum::http::HeaderValue;

/// Returns a client's file name without folders, control characters and deceptive characters; `None` if nothing is
/// left.
pub(in crate::http) fn plain_filename(name: &str) -> Option<String> {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name = name
        .chars()
        .filter(|c| !c.is_control() && !is_deceptive(*c));
    let name: String = name.take(200).collect();
    let name = name.trim_start_matches(|c: char| c == '.' || c.is_whitespace());
    let name = name.trim_end();
    has_visible(name).then(|| name.to_owned())
}

/// Whether a name has a visible character.
pub(in crate::http) fn has_visible(name: &str) -> bool {
    // Joiners and variation selectors are invisible and change other characters.
    let is_modifier = |c| {
        matches!(c, '\u{34F}' | '\u{180B}'..='\u{180F}' | '\u{200C}' | '\u{200D}' | '\u{FE00}'..='\u{FE0F}'
            | '\u{E0100}'..='\u{E01EF}')
    };
    name.chars()
        .any(|c| !c.is_whitespace() && !is_modifier(c) && !is_deceptive(c))
}

/// Whether a character can hide a part of a file name, like its extension: bidirectional controls, line separators, and
/// blank characters that no script needs in a name.
pub(in crate::http) fn is_deceptive(character: char) -> bool {
    matches!(
        character,
        '\u{AD}'
            | '\u{61C}'
            | '\u{115F}'
            | '\u{1160}'
            | '\u{17B4}'
            | '\u{17B5}'
            | '\u{200B}'
            | '\u{200E}'
            | '\u{200F}'
            | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{FEFF}'
            | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFFB}'
            | '\u{E0000}'..='\u{E00FF}'
    )
}

/// `Content-Disposition` (RFC 6266, RFC 8187) with an ASCII name for old clients and the full name.
pub(in crate::http) fn content_disposition(kind: &str, filename: &str) -> HeaderValue {
    let plain: String = filename
        .chars()
        .map(|c| {
            if c.is_ascii() && !c.is_ascii_control() && !"\"\\%".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect();
    let mut encoded = String::new();
    for byte in filename.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    HeaderValue::from_str(&format!(
        "{kind}; filename=\"{plain}\"; filename*=UTF-8''{encoded}"
    ))
    .unwrap_or_else(|_| HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_disposition_has_ascii_and_full_name() {
        assert_eq!(
            content_disposition("attachment", "Grüße \"1\".webm"),
            "attachment; filename=\"Gr__e _1_.webm\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%221%22.webm"
        );
    }

    #[test]
    fn plain_filename_drops_folders_and_invisible_characters() {
        for (given, expected) in [
            ("talk.webm", Some("talk.webm")),
            ("../../etc/passwd", Some("passwd")),
            ("C:\\videos\\talk.webm", Some("talk.webm")),
            ("a\nb\u{0}.webm", Some("ab.webm")),
            ("gpj\u{202E}mbew.exe", Some("gpjmbew.exe")),
            ("..", None),
            ("", None),
        ] {
            assert_eq!(plain_filename(given).as_deref(), expected, "{given:?}");
        }
    }
}
