//! Traces for an OpenTelemetry collector (OTLP over HTTP), if an endpoint is set.
//!
//! Spans are ordinary [`tracing`] spans of one target and the lowest level, so that without an endpoint a span is a
//! look at one static. A collector that is away costs spans and nothing else: they wait in a queue of fixed length
//! and are sent by a thread of their own.

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

/// The target of all spans that are meant for a collector.
pub(crate) const SPANS: &str = "sortie::spans";
/// How long the server waits at its end for the last spans to be sent.
const FLUSH: Duration = Duration::from_secs(5);
/// One delivery takes no longer than this.
const DELIVERY: Duration = Duration::from_secs(10);

/// The way to the collector.
#[derive(Debug)]
pub struct Telemetry {
    provider: SdkTracerProvider,
}

impl Telemetry {
    /// Makes ready to send. The collector need not be there; `runtime` sends.
    ///
    /// # Errors
    /// When the endpoint makes no sense.
    pub fn start(config: &TelemetryConfig, runtime: Handle) -> Result<Self, TelemetryError> {
        crate::net::tls::choose_tls();
        let http = reqwest::Client::builder()
            .timeout(DELIVERY)
            .build()
            .map_err(TelemetryError::Client)?;
        let headers = config
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.expose().to_owned()));
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_http_client(Carrier {
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

    /// Takes spans from the program.
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

    /// Sends what is left, as far as the collector takes it. Blocking, for some seconds at most; the runtime must
    /// still be there.
    pub fn shut_down(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(FLUSH) {
            tracing::warn!("the last traces did not reach the collector: {error}");
        }
    }
}

/// Why there will be no traces.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The HTTP client.
    #[error("OTEL_EXPORTER_OTLP_ENDPOINT: there is no HTTP client for traces")]
    Client(#[source] reqwest::Error),
    /// The exporter.
    #[error("OTEL_EXPORTER_OTLP_ENDPOINT: traces cannot be sent there")]
    Exporter(#[source] ExporterBuildError),
}

/// Brings spans to the collector, from a thread that knows no runtime; says in the log when that begins to fail and
/// when it works again.
#[derive(Debug)]
struct Carrier {
    http: reqwest::Client,
    runtime: Handle,
    failing: AtomicBool,
}

#[async_trait]
impl HttpClient for Carrier {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        let delivery = async move {
            let answer = http.execute(request.try_into()?).await?;
            let status = answer.status();
            let mut response = Response::new(answer.bytes().await?);
            *response.status_mut() = status;
            Ok::<_, reqwest::Error>(response)
        };
        let delivered = self.runtime.spawn(delivery).await?;
        let problem = match &delivered {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => Some(response.status().to_string()),
            Err(error) => Some(error.to_string()),
        };
        let was_failing = self.failing.swap(problem.is_some(), Ordering::Relaxed);
        match problem {
            Some(problem) if !was_failing => {
                tracing::warn!("the collector does not take traces: {problem}");
            }
            None if was_failing => tracing::info!("the collector takes traces again"),
            _ => {}
        }
        Ok(delivered?)
    }
}
