//! Reads the level of a line that a runner printed, and removes its time and its colours.
//!
//! If the `main` of an app sets a `tracing` or `log` subscriber, its runners print their events
//! too, and the events arrive as lines of text. Lines in the usual formats are recognised by how
//! they begin: the level is read, and the time is removed, because the parent's log adds its own.
//!
//! | written by | example |
//! |---|---|
//! | `tracing_subscriber`, full and compact | `2026-11-28T18:18:44.123456Z ERROR app::db: no room` |
//! | the same, pretty | the same, indented by two spaces, followed by lines indented by four |
//! | the same, JSON | `{"timestamp":"..","level":"ERROR","fields":{"message":".."},"target":".."}` |
//! | `env_logger` | `[2026-11-28T18:18:44Z ERROR app::db] no room` |
//! | `simplelog`, `flexi_logger` and similar ones | `18:18:44 [ERROR] no room` |
//! | a panic | `thread 'main' panicked at src/main.rs:3:5:`, then its message |
//!
//! Every other line becomes an unchanged INFO event. A guess never hides a line: if a line begins
//! with a level but without a time, it can become an ERROR or WARN event, but not DEBUG or TRACE.

use std::borrow::Cow;

use flame_wire::message::Level;
use serde_json::{Map, Value};

/// A line and its level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Printed<'a> {
    pub(super) level: Level,
    pub(super) text: Cow<'a, str>,
}

/// The meaning of the previous lines of a stream for its next line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Context {
    /// Nothing.
    #[default]
    None,
    /// An event of this level: indented lines belong to it.
    Event(Level),
    /// The first line of a panic: the next line is its message.
    PanicHead,
    /// The message of a panic.
    Panic,
}

/// Removes escape sequences. They are for a terminal, and the parent's log may not be one.
pub(super) fn strip_escapes(line: &str) -> Cow<'_, str> {
    if line.contains('\x1b') {
        Cow::Owned(anstream::adapter::strip_str(line).to_string())
    } else {
        Cow::Borrowed(line)
    }
}

/// Reads a line without escape sequences. Returns the context of the next line as well.
pub(super) fn read(line: &str, context: Context) -> (Printed<'_>, Context) {
    if let Some(printed) = json(line).or_else(|| event(line)) {
        let level = printed.level;
        return (printed, Context::Event(level));
    }
    let as_is = |level| Printed { level, text: line.into() };
    if is_panic(line) {
        return (as_is(Level::Error), Context::PanicHead);
    }
    let is_indented = line.starts_with([' ', '\t']);
    match context {
        Context::PanicHead => (as_is(Level::Error), Context::Panic),
        Context::Panic
            if is_indented
                || line.starts_with("note: ")
                || line.starts_with("stack backtrace:") =>
        {
            (as_is(Level::Error), context)
        }
        Context::Event(level) if is_indented => (as_is(level), context),
        _ => (as_is(Level::Info), Context::None),
    }
}

fn is_panic(line: &str) -> bool {
    line.starts_with("fatal runtime error: ")
        || line.strip_prefix("thread '").is_some_and(|rest| {
            ["' panicked at ", ") panicked at ", "has overflowed its stack"]
                .iter()
                .any(|words| rest.contains(words))
        })
}

/// Reads an event that was written as text.
fn event(line: &str) -> Option<Printed<'_>> {
    let start = line.trim_start_matches(' ');
    let (in_brackets, rest) = match start.strip_prefix('[') {
        Some(rest) => (true, rest),
        None => (false, start),
    };
    let Some(rest) = time(rest) else {
        let level = if in_brackets { level(rest)? } else { level_with_optional_brackets(rest)? }.0;
        // This is a guess, so it must not hide the line.
        return (level <= Level::Info).then(|| Printed { level, text: line.into() });
    };
    // The brackets enclose either the time alone, or everything before the message.
    let (in_brackets, rest) = match rest.strip_prefix(']') {
        Some(rest) if in_brackets => (false, rest),
        _ => (in_brackets, rest),
    };
    let rest = rest.strip_prefix(' ')?.trim_start_matches(' ');
    if !in_brackets {
        let (level, text) = level_with_optional_brackets(rest)?;
        return Some(Printed { level, text: text.trim_start_matches(' ').into() });
    }
    let (level, rest) = level(rest)?;
    let (target, text) = rest.split_once(']')?;
    let (target, text) = (target.trim(), text.strip_prefix(' ').unwrap_or(text));
    let text = if target.is_empty() { text.into() } else { format!("{target}: {text}").into() };
    Some(Printed { level, text })
}

