//! Records the `tracing` spans that a process opens.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Level, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

/// A span that was opened, and its fields at that moment.
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
        let span = context.span(id).expect("the span was just opened");
        let span = RecordedSpan {
            name: span.name().to_owned(),
            parent: span.parent().map(|parent| parent.name().to_owned()),
            fields: fields.0,
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(span);
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
