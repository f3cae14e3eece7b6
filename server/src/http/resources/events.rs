//! Server-sent events: `/api/events`.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use serde::Deserialize;
use sortie_api::{Appliance, Event, LiveSettings, ProblemCode, Recording, Session};

use super::{appliance, recordings, sessions};
use crate::accounts::Credential;
use crate::change_feed::{Item, Kind, ListenError, Listener, Notice, Source};
use crate::db::{DatabaseError, RecordingRow, SessionRow};
use crate::http::extract::caller::Caller;
use crate::http::extract::query;
use crate::http::routes::{Routes, routes};
use crate::http::{ApiError, ApiResult, HttpState};
use crate::uploads::Progress;

/// Interval of comments, which keep proxies from closing the stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Duration of a stream; the client then reconnects. Bounds the time for which a stream outlives its sign-in.
const LIFETIME: Duration = Duration::from_secs(10 * 60);
/// Delay before the client reconnects.
const RETRY: Duration = Duration::from_millis(2000);

pub(in crate::http) fn routes() -> Routes {
    routes! { GET "/api/events" => events }
}

#[derive(Deserialize)]
struct EventsQuery {
    session: Option<String>,
    all: Option<String>,
}

/// Events of a stream.
enum Scope {
    /// Events of all users.
    All,
    /// Events of one user.
    User(String),
    /// Events of one session.
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
    State(state): State<HttpState>,
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
                "Only administrators can subscribe to the events of all users.",
            ));
        }
        None if all => Scope::All,
        None => Scope::User(caller.user_id.clone()),
    };
    // An administrator may subscribe to another user's session.
    let all_users = caller.is_admin() && !matches!(scope, Scope::User(_));
    let listener = state.events.listen(&caller.user_id, all_users).await;
    let listener = listener.map_err(|refused| match refused {
        ListenError::TooMany => ApiError::new(
            ProblemCode::TooManyRequests,
            "You have too many open event streams. Close some pages, or poll instead.",
        ),
        ListenError::Closing => ApiError::new(
            ProblemCode::Unavailable,
            "The server is shutting down. Try again in a moment.",
        ),
    })?;
    // The listener is notified when the credential ends; this check covers the time before the listener was added.
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
    let stream = event_stream(state, scope, caller, listener);
    let stream = stream.take_until(tokio::time::sleep(lifetime));
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    let mut response = Sse::new(stream).keep_alive(keep_alive).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Turns off nginx's buffering of the answer.
    headers.insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    Ok(response)
}

/// State of one event stream.
struct EventStream {
    state: HttpState,
    scope: Scope,
    caller: Caller,
    listener: Listener,
    /// Events to send before the next notice is read, in reverse order.
    pending: Vec<sse::Event>,
}

fn event_stream(
    state: HttpState,
    scope: Scope,
    caller: Caller,
    listener: Listener,
) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    let events = EventStream {
        state,
        scope,
        caller,
        listener,
        pending: Vec::new(),
    };
    // A new stream begins like one that has missed events: with the current state.
    let first = Some(Item::Missed);
    stream::unfold((events, first), |(mut events, mut first)| async move {
        loop {
            if let Some(event) = events.pending.pop() {
                return Some((Ok(event), (events, first)));
            }
            let item = match first.take() {
                Some(item) => item,
                None => events.listener.next().await?,
            };
            if !events.handle(item).await {
                return None;
            }
        }
    })
}

impl EventStream {
    /// Handles an item; `false` ends the stream.
    async fn handle(&mut self, item: Item) -> bool {
        let result = match item {
            Item::Missed => self.hello().await,
            Item::Notice(notice) => match &notice.kind {
                Kind::AccessChanged => {
                    return notice.user_id.as_ref() != Some(&self.caller.user_id);
                }
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
                    self.pending.push(sse_event(name, data));
                    match &self.scope {
                        // The setting may change whether this session is recorded automatically.
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
            tracing::warn!("event stream ended by an error: {error}");
        }
        // Sent in the order in which the events were added.
        self.pending.reverse();
        result.is_ok()
    }

    /// Whether an event is for this stream. Events of the appliance need the administrator role, which an API token has
    /// only with the scope `admin`.
    fn has(&self, notice: &Notice) -> bool {
        self.scope.has(notice) && (!notice.admins_only || self.caller.is_admin())
    }

    /// Adds the events that describe the current state.
    async fn hello(&mut self) -> Result<(), DatabaseError> {
        self.pending
            .push(sse_event(Event::Hello.name(), "{}").retry(RETRY));
        let recording_auto_record = self.state.database.settings().auto_record().await?;
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
        if let Some(row) = self.state.database.sessions().get(id).await? {
            let auto_on = self.state.database.settings().auto_record().await?;
            self.push(&Event::Session(Box::new(sessions::view(row, auto_on))));
        }
        Ok(())
    }

    fn push(&mut self, event: &Event) {
        if let Ok(data) = event.data() {
            self.pending.push(sse_event(event.name(), &data));
        }
    }
}

fn sse_event(name: &str, data: &str) -> sse::Event {
    sse::Event::default().event(name).data(data)
}

impl Source for HttpState {
    async fn recordings(&self, rows: Vec<RecordingRow>) -> Result<Vec<Recording>, DatabaseError> {
        recordings::with_parts(self, rows).await
    }

    async fn session(&self, row: SessionRow) -> Result<Session, DatabaseError> {
        Ok(sessions::view(
            row,
            self.database.settings().auto_record().await?,
        ))
    }

    async fn appliance(&self) -> Option<Appliance> {
        appliance::view(self).await
    }

    fn growing(&self) -> Vec<(String, Progress)> {
        self.uploads.growing()
    }
}
