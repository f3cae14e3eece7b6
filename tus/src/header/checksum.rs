//! `Upload-Checksum` (*Checksum* extension): parsing and formatting. The caller computes checksums.

use std::fmt;

use base64ct::{Base64, Encoding};

use super::HeaderError;

/// Checksum algorithm of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChecksumAlgorithm {
    /// SHA-1, mandatory for servers with the extension (*Checksum*).
    Sha1,
    /// SHA-256, a 32-byte digest.
    Sha256,
    /// CRC-32C (Castagnoli), with a big-endian digest.
    Crc32c,
}

impl ChecksumAlgorithm {
    /// All algorithms, in the order in which they are announced.
    pub const ALL: [Self; 3] = [Self::Sha1, Self::Sha256, Self::Crc32c];

    /// Returns the name used in headers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Crc32c => "crc32c",
        }
    }

    /// Returns the length of a digest in bytes.
    pub fn digest_bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Crc32c => 4,
        }
    }
}

impl fmt::Display for ChecksumAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Expected checksum of a body. Displays as the header value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    algorithm: ChecksumAlgorithm,
    digest: Vec<u8>,
}

impl Checksum {
    /// Creates a checksum; `None` if the digest does not have the algorithm's length.
    pub fn new(algorithm: ChecksumAlgorithm, digest: Vec<u8>) -> Option<Self> {
        (digest.len() == algorithm.digest_bytes()).then_some(Self { algorithm, digest })
    }

    /// Parses a header value: algorithm, one space, digest in base64.
    ///
    /// # Errors
    /// An unknown algorithm, invalid base64, a digest of the wrong length, or any other form.
    pub fn parse(value: &str) -> Result<Self, HeaderError> {
        let wrong = |problem| HeaderError {
            header: "Upload-Checksum",
            problem,
        };
        let (name, digest) = value.split_once(' ').ok_or_else(|| {
            wrong("must be the name of an algorithm, one space and the digest in base64")
        })?;
        let algorithm = ChecksumAlgorithm::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
            .ok_or_else(|| wrong("must name one of the algorithms sha1, sha256 and crc32c"))?;
        let digest = Base64::decode_vec(digest)
            .map_err(|_| wrong("must have its digest in padded base64"))?;
        Self::new(algorithm, digest).ok_or_else(|| {
            wrong("must have a digest of 20 bytes for sha1, 32 for sha256 or 4 for crc32c")
        })
    }

    /// Returns the algorithm of the checksum.
    pub fn algorithm(&self) -> ChecksumAlgorithm {
        self.algorithm
    }

    /// Returns the expected digest, of the algorithm's length.
    pub fn digest(&self) -> &[u8] {
        &self.digest
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = Base64::encode_string(&self.digest);
        write!(f, "{} {digest}", self.algorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn example_of_the_specification_is_parsed() {
        let value = "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=";
        let checksum = Checksum::parse(value).expect("the specification's own example");
        assert_eq!(checksum.algorithm(), ChecksumAlgorithm::Sha1);
        assert_eq!(checksum.digest()[..3], [0x2a, 0xae, 0x6c]);
        assert_eq!(checksum.to_string(), value);
    }

    #[test]
    fn errors_name_the_rule() {
        #[track_caller]
        fn check(value: &str, expected: &str) {
            let text = Checksum::parse(value).expect_err(value).to_string();
            assert!(text.contains(expected), "{value:?}: {text}");
        }
        check("", "one space");
        check("sha1", "one space");
        check("md5 1B2M2Y8AsgTpgAmY7PhCfg==", "sha1, sha256 and crc32c");
        check(
            "SHA1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=",
            "sha1, sha256 and crc32c",
        );
        check("sha1 Kq5sNclPz7QV2-lfQIuc6R7oRu0=", "base64");
        check("sha1  Kq5sNclPz7QV2+lfQIuc6R7oRu0=", "base64");
        check("sha1 Kq5s", "20 bytes");
        check("crc32c AAAA", "4 for crc32c");
    }
}
