//! The listener against runners and other clients, over sockets in memory.

use std::time::Duration;

use flame_link::{HelloOutcome, say_hello};
use flame_wire::hello::{Hello, PROTOCOL, Proof};
use flame_wire::ids::RunnerRef;
use flame_wire::token::Token;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::*;
use crate::admission::ExpectedRunner;
use crate::inbox::TurnedAway;

const RUNNER: RunnerRef = RunnerRef::from_bytes([1; 16]);

fn token() -> Token {
    Token::from_bytes([1; 32])
}

fn hello() -> Hello {
    Hello {
        protocol: PROTOCOL,
        runner: RUNNER,
        proof: Proof::BootToken(token()),
        build: BuildId::new("build"),
        instance: "pid-1".to_owned(),
        pid: None,
        expires_in_ms: None,
        synced: false,
        incarnation: 1,
        supervised: false,
    }
}

type FirstSocket = Result<(Io, Hello), TurnedAway>;

/// A listener that expects [`RUNNER`], and the two receivers of the runner's inbox.
fn listener() -> (Listener, mpsc::Receiver<FirstSocket>, mpsc::Receiver<Io>) {
    let listener = Listener::new(ServerKey::generate().unwrap(), BuildId::new("build"), None);
    let resume = Token::from_bytes([2; 32]);
    let (first, first_socket) = mpsc::channel(1);
    let (next, next_sockets) = mpsc::channel(1);
    let expires = Instant::now().into_std() + Duration::from_secs(60);
    let inbox = SocketInbox { resume: resume.clone(), first, next };
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
