use super::*;

/// The code that this peer is sent at this end; `None` if it is sent nothing.
fn code(end: &PairEnd, peer: Peer) -> Option<u16> {
    let payload = end.close_payload_for(peer)?;
    payload.first_chunk().map(|&code| u16::from_be_bytes(code))
}

#[test]
fn each_side_is_told_why_the_pair_has_ended() {
    use Peer::{Parent, Runner};
    for (end, to_runner, to_parent) in [
        (PairEnd::Closed(Runner, frames::close_payload(4000, "")), Some(4000), Some(4000)),
        (PairEnd::Lost(Runner), None, Some(1001)),
        (PairEnd::Silent(Parent), Some(1001), None),
        (PairEnd::Blocked(Parent), Some(1001), None),
        (PairEnd::Invalid(Runner, FrameError::Unmasked), Some(1002), Some(1001)),
        (PairEnd::Invalid(Parent, FrameError::Text), Some(1001), Some(1003)),
        (PairEnd::Idle, Some(1001), Some(1001)),
        (PairEnd::Draining, Some(1012), Some(1012)),
    ] {
        assert_eq!((code(&end, Runner), code(&end, Parent)), (to_runner, to_parent), "{end:?}");
    }
}

#[test]
fn a_close_frame_without_a_code_is_answered_without_one() {
    let end = PairEnd::Closed(Peer::Runner, Vec::new());
    assert_eq!(end.close_payload_for(Peer::Parent), Some(Vec::new()));
}
