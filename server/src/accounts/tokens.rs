//! Tokens of a sign-in: short-lived signed access tokens, and opaque refresh tokens.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sortie_api::Role;
use subtle::ConstantTimeEq as _;

use super::{TokenError, random};
use crate::digest::to_hex;

/// Largest difference between the clocks of servers on one database.
const FUTURE_LEEWAY: Duration = Duration::from_secs(5 * 60);
/// Lifetime of an access token.
pub(crate) const ACCESS_LIFE: Duration = Duration::from_secs(15 * 60);

const ISSUER: &str = "sortie";
/// Number of tokens per generation of [`ReadTokens`]; each takes about 600 bytes.
const RECENT_TOKENS: usize = 2048;

/// Claims of an access token (RFC 7519). A stored format: tokens outlive an update of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claims {
    iss: String,
    pub(super) sub: String,
    /// Sign-in id: the family of its refresh token.
    pub(super) sid: String,
    /// Roles at the time of issue.
    pub(super) roles: Vec<Role>,
    /// Unix time in s.
    iat: i64,
    /// Unix time in s.
    exp: i64,
}

/// Reason why an access token was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AccessTokenError {
    Expired,
    /// Not issued by this server.
    Invalid,
}

/// Validation of a token that this server has signed. The caller checks the times against the server's clock; the library
/// would read the machine's.
pub(super) fn validation(issuer: &str) -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_issuer(&[issuer]);
    validation.set_required_spec_claims(&["exp", "iss", "sub"]);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation
}

/// Signs and reads access tokens: JWT with HS256 only.
pub(super) struct AccessTokens {
    header: Header,
    signing: EncodingKey,
    reading: DecodingKey,
    validation: Validation,
    read: Mutex<ReadTokens>,
}

/// Claims of recently read tokens: a recorder sends the same token with each chunk, and checking its signature is a
/// sixth of the work for a small one. The times and the sign-in are checked for each request.
#[derive(Default)]
struct ReadTokens {
    recent: HashMap<Box<str>, Claims>,
    /// The [`RECENT_TOKENS`] tokens before those.
    older: HashMap<Box<str>, Claims>,
}

impl ReadTokens {
    fn get(&mut self, token: &str) -> Option<Claims> {
        if let Some(claims) = self.recent.get(token) {
            return Some(claims.clone());
        }
        let (token, claims) = self.older.remove_entry(token)?;
        self.insert(token, claims.clone());
        Some(claims)
    }

    fn insert(&mut self, token: Box<str>, claims: Claims) {
        if self.recent.len() >= RECENT_TOKENS {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(token, claims);
    }
}

impl AccessTokens {
    /// `secret`: at least 32 bytes (RFC 7518, 3.2).
    pub(super) fn new(secret: &[u8]) -> Self {
        Self {
            header: Header::new(Algorithm::HS256),
            signing: EncodingKey::from_secret(secret),
            reading: DecodingKey::from_secret(secret),
            validation: validation(ISSUER),
            read: Mutex::default(),
        }
    }

    /// Issues a token that is valid for [`ACCESS_LIFE`].
    pub(super) fn issue(
        &self,
        user_id: &str,
        family: &str,
        roles: &[Role],
        now_ms: i64,
    ) -> anyhow::Result<String> {
        let iat = now_ms.div_euclid(1000);
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: user_id.to_owned(),
            sid: family.to_owned(),
            roles: roles.to_vec(),
            iat,
            exp: iat.saturating_add_unsigned(ACCESS_LIFE.as_secs()),
        };
        Ok(jsonwebtoken::encode(&self.header, &claims, &self.signing)?)
    }

    /// Derives the successor of a refresh token. It depends on that token only, so that two requests with the same
    /// token receive the same successor, and a sign-in is one chain.
    pub(super) fn successor(&self, family: &str, refresh_token: &str) -> anyhow::Result<String> {
        // An access token cannot contain a signature of such a text, because its signed text begins with an encoded
        // header.
        let message = format!("refresh {refresh_token}");
        let secret =
            jsonwebtoken::crypto::sign(message.as_bytes(), &self.signing, Algorithm::HS256)?;
        self.with_mac(format!("{family}.{secret}"))
    }

