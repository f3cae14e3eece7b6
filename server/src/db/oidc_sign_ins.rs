//! Sign-ins by OpenID Connect.

use std::collections::BTreeSet;

use sqlx::Row;
use sqlx::any::AnyRow;

use super::users::lock_user;
use super::{Database, DatabaseError};

/// Row of a sign-in at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OidcSignInRow {
    /// Id of the sign-in here.
    pub(crate) id: String,
    /// Id of its user.
    pub(crate) user_id: String,
    pub(crate) issuer: String,
    /// `sub` at the provider.
    pub(crate) subject: String,
    /// `sid` at the provider; empty: none.
    pub(crate) provider_sid: String,
    /// Sealed refresh token of the provider; empty: none.
    pub(crate) refresh_token: String,
    /// Sealed access token of the provider; empty: none.
    pub(crate) access_token: String,
    /// Unix time in ms at which the access token expires.
    pub(crate) access_expires_ms: i64,
    /// Whether roles or admission depend on claims that only the ID token has.
    pub(crate) needs_id_token: bool,
    /// Unix time in ms at which the provider last confirmed the sign-in.
    pub(crate) confirmed_ms: i64,
}

impl<'r> sqlx::FromRow<'r, AnyRow> for OidcSignInRow {
    fn from_row(row: &'r AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            user_id: row.try_get("user_id")?,
            issuer: row.try_get("issuer")?,
            subject: row.try_get("subject")?,
            provider_sid: row.try_get("provider_sid")?,
            refresh_token: row.try_get("refresh_token")?,
            access_token: row.try_get("access_token")?,
            access_expires_ms: row.try_get("access_expires_ms")?,
            needs_id_token: row.try_get::<i64, _>("needs_id_token")? != 0,
            confirmed_ms: row.try_get("confirmed_ms")?,
        })
    }
}

/// Sign-ins to end by a logout token: those of a session of the provider, or all of a subject.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogoutScope<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) subject: Option<&'a str>,
    pub(crate) provider_sid: Option<&'a str>,
}

/// Tables `oidc_sign_ins` and `oidc_logout_tokens`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OidcSignIns<'d> {
    pub(super) database: &'d Database,
}

impl OidcSignIns<'_> {
    /// Stores a sign-in; nothing if the sign-in has ended meanwhile.
    pub(crate) async fn insert(self, row: &OidcSignInRow) -> Result<(), DatabaseError> {
        let mut transaction = self.database.begin().await?;
        let locked = lock_user(&mut transaction, &row.user_id).await?;
        let sign_in = sqlx::query("UPDATE sign_ins SET last_used_ms = last_used_ms WHERE id = $1")
            .bind(&row.id)
            .execute(&mut *transaction)
            .await?;
        if !locked || sign_in.rows_affected() != 1 {
            transaction.rollback().await?;
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO oidc_sign_ins (id, user_id, issuer, subject, provider_sid, refresh_token, \
             access_token, access_expires_ms, needs_id_token, confirmed_ms, checking_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0)",
        )
        .bind(&row.id)
        .bind(&row.user_id)
        .bind(&row.issuer)
        .bind(&row.subject)
        .bind(&row.provider_sid)
        .bind(&row.refresh_token)
        .bind(&row.access_token)
        .bind(row.access_expires_ms)
        .bind(i64::from(row.needs_id_token))
        .bind(row.confirmed_ms)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    pub(crate) async fn get(self, id: &str) -> Result<Option<OidcSignInRow>, DatabaseError> {
        Ok(sqlx::query_as(
            "SELECT id, user_id, issuer, subject, provider_sid, refresh_token, access_token, \
             access_expires_ms, needs_id_token, confirmed_ms FROM oidc_sign_ins WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(&self.database.pool)
        .await?)
    }

    /// Claims the check at the provider. Returns `false` if another request has begun a check after `not_since_ms`, or
    /// has ended one since `row` was read: the tokens of `row` may be spent.
    pub(crate) async fn begin_check(
        self,
        row: &OidcSignInRow,
        now_ms: i64,
        not_since_ms: i64,
    ) -> Result<bool, DatabaseError> {
        // A time in the future was written before the clock was set back.
        let done = sqlx::query(
            "UPDATE oidc_sign_ins SET checking_ms = $1 \
             WHERE id = $2 AND (checking_ms <= $3 OR checking_ms > $4) \
             AND confirmed_ms = $5 AND refresh_token = $6",
        )
        .bind(now_ms)
        .bind(&row.id)
        .bind(not_since_ms)
        .bind(now_ms)
        .bind(row.confirmed_ms)
        .bind(&row.refresh_token)
        .execute(&self.database.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Stores the provider's answer and ends the check.
    pub(crate) async fn end_check(self, row: &OidcSignInRow) -> Result<(), DatabaseError> {
        sqlx::query(
            "UPDATE oidc_sign_ins SET refresh_token = $1, access_token = $2, access_expires_ms = $3, \
             confirmed_ms = $4, checking_ms = 0 WHERE id = $5",
        )
        .bind(&row.refresh_token)
        .bind(&row.access_token)
        .bind(row.access_expires_ms)
        .bind(row.confirmed_ms)
        .bind(&row.id)
        .execute(&self.database.pool)
        .await?;
        Ok(())
    }

    /// Ends sign-ins by a logout token, in one transaction. `None`: the token was used before. Returns the ids of the
    /// sign-ins with those of their users.
    pub(crate) async fn end(
        self,
        scope: LogoutScope<'_>,
        token_id: &str,
        expires_ms: i64,
        now_ms: i64,
    ) -> Result<Option<Vec<(String, String)>>, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        sqlx::query("DELETE FROM oidc_logout_tokens WHERE expires_ms < $1")
            .bind(now_ms)
            .execute(&mut *transaction)
            .await?;
        let inserted = sqlx::query(
            "INSERT INTO oidc_logout_tokens (id, expires_ms) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING",
        )
        .bind(token_id)
        .bind(expires_ms)
        .execute(&mut *transaction)
        .await?;
        if inserted.rows_affected() != 1 {
            transaction.rollback().await?;
            return Ok(None);
        }
        let rows = sqlx::query(
            "SELECT id, user_id FROM oidc_sign_ins WHERE issuer = $1 \
             AND ($2 = 0 OR subject = $3) AND ($4 = 0 OR provider_sid = $5)",
        )
        .bind(scope.issuer)
        .bind(i64::from(scope.subject.is_some()))
        .bind(scope.subject.unwrap_or_default())
        .bind(i64::from(scope.provider_sid.is_some()))
        .bind(scope.provider_sid.unwrap_or_default())
        .fetch_all(&mut *transaction)
        .await?;
        let mut ended: Vec<(String, String)> = Vec::with_capacity(rows.len());
        for row in rows {
            ended.push((row.try_get("id")?, row.try_get("user_id")?));
        }
        // Sorted, so that two transactions that lock the same users cannot deadlock.
        let users: BTreeSet<&String> = ended.iter().map(|(_, user_id)| user_id).collect();
        for user_id in users {
            lock_user(&mut transaction, user_id).await?;
        }
        for (id, _) in &ended {
            sqlx::query("DELETE FROM sign_ins WHERE id = $1")
                .bind(id)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(Some(ended))
    }
}
