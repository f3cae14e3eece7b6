//! Users, for administrators: `/api/admin/users`.

use std::fmt::Write as _;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use sortie_api::{
    Erasure, ErasureStatus, Metadata, NewUser, ProblemCode, Role, Unforwarded, User, UserSource,
    UserUpdate,
};
use uuid::Uuid;

use super::recordings;
use crate::accounts::is_plausible_email;
use crate::clock::rfc3339;
use crate::db::{
    Action, AuditEvent, DatabaseError, ErasureRow, UserChange, UserFilter, UserRow, pseudonym,
};
use crate::http::extract::caller::{Admin, Caller};
use crate::http::extract::json::JsonBody;
use crate::http::extract::paging::ListQuery;
use crate::http::extract::query;
use crate::http::routes::{Routes, routes};
use crate::http::{ApiError, ApiResult, HttpState};
use crate::labels::{self, LabelKind, Labels, LabelsChange};

/// Tag of the list in cursors.
const ORDER: &str = "user";
/// Time for which a request waits for its erasure to complete.
const ERASURE_WAIT: Duration = Duration::from_secs(3);
const ERASURE_POLL: Duration = Duration::from_millis(100);

pub(in crate::http) fn routes() -> Routes {
    routes! {
        GET "/api/admin/users" => list,
        POST "/api/admin/users" => create,
        GET "/api/admin/users/{id}" => show,
        PATCH "/api/admin/users/{id}" => update,
        DELETE "/api/admin/users/{id}" => delete,
        POST "/api/admin/users/{id}/erase" => erase,
        GET "/api/admin/users/{id}/erase" => erasure,
    }
}

#[derive(Deserialize)]
struct UserQuery {
    q: Option<String>,
    subject: Option<String>,
    external_id: Option<String>,
    metadata: Option<String>,
}

async fn list(
    State(state): State<HttpState>,
    _: Admin,
    query: ListQuery<UserQuery>,
) -> ApiResult<Response> {
    let (limit, after) = (query.limit()?, query.after(ORDER)?);
    let given = &query.filter;
    let filter = UserFilter {
        search: query::text("q", given.q.as_deref())?,
        subject: query::long_text("subject", given.subject.as_deref())?,
        external_id: query::long_text("external_id", given.external_id.as_deref())?,
        labels: labels::filter(LabelKind::User, None, given.metadata.as_deref())?,
    };
    let users = state.database.users().page(after.as_ref(), &filter, limit);
    let page = users.await?;
    let users = page.rows.iter().map(admin_view);
    Ok(query.page(ORDER, users.collect(), page.next.as_ref()))
}

/// Returns the API form of a user.
pub(in crate::http) fn user_view(user: &UserRow) -> User {
    User {
        id: user.id.clone(),
        username: user.username.clone(),
        email: user.email.clone(),
        display_name: user.display_name.clone(),
        roles: user.roles.clone(),
        disabled: user.disabled,
        must_change_password: user.must_change_password,
        source: user.source,
        created_at: rfc3339(user.created_ms),
        last_seen_at: user.last_seen_ms.map(rfc3339),
        recordings: None,
        subject: None,
        external_id: None,
        metadata: Metadata::new(),
    }
}

/// Returns the API form of a user for administrators.
fn admin_view(user: &UserRow) -> User {
    User {
        subject: user.subject().map(str::to_owned),
        external_id: user.labels.external_id.clone(),
        metadata: user.labels.metadata(),
        ..user_view(user)
    }
}

async fn show(
    State(state): State<HttpState>,
    _: Admin,
    Path(id): Path<String>,
) -> ApiResult<Json<User>> {
    let row = existing(&state, &id).await?;
    let user = User {
        recordings: Some(state.database.owners().count_recordings(&id).await?),
        ..admin_view(&row)
    };
    Ok(Json(user))
}