    /// Generates a refresh token of a sign-in: its id, 256 random bits and a MAC. The MAC distinguishes a token whose
    /// row is deleted from a forged one.
    pub(super) fn new_refresh_token(&self, family: &str) -> anyhow::Result<String> {
        self.with_mac(format!("{family}.{}", random::token()?))
    }

    fn with_mac(&self, token: String) -> anyhow::Result<String> {
        let mac = self.mac(&token)?;
        Ok(format!("{token}.{mac}"))
    }

    fn mac(&self, token: &str) -> anyhow::Result<String> {
        let message = format!("issued {token}");
        Ok(jsonwebtoken::crypto::sign(
            message.as_bytes(),
            &self.signing,
            Algorithm::HS256,
        )?)
    }

    /// Returns the sign-in of a refresh token that this server has issued, spent or not. `None` for a forged token and
    /// for one of an earlier version, which has no MAC.
    pub(super) fn family_of_issued<'t>(&self, refresh_token: &'t str) -> Option<&'t str> {
        let (token, mac) = refresh_token.rsplit_once('.')?;
        let (family, _) = token.split_once('.')?;
        let expected = self.mac(token).ok()?;
        bool::from(expected.as_bytes().ct_eq(mac.as_bytes())).then_some(family)
    }

    /// Returns the claims of a valid token of this server.
    pub(super) fn read(&self, token: &str, now_ms: i64) -> Result<Claims, AccessTokenError> {
        let read = || self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let known = read().get(token);
        let claims = match known {
            Some(claims) => claims,
            None => {
                let claims: Claims = jsonwebtoken::decode(token, &self.reading, &self.validation)
                    .map_err(|_| AccessTokenError::Invalid)?
                    .claims;
                read().insert(token.into(), claims.clone());
                claims
            }
        };
        let now = now_ms.div_euclid(1000);
        if now >= claims.exp || is_issued_in_the_future(claims.iat, now) {
            Err(AccessTokenError::Expired)
        } else {
            Ok(claims)
        }
    }
}

/// Whether a token was issued by a clock that was ahead: otherwise it would stay valid for that long after a
/// correction.
pub(super) fn is_issued_in_the_future(iat: i64, now: i64) -> bool {
    iat > now.saturating_add_unsigned(FUTURE_LEEWAY.as_secs())
}

/// Reads a token that this server has signed and that is valid at `now_ms`. `times` returns `iat` and `exp` in s.
pub(super) fn read_signed<C: DeserializeOwned>(
    token: &str,
    key: &DecodingKey,
    validation: &Validation,
    now_ms: i64,
    times: impl Fn(&C) -> (i64, i64),
) -> Result<C, TokenError> {
    let data = jsonwebtoken::decode::<C>(token, key, validation);
    let data = data.map_err(|_| TokenError::Invalid)?;
    if data.header.crit.is_some() {
        return Err(TokenError::Invalid);
    }
    let ((iat, exp), now) = (times(&data.claims), now_ms.div_euclid(1000));
    if now >= exp || is_issued_in_the_future(iat, now) {
        return Err(TokenError::Expired);
    }
    Ok(data.claims)
}

