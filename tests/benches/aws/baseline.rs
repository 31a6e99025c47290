//! The baseline: this executable as a task, or as a function, that connects once and does nothing
//! else.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use flame_tests::emulator::{EcsApp, Function};
use tokio::net::TcpListener;

use crate::sample::{self, now};

/// The variable with the address that a bare process connects to.
const ADDRESS: &str = "FLAME_BENCH_ADDRESS";

/// A copy of this executable without flame-aws.
pub(crate) enum BareProcess {
    /// Creates a runtime, connects once, and exits.
    Task { address: String },
    /// Creates a runtime; for each event of Lambda it connects and then responds.
    Function { address: String, runtime_api: String },
}

impl BareProcess {
    /// The kind of bare process that this process is, if it is one.
    pub(crate) fn read() -> Option<Self> {
        let address = std::env::var(ADDRESS).ok()?;
        Some(match std::env::var("AWS_LAMBDA_RUNTIME_API") {
            Ok(runtime_api) => Self::Function { address, runtime_api },
            Err(_) => Self::Task { address },
        })
    }

    pub(crate) fn run(self) {
        let runtime = sample::runtime();
        let connect = |address: &str| {
            let connected = runtime.block_on(tokio::net::TcpStream::connect(address));
            connected.expect("the benchmark listens");
        };
        match self {
            Self::Task { address } => connect(&address),
            Self::Function { address, runtime_api } => {
                handle_all(&runtime_api, || connect(&address))
            }
        }
    }
}

/// Starts bare tasks and functions, and accepts their connections.
pub(crate) struct Baseline {
    listener: TcpListener,
    address: String,
}

impl Baseline {
    pub(crate) async fn listen() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("a bound socket has an address").to_string();
        Self { listener, address }
    }

    /// The time from `count` concurrent RunTask requests until all of their processes have
    /// connected.
    pub(crate) async fn tasks(&self, app: &EcsApp, count: usize) -> Duration {
        let start = now();
        let variables = [(ADDRESS, self.address.as_str())];
        let launched = futures_util::future::join_all((0..count).map(|_| app.run(&variables, &[])));
        tokio::join!(launched, self.connected(start, count)).1
    }

    /// A function whose process connects here.
    pub(crate) async fn function(&self) -> Function {
        Function::with(Duration::from_secs(60), &[(ADDRESS, &self.address)]).await
    }

    /// The time from one Invoke until the function has connected. Returns when it has also
    /// responded.
    pub(crate) async fn invoke(&self, function: &Function) -> Duration {
        let start = now();
        let invoked = async {
            let (failed, answer) = function.invoke("{}").await;
            assert!(!failed && answer == "{}", "a bare function responds: {answer}");
        };
        tokio::join!(invoked, self.connected(start, 1)).1
    }

    /// The time from `start` until `count` processes have connected.
    async fn connected(&self, start: Instant, count: usize) -> Duration {
        for _ in 0..count {
            self.listener.accept().await.expect("a connection");
        }
        start.elapsed()
    }
}

/// A minimal client of the Runtime API (AWS documentation, Lambda runtime API): gets the next
/// event, calls the handler and responds, on one connection, until the process is killed.
fn handle_all(runtime_api: &str, handler: impl Fn()) {
    let socket = TcpStream::connect(runtime_api).expect("the Runtime API accepts connections");
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

/// Sends a request and reads the response. Returns the id of the event in it.
fn exchange(socket: &mut BufReader<TcpStream>, request: &str) -> Option<String> {
    socket.get_mut().write_all(request.as_bytes()).expect("the request is sent");
    let (mut id, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        socket.read_line(&mut line).expect("a response");
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            if line.trim_end().is_empty() { break } else { continue }
        };
        match name.to_ascii_lowercase().as_str() {
            "lambda-runtime-aws-request-id" => id = Some(value.to_owned()),
            "content-length" => length = value.parse().expect("a length"),
            _ => {}
        }
    }
    socket.read_exact(&mut vec![0; length]).expect("the response's body");
    id
}