async fn create(
    State(state): State<HttpState>,
    Admin(caller): Admin,
    JsonBody(new): JsonBody<NewUser>,
) -> ApiResult<Response> {
    check_username(&new.username)?;
    check_password(&new.password)?;
    let email = checked_email(new.email)?;
    let display_name = checked_display_name(new.display_name)?;
    let roles = checked_roles(new.roles.unwrap_or_else(|| vec![Role::User]))?;
    let labels = Labels::new(new.external_id, new.metadata)?;
    let row = UserRow {
        id: Uuid::now_v7().to_string(),
        username: new.username,
        password_hash: state.accounts.passwords.hash(new.password).await?,
        email,
        display_name,
        roles,
        disabled: false,
        source: UserSource::Local,
        external_key: None,
        created_ms: state.clock.now_ms(),
        last_seen_ms: None,
        generation: 0,
        must_change_password: false,
        labels,
    };
    caller.check_again(&state).await?;
    match state.database.users().insert(&row).await {
        Ok(()) => {}
        Err(DatabaseError::Taken) => return Err(taken(&state, &row).await?),
        Err(error) => return Err(error.into()),
    }
    tracing::info!(
        by = caller.user_id,
        user_id = row.id,
        username = row.username,
        "user created"
    );
    let detail = format!("{} ({})", row.username, words(&row.roles));
    audit(&state, &caller, Action::UserCreate, &row.id, &detail).await?;
    let location = HeaderValue::from_str(&format!("/api/admin/users/{}", row.id))
        .map_err(ApiError::internal)?;
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        Json(admin_view(&row)),
    )
        .into_response())
}

/// Error for a user whose name or external ID exists.
async fn taken(state: &HttpState, row: &UserRow) -> ApiResult<ApiError> {
    let has_name = state.database.users().by_name(&row.username).await?;
    Ok(match has_name {
        Some(_) => ApiError::new(
            ProblemCode::AlreadyExists,
            format!(
                "The user name {:?} is taken. User names ignore case.",
                row.username
            ),
        ),
        None => external_id_taken(),
    })
}

fn external_id_taken() -> ApiError {
    ApiError::new(
        ProblemCode::AlreadyExists,
        "Another user has the same external_id. Find the user with ?external_id=, or choose another ID.",
    )
}

async fn update(
    State(state): State<HttpState>,
    Admin(caller): Admin,
    Path(id): Path<String>,
    JsonBody(patch): JsonBody<UserUpdate>,
) -> ApiResult<Json<User>> {
    if let Some(password) = &patch.password {
        check_password(password)?;
    }
    let mut change = UserChange {
        email: patch.email.map(checked_email).transpose()?,
        display_name: patch.display_name.map(checked_display_name).transpose()?,
        roles: patch.roles.map(checked_roles).transpose()?,
        disabled: patch.disabled,
        password_hash: None,
        labels: LabelsChange {
            external_id: patch.external_id,
            metadata: patch.metadata,
        },
    };
    Labels::default().changed(change.labels.clone())?;
    if let Some(password) = patch.password {
        change.password_hash = Some(state.accounts.passwords.hash(password).await?);
        caller.check_again(&state).await?;
    }
    match state.database.users().update(&id, &change).await {
        Ok(true) => {}
        Ok(false) => return Err(refusal(&state, &id).await?),
        Err(DatabaseError::Taken) => return Err(external_id_taken()),
        Err(error) => return Err(error.into()),
    }
    state.accounts.auth_cache.forget_user(&id);
    if change.ends_sign_ins() {
        state.database.sign_ins().purge_ended(&id).await?;
    }
    let mut detail = described(&change);
    if patch.revoke_tokens == Some(true) {
        let revoked = state.accounts.api_tokens.revoke_all_of(&id).await?;
        if !detail.is_empty() {
            detail += ", ";
        }
        let _ = write!(detail, "API tokens revoked: {revoked}");
    }
    let row = existing(&state, &id).await?;
    tracing::info!(
        by = caller.user_id,
        user_id = id,
        roles = ?row.roles,
        disabled = row.disabled,
        new_password = change.password_hash.is_some(),
        "user changed"
    );
    audit(&state, &caller, Action::UserChange, &id, &detail).await?;
    Ok(Json(admin_view(&row)))
}

#[derive(Deserialize)]
struct DeleteQuery {
    recordings: Option<String>,
    unforwarded: Option<String>,
}

