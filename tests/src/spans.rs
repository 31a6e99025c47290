//! The spans that a process opens, written down.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Level, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

/// A span that was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// Its name.
    pub name: String,
    /// The name of the span that it is in.
    pub within: Option<String>,
    /// Its fields, as they are shown.
    pub fields: Vec<(String, String)>,
}

impl Opened {
    /// The field of that name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

/// Writes down the project's own spans, all levels, from [`Spans::record`] on.
#[derive(Debug, Clone, Default)]
pub struct Spans(Arc<Mutex<Vec<Opened>>>);

impl Spans {
    /// Becomes the process's subscriber.
    ///
    /// # Panics
    /// If the process has one.
    #[must_use]
    pub fn record() -> Self {
        let spans = Self::default();
        let subscriber = Registry::default().with(spans.clone());
        tracing::subscriber::set_global_default(subscriber).expect("no other subscriber");
        spans
    }

    /// What was opened so far, in order.
    #[must_use]
    pub fn opened(&self) -> Vec<Opened> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= Level::DEBUG && metadata.name().starts_with("flame.")
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let span = context.span(id).expect("it was just opened");
        let opened = Opened {
            name: span.name().to_owned(),
            within: span.parent().map(|parent| parent.name().to_owned()),
            fields: fields.0,
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(opened);
    }
}

#[derive(Default)]
struct Fields(Vec<(String, String)>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.push((field.name().to_owned(), format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.name().to_owned(), value.to_owned()));
    }
}
