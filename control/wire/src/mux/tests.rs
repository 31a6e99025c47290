use bytes::Bytes;

use super::{Mux, MuxConfig, MuxEvent, MuxViolation, Payload, SendError, Side, TooManyStreams};
use crate::frame::{Frame, StreamId};

mod conclusions;
mod delivery;
mod detached;
mod flow_control;
mod message_limits;
mod siblings;
mod streams;
mod violations;

const CONFIG: MuxConfig = MuxConfig { window: 256 * 1024, max_message: 1 << 26, max_streams: 8 };

fn pair() -> (Mux, Mux) {
    (Mux::new(Side::Parent, CONFIG), Mux::new(Side::Runner, CONFIG))
}

fn payload(len: usize) -> Payload {
    Bytes::from(vec![7; len]).into()
}

/// Moves every frame from one side to the other, and returns the length of the longest.
fn carry(from: &mut Mux, to: &mut Mux) -> usize {
    let mut longest = 0;
    while let Some(frame) = from.poll_frame() {
        longest = longest.max(frame.encoded_len());
        to.handle_frame(frame).unwrap();
    }
    longest
}

fn events(mux: &mut Mux) -> Vec<MuxEvent> {
    std::iter::from_fn(|| mux.poll_event()).collect()
}
