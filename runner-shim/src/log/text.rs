//! An event as one line of text of bounded length: its message, then its fields as `name=value`.

use std::fmt::{self, Debug, Write};

use flame_wire::error::Chain;
use tracing::field::{Field, Visit};

/// Replaces the text that was cut off.
const ELLIPSIS: &str = "…";

/// Collects an event's message and fields, up to a number of bytes.
pub(super) struct EventText {
    message: BoundedText,
    fields: BoundedText,
    limit: usize,
}

impl EventText {
    pub(super) fn new(limit: usize) -> Self {
        Self { message: BoundedText::new(limit), fields: BoundedText::new(limit), limit }
    }

    /// The line, at most `limit` bytes long, with an ellipsis if something is missing.
    pub(super) fn finish(self) -> String {
        let mut line = self.message;
        // `fields` begins with the space that separates it from a message.
        let fields =
            if line.text.is_empty() { self.fields.text.trim_start() } else { &self.fields.text };
        // The line itself notes that it is full.
        let _ = line.write_str(fields);
        if line.cut || self.fields.cut {
            let end = line.text.floor_char_boundary(self.limit.saturating_sub(ELLIPSIS.len()));
            line.text.truncate(end);
            line.text.push_str(ELLIPSIS);
        }
        line.text
    }
}

impl Visit for EventText {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.record_debug(field, &format_args!("{value}"));
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // An error means that the text is full, or that the value's `Debug` failed. The text stays.
        let _ = if field.name() == "message" {
            write!(self.message, "{value:?}")
        } else {
            write!(self.fields, " {}={value:?}", field.name())
        };
    }

    fn record_error(&mut self, field: &Field, error: &(dyn std::error::Error + 'static)) {
        let _ = write!(self.fields, " {}={}", field.name(), Chain(error));
    }
}

/// Text up to a length limit. A value whose `Debug` writes without end is stopped by an error.
struct BoundedText {
    text: String,
    limit: usize,
    cut: bool,
}

impl BoundedText {
    fn new(limit: usize) -> Self {
        Self { text: String::new(), limit, cut: false }
    }
}

impl Write for BoundedText {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = self.limit.saturating_sub(self.text.len());
        if part.len() <= room {
            self.text.push_str(part);
            return Ok(());
        }
        self.text.push_str(part.get(..part.floor_char_boundary(room)).unwrap_or_default());
        self.cut = true;
        Err(fmt::Error)
    }
}