/// Deletes a user. The user's recordings are kept (`recordings=keep`, the default), transferred to the caller
/// (`transfer`) or deleted (`delete`). Those that are not forwarded to a central server yet are deleted only with
/// `unforwarded=delete`.
async fn delete(
    State(state): State<HttpState>,
    Admin(caller): Admin,
    Path(id): Path<String>,
    Query(query): Query<DeleteQuery>,
) -> ApiResult<StatusCode> {
    let row = existing(&state, &id).await?;
    if state.database.erasures().get(&id).await?.is_some() {
        return Err(DatabaseError::Erased.into());
    }
    let unforwarded = recordings::unforwarded(query.unforwarded.as_deref())?;
    let mut detail = row.username;
    match query.recordings.as_deref() {
        None | Some("keep") => {
            let kept = state.database.owners().count_recordings(&id).await?;
            if kept > 0 {
                let _ = write!(detail, "; recordings kept: {kept}");
            }
        }
        Some("transfer") if id == caller.user_id => {
            return Err(ApiError::invalid(
                "You cannot take over your own recordings. Choose recordings=keep or recordings=delete.",
            ));
        }
        Some("transfer") => {
            disable(&state, &id).await?;
            let moved = transfer_recordings(&state, &caller, &id).await?;
            let _ = write!(
                detail,
                "; recordings transferred to {}: {moved}",
                caller.username
            );
        }
        Some("delete") => {
            check_forwarded(&state, &id, unforwarded, "deleted").await?;
            disable(&state, &id).await?;
            let deleted = delete_recordings(&state, &caller, &id, unforwarded).await?;
            let _ = write!(detail, "; recordings deleted: {deleted}");
        }
        Some(_) => {
            return Err(ApiError::invalid(
                "recordings must be keep, transfer or delete.",
            ));
        }
    }
    end_sessions(&state, &caller, &id).await?;
    if !state.database.users().delete(&id).await? {
        return Err(refusal(&state, &id).await?);
    }
    state.accounts.auth_cache.forget_user(&id);
    tracing::info!(by = caller.user_id, user_id = id, "user deleted");
    audit(&state, &caller, Action::UserDelete, &id, &detail).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct EraseQuery {
    include_protected: Option<String>,
    unforwarded: Option<String>,
}

/// Erases a user: 200 if nothing is left, 202 while the server is erasing. A repeated request returns the progress.
async fn erase(
    State(state): State<HttpState>,
    Admin(caller): Admin,
    Path(id): Path<String>,
    Query(query): Query<EraseQuery>,
) -> ApiResult<Response> {
    let flag = query.include_protected.as_deref();
    let include_protected = query::flag("include_protected", flag)?;
    if state.database.erasures().get(&id).await?.is_none() {
        let unforwarded = recordings::unforwarded(query.unforwarded.as_deref())?;
        check_erasure(&state, &caller, &id, include_protected, unforwarded).await?;
        // Disabled first: no recording is added, and later steps can be repeated.
        if state.database.users().get(&id).await?.is_some() {
            disable(&state, &id).await?;
            state.database.sign_ins().purge_ended(&id).await?;
        }
        let (actor, now_ms) = (caller.actor(), state.clock.now_ms());
        let requested = state.database.erasures().request(&id, &actor, now_ms);
        requested.await?;
        tracing::info!(by = caller.user_id, user_id = id, "erasure requested");
    }
    // A server of an earlier version may have written personal data since.
    if requested_erasure(&state, &id).await?.completed_ms.is_some() {
        state.eraser.repeat(&id).await?;
    }
    state.eraser.wake();
    let waited = async {
        loop {
            let row = requested_erasure(&state, &id).await?;
            if row.completed_ms.is_some() {
                return ApiResult::Ok(());
            }
            tokio::time::sleep(ERASURE_POLL).await;
        }
    };
    if let Ok(result) = tokio::time::timeout(ERASURE_WAIT, waited).await {
        result?;
    }
    let erasure = erasure_view(&state, &id).await?;
    let status = match erasure.status {
        ErasureStatus::Done => StatusCode::OK,
        ErasureStatus::Pending => StatusCode::ACCEPTED,
    };
    Ok((status, Json(erasure)).into_response())
}

/// Returns the progress of an erasure.
async fn erasure(
    State(state): State<HttpState>,
    _: Admin,
    Path(id): Path<String>,
) -> ApiResult<Json<Erasure>> {
    Ok(Json(erasure_view(&state, &id).await?))
}

/// Checks that a user may be erased. A deleted user may have recordings and rows of the audit log, too.
async fn check_erasure(
    state: &HttpState,
    caller: &Caller,
    id: &str,
    include_protected: bool,
    unforwarded: Unforwarded,
) -> ApiResult<()> {
    if id == caller.user_id {
        return Err(ApiError::new(
            ProblemCode::Conflict,
            "You cannot erase your own account. Ask another administrator.",
        ));
    }
    let (database, is_id) = (&state.database, query::can_be_id(id));
    let is_known = is_id
        && (database.users().get(id).await?.is_some()
            || database.owners().count_rows(id).await? > 0
            || database.audit().knows_user(id).await?);
    if !is_known {
        return Err(no_such_user());
    }
    let protected = database.owners().count_protected(id).await?;
    if protected > 0 && !include_protected {
        return Err(ApiError::new(
            ProblemCode::Conflict,
            format!(
                "Protected recordings of this user: {protected}. Nothing was erased. To delete them, too, repeat the request \
                 with include_protected=true."
            ),
        ));
    }
    check_forwarded(state, id, unforwarded, "erased").await
}

/// Rejects the deletion of a user's recordings while some of them are only here, unless the caller wants it.
async fn check_forwarded(
    state: &HttpState,
    user_id: &str,
    unforwarded: Unforwarded,
    done: &str,
) -> ApiResult<()> {
    if unforwarded == Unforwarded::Delete {
        return Ok(());
    }
    match state.database.owners().count_unforwarded(user_id).await? {
        0 => Ok(()),
        count => Err(ApiError::new(
            ProblemCode::NotForwarded,
            format!(
                "Recordings of this user that are not on the central server yet: {count}. Nothing was {done}. Wait until they are \
                 forwarded. To delete their only copies, repeat the request with unforwarded=delete."
            ),
        )),
    }
}

async fn requested_erasure(state: &HttpState, id: &str) -> ApiResult<ErasureRow> {
    let row = state.database.erasures().get(id).await?;
    row.ok_or_else(|| ApiError::not_found("The erasure of this user was not requested."))
}

async fn erasure_view(state: &HttpState, id: &str) -> ApiResult<Erasure> {
    let row = requested_erasure(state, id).await?;
    Ok(Erasure {
        recordings_left: state.database.owners().count_rows(id).await?,
        status: match row.completed_ms {
            Some(_) => ErasureStatus::Done,
            None => ErasureStatus::Pending,
        },
        pseudonym: pseudonym(&row.user_id),
        user_id: row.user_id,
        requested_at: rfc3339(row.requested_ms),
        completed_at: row.completed_ms.map(rfc3339),
    })
}

/// Disables a user before the deletion, so that no recording is added meanwhile. Later steps can be retried.
async fn disable(state: &HttpState, id: &str) -> ApiResult<()> {
    let change = UserChange {
        disabled: Some(true),
        ..UserChange::default()
    };
    if !state.database.users().update(id, &change).await? {
        return Err(refusal(state, id).await?);
    }
    state.accounts.auth_cache.forget_user(id);
    Ok(())
}

/// Ends the sessions of a user who is about to be deleted, as the deletion of a session does. Their recordings are finished
/// by the reaper.
async fn end_sessions(state: &HttpState, caller: &Caller, user_id: &str) -> ApiResult<()> {
    // A refused deletion must not end anything.
    if !state.database.users().can_delete(user_id).await? {
        return Err(refusal(state, user_id).await?);
    }
    let (sessions, actor) = (state.database.sessions(), caller.actor());
    while sessions
        .end_some_of(user_id, &actor, state.clock.now_ms())
        .await?
        > 0
    {}
    Ok(())
}

/// Transfers a user's recordings to the caller; returns their number.
async fn transfer_recordings(state: &HttpState, caller: &Caller, from: &str) -> ApiResult<u64> {
    let actor = caller.actor();
    let mut moved = 0;
    loop {
        let now_ms = state.clock.now_ms();
        match state
            .database
            .owners()
            .transfer_recordings(from, &actor, now_ms)
            .await?
        {
            0 => return Ok(moved),
            more => moved += more,
        }
    }
}

/// Deletes a user's recordings; returns their number.
async fn delete_recordings(
    state: &HttpState,
    caller: &Caller,
    user_id: &str,
    unforwarded: Unforwarded,
) -> ApiResult<u64> {
    let actor = caller.actor();
    let mut deleted = 0;
    loop {
        let ids = state
            .database
            .owners()
            .recordings_to_delete(user_id)
            .await?;
        if ids.is_empty() {
            return Ok(deleted);
        }
        for id in ids {
            let detail = recordings::deletion_detail(state, &id, unforwarded).await?;
            state.uploads.delete(&id, &actor, detail).await?;
            deleted += 1;
        }
    }
}

async fn audit(
    state: &HttpState,
    caller: &Caller,
    action: Action,
    id: &str,
    detail: &str,
) -> ApiResult<()> {
    let actor = caller.actor();
    let event = AuditEvent::done(&actor, action, id).detail(detail);
    Ok(state.audit(&event).await?)
}

fn words(roles: &[Role]) -> &'static str {
    if roles.contains(&Role::Admin) {
        "admin"
    } else {
        "user"
    }
}

