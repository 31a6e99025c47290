//! Reads [server-sent events](https://html.spec.whatwg.org/multipage/server-sent-events.html).
//! Pure: takes bytes, and gives events.

/// The longest event that is read.
const LONGEST_EVENT: usize = 16 * 1024 * 1024;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SseEvent {
    pub(crate) name: String,
    pub(crate) data: String,
}

/// The bytes are not events.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotEvents;

impl std::fmt::Display for NotEvents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the server sends something that is not an event of a live page")
    }
}

impl std::error::Error for NotEvents {}

/// Splits bytes into events. Lines end in LF or CR LF, as axum sends them.
#[derive(Debug, Default)]
pub(crate) struct SseReader {
    line: Vec<u8>,
    event: SseEvent,
}

impl SseReader {
    /// Reads more bytes. Returns the events that are complete with them.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<Vec<SseEvent>, NotEvents> {
        let mut events = Vec::new();
        for &byte in bytes {
            if byte != b'\n' {
                self.line.push(byte);
                if self.line.len() + self.event.data.len() > LONGEST_EVENT {
                    return Err(NotEvents);
                }
                continue;
            }
            let line = String::from_utf8(std::mem::take(&mut self.line)).map_err(|_| NotEvents)?;
            match line.strip_suffix('\r').unwrap_or(&line) {
                "" if self.event.data.is_empty() => self.event = SseEvent::default(),
                "" => events.push(std::mem::take(&mut self.event)),
                line => self.field(line),
            }
        }
        Ok(events)
    }

    fn field(&mut self, line: &str) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.event.name = value.to_owned(),
            "data" => {
                if !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            // Comments keep the connection alive.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = ": hello\n\nevent: view\r\ndata: {\"a\":\ndata: 1}\r\n\r\nretry: 5\n\nevent:end\ndata:é\n\n";

    fn event(name: &str, data: &str) -> SseEvent {
        SseEvent { name: name.to_owned(), data: data.to_owned() }
    }

    #[test]
    fn events_are_the_same_however_the_bytes_are_cut() {
        for size in 1..STREAM.len() {
            let mut reader = SseReader::default();
            let pieces = STREAM.as_bytes().chunks(size);
            let events: Vec<_> = pieces.flat_map(|bytes| reader.read(bytes).unwrap()).collect();
            assert_eq!(events, [event("view", "{\"a\":\n1}"), event("end", "é")], "size {size}");
        }
    }

    #[test]
    fn an_event_without_an_end_is_not_kept_for_ever() {
        let mut reader = SseReader::default();
        let line = vec![b'x'; LONGEST_EVENT / 4];
        let read = (0..5).map(|_| reader.read(&line)).collect::<Result<Vec<_>, _>>();
        assert_eq!(read, Err(NotEvents));
    }
}
