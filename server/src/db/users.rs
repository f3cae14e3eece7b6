//! Rows of users.

use std::collections::{HashMap, HashSet};

use sortie_api::{Role, UserSource};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::search::Search;
use super::statement::{Statement, placeholders};
use super::{
    Actor, Database, DatabaseError, Editor, Page, Position, labels, shares, sign_ins, unknown_text,
    words_from_text, words_to_text,
};
use crate::labels::{LabelKind, Labels, LabelsChange};

const COLUMNS: &str = "id, username, password_hash, email, display_name, roles, disabled, source, external_key, created_ms, last_seen_ms, generation, must_change_password, external_id, metadata";

/// Rows compared per query when a pattern matches more than the search term.
const WIDE_PAGE: u32 = 500;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UserRow {
    pub(crate) id: String,
    /// As given; unique ignoring case.
    pub(crate) username: String,
    /// PHC string; empty: no password.
    pub(crate) password_hash: String,
    pub(crate) email: Option<String>,
    pub(crate) display_name: Option<String>,
    /// At least one.
    pub(crate) roles: Vec<Role>,
    /// Disabled users can neither sign in nor refresh.
    pub(crate) disabled: bool,
    /// Source of the identity.
    pub(crate) source: UserSource,
    /// Identity at that source; `None` for local users.
    pub(crate) external_key: Option<String>,
    /// Unix time in ms.
    pub(crate) created_ms: i64,
    /// Unix time in ms of the last request, accurate to about a minute.
    pub(crate) last_seen_ms: Option<i64>,
    /// Generation of the user's sign-ins; sign-ins of earlier generations are invalid.
    pub(crate) generation: i64,
    /// Whether the user must choose a password before anything else.
    pub(crate) must_change_password: bool,
    pub(crate) labels: Labels,
}

/// Change of a user; `None` leaves a field unchanged.
#[derive(Clone, Debug, Default)]
pub(crate) struct UserChange {
    /// `Some(None)` removes it.
    pub(crate) email: Option<Option<String>>,
    /// `Some(None)` removes it.
    pub(crate) display_name: Option<Option<String>>,
    pub(crate) roles: Option<Vec<Role>>,
    pub(crate) disabled: Option<bool>,
    /// Hash of a new password.
    pub(crate) password_hash: Option<String>,
    pub(crate) labels: LabelsChange,
}

/// Filter of the list; absent fields match every user.
#[derive(Clone, Debug, Default)]
pub(crate) struct UserFilter {
    /// Part of the user name, display name, email address, external ID or subject, ignoring case.
    pub(crate) search: Option<String>,
    /// Subject at the source of the identity.
    pub(crate) subject: Option<String>,
    pub(crate) external_id: Option<String>,
    /// Index entries that the user must have.
    pub(crate) labels: Vec<String>,
}

impl UserChange {
    /// Whether the change ends the user's sign-ins.
    pub(crate) fn ends_sign_ins(&self) -> bool {
        self.password_hash.is_some() || self.disabled == Some(true)
    }
}

const ROLES: [Role; 2] = [Role::User, Role::Admin];

pub(super) fn roles_from_text(text: &str) -> Result<Vec<Role>, sqlx::Error> {
    words_from_text("roles", text, &ROLES, role_to_text)
}

fn role_to_text(role: Role) -> &'static str {
    match role {
        Role::User => "user",
        Role::Admin => "admin",
    }
}

fn source_to_text(source: UserSource) -> &'static str {
    match source {
        UserSource::Local | UserSource::Other => "local",
        UserSource::Oidc => "oidc",
        UserSource::Jwt => "jwt",
        UserSource::Proxy => "proxy",
    }
}

fn source_from_text(text: &str) -> Result<UserSource, sqlx::Error> {
    match text {
        "local" => Ok(UserSource::Local),
        "oidc" => Ok(UserSource::Oidc),
        "jwt" => Ok(UserSource::Jwt),
        "proxy" => Ok(UserSource::Proxy),
        _ => Err(unknown_text("source", text)),
    }
}

