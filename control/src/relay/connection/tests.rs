//! Control connections to relays that misbehave.

use super::*;
use crate::relay::RelayKey;
use crate::relay::state::RelayClientState;

const RELAY: RelayIndex = RelayIndex(0);
const SECOND: Duration = Duration::from_secs(1);
/// Longer than any of these connections may last.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The URL of the relay. Nothing listens there.
const URL: &str = "ws://127.0.0.1:1";

fn runner(number: u32) -> RunnerRef {
    RunnerRef::from_bytes(u128::from(number).to_be_bytes())
}

fn welcome() -> RelayToParent {
    welcome_from(None)
}

fn welcome_from(address: Option<&str>) -> RelayToParent {
    let address = address.map(str::to_owned);
    RelayToParent::Welcome { node: "n".to_owned(), address, max_runners: 10_000 }
}

fn waiting(number: u32) -> RelayToParent {
    let ticket = Ticket::from_bytes([7; 16]);
    RelayToParent::RunnerWaiting { runner: runner(number), ticket, within_ms: 8000 }
}

/// A control connection, and the relay's end of it.
async fn connected() -> (RelayConnection, RelaySocket, RelaySocket) {
    let (sockets, _) = tokio::sync::mpsc::channel(1);
    let urls = [URL.to_owned()];
    let client = Arc::new(ClientShared::new(&urls, &RelayKey::new("key".to_owned()), sockets));
    let (socket, relay) = RelaySocket::in_memory().await;
    (RelayConnection { client, relay: RELAY, opening: JoinSet::new() }, socket, relay)
}

/// Sends these messages, and then reads for ever.
async fn say(mut relay: RelaySocket, messages: impl IntoIterator<Item = RelayToParent>) {
    for message in messages {
        relay.send(message.encode().unwrap()).await.unwrap();
    }
    while relay.recv().await.is_ok() {}
    std::future::pending().await
}

