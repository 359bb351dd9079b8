//! Logs, traces and metrics: where they go.

use crate::config::{LogFormat, Telemetry};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_util::MetricKindMask;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use std::{io::IsTerminal, sync::OnceLock, time::Duration};
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The exporter of traces.
    #[error("traces cannot be exported: {0}")]
    Export(#[from] ExporterBuildError),
    /// Somebody set up logging before.
    #[error("logging is set up already")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Sends what is left when it is dropped.
#[must_use]
pub struct Guard(Option<SdkTracerProvider>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(provider) = &self.0
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "the last traces were not exported");
        }
    }
}

/// Sets up logs, on standard error, and traces for this process.
pub fn start(config: &Telemetry) -> Result<Guard, TelemetryError> {
    // Noise of libraries is left out unless it is asked for.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn,opentelemetry=warn"));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let lines = match config.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let provider = config.otlp_endpoint.as_deref().map(exporter).transpose()?;
    let traces = provider.as_ref().map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer("circolo")));
    tracing_subscriber::registry().with(filter).with(lines).with(traces).try_init()?;
    Ok(Guard(provider))
}

fn exporter(endpoint: &str) -> Result<SdkTracerProvider, ExporterBuildError> {
    let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
    // The blocking client may not be made where async code runs.
    let made = std::thread::spawn(move || SpanExporter::builder().with_http().with_endpoint(url).build()).join();
    let exporter = made.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    let resource = Resource::builder().with_service_name("circolo").build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

/// Bounds of latency buckets, in seconds.
const BUCKETS: [f64; 12] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// The process's metrics; the first call sets them up.
pub fn metrics() -> Result<&'static PrometheusHandle, BuildError> {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    if let Some(handle) = HANDLE.get() {
        return Ok(handle);
    }
    let seconds = Matcher::Suffix("_seconds".to_owned());
    // Figures of builds that are gone disappear after a while.
    let builder = PrometheusBuilder::new().idle_timeout(MetricKindMask::GAUGE, Some(Duration::from_mins(10)));
    let recorder = builder.set_buckets_for_metric(seconds, &BUCKETS)?.build_recorder();
    let handle = HANDLE.get_or_init(|| recorder.handle());
    // Where two threads come at once, the second recorder is dropped with nothing recorded in it.
    let _ = metrics::set_global_recorder(recorder);
    metrics::describe_counter!("circolo_commands_total", "Commands by name and outcome");
    metrics::describe_histogram!("circolo_http_request_duration_seconds", "Requests by method, route and status");
    Ok(handle)
}
