//! `GET /api/events`: server-sent events for open pages.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use serde::Deserialize;
use sortie_api::{Event, LiveSettings, ProblemCode};

use super::sessions;
use crate::accounts::Credential;
use crate::change_feed::{Heard, Kind, Listener, Notice, Refused};
use crate::db::DatabaseError;
use crate::http::extract::caller::Caller;
use crate::http::extract::query;
use crate::http::routes::{Routes, routes};
use crate::http::{ApiError, ApiResult, AppState};

/// A comment so often keeps proxies from taking the stream for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A stream does not outlive the sign-in it was opened with by more than this: its reader opens the next one with
/// what it has then.
const LIFETIME: Duration = Duration::from_secs(10 * 60);
/// How long a reader waits before it opens the next one.
const RETRY: Duration = Duration::from_millis(2000);

pub(in crate::http) fn routes() -> Routes {
    routes! { GET "/api/events" => events }
}

#[derive(Deserialize)]
struct EventsQuery {
    session: Option<String>,
    all: Option<String>,
}

/// Whose events a stream has.
enum Scope {
    /// Everybody's.
    All,
    /// A person's.
    User(String),
    /// One session's.
    Session(String),
}

impl Scope {
    fn has(&self, notice: &Notice) -> bool {
        match self {
            _ if notice.user_id.is_none() => true,
            Self::All => true,
            Self::User(id) => notice.user_id.as_ref() == Some(id),
            Self::Session(id) => notice.session_id.as_ref() == Some(id),
        }
    }
}

async fn events(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<EventsQuery>,
) -> ApiResult<Response> {
    let all = query::flag("all", query.all.as_deref())?;
    let scope = match query.session {
        Some(id) => {
            sessions::allowed(&state, &caller, &id).await?;
            Scope::Session(id)
        }
        None if all && !caller.is_admin() => {
            return Err(ApiError::forbidden(
                "Only administrators hear of everybody's.",
            ));
        }
        None if all => Scope::All,
        None => Scope::User(caller.user_id.clone()),
    };
    // An administrator may listen to somebody else's session.
    let everything = caller.is_admin() && !matches!(scope, Scope::User(_));
    let listener = state.events.listen(&caller.user_id, everything).await;
    let listener = listener.map_err(|refused| match refused {
        Refused::TooMany => ApiError::new(
            ProblemCode::TooManyRequests,
            "Too many event streams of yours are open. Close some pages, or ask now and then instead.",
        ),
        Refused::Closing => ApiError::new(
            ProblemCode::Unavailable,
            "The server is shutting down. Try again in a moment.",
        ),
    })?;
    // From here on the stream learns when its credential ends; before, nothing would have told it.
    caller.check_again(&state).await?;
    let lifetime = match caller.credential {
        Credential::ApiToken {
            expires_ms: Some(expires_ms),
            ..
        } => {
            let left_ms = expires_ms.saturating_sub(state.clock.now_ms());
            LIFETIME.min(Duration::from_millis(u64::try_from(left_ms).unwrap_or(0)))
        }
        _ => LIFETIME,
    };
    let stream = told(state, scope, caller, listener);
    let stream = stream.take_until(tokio::time::sleep(lifetime));
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    let mut response = Sse::new(stream).keep_alive(keep_alive).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx collects an answer before it passes it on, unless told not to.
    headers.insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    Ok(response)
}

/// What a stream says, in turn.
struct Teller {
    state: AppState,
    scope: Scope,
    caller: Caller,
    listener: Listener,
    /// Said before anything else is heard.
    pending: Vec<sse::Event>,
}

fn told(
    state: AppState,
    scope: Scope,
    caller: Caller,
    listener: Listener,
) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    let teller = Teller {
        state,
        scope,
        caller,
        listener,
        pending: Vec::new(),
    };
    // At the beginning all is yet to be said, as if it had been missed.
    let first = Some(Heard::Missed);
    stream::unfold((teller, first), |(mut teller, mut first)| async move {
        loop {
            if let Some(event) = teller.pending.pop() {
                return Some((Ok(event), (teller, first)));
            }
            let heard = match first.take() {
                Some(heard) => heard,
                None => teller.listener.next().await?,
            };
            if !teller.take(heard).await {
                return None;
            }
        }
    })
}

impl Teller {
    /// Takes what was heard; `false` ends the stream.
    async fn take(&mut self, heard: Heard) -> bool {
        let result = match heard {
            Heard::Missed => self.hello().await,
            Heard::Notice(notice) => match &notice.kind {
                Kind::Expelled => return notice.user_id.as_ref() != Some(&self.caller.user_id),
                Kind::SignInEnded if notice.user_id.as_ref() == Some(&self.caller.user_id) => {
                    return self.caller.check_again(&self.state).await.is_ok();
                }
                Kind::SignInEnded => Ok(()),
                Kind::TokenRevoked { id } => {
                    return !matches!(
                        &self.caller.credential,
                        Credential::ApiToken { id: own, .. } if own == id
                    );
                }
                Kind::Event { name, data } if self.has(&notice) => {
                    self.pending.push(written(name, data));
                    match &self.scope {
                        // Whether this session is recorded by itself may have changed with the setting.
                        Scope::Session(id) if notice.user_id.is_none() => {
                            let id = id.clone();
                            self.session(&id).await
                        }
                        _ => Ok(()),
                    }
                }
                Kind::Event { .. } => Ok(()),
            },
        };
        if let Err(error) = &result {
            tracing::warn!("an event stream ends early: {error}");
        }
        // Said in the order in which it was found out.
        self.pending.reverse();
        result.is_ok()
    }

    /// Whether an event is for this stream. The recorder on board is an administrator's, with a credential that
    /// administers: an API token of theirs that may only record or read sees nothing of it.
    fn has(&self, notice: &Notice) -> bool {
        self.scope.has(notice) && (!notice.admins_only || self.caller.is_admin())
    }

    /// Where things stand: at the beginning, and when something was missed.
    async fn hello(&mut self) -> Result<(), DatabaseError> {
        self.pending
            .push(written(Event::Hello.name(), "{}").retry(RETRY));
        let recording_auto_record = self.state.database.auto_record().await?;
        self.push(&Event::Settings(LiveSettings {
            recording_auto_record,
        }));
        match &self.scope {
            Scope::Session(id) => {
                let id = id.clone();
                self.session(&id).await
            }
            _ => Ok(()),
        }
    }

    async fn session(&mut self, id: &str) -> Result<(), DatabaseError> {
        if let Some(row) = self.state.database.session(id).await? {
            let auto_on = self.state.database.auto_record().await?;
            self.push(&Event::Session(Box::new(sessions::shown(row, auto_on))));
        }
        Ok(())
    }

    fn push(&mut self, event: &Event) {
        if let Ok(data) = event.data() {
            self.pending.push(written(event.name(), &data));
        }
    }
}

fn written(name: &str, data: &str) -> sse::Event {
    sse::Event::default().event(name).data(data)
}
