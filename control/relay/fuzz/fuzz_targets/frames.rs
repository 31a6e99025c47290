//! The frames of a client, as the relay rewrites them for another client, compared with what
//! tungstenite reads. The first byte says into how long pieces the others are cut.
#![no_main]

use std::io::Cursor;

use flame_relay::fuzzing::{self, Rewritten};
use libfuzzer_sys::fuzz_target;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameSocket};

fuzz_target!(|bytes: &[u8]| {
    let Some((&cut, bytes)) = bytes.split_first() else { return };
    let client = Frames::of(bytes);
    let rewritten = fuzzing::rewrite(bytes.chunks(usize::from(cut).max(1)));
    let Ok(rewritten) = rewritten else {
        assert!(!client.is_valid(), "valid frames are rejected: {rewritten:?}");
        return;
    };
    let until_close = client.until_close();
    assert!(until_close.iter().all(is_valid), "invalid frames are forwarded");
    assert!(are_fragments_in_order(until_close), "fragments are forwarded in an invalid order");
    compare(until_close, &rewritten);
});

/// The frames in a stream of bytes.
struct Frames {
    complete: Vec<Frame>,
    /// Whether nothing follows the last of them.
    is_at_end: bool,
}

impl Frames {
    fn of(bytes: &[u8]) -> Self {
        let mut socket = FrameSocket::new(Cursor::new(bytes));
        let mut complete = Vec::new();
        // A longer frame is not complete in any case.
        while let Ok(Some(frame)) = socket.read(Some(bytes.len())) {
            complete.push(frame);
        }
        let read: usize = complete.iter().map(encoded_len).sum();
        // A client may write a length in more bytes than it needs.
        Self { is_at_end: read == bytes.len(), complete }
    }

    /// The frames that the relay reads.
    fn until_close(&self) -> &[Frame] {
        let is_close = |frame: &Frame| frame.header().opcode == OpCode::Control(Control::Close);
        let end = self.complete.iter().position(is_close).map_or(self.complete.len(), |at| at + 1);
        &self.complete[..end]
    }

    /// Whether a relay must accept all of them.
    fn is_valid(&self) -> bool {
        let frames = self.until_close();
        let is_whole = self.is_at_end || frames.len() < self.complete.len();
        is_whole && frames.iter().all(is_valid) && are_fragments_in_order(frames)
    }
}

fn encoded_len(frame: &Frame) -> usize {
    frame.header().len(frame.payload().len() as u64) + frame.payload().len()
}

fn is_valid(frame: &Frame) -> bool {
    let header = frame.header();
    let is_control = matches!(header.opcode, OpCode::Control(_));
    header.mask.is_some()
        && !(header.rsv1 || header.rsv2 || header.rsv3)
        && header.opcode != OpCode::Data(Data::Text)
        && (!is_control || header.is_final && frame.payload().len() <= 125)
}

fn are_fragments_in_order(frames: &[Frame]) -> bool {
    let mut in_message = false;
    frames.iter().all(|frame| {
        let OpCode::Data(kind) = frame.header().opcode else { return true };
        let is_expected = (kind == Data::Continue) == in_message;
        in_message = !frame.header().is_final;
        is_expected
    })
}

fn compare(sent: &[Frame], rewritten: &Rewritten) {
    let is_data = |frame: &&Frame| matches!(frame.header().opcode, OpCode::Data(_));
    let data = |frames: &[Frame]| -> Vec<_> {
        let parts =
            |frame: &Frame| (frame.header().opcode, frame.header().is_final, unmasked(frame));
        frames.iter().filter(is_data).map(parts).collect()
    };
    let forwarded = Frames::of(&rewritten.bytes);
    assert!(forwarded.complete.iter().all(|frame| frame.header().mask.is_none()));
    assert_eq!(data(sent), data(&forwarded.complete));

    let control = |kind| {
        let is_kind = move |frame: &&Frame| frame.header().opcode == OpCode::Control(kind);
        sent.iter().filter(is_kind).map(unmasked).collect::<Vec<_>>()
    };
    assert_eq!(control(Control::Ping), rewritten.pings);
    assert_eq!(control(Control::Close), Vec::from_iter(rewritten.close.clone()));
}

/// `FrameSocket` does not remove masks.
fn unmasked(frame: &Frame) -> Vec<u8> {
    let mask = frame.header().mask.unwrap_or_default();
    frame.payload().iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()
}
