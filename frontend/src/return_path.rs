//! Path to return to after sign-in.

use crate::query::escape;

/// Path of the sign-in page.
pub const SIGN_IN: &str = "/login";

/// Path of the sign-in page that returns to `path` (path and query).
///
/// The start page is the default and is omitted.
pub fn sign_in_path(path: &str) -> String {
    match checked(path) {
        "/" => SIGN_IN.to_owned(),
        path => format!("{SIGN_IN}?next={}", escape(path)),
    }
}

/// Returns `path` if it is a path of these pages, else the start page.
///
/// The parameter is attacker-controlled: `//host`, `/\host` and other forms that browsers resolve to another origin are
/// rejected, and so is the sign-in page, which would redirect in a loop.
pub fn checked(path: &str) -> &str {
    let mut letters = path.chars();
    let is_local = letters.next() == Some('/')
        && !matches!(letters.next(), Some('/' | '\\'))
        && !path.chars().any(char::is_control);
    let page = path.split(['?', '#']).next().unwrap_or_default();
    if is_local && page.trim_end_matches('/') != SIGN_IN {
        path
    } else {
        "/"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_paths_are_accepted() {
        for path in ["/", "/recordings", "/recordings/abc?x=1#t", "/loginger"] {
            assert_eq!(checked(path), path);
        }
    }

    #[test]
    fn other_targets_are_rejected() {
        for path in [
            "",
            "recordings",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example/",
            "javascript:alert(1)",
            "/\t/evil.example",
            "/login",
            "/login/?next=/login",
        ] {
            assert_eq!(checked(path), "/", "{path:?}");
        }
    }

    #[test]
    fn return_path_is_escaped_in_the_query() {
        assert_eq!(sign_in_path("/"), "/login");
        assert_eq!(
            sign_in_path("/recordings/a-1"),
            "/login?next=/recordings/a-1"
        );
        assert_eq!(
            sign_in_path("/recordings?status=ready&x=é"),
            "/login?next=/recordings%3Fstatus%3Dready%26x%3D%C3%A9"
        );
    }
}
