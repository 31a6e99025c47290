//! Nothing may hang: whatever is awaited in a storm is awaited here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

/// Calls have 30 s at most, and ends are bounded, too. This is for a machine that is very busy.
const LIMIT: Duration = Duration::from_secs(120);

/// What is awaited at present. A thread of its own looks at it, which runs where the runtime does
/// not.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    awaited: Mutex<Awaited>,
}

#[derive(Debug, Default)]
struct Awaited {
    next: u64,
    all: BTreeMap<u64, (String, Instant)>,
}

impl Watch {
    /// One whose thread ends this process with `repeat` where something takes too long. Copies end
    /// with their parent.
    pub(crate) fn start(repeat: String) -> Arc<Self> {
        let watch = Arc::new(Self::default());
        let watched = Arc::downgrade(&watch);
        std::thread::spawn(move || {
            while let Some(watch) = watched.upgrade() {
                let overdue = watch.overdue();
                if !overdue.is_empty() {
                    eprintln!("storm: no answer for {LIMIT:?}:\n{}\n{repeat}", overdue.join("\n"));
                    std::process::exit(1);
                }
                drop(watch);
                std::thread::sleep(Duration::from_millis(500));
            }
        });
        watch
    }

    /// Awaits something under a name.
    pub(crate) async fn over<T>(&self, name: String, awaited: impl Future<Output = T>) -> T {
        struct Over<'a>(&'a Watch, u64);
        impl Drop for Over<'_> {
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
        let _over = Over(self, number);
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
