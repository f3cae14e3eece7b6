//! Server-sent events: `/api/events`.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use serde::Deserialize;
use sortie_api::{Appliance, Event, Hello, LiveSettings, ProblemCode, Recording, Session};

use super::{appliance, recordings, sessions};
use crate::accounts::Credential;
use crate::change_feed::{Item, Kind, ListenError, Listener, Notice, Source, replay};
use crate::db::{DatabaseError, RecordingRow, SessionRow};
use crate::http::extract::caller::Caller;
use crate::http::extract::query;
use crate::http::routes::{Routes, routes};
use crate::http::{ApiError, ApiResult, HttpState, UNBUFFERED};
use crate::uploads::Progress;

/// Interval of comments, which keep proxies from closing the stream.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Duration of a stream; the client then reconnects. Bounds the time for which a stream outlives its sign-in.
const LIFETIME: Duration = Duration::from_secs(10 * 60);
/// Delay before the client reconnects.
const RETRY: Duration = Duration::from_millis(2000);
/// Header with the `id` of the last event that a reconnecting client has received (WHATWG HTML, 9.2).
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

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
    headers: HeaderMap,
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
    let stream = event_stream(state, scope, caller, listener, last_event_id(&headers));
    let stream = stream.take_until(tokio::time::sleep(lifetime));
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    let mut response = Sse::new(stream).keep_alive(keep_alive).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.extend([UNBUFFERED]);
    Ok(response)
}

/// Returns the number of the audit row in `Last-Event-ID`. Any other value counts as absent.
fn last_event_id(headers: &HeaderMap) -> Option<i64> {
    headers.get(LAST_EVENT_ID)?.to_str().ok()?.parse().ok()
}

/// State of one event stream.
struct EventStream {
    state: HttpState,
    scope: Scope,
    caller: Caller,
    listener: Listener,
    /// Number of the last audit row whose event was replayed, and is not sent again.
    replayed_seq: i64,
    /// Events to send before the next notice is read, in reverse order.
    pending: Vec<sse::Event>,
}

fn event_stream(
    state: HttpState,
    scope: Scope,
    caller: Caller,
    listener: Listener,
    last_seq: Option<i64>,
) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    let events = EventStream {
        state,
        scope,
        caller,
        listener,
        replayed_seq: 0,
        pending: Vec::new(),
    };
    stream::unfold((events, true), move |(mut events, mut is_new)| async move {
        loop {
            if let Some(event) = events.pending.pop() {
                return Some((Ok(event), (events, is_new)));
            }
            let continues = if std::mem::take(&mut is_new) {
                events.begin(last_seq).await
            } else {
                let item = events.listener.next().await?;
                events.handle(item).await
            };
            if !continues {
                return None;
            }
        }
    })
}

impl EventStream {
    /// Adds the first events; `false` ends the stream. A new stream begins like one that has missed events: with the
    /// current state.
    async fn begin(&mut self, last_seq: Option<i64>) -> bool {
        let result = match last_seq {
            Some(last_seq) => self.resume(last_seq).await,
            None => self.hello().await,
        };
        self.end_batch(result)
    }

    /// Adds the events after an audit row, or `hello` if they are not available.
    async fn resume(&mut self, last_seq: i64) -> Result<(), DatabaseError> {
        // The states of an appliance are not in the log.
        if self.state.appliance.is_some() {
            return self.hello().await;
        }
        let (user, session) = match &self.scope {
            Scope::All => (None, None),
            Scope::User(id) => (Some(id.clone()), None),
            Scope::Session(id) => (None, Some(id.clone())),
        };
        let wanted = move |user_id: &str, session_id: Option<&str>| {
            user.as_ref().is_none_or(|id| id == user_id)
                && session
                    .as_ref()
                    .is_none_or(|id| Some(id.as_str()) == session_id)
        };
        let (database, events) = (self.state.database.clone(), self.state.events.clone());
        let _permit = events.replay_permit(&self.caller.user_id).await;
        let Some(replay) = replay(&database, self.state.clone(), last_seq, &wanted).await? else {
            return self.hello().await;
        };
        // No event, but a new `id` and `retry`.
        let id = last_seq.to_string();
        self.pending.push(sse::Event::default().id(id).retry(RETRY));
        for notice in replay.notices {
            if let Kind::Event { .. } = notice.kind
                && self.has(&notice)
            {
                self.add(&notice).await?;
            }
        }
        self.replayed_seq = replay.seq;
        Ok(())
    }

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
                Kind::Event { .. } if self.has(&notice) && !self.is_replayed(&notice) => {
                    self.add(&notice).await
                }
                Kind::Event { .. } => Ok(()),
            },
        };
        self.end_batch(result)
    }

    /// Orders the added events; `false` after an error.
    fn end_batch(&mut self, result: Result<(), DatabaseError>) -> bool {
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

    fn is_replayed(&self, notice: &Notice) -> bool {
        notice.seq.is_some_and(|seq| seq <= self.replayed_seq)
    }

    /// Adds the event of a notice. The last event that is added has the `id`.
    async fn add(&mut self, notice: &Notice) -> Result<(), DatabaseError> {
        let Kind::Event { name, data } = &notice.kind else {
            return Ok(());
        };
        self.pending.push(sse_event(name, data));
        // The setting may change whether this session is recorded automatically.
        if let (Scope::Session(id), None) = (&self.scope, &notice.user_id) {
            let id = id.clone();
            self.session(&id).await?;
        }
        if let Some(seq) = notice.seq
            && let Some(last) = self.pending.pop()
        {
            self.pending.push(last.id(seq.to_string()));
        }
        Ok(())
    }

    /// Adds the events that describe the current state.
    async fn hello(&mut self) -> Result<(), DatabaseError> {
        // Read before the state: later changes have later numbers.
        let head = self.state.database.audit().head().await?;
        let last_event = Some(head);
        let hello = Event::Hello(Hello { last_event });
        if let Ok(data) = hello.data() {
            let hello = sse_event(hello.name(), &data).id(head.to_string());
            self.pending.push(hello.retry(RETRY));
        }
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

    async fn sessions(&self, rows: Vec<SessionRow>) -> Result<Vec<Session>, DatabaseError> {
        let auto_on = self.database.settings().auto_record().await?;
        let rows = rows.into_iter();
        Ok(rows.map(|row| sessions::view(row, auto_on)).collect())
    }

    fn appliance(&self) -> Option<Appliance> {
        appliance::view(self)
    }

    fn growing(&self) -> Vec<(String, Progress)> {
        self.uploads.growing()
    }
}
