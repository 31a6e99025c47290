//! Three storms over a pool whose runners are real copies, while callers call without a pause.
//!
//! | storm | what happens |
//! |---|---|
//! | `kills` | runners get SIGKILL, SIGSTOP, SIGCONT and SIGTERM, while they boot, too |
//! | `cuts` | a proxy between runners and parent cuts, delays and holds back their connections |
//! | `strangers` | garbage, other protocols, half of a handshake, wrong and used tokens at the listener |
//!
//! Each call has a number. Its execution writes that number to a file before anything else, so that
//! no signal can hide it. Afterwards each call must have been answered once, executed at most once,
//! and not at all where its error says so; and nothing may be left over.
//!
//! ```text
//! cargo xtask storm [--seconds N] [--seed S]
//! ```
//!
//! The tests of the project run it for two seconds each, with one seed. The seed decides what is
//! done, in which order; when it is done is up to the machine.

mod callers;
mod calls;
mod cuts;
mod functions;
mod ground;
mod kills;
mod left;
mod options;
mod report;
mod strangers;
mod watch;

use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flame_aws::Pool;
use futures_util::future::BoxFuture;
use libtest_mimic::{Arguments, Failed, Trial};

use crate::ground::Ground;
use crate::left::Left;
use crate::options::Options;
use crate::report::Report;

/// A storm by its name, and what rages for that long.
#[derive(Clone, Copy)]
struct Storm {
    name: &'static str,
    rage: for<'a> fn(&'a Arc<Ground>, Duration) -> BoxFuture<'a, ()>,
}

const STORMS: [Storm; 3] = [
    Storm { name: "kills", rage: |ground, time| Box::pin(kills::rage(ground, time)) },
    Storm { name: "cuts", rage: |ground, time| Box::pin(cuts::rage(ground, time)) },
    Storm { name: "strangers", rage: |ground, time| Box::pin(strangers::rage(ground, time)) },
];

fn main() -> ExitCode {
    if let Some(ended) = flame_tests::unless_tests_run_here() {
        return ended;
    }
    let (options, rest) = match Options::take(std::env::args()) {
        Ok(taken) => taken,
        Err(wrong) => {
            eprintln!("storm: {wrong}");
            return ExitCode::from(2);
        }
    };
    let mut arguments = Arguments::from_iter(rest);
    // What is left over is counted for the whole process.
    arguments.test_threads = Some(1);
    let report = Arc::new(Mutex::new(Report::default()));
    let trials = STORMS.map(|storm| {
        let report = report.clone();
        Trial::test(storm.name, move || {
            let ground = Ground::new(storm.name, options);
            let raged = flame_tests::runtime().block_on(run(storm, &ground, options));
            let column = ground.calls.column();
            report.lock().expect("nothing panics with the lock").add(storm.name, column);
            raged
        })
    });
    println!("{options}");
    let conclusion = libtest_mimic::run(&arguments, trials.into());
    println!("{}", report.lock().expect("nothing panics with the lock"));
    conclusion.exit_code()
}

/// The storm twice: the first and shorter one shows what this process keeps for good.
async fn run(storm: Storm, ground: &Arc<Ground>, options: Options) -> Result<(), Failed> {
    let bare = Left::now();
    (storm.rage)(ground, options.warm_up()).await;
    let before = left::settle(ground, &bare, None).await;
    (storm.rage)(ground, options.time()).await;
    let after = left::settle(ground, &bare, Some(&before)).await;
    ground.judge();
    after.compare(&before, ground);
    let wrong = ground.calls.wrongs();
    if wrong.is_empty() { Ok(()) } else { Err(format!("{wrong}\n\n{options}").into()) }
}

/// Ends a pool in good order, after a last call that shows that it goes on.
async fn end(ground: &Ground, pool: Pool) {
    let last = async {
        // Boots may be paused after many that failed.
        while pool.call(flame_tests::demo::double(21)).await.is_err() {}
    };
    ground.watch.over("the call after the storm".to_owned(), last).await;
    ground.watch.over("the drain of the pool".to_owned(), pool.drain()).await;
}
