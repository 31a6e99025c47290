//! Two drivers, over memory and over sockets that break.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flame_wire::EncodeError;
use flame_wire::frame::{Frame, MAX_FRAME};
use flame_wire::mux::{Message, Side};
use flame_wire::packet::Packet;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;

use super::*;

mod middlebox;

const CALL: u8 = 1;
const REPLY: u8 = 2;

/// Replies to each first message with the same message.
struct Echo {
    served: Arc<AtomicUsize>,
}

impl Handler for Echo {
    fn on_stream_opened(&mut self, stream: Stream, first: Message) {
        self.served.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            let _ = stream.send_now(REPLY, first.body.into(), true);
            stream.detach();
        });
    }
    fn on_control(&mut self, _: Message) {}
}

struct Caller;

impl Handler for Caller {
    fn on_stream_opened(&mut self, _: Stream, _: Message) {}
    fn on_control(&mut self, _: Message) {}
}

struct Ends {
    parent: Link,
    runner: Link,
    served: Arc<AtomicUsize>,
    /// Passes a new socket to the parent, as the listener does.
    sockets: mpsc::Sender<Io>,
    dialled: mpsc::UnboundedReceiver<()>,
}

/// A parent and a runner. The runner gets its next sockets from `dial`.
fn connect(
    config: LinkConfig,
    (a, b): (Io, Io),
    mut dial: impl FnMut(mpsc::Sender<Io>) -> Option<Io> + Send + 'static,
) -> Ends {
    let served = Arc::new(AtomicUsize::new(0));
    let (sockets, next) = mpsc::channel(1);
    let (dials, dialled) = mpsc::unbounded_channel();
    let (parent, driver) = Driver::new(Side::Parent, config, |_| Caller);
    tokio::spawn(driver.run(a, SocketSource::Accepted(next)));
    let echo = Echo { served: served.clone() };
    let (runner, driver) = Driver::new(Side::Runner, config, |_| echo);
    let to_parent = sockets.clone();
    let dial: Dial = Box::new(move || {
        let _ = dials.send(());
        let io = dial(to_parent.clone());
        Box::pin(async move {
            match io {
                Some(io) => Ok(io),
                None => std::future::pending().await,
            }
        })
    });
    tokio::spawn(driver.run(b, SocketSource::Dialled(dial)));
    Ends { parent, runner, served, sockets, dialled }
}

async fn call(link: &Link, body: Bytes) -> Result<Bytes, StreamError> {
    let (mut stream, _) = link.open(0, None, |_, _| Ok((CALL, body.into(), true)))?;
    Ok(stream.receive().await?.map(|message| message.body).unwrap_or_default())
}

#[tokio::test]
async fn a_message_gets_its_reply() {
    let ends = connect(LinkConfig::default(), in_memory(), |_| None);
    assert_eq!(call(&ends.parent, Bytes::from_static(b"hi")).await.unwrap(), "hi");
}

#[tokio::test]
async fn large_and_small_messages_share_the_link() {
    let ends = connect(LinkConfig::default(), in_memory(), |_| None);
    let large = Bytes::from(vec![3; 20 << 20]);
    let small = Bytes::from_static(b"small");
    let (big, calls) = tokio::join!(
        call(&ends.parent, large.clone()),
        join_all((0..100).map(|_| call(&ends.parent, small.clone())))
    );
    assert_eq!(big.unwrap(), large);
    assert!(calls.into_iter().all(|reply| reply.unwrap() == small));
}

#[tokio::test]
async fn a_graceful_close_delivers_queued_messages_and_tells_the_peer() {
    let ends = connect(LinkConfig::default(), in_memory(), |_| None);
    let reply = call(&ends.parent, Bytes::from(vec![1; 1 << 20]));
    ends.parent.send_control(9, Bytes::from_static(b"bye").into()).unwrap();
    reply.await.unwrap();
    ends.runner.close();
    assert_eq!(*ends.runner.closed().await, LinkEnd::Closed);
    assert_eq!(*ends.parent.closed().await, LinkEnd::ClosedByPeer);
    let error = call(&ends.parent, Bytes::new()).await.unwrap_err();
    assert!(matches!(error, StreamError::Link(_)), "{error}");
}

