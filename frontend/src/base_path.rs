//! Path prefix of a server behind a reverse proxy.

/// Path of the server, such as `/record`; empty at the root of a host.
///
/// The pages write all paths from the root of the server (`/recordings`, `/api/info`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BasePath(String);

impl BasePath {
    /// Reads the prefix from the path of the document's base address, which ends with a slash.
    pub fn of_base(path: &str) -> Self {
        Self(path.trim_end_matches('/').to_owned())
    }

    /// The prefix as a string.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Converts a path of the server to the browser's path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// Converts a path of the browser to the server's path; `None` outside of the prefix.
    pub fn strip<'a>(&self, url: &'a str) -> Option<&'a str> {
        match url.strip_prefix(&self.0)? {
            "" => Some("/"),
            path if path.starts_with('/') => Some(path),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_is_added_and_stripped() {
        for (base, path, url) in [
            ("/", "/", "/"),
            ("/", "/recordings?a=b", "/recordings?a=b"),
            ("/x/y/", "/", "/x/y/"),
            ("/x/y/", "/api/info", "/x/y/api/info"),
        ] {
            let base = BasePath::of_base(base);
            assert_eq!(base.url(path), url);
            assert_eq!(base.strip(url), Some(path));
        }
    }

    #[test]
    fn path_outside_of_the_prefix_is_not_stripped() {
        let base = BasePath::of_base("/record/");
        assert_eq!(base.strip("/record"), Some("/"));
        for url in ["/", "/recordings", "/x/record/"] {
            assert_eq!(base.strip(url), None, "{url}");
        }
    }
}
