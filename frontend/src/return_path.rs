//! Where a person goes after signing in: back to where they were.

use crate::query::escape;

/// The path of the sign-in page.
pub const SIGN_IN: &str = "/login";

/// The sign-in page's address that leads back to `path` (path and query) afterwards.
///
/// The start page is where sign-in leads anyway, and is not spelled out.
pub fn sign_in_path(path: &str) -> String {
    match checked(path) {
        "/" => SIGN_IN.to_owned(),
        path => format!("{SIGN_IN}?next={}", escape(path)),
    }
}

/// `path` if it may be gone to after signing in, else the start page.
///
/// The address bar is anybody's to write, so only paths of our own pages are followed: `//host`, `/\host` and
/// whatever else a browser takes for another site are not. Nor is the sign-in page itself, which would come
/// back for ever.
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
    fn our_own_pages_are_followed() {
        for path in ["/", "/recordings", "/recordings/abc?x=1#t", "/loginger"] {
            assert_eq!(checked(path), path);
        }
    }

    #[test]
    fn nothing_else_is() {
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
    fn the_way_back_survives_the_query() {
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