/// Hash under which a token is stored and found. One round of SHA-256 is enough for random tokens.
pub(super) fn token_hash(token: &str) -> String {
    to_hex(&Sha256::digest(token))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    #[test]
    fn token_of_a_clock_ahead_is_refused_after_the_correction() {
        let tokens = AccessTokens::new(b"a secret of more than 32 bytes, for tests");
        let now_ms = 1_795_253_400_000;
        let token = tokens
            .issue("ann", "family", &[Role::User], now_ms)
            .expect("a token");
        let read = |now_ms| tokens.read(&token, now_ms).is_ok();
        assert!(read(now_ms));
        assert!(read(now_ms - 300_000));
        assert!(!read(now_ms - 301_000));
        assert!(!read(now_ms - 400 * 24 * 60 * 60 * 1000));
    }

    const NOW: i64 = 1_795_253_400_250;
    const LIFE_MS: i64 = 15 * 60 * 1000;

    fn tokens() -> AccessTokens {
        AccessTokens::new(b"0123456789abcdef0123456789abcdef")
    }

    #[test]
    fn token_identifies_its_user_until_it_expires() {
        let token = tokens()
            .issue("u1", "f1", &[Role::User, Role::Admin], NOW)
            .unwrap();
        let claims = tokens().read(&token, NOW + LIFE_MS - 1000).unwrap();
        assert_eq!((claims.sub.as_str(), claims.sid.as_str()), ("u1", "f1"));
        assert_eq!(claims.roles, [Role::User, Role::Admin]);
        assert_eq!(
            tokens().read(&token, NOW + LIFE_MS),
            Err(AccessTokenError::Expired)
        );
    }

    #[test]
    fn number_of_kept_tokens_is_bounded() {
        let tokens = tokens();
        let issue = |user: usize| tokens.issue(&user.to_string(), "f1", &[], NOW).unwrap();
        let first = issue(0);
        for user in 0..3 * RECENT_TOKENS {
            let claims = tokens.read(&issue(user), NOW).unwrap();
            assert_eq!(claims.sub, user.to_string());
            assert_eq!(tokens.read(&first, NOW).unwrap().sub, "0");
        }
        let read = tokens.read.lock().unwrap();
        assert!(read.recent.len() + read.older.len() <= 2 * RECENT_TOKENS);
        assert!(
            read.recent.contains_key(first.as_str()) || read.older.contains_key(first.as_str())
        );
    }

    #[test]
    fn token_is_a_standard_jwt() {
        let token = tokens().issue("u1", "f1", &[Role::User], NOW).unwrap();
        let parts: Vec<serde_json::Value> = token
            .split('.')
            .take(2)
            .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
            .collect();
        assert_eq!(parts[0], serde_json::json!({"typ": "JWT", "alg": "HS256"}));
        assert_eq!(
            parts[1],
            serde_json::json!({
                "iss": "sortie", "sub": "u1", "sid": "f1", "roles": ["user"],
                "iat": 1_795_253_400, "exp": 1_795_254_300,
            })
        );
    }

    #[test]
    fn token_of_another_issuer_is_refused() {
        let ours = tokens();
        let good = ours.issue("u1", "f1", &[Role::User], NOW).unwrap();
        let (head, signature) = good.rsplit_once('.').unwrap();
        let (header, payload) = head.split_once('.').unwrap();
        let encode = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = |header: Header, claims: serde_json::Value, secret: &[u8]| {
            jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(secret)).unwrap()
        };
        let claims = |iss: &str| serde_json::json!({"iss": iss, "sub": "u1", "sid": "f1", "roles": ["admin"], "iat": 1, "exp": 9_999_999_999_i64});
        let secret = b"0123456789abcdef0123456789abcdef";
        // Valid signature, so that each case below is refused for its own reason.
        assert!(
            ours.read(
                &signed(Header::new(Algorithm::HS256), claims("sortie"), secret),
                NOW
            )
            .is_ok()
        );
        for (why, token) in [
            (
                "another secret",
                signed(
                    Header::new(Algorithm::HS256),
                    claims("sortie"),
                    b"another secret of enough bytes..",
                ),
            ),
            (
                "another issuer",
                signed(Header::new(Algorithm::HS256), claims("other"), secret),
            ),
            (
                "another algorithm",
                signed(Header::new(Algorithm::HS512), claims("sortie"), secret),
            ),
            (
                "no algorithm",
                format!("{}.{payload}.", encode(serde_json::json!({"alg": "none"}))),
            ),
            (
                "another payload",
                format!("{header}.{}.{signature}", encode(claims("sortie"))),
            ),
            ("no signature", head.to_owned()),
            ("nothing", String::new()),
            ("no token", "a.b.c".to_owned()),
        ] {
            assert_eq!(
                ours.read(&token, NOW),
                Err(AccessTokenError::Invalid),
                "{why}"
            );
        }
    }

    #[test]
    fn token_is_stored_as_its_sha_256() {
        // FIPS 180-2, appendix B.1.
        assert_eq!(
            token_hash("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
