//! The listener against runners and other clients, over sockets in memory.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use flame_link::{HelloOutcome, dial, say_hello};
use flame_wire::hello::{Hello, Proof};
use flame_wire::token::Token;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::*;
use crate::admission::tests::RUNNER;
use crate::admission::{self, ExpectedRunner};
use crate::inbox::TurnedAway;

fn token() -> Token {
    Token::from_bytes([1; 32])
}

fn hello() -> Hello {
    admission::tests::hello(Proof::BootToken(token()))
}

type FirstSocket = Result<(Io, Hello), TurnedAway>;

/// A listener that expects [`RUNNER`], and the two receivers of the runner's inbox.
fn listener() -> (Listener, mpsc::Receiver<FirstSocket>, mpsc::Receiver<Io>) {
    let listener = Listener::new(ServerKey::generate().unwrap(), BuildId::new("build"));
    let resume = Token::from_bytes([2; 32]);
    let (first, first_socket) = mpsc::channel(1);
    let (next, next_sockets) = mpsc::channel(1);
    let expires = Instant::now().into_std() + Duration::from_secs(60);
    let inbox = SocketInbox { resume: resume.clone(), code: None, first, next };
    let expected = ExpectedRunner::new(token().hash(), resume.hash(), expires, inbox);
    listener.admission().expect(RUNNER, expected);
    (listener, first_socket, next_sockets)
}

/// Serves the sockets that are sent to the returned channel.
fn serve(listener: &Listener) -> mpsc::UnboundedSender<NewSocket> {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let sockets = stream::poll_fn(move |cx| receiver.poll_recv(cx));
    tokio::spawn(listener.clone().serve(sockets));
    sender
}

#[tokio::test]
async fn the_first_socket_of_a_runner_and_the_next_arrive_at_its_task() {
    let (listener, mut first_socket, mut next_sockets) = listener();
    let outcome = say_hello(listener.connect_in_memory(), &hello()).await.unwrap();
    let HelloOutcome::Welcomed(_, resume) = outcome else { panic!("{outcome:?}") };
    let (_, received) = first_socket.recv().await.unwrap().unwrap();
    assert_eq!(received, hello());

    let again = Hello { proof: Proof::ResumeKey(resume), ..hello() };
    say_hello(listener.connect_in_memory(), &again).await.unwrap();
    assert!(next_sockets.recv().await.is_some());
}

#[tokio::test]
async fn sockets_that_fail_their_handshakes_do_not_end_the_stream() {
    let (listener, mut first_socket, _next) = listener();
    let sockets = serve(&listener);

    let (socket, mut http_client) = in_memory();
    sockets.send(NewSocket::Tcp(socket)).ok().unwrap();
    http_client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let (socket, mut garbage) = in_memory();
    sockets.send(NewSocket::InMemory(socket)).ok().unwrap();
    garbage.write_all(&[0xff; 64]).await.unwrap();
    // Both clients are turned away before the runner connects.
    let mut reply = Vec::new();
    http_client.read_to_end(&mut reply).await.unwrap();
    garbage.read_to_end(&mut reply).await.unwrap();

    let (socket, runner) = in_memory();
    sockets.send(NewSocket::InMemory(socket)).ok().unwrap();
    say_hello(runner, &hello()).await.unwrap();
    assert!(first_socket.recv().await.unwrap().is_ok());
}

#[tokio::test]
async fn silent_clients_keep_no_runner_out() {
    let (listener, mut first_socket, _next) = listener();
    let sockets = serve(&listener);
    let mut silent = Vec::new();
    for _ in 0..MAX_HANDSHAKES {
        let (socket, client) = in_memory();
        sockets.send(NewSocket::Tcp(socket)).ok().unwrap();
        silent.push(client);
    }
    let (socket, runner) = in_memory();
    sockets.send(NewSocket::InMemory(socket)).ok().unwrap();
    say_hello(runner, &hello()).await.unwrap();
    assert!(first_socket.recv().await.unwrap().is_ok());
    // The oldest client made room for the runner.
    assert_eq!(silent[0].read(&mut [0; 1]).await.unwrap(), 0);
}

const ANY_PORT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

#[tokio::test]
async fn callers_that_listen_on_the_same_address_share_one_socket() {
    let (listener, ..) = listener();
    let first = listener.listen(ANY_PORT).unwrap();
    let second = listener.listen(ANY_PORT).unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    let by_port = listener.listen(first.local_address()).unwrap();
    assert!(Arc::ptr_eq(&first, &by_port));
    let elsewhere = listener.listen((Ipv6Addr::LOCALHOST, 0).into()).unwrap();
    assert_ne!(first.local_address(), elsewhere.local_address());
}

#[tokio::test]
async fn a_socket_whose_source_was_just_dropped_is_used_again() {
    let (listener, mut first_socket, _next) = listener();
    let address = listener.listen(ANY_PORT).unwrap().local_address();
    // The task that held the socket has not run since, so the socket is still open.
    let again = listener.listen(address).unwrap();
    assert_eq!(again.local_address(), address);
    // The first task ends, the second accepts.
    tokio::task::yield_now().await;
    let io = dial(&format!("ws://{address}"), listener.key().fingerprint()).await.unwrap();
    say_hello(io, &hello()).await.unwrap();
    assert!(first_socket.recv().await.unwrap().is_ok());
}

#[tokio::test]
async fn a_socket_is_closed_once_its_last_source_is_dropped() {
    let (listener, ..) = listener();
    let first = listener.listen(ANY_PORT).unwrap();
    let address = first.local_address();
    let second = listener.listen(ANY_PORT).unwrap();
    drop(first);
    tokio::task::yield_now().await;
    TcpStream::connect(address).await.unwrap();
    drop(second);
    while TcpStream::connect(address).await.is_ok() {}
    listener.listen(address).unwrap();
}

#[tokio::test]
async fn a_port_that_another_socket_occupies_is_an_error_until_it_is_free() {
    let (listener, ..) = listener();
    let occupied = std::net::TcpListener::bind(ANY_PORT).unwrap();
    let address = occupied.local_addr().unwrap();
    let error = listener.listen(address).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    drop(occupied);
    assert_eq!(listener.listen(address).unwrap().local_address(), address);
}

#[test]
fn each_runtime_has_a_listener_of_its_own_as_long_as_a_pool_uses_it() {
    let build = BuildId::new("build");
    let fingerprint = |listener: &Listener| listener.key().fingerprint();
    let of_new_runtime = || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let first = Listener::of_current_runtime(&build).unwrap();
            let second = Listener::of_current_runtime(&build).unwrap();
            assert_eq!(fingerprint(&first), fingerprint(&second));
            first
        })
    };
    let (one, other) = (of_new_runtime(), of_new_runtime());
    assert_ne!(fingerprint(&one), fingerprint(&other));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let _inside = runtime.enter();
    let first = fingerprint(&Listener::of_current_runtime(&build).unwrap());
    assert_ne!(fingerprint(&Listener::of_current_runtime(&build).unwrap()), first);
}
