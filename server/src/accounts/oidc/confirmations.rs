//! Confirmation of sign-ins by the provider at each refresh.

use std::sync::Arc;

use sortie_api::UserSource;

use super::audit::audit_end;
use super::provider_check::{Outcome, ProviderCheck};
use super::times::is_recent;
use crate::accounts::error::TokenError;
use crate::accounts::external::External;
use crate::accounts::external_users::ExternalUsers;
use crate::accounts::sign_ins::SignIns;
use crate::clock::Clock;
use crate::db::{Database, UserRow};

/// Validity of a confirmation in ms: tabs that wake together cause one request.
const CONFIRMED_MS: i64 = 60_000;
/// Time in ms after which an unfinished check counts as lost.
const CHECK_MS: i64 = 30_000;

/// Has sign-ins of the provider's users confirmed.
pub(in crate::accounts) struct Confirmations {
    database: Database,
    clock: Arc<dyn Clock>,
    sign_ins: Arc<SignIns>,
    external_users: Arc<ExternalUsers>,
    /// `None`: no provider is configured.
    check: Option<ProviderCheck>,
}

impl Confirmations {
    pub(super) fn new(
        database: Database,
        clock: Arc<dyn Clock>,
        sign_ins: Arc<SignIns>,
        external_users: Arc<ExternalUsers>,
        check: Option<ProviderCheck>,
    ) -> Self {
        Self {
            database,
            clock,
            sign_ins,
            external_users,
            check,
        }
    }

    /// Asks the provider whether a sign-in is still valid and which roles its user has, before the refresh token is
    /// exchanged. Users of other sources are returned unchanged.
    pub(in crate::accounts) async fn recheck(
        self: &Arc<Self>,
        sign_in_id: &str,
        user: UserRow,
    ) -> Result<UserRow, TokenError> {
        if user.source != UserSource::Oidc {
            return Ok(user);
        }
        // Completes after the client has disconnected: the provider may have exchanged its refresh token by then.
        let (this, id) = (Arc::clone(self), sign_in_id.to_owned());
        let checked = tokio::spawn(async move { this.recheck_to_completion(&id, user).await });
        checked.await.map_err(|_| TokenError::Unavailable)?
    }

    async fn recheck_to_completion(
        &self,
        sign_in_id: &str,
        user: UserRow,
    ) -> Result<UserRow, TokenError> {
        let database = &self.database;
        let row = database.oidc_sign_ins().get(sign_in_id).await?;
        let check = self.check.as_ref();
        let (Some(mut row), Some(check)) = (row, check) else {
            return self
                .unconfirmed(sign_in_id, &user, "no provider can confirm it")
                .await;
        };
        if row.issuer != check.issuer() || row.user_id != user.id {
            return self
                .unconfirmed(sign_in_id, &user, "it is of another provider")
                .await;
        }
        let now_ms = self.clock.now_ms();
        if is_recent(row.confirmed_ms, CONFIRMED_MS, now_ms) {
            return Ok(user);
        }
        let may_continue = is_recent(row.confirmed_ms, check.unconfirmed_ms(), now_ms);
        let lost_ms = now_ms.saturating_sub(CHECK_MS);
        if !database
            .oidc_sign_ins()
            .begin_check(&row, now_ms, lost_ms)
            .await?
        {
            // Another request is asking, or has just asked.
            let row = database.oidc_sign_ins().get(sign_in_id).await?;
            let row = row.ok_or(TokenError::Expired)?;
            let is_confirmed = is_recent(row.confirmed_ms, CONFIRMED_MS, now_ms);
            if !is_confirmed && !may_continue {
                return Err(TokenError::Unavailable);
            }
            // With the roles of the other request.
            let user = database
                .users()
                .get(&user.id)
                .await?
                .filter(|user| !user.disabled);
            return user.ok_or(TokenError::Expired);
        }
        let (grant, outcome) = check.confirm(&row, now_ms).await;
        if let Some(grant) = grant {
            check
                .seal(&mut row, &grant)
                .map_err(|_| TokenError::Unavailable)?;
        }
        if matches!(outcome, Outcome::Confirmed(_)) {
            row.confirmed_ms = now_ms;
        }
        database.oidc_sign_ins().end_check(&row).await?;
        match outcome {
            Outcome::Confirmed(None) => Ok(user),
            Outcome::Confirmed(Some(external)) => self.renewed(sign_in_id, user, &external).await,
            Outcome::Denied(why) => self.unconfirmed(sign_in_id, &user, &why).await,
            Outcome::Unreachable(why) => {
                tracing::warn!(
                    sign_in = sign_in_id,
                    "the OpenID provider does not confirm: {why}"
                );
                match may_continue {
                    true => Ok(user),
                    false => Err(TokenError::Unavailable),
                }
            }
            Outcome::Unknowable(_) if may_continue => Ok(user),
            Outcome::Unknowable(why) => self.unconfirmed(sign_in_id, &user, why).await,
        }
    }

    /// Updates the user with the provider's claims.
    async fn renewed(
        &self,
        sign_in_id: &str,
        user: UserRow,
        external: &External,
    ) -> Result<UserRow, TokenError> {
        if user.external_key.as_deref() != Some(&external.key()) {
            let why = "the provider answers about another subject";
            return self.unconfirmed(sign_in_id, &user, why).await;
        }
        Ok(self.external_users.update(user, external).await?)
    }

    /// Ends a sign-in that the provider does not confirm.
    async fn unconfirmed(
        &self,
        sign_in_id: &str,
        user: &UserRow,
        why: &str,
    ) -> Result<UserRow, TokenError> {
        tracing::info!(
            sign_in = sign_in_id,
            user_id = user.id,
            "sign-in ended: {why}"
        );
        self.sign_ins.end(sign_in_id).await?;
        let detail = format!("ended by the OpenID provider: {why}");
        audit_end(&self.database, self.clock.now_ms(), &user.id, &detail).await?;
        Err(TokenError::Expired)
    }
}
