//! Protocol extensions of a server.

use crate::header::comma_separated;

/// A protocol extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Extension {
    /// `POST` creates an upload.
    Creation,
    /// An upload may be created before its length is known.
    CreationDeferLength,
    /// The creating `POST` may carry the first bytes.
    CreationWithUpload,
    /// `DELETE` terminates an upload.
    Termination,
    /// Incomplete uploads expire at an announced time.
    Expiration,
    /// Bodies may carry a checksum.
    Checksum,
    /// Uploads may be concatenated.
    Concatenation,
}

impl Extension {
    /// All extensions, in the order in which they are announced.
    pub const ALL: [Self; 7] = [
        Self::Creation,
        Self::CreationDeferLength,
        Self::CreationWithUpload,
        Self::Termination,
        Self::Expiration,
        Self::Checksum,
        Self::Concatenation,
    ];

    /// Returns the name used in `Tus-Extension`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Creation => "creation",
            Self::CreationDeferLength => "creation-defer-length",
            Self::CreationWithUpload => "creation-with-upload",
            Self::Termination => "termination",
            Self::Expiration => "expiration",
            Self::Checksum => "checksum",
            Self::Concatenation => "concatenation",
        }
    }
}

/// A set of extensions.
///
/// ```
/// use sortie_tus::server::{Extension, Extensions};
/// let offered = Extensions::from_iter([Extension::Termination, Extension::Creation]);
/// assert!(offered.contains(Extension::Creation));
/// assert_eq!(offered.header_value(), "creation,termination");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extensions(u8);

impl Extensions {
    /// No extensions, only the core protocol.
    pub const NONE: Self = Self(0);

    /// Returns the set with `extension` added.
    #[must_use]
    pub const fn with(self, extension: Extension) -> Self {
        Self(self.0 | (1 << extension as u8))
    }

    /// Whether the set contains `extension`.
    pub const fn contains(self, extension: Extension) -> bool {
        self.0 & (1 << extension as u8) != 0
    }

    /// Returns the value of `Tus-Extension`. An empty value should not be sent (*Core Protocol, Tus-Extension*).
    pub fn header_value(self) -> String {
        comma_separated(
            Extension::ALL
                .into_iter()
                .filter(|extension| self.contains(*extension))
                .map(Extension::name),
        )
    }
}

impl FromIterator<Extension> for Extensions {
    fn from_iter<I: IntoIterator<Item = Extension>>(extensions: I) -> Self {
        extensions.into_iter().fold(Self::NONE, Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_and_empty_sets_are_formatted() {
        assert_eq!(Extensions::NONE.header_value(), "");
        assert_eq!(
            Extensions::from_iter(Extension::ALL).header_value(),
            "creation,creation-defer-length,creation-with-upload,termination,expiration,checksum,concatenation"
        );
        let all_but_one = Extensions::from_iter(Extension::ALL.into_iter().skip(1));
        assert!(!all_but_one.contains(Extension::Creation));
        assert!(all_but_one.contains(Extension::Concatenation));
    }
}