impl<'r> sqlx::FromRow<'r, AnyRow> for UserRow {
    fn from_row(row: &'r AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            username: row.try_get("username")?,
            password_hash: row.try_get("password_hash")?,
            email: row.try_get("email")?,
            display_name: row.try_get("display_name")?,
            roles: roles_from_text(row.try_get("roles")?)?,
            disabled: row.try_get::<i64, _>("disabled")? != 0,
            source: source_from_text(row.try_get("source")?)?,
            external_key: row.try_get("external_key")?,
            created_ms: row.try_get("created_ms")?,
            last_seen_ms: row.try_get("last_seen_ms")?,
            generation: row.try_get("generation")?,
            must_change_password: row.try_get::<i64, _>("must_change_password")? != 0,
            labels: Labels {
                external_id: row.try_get("external_id")?,
                metadata: row.try_get("metadata")?,
            },
        })
    }
}

/// Selects the user `$1` unless it is the last enabled local administrator.
const DELETABLE: &str = "id = $1 AND (roles NOT LIKE '%admin%' OR disabled = 1 OR source <> 'local' \
    OR EXISTS (SELECT 1 FROM users AS other WHERE other.id <> $1 AND other.source = 'local' \
    AND other.disabled = 0 AND other.roles LIKE '%admin%'))";

/// Locks a user's row until the end of the transaction; `false` if the user is deleted. Call it before any statement that
/// locks other rows of the user or inserts a row that refers to the user: otherwise PostgreSQL rejects an insert whose
/// user is deleted meanwhile, and a deletion, which locks the user first, deadlocks with the transaction.
pub(super) async fn lock_user(
    connection: &mut sqlx::AnyConnection,
    id: &str,
) -> Result<bool, DatabaseError> {
    let done = sqlx::query("UPDATE users SET generation = generation WHERE id = $1")
        .bind(id)
        .execute(connection)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Like [`lock_user`]; [`DatabaseError::Erased`] if the user's erasure was requested, which waits for the lock, too.
pub(super) async fn lock_user_not_erased(
    connection: &mut sqlx::AnyConnection,
    id: &str,
) -> Result<bool, DatabaseError> {
    let exists = lock_user(&mut *connection, id).await?;
    check_not_erased(connection, id).await?;
    Ok(exists)
}

/// [`DatabaseError::Erased`] if the erasure of a user, whose row is locked, was requested.
async fn check_not_erased(
    connection: &mut sqlx::AnyConnection,
    id: &str,
) -> Result<(), DatabaseError> {
    let erasure: Option<i64> =
        sqlx::query_scalar("SELECT requested_ms FROM erasures WHERE user_id = $1")
            .bind(id)
            .fetch_optional(connection)
            .await?;
    match erasure {
        Some(_) => Err(DatabaseError::Erased),
        None => Ok(()),
    }
}

impl UserRow {
    /// Whether the stored roles include administration.
    pub(crate) fn is_admin(&self) -> bool {
        self.roles.contains(&Role::Admin)
    }

    /// Sort key of user lists.
    pub(crate) fn key(&self) -> String {
        key(&self.username)
    }

    /// Subject at the source of the identity; `None` for local users.
    pub(crate) fn subject(&self) -> Option<&str> {
        // Source and issuer contain no space.
        self.external_key.as_deref()?.splitn(3, ' ').nth(2)
    }
}

/// Normal form of a user name for uniqueness.
fn key(username: &str) -> String {
    username.to_lowercase()
}

impl UserFilter {
    /// Selects at most `limit` users after `after`, in the order of the index of the name or of the first label.
    fn statement(&self, after: &str, limit: u32) -> Statement {
        let columns: Vec<_> = COLUMNS
            .split(", ")
            .map(|column| format!("u.{column}"))
            .collect();
        let mut statement = Statement {
            text: format!("SELECT {} FROM ", columns.join(", ")),
            ..Statement::default()
        };
        let key = match self.labels.split_first() {
            None => {
                statement.text += "users AS u WHERE";
                "u.username_key"
            }
            Some((first, others)) => {
                let label = statement.bind(first.clone());
                let others: Vec<_> = others.iter().map(|it| statement.bind(it.clone())).collect();
                let others = labels::has_labels(LabelKind::User, "l.subject_id", &others);
                statement.text += &format!(
                    "user_labels AS l JOIN users AS u ON u.id = l.subject_id WHERE l.label = {label}{others} AND"
                );
                "l.position"
            }
        };
        let after = statement.bind(after.to_owned());
        statement.text += &format!(" {key} > {after}");
        for (column, value) in [
            ("subject", &self.subject),
            ("external_id", &self.external_id),
        ] {
            if let Some(value) = value {
                let value = statement.bind(value.clone());
                statement.text += &format!(" AND u.{column} = {value}");
            }
        }
        if let Some(search) = &self.search {
            let pattern = statement.bind(Search::new(search).pattern());
            let has = [
                "username_key",
                "display_name",
                "email",
                "external_id",
                "subject",
            ]
            .map(|column| format!("lower(u.{column}) LIKE {pattern} ESCAPE '!'"));
            statement.text += &format!(" AND ({})", has.join(" OR "));
        }
        statement.text += &format!(" ORDER BY {key} LIMIT {limit}");
        statement
    }
}

/// Table `users`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Users<'d> {
    pub(super) database: &'d Database,
}

