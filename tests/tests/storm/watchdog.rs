//! Nothing may hang: the watchdog exits the process when something in a storm takes too long.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use flame_tests::process;
use tokio::time::Instant;

/// Calls take 30 s at most, and draining is bounded, too. The rest is for a very busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// The futures that are being awaited. A thread of its own checks them, so that a blocked runtime
/// is noticed, too.
#[derive(Debug, Default)]
pub(crate) struct Watchdog {
    awaited: Mutex<Awaited>,
}

#[derive(Debug, Default)]
struct Awaited {
    next: u64,
    all: BTreeMap<u64, (String, Instant)>,
}

impl Watchdog {
    /// Starts the thread. When a future takes too long, it prints the future's name and
    /// `how_to_repeat`, kills the children of the process, and exits it.
    pub(crate) fn start(how_to_repeat: String) -> Arc<Self> {
        let watchdog = Arc::new(Self::default());
        let watched = Arc::downgrade(&watchdog);
        std::thread::spawn(move || {
            while let Some(watchdog) = watched.upgrade() {
                let overdue = watchdog.overdue();
                if !overdue.is_empty() {
                    let names = overdue.join("\n");
                    eprintln!("storm: still waiting after {LIMIT:?}:\n{names}\n{how_to_repeat}");
                    // Runners die with this process, but a relay does not.
                    process::children(std::process::id()).into_iter().for_each(process::kill);
                    std::process::exit(1);
                }
                drop(watchdog);
                std::thread::sleep(Duration::from_millis(500));
            }
        });
        watchdog
    }

    /// Awaits a future under a name.
    pub(crate) async fn wait_for<T>(&self, name: String, awaited: impl Future<Output = T>) -> T {
        struct RemoveOnDrop<'a>(&'a Watchdog, u64);
        impl Drop for RemoveOnDrop<'_> {
            fn drop(&mut self) {
                self.0.lock().all.remove(&self.1);
            }
        }
        let number = {
            let mut lock = self.lock();
            lock.next += 1;
            let number = lock.next;
            lock.all.insert(number, (name, Instant::now()));
            number
        };
        let _remove = RemoveOnDrop(self, number);
        awaited.await
    }

    fn overdue(&self) -> Vec<String> {
        let lock = self.lock();
        let overdue = lock.all.values().filter(|(_, since)| since.elapsed() > LIMIT);
        overdue.map(|(name, _)| name.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Awaited> {
        self.awaited.lock().expect("nothing panics with the lock")
    }
}
