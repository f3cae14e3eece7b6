//! Secrets from the operating system's random numbers.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRng as _;
use rand::rngs::SysRng;

use crate::digest::to_hex;

/// 32 characters without similar ones (no l, o, 0, 1): five bits each.
const UNAMBIGUOUS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

pub(super) fn bytes<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes)?;
    Ok(bytes)
}

/// Returns `N` random bytes in hex.
pub(super) fn hex<const N: usize>() -> anyhow::Result<String> {
    Ok(to_hex(&bytes::<N>()?))
}

/// Returns 256 random bits in characters that are safe in headers, cookies and JSON.
pub(super) fn token() -> anyhow::Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(bytes::<32>()?))
}

/// Returns `N` random letters and digits: 5.95 bits each.
pub(super) fn base62<const N: usize>() -> anyhow::Result<String> {
    const SIGNS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = String::with_capacity(N);
    while text.len() < N {
        // Skips the last eight of a byte's 256 values, which would make eight characters more likely than the others.
        let signs = bytes::<32>()?
            .into_iter()
            .filter(|byte| *byte < 248)
            .map(|byte| char::from(SIGNS[usize::from(byte % 62)]));
        text.extend(signs.take(N - text.len()));
    }
    Ok(text)
}

/// Returns a password for reading and typing: four groups of five characters, 100 bits.
pub(super) fn readable_password() -> anyhow::Result<String> {
    let mut password = String::new();
    for (at, byte) in bytes::<20>()?.into_iter().enumerate() {
        if at > 0 && at % 5 == 0 {
            password.push('-');
        }
        password.push(char::from(UNAMBIGUOUS[usize::from(byte % 32)]));
    }
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readable_password_has_four_groups_of_five() {
        let password = readable_password().unwrap();
        let groups: Vec<_> = password.split('-').map(str::len).collect();
        assert_eq!(groups, [5; 4], "{password}");
        assert!(
            password
                .bytes()
                .all(|sign| sign == b'-' || UNAMBIGUOUS.contains(&sign)),
            "{password}"
        );
        assert_ne!(password, readable_password().unwrap());
    }

    #[test]
    fn token_has_256_bits_and_needs_no_escaping() {
        let token = token().unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(&token).unwrap().len(), 32);
        assert!(
            token
                .bytes()
                .all(|sign| sign.is_ascii_alphanumeric() || b"-_".contains(&sign))
        );
    }

    #[test]
    fn base62_has_the_requested_length_and_alphabet() {
        let text = base62::<40>().unwrap();
        assert_eq!(text.len(), 40);
        assert!(
            text.bytes().all(|sign| sign.is_ascii_alphanumeric()),
            "{text}"
        );
        assert_ne!(text, base62::<40>().unwrap());
    }
}
