//! Encryption of other parties' secrets before they are stored, so that a copy of the database alone does not reveal
//! them.
//!
//! The key is derived from the signing secret. A generated secret is stored in the same database, and encryption then
//! protects partial copies only; set `SORTIE_JWT_SECRET` to keep it elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::{Digest as _, Sha256};

use super::random;

/// Separates this key from other uses of the secret.
const PURPOSE: &[u8] = b"sortie: seal the tokens of an OpenID provider\0";

pub(super) struct Sealing(LessSafeKey);

impl Sealing {
    /// `secret`: at least 32 random bytes.
    pub(super) fn new(secret: &[u8]) -> anyhow::Result<Self> {
        let key = Sha256::new().chain_update(PURPOSE).chain_update(secret);
        let key = UnboundKey::new(&AES_256_GCM, &key.finalize())
            .map_err(|_| anyhow::anyhow!("a sealing key cannot be created"))?;
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Seals a text for one `place`: it cannot be opened for another. An empty text stays empty.
    pub(super) fn seal(&self, text: &str, place: &str) -> anyhow::Result<String> {
        if text.is_empty() {
            return Ok(String::new());
        }
        let nonce = random::bytes::<NONCE_LEN>()?;
        let mut sealed = text.as_bytes().to_vec();
        self.0
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place),
                &mut sealed,
            )
            .map_err(|_| anyhow::anyhow!("sealing failed"))?;
        Ok(STANDARD_NO_PAD.encode([&nonce[..], &sealed].concat()))
    }

    /// Opens a text sealed for this place; `None` if it was sealed for another place or with another secret.
    pub(super) fn open(&self, sealed: &str, place: &str) -> Option<String> {
        if sealed.is_empty() {
            return Some(String::new());
        }
        let bytes = STANDARD_NO_PAD.decode(sealed).ok()?;
        let (nonce, text) = bytes.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let opened = self
            .0
            .open_in_place(nonce, Aad::from(place), &mut text)
            .ok()?;
        String::from_utf8(opened.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_text_opens_only_for_its_place_and_unmodified() {
        let sealing = Sealing::new(b"0123456789abcdef0123456789abcdef").unwrap();
        let sealed = sealing.seal("refresh me", "a").unwrap();
        assert!(!sealed.contains("refresh"));
        assert_ne!(sealed, sealing.seal("refresh me", "a").unwrap());
        assert_eq!(sealing.open(&sealed, "a").as_deref(), Some("refresh me"));
        assert_eq!(sealing.open(&sealed, "b"), None);
        let other = Sealing::new(b"another secret of enough bytes..").unwrap();
        assert_eq!(other.open(&sealed, "a"), None);
        let mut changed = sealed.into_bytes();
        changed[20] ^= 1;
        assert_eq!(
            sealing.open(std::str::from_utf8(&changed).unwrap(), "a"),
            None
        );
        assert_eq!(sealing.open("x", "a"), None);
        assert_eq!(sealing.seal("", "a").unwrap(), "");
        assert_eq!(sealing.open("", "a").as_deref(), Some(""));
    }
}