/// Describes a change for the audit log: roles and status with their values, other fields by name.
fn described(change: &UserChange) -> String {
    let mut parts = Vec::new();
    if let Some(roles) = &change.roles {
        parts.push(format!("role {}", words(roles)));
    }
    if let Some(disabled) = change.disabled {
        parts.push(if disabled { "disabled" } else { "enabled" }.to_owned());
    }
    for (changed, name) in [
        (change.password_hash.is_some(), "password"),
        (change.email.is_some(), "email"),
        (change.display_name.is_some(), "display name"),
        (change.labels.external_id.is_some(), "external ID"),
        (change.labels.metadata.is_some(), "metadata"),
    ] {
        if changed {
            parts.push(name.to_owned());
        }
    }
    parts.join(", ")
}

/// Returns the row of a user.
pub(in crate::http) async fn existing(state: &HttpState, id: &str) -> ApiResult<UserRow> {
    let row = state.database.users().get(id).await?;
    row.ok_or_else(no_such_user)
}

fn no_such_user() -> ApiError {
    ApiError::not_found("This user does not exist.")
}

/// Error of a refused change or deletion: unknown user, or last administrator.
async fn refusal(state: &HttpState, id: &str) -> ApiResult<ApiError> {
    Ok(match state.database.users().get(id).await? {
        None => no_such_user(),
        Some(row) => ApiError::new(
            ProblemCode::Conflict,
            format!(
                "You cannot delete or disable the only administrator, {:?}. Add another administrator first.",
                row.username
            ),
        ),
    })
}

