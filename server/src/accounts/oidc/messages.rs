//! Messages between browser, server and OpenID provider.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::claims::Claims;
use super::super::external_users::External;

/// Login state in a signed cookie while the user is at the provider.
#[derive(Serialize, Deserialize)]
pub(super) struct LoginState {
    pub(super) iss: String,
    /// Unix time in s.
    pub(super) exp: i64,
    /// Returned with the answer; ties it to this browser.
    pub(super) state: String,
    /// Returned in the ID token; ties it to this attempt.
    pub(super) nonce: String,
    /// PKCE verifier: proves that the redeemer of the code has requested it.
    pub(super) verifier: String,
    /// Path to return to.
    pub(super) return_to: String,
}

/// Parameters of the provider's redirect.
#[derive(Default, Deserialize)]
pub(crate) struct Answer {
    pub(super) code: Option<String>,
    pub(super) state: Option<String>,
    pub(super) iss: Option<String>,
    pub(super) error: Option<String>,
}

/// Metadata of the provider (OpenID Connect Discovery 1.0, section 3).
#[derive(Deserialize)]
pub(super) struct Metadata {
    pub(super) issuer: String,
    pub(super) authorization_endpoint: String,
    pub(super) token_endpoint: String,
    pub(super) userinfo_endpoint: Option<String>,
    pub(super) jwks_uri: String,
    pub(super) token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

/// Claims of the user info endpoint.
#[derive(PartialEq)]
pub(super) enum UserInfo {
    /// The provider has no such endpoint.
    None,
    /// The endpoint did not answer, or answered about another subject.
    Missing,
    Claims(Claims),
}

/// Answer of the token endpoint (RFC 6749, section 5.1).
#[derive(Deserialize)]
pub(super) struct TokenAnswer {
    pub(super) id_token: Option<String>,
    pub(super) access_token: Option<String>,
    pub(super) refresh_token: Option<String>,
    /// Seconds; some providers write them as text.
    pub(super) expires_in: Option<Value>,
}

/// Tokens and identifiers that the provider has granted with a sign-in.
pub(in crate::accounts) struct Grant {
    pub(super) subject: String,
    /// Empty: none.
    pub(super) provider_sid: String,
    /// Empty: none.
    pub(super) refresh_token: String,
    /// Empty: none.
    pub(super) access_token: String,
    /// Unix time in ms; 0: unknown.
    pub(super) access_expires_ms: i64,
    /// Whether roles or admission depend on claims that only the ID token has.
    pub(super) needs_id_token: bool,
}

/// Answer of the provider about an earlier sign-in.
pub(in crate::accounts) enum Outcome {
    /// The user may stay signed in; with the current claims, if the provider returned any.
    Confirmed(Option<External>),
    /// The user may not stay signed in.
    Denied(String),
    /// The provider does not answer.
    Unreachable(String),
    /// No token remains that the provider would accept.
    Unknowable(&'static str),
}