#[tokio::test]
async fn a_guard_is_dropped_when_the_stream_has_ended_on_both_sides() {
    struct Flag(Arc<AtomicBool>);
    impl Drop for Flag {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let ends = connect(LinkConfig::default(), in_memory(), |_| None);
    let dropped = Arc::new(AtomicBool::new(false));
    let guard = Box::new(Flag(dropped.clone()));
    let (mut stream, _) =
        ends.parent.open(0, Some(guard), |_, _| Ok((CALL, Bytes::new().into(), true))).unwrap();
    assert!(!dropped.load(Ordering::Relaxed));
    stream.receive().await.unwrap();
    assert!(dropped.load(Ordering::Relaxed));
}

#[tokio::test]
async fn a_message_that_cannot_be_encoded_opens_no_stream() {
    let ends = connect(LinkConfig::default(), in_memory(), |_| None);
    let too_long = EncodeError::TooLong { what: "list", len: 2, max: 1 };
    let opened = ends.parent.open(1, None, |_, _| Err(too_long.clone()));
    assert!(matches!(opened.unwrap_err(), StreamError::Encode(error) if error == too_long));
    assert_eq!(ends.parent.only_stream(), None);
    call(&ends.parent, Bytes::from_static(b"next")).await.unwrap();
    assert_eq!(ends.served.load(Ordering::Relaxed), 1, "the runner has seen one stream");
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_lost_after_the_keepalive_and_reconnect_timeouts() {
    let ((a, _held), (b, _)) = (in_memory(), in_memory());
    let ends = connect(LinkConfig::default(), (a, b), |_| None);
    let before = tokio::time::Instant::now();
    let error = call(&ends.parent, Bytes::new()).await.unwrap_err();
    assert!(
        matches!(&error, StreamError::Link(LinkClosed(end))
        if matches!(&**end, LinkEnd::Lost { why } if why.contains("silent"))),
        "{error}"
    );
    let config = LinkConfig::default();
    assert_eq!(
        before.elapsed().as_secs(),
        (config.keepalive_timeout + config.reconnect_timeout).as_secs()
    );
}

/// The two ends of a socket, and a sender that breaks it. One side sees it break; for the other
/// side it only falls silent.
fn half_open(seen_by_parent: bool) -> (Io, Io, tokio::sync::oneshot::Sender<()>) {
    let (a, mut near) = tokio::io::duplex(64 * 1024);
    let (mut far, b) = tokio::io::duplex(64 * 1024);
    let (cut, is_cut) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
            _ = is_cut => {}
        }
        let (lost, _silent) = if seen_by_parent { (near, far) } else { (far, near) };
        drop(lost);
        std::future::pending::<()>().await;
    });
    (Io::new(a), Io::new(b), cut)
}

