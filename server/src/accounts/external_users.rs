//! Users of other identity sources: provisioning, updates and identification.

use std::sync::Arc;

use sortie_api::Role;
use uuid::Uuid;

use super::TokenError;
use super::auth_cache::AuthCache;
use super::external::External;
use super::identity::{Credential, Identity, touch_last_seen};
use crate::clock::Clock;
use crate::db::{Action, Actor, AuditEvent, Database, DatabaseError, UserChange, UserRow};

/// Creates and updates the rows of users of other sources.
pub(super) struct ExternalUsers {
    database: Database,
    clock: Arc<dyn Clock>,
    auth_cache: Arc<AuthCache>,
}

impl ExternalUsers {
    pub(super) fn new(
        database: Database,
        clock: Arc<dyn Clock>,
        auth_cache: Arc<AuthCache>,
    ) -> Self {
        Self {
            database,
            clock,
            auth_cache,
        }
    }

    /// Returns the identity of a user of another source, creating the row if necessary.
    pub(super) async fn identify(
        &self,
        external: External,
        credential: Credential,
    ) -> Result<Identity, TokenError> {
        let auth_cache = &self.auth_cache;
        let now_ms = self.clock.now_ms();
        let roles = external.roles.clone();
        let key = AuthCache::external_key(&external.key());
        let mut identity = match auth_cache.get(&key, now_ms) {
            Some(identity) => identity,
            None => {
                let ticket = auth_cache.ticket();
                let user = self.provision(&external).await?;
                if user.disabled {
                    return Err(TokenError::Disabled);
                }
                touch_last_seen(&self.database, &user, now_ms).await?;
                let identity = Identity {
                    roles: user.roles.clone(),
                    user: Arc::new(user),
                    credential,
                };
                auth_cache.insert(ticket, key, identity.clone(), now_ms);
                identity
            }
        };
        // Roles of this token: another token of the same user may have others.
        if let Some(roles) = roles {
            identity.roles = roles;
        }
        Ok(identity)
    }

    /// Returns the row of a user of another source, created at the first sign-in and updated later. The caller checks
    /// whether the user is disabled.
    pub(super) async fn provision(&self, external: &External) -> Result<UserRow, DatabaseError> {
        let database = &self.database;
        let key = external.key();
        if let Some(row) = database.users().by_external_key(&key).await? {
            return self.update(row, external).await;
        }
        let mut row = UserRow {
            id: Uuid::now_v7().to_string(),
            username: String::new(),
            password_hash: String::new(),
            email: external.email.clone(),
            display_name: external.display_name.clone(),
            roles: external.roles.clone().unwrap_or_else(|| vec![Role::User]),
            disabled: false,
            source: external.source,
            external_key: Some(key.clone()),
            created_ms: self.clock.now_ms(),
            last_seen_ms: None,
            generation: 0,
            must_change_password: false,
            labels: crate::labels::Labels::default(),
        };
        for username in external.usernames() {
            row.username = username;
            match database.users().insert(&row).await {
                Ok(()) => {
                    tracing::info!(user_id = row.id, source = ?row.source, "user provisioned");
                    let actor = Actor::system();
                    let mut detail = format!("{} of {key}", row.username);
                    if external.roles.is_some() {
                        detail += &format!("; roles by a claim: {}", role_names(&row.roles));
                    }
                    let event =
                        AuditEvent::done(&actor, Action::UserCreate, &row.id).detail(&detail);
                    database.audit().append(row.created_ms, &event).await?;
                    return Ok(row);
                }
                Err(DatabaseError::Taken) => {}
                Err(error) => return Err(error),
            }
            // The name is taken, or a concurrent request of the user has created the row.
            if let Some(row) = database.users().by_external_key(&key).await? {
                return Ok(row);
            }
        }
        Err(DatabaseError::Taken)
    }

    /// Updates the row of a user with the data of the other source.
    pub(super) async fn update(
        &self,
        row: UserRow,
        external: &External,
    ) -> Result<UserRow, DatabaseError> {
        let differs = |new: &Option<String>, old: &Option<String>| new.is_some() && new != old;
        let change = UserChange {
            email: differs(&external.email, &row.email).then(|| external.email.clone()),
            display_name: differs(&external.display_name, &row.display_name)
                .then(|| external.display_name.clone()),
            roles: external.roles.clone().filter(|roles| *roles != row.roles),
            ..UserChange::default()
        };
        if change.email.is_none() && change.display_name.is_none() && change.roles.is_none() {
            return Ok(row);
        }
        match self.database.users().update(&row.id, &change).await {
            Ok(true) => {}
            // Deleted meanwhile, being erased, or the change would be refused: the row is unchanged.
            Ok(false) | Err(DatabaseError::Erased) => return Ok(row),
            Err(error) => return Err(error),
        }
        if let Some(roles) = &change.roles {
            let what = match (row.is_admin(), roles.contains(&Role::Admin)) {
                (false, true) => "elevated",
                (true, false) => "demoted",
                _ => "changed",
            };
            let (old, new) = (role_names(&row.roles), role_names(roles));
            let key = external.key();
            let detail = format!("{what} by a claim: roles {old} -> {new} of {key}");
            tracing::info!(user_id = row.id, "{detail}");
            let actor = Actor::system();
            let event = AuditEvent::done(&actor, Action::UserChange, &row.id).detail(&detail);
            let now_ms = self.clock.now_ms();
            self.database.audit().append(now_ms, &event).await?;
            // Other credentials of the user must have the new roles from now on.
            self.auth_cache.forget_user(&row.id);
        }
        Ok(UserRow {
            email: change.email.unwrap_or(row.email),
            display_name: change.display_name.unwrap_or(row.display_name),
            roles: change.roles.unwrap_or(row.roles),
            ..row
        })
    }
}

/// Formats roles for the audit log.
fn role_names(roles: &[Role]) -> String {
    let names = roles.iter().map(|role| match role {
        Role::User => "user",
        Role::Admin => "admin",
    });
    names.collect::<Vec<_>>().join(", ")
}
