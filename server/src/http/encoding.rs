//! Content negotiation on `Accept-Encoding` (RFC 9110, 12.5.3).

use axum::http::{HeaderMap, header};

/// Content coding of a response body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Brotli,
    Gzip,
    Identity,
}

impl Encoding {
    /// Value of `Content-Encoding`; `None` for identity.
    pub(crate) fn content_coding(self) -> Option<&'static str> {
        match self {
            Self::Brotli => Some("br"),
            Self::Gzip => Some("gzip"),
            Self::Identity => None,
        }
    }
}

/// Weights of the supported codings in thousandths, 0–1000; `None` if not listed.
#[derive(Default)]
struct Weights {
    brotli: Option<u16>,
    gzip: Option<u16>,
    identity: Option<u16>,
    any: Option<u16>,
}

/// Returns the available encoding with the highest weight; equal weights prefer the smaller body.
///
/// Falls back to `identity` when the client accepts nothing: a file is more useful than a 406.
pub(crate) fn choose<'a>(
    accept: impl Iterator<Item = &'a str>,
    has_brotli: bool,
    has_gzip: bool,
) -> Encoding {
    let mut weights = Weights::default();
    for item in accept.flat_map(|line| line.split(',')) {
        let (coding, weight) = parse(item);
        let weight_of = match coding.to_ascii_lowercase().as_str() {
            "br" => &mut weights.brotli,
            "gzip" | "x-gzip" => &mut weights.gzip,
            "identity" => &mut weights.identity,
            "*" => &mut weights.any,
            _ => continue,
        };
        *weight_of = Some(weight);
    }
    let weight = |named: Option<u16>| named.or(weights.any).unwrap_or(0);
    let brotli = if has_brotli {
        weight(weights.brotli)
    } else {
        0
    };
    let gzip = if has_gzip { weight(weights.gzip) } else { 0 };
    // Unless listed, identity is acceptable but never preferred.
    let identity = weights.identity.unwrap_or(0);
    if brotli > 0 && brotli >= gzip && brotli >= identity {
        Encoding::Brotli
    } else if gzip > 0 && gzip >= identity {
        Encoding::Gzip
    } else {
        Encoding::Identity
    }
}

/// Whether the client accepts gzip and prefers it to an uncompressed response.
pub(in crate::http) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accept = headers.get_all(header::ACCEPT_ENCODING).iter();
    let accept = accept.filter_map(|line| line.to_str().ok());
    choose(accept, false, true) == Encoding::Gzip
}

/// Coding and weight in thousandths; the weight is 1000 by default and 0 if it is malformed.
fn parse(item: &str) -> (&str, u16) {
    let mut parts = item.split(';').map(str::trim);
    let coding = parts.next().unwrap_or_default();
    let weight = parts
        .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
        .map_or(1000, |q| thousandths(q).unwrap_or(0));
    (coding, weight)
}

/// Reads `0`, `1`, `0.5`, `0.125` (RFC 9110, 12.4.2).
fn thousandths(q: &str) -> Option<u16> {
    let (whole, fraction) = q.split_once('.').unwrap_or((q, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let fraction: u16 = format!("{fraction:0<3}").parse().ok()?;
    match (whole, fraction) {
        ("0", _) => Some(fraction),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accept: &[&str], expected: Encoding) {
        assert_eq!(
            choose(accept.iter().copied(), true, true),
            expected,
            "{accept:?}"
        );
    }

    #[test]
    fn encoding_with_the_highest_weight_is_chosen() {
        check(&[], Encoding::Identity);
        check(&["gzip, deflate, br, zstd"], Encoding::Brotli);
        check(&["gzip", "br"], Encoding::Brotli);
        check(&["gzip, deflate"], Encoding::Gzip);
        check(&["GZIP"], Encoding::Gzip);
        check(&["br;q=0.5, gzip;q=0.8"], Encoding::Gzip);
        check(&["br;q=0.80,gzip;q=0.8"], Encoding::Brotli);
        check(&["br;q=0, gzip;q=0.001"], Encoding::Gzip);
        check(&["br; q=0, gzip; q=0"], Encoding::Identity);
        check(&["*"], Encoding::Brotli);
        check(&["br;q=0, *;q=0.1"], Encoding::Gzip);
        check(&["identity, *;q=0.5"], Encoding::Identity);
        check(&["identity;q=0, *;q=0"], Encoding::Identity);
        check(&["br;q=2, gzip;q=abc, deflate"], Encoding::Identity);
        check(&["br;q=1.001"], Encoding::Identity);
        check(&["zstd"], Encoding::Identity);
        check(&[",,;q=, ;"], Encoding::Identity);
    }

    #[test]
    fn unavailable_encoding_is_not_chosen() {
        let accept = || ["br, gzip;q=0.5"].into_iter();
        assert_eq!(choose(accept(), false, true), Encoding::Gzip);
        assert_eq!(choose(accept(), true, false), Encoding::Brotli);
        assert_eq!(choose(accept(), false, false), Encoding::Identity);
    }
}
