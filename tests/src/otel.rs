//! OpenTelemetry in the suite's copies: each process keeps its spans in memory.

use std::path::Path;
use std::sync::OnceLock;
use std::time::SystemTime;

use opentelemetry::trace::{SpanContext, SpanId, TracerProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler, SdkTracerProvider, SpanData};
use serde::{Deserialize, Serialize};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry};

/// The variable with the folder to which each runner writes its spans at its end.
pub const SPANS_TO: &str = "DEMO_SPANS_TO";
/// The variable with the level of the spans that OpenTelemetry sees.
pub const LEVEL: &str = "DEMO_SPANS_LEVEL";

/// A span that has ended, as an exporter receives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedSpan {
    /// The process that has exported it.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// The id of its trace.
    pub trace: String,
    /// Its id.
    pub id: String,
    /// The id of its parent, if it has one.
    pub parent: Option<String>,
    /// Client, server or internal.
    pub kind: String,
    /// When it began.
    pub began: SystemTime,
    /// When it ended.
    pub ended: SystemTime,
    /// Whether it has failed.
    pub failed: bool,
    /// The spans that it links to.
    pub links: Vec<String>,
}

/// The spans of this process.
#[derive(Debug)]
pub struct ExportedSpans {
    provider: SdkTracerProvider,
    exporter: InMemorySpanExporter,
}

impl ExportedSpans {
    /// Installs a subscriber with OpenTelemetry's layer. Traces that begin here are sampled if
    /// `sampled` is true; others as their parents say.
    ///
    /// # Panics
    /// Panics if the process has a subscriber already.
    pub fn install(sampled: bool) -> &'static Self {
        static SPANS: OnceLock<ExportedSpans> = OnceLock::new();
        SPANS.get_or_init(|| {
            let exporter = InMemorySpanExporter::default();
            let sampler = if sampled { Sampler::AlwaysOn } else { Sampler::AlwaysOff };
            let provider = SdkTracerProvider::builder()
                .with_sampler(Sampler::ParentBased(Box::new(sampler)))
                .with_batch_exporter(exporter.clone())
                .build();
            opentelemetry::global::set_tracer_provider(provider.clone());
            let level = std::env::var(LEVEL).ok().and_then(|level| level.parse().ok());
            let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("demo"));
            let layer = layer.with_filter(level.unwrap_or(LevelFilter::DEBUG));
            let subscriber = Registry::default().with(layer);
            tracing::subscriber::set_global_default(subscriber).expect("no other subscriber");
            ExportedSpans { provider, exporter }
        })
    }

    /// Returns the spans that have ended, in the order of their ends.
    ///
    /// # Panics
    /// Panics if the exporter fails.
    #[must_use]
    pub fn flush(&self) -> Vec<ExportedSpan> {
        self.provider.force_flush().expect("memory does not fail");
        self.exporter.get_finished_spans().expect("it lives").into_iter().map(exported).collect()
    }

    /// Writes the spans that have ended to a file in this folder.
    ///
    /// # Panics
    /// Panics if the folder does not exist.
    pub fn write_to(&self, folder: &Path) {
        let spans = serde_json::to_vec(&self.flush()).expect("spans are text");
        let file = folder.join(std::process::id().to_string());
        std::fs::write(file, spans).expect("the folder exists");
    }
}

/// Reads the spans that runners have written to a folder.
///
/// # Panics
/// Panics if a file is not readable.
#[must_use]
pub fn written_to(folder: &Path) -> Vec<ExportedSpan> {
    let files = std::fs::read_dir(folder).expect("the folder exists");
    let spans = files.flat_map(|file| {
        let bytes = std::fs::read(file.expect("a file").path()).expect("readable");
        serde_json::from_slice::<Vec<ExportedSpan>>(&bytes).expect("spans")
    });
    spans.collect()
}

fn exported(span: SpanData) -> ExportedSpan {
    let id = |context: &SpanContext| context.span_id().to_string();
    let parent = span.parent_span_id;
    ExportedSpan {
        pid: std::process::id(),
        name: span.name.into_owned(),
        trace: span.span_context.trace_id().to_string(),
        id: id(&span.span_context),
        parent: (parent != SpanId::INVALID).then(|| parent.to_string()),
        kind: format!("{:?}", span.span_kind),
        began: span.start_time,
        ended: span.end_time,
        failed: matches!(span.status, opentelemetry::trace::Status::Error { .. }),
        links: span.links.iter().map(|link| id(&link.span_context)).collect(),
    }
}