fn level_with_optional_brackets(text: &str) -> Option<(Level, &str)> {
    match text.strip_prefix('[') {
        Some(inner) => {
            let (level, rest) = level(inner)?;
            Some((level, rest.trim_start_matches(' ').strip_prefix(']')?))
        }
        None => level(text),
    }
}

/// Reads a level in capital letters. Returns the rest as well.
fn level(text: &str) -> Option<(Level, &str)> {
    let end = text.find(|c: char| !c.is_ascii_uppercase()).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let level = level_of(name)?;
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    (rest.is_empty() || rest.starts_with([' ', ']'])).then_some((level, rest))
}

fn level_of(name: &str) -> Option<Level> {
    Some(match name {
        "ERROR" => Level::Error,
        "WARN" => Level::Warn,
        "INFO" => Level::Info,
        "DEBUG" => Level::Debug,
        "TRACE" => Level::Trace,
        _ => return None,
    })
}

/// Skips a time: RFC 3339, possibly with a space in place of `T`; a time of day; or the seconds
/// since the start that `tracing_subscriber` can print.
fn time(text: &str) -> Option<&str> {
    if let Some(rest) = shape(text, "0000-00-00") {
        let rest = shape(rest.strip_prefix(['T', ' '])?, "00:00:00")?;
        return Some(zone(fraction(rest)));
    }
    if let Some(rest) = shape(text, "00:00:00") {
        return Some(zone(fraction(rest)));
    }
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let seconds = fraction(rest);
    let is_uptime = rest.len() < text.len() && seconds.len() < rest.len();
    seconds.strip_prefix('s').filter(|_| is_uptime)
}

/// Skips text of this shape, in which `0` stands for any digit.
fn shape<'a>(text: &'a str, shape: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(shape.len())?;
    let fits = |(found, wanted): (u8, u8)| match wanted {
        b'0' => found.is_ascii_digit(),
        wanted => found == wanted,
    };
    head.bytes().zip(shape.bytes()).all(fits).then_some(rest)
}

fn fraction(text: &str) -> &str {
    let digits = text.strip_prefix(['.', ',']).unwrap_or(text);
    let rest = digits.trim_start_matches(|c: char| c.is_ascii_digit());
    if rest.len() < digits.len() { rest } else { text }
}

fn zone(text: &str) -> &str {
    if let Some(rest) = text.strip_prefix('Z').or_else(|| text.strip_prefix(" UTC")) {
        return rest;
    }
    let blank = text.strip_prefix(' ').unwrap_or(text);
    let offset = blank.strip_prefix(['+', '-']);
    offset.and_then(|rest| shape(rest, "00:00").or_else(|| shape(rest, "0000"))).unwrap_or(text)
}

/// Reads an event that `tracing_subscriber` wrote as JSON, with or without a separate object of
/// fields.
fn json(line: &str) -> Option<Printed<'_>> {
    if !line.starts_with('{') || !line.contains("\"level\"") {
        return None;
    }
    let mut event: Map<String, Value> = serde_json::from_str(line).ok()?;
    let level = level_of(&event.get("level")?.as_str()?.to_ascii_uppercase())?;
    event.get("timestamp")?;
    let fields = match event.get_mut("fields") {
        Some(Value::Object(fields)) => Some(std::mem::take(fields)),
        Some(_) => return None,
        None => None,
    };
    let has_fields = fields.is_some();
    let mut fields = fields.unwrap_or_default();
    for name in ["timestamp", "level", "fields"] {
        event.remove(name);
    }
    let target = event.remove("target");
    let message = if has_fields { &mut fields } else { &mut event }.remove("message");
    if !has_fields && message.is_none() {
        return None;
    }
    let mut parts = Vec::new();
    if let Some(Value::String(target)) = target {
        parts.push(format!("{target}:"));
    }
    match message {
        Some(Value::String(message)) => parts.push(message),
        Some(message) => parts.push(message.to_string()),
        None => {}
    }
    // `span` repeats the innermost of `spans`.
    if event.contains_key("spans") {
        event.remove("span");
    }
    parts.extend(fields.iter().chain(&event).map(|(name, value)| format!("{name}={value}")));
    Some(Printed { level, text: parts.join(" ").into() })
}

#[cfg(test)]
mod tests;
