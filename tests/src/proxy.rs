//! A proxy between runners and their parent that behaves like a bad network.
//!
//! ```text
//! runner ──▶ proxy (the pool's `advertise`) ──▶ the pool's listener (`listen`)
//! ```
//!
//! Its [`Network`] can change at any time, and the change applies to open connections, too. All
//! random decisions come from a seed.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flame_aws::{Pool, PoolBuilder, PoolError};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How the network between runners and parent behaves.
#[derive(Clone, Debug, PartialEq)]
pub enum Network {
    /// Everything passes at once.
    Normal,
    /// Each connection is cut after a number of bytes in this range, both directions together.
    Cuts(Range<u64>),
    /// Each chunk is delayed by a number of milliseconds in this range.
    Delays(Range<u64>),
    /// Nothing passes until the network changes. Then everything sent meanwhile passes.
    Stalled,
    /// Every open connection is cut, and every new one is closed at once.
    Down,
    /// Each open connection is closed on the parent's side alone: on the runner's side it stays
    /// open and silent. New connections work.
    HalfOpen,
}

/// A running proxy. Dropping it cuts every connection.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<ProxyState>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct ProxyState {
    /// The number of changes so far, and the network now.
    network: watch::Sender<(u64, Network)>,
    random: Mutex<StdRng>,
    opened: AtomicUsize,
    ended: AtomicUsize,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.set(Network::Down);
    }
}

impl Proxy {
    /// Starts a proxy in front of the listener at `to`.
    pub async fn start(to: SocketAddr, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port for the proxy");
        let address = listener.local_addr().expect("the listener is bound");
        let state = Arc::new(ProxyState {
            network: watch::Sender::new((0, Network::Normal)),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            opened: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
        });
        let shared = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((runner, _)) = listener.accept().await {
                tokio::spawn(forward(shared.clone(), runner, to));
            }
        });
        Self { address, state, task }
    }

    /// Changes the network.
    pub fn set(&self, network: Network) {
        self.state.network.send_modify(|(changes, now)| {
            *changes += 1;
            *now = network;
        });
    }

    /// How many connections were opened so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.state.opened.load(Ordering::SeqCst)
    }

    /// How many connections have ended so far.
    #[must_use]
    pub fn ended_connections(&self) -> usize {
        self.state.ended.load(Ordering::SeqCst)
    }

    /// The URL at which runners reach the proxy.
    #[must_use]
    pub fn address(&self) -> String {
        format!("ws://{}", self.address)
    }
}

/// Starts a pool whose runners connect through a proxy.
pub async fn pool_behind(make: impl Fn() -> PoolBuilder, seed: u64) -> (Pool, Proxy) {
    at_free_address(|address| {
        let pool = make().listen(address);
        async move {
            let proxy = Proxy::start(address, seed).await;
            Ok((pool.advertise(proxy.address()).start().await?, proxy))
        }
    })
    .await
}

/// Starts a pool that listens at a free address, which `start` gets before the pool exists.
///
/// # Panics
/// Panics if the pool does not start.
pub async fn at_free_address<T, F>(start: impl Fn(SocketAddr) -> F) -> T
where
    F: Future<Output = Result<T, PoolError>>,
{
    loop {
        // No other code here listens on port 0 of this address, so the port stays free.
        let free = std::net::TcpListener::bind("127.0.0.2:0").expect("a port for the pool");
        let address = free.local_addr().expect("the listener is bound");
        drop(free);
        match start(address).await {
            Ok(started) => return started,
            // Another test has taken the port.
            Err(PoolError::Listen { .. }) => {}
            Err(error) => panic!("the pool does not start: {error}"),
        }
    }
}

async fn forward(state: Arc<ProxyState>, mut runner: TcpStream, to: SocketAddr) {
    let mut network = state.network.subscribe();
    let changes_before = network.borrow().0;
    if network.borrow().1 == Network::Down {
        return;
    }
    let Ok(mut parent) = TcpStream::connect(to).await else { return };
    state.opened.fetch_add(1, Ordering::SeqCst);
    let _ = (runner.set_nodelay(true), parent.set_nodelay(true));
    let budget = Budget { state: &state, left: Mutex::default() };
    let (from_runner, to_runner) = runner.split();
    let (from_parent, to_parent) = parent.split();
    tokio::select! {
        () = copy(&state, &budget, from_runner, to_parent) => {}
        () = copy(&state, &budget, from_parent, to_runner) => {}
        _ = network.wait_for(|(changes, network)| match network {
            Network::Down => true,
            Network::HalfOpen => *changes > changes_before,
            _ => false,
        }) => {}
    }
    state.ended.fetch_add(1, Ordering::SeqCst);
    let half_open = network.borrow().1 == Network::HalfOpen;
    if half_open {
        drop(parent);
        let _ = network.wait_for(|(_, network)| *network == Network::Down).await;
        return;
    }
    // Each side sees either a reset or an orderly end.
    if state.random().random() {
        let _ = runner.set_zero_linger();
    }
    if state.random().random() {
        let _ = parent.set_zero_linger();
    }
}

/// Copies bytes in one direction, until either end closes or the budget is spent.
async fn copy(
    state: &ProxyState,
    budget: &Budget<'_>,
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
) {
    let mut chunk = vec![0; 16 * 1024];
    while let Ok(len @ 1..) = from.read(&mut chunk).await {
        state.delay().await;
        let allowed = budget.take(len);
        if to.write_all(&chunk[..allowed]).await.is_err() || allowed < len {
            return;
        }
    }
}

impl ProxyState {
    fn random(&self) -> std::sync::MutexGuard<'_, StdRng> {
        self.random.lock().expect("nothing panics with the lock")
    }

    async fn delay(&self) {
        let mut network = self.network.subscribe();
        let moving = network.wait_for(|(_, network)| *network != Network::Stalled);
        let now = moving.await.map(|now| now.1.clone());
        if let Ok(Network::Delays(range)) = now {
            let delay = self.random().random_range(range);
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
    }
}

/// How many bytes may still pass on one connection. It is drawn anew when the network changes.
struct Budget<'a> {
    state: &'a ProxyState,
    /// The number of the network's change for which it was drawn, and the bytes left.
    left: Mutex<Option<(u64, u64)>>,
}

impl Budget<'_> {
    /// Takes up to `len` bytes from the budget, and returns how many may pass.
    fn take(&self, len: usize) -> usize {
        let mut left = self.left.lock().expect("nothing panics with the lock");
        let now = self.state.network.borrow();
        let (changes, network) = &*now;
        let (_, left) = match &mut *left {
            Some(left) if left.0 == *changes => left,
            left => left.insert((*changes, self.draw(network))),
        };
        let allowed = usize::try_from(*left).unwrap_or(usize::MAX).min(len);
        *left -= allowed as u64;
        allowed
    }

    fn draw(&self, network: &Network) -> u64 {
        match network {
            Network::Cuts(range) => self.state.random().random_range(range.clone()),
            _ => u64::MAX,
        }
    }
}
