//! Exports traces to an OpenTelemetry collector (OTLP over HTTP), if an endpoint is configured.
//!
//! Spans are [`tracing`] spans of one target at the level trace, which cost one static read without an endpoint. A
//! dedicated thread sends them from a bounded queue; while the collector is unavailable, spans are lost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::http::{Request, Response};
use bytes::Bytes;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter};
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

use crate::config::TelemetryConfig;

/// Target of spans for the collector.
pub(crate) const SPANS: &str = "sortie::spans";
/// Time limit for sending the last spans on shutdown.
const FLUSH: Duration = Duration::from_secs(5);
/// Time limit of one export request.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);

/// Exporter of traces to a collector.
#[derive(Debug)]
pub struct Telemetry {
    provider: SdkTracerProvider,
}

impl Telemetry {
    /// Creates the exporter, which sends on `runtime`. The collector need not be available.
    ///
    /// # Errors
    /// The endpoint is not valid.
    pub fn start(config: &TelemetryConfig, runtime: Handle) -> Result<Self, TelemetryError> {
        crate::net::tls::choose_tls();
        let http = reqwest::Client::builder()
            .timeout(EXPORT_TIMEOUT)
            .build()
            .map_err(TelemetryError::Client)?;
        let headers = config
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.expose().to_owned()));
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_http_client(RuntimeClient {
                http,
                runtime,
                failing: AtomicBool::new(false),
            })
            .with_endpoint(&config.endpoint)
            .with_headers(headers.collect())
            .build()
            .map_err(TelemetryError::Exporter)?;
        let resource = Resource::builder()
            .with_service_name(config.service_name.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_batch_exporter(exporter)
            .build();
        Ok(Self { provider })
    }

    /// Layer that collects the spans.
    pub fn layer<S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync>(
        &self,
    ) -> impl Layer<S> + Send + Sync + 'static {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("sortie-server"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(Targets::new().with_target(SPANS, LevelFilter::TRACE))
    }

    /// Sends the remaining spans. Blocks for at most five seconds and needs the runtime.
    pub fn shut_down(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(FLUSH) {
            tracing::warn!("cannot send the last traces to the collector: {error}");
        }
    }
}

/// Reasons why traces cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The HTTP client cannot be created.
    #[error("OTEL_EXPORTER_OTLP_ENDPOINT: cannot create the HTTP client for traces")]
    Client(#[source] reqwest::Error),
    /// The exporter cannot be created.
    #[error("OTEL_EXPORTER_OTLP_ENDPOINT: cannot send traces to this endpoint")]
    Exporter(#[source] ExporterBuildError),
}

/// HTTP client of the exporter, whose thread has no runtime. Logs the first failure and the recovery.
#[derive(Debug)]
struct RuntimeClient {
    http: reqwest::Client,
    runtime: Handle,
    failing: AtomicBool,
}

#[async_trait]
impl HttpClient for RuntimeClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        let export = async move {
            let answer = http.execute(request.try_into()?).await?;
            let status = answer.status();
            let mut response = Response::new(answer.bytes().await?);
            *response.status_mut() = status;
            Ok::<_, reqwest::Error>(response)
        };
        let exported = self.runtime.spawn(export).await?;
        let problem = match &exported {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(response.status().to_string()),
            Err(error) => Some(error.to_string()),
        };
        let was_failing = self.failing.swap(problem.is_some(), Ordering::Relaxed);
        match problem {
            Some(problem) if !was_failing => {
                tracing::warn!("the collector does not accept traces: {problem}");
            }
            None if was_failing => tracing::info!("the collector accepts traces again"),
            _ => {}
        }
        Ok(exported?)
    }
}
