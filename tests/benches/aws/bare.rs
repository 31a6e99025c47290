//! The floors: this executable as a task, or as a function, that dials and does nothing else of ours.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use flame_tests::emulator::{EcsApp, Function};
use tokio::net::TcpListener;

use crate::sample::{self, now};

/// The variable with the address that a bare copy dials.
const DIALS: &str = "FLAME_BENCH_DIALS";

/// What a copy without us does.
pub(crate) enum Bare {
    /// Makes a runtime, dials once, and ends.
    Task { dials: String },
    /// Makes a runtime; dials for each event of Lambda, then answers it.
    Function { dials: String, runtime_api: String },
}

impl Bare {
    /// Whether this process is one.
    pub(crate) fn read() -> Option<Self> {
        let dials = std::env::var(DIALS).ok()?;
        Some(match std::env::var("AWS_LAMBDA_RUNTIME_API") {
            Ok(runtime_api) => Self::Function { dials, runtime_api },
            Err(_) => Self::Task { dials },
        })
    }

    pub(crate) fn run(self) {
        let runtime = sample::runtime();
        let dial = |address: &str| {
            let dialled = runtime.block_on(tokio::net::TcpStream::connect(address));
            dialled.expect("who measures listens");
        };
        match self {
            Self::Task { dials } => dial(&dials),
            Self::Function { dials, runtime_api } => handle_all(&runtime_api, || dial(&dials)),
        }
    }
}

/// Where bare tasks and functions dial.
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
        tokio::join!(ordered, self.dialled(start, count)).1
    }

    /// A function that dials here.
    pub(crate) async fn function(&self) -> Function {
        Function::with(Duration::from_secs(60), &[(DIALS, &self.address)]).await
    }

    /// From one Invoke of it until it has dialled. Returns when it has answered, too.
    pub(crate) async fn invoke(&self, function: &Function) -> Duration {
        let start = now();
        let invoked = async {
            let (failed, answer) = function.invoke("{}").await;
            assert!(!failed && answer == "{}", "a bare function answers: {answer}");
        };
        tokio::join!(invoked, self.dialled(start, 1)).1
    }

    /// From `start` until so many have dialled.
    async fn dialled(&self, start: Instant, count: usize) -> Duration {
        for _ in 0..count {
            self.listener.accept().await.expect("a copy that dials");
        }
        start.elapsed()
    }
}

/// The Runtime API in its simplest form (AWS documentation, Lambda runtime API): the next event, the
/// handler, an answer, on one connection, for as long as the process may live.
fn handle_all(runtime_api: &str, handler: impl Fn()) {
    let socket = TcpStream::connect(runtime_api).expect("the Runtime API is there");
    socket.set_nodelay(true).expect("a socket's option");
    let mut socket = BufReader::new(socket);
    let path = "/2018-06-01/runtime/invocation";
    loop {
        let next = format!("GET {path}/next HTTP/1.1\r\nHost: {runtime_api}\r\n\r\n");
        let id = exchange(&mut socket, &next).expect("an event has an id");
        handler();
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
