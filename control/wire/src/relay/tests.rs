use proptest::prelude::*;

use super::*;

const RUNNER: RunnerRef = RunnerRef::from_bytes([0xab; 16]);

#[test]
fn messages_arrive_as_they_were_sent() {
    let ticket = Ticket::from_bytes([7; 16]);
    for message in [
        ParentToRelay::Register { runners: vec![RUNNER], expires_in_ms: 600_000 },
        ParentToRelay::Unregister { runners: vec![RUNNER, RUNNER] },
    ] {
        assert_eq!(ParentToRelay::decode(&message.encode().unwrap()), Ok(message));
    }
    for message in [
        RelayToParent::Welcome {
            node: "n".into(),
            address: Some("ws://r:1".into()),
            max_runners: 5,
        },
        RelayToParent::Welcome { node: "n".into(), address: None, max_runners: 5 },
        RelayToParent::RunnerWaiting { runner: RUNNER, ticket, within_ms: 10_000 },
        RelayToParent::Draining { within_ms: 30_000 },
        RelayToParent::Rejected { runners: vec![RUNNER], max_runners: 5 },
    ] {
        assert_eq!(RelayToParent::decode(&message.encode().unwrap()), Ok(message));
    }
}

#[test]
fn a_full_batch_fits_into_a_message_and_a_longer_one_is_rejected() {
    let register =
        |count| ParentToRelay::Register { runners: vec![RUNNER; count], expires_in_ms: 600_000 };
    let full = register(MAX_BATCH).encode().unwrap();
    assert!(ParentToRelay::decode(&full).is_ok());
    let longer = register(MAX_BATCH + 1).encode().unwrap();
    assert!(matches!(
        ParentToRelay::decode(&longer),
        Err(DecodeError::TooLong { len: 1001, max: 1000, .. })
    ));
}

#[test]
fn a_ticket_is_read_from_its_path_and_hidden_in_debug_output() {
    let ticket = Ticket::from_bytes([0x5a; 16]);
    assert_eq!(ticket.to_path().parse(), Ok(ticket));
    assert_eq!(format!("{ticket:?}"), "Ticket(..)");
    for text in ["", "5a", "5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A", "../../../../../../etc/passwd00000"]
    {
        assert_eq!(text.parse::<Ticket>(), Err(InvalidTicket), "{text}");
    }
}

proptest! {
    #[test]
    fn decoders_accept_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = ParentToRelay::decode(&bytes);
        let _ = RelayToParent::decode(&bytes);
    }
}
