//! Clients that are not the pool's runners, and runners that break the protocol.

use std::time::Duration;

use bytes::Bytes;
use flame_aws::backend::Process;
use flame_aws::{CallError, Pool, PoolBuilder, TimeoutPhase};
use flame_link::{HelloError, Io};
use flame_tests::process::{self, drains_cleanly, until_gone};
use flame_tests::{TempDir, Test, Watcher, demo, impostor, process_pool, tests, until};
use flame_wire::frame::{DataFrame, Frame, MessageStart, StreamId};
use flame_wire::hello::Rejection;
use flame_wire::message::Tag;
use flame_wire::packet::Packet;
use flame_wire::parent::FlameParent;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        garbage_at_the_listener_affects_no_call,
        silent_connections_do_not_keep_runners_out,
        an_invalid_hello_is_rejected,
        a_runner_of_one_pool_is_rejected_as_a_runner_of_another_pool_on_the_same_port,
        a_runner_that_breaks_the_protocol_is_lost_and_its_process_killed,
        a_runner_that_announces_an_oversized_message_is_lost,
        a_silent_runner_does_not_hold_its_caller_past_the_deadline,
    ]
}

/// Starts a pool whose only child writes its FLAME_PARENT and never connects, so that an impostor
/// can connect in its place. Returns the child's FLAME_PARENT and process id.
async fn pool_for_an_impostor(
    folder: &TempDir,
    make: impl FnOnce(PoolBuilder) -> PoolBuilder,
) -> (Pool, FlameParent, u32) {
    let backend =
        Process::new().env("DEMO_WRITE_PARENT_TO", folder.path()).env("DEMO_HANG_IN_BOOT", "1");
    let pool = process_pool("test").min(1).max(1).backend(backend);
    let pool = make(pool).start().await.unwrap();
    until("the child has started", || !folder.files().is_empty()).await;
    let file = folder.files().remove(0);
    let pid = file.file_name().unwrap().to_str().unwrap().parse().unwrap();
    (pool, impostor::flame_parent(&file), pid)
}

/// Connects in place of the child.
async fn connect_as_runner(parent: &FlameParent) -> Io {
    let (mut io, _) = impostor::connect(parent, &impostor::hello(parent)).await.unwrap();
    impostor::resume(&mut io).await;
    io
}

/// The host and port to which runners connect, and the path that they request.
fn address(parent: &FlameParent) -> (&str, &str) {
    let address = parent.addresses[0].strip_prefix("ws://").unwrap();
    let path_at = address.find('/').unwrap_or(address.len());
    match address.split_at(path_at) {
        (host, "") => (host, "/flame/v1"),
        with_path => with_path,
    }
}

async fn garbage_at_the_listener_affects_no_call() {
    let folder = TempDir::new();
    let backend = Process::new().env("DEMO_WRITE_PARENT_TO", folder.path());
    let pool = process_pool("test").max(2).max_concurrency(1).backend(backend);
    let pool = pool.start().await.unwrap();
    let pid = pool.call(demo::pid()).await.unwrap();
    let parent = impostor::flame_parent(&folder.files()[0]);
    let (host, path) = address(&parent);
    let noise: Vec<u8> =
        (0..100_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let upgrade = |path| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
    };
    let in_websocket = [upgrade(path).into_bytes(), noise.clone()].concat();
    let payloads = [
        noise,
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        upgrade("/elsewhere").into_bytes(),
        in_websocket,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
    ];
    for payload in payloads {
        let mut socket = TcpStream::connect(host).await.unwrap();
        // The listener may close the connection before it has read everything.
        let _ = socket.write_all(&payload).await;
        let _ = socket.shutdown().await;
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer).await;
        assert_eq!(pool.call(demo::pid()).await.unwrap(), pid);
    }
    // Runners can still connect.
    let child = pool.place_child(demo::forever()).await.unwrap();
    assert_ne!(pool.call(demo::pid()).await.unwrap(), pid);
    child.stop();
    drains_cleanly(&pool, &[]).await;
}

async fn silent_connections_do_not_keep_runners_out() {
    let folder = TempDir::new();
    let backend = Process::new().env("DEMO_WRITE_PARENT_TO", folder.path());
    let pool = process_pool("test").max_concurrency(1).backend(backend).start().await.unwrap();
    let child = pool.place_child(demo::forever()).await.unwrap();
    let parent = impostor::flame_parent(&folder.files()[0]);
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(address(&parent).0).await.unwrap());
    }
    assert_eq!(pool.call(demo::double(4)).await.unwrap(), 8, "another runner has connected");
    child.stop();
    drains_cleanly(&pool, &[]).await;
}

async fn a_runner_of_one_pool_is_rejected_as_a_runner_of_another_pool_on_the_same_port() {
    let (folder, other_folder) = (TempDir::new(), TempDir::new());
    let (pool, parent, child) = pool_for_an_impostor(&folder, |pool| pool).await;
    let (other, other_parent, other_child) = pool_for_an_impostor(&other_folder, |pool| pool).await;
    assert_eq!(address(&parent).0, address(&other_parent).0);
    let crossed = FlameParent { runner: other_parent.runner, ..parent.clone() };
    let rejected = impostor::connect(&crossed, &impostor::hello(&crossed)).await;
    assert!(matches!(rejected, Err(HelloError::Rejected(Rejection::WrongToken))), "{rejected:?}");
    // The tokens are still valid, each for the runner of its own pool.
    for (parent, pool) in [(&parent, &pool), (&other_parent, &other)] {
        let _io = connect_as_runner(parent).await;
        until("the runner is up", || pool.snapshot().up == 1).await;
        assert_eq!(pool.snapshot().runners[0].runner, parent.runner);
    }
    for (pool, child) in [(pool, child), (other, other_child)] {
        process::kill(child);
        drains_cleanly(&pool, &[child]).await;
    }
}