/// Serves the socket while the relay does this. Returns how the connection ended, and when.
async fn end(
    connection: &mut RelayConnection,
    socket: RelaySocket,
    relay: impl Future<Output = ()>,
) -> (RelayConnectionEnd, Duration) {
    let begin = Instant::now();
    tokio::select! {
        Err(end) = connection.serve(socket) => (end, begin.elapsed()),
        () = relay => panic!("the relay's part has ended"),
        // With a paused clock, this takes no time.
        () = tokio::time::sleep(DAY) => panic!("the connection has not ended within a day"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_sends_no_welcome_is_given_up() {
    let (mut connection, socket, relay) = connected().await;
    let (end, after) = end(&mut connection, socket, say(relay, [])).await;
    assert!(matches!(end, RelayConnectionEnd::NoWelcome), "{end}");
    assert_eq!(after, WELCOME_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_falls_silent_is_given_up() {
    let (mut connection, socket, mut relay) = connected().await;
    let silent = async {
        relay.send(welcome().encode().unwrap()).await.unwrap();
        // Not at the time of a ping.
        tokio::time::sleep(SECOND).await;
        relay.send(waiting(1).encode().unwrap()).await.unwrap();
        std::future::pending().await
    };
    let (end, after) = end(&mut connection, socket, silent).await;
    assert!(matches!(end, RelayConnectionEnd::Silent), "{end}");
    assert_eq!(after, SECOND + SILENCE);
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_answers_pings_stays_connected() {
    let (mut connection, socket, relay) = connected().await;
    let served =
        tokio::time::timeout(3600 * SECOND, end(&mut connection, socket, say(relay, [welcome()])));
    assert!(served.await.is_err(), "the connection has not ended");
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_stops_reading_is_given_up() {
    let (mut connection, socket, mut relay) = connected().await;
    (0..100_000).for_each(|number| connection.client.register(runner(number)));
    let unread = async {
        relay.send(welcome().encode().unwrap()).await.unwrap();
        std::future::pending().await
    };
    let (end, after) = end(&mut connection, socket, unread).await;
    let RelayConnectionEnd::Lost(RelaySocketError::WriteTimeout) = end else { panic!("{end}") };
    assert_eq!(after, 30 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_sends_garbage_is_left_at_once() {
    for is_welcome in [true, false] {
        let (mut connection, socket, mut relay) = connected().await;
        let garbage = async {
            if is_welcome {
                relay.send(welcome().encode().unwrap()).await.unwrap();
            }
            relay.send(vec![0xff; 64]).await.unwrap();
            std::future::pending().await
        };
        let (end, after) = end(&mut connection, socket, garbage).await;
        assert!(matches!(end, RelayConnectionEnd::Received(_)), "{end}");
        assert_eq!(after, Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn an_own_address_that_clients_cannot_use_is_replaced_by_the_url() {
    for (own, expected) in [
        ("ws://10.0.0.1:80", "ws://10.0.0.1:80"),
        ("ws://10.0.0.1:80/path", URL),
        ("10.0.0.1:80", URL),
        (&*format!("ws://{}", "h".repeat(500)), URL),
    ] {
        let (mut connection, socket, mut relay) = connected().await;
        let welcomes = async {
            relay.send(welcome_from(Some(own)).encode().unwrap()).await.unwrap();
            std::future::pending().await
        };
        let (end, _) = end(&mut connection, socket, welcomes).await;
        assert!(matches!(end, RelayConnectionEnd::Silent), "{end}");
        let addresses = connection.client.read(RelayClientState::base_addresses);
        assert_eq!(addresses.first().map(String::as_str), Some(expected), "{own}");
    }
}

#[tokio::test(start_paused = true)]
async fn runners_that_are_not_expected_cost_nothing() {
    let (mut connection, socket, relay) = connected().await;
    let draining = RelayToParent::Draining { within_ms: 0 };
    let messages = [welcome()].into_iter().chain((0..100_000).map(waiting)).chain([draining]);
    let (end, after) = end(&mut connection, socket, say(relay, messages)).await;
    assert!(matches!(end, RelayConnectionEnd::Draining), "all messages were read: {end}");
    assert_eq!(after, Duration::ZERO);
    assert!(connection.opening.is_empty());
}

#[tokio::test]
async fn a_relay_makes_its_parent_open_a_bounded_number_of_sockets() {
    let (mut connection, socket, relay) = connected().await;
    connection.client.register(runner(1));
    let draining = RelayToParent::Draining { within_ms: 0 };
    let messages = [welcome()].into_iter().chain((0..10_000).map(|_| waiting(1))).chain([draining]);
    let end = end(&mut connection, socket, say(relay, messages));
    let (end, _) = timeout(60 * SECOND, end).await.expect("all messages are read in a minute");
    assert!(matches!(end, RelayConnectionEnd::Draining), "{end}");
    assert_eq!(connection.opening.len(), MAX_OPENING);
}

/// As when a laptop wakes up, on a system whose clock counts the time of its sleep.
#[tokio::test(start_paused = true)]
async fn a_connection_ends_when_the_clock_jumps_and_is_soon_opened_again() {
    let (mut connection, socket, relay) = connected().await;
    connection.client.register(runner(1));
    let jump = async {
        let relay = say(relay, [welcome()]);
        tokio::pin!(relay);
        tokio::select! {
            () = &mut relay => {}
            () = tokio::time::sleep(SECOND) => {}
        }
        tokio::time::advance(3600 * SECOND).await;
        relay.await;
    };
    let (end, after) = end(&mut connection, socket, jump).await;
    assert!(matches!(end, RelayConnectionEnd::Silent), "{end}");
    assert_eq!(after, 3601 * SECOND);
    connection.ended(end);
    let attempt_at = connection.client.read(|state| state.attempt_at(RELAY)).unwrap();
    assert!(Instant::from_std(attempt_at) - Instant::now() <= SECOND / 4, "it retries soon");
}
