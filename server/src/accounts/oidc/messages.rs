//! Messages between browser, server and OpenID provider.

use serde::Deserialize;
use serde_json::Value;

use crate::accounts::claims::Claims;

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
