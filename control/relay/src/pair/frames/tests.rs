use proptest::prelude::*;

use super::*;

/// A frame as a client sends it.
fn frame(first: u8, mask: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..126 => bytes.push(MASKED | len as u8),
        len @ 126..65536 => {
            bytes.push(MASKED | 126);
            bytes.extend((len as u16).to_be_bytes());
        }
        len => {
            bytes.push(MASKED | 127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// The same frame as a server sends it.
fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    let masked = frame(first, [0; 4], payload);
    let header = masked.len() - payload.len() - 4;
    let mut bytes = masked[..header].to_vec();
    bytes[1] &= !MASKED;
    bytes.extend(payload);
    bytes
}

/// Forwards the pieces one after the other.
fn forward(pieces: &[&[u8]]) -> Result<(Vec<u8>, Vec<Control>, FrameForwarder), FrameError> {
    let mut frames = FrameForwarder::default();
    let (mut out, mut control) = (Vec::new(), Vec::new());
    for piece in pieces {
        let mut buffer = vec![0; MAX_HEADER + piece.len()];
        let start = frames.restore(&mut buffer);
        buffer[start..start + piece.len()].copy_from_slice(piece);
        let forwarded = frames.forward(&mut buffer[..start + piece.len()])?;
        out.extend(&buffer[forwarded.range]);
        control.extend(forwarded.control);
    }
    Ok((out, control, frames))
}

fn error(bytes: &[u8]) -> FrameError {
    forward(&[bytes]).map(|_| ()).unwrap_err()
}

const MASK: [u8; 4] = [1, 2, 3, 4];

#[test]
fn a_message_is_forwarded_without_its_mask() {
    let (out, control, frames) = forward(&[&frame(FIN | BINARY, MASK, b"hello")]).unwrap();
    assert_eq!(out, b"\x82\x05hello");
    assert!(control.is_empty() && frames.is_between_frames());
}

#[test]
fn a_long_payload_stays_where_it_was_read() {
    let short = frame(FIN | BINARY, MASK, b"short");
    let long = frame(FIN | BINARY, MASK, &[7; 1000]);
    let mut alone = long.clone();
    let forwarded = FrameForwarder::default().forward(&mut alone).unwrap();
    assert_eq!(forwarded.range, 4..long.len());
    let mut both = [short, long].concat();
    let forwarded = FrameForwarder::default().forward(&mut both).unwrap();
    assert_eq!(forwarded.range, 8..both.len());
}

#[test]
fn a_frame_is_forwarded_before_its_end_has_arrived() {
    let bytes = frame(FIN | BINARY, MASK, b"hello");
    let (out, _, frames) = forward(&[&bytes[..8]]).unwrap();
    assert_eq!(out, b"\x82\x05he");
    assert!(!frames.is_between_frames(), "no other frame may come in between");
}

#[test]
fn control_frames_between_fragments_are_not_forwarded() {
    let bytes = [
        frame(BINARY, MASK, b"a"),
        frame(FIN | PING, MASK, b"?"),
        frame(FIN | PONG, MASK, b""),
        frame(FIN, MASK, b"b"),
    ]
    .concat();
    let (out, control, _) = forward(&[&bytes]).unwrap();
    assert_eq!(out, [unmasked(BINARY, b"a"), unmasked(FIN, b"b")].concat());
    assert_eq!(control, [Control::Ping(b"?".to_vec()), Control::Pong]);
}

#[test]
fn nothing_is_forwarded_after_a_close() {
    let close = frame(FIN | CLOSE, MASK, &close_payload(1000, "bye"));
    let bytes = [close, frame(FIN | BINARY, MASK, b"late"), b"garbage".to_vec()].concat();
    let (out, control, _) = forward(&[&bytes]).unwrap();
    assert!(out.is_empty());
    assert_eq!(control, [Control::Close(b"\x03\xe8bye".to_vec())]);
}

#[test]
fn clients_that_break_the_protocol_are_told_apart() {
    assert_eq!(error(b"\x82\x01a"), FrameError::Unmasked);
    assert_eq!(error(&frame(FIN | TEXT, MASK, b"a")), FrameError::Text);
    assert_eq!(error(&frame(0xc0 | BINARY, MASK, b"a")), FrameError::Reserved);
    assert_eq!(error(&frame(FIN | 0x3, MASK, b"a")), FrameError::Reserved);
    assert_eq!(error(&frame(FIN | 0xb, MASK, b"a")), FrameError::Reserved);
    assert_eq!(error(&frame(PING, MASK, b"a")), FrameError::Control);
    assert_eq!(error(&frame(FIN | PING, MASK, &[0; 126])), FrameError::Control);
    assert_eq!(error(&frame(FIN, MASK, b"a")), FrameError::Fragments);
    let two = [frame(BINARY, MASK, b"a"), frame(BINARY, MASK, b"b")].concat();
    assert_eq!(error(&two), FrameError::Fragments);
    assert_eq!(error(b"\x82\xff\x80\0\0\0\0\0\0\0abcd"), FrameError::Reserved);
}

#[test]
fn control_frames_of_the_relay_are_valid() {
    let mut bytes = Vec::new();
    write_ping(&mut bytes);
    write_pong(b"?", &mut bytes);
    write_close(&close_payload(1012, "x"), &mut bytes);
    assert_eq!(bytes, b"\x89\0\x8a\x01?\x88\x03\x03\xf4x");
}

/// A sequence of frames: pieces of messages, and control frames.
fn frames() -> impl Strategy<Value = Vec<(u8, [u8; 4], Vec<u8>)>> {
    let payload = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..8),
        prop::collection::vec(any::<u8>(), 120..130),
        (65_530..65_540usize).prop_map(|len| vec![7; len]),
    ];
    let any_frame = (any::<bool>(), 0..3u8, any::<[u8; 4]>(), payload);
    prop::collection::vec(any_frame, 0..8).prop_map(|frames| {
        let mut in_message = false;
        let frame = |(is_last, kind, mask, mut payload): (bool, u8, [u8; 4], Vec<u8>)| {
            if kind == 2 {
                payload.truncate(MAX_CONTROL);
                return (FIN | PING, mask, payload);
            }
            let opcode = if in_message { CONTINUATION } else { BINARY };
            in_message = !is_last;
            (if is_last { FIN | opcode } else { opcode }, mask, payload)
        };
        frames.into_iter().map(frame).collect()
    })
}

