//! The binary: settings, logs, signals, and files that change.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use flame_wire::relay::PARENT_PATH;
use futures_util::SinkExt;
use rustix::process::{Pid, Signal, kill_process};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{
    Clients, KEY, OTHER_KEY, Parent, RUNNER, close_code, connect, get, metric, receive_binary,
    refusal, start_watchdog,
};

/// A process of the binary. Killed when dropped.
pub(crate) struct RelayProcess {
    child: Child,
    pub(crate) address: SocketAddr,
    /// Where the metrics are, if they have an address of their own.
    metrics: Option<SocketAddr>,
    log: Option<JoinHandle<String>>,
}

impl RelayProcess {
    pub(crate) fn start(flags: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::spawn(&mut command(flags, variables))
    }

    fn spawn(command: &mut Command) -> Self {
        start_watchdog();
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut first = String::new();
        let (address, metrics) = loop {
            let mut line = String::new();
            assert!(stderr.read_line(&mut line).unwrap() > 0, "the relay does not start: {first}");
            first.push_str(&line);
            let field = |name: &str| {
                let json = line.split_once(&format!("\"{name}\":\""));
                let (_, rest) = json.or(line.split_once(&format!(" {name}=")))?;
                let end = rest.find(['"', ' ', '\n']).unwrap();
                Some(rest[..end].parse().unwrap())
            };
            if let Some(address) = field("listen") {
                break (address, field("metrics_listen"));
            }
        };
        let log = std::thread::spawn(move || {
            let _ = stderr.read_to_string(&mut first);
            first
        });
        Self { child, address, metrics, log: Some(log) }
    }

    /// The memory of the process that is in RAM.
    pub(crate) fn resident_bytes(&self) -> usize {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id())).unwrap();
        let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
        pages * rustix::param::page_size()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The exit code and the log, after the process has exited.
    fn wait(&mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        (status.code(), self.log.take().unwrap().join().unwrap())
    }
}

impl Drop for RelayProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(flags: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flame-relay"));
    command.args(["--listen", "127.0.0.1:0"]).args(flags).envs(variables.iter().copied());
    command.stdin(Stdio::null());
    command
}