fn check_username(name: &str) -> ApiResult<()> {
    let length = name.chars().count();
    if (1..=64).contains(&length) && name.trim() == name && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(ApiError::invalid(
        "A user name must have 1 to 64 characters, no control characters, and no leading or trailing white space.",
    ))
}

pub(in crate::http) fn check_password(password: &str) -> ApiResult<()> {
    if (8..=256).contains(&password.chars().count()) {
        return Ok(());
    }
    Err(ApiError::invalid(
        "A password must have 8 to 256 characters.",
    ))
}

fn checked_email(email: Option<String>) -> ApiResult<Option<String>> {
    let Some(email) = email.filter(|email| !email.is_empty()) else {
        return Ok(None);
    };
    if is_plausible_email(&email) {
        return Ok(Some(email));
    }
    Err(ApiError::invalid(
        "The email address is not valid. Example: name@example.org.",
    ))
}

fn checked_display_name(name: Option<String>) -> ApiResult<Option<String>> {
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    if name.chars().count() <= 128 && name.trim() == name && !name.chars().any(char::is_control) {
        return Ok(Some(name));
    }
    Err(ApiError::invalid(
        "A display name must have at most 128 characters, no control characters, and no leading or trailing white space.",
    ))
}

fn checked_roles(mut roles: Vec<Role>) -> ApiResult<Vec<Role>> {
    roles.sort_by_key(|role| *role == Role::Admin);
    roles.dedup();
    if roles.is_empty() {
        return Err(ApiError::invalid(
            "A user needs at least one role: \"user\" or \"admin\".",
        ));
    }
    Ok(roles)
}