#[tokio::test(start_paused = true)]
async fn a_break_that_only_one_side_notices_loses_no_call_unless_the_reconnect_timeout_is_too_short()
 {
    let second = Duration::from_secs(1);
    let short = LinkConfig {
        keepalive_timeout: 60 * second,
        reconnect_timeout: 30 * second,
        ..LinkConfig::default()
    };
    for (config, seen_by_parent, resumes) in [
        (LinkConfig::default(), true, true),
        (LinkConfig::default(), false, true),
        (short, true, false),
        // The runner connects, so it does not have to wait.
        (short, false, true),
    ] {
        let (a, b, cut) = half_open(seen_by_parent);
        let ends = connect(config, (a, b), |parent| {
            let (a, b) = in_memory();
            tokio::spawn(async move { parent.send(a).await });
            Some(b)
        });
        call(&ends.parent, Bytes::from_static(b"before")).await.unwrap();
        cut.send(()).unwrap();
        // The clock is paused, so this second passes only after the break was noticed.
        tokio::time::sleep(second).await;
        let reply = call(&ends.parent, Bytes::from_static(b"after")).await;
        assert_eq!(reply.is_ok(), resumes, "seen by the parent: {seen_by_parent}: {reply:?}");
        assert_eq!(ends.served.load(Ordering::Relaxed), 1 + usize::from(resumes));
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_link_stays_open() {
    let mut ends = connect(LinkConfig::default(), in_memory(), |_| None);
    tokio::time::advance(Duration::from_secs(1)).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(ends.parent.end(), None);
    assert!(ends.dialled.try_recv().is_err(), "the link never lost its socket");
    drop(ends.sockets);
}

#[tokio::test]
async fn garbage_ends_the_link_as_a_violation() {
    let (a, mut garbage) = in_memory();
    let (_, b) = in_memory();
    let ends = connect(LinkConfig::default(), (a, b), |_| None);
    garbage.write_all(&[0xff; 64]).await.unwrap();
    assert!(matches!(&*ends.parent.closed().await, LinkEnd::Violation { .. }));
}

#[tokio::test]
async fn a_peer_that_pings_and_does_not_read_gets_a_bounded_number_of_pongs() {
    const PINGS: u64 = 100_000;
    let (near, mut peer) = tokio::io::duplex(1024);
    let (_, b) = in_memory();
    let _ends = connect(LinkConfig::default(), (Io::new(near), b), |_| None);
    let mut pings = BytesMut::new();
    (1..=PINGS).for_each(|nonce| Packet::Ping { nonce }.encode(&mut pings));
    peer.write_all(&pings).await.unwrap();
    // All pings except those in the pipe were read by now. The last pong arrives after all others.
    let (mut read, mut answers) = (BytesMut::new(), 0);
    loop {
        assert!(peer.read_buf(&mut read).await.unwrap() > 0, "the link has ended");
        while let Some(packet) = Packet::decode(&mut read).unwrap() {
            let Packet::Pong { nonce } = packet else { continue };
            answers += 1;
            if nonce == PINGS {
                // At most a batch and the content of the pipe.
                assert!(answers < PINGS / 5, "{answers} pongs were queued");
                return;
            }
        }
    }
}

/// Copies at most `limit` bytes in both directions together, then breaks the socket.
async fn cut_after(mut a: DuplexStream, mut b: DuplexStream, mut limit: usize) {
    let (mut x, mut y) = ([0; 4096], [0; 4096]);
    while limit > 0 {
        tokio::select! {
            read = a.read(&mut x) => match read {
                Ok(n @ 1..) => { if b.write_all(&x[..n]).await.is_err() { return } limit = limit.saturating_sub(n); }
                _ => return,
            },
            read = b.read(&mut y) => match read {
                Ok(n @ 1..) => { if a.write_all(&y[..n]).await.is_err() { return } limit = limit.saturating_sub(n); }
                _ => return,
            },
        }
    }
}

fn fragile(limit: usize) -> (Io, Io) {
    let (a, near) = tokio::io::duplex(64 * 1024);
    let (far, b) = tokio::io::duplex(64 * 1024);
    tokio::spawn(cut_after(near, far, limit));
    (Io::new(a), Io::new(b))
}

#[tokio::test]
async fn calls_survive_broken_sockets_and_each_is_served_once() {
    let mut cuts = 0;
    let ends = connect(LinkConfig::default(), fragile(10_000), move |parent| {
        cuts += 1;
        let (a, b) = fragile(10_000 + cuts * 7_919);
        tokio::spawn(async move { parent.send(a).await });
        Some(b)
    });
    let calls = (0..1000u32).map(|n| {
        let body = Bytes::from(vec![n as u8; 1 + (n as usize * 37) % 2000]);
        let link = ends.parent.clone();
        async move { (body.clone(), call(&link, body).await) }
    });
    for (sent, got) in join_all(calls).await {
        assert_eq!(got.unwrap(), sent);
    }
    assert_eq!(ends.served.load(Ordering::Relaxed), 1000);
    let mut dialled = ends.dialled;
    assert!(dialled.try_recv().is_ok(), "no socket broke");
}

#[tokio::test]
async fn messages_queued_when_a_link_closes_arrive_over_the_next_socket() {
    // The socket breaks during the call, during the reply, during the close, or not at all.
    for limit in (1_000..1_020_000).step_by(9_999).chain(1_000_000..1_000_500) {
        let ends = connect(LinkConfig::default(), fragile(limit), |parent| {
            let (a, b) = fragile(usize::MAX);
            tokio::spawn(async move { parent.send(a).await });
            Some(b)
        });
        // More than a window, so that a part of it waits for credit when the link closes.
        let body = Bytes::from(vec![9; 500_000]);
        let reply = tokio::spawn({
            let (link, body) = (ends.parent.clone(), body.clone());
            async move { call(&link, body).await }
        });
        while ends.served.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        ends.runner.close();
        assert_eq!(reply.await.unwrap().unwrap(), body, "broken after {limit}");
        assert_eq!(*ends.runner.closed().await, LinkEnd::Closed, "broken after {limit}");
        assert_eq!(*ends.parent.closed().await, LinkEnd::ClosedByPeer, "broken after {limit}");
    }
}

#[tokio::test]
async fn a_link_runs_over_tcp_websocket_and_tls() {
    let key = ServerKey::generate().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("ws://{}", listener.local_addr().unwrap());
    let accepted = async {
        let (tcp, _) = listener.accept().await.unwrap();
        accept(Io::new(tcp), &key).await.unwrap()
    };
    let (a, b) = tokio::join!(accepted, dial(&address, key.fingerprint()));
    let ends = connect(LinkConfig::default(), (a, b.unwrap()), |_| None);
    let body = Bytes::from(vec![5; 3 << 20]);
    assert_eq!(call(&ends.parent, body.clone()).await.unwrap(), body);
}

#[tokio::test]
async fn a_parent_with_another_key_is_rejected() {
    let key = ServerKey::generate().unwrap();
    let other = ServerKey::generate().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("ws://{}", listener.local_addr().unwrap());
    let accepted = async {
        let (tcp, _) = listener.accept().await.unwrap();
        accept(Io::new(tcp), &key).await
    };
    let (accepted, dialled) = tokio::join!(accepted, dial(&address, other.fingerprint()));
    assert!(matches!(accepted, Err(AcceptError::Tls(_))));
    assert!(matches!(dialled, Err(DialError::Tls { .. })));
}

#[tokio::test]
async fn a_client_that_speaks_plain_http_is_rejected() {
    let key = ServerKey::generate().unwrap();
    let (mut stranger, socket) = tokio::io::duplex(4096);
    stranger.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(matches!(accept(Io::new(socket), &key).await, Err(AcceptError::WebSocket(_))));
}

/// A peer that reads packets from a socket and decides itself what it acknowledges.
struct RawPeer {
    socket: DuplexStream,
    input: BytesMut,
    /// The payload of each frame that has arrived so far, in bytes.
    frames: Vec<usize>,
}

impl RawPeer {
    /// Resumes the session on a new socket, as if only the first `frames` had arrived.
    async fn resume(socket: DuplexStream, frames: Vec<usize>) -> Self {
        let mut peer = Self { socket, input: BytesMut::new(), frames };
        peer.send(&Packet::Resume { next: peer.frames.len() as u64 }).await;
        peer
    }

    async fn send(&mut self, packet: &Packet) {
        let mut out = BytesMut::new();
        packet.encode(&mut out);
        self.socket.write_all(&out).await.unwrap();
    }

    /// Reads until nothing more comes.
    async fn read_all(&mut self) {
        loop {
            while let Some(packet) = Packet::decode(&mut self.input).unwrap() {
                let Packet::Data { seq, frame: Frame::Data(data), .. } = packet else { continue };
                assert_eq!(seq, self.frames.len() as u64, "frames come once and in order");
                self.frames.push(data.payload.len());
            }
            let more = self.socket.read_buf(&mut self.input);
            match tokio::time::timeout(Duration::from_secs(1), more).await {
                Ok(Ok(1..)) => {}
                _ => return,
            }
        }
    }

    fn payload(&self) -> usize {
        self.frames.iter().sum()
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_replay_queue_holds_frames_back_and_loses_none() {
    const BODY: usize = 200 * 1024;
    const REPLAY: usize = 64 * 1024;
    let config = LinkConfig { replay: REPLAY, ..LinkConfig::default() };
    let (link, driver) = Driver::new(Side::Parent, config, |_| Caller);
    let (sockets, next) = mpsc::channel(1);
    let (near, far) = tokio::io::duplex(BODY * 2);
    tokio::spawn(driver.run(Io::new(near), SocketSource::Accepted(next)));
    let body = Bytes::from(vec![7; BODY]);
    let (_stream, _) = link.open(0, None, |_, _| Ok((CALL, body.into(), true))).unwrap();

    let mut peer = RawPeer::resume(far, Vec::new()).await;
    peer.read_all().await;
    let unacknowledged = peer.payload();
    assert!(
        (REPLAY / 2..=REPLAY + MAX_FRAME).contains(&unacknowledged),
        "{unacknowledged} bytes were sent without an acknowledgement"
    );
    // The socket breaks. The first frame had arrived, the others had not.
    let (near, far) = tokio::io::duplex(BODY * 2);
    let frames = peer.frames[..1].to_vec();
    drop(peer);
    sockets.send(Io::new(near)).await.unwrap();
    let mut peer = RawPeer::resume(far, frames).await;
    let mut rounds = 0;
    while peer.payload() < BODY {
        let before = peer.payload();
        peer.read_all().await;
        assert!(peer.payload() > before, "an acknowledgement makes room");
        assert!(peer.payload() - before <= REPLAY + MAX_FRAME);
        peer.send(&Packet::Ack { next: peer.frames.len() as u64 }).await;
        rounds += 1;
    }
    assert_eq!(peer.payload(), BODY, "each byte has arrived once");
    assert!(rounds > 1, "the queue was full in between");
}
