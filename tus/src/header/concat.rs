//! `Upload-Concat` (*Concatenation* extension).

use std::fmt;

use super::HeaderError;

/// Limit of parts in a final upload; more do not fit into a request header of usual size.
const MAX_PARTS: usize = 1_000;

/// Role of an upload in a concatenation. Displays as the header value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Concat {
    /// A part of a later final upload.
    Partial,
    /// The concatenation of these uploads, at least one: URLs as sent by the client, absolute or paths.
    Final(Vec<String>),
}

impl Concat {
    /// Parses a header value: `partial`, or `final;` and URLs separated by single spaces.
    ///
    /// # Errors
    /// Any other form, no parts, or more than 1,000 parts.
    pub fn parse(value: &str) -> Result<Self, HeaderError> {
        let wrong = HeaderError {
            header: "Upload-Concat",
            problem: "must be partial, or final; followed by 1 to 1000 upload URLs separated by spaces",
        };
        if value == "partial" {
            return Ok(Self::Partial);
        }
        let list = value.strip_prefix("final;").ok_or(wrong)?;
        // The specification's example has no space after the semicolon; some clients send one.
        let parts: Vec<String> = list.trim_start().split(' ').map(str::to_owned).collect();
        let fine = parts.len() <= MAX_PARTS
            && parts
                .iter()
                .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic()));
        if fine {
            Ok(Self::Final(parts))
        } else {
            Err(wrong)
        }
    }
}

impl fmt::Display for Concat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partial => f.write_str("partial"),
            Self::Final(parts) => write!(f, "final;{}", parts.join(" ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_roles_are_parsed_and_formatted() {
        assert_eq!(Concat::parse("partial"), Ok(Concat::Partial));
        let value = "final;/files/a https://tus.example.org/files/b";
        let concat = Concat::parse(value).expect("a final upload of two parts");
        assert_eq!(
            concat,
            Concat::Final(vec![
                "/files/a".to_owned(),
                "https://tus.example.org/files/b".to_owned()
            ])
        );
        assert_eq!(concat.to_string(), value);
        assert_eq!(
            Concat::parse("final; /files/a"),
            Ok(Concat::Final(vec!["/files/a".to_owned()]))
        );
    }

    #[test]
    fn other_values_are_rejected() {
        for wrong in [
            "",
            "Partial",
            "partial;",
            "final",
            "final;",
            "final;a  b",
            "final;a ",
            "final;a\tb",
        ] {
            assert!(Concat::parse(wrong).is_err(), "{wrong:?}");
        }
        let many = format!("final;{}", vec!["a"; MAX_PARTS + 1].join(" "));
        assert!(Concat::parse(&many).is_err());
    }
}