fn run(flags: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command(flags, variables).output().unwrap();
    (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes a file as a careful operator does: under another name, and then renamed.
    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        let new = self.0.join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, &path).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn every_bad_setting_is_named_at_once() {
    let flags = [
        "--listen=nowhere",
        "--max-connections=0",
        "--pair-timeout=10",
        "--address=http://x/y",
        "--metrics-listen=everywhere",
        "--tls-cert=/nowhere.pem",
        "--log-format=xml",
        "--key=a-secret-that-must-not-be-shown-anywhere",
    ];
    let variables = [("FLAME_RELAY_BYTES_PER_PAIR", "many")];
    let output = Command::new(env!("CARGO_BIN_EXE_flame-relay"))
        .args(flags)
        .envs(variables)
        .output()
        .unwrap();
    let (code, text) = (output.status.code(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(code, Some(2), "{text}");
    for setting in [
        "--listen or FLAME_RELAY_LISTEN: \"nowhere\"",
        "--max-connections or FLAME_RELAY_MAX_CONNECTIONS: \"0\"",
        "--pair-timeout or FLAME_RELAY_PAIR_TIMEOUT: \"10\"",
        "--address or FLAME_RELAY_ADDRESS: \"http://x/y\"",
        "--metrics-listen or FLAME_RELAY_METRICS_LISTEN: \"everywhere\"",
        "--tls-key: ",
        "--log-format or FLAME_RELAY_LOG_FORMAT: \"xml\"",
        "--key: ",
        "--bytes-per-pair or FLAME_RELAY_BYTES_PER_PAIR: \"many\"",
        "FLAME_RELAY_KEYS: ",
    ] {
        assert!(text.contains(setting), "no {setting} in:\n{text}");
    }
    assert!(!text.contains("a-secret"), "{text}");
}

#[test]
fn an_address_that_no_runner_can_connect_to_is_rejected() {
    for address in ["ws://0.0.0.0:8443", "wss://[::]:8443"] {
        let (code, text) = run(&["--address", address], &[("FLAME_RELAY_KEYS", KEY)]);
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains("the address of this node"), "{text}");
    }
}

#[tokio::test]
async fn empty_variables_count_as_not_set_and_a_switch_can_be_set_by_a_number() {
    let names = ["ADDRESS", "KEY_FILE", "METRICS_LISTEN", "TLS_CERT", "TLS_KEY"];
    let names = names.map(|name| format!("FLAME_RELAY_{name}"));
    let mut variables: Vec<_> = names.iter().map(|name| (&**name, "")).collect();
    variables.extend([("FLAME_RELAY_KEYS", KEY), ("FLAME_RELAY_TRUST_FORWARDED_FOR", "1")]);
    let process = RelayProcess::start(&[], &variables);
    let relay = Clients { address: process.address };
    assert!(relay.get("/healthz").await.contains("200 OK"));
    assert!(process.metrics.is_none());
}

#[test]
fn the_help_names_each_flag_and_its_variable() {
    let (code, help) = run(&["--help"], &[]);
    assert_eq!(code, Some(0));
    for word in [
        "--listen",
        "FLAME_RELAY_LISTEN",
        "--metrics-listen",
        "FLAME_RELAY_METRICS_LISTEN",
        "--key-file",
        "FLAME_RELAY_KEYS",
        "SIGTERM",
    ] {
        assert!(help.contains(word), "no {word} in:\n{help}");
    }
    assert!(!help.contains("--key "), "the flag that is refused is not offered:\n{help}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_and_no_payload_is_logged() {
    let flags = ["--log-level=trace", "--log-format=json", "--drain-time=50ms"];
    let mut process = RelayProcess::start(&flags, &[("FLAME_RELAY_KEYS", KEY)]);
    let relay = Clients { address: process.address };
    let mut parent = Parent::connect(process.address, KEY).await.unwrap();
    parent.register(&[RUNNER]).await;
    let runner = relay.runner();
    let ticket = parent.ticket().await;
    let mut socket = relay.socket(ticket).await.unwrap();
    let mut runner = runner.await.unwrap().unwrap();
    runner.send(Message::Binary("the payload".into())).await.unwrap();
    assert_eq!(receive_binary(&mut socket).await, b"the payload");
    let _ = connect(process.address, PARENT_PATH, Some("a-wrong-key")).await;
    process.signal(Signal::TERM);
    tokio::join!(close_code(&mut runner), close_code(&mut socket), close_code(&mut parent.socket));
    let (code, log) = process.wait();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains(&RUNNER.to_string()), "the log names the runner:\n{log}");
    for secret in [KEY, "a-wrong-key", &ticket.to_path(), "the payload"] {
        assert!(!log.contains(secret), "{secret} is in:\n{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_drains_and_a_second_signal_exits_at_once() {
    let mut process = RelayProcess::start(&["--drain-time=1h"], &[("FLAME_RELAY_KEYS", KEY)]);
    let mut parent = Parent::connect(process.address, KEY).await.unwrap();
    process.signal(Signal::TERM);
    let draining = parent.receive().await;
    assert_eq!(draining, flame_wire::relay::RelayToParent::Draining { within_ms: 3_600_000 });
    let ready = get(process.address, "/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 503 "), "{ready}");
    process.signal(Signal::INT);
    assert_eq!(process.wait().0, Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_low_limit_of_open_files_is_raised() {
    let binary = env!("CARGO_BIN_EXE_flame-relay");
    let script = format!("ulimit -Sn 32; exec '{binary}' --listen 127.0.0.1:0");
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).env("FLAME_RELAY_KEYS", KEY);
    let process = RelayProcess::spawn(&mut shell);
    let mut parents = Vec::new();
    for _ in 0..50 {
        parents.push(Parent::connect(process.address, KEY).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_rotated_while_the_relay_runs() {
    let folder = Folder::new("keys");
    let file = folder.write("keys", KEY);
    let process = RelayProcess::start(&["--key-file", &file], &[]);
    let mut parent = Parent::connect(process.address, KEY).await.unwrap();
    let other = connect(process.address, PARENT_PATH, Some(OTHER_KEY)).await;
    assert_eq!(refusal(other).0, 401);
    folder.write("keys", &format!("# the old key\n{KEY}\n# the new key\n{OTHER_KEY}\n"));
    while Parent::connect(process.address, OTHER_KEY).await.is_err() {}
    Parent::connect(process.address, KEY).await.unwrap();
    folder.write("keys", "too-short");
    folder.write("keys", OTHER_KEY);
    assert_eq!(close_code(&mut parent.socket).await, Some(1008), "the old key is revoked");
    let old = connect(process.address, PARENT_PATH, Some(KEY)).await;
    assert_eq!(refusal(old).0, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_replaced_while_the_relay_runs() {
    let folder = Folder::new("tls");
    let certificate = || rcgen::generate_simple_self_signed(vec!["relay.test".into()]).unwrap();
    let (first, second) = (certificate(), certificate());
    let key = folder.write("key.pem", &first.signing_key.serialize_pem());
    let cert = folder.write("cert.pem", &first.cert.pem());
    let flags = ["--tls-cert", &cert, "--tls-key", &key];
    let process = RelayProcess::start(&flags, &[("FLAME_RELAY_KEYS", KEY)]);
    assert!(health_over_tls(process.address, first.cert.der()).await);
    assert!(!health_over_tls(process.address, second.cert.der()).await);
    // For a moment, the files don't belong together. The relay keeps the old certificate.
    folder.write("key.pem", &second.signing_key.serialize_pem());
    folder.write("cert.pem", &second.cert.pem());
    while !health_over_tls(process.address, second.cert.der()).await {}
    assert!(!health_over_tls(process.address, first.cert.der()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_count_connections_bytes_and_refusals() {
    let process = RelayProcess::start(&[], &[("FLAME_RELAY_KEYS", KEY)]);
    let relay = Clients { address: process.address };
    let mut parent = Parent::connect(process.address, KEY).await.unwrap();
    parent.register(&[RUNNER]).await;
    let (mut runner, mut socket) = relay.pair(&mut parent).await;
    runner.send(Message::Binary(vec![1; 1000].into())).await.unwrap();
    receive_binary(&mut socket).await;
    let _ = connect(process.address, PARENT_PATH, None).await;
    let text = relay.get("/metrics").await;
    for (series, value) in [
        ("flame_relay_connections{kind=\"parent\"}", 1.0),
        ("flame_relay_connections{kind=\"runner\"}", 1.0),
        ("flame_relay_connections{kind=\"socket\"}", 1.0),
        ("flame_relay_registered_runners", 1.0),
        ("flame_relay_pairs_total", 1.0),
        ("flame_relay_bytes_total{to=\"parent\"}", 1000.0),
        ("flame_relay_bytes_total{to=\"runner\"}", 0.0),
        ("flame_relay_refusals_total{reason=\"unauthorized\"}", 1.0),
        ("flame_relay_pairing_seconds_count", 1.0),
        ("flame_relay_draining", 0.0),
    ] {
        assert_eq!(metric(&text, series), value, "{series}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_with_an_address_of_their_own_are_served_nowhere_else() {
    let flags = ["--metrics-listen=127.0.0.1:0", "--drain-time=1h"];
    let mut process = RelayProcess::start(&flags, &[("FLAME_RELAY_KEYS", KEY)]);
    let (public, metrics) = (process.address, process.metrics.expect("it is in the log"));
    let mut parent = Parent::connect(public, KEY).await.unwrap();
    let text = get(metrics, "/metrics").await;
    assert_eq!(metric(&text, "flame_relay_connections{kind=\"parent\"}"), 1.0);
    let refused = get(public, "/metrics").await;
    assert!(refused.starts_with("HTTP/1.1 404 ") && !refused.contains("flame_relay"), "{refused}");
    for path in [PARENT_PATH, "/healthz", "/readyz", "/nothing"] {
        let refused = get(metrics, path).await;
        assert!(refused.starts_with("HTTP/1.1 404 "), "{path}: {refused}");
    }
    process.signal(Signal::TERM);
    parent.receive().await;
    let text = get(metrics, "/metrics").await;
    assert_eq!(metric(&text, "flame_relay_draining"), 1.0, "a drain can be watched");
    process.signal(Signal::INT);
    process.wait();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_send_nothing_do_not_keep_others_from_the_metrics() {
    let flags = ["--metrics-listen=127.0.0.1:0", "--handshake-timeout=100ms"];
    let process = RelayProcess::start(&flags, &[("FLAME_RELAY_KEYS", KEY)]);
    let metrics = process.metrics.expect("it is in the log");
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(metrics).await.unwrap());
    }
    let text = get(metrics, "/metrics");
    let text = timeout(Duration::from_secs(20), text).await.expect("the silent ones have to leave");
    assert_eq!(metric(&text, "flame_relay_draining"), 0.0);
}

#[test]
fn an_address_for_metrics_that_is_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, log) = run(&["--metrics-listen", &address], &[("FLAME_RELAY_KEYS", KEY)]);
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains(&format!("cannot listen on {address}")), "{log}");
}

/// Whether `/healthz` answers over TLS with this certificate.
async fn health_over_tls(address: SocketAddr, trusted: &CertificateDer<'static>) -> bool {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("relay.test").unwrap();
    let Ok(mut tls) = TlsConnector::from(Arc::new(config)).connect(name, tcp).await else {
        return false;
    };
    tls.write_all(b"GET /healthz HTTP/1.1\r\nhost: relay.test\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    let _ = tls.read_to_string(&mut answer).await;
    answer.ends_with("ok\n")
}
