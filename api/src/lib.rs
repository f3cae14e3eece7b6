//! Wire types of the Sortie Recording HTTP API, shared by the server, the client library and the pages.
//!
//! The types are a compatibility promise: fields may be added, but never renamed or removed. There is no I/O and no
//! business logic here, and no type is a database row. Readers ignore unknown fields in responses, so that an older
//! client keeps working with a newer server.

mod account;
mod activity;
mod appliance;
mod appliance_history;
mod audit;
mod event;
mod labels;
mod list;
mod marker;
mod problem;
mod recording;
mod retention;
mod schedule;
mod seek_index;
mod server;
mod session;
mod settings;
mod share;
mod storage;
mod token;
mod webhook;

pub use account::{
    ChangePassword, Erasure, ErasureStatus, Login, NewUser, OidcMethod, PageSignIn, RefreshRequest,
    Role, SignIn, SignInMethods, Tokens, User, UserSource, UserUpdate,
};
pub use activity::{Activity, IdleSpan};
pub use appliance::{
    Appliance, ApplianceAlarm, Forwarding, GrowingFile, InputSignal, RaisedAlarm, RecorderProblem,
    RecorderState, SignalState, Space, TestSignal,
};
pub use appliance_history::{ApplianceHistory, DroppedSpan, RecordedSpan, SignalSpan};
pub use audit::{AuditEntry, AuditResult, AuditVerification, Via};
pub use event::{DeletedRecording, DeletedSession, Event, Hello, LiveSettings};
pub use labels::Metadata;
pub use list::{RecordingCount, RecordingQuery, RecordingTotals};
pub use marker::{Marker, MarkerKind, MarkerUpdate, NewMarker};
pub use problem::{Problem, ProblemCode};
pub use recording::{
    DeleteRecordings, DeletionStatus, EndReason, LeftOut, LeftOutReason, Recording,
    RecordingDeletion, RecordingPart, RecordingStarted, RecordingStatus, RecordingStopped,
    RecordingUpdate, StartRecording, StopRecording, Unforwarded,
};
pub use retention::{
    Amount, ClockDoubt, ClockHold, ConfirmClock, DeletionReason, DeletionRule, FailedDeletion,
    OtherFile, OtherFileKind, OtherFiles, PlannedDeletion, RetentionPreview, RetentionRun,
};
pub use schedule::{
    ApplianceSchedule, InvalidSchedule, Schedule, ScheduleField, ScheduleStatus, ScheduleWindow,
    Weekday,
};
pub use seek_index::SeekIndex;
pub use server::{Readiness, Ready, ServerInfo};
pub use session::{
    NewSession, RecordingRequirement, RecordingToken, Session, SessionStatus, SessionUpdate,
};
pub use settings::{
    RECORDING_AUTO_RECORD, RECORDING_SCHEDULE, STORAGE_THRESHOLD_PERCENT, Settings,
};
pub use share::{CreatedShare, NewPlaybackUrl, NewShare, PlaybackUrl, Share};
pub use storage::{DayUsage, QuotaUsage, RetentionRule, StatusUsage, StorageReport, UserUsage};
pub use token::{ApiToken, CreatedApiToken, NewApiToken, TokenScope};
pub use webhook::{
    NewWebhook, RecordingWebhook, RecordingWebhookData, SessionWebhook, SessionWebhookData,
    TestWebhook, TestWebhookData, Webhook, WebhookDelivery, WebhookDeliveryStatus, WebhookEvent,
    WebhookTestResult, WebhookUpdate, WebhookWithSecret,
};
