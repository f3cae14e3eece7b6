//! Signatures of Standard Webhooks: HMAC-SHA256 over ID, time and body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::TryRng as _;
use rand::rngs::SysRng;
use sha2::Sha256;

use crate::config::Secret;

/// Prefix of a secret, by which secret scanners recognise it.
const PREFIX: &str = "whsec_";
/// Random bytes of a secret.
const SECRET_BYTES: usize = 32;

/// Creates a random secret of 256 bits.
pub(crate) fn new_secret() -> anyhow::Result<Secret> {
    let mut bytes = [0; SECRET_BYTES];
    SysRng.try_fill_bytes(&mut bytes)?;
    Ok(Secret::from(format!("{PREFIX}{}", STANDARD.encode(bytes))))
}

/// Returns the header `webhook-signature`: one signature for each secret, separated by spaces.
pub(super) fn header<'a>(
    secrets: impl Iterator<Item = &'a Secret>,
    id: &str,
    unix_seconds: i64,
    body: &str,
) -> anyhow::Result<String> {
    let signatures = secrets.map(|secret| sign(secret, id, unix_seconds, body));
    Ok(signatures.collect::<anyhow::Result<Vec<_>>>()?.join(" "))
}

fn sign(secret: &Secret, id: &str, unix_seconds: i64, body: &str) -> anyhow::Result<String> {
    let key = secret
        .expose()
        .strip_prefix(PREFIX)
        .and_then(|text| STANDARD.decode(text).ok())
        .ok_or_else(|| anyhow::anyhow!("the stored secret is no {PREFIX} secret"))?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key)?;
    mac.update(format!("{id}.{unix_seconds}.").as_bytes());
    mac.update(body.as_bytes());
    Ok(format!(
        "v1,{}",
        STANDARD.encode(mac.finalize().into_bytes())
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Example of the specification.
    #[test]
    fn signature_matches_the_example_of_the_specification() {
        let secret = Secret::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
        let body = r#"{"test": 2432232314}"#;
        let header = header(
            std::iter::once(&secret),
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            body,
        );
        assert_eq!(
            header.unwrap(),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn secrets_differ_and_have_32_bytes() {
        let (one, other) = (new_secret().unwrap(), new_secret().unwrap());
        assert!(one != other);
        let bytes = one.expose().strip_prefix(PREFIX).unwrap();
        assert_eq!(STANDARD.decode(bytes).unwrap().len(), SECRET_BYTES);
    }
}
