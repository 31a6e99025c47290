//! The floors: this executable as a task, or as a function, that does nothing of ours.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use flame_tests::emulator::{EcsApp, Function};
use tokio::net::TcpListener;

use crate::sample::{self, now};

/// The variable with the address that a bare task dials.
const DIALS: &str = "FLAME_BENCH_DIALS";
/// The variable that makes a bare function of a copy.
const ANSWERS: &str = "FLAME_BENCH_ANSWERS";

/// What a copy without us does.
pub(crate) enum Bare {
    /// Makes a runtime, dials once, and ends.
    Task { dials: String },
    /// Answers each event of Lambda at once.
    Function { runtime_api: String },
}

impl Bare {
    /// Whether this process is one.
    pub(crate) fn read() -> Option<Self> {
        if let Ok(dials) = std::env::var(DIALS) {
            return Some(Self::Task { dials });
        }
        std::env::var_os(ANSWERS)?;
        let runtime_api = std::env::var("AWS_LAMBDA_RUNTIME_API").expect("this runs on Lambda");
        Some(Self::Function { runtime_api })
    }

    pub(crate) fn run(self) {
        match self {
            Self::Task { dials } => {
                let dialled = sample::runtime().block_on(tokio::net::TcpStream::connect(dials));
                dialled.expect("who measures listens");
            }
            Self::Function { runtime_api } => answer_all(&runtime_api),
        }
    }
}

/// Where bare tasks dial.
pub(crate) struct Port {
    listener: TcpListener,
    address: String,
}

impl Port {
    pub(crate) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address").to_string();
        Self { listener, address }
    }

    /// From RunTask, so many at once, until all of their processes have dialled.
    pub(crate) async fn tasks(&self, app: &EcsApp, count: usize) -> Duration {
        let start = now();
        let variables = [(DIALS, self.address.as_str())];
        let ordered = futures_util::future::join_all((0..count).map(|_| app.run(&variables, &[])));
        let dialled = async {
            for _ in 0..count {
                self.listener.accept().await.expect("a task that dials");
            }
            start.elapsed()
        };
        tokio::join!(ordered, dialled).1
    }
}

/// A function that answers at once.
pub(crate) async fn function() -> Function {
    Function::with(Duration::from_secs(60), &[(ANSWERS, "1")]).await
}

/// One Invoke of it, to its answer.
pub(crate) async fn invoke(function: &Function) -> Duration {
    let start = now();
    let (failed, answer) = function.invoke("{}").await;
    let took = start.elapsed();
    assert!(!failed && answer == "{}", "a bare function answers: {answer}");
    took
}

/// The Runtime API in its simplest form (AWS documentation, Lambda runtime API): the next event, an
/// answer, on one connection, for as long as the process may live.
fn answer_all(runtime_api: &str) {
    let socket = TcpStream::connect(runtime_api).expect("the Runtime API is there");
    socket.set_nodelay(true).expect("a socket's option");
    let mut socket = BufReader::new(socket);
    let path = "/2018-06-01/runtime/invocation";
    loop {
        let next = format!("GET {path}/next HTTP/1.1\r\nHost: {runtime_api}\r\n\r\n");
        let id = exchange(&mut socket, &next).expect("an event has an id");
        let answer = format!(
            "POST {path}/{id}/response HTTP/1.1\r\nHost: {runtime_api}\r\n\
             Content-Length: 2\r\n\r\n{{}}"
        );
        exchange(&mut socket, &answer);
    }
}

/// A request and its answer; the id of the event in it.
fn exchange(socket: &mut BufReader<TcpStream>, request: &str) -> Option<String> {
    socket.get_mut().write_all(request.as_bytes()).expect("a request is taken");
    let (mut id, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        socket.read_line(&mut line).expect("an answer");
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            if line.trim_end().is_empty() { break } else { continue }
        };
        match name.to_ascii_lowercase().as_str() {
            "lambda-runtime-aws-request-id" => id = Some(value.to_owned()),
            "content-length" => length = value.parse().expect("a length"),
            _ => {}
        }
    }
    socket.read_exact(&mut vec![0; length]).expect("the answer's body");
    id
}