impl Users<'_> {
    /// Inserts a user; [`DatabaseError::Taken`] if the name or the external ID exists.
    pub(crate) async fn insert(self, user: &UserRow) -> Result<(), DatabaseError> {
        let mut transaction = self.database.begin().await?;
        sqlx::query(
            "INSERT INTO users (id, username, username_key, password_hash, email, display_name, roles, \
             disabled, source, external_key, created_ms, subject, external_id, metadata, must_change_password) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        )
        .bind(&user.id)
        .bind(&user.username)
        .bind(key(&user.username))
        .bind(&user.password_hash)
        .bind(&user.email)
        .bind(&user.display_name)
        .bind(words_to_text(&user.roles, role_to_text))
        .bind(i64::from(user.disabled))
        .bind(source_to_text(user.source))
        .bind(&user.external_key)
        .bind(user.created_ms)
        .bind(user.subject())
        .bind(&user.labels.external_id)
        .bind(&user.labels.metadata)
        .bind(i64::from(user.must_change_password))
        .execute(&mut *transaction)
        .await?;
        labels::add(
            &mut transaction,
            LabelKind::User,
            &user.id,
            &user.labels,
            false,
        )
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    pub(crate) async fn get(self, id: &str) -> Result<Option<UserRow>, DatabaseError> {
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM users WHERE id = $1"
        )))
        .bind(id)
        .fetch_optional(&self.database.pool)
        .await?)
    }

    /// Returns the names of users by ID. Intended for at most a few thousand IDs.
    pub(crate) async fn names(
        self,
        ids: &HashSet<&str>,
    ) -> Result<HashMap<String, String>, DatabaseError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let sql = format!(
            "SELECT id, username FROM users WHERE id IN ({})",
            placeholders(1, ids.len())
        );
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql));
        for id in ids {
            query = query.bind((*id).to_owned());
        }
        let names: Vec<(String, String)> = query.fetch_all(&self.database.pool).await?;
        Ok(names.into_iter().collect())
    }

    /// Returns the user with this name, ignoring case.
    pub(crate) async fn by_name(self, username: &str) -> Result<Option<UserRow>, DatabaseError> {
        // No name contains NUL, and PostgreSQL refuses the query: the answer to a sign-in must not reveal that.
        if username.contains('\0') {
            return Ok(None);
        }
        let sql = format!("SELECT {COLUMNS} FROM users WHERE username_key = $1");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(key(username))
            .fetch_optional(&self.database.pool)
            .await?)
    }

    /// Returns a page of users by name.
    pub(crate) async fn page(
        self,
        after: Option<&Position>,
        filter: &UserFilter,
        limit: u32,
    ) -> Result<Page<UserRow>, DatabaseError> {
        let after = after.map_or("", |after| &after.id);
        let search = filter.search.as_deref().map(Search::new);
        let wanted = limit.saturating_add(1);
        let rows = match search.as_ref().filter(|search| search.is_inexact()) {
            None => self.found(after, filter, wanted).await?,
            Some(inexact) => {
                self.of_inexact_pattern(after, filter, inexact, wanted)
                    .await?
            }
        };
        Ok(Page::new(rows, limit, |row| Position {
            value: 0,
            id: row.key(),
        }))
    }

    /// Returns at most `limit` users of a broad pattern, each compared in full.
    async fn of_inexact_pattern(
        self,
        after: &str,
        filter: &UserFilter,
        search: &Search,
        limit: u32,
    ) -> Result<Vec<UserRow>, DatabaseError> {
        let (mut after, mut found) = (after.to_owned(), Vec::new());
        loop {
            let rows = self.found(&after, filter, WIDE_PAGE).await?;
            let is_last = rows.len() < WIDE_PAGE as usize;
            if let Some(row) = rows.last() {
                after = row.key();
            }
            found.extend(rows.into_iter().filter(|row| {
                let texts = [
                    Some(row.username.as_str()),
                    row.display_name.as_deref(),
                    row.email.as_deref(),
                    row.labels.external_id.as_deref(),
                    row.subject(),
                ];
                texts.into_iter().flatten().any(|text| search.finds(text))
            }));
            if is_last || found.len() >= limit as usize {
                found.truncate(limit as usize);
                return Ok(found);
            }
        }
    }

    /// Returns users that match the filter, whose search is a pattern.
    async fn found(
        self,
        after: &str,
        filter: &UserFilter,
        limit: u32,
    ) -> Result<Vec<UserRow>, DatabaseError> {
        let statement = filter.statement(after, limit);
        Ok(
            sqlx::query_as_with(sqlx::AssertSqlSafe(statement.text), statement.arguments)
                .fetch_all(&self.database.pool)
                .await?,
        )
    }

    /// Whether the database has a user.
    pub(crate) async fn exist(self) -> Result<bool, DatabaseError> {
        let rows: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM users")
            .fetch_one(&self.database.pool)
            .await?;
        Ok(rows > 0)
    }

    /// Returns the user with this identity at another source.
    pub(crate) async fn by_external_key(
        self,
        external_key: &str,
    ) -> Result<Option<UserRow>, DatabaseError> {
        let sql = format!("SELECT {COLUMNS} FROM users WHERE external_key = $1");
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(external_key)
            .fetch_optional(&self.database.pool)
            .await?)
    }

    /// Stores the time of the last request, unless that was done after `not_since_ms`.
    pub(crate) async fn touch(
        self,
        id: &str,
        now_ms: i64,
        not_since_ms: i64,
    ) -> Result<(), DatabaseError> {
        sqlx::query(
            "UPDATE users SET last_seen_ms = $1 \
             WHERE id = $2 AND (last_seen_ms IS NULL OR last_seen_ms <= $3)",
        )
        .bind(now_ms)
        .bind(id)
        .bind(not_since_ms)
        .execute(&self.database.pool)
        .await?;
        Ok(())
    }

    /// Changes a user and, with a new password or when disabled, ends their sign-ins; when disabled, also their share
    /// links. Returns `false` if the user does
    /// not exist, or if no enabled local administrator would remain (then nothing is changed; [`Users::get`] tells
    /// which). Users of other sources do not count, because their source may be unavailable. [`DatabaseError::Taken`] if
    /// another user has the external ID, [`DatabaseError::Erased`] if the user is being erased.
    pub(crate) async fn update(self, id: &str, change: &UserChange) -> Result<bool, DatabaseError> {
        // Updates only changed columns, so that concurrent changes do not undo each other.
        let roles = change.roles.as_deref();
        let roles = roles.map(|roles| words_to_text(roles, role_to_text));
        let disabled = change.disabled.map(i64::from);
        let update = sqlx::query(
            "UPDATE users SET \
             email = CASE WHEN $1 = 1 THEN $2 ELSE email END, \
             display_name = CASE WHEN $3 = 1 THEN $4 ELSE display_name END, \
             roles = COALESCE($5, roles), disabled = COALESCE($6, disabled), \
             password_hash = COALESCE($7, password_hash), generation = generation + $8, \
             must_change_password = CASE WHEN $13 = 1 THEN 0 ELSE must_change_password END \
             WHERE id = $9 AND (\
             (COALESCE($10, roles) LIKE '%admin%' AND COALESCE($11, disabled) = 0) \
             OR roles NOT LIKE '%admin%' OR disabled = 1 OR source <> 'local' \
             OR EXISTS (SELECT 1 FROM users AS other WHERE other.id <> $12 AND other.source = 'local' \
             AND other.disabled = 0 AND other.roles LIKE '%admin%'))",
        )
        .bind(i64::from(change.email.is_some()))
        .bind(change.email.clone().flatten())
        .bind(i64::from(change.display_name.is_some()))
        .bind(change.display_name.clone().flatten())
        .bind(roles.clone())
        .bind(disabled)
        .bind(change.password_hash.clone())
        .bind(i64::from(change.ends_sign_ins()))
        .bind(id)
        .bind(roles)
        .bind(disabled)
        .bind(id)
        .bind(i64::from(change.password_hash.is_some()));
        let demotes = change
            .roles
            .as_ref()
            .is_some_and(|roles| !roles.contains(&Role::Admin));
        let mut transaction = if demotes || change.disabled == Some(true) {
            self.one_demotion_at_a_time().await?
        } else {
            self.database.begin().await?
        };
        if lock_user(&mut transaction, id).await? {
            check_not_erased(&mut transaction, id).await?;
        }
        if update.execute(&mut *transaction).await?.rows_affected() != 1 {
            return Ok(false);
        }
        if !change.labels.is_empty() {
            let actor = Actor::system();
            let editor = Editor {
                actor: &actor,
                is_admin: true,
            };
            labels::change(
                &mut transaction,
                LabelKind::User,
                id,
                &change.labels,
                editor,
            )
            .await?;
        }
        if change.disabled == Some(true) {
            shares::delete_of_creator(&mut transaction, id).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Whether [`Self::delete`] would delete a user.
    pub(crate) async fn can_delete(self, id: &str) -> Result<bool, DatabaseError> {
        let sql = format!("SELECT 1 FROM users WHERE {DELETABLE}");
        let one: Option<i64> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(id)
            .fetch_optional(&self.database.pool)
            .await?;
        Ok(one.is_some())
    }

    /// Deletes a user; `false` if the user does not exist or is the last enabled local administrator.
    pub(crate) async fn delete(self, id: &str) -> Result<bool, DatabaseError> {
        let mut transaction = self.one_demotion_at_a_time().await?;
        let sql = format!("DELETE FROM users WHERE {DELETABLE}");
        let done = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Whether a user can sign in with a password.
    pub(crate) async fn has_passwords(self) -> Result<bool, DatabaseError> {
        let one: Option<i64> = sqlx::query_scalar(
            "SELECT 1 FROM users WHERE password_hash <> '' AND disabled = 0 LIMIT 1",
        )
        .fetch_optional(&self.database.pool)
        .await?;
        Ok(one.is_some())
    }

    /// Begins a transaction that excludes others of its kind. Of two administrators who demote each other, the second
    /// sees the first change: a condition alone would not, as each statement sees the rows from its beginning
    /// (PostgreSQL, read committed).
    async fn one_demotion_at_a_time(
        self,
    ) -> Result<sqlx::Transaction<'static, sqlx::Any>, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        sqlx::query("UPDATE locks SET taken = taken + 1 WHERE name = 'administrators'")
            .execute(&mut *transaction)
            .await?;
        Ok(transaction)
    }

    /// Replaces a password if its hash is still `verified`, and ends the user's sign-ins except `keep`; `false` if the
    /// password has changed meanwhile, or the user is deleted or disabled.
    pub(crate) async fn replace_password(
        self,
        user_id: &str,
        verified: &str,
        password_hash: &str,
        keep: Option<&str>,
    ) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        let generation: Option<i64> = sqlx::query_scalar(
            "UPDATE users SET password_hash = $1, must_change_password = 0, generation = generation + 1 \
             WHERE id = $2 AND password_hash = $3 AND disabled = 0 RETURNING generation",
        )
        .bind(password_hash)
        .bind(user_id)
        .bind(verified)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(generation) = generation else {
            transaction.rollback().await?;
            return Ok(false);
        };
        if let Some(keep) = keep {
            sign_ins::keep_valid(&mut transaction, user_id, keep, generation).await?;
        }
        transaction.commit().await?;
        self.database.sign_ins().purge_ended(user_id).await?;
        Ok(true)
    }

    /// Stores the same password hashed with other parameters, if its hash is still `verified`.
    pub(crate) async fn renew_password_hash(
        self,
        user_id: &str,
        verified: &str,
        password_hash: &str,
    ) -> Result<bool, DatabaseError> {
        let done =
            sqlx::query("UPDATE users SET password_hash = $1 WHERE id = $2 AND password_hash = $3")
                .bind(password_hash)
                .bind(user_id)
                .bind(verified)
                .execute(&self.database.pool)
                .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Returns the enabled administrator with the oldest account.
    pub(crate) async fn first_administrator(self) -> Result<Option<String>, DatabaseError> {
        Ok(sqlx::query_scalar(
            "SELECT id FROM users WHERE disabled = 0 AND roles LIKE '%admin%' ORDER BY created_ms, id LIMIT 1",
        )
        .fetch_optional(&self.database.pool)
        .await?)
    }
}