async fn an_invalid_hello_is_rejected() {
    let folder = TempDir::new();
    let (pool, parent, child) = pool_for_an_impostor(&folder, |pool| pool).await;
    let mut io = impostor::reach(&parent).await;
    io.write_all(&[0xff; 64]).await.unwrap();
    io.flush().await.unwrap();
    impostor::until_hung_up(&mut io).await;

    let mut hello = impostor::hello(&parent);
    hello.protocol = 99;
    let rejected = impostor::connect(&parent, &hello).await;
    let Err(HelloError::Rejected(Rejection::OtherProtocol { runner: 99, .. })) = rejected else {
        panic!("{rejected:?}")
    };
    let mut hello = impostor::hello(&parent);
    hello.runner = flame_wire::ids::RunnerRef::from_bytes([9; 16]);
    let rejected = impostor::connect(&parent, &hello).await;
    assert!(
        matches!(rejected, Err(HelloError::Rejected(Rejection::UnknownRunner))),
        "{rejected:?}"
    );
    // None of these has used up the child's token.
    assert!(impostor::connect(&parent, &impostor::hello(&parent)).await.is_ok());
    process::kill(child);
    drains_cleanly(&pool, &[child]).await;
}

async fn a_runner_that_breaks_the_protocol_is_lost_and_its_process_killed() {
    let start = |seq, tag: Tag, total| Packet::Data {
        seq,
        ack: 0,
        frame: Frame::Data(DataFrame {
            stream: StreamId(2),
            start: Some(MessageStart { tag: tag.into(), total }),
            opens: None,
            end: false,
            payload: Bytes::from_static(b"bytes"),
        }),
    };
    let encoded = |packets: &[Packet]| {
        let mut out = bytes::BytesMut::new();
        packets.iter().for_each(|packet| packet.encode(&mut out));
        out.to_vec()
    };
    let violations = [
        ("a packet of 16 MiB", vec![3, 0xff, 0xff, 0xff, 0, 0]),
        ("an unknown packet", vec![77, 0, 0, 0]),
        ("a gap in the sequence numbers", encoded(&[start(5, Tag::Result, 5)])),
        (
            "an acknowledgement of a packet that was never sent",
            encoded(&[Packet::Ack { next: 1 << 40 }]),
        ),
        ("a second Resume", encoded(&[Packet::Resume { next: 0 }])),
        (
            "a message that starts within another",
            encoded(&[start(0, Tag::Result, 9), start(1, Tag::Result, 9)]),
        ),
        ("an answer of the wrong kind", encoded(&[start(0, Tag::Item, 5)])),
    ];
    for (violation, bytes) in violations {
        let folder = TempDir::new();
        let (pool, parent, child) = pool_for_an_impostor(&folder, |pool| pool).await;
        let mut watcher = Watcher::new(&pool);
        let mut io = connect_as_runner(&parent).await;
        let call = tokio::spawn(pool.call(demo::double(1)));
        until("the call is on the impostor", || pool.snapshot().leased == 1).await;
        io.write_all(&bytes).await.unwrap();
        io.flush().await.unwrap();
        let lost = call.await.unwrap();
        let Err(CallError::RunnerLost { reason, .. }) = lost else {
            panic!("{violation}: {lost:?}")
        };
        assert!(reason.contains("the protocol"), "{violation}: {reason}");
        assert_eq!(watcher.lost().await, 1);
        impostor::until_hung_up(&mut io).await;
        until_gone(&[child]).await;
        drains_cleanly(&pool, &[child]).await;
    }
}

async fn a_runner_that_announces_an_oversized_message_is_lost() {
    let folder = TempDir::new();
    let (pool, parent, child) =
        pool_for_an_impostor(&folder, |pool| pool.max_message(1 << 20)).await;
    let mut watcher = Watcher::new(&pool);
    let mut io = connect_as_runner(&parent).await;
    let call = tokio::spawn(pool.call(demo::double(1)));
    until("the call is on the impostor", || pool.snapshot().leased == 1).await;
    let frame = Frame::Data(DataFrame {
        stream: StreamId(2),
        start: Some(MessageStart { tag: Tag::Result.into(), total: u64::MAX }),
        opens: None,
        end: false,
        payload: Bytes::from_static(b"the first of many"),
    });
    impostor::send(&mut io, &Packet::Data { seq: 0, ack: 0, frame }).await;
    let lost = call.await.unwrap();
    let Err(CallError::RunnerLost { reason, .. }) = lost else { panic!("{lost:?}") };
    assert!(reason.contains("the limit is 1048576"), "{reason}");
    assert_eq!(watcher.lost().await, 1);
    drains_cleanly(&pool, &[child]).await;
}

async fn a_silent_runner_does_not_hold_its_caller_past_the_deadline() {
    let short_timeouts = |pool: PoolBuilder| {
        pool.keepalive_timeout(Duration::from_secs(1))
            .reconnect_timeout(Duration::from_millis(1500))
    };
    let folder = TempDir::new();
    let (pool, parent, child) = pool_for_an_impostor(&folder, short_timeouts).await;
    let mut watcher = Watcher::new(&pool);
    let _io = connect_as_runner(&parent).await;
    let late = pool.call(demo::double(1).timeout(Duration::from_millis(50))).await;
    let Err(CallError::Timeout { phase: TimeoutPhase::Run, .. }) = late else { panic!("{late:?}") };
    let lost = pool.call(demo::double(1)).await;
    let Err(CallError::RunnerLost { started: true, reason, .. }) = lost else { panic!("{lost:?}") };
    assert!(reason.contains("silent"), "{reason}");
    watcher.lost().await;
    drains_cleanly(&pool, &[child]).await;
}
