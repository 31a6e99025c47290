//! Stress tests: storms over pools of real processes, under a constant load of calls.
//!
//! | storm | what happens |
//! |---|---|
//! | `kills` | runners get SIGKILL, SIGSTOP, SIGCONT and SIGTERM, also while they boot |
//! | `cuts` | a proxy between runners and parent cuts, delays, stalls and garbles their connections |
//! | `intruders` | clients send garbage, other protocols, partial handshakes, and wrong and used tokens |
//! | `relay` | all of this between 20 runners, a `flame-relay` process and their parent; the relay is killed, stopped and drained |
//! | `strangers` | many clients without a valid ref or key connect to a parent and to a relay |
//!
//! Each call has a number. Its execution writes that number to a file before anything else, so that
//! no signal can hide it. After the storm each call must have been answered once, executed at most
//! once, and not executed at all if its error says so; and no resource may be left over.
//!
//! ```text
//! cargo xtask storm [STORM] [--seconds N] [--calls N] [--seed S]
//! ```
//!
//! `cargo xtask test` runs each storm for a few seconds with a fixed seed. The seed decides what
//! happens and in which order; the timing depends on the machine.

mod callers;
mod context;
mod cuts;
mod functions;
mod intruders;
mod kills;
mod ledger;
mod options;
mod relay;
mod relay_process;
mod report;
mod resources;
mod strangers;
mod watchdog;

use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use flame_aws::Pool;
use futures_util::future::BoxFuture;
use libtest_mimic::{Arguments, Failed, Trial};

use crate::context::StormContext;
use crate::options::{Extent, Options};
use crate::report::Report;
use crate::resources::Resources;

/// A storm, by its name.
#[derive(Clone, Copy)]
struct Storm {
    name: &'static str,
    run: for<'a> fn(&'a Arc<StormContext>, Extent) -> BoxFuture<'a, ()>,
}

const STORMS: [Storm; 5] = [
    Storm { name: "kills", run: |context, extent| Box::pin(kills::run(context, extent)) },
    Storm { name: "cuts", run: |context, extent| Box::pin(cuts::run(context, extent)) },
    Storm { name: "intruders", run: |context, extent| Box::pin(intruders::run(context, extent)) },
    Storm { name: "relay", run: |context, extent| Box::pin(relay::run(context, extent)) },
    Storm { name: "strangers", run: |context, extent| Box::pin(strangers::run(context, extent)) },
];

fn main() -> ExitCode {
    if let Some(exit) = flame_tests::run_copy() {
        return exit;
    }
    let (options, rest) = match Options::take(std::env::args()) {
        Ok(taken) => taken,
        Err(error) => {
            eprintln!("storm: {error}");
            return ExitCode::from(2);
        }
    };
    let mut arguments = Arguments::from_iter(rest);
    // Leftover resources are counted for the whole process, so storms can't run side by side.
    arguments.test_threads = Some(1);
    let report = Arc::new(Mutex::new(Report::default()));
    let trials = STORMS.map(|storm| {
        let report = report.clone();
        Trial::test(storm.name, move || {
            let context = StormContext::new(storm.name, options);
            let outcome = flame_tests::runtime().block_on(run(storm, &context, options));
            let column = context.ledger.column();
            report.lock().expect("nothing panics with the lock").add(storm.name, column);
            outcome
        })
    });
    println!("{options}");
    let conclusion = libtest_mimic::run(&arguments, trials.into());
    println!("{}", report.lock().expect("nothing panics with the lock"));
    conclusion.exit_code()
}

/// Runs a storm twice. The first, shorter run is a warm-up, so that resources which the process
/// keeps for good are not reported as left over.
async fn run(storm: Storm, context: &Arc<StormContext>, options: Options) -> Result<(), Failed> {
    let initial = Resources::now();
    (storm.run)(context, options.warm_up()).await;
    let before = resources::settle(context, &initial, None).await;
    (storm.run)(context, options.extent()).await;
    let after = resources::settle(context, &initial, Some(&before)).await;
    context.verify();
    after.compare(&before, context);
    let violations = context.ledger.violations();
    let to_repeat = options.to_repeat(storm.name);
    if violations.is_empty() { Ok(()) } else { Err(format!("{violations}\n\n{to_repeat}").into()) }
}

/// Drains a pool, after a last call that shows that the pool still works.
async fn end(context: &StormContext, pool: Pool) {
    let last = async {
        // The pool may have paused its boots after many failures.
        while pool.call(flame_tests::demo::double(21)).await.is_err() {}
    };
    context.watchdog.wait_for("the call after the storm".to_owned(), last).await;
    context.watchdog.wait_for("the drain of the pool".to_owned(), pool.drain()).await;
}
