//! Tokens of the provider, stored encrypted with their sign-ins.

use std::sync::Arc;

use serde_json::Value;

use super::error::OidcError;
use super::messages::TokenAnswer;
use crate::accounts::error::IssueError;
use crate::accounts::sealing::Sealing;
use crate::clock::Clock;
use crate::config::OidcConfig;
use crate::db::{Database, OidcSignInRow};

/// Tokens and identifiers that the provider has granted with a sign-in.
pub(super) struct Grant {
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

impl Grant {
    /// Grant of an answer, without the identifiers of its ID token.
    pub(super) fn new(tokens: &TokenAnswer, now_ms: i64) -> Self {
        let life = match &tokens.expires_in {
            Some(Value::Number(seconds)) => seconds.as_i64(),
            Some(Value::String(seconds)) => seconds.parse().ok(),
            _ => None,
        };
        Self {
            subject: String::new(),
            provider_sid: String::new(),
            refresh_token: tokens.refresh_token.clone().unwrap_or_default(),
            access_token: tokens.access_token.clone().unwrap_or_default(),
            access_expires_ms: life.map_or(0, |seconds| {
                now_ms.saturating_add(seconds.saturating_mul(1000))
            }),
            needs_id_token: false,
        }
    }
}

/// Stores grants.
pub(super) struct Grants {
    config: Arc<OidcConfig>,
    database: Database,
    clock: Arc<dyn Clock>,
    sealing: Sealing,
}

impl Grants {
    /// `secret`: at least 32 random bytes.
    pub(super) fn new(
        config: Arc<OidcConfig>,
        database: Database,
        clock: Arc<dyn Clock>,
        secret: &[u8],
    ) -> anyhow::Result<Self> {
        Ok(Self {
            config,
            database,
            clock,
            sealing: Sealing::new(secret)?,
        })
    }

    /// Stores the data of a sign-in that later checks need.
    pub(super) async fn insert(
        &self,
        sign_in_id: &str,
        user_id: &str,
        grant: &Grant,
    ) -> Result<(), OidcError> {
        let now_ms = self.clock.now_ms();
        let mut row = OidcSignInRow {
            id: sign_in_id.to_owned(),
            user_id: user_id.to_owned(),
            issuer: self.config.issuer.clone(),
            subject: grant.subject.clone(),
            provider_sid: grant.provider_sid.clone(),
            refresh_token: String::new(),
            access_token: String::new(),
            access_expires_ms: 0,
            needs_id_token: grant.needs_id_token,
            confirmed_ms: now_ms,
        };
        self.seal(&mut row, grant)?;
        self.database.oidc_sign_ins().insert(&row).await?;
        Ok(())
    }

    /// Puts the tokens of a grant into a row, sealed. A grant without a refresh token keeps the stored one (RFC 6749,
    /// section 6).
    pub(super) fn seal(&self, row: &mut OidcSignInRow, grant: &Grant) -> Result<(), OidcError> {
        let seal = |text: &str| {
            let sealed = self.sealing.seal(text, &row.id);
            sealed.map_err(IssueError::Token)
        };
        let refresh_token = seal(&grant.refresh_token)?;
        // Only if needed: the server uses an access token only for the user info, and a refresh yields a new one.
        let keeps_access = grant.refresh_token.is_empty() && row.refresh_token.is_empty();
        let access_token = match keeps_access {
            true => seal(&grant.access_token)?,
            false => String::new(),
        };
        if !refresh_token.is_empty() {
            row.refresh_token = refresh_token;
        }
        row.access_token = access_token;
        row.access_expires_ms = grant.access_expires_ms;
        Ok(())
    }

    /// Returns the refresh token and the access token of a row; `None` if they were sealed with another secret.
    pub(super) fn open(&self, row: &OidcSignInRow) -> Option<(String, String)> {
        let opened = |sealed: &str| self.sealing.open(sealed, &row.id);
        opened(&row.refresh_token).zip(opened(&row.access_token))
    }
}
