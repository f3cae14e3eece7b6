//! The `Link` header of list routes.

use crate::base_path::BasePath;

/// Finds the link with `rel="next"` in a `Link` header (RFC 8288, section 3).
///
/// Returns its path from the root of the server. Ignores targets outside of this server's `/api/`: requests carry
/// cookies.
pub fn next_page(header: &str, base: &BasePath) -> Option<String> {
    let mut rest = header;
    while let Some(start) = rest.find('<') {
        let (target, after) = rest[start + 1..].split_once('>')?;
        let (parameters, others) = split_unquoted(after, ',');
        let path = base.strip(target);
        if let Some(path) = path.filter(|path| is_next(parameters) && path.starts_with("/api/")) {
            return Some(path.to_owned());
        }
        rest = others;
    }
    None
}

/// Whether one of the link's relation types is `next`; a quoted value may list several.
fn is_next(parameters: &str) -> bool {
    let mut rest = parameters;
    while !rest.is_empty() {
        let (parameter, others) = split_unquoted(rest, ';');
        if let Some((name, value)) = parameter.split_once('=')
            && name.trim().eq_ignore_ascii_case("rel")
        {
            let relations = value.trim().trim_matches('"').split_ascii_whitespace();
            return relations
                .into_iter()
                .any(|relation| relation.eq_ignore_ascii_case("next"));
        }
        rest = others;
    }
    false
}

/// Splits at the first `separator` outside of quoted strings (RFC 9110, section 5.6.4).
fn split_unquoted(text: &str, separator: char) -> (&str, &str) {
    let mut quoted = false;
    let mut escaped = false;
    for (position, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if letter == separator && !quoted => {
                return (&text[..position], &text[position + letter.len_utf8()..]);
            }
            _ => {}
        }
    }
    (text, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: &str, expected: Option<&str>) {
        let root = BasePath::default();
        assert_eq!(next_page(header, &root).as_deref(), expected, "{header}");
    }

    #[test]
    fn next_link_is_found() {
        check(
            r#"</api/recordings?limit=50&cursor=a%2Cb>; rel="next""#,
            Some("/api/recordings?limit=50&cursor=a%2Cb"),
        );
        check(
            "</api/recordings?cursor=x>;REL=next",
            Some("/api/recordings?cursor=x"),
        );
        check(
            r#"</api/a>; rel="first"; title="a, b; rel=next", </api/b>; rel="last next""#,
            Some("/api/b"),
        );
    }

    #[test]
    fn other_links_are_ignored() {
        check("", None);
        check("</api/recordings", None);
        check("</api/recordings>", None);
        check(r#"</api/recordings>; rel="prev""#, None);
        check(r#"</api/recordings>; title="next""#, None);
        check(
            r#"<https://elsewhere.example/api/recordings>; rel="next""#,
            None,
        );
        check(r#"<//elsewhere.example/api/recordings>; rel="next""#, None);
    }

    #[test]
    fn next_page_loses_the_path_prefix() {
        let base = BasePath::of_base("/record/");
        for (header, expected) in [
            (
                r#"</record/api/a?cursor=x>; rel="next""#,
                Some("/api/a?cursor=x"),
            ),
            (r#"</api/a?cursor=x>; rel="next""#, None),
        ] {
            assert_eq!(next_page(header, &base).as_deref(), expected, "{header}");
        }
    }
}
