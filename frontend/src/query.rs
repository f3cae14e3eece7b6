//! Construction and parsing of query strings.

/// Appends parameters to `base`, which may have a query already. Empty values are omitted.
pub fn address(base: &str, parameters: &[(&str, &str)]) -> String {
    let mut address = base.to_owned();
    let mut separator = if base.contains('?') { '&' } else { '?' };
    for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
        address.push(separator);
        address.push_str(name);
        address.push('=');
        address.push_str(&escape(value));
        separator = '&';
    }
    address
}

/// Returns the raw value of a query parameter.
pub fn parameter<'a>(address: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = address.split_once('?')?;
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .into_iter()
        .find_map(|(key, value)| (key == name).then_some(value))
}

/// Percent-encodes a query value (RFC 3986, section 3.4); slashes stay readable.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_parameters_are_omitted() {
        for (parameters, expected) in [
            (&[][..], "/api/recordings"),
            (&[("q", ""), ("status", "")], "/api/recordings"),
            (
                &[("q", "a&b=c +é"), ("status", ""), ("sort", "size")],
                "/api/recordings?q=a%26b%3Dc%20%2B%C3%A9&sort=size",
            ),
        ] {
            assert_eq!(address("/api/recordings", parameters), expected);
        }
        assert_eq!(
            address("/api/recordings?limit=5", &[("q", "x")]),
            "/api/recordings?limit=5&q=x"
        );
    }

    #[test]
    fn parameter_is_found() {
        let address = "/api/recordings?limit=50&cursor=ab-_.1";
        assert_eq!(parameter(address, "cursor"), Some("ab-_.1"));
        assert_eq!(parameter(address, "curs"), None);
        assert_eq!(parameter("/api/recordings", "cursor"), None);
    }
}
