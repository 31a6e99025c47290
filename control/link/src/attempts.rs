//! Dials the addresses of one peer until one of them answers.
//!
//! ```text
//! first address    ├─ dial ─ failed ─┤ pause ├─ dial ──────────── …
//! second address                     ├─ dial ── connected
//! third address                              (not needed)
//!                  the next address starts when one has failed, or has had its head start
//! ```
//!
//! An address that does not answer at all, such as that of a machine that is gone, delays the
//! others by its head start only. Each address has pauses of its own, so a server sees no more
//! attempts because there are other addresses.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep, sleep_until};

type DialAddress<'a, T> = Box<dyn Fn(String) -> BoxFuture<'a, T> + Send + Sync + 'a>;

/// Dials several addresses of one peer. Dropping it ends all dials.
///
/// The owner takes each outcome from [`next`](Self::next). If it is a failure, the owner reports it
/// to [`failed`](Self::failed), and the address is dialled again after a pause.
pub struct Attempts<'a, T> {
    dial: DialAddress<'a, T>,
    head_start: Duration,
    addresses: Vec<AddressAttempts>,
    /// How many of the addresses were dialled at least once.
    started: usize,
    /// When the next address is dialled, even if no other has failed by then.
    next_start: Instant,
    dials: FuturesUnordered<BoxFuture<'a, (usize, T)>>,
}

struct AddressAttempts {
    address: String,
    failures: u32,
    last_error: Option<String>,
}

impl<T> std::fmt::Debug for Attempts<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempts").field("started", &self.started).finish_non_exhaustive()
    }
}

impl<'a, T: Send + 'a> Attempts<'a, T> {
    /// Attempts at these addresses, the preferred one first. Nothing is dialled before
    /// [`next`](Self::next).
    pub fn new(
        addresses: impl IntoIterator<Item = String>,
        head_start: Duration,
        dial: impl Fn(String) -> BoxFuture<'a, T> + Send + Sync + 'a,
    ) -> Self {
        let addresses = addresses.into_iter().map(|address| AddressAttempts {
            address,
            failures: 0,
            last_error: None,
        });
        Self {
            dial: Box::new(dial),
            head_start,
            addresses: addresses.collect(),
            started: 0,
            next_start: Instant::now(),
            dials: FuturesUnordered::new(),
        }
    }

    /// The next outcome of a dial, and the index of its address. Pending for ever if no dial is
    /// under way or planned.
    ///
    /// Cancel-safe.
    pub async fn next(&mut self) -> (usize, T) {
        loop {
            let is_next_waiting = self.started < self.addresses.len();
            tokio::select! {
                biased;
                Some(outcome) = self.dials.next() => return outcome,
                () = sleep_until(self.next_start), if is_next_waiting => self.start_next(),
                else => std::future::pending().await,
            }
        }
    }

    /// A dial has failed, or what followed it. The address is dialled again after the pause for
    /// that many failures of this address. If some address was not dialled yet, it is dialled now.
    pub fn failed(&mut self, index: usize, error: String, pause: impl FnOnce(u32) -> Duration) {
        let Some(attempts) = self.addresses.get_mut(index) else { return };
        attempts.failures = attempts.failures.saturating_add(1);
        attempts.last_error = Some(error);
        let pause = pause(attempts.failures);
        let dial = (self.dial)(attempts.address.clone());
        self.dials.push(Box::pin(async move {
            sleep(pause).await;
            (index, dial.await)
        }));
        self.start_next();
    }

    /// The address with this index.
    #[must_use]
    pub fn address(&self, index: usize) -> &str {
        self.addresses.get(index).map_or("", |attempts| &attempts.address)
    }

    /// The last error of each address that has failed, in the order of the addresses.
    #[must_use]
    pub fn errors(&self) -> String {
        let errors = self.addresses.iter().filter_map(|attempts| attempts.last_error.as_deref());
        errors.collect::<Vec<_>>().join("; ")
    }

    fn start_next(&mut self) {
        let index = self.started;
        if let Some(attempts) = self.addresses.get(index) {
            let dial = (self.dial)(attempts.address.clone());
            self.dials.push(Box::pin(async move { (index, dial.await) }));
            self.started += 1;
            self.next_start = Instant::now() + self.head_start;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Each dial that began: its address, and when.
    type DialLog = Arc<Mutex<Vec<(String, Duration)>>>;

    /// Attempts whose dials take these times and then return whether they have succeeded, and the
    /// log of the dials that began.
    fn attempts<const N: usize>(
        outcomes: [(&'static str, Duration, bool); N],
    ) -> (Attempts<'static, bool>, DialLog) {
        let dialled = Arc::new(Mutex::new(Vec::new()));
        let (log, begin) = (dialled.clone(), Instant::now());
        let addresses = outcomes.iter().map(|(address, ..)| (*address).to_owned());
        let attempts = Attempts::new(addresses, SECOND, move |address| {
            let log = log.clone();
            Box::pin(async move {
                let (_, takes, connects) =
                    outcomes.iter().find(|(known, ..)| *known == address).unwrap();
                log.lock().unwrap().push((address, begin.elapsed()));
                sleep(*takes).await;
                *connects
            })
        });
        (attempts, dialled)
    }

    /// The address that connects.
    async fn connected(attempts: &mut Attempts<'_, bool>) -> String {
        loop {
            match attempts.next().await {
                (index, true) => return attempts.address(index).to_owned(),
                (index, false) => {
                    let error = format!("{} failed", attempts.address(index));
                    attempts.failed(index, error, |_| SECOND / 2);
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_address_is_dialled_at_once_when_one_fails() {
        let (mut attempts, dialled) = attempts([
            ("a", Duration::from_millis(1), false),
            ("b", Duration::from_millis(1), true),
            ("c", Duration::ZERO, true),
        ]);
        assert_eq!(connected(&mut attempts).await, "b");
        let millis = Duration::from_millis;
        assert_eq!(*dialled.lock().unwrap(), [("a".into(), millis(0)), ("b".into(), millis(1))]);
        assert_eq!(attempts.errors(), "a failed");
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_does_not_answer_delays_the_next_one_by_its_head_start() {
        let (mut attempts, _) =
            attempts([("gone", 3600 * SECOND, false), ("b", Duration::ZERO, true)]);
        let begin = Instant::now();
        assert_eq!(connected(&mut attempts).await, "b");
        assert_eq!(begin.elapsed(), SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_answers_after_its_head_start_is_still_used() {
        let (mut attempts, _) =
            attempts([("slow", 3 * SECOND, true), ("b", Duration::ZERO, false)]);
        assert_eq!(connected(&mut attempts).await, "slow");
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_is_dialled_again_while_another_does_not_answer() {
        let (mut attempts, dialled) =
            attempts([("gone", 10 * SECOND, true), ("b", Duration::ZERO, false)]);
        assert_eq!(connected(&mut attempts).await, "gone");
        let at_b = dialled.lock().unwrap().iter().filter(|(address, _)| address == "b").count();
        assert!(
            (18..=19).contains(&at_b),
            "{at_b}, but twice a second from the first to the tenth"
        );
    }
}
