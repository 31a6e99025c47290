//! Traces: the spans of the server and of its runners, sent to an OpenTelemetry collector.
//!
//! ```text
//! OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 cargo run --release --example web
//! ```
//!
//! One trace shows a request from the server's handler to the drawing on a runner. The server's
//! spans are those of the service `web`, a runner's those of `web-runner`.

use std::sync::Arc;

use anyhow::Context;
use flame_aws::runner_log;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData};
use tokio::runtime::Handle;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Layer, fmt};

/// The variable with the collector's address. Without it there are no traces.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// The traces of this process.
#[derive(Clone, Default)]
pub(crate) struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Sends spans from now on, if the environment names a collector. Needs a tokio runtime.
    pub(crate) fn start() -> anyhow::Result<Self> {
        if std::env::var_os(ENDPOINT).is_none() {
            return Ok(Self::default());
        }
        let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpJson);
        let exporter = exporter.build().with_context(|| format!("can't use {ENDPOINT}"))?;
        let exporter = OnRuntime { exporter: Arc::new(exporter), runtime: Handle::current() };
        let name = if flame_aws::is_runner() { "web-runner" } else { "web" };
        let provider = SdkTracerProvider::builder()
            .with_resource(Resource::builder().with_service_name(name).build())
            .with_batch_exporter(exporter)
            .build();
        // For the parts of a boot, which are known only when they are over.
        opentelemetry::global::set_tracer_provider(provider.clone());
        // The spans of flame-aws have the level DEBUG.
        let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("web"));
        let spans = spans.with_filter(LevelFilter::DEBUG);
        // A runner's events go to the server's log, with the call that they belong to.
        let is_server = !flame_aws::is_runner();
        let log = fmt::layer().with_writer(std::io::stderr).with_filter(LevelFilter::INFO);
        tracing_subscriber::registry()
            .with(spans)
            .with(is_server.then_some(log))
            .with(runner_log())
            .try_init()?;
        Ok(Self(Some(provider)))
    }

    /// Sends the spans that have ended. Blocks for a few seconds at most.
    pub(crate) fn flush(&self) {
        if let Some(Err(error)) = self.0.as_ref().map(SdkTracerProvider::force_flush) {
            eprintln!("some spans were not sent: {error}");
        }
    }
}

/// An exporter whose requests are made on the app's runtime, which the HTTP client needs. The SDK
/// exports from a thread of its own.
#[derive(Debug)]
struct OnRuntime {
    exporter: Arc<SpanExporter>,
    runtime: Handle,
}

impl opentelemetry_sdk::trace::SpanExporter for OnRuntime {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let exporter = self.exporter.clone();
        let sent = self.runtime.spawn(async move { exporter.export(batch).await });
        sent.await.unwrap_or_else(|error| Err(OTelSdkError::InternalFailure(error.to_string())))
    }

    fn set_resource(&mut self, resource: &Resource) {
        // The SDK calls it before the first export, so there is no other handle yet.
        if let Some(exporter) = Arc::get_mut(&mut self.exporter) {
            exporter.set_resource(resource);
        }
    }
}
