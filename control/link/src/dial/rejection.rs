//! Why a server rejected the WebSocket upgrade. Anyone may have written the response, and the
//! reason ends up in logs, so it is short and printable.

/// The longest reason, in characters.
const MAX_REASON: usize = 200;

/// The first line of a response's body, with every character but printable ASCII replaced by `?`.
pub(crate) fn first_line(body: &[u8]) -> Option<String> {
    let line = body.split(|byte| matches!(byte, b'\r' | b'\n')).next()?.trim_ascii();
    let printable = |&byte: &u8| match byte {
        b' '..=b'~' => char::from(byte),
        _ => '?',
    };
    (!line.is_empty()).then(|| line.iter().take(MAX_REASON).map(printable).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_first_line() {
        assert_eq!(first_line(b"unknown runner\nmore").as_deref(), Some("unknown runner"));
        assert_eq!(first_line(b" draining \r\n").as_deref(), Some("draining"));
    }

    #[test]
    fn a_body_without_a_first_line_gives_no_reason() {
        for body in [b"".as_slice(), b"\n", b"  \nmore"] {
            assert_eq!(first_line(body), None, "{body:?}");
        }
    }

    #[test]
    fn control_and_foreign_characters_are_replaced_and_a_long_line_is_cut_off() {
        assert_eq!(first_line(b"a\x1b[31m\x00\xffb").as_deref(), Some("a?[31m??b"));
        assert_eq!(first_line(&[b'x'; 4096]).map(|line| line.len()), Some(MAX_REASON));
    }
}
