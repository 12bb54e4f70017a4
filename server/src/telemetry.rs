//! What a running process tells: log lines on standard error, and traces to an OTLP endpoint where one is named.
//!
//! Spans that traces are made of have the target [`SPANS`] and exist only where somebody collects them; log lines do not
//! repeat them.

use crate::config::{LogFormat, Telemetry};
use crate::failure::{Context, Failure, Result};
use crate::output;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, filter};

/// The target of spans that become traces.
pub(crate) const SPANS: &str = "span";

/// Which log lines are written when nothing is said.
const FILTER: &str = "info";

/// Sends what is left when it is dropped.
pub(crate) struct Guard(Option<SdkTracerProvider>);

/// Headers of a request, as a trace's context is read from them.
struct Headers<'a>(&'a http::HeaderMap);

/// Begins to tell. Call it once, inside a tokio runtime.
///
/// # Errors
/// A filter that cannot be read, an endpoint that is none.
pub(crate) fn start(telemetry: &Telemetry) -> Result<Guard> {
    let filter = telemetry.filter.as_deref().unwrap_or(FILTER);
    let chosen = EnvFilter::try_new(filter).map_err(|error| Failure::usage(format_args!("log '{filter}': {error}")))?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match telemetry.format.unwrap_or(LogFormat::Text) {
        LogFormat::Json => lines.json().with_filter(chosen).boxed(),
        LogFormat::Text => lines.with_target(false).with_ansi(output::is_watched()).with_filter(chosen).boxed(),
    };
    let provider = telemetry.otlp.as_deref().map(provider).transpose()?;
    let traces = provider.as_ref().map(|provider| {
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("farthing"));
        layer.with_filter(filter::Targets::new().with_target(SPANS, tracing::Level::DEBUG))
    });
    tracing_subscriber::registry().with(lines).with(traces).init();
    Ok(Guard(provider))
}

fn provider(endpoint: &str) -> Result<SdkTracerProvider> {
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(endpoint).build();
    let exporter = exporter.context(format_args!("[telemetry] otlp '{endpoint}'"))?;
    let resource = Resource::builder().with_service_name("farthing").build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

/// The span of a request, as a part of its caller's trace.
pub(crate) fn request(request: &http::Request<()>) -> tracing::Span {
    let path = request.uri().path();
    let span = tracing::debug_span!(target: SPANS, "request", otel.name = path, otel.kind = "server");
    if !span.is_disabled() && request.headers().contains_key("traceparent") {
        // A context that cannot be read is none.
        let _ = span.set_parent(TraceContextPropagator::new().extract(&Headers(request.headers())));
    }
    span
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(provider) = &self.0
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}
