//! A proxy between runners and their parent that does what networks do.
//!
//! ```text
//! runner ──▶ proxy (the pool's `advertise`) ──▶ the pool's listener (`listen`)
//! ```
//!
//! What it does is a [`Weather`], which can change at any time and holds for the connections that
//! stand, too. Whatever is random comes from a seed.

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

/// What happens to connections.
#[derive(Clone, Debug, PartialEq)]
pub enum Weather {
    /// Everything passes.
    Fair,
    /// Each connection is cut when so many bytes have passed, both ways together.
    Cuts(Range<u64>),
    /// Each piece is held back for so many milliseconds.
    Delays(Range<u64>),
    /// Nothing passes; whoever listens hears nothing. What was sent passes when it is over.
    Silence,
    /// Every connection is cut, and none is made.
    Down,
    /// Each connection that stands is lost on the parent's side alone: for the runner it stays open,
    /// and silent. New ones pass.
    HalfOpen,
}

/// A running proxy; dropped, it ends and cuts everything.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    sky: Arc<Sky>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Sky {
    weather: watch::Sender<(u64, Weather)>,
    random: Mutex<StdRng>,
    made: AtomicUsize,
    cuts: AtomicUsize,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.set(Weather::Down);
    }
}

impl Proxy {
    /// A proxy in front of a listener.
    pub async fn start(to: SocketAddr, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port for the proxy");
        let address = listener.local_addr().expect("it is bound");
        let sky = Arc::new(Sky {
            weather: watch::Sender::new((0, Weather::Fair)),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            made: AtomicUsize::new(0),
            cuts: AtomicUsize::new(0),
        });
        let above = sky.clone();
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(above.clone(), near, to));
            }
        });
        Self { address, sky, task }
    }

    /// Changes the weather.
    pub fn set(&self, weather: Weather) {
        self.sky.weather.send_modify(|(number, now)| {
            *number += 1;
            *now = weather;
        });
    }

    /// How many connections were made so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.sky.made.load(Ordering::SeqCst)
    }

    /// How many connections have ended so far.
    #[must_use]
    pub fn cuts(&self) -> usize {
        self.sky.cuts.load(Ordering::SeqCst)
    }

    /// Where runners dial.
    #[must_use]
    pub fn address(&self) -> String {
        format!("ws://{}", self.address)
    }
}

/// Starts a pool whose runners dial through a proxy.
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

/// Starts a pool that listens at an address of its own, known before it does.
///
/// # Panics
/// If the pool does not start.
pub async fn at_free_address<T, F>(start: impl Fn(SocketAddr) -> F) -> T
where
    F: Future<Output = Result<T, PoolError>>,
{
    loop {
        // An address on which nobody else asks for any port.
        let free = std::net::TcpListener::bind("127.0.0.2:0").expect("a port for the pool");
        let address = free.local_addr().expect("it is bound");
        drop(free);
        match start(address).await {
            Ok(started) => return started,
            // Another test was faster.
            Err(PoolError::Listen { .. }) => {}
            Err(error) => panic!("the pool does not start: {error}"),
        }
    }
}

async fn carry(sky: Arc<Sky>, mut near: TcpStream, to: SocketAddr) {
    let mut weather = sky.weather.subscribe();
    let began = weather.borrow().0;
    if weather.borrow().1 == Weather::Down {
        return;
    }
    let Ok(mut far) = TcpStream::connect(to).await else { return };
    sky.made.fetch_add(1, Ordering::SeqCst);
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let budget = Budget { sky: &sky, left: Mutex::default() };
    let ((a, b), (c, d)) = (near.split(), far.split());
    tokio::select! {
        () = pass(&sky, &budget, a, d) => {}
        () = pass(&sky, &budget, c, b) => {}
        _ = weather.wait_for(|(number, weather)| match weather {
            Weather::Down => true,
            Weather::HalfOpen => *number > began,
            _ => false,
        }) => {}
    }
    sky.cuts.fetch_add(1, Ordering::SeqCst);
    let half_open = weather.borrow().1 == Weather::HalfOpen;
    if half_open {
        drop(far);
        let _ = weather.wait_for(|(_, weather)| *weather == Weather::Down).await;
        return;
    }
    // One side sees a reset, or both see an end.
    if sky.random().random() {
        let _ = near.set_zero_linger();
    }
    if sky.random().random() {
        let _ = far.set_zero_linger();
    }
}

/// Moves bytes one way, until either end is gone or the budget is spent.
async fn pass(sky: &Sky, budget: &Budget<'_>, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) {
    let mut chunk = vec![0; 16 * 1024];
    while let Ok(len @ 1..) = from.read(&mut chunk).await {
        sky.hold_back().await;
        let allowed = budget.take(len);
        if to.write_all(&chunk[..allowed]).await.is_err() || allowed < len {
            return;
        }
    }
}

impl Sky {
    fn random(&self) -> std::sync::MutexGuard<'_, StdRng> {
        self.random.lock().expect("nothing panics with the lock")
    }

    async fn hold_back(&self) {
        let mut weather = self.weather.subscribe();
        let clear = weather.wait_for(|(_, weather)| *weather != Weather::Silence);
        let now = clear.await.map(|now| now.1.clone());
        if let Ok(Weather::Delays(range)) = now {
            let delay = self.random().random_range(range);
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
    }
}

/// What may still pass on one connection, drawn anew with each change of the weather.
struct Budget<'a> {
    sky: &'a Sky,
    /// Of which weather, and how much.
    left: Mutex<Option<(u64, u64)>>,
}

impl Budget<'_> {
    /// How many of so many bytes may pass.
    fn take(&self, len: usize) -> usize {
        let mut left = self.left.lock().expect("nothing panics with the lock");
        let now = self.sky.weather.borrow();
        let (number, weather) = &*now;
        let (_, left) = match &mut *left {
            Some(left) if left.0 == *number => left,
            left => left.insert((*number, self.draw(weather))),
        };
        let allowed = usize::try_from(*left).unwrap_or(usize::MAX).min(len);
        *left -= allowed as u64;
        allowed
    }

    fn draw(&self, weather: &Weather) -> u64 {
        match weather {
            Weather::Cuts(range) => self.sky.random().random_range(range.clone()),
            _ => u64::MAX,
        }
    }
}
