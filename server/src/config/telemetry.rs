//! OpenTelemetry variables read by this program. The SDK reads others (`OTEL_TRACES_SAMPLER`,
//! `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_BSP_…`) from the environment.

use axum::http::Uri;

use super::{Reader, Secret};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";

/// Configuration of the export of traces.
#[derive(Clone, Debug)]
pub struct TelemetryConfig {
    /// `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, or `OTEL_EXPORTER_OTLP_ENDPOINT` with `/v1/traces` appended.
    pub endpoint: String,
    /// `OTEL_EXPORTER_OTLP_HEADERS`: additional headers, often with a key.
    pub headers: Vec<(String, Secret)>,
    /// `OTEL_SERVICE_NAME`.
    pub service_name: String,
}

impl TelemetryConfig {
    /// `None`: no endpoint, so nothing is traced.
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let traces = reader.text(TRACES_ENDPOINT);
        let common = reader.text(ENDPOINT);
        for (name, value) in [(TRACES_ENDPOINT, &traces), (ENDPOINT, &common)] {
            if let Some(address) = value
                && !is_address(address)
            {
                reader.wrong(
                    name,
                    format!(
                        "{address:?} is not an http(s) address; for example http://collector:4318"
                    ),
                );
            }
        }
        if let Some(protocol) = reader.text(PROTOCOL)
            && protocol != "http/protobuf"
        {
            reader.wrong(
                PROTOCOL,
                format!("{protocol:?} is not available; allowed: http/protobuf"),
            );
        }
        let mut headers = Vec::new();
        for pair in reader.text(HEADERS).unwrap_or_default().split(',') {
            let pair = pair.trim();
            match pair.split_once('=') {
                Some((name, value)) if !name.trim().is_empty() => {
                    let value = value.trim().to_owned();
                    headers.push((name.trim().to_owned(), value.into()));
                }
                _ if pair.is_empty() => {}
                // Not shown: it may contain a key.
                _ => reader.wrong(HEADERS, "must be name=value, several separated by commas"),
            }
        }
        let service_name = reader
            .text("OTEL_SERVICE_NAME")
            .unwrap_or_else(|| "sortie-server".to_owned());
        let disabled = reader.flag("OTEL_SDK_DISABLED", false);
        let endpoint =
            traces.or_else(|| Some(format!("{}/v1/traces", common?.trim_end_matches('/'))));
        endpoint.filter(|_| !disabled).map(|endpoint| Self {
            endpoint,
            headers,
            service_name,
        })
    }
}

fn is_address(text: &str) -> bool {
    text.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<TelemetryConfig>, String> {
        let find = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Config::read(&find)
            .map(|config| config.telemetry)
            .map_err(|errors| errors[0].to_string())
    }

    #[test]
    fn endpoint_of_traces_is_derived_from_the_variables() {
        let endpoint = |variables: &[(&str, &str)]| {
            read(variables).map(|config| config.map(|config| config.endpoint))
        };
        assert_eq!(endpoint(&[]), Ok(None));
        let common = (ENDPOINT, "http://collector:4318/");
        let expected = Ok(Some("http://collector:4318/v1/traces".to_owned()));
        assert_eq!(endpoint(&[common]), expected);
        let own = (TRACES_ENDPOINT, "https://traces.example.com/take");
        let expected = Ok(Some("https://traces.example.com/take".to_owned()));
        assert_eq!(endpoint(&[common, own]), expected);
        assert_eq!(endpoint(&[common, ("OTEL_SDK_DISABLED", "true")]), Ok(None));
        for wrong in ["collector:4318", "grpc://collector", "http://", "http:///x"] {
            let error = endpoint(&[(ENDPOINT, wrong)]);
            assert!(
                error.is_err_and(|error| error.contains("http(s)")),
                "{wrong}"
            );
        }
        let grpc = endpoint(&[common, (PROTOCOL, "grpc")]);
        assert!(grpc.is_err_and(|error| error.contains("http/protobuf")));
    }

    #[test]
    fn headers_are_pairs_and_masked() {
        let common = (ENDPOINT, "http://collector:4318");
        let config = read(&[common, (HEADERS, "api-key=a=b, x = y ,")]);
        let config = config.ok().flatten();
        let headers: Vec<_> = config
            .iter()
            .flat_map(|config| &config.headers)
            .map(|(name, value)| (name.as_str(), value.expose()))
            .collect();
        assert_eq!(headers, [("api-key", "a=b"), ("x", "y")]);
        assert!(!format!("{config:?}").contains("a=b"));
        let error = read(&[common, (HEADERS, "hunter2")]);
        assert!(error.is_err_and(|error| !error.contains("hunter2")));
    }
}