proptest! {
    #[test]
    fn frames_arrive_unchanged_however_they_are_cut(
        frames in frames(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let sent: Vec<u8> =
            frames.iter().flat_map(|(first, mask, payload)| frame(*first, *mask, payload)).collect();
        let is_ping = |first: u8| first & 0xf == PING;
        let expected: Vec<u8> = frames
            .iter()
            .filter(|(first, ..)| !is_ping(*first))
            .flat_map(|(first, _, payload)| unmasked(*first, payload))
            .collect();
        let pings = frames.iter().filter(|(first, ..)| is_ping(*first));
        let pings: Vec<_> = pings.map(|(.., payload)| Control::Ping(payload.clone())).collect();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(sent.len() + 1)).collect();
        cuts.extend([0, sent.len()]);
        cuts.sort_unstable();
        let pieces: Vec<_> = cuts.windows(2).map(|cut| &sent[cut[0]..cut[1]]).collect();
        let (out, control, state) = forward(&pieces).unwrap();
        prop_assert!(out == expected, "the forwarded bytes differ");
        prop_assert_eq!(control, pings);
        prop_assert!(state.is_between_frames());
    }

    #[test]
    fn any_bytes_are_accepted(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8)) {
        let pieces: Vec<_> = pieces.iter().map(Vec::as_slice).collect();
        let _ = forward(&pieces);
    }
}
