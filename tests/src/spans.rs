//! Records the `tracing` spans that a process opens.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

/// A span that was opened, and the fields that it has had since then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedSpan {
    /// The span's name.
    pub name: String,
    /// The name of the parent span.
    pub parent: Option<String>,
    /// The span's fields, formatted.
    pub fields: Vec<(String, String)>,
}

impl RecordedSpan {
    /// Returns the value of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

/// Records this project's own spans of all levels, once it is installed.
#[derive(Debug, Clone, Default)]
pub struct SpanRecorder(Arc<Mutex<Vec<RecordedSpan>>>);

/// The position of a span in its recorder.
struct Position(usize);

impl SpanRecorder {
    /// Installs a recorder as the process's subscriber.
    ///
    /// # Panics
    /// Panics if the process has a subscriber already.
    #[must_use]
    pub fn install() -> Self {
        let recorder = Self::default();
        let subscriber = Registry::default().with(recorder.clone());
        tracing::subscriber::set_global_default(subscriber).expect("no other subscriber");
        recorder
    }

    /// Returns the spans opened so far, in order.
    #[must_use]
    pub fn spans(&self) -> Vec<RecordedSpan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for SpanRecorder {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= Level::DEBUG && metadata.name().starts_with("flame.")
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = FormattedFields::default();
        attributes.record(&mut fields);
        let opened = context.span(id).expect("the span was just opened");
        let span = RecordedSpan {
            name: opened.name().to_owned(),
            parent: opened.parent().map(|parent| parent.name().to_owned()),
            fields: fields.0,
        };
        let mut spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        opened.extensions_mut().insert(Position(spans.len()));
        spans.push(span);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let mut fields = FormattedFields::default();
        values.record(&mut fields);
        let span = context.span(id).expect("the span is open");
        if let Some(Position(position)) = span.extensions().get() {
            let mut spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            spans[*position].fields.extend(fields.0);
        }
    }
}

#[derive(Default)]
struct FormattedFields(Vec<(String, String)>);

impl Visit for FormattedFields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.push((field.name().to_owned(), format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.name().to_owned(), value.to_owned()));
    }
}
