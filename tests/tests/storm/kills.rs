//! The storm of signals: runners are killed, stopped and terminated at any moment.

use std::sync::Arc;
use std::time::Duration;

use flame_tests::process;
use rand::Rng;
use rand::rngs::StdRng;
use rustix::process::{Pid, Signal, kill_process};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::callers::{Callers, ExpectedErrors};
use crate::context::StormContext;
use crate::options::Extent;
use crate::report::Section;

pub(crate) async fn run(context: &Arc<StormContext>, Extent { time, .. }: Extent) {
    let pool = context.pool().min(1).max(4);
    // A runner that is stopped and never continued is given up after a few seconds.
    let pool =
        pool.keepalive_timeout(Duration::from_secs(1)).reconnect_timeout(Duration::from_secs(2));
    let pool = pool.shutdown_timeout(Duration::from_secs(2));
    // Runners that die while they boot are failed boots, so backoff and breaker have to be short.
    let pool = pool.boot_backoff(Duration::from_millis(10), Duration::from_millis(100));
    let pool = pool.boot_breaker(8, Duration::from_millis(100)).start().await;
    let pool = pool.expect("the pool starts");
    let callers = Callers::start(context, &pool, ExpectedErrors::RunnerLoss);

    let mut random = context.random("signals");
    let mut signals = Signals::default();
    let end = Instant::now() + time;
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(random.random_range(5..150))).await;
        // Booting runners are among them.
        let runners = process::children(std::process::id());
        signals.send_to_one_of(&runners, context, &mut random);
    }
    signals.all_continue().await;
    callers.stop().await;
    crate::end(context, pool).await;
}

/// Signals to runners.
#[derive(Default)]
pub(crate) struct Signals {
    /// The runners that continue later.
    continued: JoinSet<()>,
}

impl Signals {
    /// Sends a random signal to a random runner.
    pub(crate) fn send_to_one_of(
        &mut self,
        runners: &[u32],
        context: &StormContext,
        random: &mut StdRng,
    ) {
        let (index, kind, pause) =
            (random.random::<u32>(), random.random_range(0..100), random.random_range(1..1500));
        let Some(&runner) = runners.get(index as usize % runners.len().max(1)) else { return };
        let sent = match kind {
            0..50 => send(runner, Signal::KILL).then_some("SIGKILL"),
            50..80 => send(runner, Signal::STOP).then(|| {
                self.continued.spawn(async move {
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                    send(runner, Signal::CONT);
                });
                "SIGSTOP and SIGCONT"
            }),
            80..88 => send(runner, Signal::STOP).then_some("SIGSTOP alone"),
            _ => send(runner, Signal::TERM).then_some("SIGTERM"),
        };
        if let Some(sent) = sent {
            context.ledger.count(Section::Disruptions, sent, 1);
        }
    }

    /// Waits until all runners that are to continue have continued.
    pub(crate) async fn all_continue(self) {
        self.continued.join_all().await;
    }
}

/// Sends a signal. Returns false if the process is gone.
fn send(pid: u32, signal: Signal) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| kill_process(pid, signal).is_ok())
}
