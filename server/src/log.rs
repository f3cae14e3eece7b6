//! Log on standard error, and traces to a collector.

use std::io::IsTerminal;

use sortie_server::Config;
use tokio::runtime::Handle;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

#[must_use]
pub(crate) struct Traces {
    #[cfg(feature = "otel")]
    telemetry: Option<sortie_server::Telemetry>,
}

impl Traces {
    /// Sends the last traces.
    pub(crate) fn shut_down(self) {
        #[cfg(feature = "otel")]
        if let Some(telemetry) = self.telemetry {
            telemetry.shut_down();
        }
    }
}

/// Starts logging: lines for terminals, JSON otherwise.
pub(crate) fn start(config: &Config, runtime: &Handle) -> anyhow::Result<Traces> {
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = if std::io::stderr().is_terminal() {
        Box::new(lines)
    } else {
        Box::new(lines.json().flatten_event(true))
    };
    let filter = EnvFilter::new(&config.log);
    #[cfg(feature = "otel")]
    {
        let started = config
            .telemetry
            .as_ref()
            .map(|to| sortie_server::Telemetry::start(to, runtime.clone()));
        let telemetry = started.transpose()?;
        match &telemetry {
            Some(telemetry) => tracing_subscriber::registry()
                .with(lines.with_filter(filter))
                .with(telemetry.layer())
                .init(),
            // One filter for all outputs costs less than one for each.
            None => tracing_subscriber::registry()
                .with(lines)
                .with(filter)
                .init(),
        }
        Ok(Traces { telemetry })
    }
    #[cfg(not(feature = "otel"))]
    {
        let _ = runtime;
        tracing_subscriber::registry()
            .with(lines)
            .with(filter)
            .init();
        Ok(Traces {})
    }
}
